package mqtt

import (
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

// TestSecondClientLeaves: somebody publishes for a device once and leaves. The device is still there.
func TestSecondClientLeaves(t *testing.T) {
	s, m := newSink(), NewMetrics(nil)
	address, stop := listen(t, Config{Metrics: m, Devices: []Device{{Position: "G", Topic: "plant/G", Profile: gauge(false)}}}, s.emit)
	own := mustDial(t, address)
	publish(t, own, "plant/G/data", `{"v":1,"on":true}`)
	second, err := dial(t, address, "plant", func(o *paho.ClientOptions) { o.SetClientID("by hand") })
	if err != nil {
		t.Fatal(err)
	}
	publish(t, second, "plant/G/data", `{"v":2,"on":true}`)
	second.Disconnect(0)
	for deadline := time.Now().Add(20 * time.Second); testutil.ToFloat64(m.lost) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second client does not leave")
		}
	}
	publish(t, own, "plant/G/data", `{"v":3,"on":true}`)
	own.Disconnect(0)
	s.wait(t, "loss of the last", func(all []stored) bool {
		return slices.ContainsFunc(all, func(s stored) bool { return value(s, "v").Quality == faultline.BadNotConnected })
	})
	stop() // what else is to come has come
	var got []faultline.Value
	for _, st := range s.all() {
		got = append(got, value(st, "v").Value)
	}
	if want := []faultline.Value{faultline.Float(1), faultline.Float(2), faultline.Float(3), {}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: the loss once, at the end", got, want)
	}
}

func TestSessions(t *testing.T) {
	s := newSessions()
	g, h := &device{}, &device{}
	routes := func(ds ...*device) (out []*route) {
		for _, d := range ds {
			out = append(out, &route{dev: d})
		}
		return out
	}
	a, b, a2, none := &mochi.Client{ID: "a"}, &mochi.Client{ID: "b"}, &mochi.Client{ID: "a"}, &mochi.Client{ID: "none"}
	for _, cl := range []*mochi.Client{a, b, none} {
		s.begin(cl)
	}
	s.own(a, routes(g, g, h))
	s.own(a, routes(g))
	s.own(b, routes(g))
	if gone := s.end(none); gone != nil {
		t.Errorf("it had none: %v", gone)
	}
	s.begin(a2) // takes a over, before the broker ends a
	s.own(a, routes(g))
	if gone := s.end(a); gone != nil {
		t.Errorf("taken over: %v", gone)
	}
	if gone := s.end(b); gone != nil || s.abandoned(g) {
		t.Errorf("a2 has inherited it: %v", gone)
	}
	if gone := s.end(a2); len(gone) != 2 || !s.abandoned(g) || !s.abandoned(h) {
		t.Errorf("the last one: %v", gone)
	}
	if len(s.current)+len(s.owned)+len(s.owners) != 0 {
		t.Errorf("something stays: %+v", s)
	}
}
