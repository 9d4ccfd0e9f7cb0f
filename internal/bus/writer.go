package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// writer is the one that may write a gateway's messages into a stream. It holds the newest claim there.
// Not safe for concurrent use.
type writer struct {
	conn    *Conn
	look    look // what the stream holds
	subj    subjects
	gateway string
	token   string // names this writer in its claim
	few     int    // so many records are stored in turn; 0: always as a batch
	changed func(state string, err error)

	stream  string // its name, learned by the first claim
	incarn  string // its incarnation, learned by the newest claim
	claim   uint64 // sequence of our newest claim; 0 = none yet
	batches uint64
	state   string // the last one reported; "" = none yet
}

// States of a writer.
const (
	stateOK          = "ok"
	stateFull        = "full"        // the stream or its disk refuses until space is freed
	stateUnreachable = "unreachable" // no answer
	stateFenced      = "fenced"      // a newer publisher has taken over
	stateStopped     = "stopped"     // of the uplink: not running
)

func newWriter(c *Conn, l look, s subjects, gateway string, changed func(string, error)) *writer {
	return &writer{conn: c, look: l, subj: s, gateway: gateway, token: token(10), changed: changed}
}

// take claims the gateway and returns the identity of its last stored frame; the zero FrameID if the
// stream has none. The first claim takes over from whoever had it, later ones fail with
// faultline.ErrFenced if somebody else has claimed in between.
func (w *writer) take(ctx context.Context) (faultline.FrameID, error) {
	stream, incarnation, err := w.look.name(ctx)
	if err != nil {
		return faultline.FrameID{}, fmt.Errorf("claim gateway %s: %w", w.gateway, err)
	}
	if w.stream != "" && w.stream != stream {
		return faultline.FrameID{}, fmt.Errorf("claim gateway %s: %w: %s by %s", w.gateway, errOtherStream, w.stream, stream)
	}
	if err := w.claimOnce(ctx); err != nil {
		return faultline.FrameID{}, fmt.Errorf("claim gateway %s: %w", w.gateway, err)
	}
	w.stream, w.incarn = stream, incarnation
	id, err := w.look.last(ctx)
	if err != nil {
		return id, fmt.Errorf("claim gateway %s: %w", w.gateway, err)
	}
	return id, nil
}

func (w *writer) claimOnce(ctx context.Context) error {
	data, err := json.Marshal(struct {
		Writer string    `json:"writer"`
		At     time.Time `json:"at"`
	}{w.token, time.Now().UTC()})
	if err != nil {
		return err
	}
	r := record{subject: w.subj.claims, header: []string{headerWriter, w.token}, data: data}
	expect := w.claim
	for {
		var condition []string
		if w.claim > 0 {
			condition = fence(w.subj.claims, expect)[:2] // on the claim's own subject
		}
		a, err := w.conn.one(ctx, r.message(condition...))
		if err == nil {
			w.claim = a.Sequence
			return nil
		}
		if classify(err) != faultClaim {
			return err
		}
		// The newest claim is not the one we know: ours whose answer was lost, none since it was
		// trimmed, or somebody else's.
		c, gerr := w.look.claim(ctx)
		switch {
		case gerr != nil:
			return gerr
		case c.sequence == 0:
			if expect == 0 {
				return err
			}
			expect = 0
		case c.writer == w.token:
			w.claim = c.sequence
			return nil
		default:
			return fmt.Errorf("%w: another publisher took over gateway %s at %s", faultline.ErrFenced, w.gateway, c.at.Format(time.RFC3339))
		}
	}
}

// lastID reads the identity of the last stored frame of a gateway, from its last frame, heartbeat or bundle.
func lastID(ctx context.Context, stream jetstream.Stream, s subjects) (id faultline.FrameID, err error) {
	var at uint64
	for _, subject := range [...]string{s.bundles, s.heartbeats, s.frames + ".*"} {
		if subject == "" {
			continue
		}
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return id, fmt.Errorf("read last of %s: %w", subject, err)
		}
		if m.Sequence < at {
			continue
		}
		p, err := parse(m.Subject, m.Header, nil)
		if err != nil {
			continue // not written by us; with nothing to resume from, a new epoch begins
		}
		at, id = m.Sequence, p.ID
	}
	return id, nil
}

// store stores the records in order and returns when all are on disk, each once, however often it has
// to try. It gives up when ctx ends (what is stored is then unknown), when a newer writer has taken over
// (faultline.ErrFenced), and when the server refuses them for good.
func (w *writer) store(ctx context.Context, epoch string, recs []record) error {
	for attempt := 0; len(recs) > 0; attempt++ {
		err := w.try(ctx, recs)
		if err == nil {
			break
		}
		ask := classify(err) != faultFull || w.inTurn(recs) // a full stream has refused a batch whole: the same again
		for err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			f := classify(err)
			if f == faultPermanent {
				w.report(err)
				return err
			}
			if f != faultClaim { // that the claim was trimmed is no fault
				w.report(err)
				w.conn.m.retries.WithLabelValues(w.state).Inc()
				if err := w.conn.pause(ctx, attempt); err != nil {
					return err
				}
				attempt++
			}
			err = nil
			if ask {
				var id faultline.FrameID
				if id, err = w.take(ctx); err == nil {
					recs = rest(recs, id, epoch)
				}
			}
		}
	}
	w.report(nil)
	return nil
}

// inTurn tells whether the records are stored one by one, so that an error leaves open which of them are.
func (w *writer) inTurn(recs []record) bool { return len(recs) > 1 && len(recs) <= w.few }

func (w *writer) try(ctx context.Context, recs []record) (err error) {
	var a ack
	if condition := fence(w.subj.claims, w.claim); w.inTurn(recs) {
		a, err = w.conn.inTurn(ctx, recs, condition)
	} else {
		w.batches++
		a, err = w.conn.batch(ctx, w.token+strconv.FormatUint(w.batches, 36), recs, condition)
	}
	if err == nil && a.Stream != w.stream {
		err = fmt.Errorf("store into %s: %w: %s", w.stream, errOtherStream, a.Stream)
	}
	return err
}

// rest is what follows the last stored frame.
func rest(recs []record, last faultline.FrameID, epoch string) []record {
	if last.Epoch != epoch {
		return recs
	}
	for i := len(recs) - 1; i >= 0; i-- {
		if recs[i].seq > 0 && recs[i].seq <= last.Sequence {
			return recs[i+1:]
		}
	}
	return recs
}

// report tells a change of state once.
func (w *writer) report(err error) {
	state := stateOK
	switch {
	case err == nil:
	case errors.Is(err, faultline.ErrFenced):
		state = stateFenced
	case classify(err) == faultFull:
		state = stateFull
	default:
		state = stateUnreachable
	}
	if state != w.state {
		w.state = state
		w.changed(state, err)
	}
}

const longPause = 5 * time.Second

// pause waits before try number attempt+2: 50 ms doubling to longPause, with jitter.
func pause(ctx context.Context, attempt int) error {
	d := min(50*time.Millisecond<<min(attempt, 10), longPause)
	d = d/2 + rand.N(d/2)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
