package mqtt

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

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
