package backtest

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules"
)

// minutes is a source of level and flow, a reading a minute.
type minutes struct {
	n     int
	value func(minute int) (level, flow float64)
}

func (m minutes) Step() time.Duration { return time.Minute }
func (m minutes) Used() string        { return "minutes" }
func (m minutes) Frames(_ context.Context, _, _ time.Time, show func(*faultline.Frame) error) error {
	for i := range m.n {
		level, flow := m.value(i)
		f := faultline.Frame{Kind: "tank", Site: "plant", Position: "T-1", Gateway: "gw", Time: begin.Add(time.Duration(i) * time.Minute), Samples: []faultline.Sample{
			{Point: "level", Value: faultline.Float(level), Quality: faultline.Good}, {Point: "flow", Value: faultline.Float(flow), Quality: faultline.Good},
		}}
		if err := show(&f); err != nil {
			return err
		}
	}
	return nil
}

// Rules that learn are tried on the past as all others: what they would have told, when, with its evidence.
func TestBackTestOfRulesThatLearn(t *testing.T) {
	set, err := rules.Load(nil, rules.File{Name: "learn.rules.yaml", Data: []byte(`
rules:
  - {id: odd, title: Level unusual, kind: deviation, asset_kind: tank, point: level, step: 1m, learn: 24h, off_delay: 10m, failure_mode: unusual_signal, family: level}
  - {id: apart, title: Level and flow apart, kind: joint, asset_kind: tank, points: [level, flow], step: 1m, learn: 12h, on_delay: 5m, failure_mode: unusual_signal, family: together}
  - {id: wears, title: Level on its way, kind: life, asset_kind: tank, point: level, limits: {high: 90}, learn: 24h, lead: 72h, on_delay: 2h, failure_mode: clogged_filter, family: wear}
`)})
	if err != nil {
		t.Fatal(err)
	}
	position := tank()
	position.Points = append(position.Points, faultline.Point{Name: "flow", Type: faultline.TypeFloat, Unit: "m³/h"})
	noise := func(i int, k float64) float64 { return math.Mod(float64(i)*k, 1) - 0.5 }
	normal := func(i int) (level, flow float64) {
		x := 4 * math.Sin(float64(i)/5)
		return 50 + x + noise(i, 0.618), 20 + x/2 + 0.3*noise(i, 0.737)
	}
	for rule, c := range map[string]struct {
		kind, why string
		from      int // minute from which something happens
		value     func(i int) (level, flow float64)
	}{
		"odd": {"deviation", "is normal now", 2000, func(i int) (float64, float64) {
			l, f := normal(i)
			if i >= 2000 && i < 2010 {
				l += 30
			}
			return l, f
		}},
		"apart": {"joint", "goes with the other signals", 2000, func(i int) (float64, float64) {
			l, f := normal(i)
			if i >= 2000 {
				f += 15
			}
			return l, f
		}},
		"wears": {"life", "will reach 90 %", 2000, func(i int) (float64, float64) {
			l, f := normal(i)
			return l + float64(max(0, i-2000))*0.012, f
		}},
	} {
		only, err := set.Only(rule)
		if err != nil {
			t.Fatal(err)
		}
		n := 2200
		if rule == "wears" {
			n = 4500
		}
		r, err := Run(t.Context(), Options{Set: only, Position: position, From: begin, To: begin.Add(time.Duration(n) * time.Minute), Source: minutes{n, c.value}, Pictures: 5})
		if err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
		if len(r.Alarms) == 0 || len(r.Tickets) != 1 {
			t.Errorf("%s: %d alarms, %d tickets", rule, len(r.Alarms), len(r.Tickets))
			continue
		}
		a := r.Alarms[0]
		if !strings.Contains(a.Why, c.why) || a.RaisedAt.Before(begin.Add(time.Duration(c.from)*time.Minute)) {
			t.Errorf("%s: raised %v: %s", rule, a.RaisedAt, a.Why)
		}
		if e := a.Evidence; e == nil || e.Kind != c.kind || len(e.Limits) == 0 || len(e.Samples) == 0 || (e.Forecast != nil) != (c.kind == "life") || (len(e.Parts) > 0) != (c.kind != "life") {
			t.Errorf("%s: evidence %+v", rule, e)
		}
	}
}
