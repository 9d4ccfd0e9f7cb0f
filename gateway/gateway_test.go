package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"path/filepath"
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
	"github.com/faultline-iot/faultline/internal/document"
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

func TestClock(t *testing.T) {
	type step struct {
		wall    string
		mono    time.Duration
		want    string
		quality faultline.Quality
	}
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		v, err := time.Parse("2006-01-02 15:04:05.999999999", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const good, held = faultline.Good, faultline.UncertainClock
	for _, c := range []struct {
		name   string
		stored string
		steps  []step
	}{
		{"follows the wall clock", "", []step{
			{"2026-05-01 12:00:00", 0, "2026-05-01 12:00:00", good},
			{"2026-05-01 12:00:00", 0, "2026-05-01 12:00:00.000000001", good}, // strictly increasing
			{"2026-05-01 13:00:00", time.Second, "2026-05-01 13:00:00", good}, // a forward step is believed
		}},
		{"slewed back a little", "", []step{
			{"2026-05-01 12:00:10", 0, "2026-05-01 12:00:10", good},
			{"2026-05-01 12:00:09.5", 100 * time.Millisecond, "2026-05-01 12:00:10.000000001", good},
			{"2026-05-01 12:00:10.5", 1100 * time.Millisecond, "2026-05-01 12:00:10.5", good},
		}},
		{"set back an hour", "", []step{
			{"2026-05-01 12:00:00", 0, "2026-05-01 12:00:00", good},
			{"2026-05-01 11:00:01", time.Second, "2026-05-01 12:00:01", held},
			{"2026-05-01 11:00:02", 2 * time.Second, "2026-05-01 12:00:02", held},
			{"2026-05-01 12:00:03", 3 * time.Second, "2026-05-01 12:00:03", good}, // set right again
		}},
		{"never set", "", []step{
			{"1970-01-01 00:00:05", 0, "1970-01-01 00:00:05", held},
			{"1970-01-01 00:00:06", time.Second, "1970-01-01 00:00:06", held},
			{"2026-05-01 12:00:00", 2 * time.Second, "2026-05-01 12:00:00", good},
		}},
		{"never set, but something is stored", "2026-05-01 12:00:00", []step{
			{"1970-01-01 00:00:05", 0, "2026-05-01 12:00:00.000000001", held},
			{"1970-01-01 00:00:06", time.Second, "2026-05-01 12:00:01", held},
			{"2026-05-01 12:30:00", 2 * time.Second, "2026-05-01 12:30:00", good},
		}},
		{"set back while the gateway was off", "2026-05-01 12:00:00", []step{
			{"2026-05-01 11:00:00", 0, "2026-05-01 12:00:00.000000001", held},
			{"2026-05-01 12:00:05", 5 * time.Second, "2026-05-01 12:00:05", good},
		}},
	} {
		k := newClock()
		if c.stored != "" {
			k.resume([]faultline.Frame{{Position: "P", Time: at(c.stored)}})
		}
		for i, s := range c.steps {
			if got, q := k.stamp("P", at(s.wall), s.mono); !got.Equal(at(s.want)) || q != s.quality {
				t.Errorf("%s, step %d: %v %s, want %s %s", c.name, i, got, q, s.want, s.quality)
			}
		}
	}
	k := newClock()
	if a, q := k.Stamp("P"); !q.IsGood() || math.Abs(time.Since(a).Seconds()) > 5 {
		t.Errorf("%v %s", a, q)
	}
}

const configText = `id: gw
site: plant
devices:
  - {position: A, profile: two, address: "tcp://10.0.0.1", unit: 3, period: 5s, timeout: 300ms}
  - {position: U, profile: json, topic: plant/ups, username: dev}
  - {position: V, profile: json, broker: main}
mqtt:
  listen: 127.0.0.1:1883
  users:
    - {name: dev, password_env: FAULTLINE_TEST_PASSWORD}
  brokers:
    - {name: main, url: "ssl://broker:8883", username: gw, password_file: %q}
`

func TestConfigDecodes(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_TEST_PASSWORD", "other")
	var c Config
	d, err := document.Decode("gw.yaml", fmt.Appendf(nil, configText, secret), &c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Validate(d.Problems(), "", profiles(t)); d.Problems().Err() != nil {
		t.Fatal(d.Problems().Err())
	}
	g, err := New(Options{Config: c, Profiles: profiles(t), Sink: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.drivers) != 3 {
		t.Errorf("%d drivers", len(g.drivers))
	}
	if s, err := c.MQTT.Brokers[0].Secret.read(); err != nil || s != "s3cret" {
		t.Errorf("%q %v", s, err)
	}
	t.Setenv("FAULTLINE_TEST_PASSWORD", "")
	if _, err := New(Options{Config: c, Profiles: profiles(t), Sink: newStore()}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("an empty password: %v", err)
	}
}

func TestConfigMistakesAreAllReported(t *testing.T) {
	text := `id: "gw 1"
site: ""
devices:
  - {position: A, profile: two}
  - {position: A, profile: none, address: "tcp://x"}
  - {position: B, profile: two, address: "10.0.0.1:502", unit: 300, period: 1ms, timeout: 2h, topic: t}
  - {position: C, profile: json, address: "tcp://x"}
  - {position: D, profile: json, topic: "a/#", username: nobody, broker: gone}
mqtt:
  listen: 0.0.0.0:1883
  users:
    - {name: ""}
    - {name: u, password_file: f, password_env: E}
  brokers:
    - {name: b, url: "broker:1883"}
    - {name: b, url: "tcp://user:pw@broker:1883", username: x}
`
	var c Config
	d, err := document.Decode("gw.yaml", []byte(text), &c)
	if err != nil {
		t.Fatal(err)
	}
	c.Validate(d.Problems(), "", profiles(t))
	err = d.Problems().Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"gw.yaml:1: id:", "gw.yaml:2: site:", "gw.yaml:4: devices[0].address:", "gw.yaml:5: devices[1].position:", "devices[1].profile:", "there are: json, sim-",
		"devices[2].address:", "devices[2].unit:", "devices[2].period:", "devices[2].timeout:", "devices[2].topic:", "devices[3].address:",
		"devices[4].topic:", "devices[4].username:", "devices[4].broker:", "mqtt.listen:", "mqtt.users[0].name:", "mqtt.users[0].password_file:", "mqtt.users[1].password_file:",
		"mqtt.brokers[0].url:", "mqtt.brokers[1].name:", "mqtt.brokers[1].url:", "mqtt.brokers[1].password_file:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if _, err := document.Decode("gw.yaml", []byte("id: a\nmqtt: {users: [{name: x, password: y}]}"), &c); err == nil {
		t.Error("a password in the document was taken")
	}
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
