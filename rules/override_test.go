package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestOverrides(t *testing.T) {
	set, err := Load(nil, File{"o.yaml", []byte(`
rules:
  - id: level
    title: Level low
    kind: threshold
    asset_kind: tank
    point: level
    limits: {low: 20, low_low: 8}
    on_delay: 10s
    failure_mode: empty
    family: supply
    overrides:
      - positions: [s/T-2, T-3]
        limits: {low: 30}
        severities: {low: critical}
        dead_band: 1
        on_delay: 1s
      - {positions: [T-4], disabled: true}
`)})
	if err != nil {
		t.Fatal(err)
	}
	var positions []faultline.Position
	for _, id := range []string{"T-1", "T-2", "T-3", "T-4"} {
		positions = append(positions, faultline.Position{Site: "s", ID: id, Kind: "tank", Points: []faultline.Point{{Name: "level", Type: faultline.TypeFloat}}})
	}
	other := positions[1]
	other.Site = "x" // T-2 of another site is as the rule
	got := map[string]faultline.RuleInstance{}
	for _, i := range set.Instances(append(positions, other)) {
		got[i.Site+"/"+i.Position] = i
	}
	for id, want := range map[string]float64{"s/T-1": 20, "s/T-2": 30, "s/T-3": 30, "x/T-2": 20} {
		i := got[id]
		if len(i.Limits) != 2 || i.Limits[0].Value != 8 || i.Limits[1].Value != want || (want == 30) != (i.OnDelay == time.Second && i.DeadBand == 1 && i.Limits[1].Severity == faultline.SeverityCritical) {
			t.Errorf("%s: %+v", id, i)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d instances: T-4 has none", len(got))
	}
	if m := set.Misfits(positions[:3]); len(m) != 1 || !strings.Contains(m[0], "T-4, which does not exist") {
		t.Errorf("misfits %q", m)
	}
	_, err = Load(nil, File{"bad.yaml", []byte(`
rules:
  - id: level
    title: Level low
    kind: threshold
    asset_kind: tank
    point: level
    limits: {low: 20, low_low: 8}
    failure_mode: empty
    family: supply
    overrides:
      - {positions: [T-1], limits: {low: 5}}
      - {positions: [T-1], after: 1m}
      - {limits: {low: 7}}
`)})
	for _, want := range []string{"bad.yaml:12: rules[0].overrides[0].limits", "low limit 5 must be above the low-low limit 8", "T-1 is there already", "overrides[1].after", "overrides[2].positions: is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// A rule with labels is for those positions only that have all of them.
func TestLabels(t *testing.T) {
	set, err := Load(nil, File{"l.yaml", []byte(`
rules:
  - {id: level, title: Level low, kind: threshold, asset_kind: tank, point: level, labels: {line: "2", duty: "*"}, limits: {low: 20}, failure_mode: empty, family: supply}
`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		labels map[string]string
		fits   int
	}{
		{nil, 0},
		{map[string]string{"line": "2"}, 0},
		{map[string]string{"line": "2", "duty": "standby"}, 1},
		{map[string]string{"line": "3", "duty": "standby"}, 0},
		{map[string]string{"line": "2", "duty": "", "more": "x"}, 1},
	} {
		p := faultline.Position{Site: "s", ID: "T-1", Kind: "tank", Labels: c.labels, Points: []faultline.Point{{Name: "level", Type: faultline.TypeFloat}}}
		if got := set.Instances([]faultline.Position{p}); len(got) != c.fits {
			t.Errorf("labels %v: %d rules, want %d", c.labels, len(got), c.fits)
		}
	}
	for _, wrong := range []string{`{"a b": x}`, `{line: ""}`} {
		_, err := Load(nil, File{"l.yaml", []byte("rules: [{id: level, title: T, kind: threshold, asset_kind: tank, point: level, labels: " + wrong + ", limits: {low: 20}, failure_mode: empty, family: supply}]")})
		if err == nil || !strings.Contains(err.Error(), "labels") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// What a joint rule has learnt is of its points, in its steps: a change of them begins it anew, one of its score does not.
func TestShapeOfJoint(t *testing.T) {
	p := &faultline.Position{Site: "plant", ID: "P-1", Kind: "pump"}
	for _, name := range []string{"a", "b", "c"} {
		p.Points = append(p.Points, faultline.Point{Name: name, Type: faultline.TypeFloat})
	}
	shape := func(settings string) string {
		t.Helper()
		set, err := Load(nil, File{"x.rules.yaml", []byte("rules: [{id: r, title: R, kind: joint, asset_kind: pump, " + settings + ", failure_mode: other, family: other}]")})
		if err != nil {
			t.Fatal(err)
		}
		attached, misfits := set.attach(p)
		if len(attached) != 1 {
			t.Fatal(misfits)
		}
		return attached[0].shape()
	}
	const as = "points: [a, b], step: 1m, learn: 24h"
	if shape(as) != shape(as+", score: 5, severity: warning") {
		t.Error("another score forgets what was learnt")
	}
	for _, edited := range []string{"points: [a, c], step: 1m, learn: 24h", "points: [b, a], step: 1m, learn: 24h", "points: [a, b, c], step: 1m, learn: 24h",
		"points: [a, b], step: 2m, learn: 24h", "points: [a, b], step: 1m, learn: 48h", as + ", while: a > 1"} {
		if shape(edited) == shape(as) {
			t.Errorf("%s goes on with what %s has learnt", edited, as)
		}
	}
}
