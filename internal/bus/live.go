package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
)

// liveInterval is the least time between two live frames of a position.
const liveInterval = time.Second

const eventSubject = "event"

// liveSlot paces the live frames of one position. A frame that comes too early waits in next, where a
// newer one replaces it, so that the newest frame always arrives.
type liveSlot struct {
	sent  time.Time
	next  []byte
	timer *time.Timer
}

// PublishLive passes on the newest frame of a position, at most one a second, the newest of those that
// came in between. Nothing is stored, and nothing is said if nobody listens or the bus is out of reach.
func (c *Conn) PublishLive(f faultline.Frame) error {
	data, err := AppendFrame(nil, &f)
	if err != nil {
		return fmt.Errorf("publish live: %w", err)
	}
	subject := "live." + f.Site + "." + f.Gateway + "." + f.Position
	if f.Kind == faultline.HealthKind { // beside the position's own frames, not instead of one of them
		subject += ".health"
	}
	c.liveMu.Lock()
	defer c.liveMu.Unlock()
	if c.live == nil {
		return fmt.Errorf("publish live: %w", nats.ErrConnectionClosed)
	}
	s := c.live[subject]
	if s == nil {
		s = &liveSlot{}
		c.live[subject] = s
	}
	wait := liveInterval - time.Since(s.sent)
	switch {
	case s.timer != nil:
		s.next = data
	case wait > 0:
		s.next = data
		s.timer = time.AfterFunc(wait, func() { c.sendLate(subject, s) })
	default:
		s.sent = time.Now()
		c.sendLive(subject, data)
	}
	return nil
}

// sendLive sends if it has room: where the connection's rate is limited, live frames get a quarter of it.
func (c *Conn) sendLive(subject string, data []byte) {
	if c.liveRate == nil || c.liveRate.allow(len(subject)+len(data)+16, time.Now()) {
		_ = c.nc.Publish(subject, data) // the next frame makes up for it
	}
}

func (c *Conn) sendLate(subject string, s *liveSlot) {
	c.liveMu.Lock()
	defer c.liveMu.Unlock()
	if c.live == nil || s.next == nil {
		return
	}
	s.sent = time.Now()
	c.sendLive(subject, s.next)
	s.next, s.timer = nil, nil
}

// SubscribeLive calls fn with every live frame, those of faultline.HealthKind among them, one at a time, until
// ctx ends; then it returns nil.
// Frames that fn is too slow for are dropped, and those that say they are another gateway's than the one that
// may publish on the subject.
func (c *Conn) SubscribeLive(ctx context.Context, fn func(faultline.Frame)) error {
	var d Decoder
	return c.subscribe(ctx, "live.>", func(subject string, data []byte) {
		var f faultline.Frame
		if err := d.Decode(data, &f); err != nil {
			c.log.Debug("live frame", "error", err)
			return
		}
		if t := strings.Split(subject, "."); len(t) < 4 || t[1] != f.Site || t[2] != f.Gateway || t[3] != f.Position {
			c.log.Warn("live frame dropped: it is not its publisher's", "subject", subject, "site", f.Site, "gateway", f.Gateway, "position", f.Position)
			return
		}
		fn(f)
	})
}

// PublishEvent tells all who listen that something changed. Nothing is stored.
func (c *Conn) PublishEvent(e faultline.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	if err := c.nc.Publish(eventSubject, data); err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	return nil
}

// SubscribeEvents calls fn with every event, one at a time, until ctx ends; then it returns nil.
func (c *Conn) SubscribeEvents(ctx context.Context, fn func(faultline.Event)) error {
	return c.subscribe(ctx, eventSubject, func(_ string, data []byte) {
		var e faultline.Event
		if err := json.Unmarshal(data, &e); err != nil {
			c.log.Debug("event", "error", err)
			return
		}
		fn(e)
	})
}

func (c *Conn) subscribe(ctx context.Context, subject string, fn func(subject string, data []byte)) error {
	msgs := make(chan *nats.Msg, 1024)
	sub, err := c.nc.ChanSubscribe(subject, msgs)
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed, which ends it too
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-msgs:
			fn(m.Subject, m.Data)
		}
	}
}
