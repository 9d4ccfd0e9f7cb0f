package rules

import (
	"math"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

const togetherRules = `
rules:
  - id: together
    title: Signals do not go together
    kind: joint
    asset_kind: loop
    points: [flow, heat, current]
    step: 1m
    learn: 8h
    on_delay: 5m
    failure_mode: unusual_signal
    family: signals
`

// Signals that move to another level together leave a line in the history and no ticket; one that leaves the
// others opens one, whose evidence names what contributes.
func TestChangePointsAndParts(t *testing.T) {
	set, err := Load(nil, File{"together.yaml", []byte(togetherRules)})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	position := faultline.Position{Site: "plant", ID: "L-1", Kind: "loop", Gateway: "gw"}
	for _, name := range []string{"flow", "heat", "current"} {
		position.Points = append(position.Points, faultline.Point{Name: name, Type: faultline.TypeFloat})
	}
	p, err := NewPlayer(t.Context(), set, Stage{Positions: []faultline.Position{position}}, at)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var proof *faultline.Evidence
	p.Raised = func(_ faultline.Alarm, e *faultline.Evidence) { proof = e }
	n := 0.0
	show := func(minutes int, load, heat float64) {
		t.Helper()
		for range minutes {
			n++
			noise := func(k float64) float64 { return math.Mod(n*k, 1) - 0.5 }
			x := load + 4*math.Sin(n/5) // they go together
			f := faultline.Frame{Site: "plant", Position: "L-1", Kind: "loop", Gateway: "gw", Time: at}
			for i, v := range []float64{x + noise(0.618), 2*x + heat + noise(0.737), 0.5*x + 0.3*noise(0.414)} {
				f.Samples = append(f.Samples, faultline.Sample{Point: position.Points[i].Name, Quality: faultline.Good, Value: faultline.Float(v)})
			}
			if _, err := p.Frame(t.Context(), &f); err != nil {
				t.Fatal(err)
			}
			at = at.Add(time.Minute)
		}
	}
	changes := func() (n int) {
		t.Helper()
		events, err := p.Store().AlarmEvents(t.Context(), faultline.AlarmID("plant", "L-1", "together"), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Transition == faultline.TransitionChangePoint {
				n++
			}
		}
		return n
	}
	show(700, 20, 0)
	if changes() != 0 || proof != nil {
		t.Fatalf("%d changes in operation as ever, evidence %+v", changes(), proof)
	}
	show(120, 20, 40)
	if changes() == 0 {
		t.Error("no change point in the history")
	}
	if proof == nil || proof.Point != "heat" || len(proof.Parts) == 0 || proof.Parts[0].Point != "heat" || proof.Parts[0].Score < 4 || len(proof.Limits) != 2 {
		t.Errorf("evidence %+v", proof)
	}
	tickets, _, err := p.Store().Tickets(t.Context(), store.TicketFilter{})
	if err != nil || len(tickets) != 1 {
		t.Errorf("%d tickets, %v", len(tickets), err)
	}
}
