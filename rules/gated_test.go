package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

const gatedRules = `
rules:
  - id: starved
    title: Pump runs dry
    kind: expression
    asset_kind: centrifugal_pump
    expr: running && flow < 5 && avg_over(discharge_pressure, "10s") < 1
    severity: critical
    on_delay: 3s
    failure_mode: dry_running
    family: suction
  - id: flow-low
    title: Flow low
    kind: threshold
    asset_kind: centrifugal_pump
    point: flow
    limits: {low: 20}
    while: running
    inhibit_after_start: 10s
    failure_mode: low_flow
    family: suction
  - id: other-model
    title: Of another model
    kind: expression
    asset_kind: centrifugal_pump
    expr: gas_pressure > 3
    failure_mode: none
    family: none
`

// Rules over several points judge whole frames; conditions are around any kind.
func TestGatedRules(t *testing.T) {
	set, err := Load(nil, File{"gated.yaml", []byte(gatedRules)})
	if err != nil {
		t.Fatal(err)
	}
	p := &faultline.Position{Site: "plant", ID: "P-101", Kind: "centrifugal_pump", Gateway: "gw1", Points: []faultline.Point{
		{Name: "running", Type: faultline.TypeBool}, {Name: "flow", Unit: "m³/h", Type: faultline.TypeFloat},
		{Name: "discharge_pressure", Unit: "bar", Type: faultline.TypeFloat}}}
	u, misfits := newUnit(set, p)
	if len(misfits) > 0 || len(u.rules) != 2 {
		t.Fatalf("%d rules, misfits %q", len(u.rules), misfits)
	}
	at, n := start, uint64(0)
	var got []string
	run := func(seconds int, running bool, flow, pressure float64) {
		for range seconds {
			at = at.Add(time.Second)
			n++
			var out []effect
			out, _ = u.frame(faultline.FrameID{Epoch: "e", Sequence: n}, &faultline.Frame{Kind: p.Kind, Site: p.Site, Position: p.ID, Time: at, Samples: []faultline.Sample{
				{Point: "flow", Quality: faultline.Good, Value: faultline.Float(flow)},
				{Point: "discharge_pressure", Quality: faultline.Good, Value: faultline.Float(pressure)},
				{Point: "running", Quality: faultline.Good, Value: faultline.Bool(running)}}}, at, nil)
			for _, e := range out {
				got = append(got, e.event.Transition+" "+e.rule.name+" "+e.event.Why)
			}
			if n%7 == 0 { // a restart now and then
				state, err := u.snapshot()
				if err != nil {
					t.Fatal(err)
				}
				if u, _ = newUnit(set, p); true {
					if _, err := u.restore(state); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	expect := func(when string, want ...string) {
		t.Helper()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
		got = nil
	}
	run(20, false, 0, 0)
	expect("it stands still")
	run(8, true, 10, 4)
	expect("starting")
	run(4, true, 10, 4)
	expect("running", "raised flow-low flow 10 m³/h below its low limit of 20 m³/h, while running")
	run(3, true, 40, 4)
	expect("well", "cleared flow-low ")
	run(5, true, 2, 0.5)
	expect("half dry", "raised flow-low flow 2 m³/h below its low limit of 20 m³/h, while running")
	run(20, true, 2, 0.5)
	expect("dry", `raised starved running true, flow 2 m³/h, discharge pressure 0.5 bar, avg of discharge pressure over 10 s 0.5 bar for 3 s (running && flow < 5 && avg_over(discharge_pressure, "10s") < 1)`)
	run(1, false, 0, 0)
	expect("stopped", "cleared flow-low ", "cleared starved ")
}
