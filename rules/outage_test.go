package rules

import (
	"testing"
	"time"

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
