package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

func TestReportsOnChange(t *testing.T) {
	p := &profile.Profile{Points: []profile.Point{
		{Name: "all", Type: faultline.TypeFloat},
		{Name: "level", Type: faultline.TypeFloat, Report: profile.OnChange, DeadBand: 0.5, Heartbeat: 10 * time.Second},
		{Name: "mode", Type: faultline.TypeString, Report: profile.OnChange},
	}}
	r := newReports(p)
	t0 := time.Unix(1_700_000_000, 0)
	good := func(level float64, mode string) []faultline.Sample {
		return []faultline.Sample{{Point: "level", Value: faultline.Float(level), Quality: faultline.Good}, {Point: "mode", Value: faultline.String(mode), Quality: faultline.Good}}
	}
	bad := []faultline.Sample{{Point: "level", Quality: faultline.BadTimeout}, {Point: "mode", Quality: faultline.BadTimeout}}
	for i, c := range []struct {
		after   time.Duration
		samples []faultline.Sample
		want    string
	}{
		{0, good(1, "a"), "[level mode]"},
		{1 * time.Second, good(1.4, "a"), "[level]"}, // nothing changed: one stays, as a sign of life
		{2 * time.Second, good(1.8, "b"), "[mode]"},  // 1.4 was stored, so 1.8 is within the band
		{3 * time.Second, good(2.0, "b"), "[level]"},
		{4 * time.Second, bad, "[level mode]"},
		{5 * time.Second, bad, "[level]"},
		{6 * time.Second, good(2.0, "b"), "[level mode]"},
		{16 * time.Second, good(2.1, "b"), "[level]"}, // heartbeat
		{66 * time.Second, good(2.1, "b"), "[level mode]"},
		{67 * time.Second, append(good(2.1, "b"), faultline.Sample{Point: "all", Value: faultline.Float(0), Quality: faultline.Good}), "[all]"},
	} {
		at := t0.Add(c.after)
		got := r.worth(at, c.samples)
		r.stored(at, got)
		var names []string
		for _, s := range got {
			names = append(names, s.Point)
		}
		if fmt.Sprint(names) != c.want {
			t.Errorf("step %d: stored %v, want %s", i, names, c.want)
		}
	}
	if newReports(&profile.Profile{Points: p.Points[:1]}) != nil {
		t.Error("a profile that reports always needs no state")
	}
}
