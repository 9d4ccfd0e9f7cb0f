package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
	backlog, lag := uint64(0), time.Duration(0)
	if st.Messages > 0 && next <= st.Last {
		backlog = st.Last - next + 1
		m, err := s.GetMsg(ctx, next)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) { // dropped meanwhile: its age is asked again
			return fmt.Errorf("measure backlog of %s: read %d: %w", e.stream, next, err)
		}
		if err == nil {
			lag = time.Since(m.Time)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.uplink.State != stateOK { // else the last batch has told
		e.uplink.Backlog, e.uplink.Lag = backlog, lag
	}
	return nil
}
