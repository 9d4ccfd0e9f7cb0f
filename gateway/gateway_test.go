package gateway

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sim "github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

func ptr[T any](v T) *T { return &v }

// store is a Sink in memory.
type store struct {
	mu     sync.Mutex
	frames []faultline.Frame
	beats  []faultline.Heartbeat
	err    error
	some   chan struct{}
}

func newStore() *store { return &store{some: make(chan struct{}, 1)} }

func (s *store) Publish(_ context.Context, f faultline.Frame, m bus.Meta) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Profile == "" {
		return errors.New("no profile")
	}
	if err := f.Check(); err != nil {
		return err
	}
	if s.err != nil {
		return s.err
	}
	f.Samples = slices.Clone(f.Samples)
	s.frames = append(s.frames, f)
	select {
	case s.some <- struct{}{}:
	default:
	}
	return nil
}

func (s *store) Heartbeat(_ context.Context, h faultline.Heartbeat) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats = append(s.beats, h)
	return s.err
}

func (s *store) wait(t *testing.T, what string, ok func([]faultline.Frame) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		done := ok(s.frames)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.some:
		case <-deadline:
			t.Fatalf("no %s", what)
		}
	}
}

// device answers holding registers 0 and 1 with 7 and 8.
type device struct{ sim.RequestHandler }

func (device) HandleHoldingRegisters(r *sim.HoldingRegistersRequest) ([]uint16, error) {
	if int(r.Addr)+int(r.Quantity) > 2 {
		return nil, sim.ErrIllegalDataAddress
	}
	return []uint16{7, 8}[r.Addr : r.Addr+r.Quantity], nil
}

func serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + l.Addr().String()
	l.Close()
	s, err := sim.NewServer(&sim.ServerConfiguration{URL: address, Timeout: time.Minute, Logger: log.New(io.Discard, "", 0)}, device{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return address
}

func profiles(t *testing.T) *profile.Set {
	t.Helper()
	s, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*profile.Profile{
		{Name: "two", Version: "1", Kind: "thing", Source: "test", Points: []profile.Point{
			{Name: "a", Type: faultline.TypeFloat, Register: &profile.Register{Table: profile.Holding, Address: 0, Data: profile.Uint16}},
			{Name: "b", Type: faultline.TypeInt, Register: &profile.Register{Table: profile.Holding, Address: 1, Data: profile.Uint16}},
			{Name: "c", Type: faultline.TypeInt, Register: &profile.Register{Table: profile.Holding, Address: 2, Data: profile.Uint16}},
		}},
		{Name: "json", Version: "1", Kind: "pub", Source: "test", Points: []profile.Point{{Name: "v", Type: faultline.TypeFloat, JSON: ptr("v")}}},
	} {
		if err := s.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestGatewayReads(t *testing.T) {
	address := serve(t)
	sink := newStore()
	reg := prometheus.NewPedanticRegistry()
	live := 0
	g, err := New(Options{
		Config: Config{ID: "gw", Site: "plant", Devices: []Device{
			{Position: "A", Profile: "two", Address: address, Period: 20 * time.Millisecond},
			{Position: "B", Profile: "two@1", Address: address, Unit: ptr(2), Period: 20 * time.Millisecond},
			{Position: "DEAD", Profile: "two", Address: "tcp://127.0.0.1:1", Period: 20 * time.Millisecond},
			{Position: "U", Profile: "json"},
		}, MQTT: MQTT{Listen: "127.0.0.1:0", Users: []User{{Name: "dev", Secret: Secret{Value: "pw"}}}}},
		Profiles: profiles(t), Sink: sink, Version: "test", Registry: reg,
		Live: func(faultline.Frame) { sink.mu.Lock(); live++; sink.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.drivers) != 3 {
		t.Errorf("%d drivers, want a bus for two devices, one for the dead, a listener", len(g.drivers))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	has := func(position string, n int) func([]faultline.Frame) bool {
		return func(frames []faultline.Frame) bool {
			got := 0
			for _, f := range frames {
				if f.Position == position {
					got++
				}
			}
			return got >= n
		}
	}
	for _, p := range []string{"A", "B", "DEAD"} {
		sink.wait(t, p, has(p, 10))
	}
	if a, err := g.MQTTAddress(ctx); err != nil || !strings.HasPrefix(a, "127.0.0.1:") || strings.HasSuffix(a, ":0") {
		t.Errorf("MQTT listens on %q, %v", a, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	last := map[string]time.Time{}
	for _, f := range sink.frames {
		if f.Site != "plant" || f.Gateway != "gw" || f.Kind != "thing" || !f.Time.After(last[f.Position]) {
			t.Errorf("frame %+v after %v", f, last[f.Position])
		}
		last[f.Position] = f.Time
		want := []faultline.Sample{{Point: "a", Value: faultline.Float(7), Quality: faultline.Good}, {Point: "b", Value: faultline.Int(8), Quality: faultline.Good}, {Point: "c", Quality: faultline.BadIllegalAddress}}
		if f.Position == "DEAD" {
			want = []faultline.Sample{{Point: "a", Quality: faultline.BadNotConnected}, {Point: "b", Quality: faultline.BadNotConnected}, {Point: "c", Quality: faultline.BadNotConnected}}
		}
		if !slices.Equal(f.Samples, want) {
			t.Errorf("%s: %+v", f.Position, f.Samples)
		}
	}
	if live < len(sink.frames) {
		t.Errorf("%d live frames, %d stored", live, len(sink.frames))
	}
	if len(sink.beats) == 0 || sink.beats[0].Site != "plant" || sink.beats[0].Gateway != "gw" || sink.beats[0].Version != "test" || sink.beats[0].At.IsZero() {
		t.Errorf("heartbeats %+v", sink.beats)
	}
	h := g.Health()
	if len(h) != 4 || h[0].Position != "A" || !h[0].Reachable || h[0].LastGood.IsZero() || h[0].LatencyP50 <= 0 || h[0].LatencyP99 < h[0].LatencyP50 || h[0].Good < 20 || h[0].Reasons["illegal_address"] < 10 || h[0].Profile != "two@1" {
		t.Errorf("health of A: %+v", h[0])
	}
	if h[2].Reachable || h[2].LastError == "" || h[2].Reasons["not_connected"] < 30 || h[2].Good != 0 {
		t.Errorf("health of DEAD: %+v", h[2])
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestReadOnce(t *testing.T) {
	s := profiles(t)
	two, _ := s.Get("two")
	f, err := ReadOnce(t.Context(), Device{Position: "A", Address: serve(t)}, two)
	if err != nil || len(f.Samples) != 3 || f.Samples[0].Value != faultline.Float(7) || f.Samples[2].Quality != faultline.BadIllegalAddress || f.Time.IsZero() {
		t.Errorf("%+v %v", f, err)
	}
	f, err = ReadOnce(t.Context(), Device{Position: "A", Address: "tcp://127.0.0.1:1"}, two)
	if err == nil || len(f.Samples) != 0 {
		t.Errorf("%+v %v", f, err)
	}
	j, _ := s.Get("json")
	if _, err := ReadOnce(t.Context(), Device{Position: "A"}, j); !errors.Is(err, faultline.ErrRefused) {
		t.Error(err)
	}
}

// flaky fails twice, then runs.
type flaky struct {
	runs int
	err  error
}

func (f *flaky) Run(ctx context.Context, _ Emit) error {
	if f.runs++; f.runs <= 2 {
		return f.err
	}
	<-ctx.Done()
	return nil
}

func TestFailedDriversStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newStore()
		g, err := New(Options{Config: Config{ID: "gw", Site: "plant"}, Profiles: profiles(t), Sink: sink})
		if err != nil {
			t.Fatal(err)
		}
		f := &flaky{err: errors.New("boom")}
		g.drivers = []driver{{"flaky", f}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Millisecond)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if f.runs != 3 || len(sink.beats) != 60 {
			t.Errorf("%d runs, %d heartbeats in a minute", f.runs, len(sink.beats))
		}
		f = &flaky{err: faultline.ErrFenced}
		g.drivers = []driver{{"flaky", f}}
		if err := g.Run(t.Context()); !errors.Is(err, faultline.ErrFenced) || f.runs != 1 {
			t.Errorf("a gateway that was replaced goes on: %v", err)
		}
	})
}

func TestInvalidFramesDoNotStopAGateway(t *testing.T) {
	sink := newStore()
	g, err := New(Options{Config: Config{ID: "gw", Site: "plant"}, Profiles: profiles(t), Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.emit(t.Context(), faultline.Frame{Kind: "k", Position: "P"}, bus.Meta{Profile: "x"}); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("%v: drivers tell a frame of no use by ErrInvalid", err)
	}
}
