package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

func ptr[T any](v T) *T { return &v }

// gauge publishes {"v": number, "on": bool, "ts": …, "n": …} below its topic.
func gauge(withTime bool) *profile.Profile {
	p := &profile.Profile{Name: "gauge", Version: "1", Kind: "gauge", Source: "test", MQTT: profile.MQTT{Topic: "data"}, Points: []profile.Point{
		{Name: "v", Type: faultline.TypeFloat, JSON: ptr("v")},
		{Name: "on", Type: faultline.TypeBool, JSON: ptr("on")},
	}}
	if withTime {
		p.MQTT.Time, p.MQTT.ID = "ts", "n"
	}
	return p
}

type stored struct {
	frame faultline.Frame
	meta  bus.Meta
}

// sink gathers frames; gate, if not nil, is asked before each is stored.
type sink struct {
	mu   sync.Mutex
	list []stored
	some chan struct{}
	gate func(context.Context) error
}

func newSink() *sink { return &sink{some: make(chan struct{}, 1)} }

func (s *sink) emit(ctx context.Context, f faultline.Frame, m bus.Meta) error {
	if s.gate != nil {
		if err := s.gate(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.list = append(s.list, stored{f, m})
	s.mu.Unlock()
	select {
	case s.some <- struct{}{}:
	default:
	}
	return nil
}

func (s *sink) all() []stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *sink) wait(t *testing.T, what string, ok func([]stored) bool) []stored {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if all := s.all(); ok(all) {
			return all
		}
		select {
		case <-s.some:
		case <-deadline:
			t.Fatalf("no %s: %+v", what, s.all())
		}
	}
}

func value(s stored, point string) faultline.Sample {
	i := slices.IndexFunc(s.frame.Samples, func(x faultline.Sample) bool { return x.Point == point })
	if i < 0 {
		return faultline.Sample{}
	}
	return s.frame.Samples[i]
}

// keep runs a driver until the test or the returned function ends it.
func keep(t *testing.T, run func(context.Context, Emit) error, emit Emit) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, emit) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("Run ended with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("Run does not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// listen starts a listener with users plant and other, password = name.
func listen(t *testing.T, cfg Config, emit Emit) (address string, stop func()) {
	t.Helper()
	at := make(chan string, 1)
	l, err := NewListener(ListenerConfig{Config: cfg, Address: "127.0.0.1:0", Users: []User{{Name: "plant", Password: "plant"}, {Name: "other", Password: "other", Topics: []string{"free/#"}}}, Listening: func(a string) { at <- a }})
	if err != nil {
		t.Fatal(err)
	}
	stop = keep(t, l.Run, emit)
	select {
	case address = <-at:
	case <-time.After(10 * time.Second):
		t.Fatal("the listener does not listen")
	}
	return address, stop
}

func dial(t *testing.T, address, user string, change func(*paho.ClientOptions)) (paho.Client, error) {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("c-" + t.Name() + user).SetUsername(user).SetPassword(user).
		SetAutoReconnect(false).SetConnectTimeout(5 * time.Second)
	if change != nil {
		change(o)
	}
	c := paho.NewClient(o)
	token := c.Connect()
	if !token.WaitTimeout(10 * time.Second) {
		t.Fatal("connecting takes too long")
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c, token.Error()
}

func mustDial(t *testing.T, address string) paho.Client {
	t.Helper()
	c, err := dial(t, address, "plant", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t *testing.T, c paho.Client, topic, payload string) {
	t.Helper()
	token := c.Publish(topic, 1, false, payload)
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("publish %s: %v", topic, token.Error())
	}
}

func TestListenerStoresBeforeAcknowledging(t *testing.T) {
	s := newSink()
	release := make(chan struct{})
	s.gate = func(ctx context.Context) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m := NewMetrics(nil)
	address, _ := listen(t, Config{Metrics: m, Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(false)}}}, s.emit)
	c := mustDial(t, address)
	token := c.Publish("plant/G/data", 1, false, `{"v": 21.5, "on": true}`)
	if token.WaitTimeout(200 * time.Millisecond) {
		t.Fatal("acknowledged before it was stored")
	}
	close(release)
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal("not acknowledged after it was stored")
	}
	all := s.all() // stored before the acknowledgement: no waiting
	if len(all) != 1 || value(all[0], "v").Value != faultline.Float(21.5) || value(all[0], "on").Value != faultline.Bool(true) || all[0].meta.Profile != "gauge@1" || all[0].frame.Position != "G" {
		t.Fatalf("stored %+v", all)
	}
}

func TestListenerRefusesUnacknowledged(t *testing.T) {
	s := newSink()
	var failing atomic.Bool
	failing.Store(true)
	s.gate = func(context.Context) error {
		if failing.Load() {
			return errors.New("disk full")
		}
		return nil
	}
	address, _ := listen(t, Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(false)}}}, s.emit)
	c := mustDial(t, address)
	if c.Publish("plant/G/data", 1, false, `{"v": 1, "on": true}`).WaitTimeout(200 * time.Millisecond) {
		t.Fatal("acknowledged though it was not stored")
	}
	failing.Store(false)
	publish(t, c, "plant/G/data", `{"v": 2, "on": true}`)
	if all := s.all(); len(all) != 1 || value(all[0], "v").Value != faultline.Float(2) {
		t.Fatalf("stored %+v", all)
	}
}

func TestListenerRights(t *testing.T) {
	s := newSink()
	m := NewMetrics(nil)
	address, _ := listen(t, Config{Metrics: m, Devices: []Device{
		{Position: "G", Topic: "plant/G", Username: "plant", Profile: gauge(false)},
		{Position: "H", Topic: "plant/H", Profile: gauge(false)},
	}}, s.emit)
	for _, bad := range []func(*paho.ClientOptions){
		func(o *paho.ClientOptions) { o.SetPassword("wrong") },
		func(o *paho.ClientOptions) { o.SetUsername("nobody") },
		func(o *paho.ClientOptions) { o.SetUsername("").SetPassword("") },
		func(o *paho.ClientOptions) { o.SetPassword("other") }, // another user's
	} {
		if _, err := dial(t, address, "plant", bad); err == nil {
			t.Error("connected without rights")
		}
	}
	c, err := dial(t, address, "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, c, "free/anything/at/all", "x") // allowed, though nobody's
	publish(t, c, "plant/H/data", `{"v":1,"on":false}`)
	if c.Publish("plant/G/data", 1, false, `{"v":1,"on":false}`).WaitTimeout(300*time.Millisecond) && c.IsConnected() {
		t.Error("published for another user's device")
	}
	c = mustDial(t, address)
	token := c.Subscribe("#", 1, nil)
	if token.WaitTimeout(10 * time.Second); token.(*paho.SubscribeToken).Result()["#"] != 0x80 {
		t.Errorf("may read: %v %v", token.(*paho.SubscribeToken).Result(), token.Error())
	}
	publish(t, c, "plant/G/data", `{"v":2,"on":false}`)
	all := s.wait(t, "G", func(all []stored) bool {
		return slices.ContainsFunc(all, func(s stored) bool { return s.frame.Position == "G" })
	})
	for _, st := range all {
		if st.frame.Position == "G" && value(st, "v").Value != faultline.Float(2) {
			t.Errorf("G has %+v", st)
		}
	}
	if n := testutil.ToFloat64(m.denied); n < 5 {
		t.Errorf("%v denials counted", n)
	}
	if n := testutil.ToFloat64(m.messages.WithLabelValues("unrouted")); n != 1 {
		t.Errorf("%v unrouted", n)
	}
}

func TestBadPayloadsAreBadSamples(t *testing.T) {
	s := newSink()
	m := NewMetrics(nil)
	address, _ := listen(t, Config{Metrics: m, Devices: []Device{
		{Position: "G", Topic: "plant/G", Profile: gauge(true)}, {Position: "H", Topic: "plant/H", Profile: gauge(false)},
	}}, s.emit)
	c := mustDial(t, address)
	for _, p := range []struct {
		payload string
		want    faultline.Quality
	}{
		{`{"v": 1`, faultline.BadDecode},
		{`not json`, faultline.BadDecode},
		{"\x00\xff", faultline.BadDecode},
		{``, faultline.BadDecode},
		{`{"v": 1, "on": true} trailing`, faultline.BadDecode},
		{`[]`, faultline.BadMissing},
		{`{"v": null, "on": null}`, faultline.BadNotAvailable},
		{`{"v": {}, "on": 7}`, faultline.BadDecode},
		{`{"v": "` + strings.Repeat("x", 512<<10) + `", "on": 1}`, badOversized},
		{strings.Repeat("[", 30000), faultline.BadDecode},
	} {
		n := len(s.all())
		publish(t, c, "plant/G/data", p.payload)
		publish(t, c, "plant/H/data", `{"v": 5, "on": false}`)
		all := s.all()[n:]
		if len(all) != 2 {
			t.Fatalf("%.30q: %d frames", p.payload, len(all))
		}
		for _, point := range []string{"v", "on"} {
			if got := value(all[0], point); got.Quality != p.want || got.Value.Type() != faultline.NoType {
				t.Errorf("%.30q: %s is %v %s, want %s", p.payload, point, got.Value, got.Quality, p.want)
			}
			if !value(all[1], point).Quality.IsGood() {
				t.Errorf("%.30q: the other device is %s", p.payload, value(all[1], point).Quality)
			}
		}
	}
	if n := testutil.ToFloat64(m.messages.WithLabelValues("undecodable")); n != 6 {
		t.Errorf("%v undecodable", n)
	}
	if n := testutil.ToFloat64(m.messages.WithLabelValues("oversized")); n != 1 {
		t.Errorf("%v oversized", n)
	}
}

func TestLostDeviceIsBadOnce(t *testing.T) {
	s := newSink()
	var connected atomic.Bool
	address, _ := listen(t, Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(false)}}, Observe: func(_ string, c bool, _ error) { connected.Store(c) }}, s.emit)
	c := mustDial(t, address)
	publish(t, c, "plant/G/data", `{"v": 1, "on": true}`)
	if !connected.Load() {
		t.Error("not seen as connected")
	}
	c.Disconnect(0)
	all := s.wait(t, "loss", func(all []stored) bool { return len(all) == 2 })
	for _, x := range all[1].frame.Samples {
		if x.Quality != faultline.BadNotConnected {
			t.Errorf("%s is %s", x.Point, x.Quality)
		}
	}
	if len(all[1].frame.Samples) != 2 || connected.Load() {
		t.Errorf("%+v, connected %v", all[1], connected.Load())
	}
	c = mustDial(t, address)
	publish(t, c, "plant/G/data", `{"v": 3, "on": true}`)
	if all = s.all(); len(all) != 3 || value(all[2], "v").Value != faultline.Float(3) {
		t.Errorf("%+v", all)
	}
}

func TestDeviceTimeAndRedelivery(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	n := 0
	stamp := func(string) (time.Time, faultline.Quality) {
		n++
		return now.Add(time.Duration(n)), faultline.Good
	}
	m := NewMetrics(nil)
	s := newSink()
	cfg := Config{Metrics: m, Stamp: stamp, Devices: []Device{
		{Position: "T", Topic: "plant/T", Profile: gauge(true)}, {Position: "N", Topic: "plant/N", Profile: gauge(false)},
	}}
	cfg.fill("test", "test")
	r, err := newReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.emit = s.emit
	send := func(topic, payload string, dup, retained bool) {
		t.Helper()
		if err := r.receive(t.Context(), packet{topic: topic, payload: []byte(payload), repeated: dup, retained: retained}); err != nil {
			t.Fatal(err)
		}
	}
	own := now.Add(-time.Hour)
	with := func(v int, at time.Time) string {
		return fmt.Sprintf(`{"v": %d, "on": true, "ts": %d, "n": %d}`, v, at.UnixMilli(), v)
	}
	last := func(want int) stored {
		t.Helper()
		all := s.all()
		if len(all) != want {
			t.Fatalf("%d frames, want %d: %+v", len(all), want, all)
		}
		return all[want-1]
	}
	send("plant/T/data", with(1, own), false, false)
	if f := last(1); !f.frame.Time.Equal(own) || f.meta.Possibly {
		t.Errorf("the device's time is not kept: %+v", f)
	}
	send("plant/T/data", with(1, own), true, false)  // redelivered
	send("plant/T/data", with(1, own), false, false) // sent again by a device that forgot its session
	last(1)
	send("plant/T/data", with(2, own), false, false) // another one of the same millisecond
	if f := last(2); !f.frame.Time.Equal(own.Add(time.Nanosecond)) {
		t.Errorf("would overwrite the one before: %v", f.frame.Time)
	}
	send("plant/T/data", with(3, own), false, false)
	if f := last(3); !f.frame.Time.Equal(own.Add(2 * time.Nanosecond)) {
		t.Errorf("would overwrite the one before: %v", f.frame.Time)
	}
	send("plant/T/data", with(4, now.AddDate(1, 0, 0)), false, false) // cannot be true
	if f := last(4); !f.frame.Time.Equal(now.Add(time.Duration(n))) {
		t.Errorf("an implausible time is kept: %v", f.frame.Time)
	}
	if testutil.ToFloat64(m.implausible) != 1 {
		t.Error("an implausible time is not counted")
	}
	send("plant/N/data", `{"v": 1, "on": true}`, false, false)
	send("plant/N/data", `{"v": 1, "on": true}`, false, false) // the same reading again: no redelivery
	last(6)
	send("plant/N/data", `{"v": 1, "on": true}`, true, false) // a redelivery
	last(6)
	send("plant/N/data", `{"v": 2, "on": true}`, true, false) // a redelivery of what is not known: may be a duplicate
	if f := last(7); !f.meta.Possibly {
		t.Error("not marked as possibly a duplicate")
	}
	send("plant/N/data", `{"v": 2, "on": true}`, false, true) // retained, known
	last(7)
	send("plant/N/data", `{"v": 9, "on": true}`, false, true)
	if f := last(8); value(f, "v").Quality != uncertainRetained {
		t.Errorf("of unknown age: %s", value(f, "v").Quality)
	}
	if n := testutil.ToFloat64(m.messages.WithLabelValues("repeated")); n != 4 {
		t.Errorf("%v repeated", n)
	}
	// After a restart the memory comes back from what is stored, whose samples may be in any order.
	var frames []faultline.Frame
	for _, st := range s.all() {
		slices.Reverse(st.frame.Samples)
		frames = append(frames, st.frame)
	}
	if r, err = newReceiver(cfg); err != nil {
		t.Fatal(err)
	}
	r.emit = s.emit
	r.rebuild(frames)
	send("plant/T/data", with(1, own), true, false)
	send("plant/N/data", `{"v": 1, "on": true}`, true, false)
	last(8)
}

func TestFailedStoreIsNotRemembered(t *testing.T) {
	s := newSink()
	fail := true
	s.gate = func(context.Context) error {
		if fail {
			return errors.New("no")
		}
		return nil
	}
	cfg := Config{Devices: []Device{{Position: "T", Topic: "plant/T", Profile: gauge(true)}}}
	cfg.fill("test", "test")
	r, err := newReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.emit = s.emit
	p := packet{topic: "plant/T/data", payload: []byte(fmt.Sprintf(`{"v":1,"on":true,"ts":%d}`, time.Now().UnixMilli()))}
	if err := r.receive(t.Context(), p); err == nil {
		t.Fatal("no error")
	}
	fail, p.repeated = false, true
	if err := r.receive(t.Context(), p); err != nil || len(s.all()) != 1 {
		t.Fatalf("a redelivery of what was not stored is dropped: %v, %d", err, len(s.all()))
	}
}

// broker is one that we did not write, with sessions that outlive connections.
func broker(t *testing.T, address string) (string, *mochi.Server) {
	t.Helper()
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), InlineClient: true})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: address})
	if err := s.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { _ = s.Close() }) })
	return l.Address(), s
}

func TestClientReceivesThroughLosses(t *testing.T) {
	address, server := broker(t, "127.0.0.1:0")
	s := newSink()
	c, err := NewClient(ClientConfig{URL: "tcp://" + address, ClientID: "gw", Config: Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(true)}}}})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c.Run, s.emit)
	start := time.Now()
	n := 0
	send := func() {
		t.Helper()
		n++
		publish(t, mustDial(t, address), "plant/G/data", fmt.Sprintf(`{"v":%d,"on":true,"ts":%d,"n":%d}`, n, start.Add(time.Duration(n)*time.Millisecond).UnixMilli(), n))
	}
	has := func(v int) func([]stored) bool {
		return func(all []stored) bool {
			return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Value == faultline.Float(float64(v)) })
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for server.Topics.Subscribers("plant/G/data").Subscriptions["gw"].Filter == "" { // until it has subscribed
		if time.Now().After(deadline) {
			t.Fatal("it does not subscribe")
		}
		time.Sleep(5 * time.Millisecond)
	}
	send()
	s.wait(t, "first value", has(1))
	cl, ok := server.Clients.Get("gw")
	if !ok {
		t.Fatal("the broker does not know the gateway")
	}
	cl.Stop(errors.New("cable pulled"))
	send() // while it is away: kept by the broker under its client id
	s.wait(t, "value sent while away", has(2))
	s.wait(t, "bad samples for the loss", func(all []stored) bool {
		return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Quality == faultline.BadNotConnected })
	})
	seen := map[faultline.Value]int{}
	for _, st := range s.all() {
		if v := value(st, "v"); v.Quality.IsGood() {
			seen[v.Value]++
		}
	}
	if len(seen) != 2 || seen[faultline.Float(1)] != 1 || seen[faultline.Float(2)] != 1 {
		t.Errorf("values %v", seen)
	}
}

func TestClientAcknowledgesAfterStoring(t *testing.T) {
	address, server := broker(t, "127.0.0.1:0")
	s := newSink()
	var fail atomic.Int32
	fail.Store(3)
	s.gate = func(context.Context) error {
		if fail.Add(-1) >= 0 {
			return errors.New("disk full")
		}
		return nil
	}
	// The session is made before, so that the message waits in it.
	early, err := dial(t, address, "", func(o *paho.ClientOptions) { o.SetClientID("gw").SetCleanSession(false) })
	if err != nil {
		t.Fatal(err)
	}
	early.Subscribe("plant/G/data", 1, nil).WaitTimeout(10 * time.Second)
	early.Disconnect(50)
	publish(t, mustDial(t, address), "plant/G/data", `{"v": 7, "on": true}`)
	c, err := NewClient(ClientConfig{URL: "tcp://" + address, ClientID: "gw", Config: Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(false)}}}})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c.Run, s.emit)
	all := s.wait(t, "the message that could not be stored at first", func(all []stored) bool {
		return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Value == faultline.Float(7) })
	})
	if fail.Load() > 0 {
		t.Errorf("stored too early: %+v", all)
	}
	_ = server
}

func TestClientWaitsForItsBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSink()
	c, err := NewClient(ClientConfig{URL: "tcp://" + address, ClientID: "gw", Config: Config{Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(true)}}}})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c.Run, s.emit)
	s.wait(t, "bad samples", func(all []stored) bool {
		return len(all) == 1 && value(all[0], "v").Quality == faultline.BadNotConnected
	})
	_, server := broker(t, address)
	deadline := time.Now().Add(20 * time.Second)
	for {
		_ = server.Publish("plant/G/data", []byte(fmt.Sprintf(`{"v":1,"on":true,"ts":%d}`, time.Now().UnixMilli())), false, 1)
		if slices.ContainsFunc(s.all(), func(s stored) bool { return value(s, "v").Value == faultline.Float(1) }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing arrives")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, topic := range []string{"", "a/+", "#", "/a", "a/", "$SYS/x", "a\x00b"} {
		if err := CheckTopic(topic); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%q was taken", topic)
		}
	}
	if _, err := NewListener(ListenerConfig{Address: ":0"}); err == nil {
		t.Error("a listener without users was taken")
	}
	if _, err := NewClient(ClientConfig{URL: "tcp://x", ClientID: "y"}); err == nil {
		t.Error("a client without devices was taken")
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	NewMetrics(r).messages.WithLabelValues("good").Inc()
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, v := range []any{
		json.Number("1777636800"), json.Number("1777636800000"), json.Number("1777636800000000"), json.Number("1777636800000000000"),
		json.Number("1777636800.0"), "2026-05-01T12:00:00Z", "2026-05-01T14:00:00.000+02:00", "1777636800",
	} {
		if got, ok := parseTime(v); !ok || !got.Equal(want) {
			t.Errorf("%v: %v %v", v, got, ok)
		}
	}
	for _, v := range []any{nil, true, "yesterday", json.Number("-5"), json.Number("0"), json.Number("1e300"), ""} {
		if got, ok := parseTime(v); ok {
			t.Errorf("%v: %v", v, got)
		}
	}
}

func mappingOf(p *profile.Profile) *mapping {
	m := &mapping{time: []string{"ts"}, id: []string{"seq"}}
	for i := range p.Points {
		path, _ := profile.ParsePath(*p.Points[i].JSON)
		m.fields = append(m.fields, field{&p.Points[i], path})
	}
	return m
}

const upsPayload = `{"ts":"2026-05-01T12:00:00.123Z","seq":42,"serial":"U","model":"6K","firmware":1.07,"status":"online","input":{"voltage":230.1,"frequency":50.01},"output":{"voltage":230,"current":11.02,"power":2500},"load":41.5,"battery":{"charge":100,"voltage":54.3,"temperature":24.1,"runtime":15.5,"transfers":3},"hours":15000.1,"alarms":0,"tick":77}`

// FuzzPayload checks that whatever comes makes samples that a frame may carry.
func FuzzPayload(f *testing.F) {
	s, err := profile.Library()
	if err != nil {
		f.Fatal(err)
	}
	ups, err := s.Get("sim-ups")
	if err != nil {
		f.Fatal(err)
	}
	m := mappingOf(ups)
	whole := &mapping{}
	for _, typ := range []faultline.Type{faultline.TypeFloat, faultline.TypeInt, faultline.TypeBool, faultline.TypeString} {
		whole.fields = append(whole.fields, field{&profile.Point{Name: "p_" + typ.String(), Type: typ, JSON: ptr("")}, nil})
	}
	for _, seed := range []string{upsPayload, `1e400`, `"\ud800"`, `9223372036854775808`, `-1e18`, `NaN`, `"NaN"`, `on`, `[[1]]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, m := range []*mapping{m, whole} {
			got, err := m.decode(payload)
			frame := faultline.Frame{Kind: "k", Site: "s", Position: "p", Gateway: "g", Time: time.Unix(1, 0), Samples: got.samples}
			if cerr := frame.Check(); cerr != nil {
				t.Fatal(cerr)
			}
			for i, s := range got.samples {
				if !s.Quality.IsBad() && (err != nil || s.Value.Type() != m.fields[i].point.Type) {
					t.Fatalf("%s is a %s: %v", s.Point, s.Value.Type(), err)
				}
			}
		}
	})
}

func BenchmarkDecodePayload(b *testing.B) {
	s, err := profile.Library()
	if err != nil {
		b.Fatal(err)
	}
	ups, err := s.Get("sim-ups")
	if err != nil {
		b.Fatal(err)
	}
	m := mappingOf(ups)
	payload := []byte(upsPayload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.decode(payload); err != nil {
			b.Fatal(err)
		}
	}
}
