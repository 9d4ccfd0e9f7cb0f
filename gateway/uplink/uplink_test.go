package uplink

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

func start(t *testing.T, cfg bus.ServerConfig) (*bus.Server, *bus.Conn) {
	t.Helper()
	cfg.MaxStore = 1 << 30
	s, err := bus.StartServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c, err := s.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func frame(n int) faultline.Frame {
	return faultline.Frame{
		Kind: "pump", Site: "plant-3", Gateway: "gw1", Position: "P-101", Time: time.Unix(int64(n), 0).UTC(),
		Samples: []faultline.Sample{{Point: "n", Value: faultline.Int(int64(n)), Quality: faultline.Good}},
	}
}

// The hub is not there, then has no partitions yet, then is there: everything arrives.
func TestRun(t *testing.T) {
	_, edgeConn := start(t, bus.ServerConfig{Dir: t.TempDir()})
	edge, err := edgeConn.OpenEdge(t.Context(), bus.EdgeConfig{Site: "plant-3", Gateway: "gw1", CommitInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := edge.Publisher(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	reg := prometheus.NewPedanticRegistry()
	var target atomic.Pointer[bus.Server]
	tries := make(chan struct{}, 100)
	var told atomic.Int32
	u, err := New(Options{Edge: edge, Site: "plant-3", Gateway: "gw1", HubTime: func(hub, at time.Time) {
		if d := hub.Sub(at).Abs(); d > time.Minute {
			t.Errorf("the hub is %s away", d)
		}
		told.Add(1)
	}, Registry: reg, Dial: func(ctx context.Context) (*bus.Conn, error) {
		tries <- struct{}{}
		s := target.Load()
		if s == nil {
			return nil, errors.New("no route to the hub")
		}
		return bus.Dial(ctx, s.URL(), bus.DialOptions{Name: "gw1"})
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	for n := 1; n <= 3; n++ {
		if err := pub.Publish(t.Context(), frame(n), bus.Meta{}); err != nil {
			t.Fatal(err)
		}
	}
	u.PublishLive(frame(0)) // nobody to tell
	<-tries
	// While the hub is away, the edge stream itself tells how much waits and for how long.
	for patience := time.After(20 * time.Second); u.State().Backlog < 3 || u.State().Lag <= 0; {
		select {
		case <-patience:
			t.Fatalf("backlog %d, lag %s of three frames", u.State().Backlog, u.State().Lag)
		case <-time.After(10 * time.Millisecond):
		}
	}
	hubServer, hubConn := start(t, bus.ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	target.Store(hubServer)
	<-tries
	hub, err := hubConn.OpenHub(t.Context(), bus.HubConfig{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- hub.Run(ctx) }()
	got := make(chan uint64, 10)
	consumed := make(chan error, 1)
	go func() {
		consumed <- hub.Consume(ctx, 0, faultline.Place{}, func(_ context.Context, ms []faultline.Message) error {
			for _, m := range ms {
				got <- m.ID.Sequence
			}
			return nil
		})
	}()
	live := make(chan faultline.Frame, 10)
	listened := make(chan error, 1)
	go func() { listened <- hubConn.SubscribeLive(ctx, func(f faultline.Frame) { live <- f }) }()
	for want := uint64(1); want <= 3; want++ {
		if n := <-got; n != want {
			t.Fatalf("frame %d came, not %d", n, want)
		}
	}
	deadline := time.After(20 * time.Second)
	for len(live) == 0 {
		u.PublishLive(frame(4))
		select {
		case <-deadline:
			t.Fatal("no live frame")
		case <-time.After(5 * time.Millisecond):
		}
	}
	for u.State().Frames < 3 {
		select {
		case <-deadline:
			t.Fatalf("%+v", u.State())
		case <-time.After(5 * time.Millisecond):
		}
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for told.Load() == 0 {
		select {
		case <-deadline:
			t.Fatal("the hub's time was not told")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if s := u.State(); s.State != "ok" || s.Frames != 3 {
		t.Errorf("%+v", s)
	}
	cancel()
	for _, c := range []chan error{done, consumed, listened, served} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
	if s := u.State(); s.State != "stopped" {
		t.Errorf("%+v", s)
	}
}
