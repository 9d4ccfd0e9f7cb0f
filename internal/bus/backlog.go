package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// MeasureBacklog brings the uplink's backlog and lag up to date from the edge stream alone, for the time
// when nothing can be forwarded: then no batch tells them.
func (e *Edge) MeasureBacklog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := e.conn.js.Stream(ctx, e.stream)
	if err != nil {
		return fmt.Errorf("measure backlog of %s: %w", e.stream, err)
	}
	st := stateOf(s.CachedInfo())
	next, consumers := uint64(0), s.ListConsumers(ctx) // the first message that no uplink has forwarded
	for c := range consumers.Info() {
		if strings.HasPrefix(c.Name, uplinkConsumer) {
			next = max(next, c.AckFloor.Stream+1)
		}
	}
	if err := consumers.Err(); err != nil {
		return fmt.Errorf("measure backlog of %s: %w", e.stream, err)
	}
	next = max(next, st.First)
	waits, backlog, lag := uint64(0), uint64(0), time.Duration(0)
	if st.Messages > 0 && next <= st.Last {
		waits = st.Last - next + 1
		m, err := s.GetMsg(ctx, next)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) { // dropped meanwhile: its age is asked again
			return fmt.Errorf("measure backlog of %s: read %d: %w", e.stream, next, err)
		}
		if err == nil {
			lag = time.Since(m.Time)
		}
		if backlog, err = e.framesFrom(ctx, s, next, st.Last); err != nil {
			return fmt.Errorf("measure backlog of %s: %w", e.stream, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.uplink.State != stateOK { // else the last batch has told
		e.uplink.Backlog, e.uplink.Lag, e.waits = backlog, lag, waits
	}
	return nil
}

// framesFrom counts the frames from message next to last by their sequences. Where these do not tell, as when an epoch
// has begun between them, it counts messages.
func (e *Edge) framesFrom(ctx context.Context, s jetstream.Stream, next, last uint64) (uint64, error) {
	newest, err := lastID(ctx, s, e.subj)
	if err != nil {
		return 0, err
	}
	for at := next; at <= last; at++ {
		m, err := s.GetMsg(ctx, at)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read %d: %w", at, err)
		}
		p, err := parse(m.Subject, m.Header, nil)
		if err != nil || p.ID.Epoch == "" {
			continue // a claim
		}
		frames := uint64(0) // of this message
		if p.Kind == faultline.KindFrame {
			frames = 1
		} else if isBundle(m.Subject) {
			_, frames, err = bundleOf(m.Header)
		}
		if err != nil || p.ID.Epoch != newest.Epoch || newest.Sequence < p.ID.Sequence {
			return last - next + 1, nil
		}
		return newest.Sequence - p.ID.Sequence + frames, nil
	}
	return 0, nil
}
