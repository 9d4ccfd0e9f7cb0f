package mqtt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
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
	m := NewMetrics(r)
	m.messages.WithLabelValues("good").Inc()
	m.untimed.WithLabelValues(timeMissing).Inc()
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
