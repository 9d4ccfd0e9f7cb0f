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

// maxHandle is the largest number of messages handed over at once.
const maxHandle = 500

var kindNames = [...]string{"other", "frame", "heartbeat", "tick", "command"}

// Consume hands the messages of a partition that follow from to handle, in order, as many at once as
// are there, at most 500. It blocks until ctx ends, when it returns nil, or handle fails, when it
// returns that error. After faults of the connection or the server it goes on by itself from the place
// reached; messages are handed over once. The slice is reused after handle returns, the payloads are not.
//
// StoredAt never decreases within one call. Messages that are not ours are skipped and logged.
// The error is a *PlaceLostError (errors.Is ErrPlaceLost) if messages between from and what is there
// are missing: the stream was replaced, trimmed beyond from, or has lost messages; what comes before the
// gap has then been handed over. The zero Place stands before sequence 1 of whatever stream there is.
func (h *Hub) Consume(ctx context.Context, partition int, from faultline.Place, handle func(context.Context, []faultline.Message) error) error {
	c := &consumer{hub: h, partition: partition, place: from, handle: handle}
	for attempt := 0; ; attempt++ {
		reached := c.place
		err := c.run(ctx)
		switch {
		case ctx.Err() != nil && !errors.Is(err, errHandle):
			return nil
		case errors.Is(err, errHandle):
			if ctx.Err() != nil && errors.Is(c.failed, context.Cause(ctx)) {
				return nil
			}
			return c.failed
		case errors.Is(err, ErrPlaceLost):
			return fmt.Errorf("consume partition %d: %w", partition, err)
		}
		h.conn.log.Debug("consume again", "partition", partition, "sequence", c.place.Sequence, "error", err)
		if c.place != reached {
			attempt = 0
		}
		if h.conn.pause(ctx, min(attempt, 5)) != nil {
			return nil
		}
	}
}

var (
	errHandle = errors.New("handler failed")
	errGap    = errors.New("messages are missing")
)

type consumer struct {
	hub       *Hub
	partition int
	place     faultline.Place
	handle    func(context.Context, []faultline.Message) error
	failed    error // of handle
	storedAt  time.Time
	batch     []faultline.Message
}

// run subscribes and hands over until something goes wrong. It never returns nil.
func (c *consumer) run(ctx context.Context) error {
	up := c.hub.conn.uptime()
	stream, err := c.hub.conn.streamOf(ctx, "c."+strconv.Itoa(c.partition))
	if err != nil {
		return err
	}
	if err := c.check(stateOf(stream.CachedInfo())); err != nil {
		return err
	}
	create, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	cons, err := stream.CreateConsumer(create, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: c.place.Sequence + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("consume %s: %w", c.place.Stream, err)
	}
	msgs := make(chan jetstream.Msg, maxHandle)
	fault := make(chan error, 1)
	stopped := make(chan struct{})
	cc, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case msgs <- m: // blocks while handle is busy: no more is pulled
		case <-stopped:
		}
	}, jetstream.PullMaxMessages(2*maxHandle), jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(2*time.Second),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			select {
			case fault <- err:
			default:
			}
		}))
	if err != nil {
		return fmt.Errorf("consume %s: %w", c.place.Stream, err)
	}
	defer func() {
		close(stopped)
		cc.Stop()
		<-cc.Closed()
		c.remove(cons.CachedInfo().Name)
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-up.Done(): // the server would tell by a missing heartbeat, seconds later
			return errDisconnected
		case err := <-fault:
			// What was delivered before the fault is in order; it is asked for again.
			return err
		case m := <-msgs:
			if err := c.deliver(ctx, m, msgs); err != nil {
				if errors.Is(err, errGap) {
					return c.gap(ctx, err)
				}
				return err
			}
		}
	}
}

// remove deletes the server's side of the consumer; if that fails, the server does it after its threshold.
func (c *consumer) remove(name string) {
	if c.hub.conn.nc.IsConnected() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.hub.conn.js.DeleteConsumer(ctx, c.place.Stream, name)
	}
}

// check compares the place with what is there.
func (c *consumer) check(s StreamState) error {
	if c.place.Stream != "" && c.place.Stream != s.Stream || c.place.Sequence+1 < s.First || c.place.Sequence > s.Last {
		return &PlaceLostError{From: c.place, Stream: s.Stream, First: s.First, Last: s.Last}
	}
	c.place.Stream = s.Stream
	return nil
}

// gap finds out whether messages are gone or were only not delivered.
func (c *consumer) gap(ctx context.Context, gap error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	stream, err := c.hub.conn.js.Stream(ctx, c.place.Stream)
	if err != nil {
		return err
	}
	if err := c.check(stateOf(stream.CachedInfo())); err != nil {
		return err
	}
	if _, err = stream.GetMsg(ctx, c.place.Sequence+1); !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: %w", gap, err) // it is there: subscribe again
	}
	next, ok := errors.AsType[*gapError](gap)
	if !ok {
		return gap
	}
	return &PlaceLostError{From: c.place, Stream: c.place.Stream, First: next.sequence, Last: stream.CachedInfo().State.LastSeq}
}

// gapError says which message came instead of the next one.
type gapError struct{ sequence uint64 }

func (e *gapError) Error() string        { return fmt.Sprintf("message %d came too early", e.sequence) }
func (e *gapError) Is(target error) bool { return target == errGap }

// deliver hands over first and what else is there.
func (c *consumer) deliver(ctx context.Context, first jetstream.Msg, more <-chan jetstream.Msg) error {
	c.batch = c.batch[:0]
	next := c.place
	var gap error
	add := func(m jetstream.Msg) {
		gap = c.add(&next, m)
	}
	add(first)
gather:
	for gap == nil && len(c.batch) < maxHandle {
		select {
		case m := <-more:
			add(m)
		default:
			break gather
		}
	}
	if len(c.batch) > 0 {
		if err := c.handle(ctx, c.batch); err != nil {
			c.failed = err
			return errHandle
		}
	}
	c.place = next
	return gap
}

// add adds m to the batch if it follows next, and moves next on.
func (c *consumer) add(next *faultline.Place, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("consume %s: %w", next.Stream, err)
	}
	if meta.Sequence.Stream != next.Sequence+1 {
		return &gapError{meta.Sequence.Stream}
	}
	next.Sequence++
	if at := storedAt(m.Headers(), meta.Timestamp); at.After(c.storedAt) {
		c.storedAt = at
	}
	msg, err := parse(m.Subject(), m.Headers(), m.Data())
	c.hub.conn.m.consumed.WithLabelValues(kindNames[msg.Kind]).Inc()
	if err != nil {
		c.hub.conn.log.Warn("message skipped", "stream", next.Stream, "sequence", next.Sequence, "subject", m.Subject(), "error", err)
		return nil
	}
	if msg.Kind == 0 {
		return nil
	}
	msg.Place, msg.StoredAt = *next, c.storedAt.UTC()
	c.batch = append(c.batch, msg)
	return nil
}
