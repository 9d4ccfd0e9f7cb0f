package kind_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

var power = &faultline.Point{Name: "motor_power", Title: "Motor power", Unit: "kW", Type: faultline.TypeFloat}

func comparer(t *testing.T, s *kind.Settings) kind.Comparer {
	t.Helper()
	k, watch, err := kind.Find("peer").Make(s, heat, []faultline.Point{*heat, *power, *running})
	if err != nil || watch[0] != heat.Name {
		t.Fatal(watch, err)
	}
	c, ok := kind.AsComparer(k)
	if !ok {
		t.Fatal("it does not compare")
	}
	return c
}

// at makes summaries of a window: value, load, value, load …
func at(window int64, numbers ...float64) []kind.Summary {
	var list []kind.Summary
	for i := 0; i+1 < len(numbers); i += 2 {
		list = append(list, kind.Summary{Window: window, Value: numbers[i], Load: numbers[i+1]})
	}
	return list
}

func TestPeers(t *testing.T) {
	plain := kind.Settings{Within: 10 * time.Minute, Least: 8, Score: 4}
	loaded := kind.Settings{Within: 10 * time.Minute, Least: 8, Score: 4, Load: power.Name, Tolerance: 2}
	side := kind.Settings{Within: 10 * time.Minute, Least: 8, Score: 4, Side: "high"}
	five := kind.Settings{Within: 10 * time.Minute, Least: 8, Score: 4, Peers: 5}
	for _, c := range []struct {
		name     string
		settings *kind.Settings
		own      [2]float64
		others   []kind.Summary
		want     kind.Judgement
		why      string
	}{
		{"far above", &plain, [2]float64{81, 0}, at(1, 66, 0, 67, 0, 68, 0, 67, 0, 66.5, 0), kind.Bad,
			"bearing temperature 81 °C, 14 °C above the median 67 °C of 5 peers for 30 min: 7.0 times the spread of 2 °C in means of 10 min"},
		{"near", &plain, [2]float64{74, 0}, at(1, 66, 0, 67, 0, 68, 0, 67, 0, 66.5, 0), kind.Fine, ""},
		{"far below", &plain, [2]float64{50, 0}, at(1, 66, 0, 67, 0, 68, 0), kind.Bad, "17 °C below the median 67 °C of 3 peers"},
		{"far below, where only above counts", &side, [2]float64{50, 0}, at(1, 66, 0, 67, 0, 68, 0), kind.Fine, ""},
		{"two peers", &plain, [2]float64{81, 0}, at(1, 66, 0, 67, 0), kind.Unknown, ""},
		{"none", &plain, [2]float64{81, 0}, nil, kind.Unknown, ""},
		{"four where five are needed", &five, [2]float64{81, 0}, at(1, 66, 0, 67, 0, 66, 0, 67, 0), kind.Unknown, ""},
		{"one of the peers is wild", &plain, [2]float64{67, 0}, at(1, 66, 0, 67, 0, 68, 0, 900, 0), kind.Fine, ""},
		{"the peers differ widely", &plain, [2]float64{81, 0}, at(1, 50, 0, 60, 0, 67, 0, 74, 0, 85, 0), kind.Fine, ""},
		{"others at another load", &loaded, [2]float64{81, 30}, at(1, 66, 12, 67, 11, 68, 13, 80, 31), kind.Unknown, ""},
		{"at like load", &loaded, [2]float64{81, 30}, at(1, 66, 12, 67, 29, 67, 31, 67.5, 30), kind.Bad,
			"81 °C, 14 °C above the median 67 °C of 3 peers at like load for 30 min: 7.0 times the spread of 2 °C in means of 10 min, at motor power 30 kW ± 2 kW"},
	} {
		k := comparer(t, c.settings)
		own := kind.Summary{Window: 1, Value: c.own[0], Load: c.own[1]}
		v := k.Compare(1, &own, c.others)
		if v.Judgement != c.want {
			t.Errorf("%s: %+v", c.name, v)
			continue
		}
		if v.Judgement == kind.Bad && !strings.Contains(k.Explain(v, 30*time.Minute), c.why) {
			t.Errorf("%s: %s", c.name, k.Explain(v, 30*time.Minute))
		}
		if again := k.Compare(1, &own, nil); again.Judgement != kind.NoNews {
			t.Errorf("%s: the same window once more: %+v", c.name, again)
		}
	}
	band := comparer(t, &side)
	own := at(1, 67, 0)[0]
	band.Compare(1, &own, at(1, 66, 0, 67, 0, 68, 0))
	if lines := band.Band(); len(lines) != 1 || lines[0].Value != 75 {
		t.Errorf("the band is %+v, want up to 75", lines)
	}
}

// What was bad is bad until it is back by the dead band, and holds no longer than two windows.
func TestPeerHolds(t *testing.T) {
	s := kind.Settings{Within: time.Minute, Least: 8, Score: 4, DeadBand: 3}
	k := comparer(t, &s)
	others := at(1, 66, 0, 67, 0, 68, 0)
	first := start.Unix() / 60
	for i, c := range []struct {
		own  float64
		want kind.Judgement
	}{{75, kind.Fine}, {75.1, kind.Bad}, {72.1, kind.Bad}, {72, kind.Fine}, {75, kind.Fine}, {90, kind.Bad}} {
		own := kind.Summary{Value: c.own}
		if v := k.Compare(first+int64(i), &own, others); v.Judgement != c.want {
			t.Errorf("%v: %+v", c.own, v)
		}
	}
	sample := good(faultline.Float(90))
	sample.Point = heat.Name
	for minutes, want := range map[int]kind.Judgement{6: kind.Bad, 8: kind.Unknown} {
		if v := comparerAfter(t, k, &s).Observe(time.Unix((first+int64(minutes))*60, 0), &sample); v.Judgement != want {
			t.Errorf("minute %d: %+v", minutes, v)
		}
	}
}

func comparerAfter(t *testing.T, k kind.Comparer, s *kind.Settings) kind.Comparer {
	t.Helper()
	n := comparer(t, s)
	if err := n.Restore(k.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	return n
}

// A window counts if half of its tenths have a usable sample, of the load too.
func TestPeerWindows(t *testing.T) {
	s := kind.Settings{Within: 10 * time.Minute, Least: 8, Load: power.Name, Tolerance: 2}
	k := comparer(t, &s)
	begin := start.Truncate(10 * time.Minute)
	window := func(value, load int) (kind.Summary, int64) {
		for m := range 10 {
			for _, c := range []struct {
				point string
				good  bool
				value float64
			}{{heat.Name, m < value, 60 + float64(m)}, {power.Name, m < load, 30}} {
				sample := faultline.Sample{Point: c.point, Quality: faultline.BadTimeout}
				if c.good {
					sample.Quality, sample.Value = faultline.Good, faultline.Float(c.value)
				}
				k.Observe(begin.Add(time.Duration(m)*time.Minute), &sample)
			}
		}
		begin = begin.Add(10 * time.Minute)
		k.Observe(begin, &faultline.Sample{Point: "another_point", Quality: faultline.Good, Value: faultline.Float(1)})
		return k.Closed()
	}
	usable := int64(0)
	for _, c := range []struct {
		value, load int
		mean        float64 // 0: of no use
	}{{10, 10, 64.5}, {4, 10, 0}, {10, 4, 0}, {5, 5, 62}, {0, 0, 0}} {
		last, over := window(c.value, c.load)
		if want := begin.Unix()/600 - 1; over != want {
			t.Errorf("window %d is over, want %d", over, want)
		}
		if is := last.Window == over; is != (c.mean != 0) {
			t.Errorf("%+v: usable %v", c, is)
		} else if is {
			if usable++; last.Value != c.mean || last.Load != 30 {
				t.Errorf("%+v: %+v", c, last)
			}
		}
	}
	if usable != 2 {
		t.Errorf("%d usable windows", usable)
	}
}

// While the rule does not apply, nothing is said of peers.
func TestPeerGate(t *testing.T) {
	s := kind.Settings{Within: time.Minute, Least: 8, Gate: kind.Gate{While: "running"}}
	k := comparer(t, &s)
	sample := good(faultline.Bool(false))
	sample.Point = running.Name
	own := kind.Summary{Value: 100}
	for i, want := range []kind.Judgement{kind.NoNews, kind.Bad, kind.NoNews} {
		if i == 1 {
			sample.Value = faultline.Bool(true)
		} else {
			sample.Value = faultline.Bool(false)
		}
		frame := start.Add(time.Duration(i) * time.Minute)
		k.Observe(frame, &sample)
		k.(kind.Framed).EndFrame(frame)
		if v := k.Compare(frame.Unix()/60-1, &own, at(1, 66, 0, 67, 0, 68, 0)); v.Judgement != want {
			t.Errorf("minute %d: %+v", i, v)
		}
	}
	if text := k.Explain(kind.Verdict{Value: 100, Limit: 67}, 0); !strings.HasSuffix(text, ", while running") {
		t.Error(text)
	}
}

func TestPeerSettings(t *testing.T) {
	for _, c := range []struct {
		s    kind.Settings
		want string
	}{
		{kind.Settings{Within: time.Hour, Least: 8, Load: "motor_power", Tolerance: 2, Peers: 4, Side: "low", DeadBand: 1}, ""},
		{kind.Settings{}, "least: must be a positive number"},
		{kind.Settings{Least: 8, Within: time.Second}, "within: 1s: use 1m0s to 24h0m0s"},
		{kind.Settings{Least: 8, Peers: 2}, "peers: 2: use 3 to 1000"},
		{kind.Settings{Least: 8, Load: "motor_power"}, "tolerance: must be a positive number"},
		{kind.Settings{Least: 8, Tolerance: 3}, "tolerance: is of use with load only"},
		{kind.Settings{Least: 8, Load: "motor power", Tolerance: 3}, "load: "},
		{kind.Settings{Least: 8, Side: "left"}, "side: \"left\""},
		{kind.Settings{Least: 8, DeadBand: 8}, "dead_band: 8"},
		{kind.Settings{Least: 8, Score: -1}, "score: -1"},
	} {
		got := ""
		kind.Find("peer").Check(&c.s, func(field, format string, args ...any) { got += field + ": " + fmt.Sprintf(format, args...) + "\n" })
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.s, got, c.want)
		}
	}
	s := kind.Settings{Least: 8, Load: "speed", Tolerance: 3}
	if _, _, err := kind.Find("peer").Make(&s, heat, points); err == nil || !strings.Contains(err.Error(), "does not have the point speed") {
		t.Error(err)
	}
}
