package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// A kind is a way of reaching a bus. The conformance tests run over all of them.
type kind struct {
	name   string
	listen string
}

var kinds = []kind{{"in-process", ""}, {"tcp", "127.0.0.1:0"}, {"websocket", "ws://127.0.0.1:0"}}

// each runs test over every kind, with a fresh server.
func each(t *testing.T, test func(t *testing.T, connect func(name string) *Conn)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, ServerConfig{Dir: t.TempDir(), Listen: k.listen, Token: "secret"})
			test(t, func(name string) *Conn {
				if k.listen == "" {
					return connectTo(t, s)
				}
				c, err := Dial(t.Context(), s.URL(), DialOptions{Name: name, Token: "secret", Log: testLog(t)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
				return c
			})
		})
	}
}

// testLog shows logs of tests run with -v.
func testLog(t *testing.T) *slog.Logger {
	w := io.Discard
	if testing.Verbose() {
		w = t.Output()
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func startServer(t *testing.T, cfg ServerConfig) *Server {
	t.Helper()
	cfg.Log = testLog(t)
	if cfg.MaxStore == 0 {
		cfg.MaxStore = 1 << 30
	}
	s, err := StartServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connectTo(t *testing.T, s *Server) *Conn {
	t.Helper()
	c, err := s.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func openHub(t *testing.T, c *Conn, cfg HubConfig) *Hub {
	t.Helper()
	if cfg.Partitions == 0 {
		cfg.Partitions = 1
	}
	h, err := c.OpenHub(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func openPublisher(t *testing.T, open func(context.Context) (*Publisher, error)) *Publisher {
	t.Helper()
	p, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() }) // tests that care close it themselves
	return p
}

func hubPublisher(h *Hub) func(context.Context) (*Publisher, error) {
	return func(ctx context.Context) (*Publisher, error) { return h.Publisher(ctx, "plant-3", "gw1") }
}

// numbered is the n-th frame of the test gateway.
func numbered(n int) faultline.Frame {
	f := frame(good("n", faultline.Int(int64(n))))
	f.Time = at.Add(time.Duration(n) * time.Second)
	return f
}

// publish publishes frames from..to, several at once, and fails the test if one is refused.
func publish(t *testing.T, p *Publisher, from, to int) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, to-from+1)
	for n := from; n <= to; n++ {
		wg.Go(func() { errs <- p.Publish(t.Context(), numbered(n), Meta{Profile: "pump@1"}) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// errEnough ends a consumption in tests.
var errEnough = errors.New("enough")

// consume reads messages from a place until count frames have come.
func consume(t *testing.T, h *Hub, partition int, from faultline.Place, frames int) []faultline.Message {
	t.Helper()
	var got []faultline.Message
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if frames == 0 {
		return nil
	}
	n := 0
	err := h.Consume(ctx, partition, from, func(_ context.Context, ms []faultline.Message) error {
		if len(ms) > maxHandle {
			t.Errorf("%d messages at once", len(ms))
		}
		got = append(got, ms...)
		for _, m := range ms {
			if m.Kind == faultline.KindFrame {
				n++
			}
		}
		if n >= frames {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("consumed %d of %d frames: %v", n, frames, err)
	}
	return got
}

// frames leaves the frames.
func frames(ms []faultline.Message) []faultline.Message {
	return slices.DeleteFunc(slices.Clone(ms), func(m faultline.Message) bool { return m.Kind != faultline.KindFrame })
}

// complete checks that the frames have the sequences from..to, each once and in order, and everything
// that a message carries.
func complete(t *testing.T, ms []faultline.Message, epoch string, from, to uint64) {
	t.Helper()
	next := from
	for _, m := range frames(ms) {
		if m.ID != (faultline.FrameID{Gateway: "gw1", Epoch: epoch, Sequence: next}) {
			t.Fatalf("frame %+v came, %s/%d was next", m.ID, epoch, next)
		}
		next++
		if f, err := DecodeFrame(m.Payload); err != nil || m.Site != "plant-3" || m.Position != "P-101" || f.Position != "P-101" || m.Profile != "pump@1" || m.StoredAt.IsZero() {
			t.Fatalf("%+v: %+v, %v", m, f, err)
		}
	}
	if next != to+1 {
		t.Fatalf("frames %d to %d came, want to %d", from, next-1, to)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestPublishAndConsume(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		h := openHub(t, connect("hub"), HubConfig{})
		p := openPublisher(t, hubPublisher(h))
		publish(t, p, 1, 50)
		if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "plant-3", Gateway: "gw1", At: at}); err != nil {
			t.Fatal(err)
		}
		if err := h.Tick(t.Context(), 0, at); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(t.Context(), numbered(51), Meta{Profile: "pump@1", Possibly: true}); err != nil {
			t.Fatal(err)
		}
		ms := consume(t, h, 0, faultline.Place{}, 51)
		complete(t, ms, p.Epoch(), 1, 51)
		kinds := map[faultline.MessageKind]int{}
		for i, m := range ms {
			kinds[m.Kind]++
			if m.Place.Stream != h.Stream(0) || i > 0 && (m.Place.Sequence <= ms[i-1].Place.Sequence || m.StoredAt.Before(ms[i-1].StoredAt)) {
				t.Errorf("place %v at %s after %v", m.Place, m.StoredAt, ms[max(i-1, 0)].Place)
			}
			if m.Kind == faultline.KindHeartbeat && (m.ID.Sequence != 50 || m.Site != "plant-3") {
				t.Errorf("heartbeat %+v", m)
			}
			if m.Possibly != (m.ID.Sequence == 51) {
				t.Errorf("possibly: %+v", m)
			}
		}
		if fmt.Sprint(kinds) != "map[1:51 2:1 3:1]" {
			t.Errorf("kinds %v", kinds)
		}
		s := p.Stats()
		if s.Frames != 51 || s.Heartbeats != 1 || s.Batches == 0 || s.Batches > 52 || s.Bytes == 0 || s.Waiting != 0 || s.State != "ok" || p.Last() != 51 {
			t.Errorf("stats %+v, last %d", s, p.Last())
		}
		// From a place in the middle.
		rest := consume(t, h, 0, ms[19].Place, 31)
		complete(t, rest, p.Epoch(), frames(ms)[20].ID.Sequence, 51)
	})
}

func TestConsumeFollows(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		c := connect("hub")
		h := openHub(t, c, HubConfig{})
		p := openPublisher(t, hubPublisher(h))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan int64, 100)
		done := make(chan error, 1)
		go func() {
			done <- h.Consume(ctx, 0, faultline.Place{}, func(_ context.Context, ms []faultline.Message) error {
				for _, m := range ms {
					f, err := DecodeFrame(m.Payload)
					if err != nil {
						return err
					}
					n, _ := f.Samples[0].Value.Int64()
					got <- n
				}
				return nil
			})
		}()
		for n := 1; n <= 3; n++ {
			publish(t, p, n, n)
			if v := <-got; v != int64(n) {
				t.Fatalf("frame %d came, not %d", v, n)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestCommands(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		h := openHub(t, connect("rules"), HubConfig{Partitions: 3})
		desk := openHub(t, connect("api"), HubConfig{Partitions: 3})
		cmd := faultline.Command{ID: "c1", Verb: faultline.VerbAcknowledge, Site: "plant-3", Position: "P-101", By: "eve", At: at}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- h.Consume(ctx, h.Partition("plant-3"), faultline.Place{}, func(ctx context.Context, ms []faultline.Message) error {
				for _, m := range ms {
					if m.Kind != faultline.KindCommand {
						return fmt.Errorf("got %+v", m)
					}
					if err := h.Answer(ctx, faultline.CommandResult{ID: "c1", OK: true, Message: "done"}); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		res, err := desk.Send(t.Context(), cmd)
		if err != nil || !res.OK || res.Message != "done" {
			t.Fatalf("%+v, %v", res, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// Nobody answers: stored, and says so.
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		cmd.ID = "c2"
		if _, err := desk.Send(short, cmd); !errors.Is(err, ErrPending) {
			t.Fatal(err)
		}
		// Sent again: stored once.
		short, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := desk.Send(short, cmd); !errors.Is(err, ErrPending) {
			t.Fatal(err)
		}
		if s, err := h.State(t.Context(), h.Partition("plant-3")); err != nil || s.Last != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, id := range []string{"", "a.b", "*"} {
			cmd.ID = id
			if _, err := desk.Send(t.Context(), cmd); !errors.Is(err, faultline.ErrInvalid) {
				t.Errorf("id %q: %v", id, err)
			}
		}
	})
}

func TestLiveAndEvents(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		from, to := connect("from"), connect("to")
		ctx, cancel := context.WithCancel(t.Context())
		live, events := make(chan int64, 100), make(chan faultline.Event, 100)
		var wg sync.WaitGroup
		wg.Go(func() {
			err := to.SubscribeLive(ctx, func(f faultline.Frame) {
				n, _ := f.Samples[0].Value.Int64()
				live <- n
			})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := to.SubscribeEvents(ctx, func(e faultline.Event) { events <- e }); err != nil {
				t.Error(err)
			}
		})
		defer wg.Wait()
		defer cancel()
		e := faultline.Event{Topic: "ticket", ID: "t1", Site: "plant-3", At: at, Text: "opened"}
		eventually(t, "subscribed", func() bool {
			if err := from.PublishEvent(e); err != nil {
				t.Fatal(err)
			}
			return len(events) > 0
		})
		if got := <-events; got != e {
			t.Errorf("event %+v", got)
		}
		eventually(t, "subscribed", func() bool { return to.nc.NumSubscriptions() == 2 })
		if err := to.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		// Of a burst the first and, a second later, the newest arrive.
		start := time.Now()
		for n := 1; n <= 50; n++ {
			if err := from.PublishLive(numbered(n)); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := <-live, <-live; a != 1 || b != 50 || time.Since(start) < liveInterval*9/10 {
			t.Errorf("frames %d and %d after %s", a, b, time.Since(start))
		}
		if len(live) > 0 {
			t.Errorf("another frame, %d", <-live)
		}
	})
}
