package kind_test

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// told is what was first found bad: after how many samples, and the sentence.
func told(k kind.Kind, every time.Duration, samples ...faultline.Sample) (int, string) {
	at := start
	for i := range samples {
		at = at.Add(every)
		if v := k.Observe(at, &samples[i]); v.Judgement == kind.Bad {
			return i, k.Explain(v, 0)
		}
	}
	return -1, ""
}

func good(v faultline.Value) faultline.Sample {
	return faultline.Sample{Quality: faultline.Good, Value: v}
}

// times makes n samples of what value gives.
func times(n int, value func(i int) faultline.Value) []faultline.Sample {
	list := make([]faultline.Sample, n)
	for i := range list {
		list[i] = good(value(i))
	}
	return list
}

func TestKindsOverTime(t *testing.T) {
	climb := func(perMinute float64) []faultline.Sample {
		return times(120, func(i int) faultline.Value {
			return faultline.Float(60 + perMinute*float64(i) + float64(i%2)) // with a degree of noise
		})
	}
	still := times(100, func(int) faultline.Value { return faultline.Float(12.3) })
	gap := append(append(append([]faultline.Sample{}, still[:20]...), times2(50, faultline.BadTimeout)...), still[:20]...)
	modes := func(text string) []faultline.Sample {
		return times(len(text), func(i int) faultline.Value { return faultline.Int(int64(text[i] - '0')) })
	}
	rising := kind.Settings{Limits: kind.Limits{High: f(10)}, Within: 30 * time.Minute}
	for _, c := range []struct {
		name, kind string
		settings   kind.Settings
		point      *faultline.Point
		samples    []faultline.Sample
		at         int
		why        string
	}{
		{"rises fast", "rate", rising, heat, climb(0.25), 22,
			"bearing temperature rises by 14.9 °C in 60 min, measured over 30 min; its high limit is 10 °C in 60 min"},
		{"rises slowly", "rate", rising, heat, climb(0.1), -1, ""},
		{"falls", "rate", kind.Settings{Limits: kind.Limits{Low: f(-2)}, Within: 30 * time.Minute, Per: 10 * time.Minute}, heat, climb(-0.5), 22,
			"bearing temperature falls by 4.97 °C in 10 min, measured over 30 min; its low limit is 2 °C in 10 min"},
		{"does not move", "stuck", kind.Settings{After: 30 * time.Minute}, heat, still, 30, "bearing temperature has not moved from 12.3 °C for 30 min (allowed: 30 min)"},
		{"moves a little", "stuck", kind.Settings{After: 30 * time.Minute}, heat, climb(0.01), -1, ""},
		{"a time without data is not standing still", "stuck", kind.Settings{After: 30 * time.Minute}, heat, gap, 81, "bearing temperature has not moved from 12.3 °C for 30 min (allowed: 30 min)"},
		{"too long in a state", "duration", kind.Settings{Is: []string{"tripped"}, After: 5 * time.Minute}, mode, modes("1221222222222"), 9,
			`mode is "tripped" (2) for 5 min (allowed: 5 min)`},
		{"too much of a window in a state", "duration", kind.Settings{Is: []string{"tripped"}, After: 5 * time.Minute, Within: 20 * time.Minute}, mode, modes("121212121212"), 10,
			"mode was tripped for 5 min of the last 20 min (allowed: 5 min)"},
		{"not so much", "duration", kind.Settings{Is: []string{"tripped"}, After: 5 * time.Minute, Within: 8 * time.Minute}, mode, modes("1212121212121212121212"), -1, ""},
		{"starts", "counter", kind.Settings{Limits: kind.Limits{High: f(3)}, Within: time.Hour, Is: []string{"running"}}, mode, modes("0101010101"), 7,
			"mode became running 4 times in 60 min; its high limit is 3 times"},
		{"starts of a whole day are no fault", "counter", kind.Settings{Limits: kind.Limits{High: f(3)}, Within: 4 * time.Minute, Is: []string{"running"}}, mode, modes("01010101010101010101"), -1, ""},
		{"a meter", "counter", kind.Settings{Limits: kind.Limits{High: f(5)}, Within: time.Hour}, hours,
			times(20, func(i int) faultline.Value { return faultline.Float(100 + float64(i%10)) }), 6, "running hours rose by 6 h in 60 min; its high limit is 5 h"},
	} {
		k := make1(t, c.kind, &c.settings, c.point)
		if at, why := told(k, time.Minute, c.samples...); at != c.at || why != c.why {
			t.Errorf("%s: sample %d: %q, want %d: %q", c.name, at, why, c.at, c.why)
		}
	}
}

func times2(n int, q faultline.Quality) []faultline.Sample {
	list := make([]faultline.Sample, n)
	for i := range list {
		list[i].Quality = q
	}
	return list
}

// A window that was edited begins anew.
func TestEditedWindow(t *testing.T) {
	s := kind.Settings{Limits: kind.Limits{High: f(3)}, Within: time.Hour, Is: []string{"running"}}
	k := make1(t, "counter", &s, mode)
	for i := range 6 {
		k.Observe(start.Add(time.Duration(i)*time.Minute), &faultline.Sample{Quality: faultline.Good, Value: faultline.Int(int64(i % 2))})
	}
	s.Within = time.Minute
	edited := make1(t, "counter", &s, mode)
	if err := edited.Restore(k.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	if v := edited.Observe(start.Add(7*time.Minute), &faultline.Sample{Quality: faultline.Good, Value: faultline.Int(0)}); v.Value != 0 {
		t.Errorf("after an edit of the window: %+v", v)
	}
}

// Kinds that wait before they find something bad know when it began.
func TestBegan(t *testing.T) {
	at := func(second float64) time.Time { return start.Add(time.Duration(second * float64(time.Second))) }
	flat := func(second int) faultline.Value { return faultline.Float(float64(max(0, 5-second))) } // still from 5 s on
	for _, c := range []struct {
		name, kind string
		settings   kind.Settings
		point      *faultline.Point
		value      func(second int) faultline.Value // NoType: no sample
		began      float64                          // seconds; negative: the kind says nothing
	}{
		{"stuck", "stuck", kind.Settings{After: 20 * time.Second}, heat, flat, 5},
		{"stuck while", "stuck", kind.Settings{After: 20 * time.Second, Gate: kind.Gate{While: "bearing_temperature < 10"}}, heat, flat, 5},
		{"duration", "duration", kind.Settings{Is: []string{"tripped"}, After: 20 * time.Second}, mode, func(s int) faultline.Value { return faultline.Int(int64(min(2, s/4))) }, 8},
		{"duration in a window", "duration", kind.Settings{Is: []string{"tripped"}, After: 20 * time.Second, Within: time.Minute}, mode, func(s int) faultline.Value { return faultline.Int(int64(s % 2 * 2)) }, -1},
		{"silence", "silence", kind.Settings{After: 20 * time.Second}, nil, func(s int) faultline.Value {
			if s > 7 {
				return faultline.Value{}
			}
			return faultline.Float(1)
		}, 7},
		{"threshold", "threshold", full(), heat, func(s int) faultline.Value { return faultline.Float(float64(s * 4)) }, -1},
	} {
		k := make1(t, c.kind, &c.settings, c.point)
		found := 0
		for s := range 70 {
			v := kind.Verdict{}
			if value := c.value(s); value.Type() != faultline.NoType {
				sample := &faultline.Sample{Quality: faultline.Good, Value: value}
				if c.point != nil {
					sample.Point = c.point.Name
				}
				v = see(k, at(float64(s)), sample)
			}
			now := at(float64(s) + 0.5)
			if ticked := k.Tick(now); ticked.Judgement != kind.NoNews {
				v = ticked
			} else {
				now = at(float64(s))
			}
			if v.Judgement != kind.Bad {
				continue
			}
			found++
			began, known := kind.Began(k, v, now)
			if known != (c.began >= 0) || known && !began.Equal(at(c.began)) {
				t.Errorf("%s: at %v: began %v %v, want %v", c.name, now.Sub(start), began.Sub(start), known, c.began)
				break
			}
		}
		if found == 0 {
			t.Errorf("%s: nothing was found", c.name)
		}
	}
}
