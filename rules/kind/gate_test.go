package kind_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// Hours are those of the wall clock, on the days when it is put forward or back too.
func TestHours(t *testing.T) {
	for _, c := range []struct {
		hours, zone, at string // UTC
		want            bool
	}{
		{"mon-fri 08:00-18:00", "Europe/Berlin", "2026-03-27T07:00:00Z", true}, // Friday 08:00 CET
		{"mon-fri 08:00-18:00", "Europe/Berlin", "2026-03-27T06:59:59Z", false},
		{"mon-fri 08:00-18:00", "Europe/Berlin", "2026-03-30T06:00:00Z", true}, // Monday 08:00 CEST
		{"mon-fri 08:00-18:00", "Europe/Berlin", "2026-03-30T05:59:59Z", false},
		{"mon-fri 08:00-18:00", "Europe/Berlin", "2026-03-28T10:00:00Z", false},   // Saturday
		{"sun 02:00-03:00", "Europe/Berlin", "2026-03-29T01:30:00Z", false},       // 02:30 does not exist that night
		{"sun 02:00-03:00", "Europe/Berlin", "2026-10-25T00:30:00Z", true},        // 02:30, the first
		{"sun 02:00-03:00", "Europe/Berlin", "2026-10-25T01:30:00Z", true},        // and the second
		{"22:00-06:00", "", "2026-01-01T23:00:00Z", true},                         // over midnight
		{"22:00-06:00", "", "2026-01-01T05:59:00Z", true},                         //
		{"22:00-06:00", "", "2026-01-01T06:00:00Z", false},                        //
		{"fri 22:00-06:00", "", "2026-01-03T03:00:00Z", true},                     // Saturday morning belongs to Friday's night
		{"fri 22:00-06:00", "", "2026-01-02T03:00:00Z", false},                    // Friday morning to Thursday's
		{"thu 00:00-24:00", "Asia/Shanghai", "2024-02-28T17:00:00Z", true},        // the 29th in a leap year, a Thursday
		{"thu 00:00-24:00", "Asia/Shanghai", "2024-02-29T16:00:00Z", false},       // and then it is Friday, March 1st
		{"thu 22:00-06:00", "", "2024-03-01T05:00:00Z", true},                     // the night of the leap day
		{"wed 22:00-06:00", "", "2024-02-29T05:00:00Z", true},                     // and that before
		{"thu 08:00-09:00", "", "2023-03-01T08:30:00Z", false},                    // no leap year: a Wednesday
		{"sun 22:00-06:00", "Europe/Berlin", "2026-10-26T04:30:00Z", true},        // the night after the clock went back, 05:30 CET
		{"sat 22:00-06:00", "Europe/Berlin", "2026-10-25T04:59:59Z", true},        // the night in which it does, until 06:00 CET
		{"sat 22:00-06:00", "Europe/Berlin", "2026-10-25T05:00:00Z", false},       //
		{"sat 22:00-06:00", "Europe/Berlin", "2026-03-29T03:59:59Z", true},        // that in which it goes forward, until 06:00 CEST
		{"sat 22:00-06:00", "Europe/Berlin", "2026-03-29T04:00:00Z", false},       //
		{"sat-mon,wed 12:00-13:00", "", "2026-01-04T12:30:00Z", true},             // Sunday
		{"sat-mon,wed 12:00-13:00", "", "2026-01-06T12:30:00Z", false},            // Tuesday
		{"mon-fri 08:00-18:00", "America/New_York", "2026-07-06T12:00:00Z", true}, // 08:00 EDT
	} {
		s := kind.Settings{Limits: kind.Limits{High: f(85)}, Gate: kind.Gate{Hours: []string{c.hours}, Zone: c.zone}}
		k := make1(t, "threshold", &s, heat)
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		sample := good(faultline.Float(90))
		sample.Point = heat.Name
		if v := see(k, at, &sample); (v.Judgement == kind.Bad) != c.want {
			t.Errorf("%s %s at %s: %+v, want %v", c.hours, c.zone, c.at, v, c.want)
		}
	}
}

func TestGateSettings(t *testing.T) {
	for _, c := range []struct {
		gate kind.Gate
		want string
	}{
		{kind.Gate{While: "running", Inhibit: time.Minute, Hours: []string{"mon-fri 08:00-18:00"}, Zone: "Europe/Berlin"}, ""},
		{kind.Gate{While: "running &&"}, "while: unexpected token"},
		{kind.Gate{Inhibit: time.Minute}, "inhibit_after_start: needs while"},
		{kind.Gate{While: "running", Inhibit: -time.Minute}, "inhibit_after_start: -1m0s"},
		{kind.Gate{Hours: []string{"8-18"}}, "hours[0]: \"8-18\": use days and times"},
		{kind.Gate{Hours: []string{"08:00-18:00", "mo 08:00-18:00"}}, "hours[1]"},
		{kind.Gate{Hours: []string{"08:00-25:00"}}, "hours[0]"},
		{kind.Gate{Hours: []string{"08:00-18:00"}, Zone: "Berlin"}, "zone: \"Berlin\" is no time zone"},
		{kind.Gate{Zone: "Europe/Berlin"}, "zone: is of use with hours only"},
	} {
		got := ""
		c.gate.Check(func(field, format string, args ...any) { got += field + ": " + fmt.Sprintf(format, args...) + "\n" })
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.gate, got, c.want)
		}
	}
}

// A rule that begins to apply begins anew: what was before does not count.
func TestGateBeginsAnew(t *testing.T) {
	s := kind.Settings{After: 10 * time.Second, Gate: kind.Gate{While: "running", Inhibit: 3 * time.Second}}
	k := make1(t, "stuck", &s, heat)
	at := start
	second := func(is bool) kind.Verdict {
		at = at.Add(time.Second)
		flow, run := good(faultline.Float(5)), good(faultline.Bool(is))
		flow.Point, run.Point = heat.Name, running.Name
		k.Observe(at, &flow)
		k.Observe(at, &run) // comes after what it is a condition of
		return k.(kind.Framed).EndFrame(at)
	}
	for range 100 {
		if v := second(false); v.Judgement != kind.Fine {
			t.Fatalf("while it stands still: %+v", v)
		}
	}
	for i := range 13 {
		if v := second(true); v.Judgement != kind.Fine {
			t.Fatalf("second %d after the start: %+v", i, v)
		}
	}
	if v := second(true); v.Judgement != kind.Bad || !strings.HasSuffix(k.Explain(v, 0), "for 10 s (allowed: 10 s), while running") {
		t.Errorf("%+v: %s", v, k.Explain(v, 0))
	}
	if v := second(false); v.Judgement != kind.Fine {
		t.Errorf("stopped: %+v", v)
	}
}

// Whatever people write: it is refused or it can be judged, and judging it neither fails nor takes long.
func FuzzExpression(fz *testing.F) {
	for _, text := range []string{"running", "bearing_temperature > 3 && mode == \"running\"", "starts_over(running, \"1h\") > 3", "not (status == \"x\") ? running : false",
		"round(bearing_temperature) % 3 == 1", "mode / 0 > 1", "avg_over(bearing_temperature, \"1m\") - min_over(bearing_temperature, \"5m\") > 1", "2 ** 2 ** 2 ** 2 ** 2 > 1"} {
		fz.Add(text)
	}
	fz.Fuzz(func(t *testing.T, text string) {
		s := kind.Settings{Expr: text}
		bad := false
		kind.Find("expression").Check(&s, func(string, string, ...any) { bad = true })
		k, _, err := kind.Find("expression").Make(&s, nil, points)
		if bad && err == nil {
			t.Fatalf("%q was refused and then taken", text)
		}
		if err != nil {
			return
		}
		for i := range 3 {
			at := start.Add(time.Duration(i) * time.Second)
			for _, sample := range []faultline.Sample{
				{Point: heat.Name, Value: faultline.Float(float64(i))}, {Point: hours.Name, Value: faultline.Float(1)}, {Point: word.Name, Value: faultline.Int(3)},
				{Point: mode.Name, Value: faultline.Int(int64(i))}, {Point: ups.Name, Value: faultline.String("x")}, {Point: running.Name, Value: faultline.Bool(i == 1)}} {
				sample.Quality = faultline.Good
				k.Observe(at, &sample)
			}
			if v := k.(kind.Framed).EndFrame(at); v.Judgement == kind.Bad {
				_ = k.Explain(v, time.Second)
			}
		}
		again, _, _ := kind.Find("expression").Make(&s, nil, points)
		if err := again.Restore(k.Snapshot(nil)); err != nil {
			t.Fatalf("%q: its own snapshot is refused: %v", text, err)
		}
	})
}
