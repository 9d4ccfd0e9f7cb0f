package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

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
	if testutil.ToFloat64(m.untimed.WithLabelValues("implausible")) != 1 {
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
