package gateway

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

func TestHealthIsAFrame(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	h := DeviceHealth{Position: "P-1", Reachable: true, LastGood: at.Add(-1500 * time.Millisecond), Readings: 9, Good: 8, Bad: 3,
		Reasons: map[string]uint64{"timeout": 2, "exception:server_device_busy": 1}, LatencyP50: 2500 * time.Microsecond, LatencyP99: 4 * time.Millisecond}
	f := h.frame(at)
	f.Site, f.Gateway = "s", "g"
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	got := map[string]faultline.Value{}
	for _, s := range f.Samples {
		got[s.Point] = s.Value
	}
	for point, want := range map[string]faultline.Value{
		"reachable": faultline.Bool(true), "bad": faultline.Int(3), "latency_p50_ms": faultline.Float(2.5), "last_good_age_s": faultline.Float(1.5),
		"errors_timeout": faultline.Int(2), "errors_exception_server_device_busy": faultline.Int(1),
	} {
		if got[point] != want {
			t.Errorf("%s is %v, want %v", point, got[point], want)
		}
	}
	if f.Kind != faultline.HealthKind || f.Position != "P-1" {
		t.Errorf("%+v", f)
	}
	never := DeviceHealth{Position: "P-2"}
	if f := never.frame(at); len(f.Samples) != 5 {
		t.Errorf("a device that was never heard: %v", f.Samples)
	}
}

func TestHealthIsStored(t *testing.T) {
	set, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	s := newStore()
	g, err := New(Options{
		Config:   Config{ID: "gw-1", Site: "s", Devices: []Device{{Position: "P-1", Profile: "sim-pump", Address: "tcp://127.0.0.1:1", Period: time.Minute}}},
		Profiles: set, Sink: s, HealthEvery: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	s.wait(t, "health that says why", func(frames []faultline.Frame) bool {
		return slices.ContainsFunc(frames, func(f faultline.Frame) bool {
			return f.Kind == faultline.HealthKind && f.Position == "P-1" && f.Site == "s" && f.Gateway == "gw-1" &&
				slices.ContainsFunc(f.Samples, func(s faultline.Sample) bool { return s.Point == "errors_not_connected" })
		})
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, h := range g.Health() {
		if h.Bad > 100 {
			t.Errorf("health frames count as readings: %+v", h)
		}
	}
}
