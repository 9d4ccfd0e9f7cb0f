package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// UplinkState is how forwarding from the edge to the hub is.
type UplinkState struct {
	State     string // "ok", "full", "unreachable", "fenced"
	Error     string // why, while State is not "ok"
	Since     time.Time
	Frames    uint64            // stored at the hub by this Edge
	Skipped   uint64            // frames that the hub had already
	Dropped   uint64            // frames that the edge's limits dropped before they were forwarded
	Last      faultline.FrameID // the newest that the hub has
	Backlog   uint64            // messages in the edge stream that are not forwarded yet
	OldestAt  time.Time         // when the oldest of the last batch forwarded was stored at the edge
	Connected bool
}

// Uplink tells how forwarding is.
func (e *Edge) Uplink() UplinkState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.uplink
}

// Forward stores everything of the edge stream at the hub, oldest first, each frame once, until ctx
// ends; then it returns nil. It tries for ever while the hub is out of reach or full. On connecting, the
// hub names the gateway's last frame there and forwarding resumes after it, so that a restored hub is
// filled again. It returns an error when another forwarder has taken over the gateway
// (faultline.ErrFenced), when the hub's stream was replaced (open the hub again and call it again), and
// when the hub refuses a message for good.
func (e *Edge) Forward(ctx context.Context, hub *Hub) error {
	p := hub.Partition(e.cfg.Site)
	f := &forwarder{edge: e, hub: hub, epochs: map[string]bool{}}
	f.w = newWriter(hub.conn, "c."+strconv.Itoa(p), hubSubjects(p, e.cfg.Site, e.cfg.Gateway), e.cfg.Gateway, f.changed)
	for attempt := 0; ; attempt++ {
		f.moved = false
		err := f.run(ctx)
		switch {
		case ctx.Err() != nil:
			f.changed(stateUnreachable, context.Cause(ctx))
			return nil
		case classify(err) == faultPermanent && !errors.Is(err, errEdge):
			f.w.report(err)
			return fmt.Errorf("forward %s/%s: %w", e.cfg.Site, e.cfg.Gateway, err)
		}
		f.w.report(err)
		if f.moved {
			attempt = 0
		}
		if pause(ctx, attempt) != nil {
			return nil
		}
	}
}

// errEdge marks faults of the edge's own stream, which are never the hub's refusal.
var errEdge = errors.New("edge stream")

type forwarder struct {
	edge   *Edge
	hub    *Hub
	w      *writer
	last   faultline.FrameID // the newest frame that the hub has
	epochs map[string]bool
	moved  bool
}

func (f *forwarder) changed(state string, err error) {
	e := f.edge
	e.mu.Lock()
	defer e.mu.Unlock()
	e.uplink.State, e.uplink.Error, e.uplink.Since = state, "", time.Now()
	e.uplink.Connected = state == stateOK
	if err != nil {
		e.uplink.Error = err.Error()
	}
}

// run claims the gateway at the hub, finds out where to go on, and forwards until something goes wrong.
func (f *forwarder) run(ctx context.Context) error {
	last, err := f.w.take(ctx)
	if err != nil {
		return err
	}
	f.last = last
	cons, err := f.consumer(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errEdge, err)
	}
	f.w.report(nil)
	f.changedLast(0, 0, 0)
	up := f.edge.conn.uptime()
	for {
		msgs, err := fetch(ctx, cons)
		if err != nil {
			return fmt.Errorf("%w: fetch: %w", errEdge, err)
		}
		if len(msgs) > 0 {
			if err := f.forward(ctx, msgs); err != nil {
				return err
			}
			f.moved = true
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case up.Err() != nil:
			return fmt.Errorf("%w: %w", errEdge, errDisconnected)
		}
	}
}

// fetch takes what is there, up to a batch, and waits a while if nothing is.
func fetch(ctx context.Context, cons jetstream.Consumer) ([]jetstream.Msg, error) {
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	b, err := cons.FetchNoWait(maxBatchMessages)
	if err != nil {
		return nil, err
	}
	msgs := collect(b)
	if len(msgs) > 0 || b.Error() != nil {
		return msgs, b.Error()
	}
	if b, err = cons.Fetch(1, jetstream.FetchContext(wait)); err != nil {
		return nil, err
	}
	msgs = collect(b)
	if err := b.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return msgs, err
	}
	return msgs, nil
}

func collect(b jetstream.MessageBatch) (msgs []jetstream.Msg) {
	for m := range b.Messages() {
		msgs = append(msgs, m)
	}
	return msgs
}
