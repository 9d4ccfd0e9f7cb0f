package equipment

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const (
	bufferedMessages = 600
	redial           = 500 * time.Millisecond
	ackTimeout       = 10 * time.Second
	oversize         = 512 << 10
)

type message struct {
	payload []byte
	broken  bool
}

// sender is the MQTT side of a unit: a bounded buffer and a connection that is made again
// whenever it is lost. A message leaves the buffer when the broker has acknowledged it; one
// that was under way when the connection broke is sent again, so the broker gets it at least once.
type sender struct {
	u    *unit
	log  *slog.Logger
	next time.Duration // the plant's clock at the next sample

	mu     sync.Mutex
	queue  []message
	filled chan struct{} // has room for one: something was queued
}

func newSender(u *unit, log *slog.Logger) *sender {
	return &sender{u: u, log: log.With("device", u.cfg.Name), filled: make(chan struct{}, 1)}
}

// sample queues a message when one is due.
func (s *sender) sample(clock, tick time.Duration, now time.Time) {
	if clock < s.next {
		return
	}
	if s.next == 0 || s.next+s.u.cfg.Interval <= clock-tick {
		s.next = clock
	}
	s.next += s.u.cfg.Interval
	s.u.mu.Lock()
	if s.u.comm.offline {
		s.u.mu.Unlock()
		return
	}
	s.u.count++
	m := message{payload: s.u.payload(now)}
	switch {
	case s.u.comm.garbage.next():
		m = message{payload: m.payload[:len(m.payload)/2], broken: true}
	case s.u.comm.big.next():
		pad := append([]byte(`{"pad":"`), bytes.Repeat([]byte("x"), oversize)...)
		m = message{payload: append(append(pad, `",`...), m.payload[1:]...), broken: true}
	}
	s.u.mu.Unlock()

	s.mu.Lock()
	if len(s.queue) >= bufferedMessages {
		s.queue = s.queue[1:]
		s.u.dropped.Add(1)
	}
	s.queue = append(s.queue, m)
	s.mu.Unlock()
	select {
	case s.filled <- struct{}{}:
	default:
	}
}

// head is the oldest message.
func (s *sender) head() (message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return message{}, false
	}
	return s.queue[0], true
}

// done removes m if it is still the oldest; an overflow may have dropped it meanwhile.
func (s *sender) done(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 && &s.queue[0].payload[0] == &m.payload[0] {
		s.queue = s.queue[1:]
	}
}

// run publishes until ctx ends. broker tells where to and a channel that closes when that changes.
func (s *sender) run(ctx context.Context, broker func() (Broker, <-chan struct{})) error {
	connected := false
	for ctx.Err() == nil {
		b, moved := broker()
		offline, changed := s.u.watch()
		if b.URL == "" || offline {
			select {
			case <-ctx.Done():
			case <-moved:
			case <-changed:
			}
			continue
		}
		err := s.session(ctx, b, moved, changed, func() {
			if !connected {
				connected = true
				s.log.Info("connected to broker", "url", b.URL)
			}
		})
		if err == nil {
			continue
		}
		if connected {
			connected = false
			s.log.Info("broker lost", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-moved:
		case <-time.After(redial):
		}
	}
	return nil
}

// session is one connection. It returns nil when the reason to end is ours: ctx, another
// broker, the unit going off line.
func (s *sender) session(ctx context.Context, b Broker, moved, changed <-chan struct{}, up func()) error {
	lost := make(chan error, 1)
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.URL).SetUsername(b.Username).SetPassword(b.Password).
		SetClientID("sim-" + s.u.cfg.Name).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(3 * time.Second).SetWriteTimeout(5 * time.Second).SetKeepAlive(20 * time.Second).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			select {
			case lost <- err:
			default:
			}
		}))
	defer c.Disconnect(100)
	t := c.Connect()
	select {
	case <-ctx.Done():
		return nil
	case <-t.Done():
		if err := t.Error(); err != nil {
			return fmt.Errorf("connect %s: %w", b.URL, err)
		}
	}
	s.u.redialled.Add(1)
	up()
	for {
		m, ok := s.head()
		if !ok {
			select {
			case <-s.filled:
				continue
			case <-ctx.Done():
				return nil
			case <-moved:
				return nil
			case <-changed:
				return nil
			case err := <-lost:
				return fmt.Errorf("publish to %s: %w", b.URL, err)
			}
		}
		t := c.Publish(s.u.cfg.Topic, 1, false, m.payload)
		late := time.NewTimer(ackTimeout)
		err, stop := error(nil), false
		select {
		case <-t.Done():
			err = t.Error()
		case err = <-lost:
		case <-late.C:
			err = fmt.Errorf("no acknowledgement within %v", ackTimeout)
		case <-ctx.Done():
			stop = true
		case <-moved:
			stop = true
		case <-changed:
			stop = true
		}
		late.Stop()
		switch {
		case stop:
			return nil
		case err != nil:
			if m.broken { // a broker may hang up on it every time: it must not block the rest
				s.done(m)
				s.u.dropped.Add(1)
			}
			return fmt.Errorf("publish to %s: %w", b.URL, err)
		case m.broken:
			s.u.broken.Add(1)
		default:
			s.u.published.Add(1)
		}
		s.done(m)
	}
}
