package rules

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

// A backlog comes at once, while its gateway still counts as silent. A trip in it gets its ticket, also
// where it was over by then; a warning is history.
func TestTripWhileTheGatewayCountsAsSilent(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityC)
	p.position("P-102", "centrifugal_pump", faultline.CriticalityC)
	vibration := func(a, b string) { p.values["P-101"]["vibration_de"], p.values["P-102"]["vibration_de"] = a, b }
	vibration("2", "2")
	seconds := func(n int) {
		for range n {
			p.second()
		}
	}
	seconds(10)
	cut := p.now
	p.silent["gw1"] = true
	seconds(50)
	if a, err := p.store.Alarm(t.Context(), "plant/gw1/gateway-silent"); err != nil || !a.Active {
		t.Fatalf("the gateway's silence: %+v %v", a, err)
	}
	// What it read meanwhile, stored within one second.
	for at := cut.Add(time.Second); !at.After(p.now); at = at.Add(time.Second) {
		vibration("2", "2")
		if d := at.Sub(cut); d > 5*time.Second && d < 15*time.Second {
			vibration("12", "8")
		}
		for i := range p.positions {
			p.frame(&p.positions[i], at)
		}
	}
	p.silent["gw1"] = false
	seconds(1)
	for _, position := range []string{"P-101", "P-102"} {
		a, err := p.store.Alarm(t.Context(), faultline.AlarmID("plant", position, "pump-vibration-de"))
		if err != nil || a.Count != 1 || a.Active || a.SuppressedBy != "gateway gw1" {
			t.Fatalf("%s: %+v %v", position, a, err)
		}
	}
	if n := len(p.tickets()); n != 1 {
		t.Errorf("%d tickets while the gateway counts as silent, want its own", n)
	}
	seconds(20)
	var of []string
	for _, ticket := range p.tickets() {
		of = append(of, ticket.Position+" "+string(ticket.Priority))
	}
	if len(of) != 2 || of[1] != "P-101 P1" {
		t.Errorf("tickets %q, want the gateway's and the trip's", of)
	}
}

// What is told late says when its condition began, not when its alarm was raised.
func TestLateSaysWhenItBegan(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityC)
	run := func(n int, vibration string) {
		p.values["P-101"]["vibration_de"] = vibration
		for range n {
			p.second()
		}
	}
	run(10, "2")
	p.lag, p.now = 10*time.Minute, p.now.Add(10*time.Minute)
	began := p.now.Add(time.Second - p.lag)
	run(30, "8")
	p.lag, p.now = 0, p.now.Add(11*time.Minute)
	run(2, "8")
	a, err := p.store.Alarm(t.Context(), "plant/P-101/pump-vibration-de")
	if err != nil || !a.BeganAt.Equal(began) || !a.RaisedAt.After(began) {
		t.Fatalf("began %v: %+v %v", began, a, err)
	}
	events, err := p.store.AlarmEvents(t.Context(), a.ID, 10)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e faultline.AlarmEvent) bool { return e.Transition == faultline.TransitionReported })
	if want := "it began at " + began.Format("2006-01-02 15:04:05 UTC"); i < 0 || !strings.HasSuffix(events[i].Why, want) {
		t.Errorf("%+v, want %q", events, want)
	}
}

// Who gives frames of the future is counted, and named once until he does no more.
func TestFutureIsNamed(t *testing.T) {
	var log bytes.Buffer
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityC)
	p.worker.log = slog.New(slog.NewTextHandler(&log, nil))
	p.values["P-101"]["vibration_de"] = "2"
	for _, behind := range []time.Duration{0, -faultline.MaxAhead, -faultline.MaxAhead - time.Second, -50 * time.Hour, 0, -50 * time.Hour} {
		p.behind = behind
		p.second()
	}
	if got := testutil.ToFloat64(p.worker.engine.metrics.frames.WithLabelValues("ahead")); got != 3 {
		t.Errorf("%v frames were counted as ahead, want 3", got)
	}
	if got := testutil.ToFloat64(p.worker.engine.metrics.frames.WithLabelValues("judged")); got != 2 {
		t.Errorf("%v frames were judged, want the first and the one that is just not too far ahead", got)
	}
	if text := log.String(); strings.Count(text, "position=P-101 gateway=gw1 frame=") != 2 || strings.Count(text, "believable again") != 1 {
		t.Error(text)
	}
}
