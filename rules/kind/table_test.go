package kind_test

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

func value(v float64) *faultline.Sample {
	return &faultline.Sample{Point: "bearing_temperature", Quality: faultline.Good, Value: faultline.Float(v)}
}

// Each step is a value one second after the last, with what is to be said of it.
func TestThreshold(t *testing.T) {
	s := full() // -10, 0, 85, 95, dead band 3
	s.Severities.Low = faultline.SeverityAdvisory
	k := make1(t, "threshold", &s, heat)
	const none, adv, warn, crit = faultline.SeverityNone, faultline.SeverityAdvisory, faultline.SeverityWarning, faultline.SeverityCritical
	at := start
	for i, c := range []struct {
		value    float64
		severity faultline.Severity
		why      string
	}{
		{85, none, ""}, // at the limit is not beyond it
		{85.04, warn, "bearing temperature 85.04 °C above its high limit of 85 °C for 10 s"},
		{97.23, crit, "bearing temperature 97.2 °C above its high-high limit of 95 °C for 10 s"},
		{92.5, crit, "bearing temperature 92.5 °C not yet back from its high-high limit of 95 °C by the dead band of 3 °C for 10 s"},
		{92, warn, "bearing temperature 92 °C above its high limit of 85 °C for 10 s"}, // left high-high, still above high
		{94, warn, ""}, // and only beyond high-high is it critical again
		{82.5, warn, ""},
		{82, none, ""},
		{84, none, ""},
		{0, none, ""},
		{-0.5, adv, "bearing temperature -0.5 °C below its low limit of 0 °C for 10 s"},
		{-11, crit, "bearing temperature -11 °C below its low-low limit of -10 °C for 10 s"},
		{-7.5, crit, ""},
		{-6.5, adv, ""},
		{2.5, adv, ""},
		{3, none, ""},
		{120, crit, ""}, // from normal straight to high-high
		{-50, crit, "bearing temperature -50 °C below its low-low limit of -10 °C for 10 s"},
		{40, none, ""},
	} {
		at = at.Add(time.Second)
		v := k.Observe(at, value(c.value))
		if v.Severity != c.severity || (v.Judgement == kind.Bad) != (c.severity != none) || v.Value != c.value {
			t.Errorf("step %d, %v: %+v, want %v", i, c.value, v, c.severity)
		}
		if why := k.Explain(v, 10*time.Second); c.why != "" && why != c.why {
			t.Errorf("step %d: %q, want %q", i, why, c.why)
		}
	}
	lines := kind.Find("threshold").Limits(&s)
	if len(lines) != 4 || lines[0].Name != "low-low" || lines[0].Value != -10 || lines[0].Severity != crit || lines[1].Severity != adv || lines[3].Value != 95 {
		t.Errorf("lines to draw: %+v", lines)
	}
}

// An edit that takes a limit away leaves no verdict about it behind.
func TestThresholdEdited(t *testing.T) {
	s := full()
	k := make1(t, "threshold", &s, heat)
	k.Observe(start, value(97))
	edited := kind.Settings{Limits: kind.Limits{High: f(120)}, DeadBand: 3}
	after := make1(t, "threshold", &edited, heat)
	if err := after.Restore(k.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	if v := after.Observe(start.Add(time.Second), value(97)); v.Judgement != kind.Fine {
		t.Errorf("97 under a limit of 120: %+v", v)
	}
}

func TestSilenceOfAnAsset(t *testing.T) {
	s := kind.Settings{After: 10 * time.Second}
	k := make1(t, "silence", &s, nil)
	sec := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	ticks := func(from, to int) (v kind.Verdict) {
		for n := from; n <= to; n++ {
			v = k.Tick(sec(n))
		}
		return v
	}
	k.Tick(sec(0))
	if v := ticks(1, 9); v.Judgement != kind.Fine {
		t.Errorf("9 s after the start: %+v", v)
	}
	if v := ticks(10, 10); v.Judgement != kind.Bad {
		t.Errorf("10 s after the start, never heard: %+v", v)
	} else if why := k.Explain(v, 0); why != "no usable sample of any point for 10 s (allowed: 10 s); none was ever seen" {
		t.Error(why)
	}
	if v := k.Observe(sec(11), value(1)); v.Judgement != kind.Fine {
		t.Errorf("heard: %+v", v)
	}
	k.Observe(sec(12), &faultline.Sample{Quality: faultline.BadTimeout}) // an answer that tells nothing
	if v := ticks(13, 21); v.Judgement != kind.Bad {
		t.Errorf("bad samples only, for 10 s: %+v", v)
	} else if why := k.Explain(v, 0); why != "no usable sample of any point for 10 s (allowed: 10 s); the last was at 2026-03-01 08:00:11 UTC" {
		t.Error(why)
	}
	// The gateway was off for an hour: its clock stood still, the equipment could not be heard.
	k.Observe(sec(22), value(1))
	if v := k.Tick(sec(3622)); v.Judgement != kind.Fine {
		t.Errorf("the first tick after an hour's outage of the gateway: %+v", v)
	}
}

// Samples that are older than the gateway's clock are heard: heartbeats overtake frames, and equipment
// has clocks of its own.
func TestSilenceOfASlowClock(t *testing.T) {
	s := kind.Settings{After: 10 * time.Second}
	k := make1(t, "silence", &s, nil)
	for n := range 100 {
		at := start.Add(time.Duration(n) * time.Second)
		k.Tick(at)
		if v := k.Observe(at.Add(-time.Minute), value(1)); v.Judgement != kind.Fine {
			t.Fatalf("second %d: %+v", n, v)
		}
	}
}

func TestSilenceOfAPoint(t *testing.T) {
	s := kind.Settings{After: 10 * time.Second}
	k := make1(t, "silence", &s, heat)
	other := &faultline.Sample{Point: "other", Quality: faultline.Good, Value: faultline.Float(1)}
	at := start
	step := func(own, others bool) (v kind.Verdict) {
		at = at.Add(time.Second)
		if own {
			k.Observe(at, value(1))
		} else {
			k.Observe(at, &faultline.Sample{Point: heat.Name, Quality: faultline.BadNotAvailable})
		}
		if others {
			k.Observe(at, other)
		}
		return k.Tick(at.Add(time.Millisecond))
	}
	if v := step(true, true); v.Judgement != kind.Fine {
		t.Fatalf("both heard: %+v", v)
	}
	for range 9 {
		if v := step(false, true); v.Judgement != kind.Fine {
			t.Fatalf("too early: %+v", v)
		}
	}
	step(false, true)
	if v := step(false, true); v.Judgement != kind.Bad {
		t.Errorf("a dead sensor of an asset that is heard: %+v", v)
	}
	step(true, true)
	for i := range 30 {
		if v := step(false, false); v.Judgement == kind.Bad {
			t.Errorf("second %d: the asset is silent, that is not the sensor's alarm: %+v", i, v)
		}
	}
}

func TestMeter(t *testing.T) {
	s := kind.Settings{Every: 4000}
	k := make1(t, "meter", &s, hours).(*kind.Meter)
	at := start
	read := func(v float64) kind.Verdict {
		at = at.Add(time.Second)
		return k.Observe(at, &faultline.Sample{Point: "running_hours", Quality: faultline.Good, Value: faultline.Float(v)})
	}
	if _, ok := k.Serviced(); ok {
		t.Error("a meter that was never read took a service")
	}
	if v := read(3999.9); v.Judgement != kind.Fine || k.Cycle() != 1 {
		t.Fatalf("3999.9: %+v, cycle %d", v, k.Cycle())
	}
	v := read(4000)
	if v.Judgement != kind.Bad || v.Severity != faultline.SeverityAdvisory {
		t.Fatalf("4000: %+v", v)
	}
	if why := k.Explain(v, 0); why != "running hours 4000 h: 4000 h since the last service, which is due every 4000 h" {
		t.Error(why)
	}
	if v := read(4012); v.Judgement != kind.Bad {
		t.Errorf("still due at 4012: %+v", v)
	}
	if cycle, ok := k.Serviced(); !ok || cycle != 1 {
		t.Errorf("serviced: %d %v", cycle, ok)
	}
	if v := read(4013); v.Judgement != kind.Fine || k.Cycle() != 2 {
		t.Errorf("after the service: %+v, cycle %d", v, k.Cycle())
	}
	if v := read(8011.5); v.Judgement != kind.Fine {
		t.Errorf("3999.5 h after the service at 4012: %+v", v)
	}
	// One zero after a restart of the equipment is no new meter.
	for _, c := range []struct {
		value float64
		want  kind.Judgement
	}{{0, kind.Unknown}, {8011.6, kind.Fine}, {0, kind.Unknown}, {0, kind.Unknown}, {8012, kind.Bad}} {
		if v := read(c.value); v.Judgement != c.want {
			t.Errorf("%v: %+v, want %v", c.value, v, c.want)
		}
	}
	if cycle, _ := k.Serviced(); cycle != 2 {
		t.Errorf("second service ended cycle %d", cycle)
	}
	// A new meter: what was counted stays counted. 3,000 h on the old one, then 1,000 on the new.
	read(11012)
	for _, c := range []struct {
		value float64
		want  kind.Judgement
	}{{0, kind.Unknown}, {1, kind.Unknown}, {2, kind.Fine}, {999, kind.Fine}, {1000, kind.Bad}} {
		if v := read(c.value); v.Judgement != c.want {
			t.Errorf("new meter at %v: %+v, want %v", c.value, v, c.want)
		}
	}
	// One that is first seen late is not due for what nobody knows.
	late := make1(t, "meter", &s, hours).(*kind.Meter)
	if v := late.Observe(start, &faultline.Sample{Quality: faultline.Good, Value: faultline.Float(57000)}); v.Judgement != kind.Fine || late.Cycle() != 15 {
		t.Errorf("first seen at 57,000: %+v, cycle %d", v, late.Cycle())
	}
}

func TestState(t *testing.T) {
	for _, c := range []struct {
		is    []string
		point *faultline.Point
		value faultline.Value
		why   string // empty: fine
	}{
		{[]string{"oil pressure low"}, word, faultline.Int(0b1000), `alarm word reports "oil pressure low" (bit 3) for 2 s`},
		{[]string{"3", "7"}, word, faultline.Int(0b1000_1001), `alarm word reports "oil pressure low" (bit 3), "sensor fault" (bit 7) for 2 s`},
		{[]string{"3", "7"}, word, faultline.Int(0b0111_0111), ""},
		{[]string{"5"}, word, faultline.Int(0b10_0000), "alarm word reports bit 5 for 2 s"},
		{[]string{"tripped"}, mode, faultline.Int(2), `mode is "tripped" (2) for 2 s`},
		{[]string{"2"}, mode, faultline.Int(1), ""},
		{[]string{"false"}, &faultline.Point{Name: "flow_switch", Type: faultline.TypeBool}, faultline.Bool(false), "flow switch is false for 2 s"},
		{[]string{"on_battery"}, ups, faultline.String("ON_BATTERY"), `status is "on_battery" for 2 s`},
		{[]string{"on_battery"}, ups, faultline.String("online"), ""},
	} {
		s := kind.Settings{Is: c.is}
		k := make1(t, "state", &s, c.point)
		v := k.Observe(start, &faultline.Sample{Quality: faultline.Good, Value: c.value})
		if (v.Judgement == kind.Bad) != (c.why != "") {
			t.Errorf("%v of %s at %v: %+v", c.is, c.point.Name, c.value, v)
		}
		if c.why != "" && k.Explain(v, 2*time.Second) != c.why {
			t.Errorf("got  %s\nwant %s", k.Explain(v, 2*time.Second), c.why)
		}
	}
}
