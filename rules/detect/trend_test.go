package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

const hour = 3600 * 1e9

// shown feeds a trend a value an hour and gives the forecast after each.
func shown(t *Trend, hours int, value func(h int) float64) []Forecast {
	list := make([]Forecast, hours)
	for h := range list {
		list[h] = t.Step(int64(h)*hour, value(h))
	}
	return list
}

// daily is a signal with noise, a course of the day and one of the week.
func daily(r *rand.Rand) func(h int) float64 {
	return func(h int) float64 {
		return 20 + 0.5*math.Sin(float64(h)/24*2*math.Pi) + 0.2*math.Sin(float64(h)/168*2*math.Pi) + 0.1*r.NormFloat64()
	}
}

func TestNoForecastWhereNothingDegrades(t *testing.T) {
	for seed := range uint64(12) {
		var normal func(h int) float64
		for what, value := range map[string]func(h int) float64{
			"as ever":          func(h int) float64 { return normal(h) },
			"another level":    func(h int) float64 { return normal(h) + 3*math.Round(float64(min(h, 400))/400) },
			"away from it":     func(h int) float64 { return normal(h) - float64(h)/100 },
			"a spike":          func(h int) float64 { return normal(h) + 8*float64(h/500%2*(1-min(h%500, 1))) },
			"a part of it":     func(h int) float64 { return normal(h) + 0.5*float64(h)/1000 },
			"constant, then 5": func(h int) float64 { return 20 + 5*float64(min(h/300, 1)) },
		} {
			normal = daily(rand.New(rand.NewPCG(seed, 1))) // of its own: maps have no order
			for h, f := range shown(NewTrend(40, true, 168), 1000, value) {
				if f.Refusal == Certain && f.P10 < 336*hour {
					t.Fatalf("seed %d, %s: hour %d: %+v", seed, what, h, f)
				}
			}
		}
	}
}

// How often the truth lies where the forecast says: of degradations of many lengths and shapes, between
// the tenths in eight of ten, above the early one in nine. The bounds are wide, since forecasts of one
// degradation are alike.
func TestForecastIntervals(t *testing.T) {
	var all, inside, early int
	var wrong []float64
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 2))
		normal := daily(r)
		onset, length, up := 200+r.IntN(100), 120+r.IntN(600), seed%2 == 0
		grow := func(h int) float64 {
			x := float64(h-onset) / float64(length)
			switch {
			case x <= 0:
				return 0
			case seed%3 == 0:
				return 20 * (math.Exp(4*x) - 1) / (math.E*math.E*math.E*math.E - 1)
			}
			return 20 * x
		}
		limit, sign := 40.0, 1.0
		if !up {
			limit, sign = 0, -1
		}
		for h, f := range shown(NewTrend(limit, up, 168), onset+length, func(h int) float64 { return normal(h) + sign*grow(h) }) {
			if f.Refusal != Certain {
				continue
			}
			if h < onset {
				t.Fatalf("seed %d: a forecast %d hours before anything degrades: %+v", seed, onset-h, f)
			}
			left := float64(onset+length-h) * hour
			all++
			if f.P10 <= left {
				early++
				if f.P90 >= left {
					inside++
				}
			}
			wrong = append(wrong, math.Abs(f.P50-left)/left)
		}
	}
	in, above := float64(inside)/float64(all), float64(early)/float64(all)
	t.Logf("%d forecasts: %.2f inside, %.2f above the early tenth, half of them wrong by less than %.0f %%", all, in, above, 100*median(wrong))
	if all < 5000 || in < 0.65 || above < 0.8 {
		t.Errorf("%d forecasts, %.2f inside, %.2f above the early tenth", all, in, above)
	}
}

func TestTrendSeesTheExponential(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	normal := daily(r)
	tr := NewTrend(40, true, 168)
	var f Forecast
	for h := range 340 {
		f = tr.Step(int64(h)*hour, normal(h)+math.Exp(float64(max(0, h-200))/70)-1)
	}
	if f.Refusal != Certain || f.Model != Exponential {
		t.Errorf("%+v", f)
	}
	if left := (200 + 70*math.Log(21) - 339) * hour; math.Abs(f.P50-left) > 0.3*left {
		t.Errorf("%.0f h left, forecast %+v", left/hour, f)
	}
}

// A trend in other units says the same.
func TestTrendScales(t *testing.T) {
	value := func(factor, shift float64) func(h int) float64 {
		normal := daily(rand.New(rand.NewPCG(1, 4)))
		return func(h int) float64 { return factor*(normal(h)+float64(max(0, h-200))/20) + shift }
	}
	a := shown(NewTrend(40, true, 168), 500, value(1, 0))
	b := shown(NewTrend(40*-8+4, false, 168), 500, value(-8, 4))
	for h := range a {
		if a[h].Refusal != b[h].Refusal || a[h].Model != b[h].Model || math.Abs(a[h].P50-b[h].P50) > 1e-6*a[h].P50 {
			t.Fatalf("hour %d: %+v, mirrored and scaled %+v", h, a[h], b[h])
		}
	}
	if a[450].Refusal != Certain {
		t.Errorf("no forecast: %+v", a[450])
	}
}

func TestTrendIsBounded(t *testing.T) {
	tr := NewTrend(40, true, 168)
	shown(tr, 20_000, daily(rand.New(rand.NewPCG(1, 5))))
	if n := len(tr.Append(nil)); n > 20_000 || len(tr.list) > mostBlocks {
		t.Errorf("%d bytes of state, %d blocks", n, len(tr.list))
	}
	if first := tr.list[0]; first.at != 0 {
		t.Errorf("the beginning is forgotten: %+v", first)
	}
}
