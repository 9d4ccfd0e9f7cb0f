package rules

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestMemory(t *testing.T) {
	at := func(hours float64) int64 {
		return start.Truncate(time.Hour).Add(time.Duration(hours * float64(time.Hour))).UnixNano()
	}
	m := &memory{}
	for h := range 60 {
		if h == 50 { // an hour without a value
			continue
		}
		m.add(at(float64(h)), float64(h))
		m.add(at(float64(h)+0.5), float64(h)+1)
	}
	m.add(at(3), 1e6) // the past is over
	first := m.hour - 59
	for h := range 60 {
		v, ok := m.mean(first + int64(h))
		if want := h > 59-memoryHours && h < 59 && h != 50; ok != want || ok && v != float64(h)+0.5 {
			t.Errorf("hour %d: %v %v", h, v, ok)
		}
	}
	var again memory
	in := &input{b: m.snapshot(nil)}
	again.restore(in)
	if in.err != nil || string(again.snapshot(nil)) != string(m.snapshot(nil)) {
		t.Errorf("restored: %v\n%v\n%v", in.err, again, *m)
	}
	state := m.snapshot(nil)
	for cut := 1; cut < len(state)-1; cut++ { // a mean less is a whole state, too
		in := &input{b: state[:cut]}
		if again.restore(in); in.err == nil && (len(state)-cut)%5 != 0 {
			t.Fatalf("a state cut to %d of %d bytes was taken", cut, len(state))
		}
	}
	m.add(at(59+500), 7) // after three weeks nothing of the past is left
	if _, ok := m.mean(m.hour - 1); ok || m.n != 1 || m.sum != 7 {
		t.Errorf("after a long gap: %+v", m)
	}
}

const hourlyRules = `
rules:
  - {id: hot, title: Bearing hot, kind: threshold, asset_kind: pump, point: bearing_temperature, load: motor_current, limits: {high: 85}, on_delay: 120s, failure_mode: bearing_damage, family: bearing}
  - {id: warm, title: Winding warm, kind: threshold, asset_kind: pump, point: winding, load: nothing_like_it, limits: {high: 85}, failure_mode: overheating, family: motor}
`

// A story of hours, with a restart at every so many frames: the sentence is the same as without.
func TestCourseOverHours(t *testing.T) {
	set, err := Load(nil, File{"hourly.yaml", []byte(hourlyRules)})
	if err != nil {
		t.Fatal(err)
	}
	p := &faultline.Position{Site: "plant", ID: "P-1", Kind: "pump", Points: []faultline.Point{
		{Name: "bearing_temperature", Unit: "°C", Type: faultline.TypeFloat}, {Name: "motor_current", Title: "Motor current", Unit: "A", Type: faultline.TypeFloat},
		{Name: "winding", Unit: "°C", Type: faultline.TypeFloat}}}
	start := start.Truncate(time.Hour)
	slope := func(minute int) float64 { return 75 + max(0, float64(minute-600))/60*11/6 } // 10 h steady, then 11 °C in 6 h
	for _, c := range []struct {
		name          string
		value         func(minute int) float64
		load          func(minute int) float64 // negative: bad
		bearing, warm string
	}{
		{"the load was steady", slope, func(int) float64 { return 42 },
			"bearing temperature 85.1 °C above its high limit of 85 °C for 2 min; it rose 10.1 °C in 6 h while motor current was steady at 42 A; since",
			"winding 85.02 °C above its high limit of 85 °C; it rose 10 °C in 6 h"},
		{"the load rose", slope, func(m int) float64 { return 42 + max(0, float64(m-600))/60 }, "in 6 h while motor current rose 5.24 A to 47.2 A", ""},
		{"the load fell", slope, func(m int) float64 { return 42 - max(0, float64(m-600))/60 }, "while motor current fell 5.24 A to 36.8 A", ""},
		{"the load went up and down", slope, func(m int) float64 { return 40 + 10*float64(m/60%2) }, "while motor current went between 40 A and 50 A", ""},
		{"the load is not known", slope, func(int) float64 { return -1 }, "it rose 10.1 °C in 6 h; since", ""},
		{"it jumped", func(m int) float64 { return 75 + float64(m/900*12) }, func(int) float64 { return 42 }, "bearing temperature 87 °C above its high limit of 85 °C for 2 min; since", ""},
	} {
		tell := func(restartEvery int) (list []effect) {
			u, _ := newUnit(set, p)
			for minute := range 1000 {
				at := start.Add(time.Duration(minute) * time.Minute)
				load := faultline.Sample{Point: "motor_current", Quality: faultline.Good, Value: faultline.Float(c.load(minute))}
				if c.load(minute) < 0 {
					load.Quality, load.Value = faultline.BadTimeout, faultline.Value{}
				}
				list, _ = u.frame(faultline.FrameID{Epoch: "e", Sequence: uint64(minute + 1)}, &faultline.Frame{Time: at, Samples: []faultline.Sample{
					{Point: "bearing_temperature", Quality: faultline.Good, Value: faultline.Float(c.value(minute))}, load,
					{Point: "winding", Quality: faultline.Good, Value: faultline.Float(c.value(minute))}}}, at, list)
				if restartEvery > 0 && minute%restartEvery == 0 {
					state, err := u.snapshot()
					if err != nil {
						t.Fatal(err)
					}
					u, _ = newUnit(set, p)
					if _, err := u.restore(state); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i := range list {
				list[i].unit, list[i].rule = nil, nil
			}
			return list
		}
		got := tell(0)
		for _, e := range got {
			want := c.bearing
			if e.alarm.Rule == "warm" {
				want = c.warm
			}
			if !strings.Contains(e.alarm.Why, want) {
				t.Errorf("%s, %s:\n got %s\nwant %s", c.name, e.alarm.Rule, e.alarm.Why, want)
			}
			if e.alarm.Rule == "hot" && (e.alarm.RaisedAt.Sub(e.alarm.BeganAt) != 2*time.Minute || !e.evidence.BeganAt.Equal(e.alarm.BeganAt)) {
				t.Errorf("%s: began %v, raised %v, evidence %v", c.name, e.alarm.BeganAt, e.alarm.RaisedAt, e.evidence.BeganAt)
			}
		}
		if len(got) != 2 {
			t.Errorf("%s: %d effects", c.name, len(got))
		}
		for _, every := range []int{1, 7, 61} {
			if again := tell(every); !reflect.DeepEqual(again, got) {
				t.Errorf("%s, restarted every %d frames: %+v", c.name, every, again)
			}
		}
	}
}
