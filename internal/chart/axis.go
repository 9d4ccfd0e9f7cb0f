package chart

import (
	"math"
	"strconv"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// axis maps values to y pixels of the plot, 0 at its top.
type axis struct {
	lo, hi float64
	step   float64
	height float64
}

// room is the least share of the plot's height that is left to the samples when limits are far away.
const room = 0.15

// valueAxis chooses the range: all samples, and those limits that do not squeeze the samples flat.
// The others are given back as off.
func valueAxis(series []Series, limits []faultline.Limit, height float64) (a axis, off []faultline.Limit) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := range series {
		s := &series[i]
		for j := range s.Samples {
			v := &s.Samples[j]
			if !v.usable() {
				continue
			}
			lo, hi = min(lo, v.Value), max(hi, v.Value)
			if s.Band {
				lo, hi = min(lo, bounded(v.Min, v.Value)), max(hi, bounded(v.Max, v.Value))
			}
		}
	}
	none := lo > hi
	for _, l := range limits {
		if math.IsNaN(l.Value) || math.Abs(l.Value) >= huge {
			continue
		}
		if none {
			lo, hi = min(lo, l.Value), max(hi, l.Value)
			continue
		}
		nlo, nhi := min(lo, l.Value), max(hi, l.Value)
		// A constant signal has no span of its own: a tenth of its size stands for it.
		if span := max(hi-lo, math.Abs(hi)*0.1, 1e-9); span/(nhi-nlo) < room && nhi > nlo {
			off = append(off, l)
			continue
		}
		lo, hi = nlo, nhi
	}
	if lo > hi {
		lo, hi = 0, 1
	}
	if pad := (hi - lo) * 0.06; pad > 0 {
		lo, hi = lo-pad, hi+pad
	} else {
		pad = max(math.Abs(hi)*0.05, 0.5)
		lo, hi = lo-pad, hi+pad
	}
	a = axis{lo: lo, hi: hi, height: height}
	a.step = niceStep((hi - lo) / max(2, math.Round(height/44)))
	if len(series) > 0 && series[0].Step { // states and counters have nothing between two whole numbers
		a.step = max(1, a.step)
	}
	return a, off
}

// bounded replaces what cannot be drawn.
func bounded(v, instead float64) float64 {
	if math.IsNaN(v) || math.Abs(v) >= huge {
		return instead
	}
	return v
}

func (a *axis) y(v float64) float64 { return (a.hi - v) / (a.hi - a.lo) * a.height }

// ticks are the round values within the range, from below.
func (a *axis) ticks() []float64 {
	var out []float64
	first := math.Ceil(a.lo / a.step)
	for i := 0.0; i < 20; i++ {
		v := (first + i) * a.step
		if v > a.hi || math.IsNaN(v) {
			break
		}
		out = append(out, v)
	}
	return out
}

// niceStep rounds a raw step up to 1, 2 or 5 times a power of ten.
func niceStep(raw float64) float64 {
	if raw <= 0 || math.IsNaN(raw) || math.IsInf(raw, 0) {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	switch m := raw / p; {
	case m <= 1:
		return p
	case m <= 2:
		return 2 * p
	case m <= 5:
		return 5 * p
	}
	return 10 * p
}

// number shows a value with as many decimals as its step needs.
func number(v, step float64) string {
	if v == 0 {
		return "0" // never -0
	}
	switch a := math.Abs(v); {
	case a >= 1e6 && a < 1e15:
		// With as many digits as tell neighbours apart: a large counter that hardly moves.
		per, name := 1e6, " M"
		if a >= 1e9 {
			per, name = 1e9, " G"
		}
		if a >= 1e12 {
			per, name = 1e12, " T"
		}
		return strconv.FormatFloat(v/per, 'f', max(0, int(-math.Floor(math.Log10(step/per)+1e-9))), 64) + name
	case a >= 1e15 || a < 1e-4 || step < 1e-6:
		return strconv.FormatFloat(v, 'g', max(4, 1+int(math.Floor(math.Log10(a))-math.Floor(math.Log10(step)+1e-9))), 64)
	}
	return strconv.FormatFloat(v, 'f', max(0, int(-math.Floor(math.Log10(step)+1e-9))), 64)
}

// plain shows a value as people write it, with at most six significant digits.
func plain(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 365 * day,
}

const day = 24 * time.Hour

// maxTimeTicks keeps the labels apart on a phone.
const maxTimeTicks = 5

type timeTick struct {
	at    time.Time
	label string
}

// timeTicks are round local times between from and to. Steps of hours and days count from local
// midnight, so that they stay round over a change of summer time.
func timeTicks(from, to time.Time, loc *time.Location) []timeTick {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if to.Sub(from)/s < maxTimeTicks {
			step = s
			break
		}
	}
	from = from.In(loc)
	y, m, d := from.Date()
	var out []timeTick
	for i := 0; len(out) < 2*maxTimeTicks && i < 100000; i++ {
		var at time.Time
		if step >= day {
			at = time.Date(y, m, d+i*int(step/day), 0, 0, 0, 0, loc)
		} else {
			// Seconds of the local day, split so that no field overflows on a change of summer time.
			skip := from.Sub(time.Date(y, m, d, 0, 0, 0, 0, loc)) / step
			secs := int((skip + time.Duration(i)) * step / time.Second)
			at = time.Date(y, m, d, 0, 0, secs, 0, loc)
		}
		if at.After(to) {
			break
		}
		if at.Before(from) || len(out) > 0 && !at.After(out[len(out)-1].at) {
			continue
		}
		out = append(out, timeTick{at, tickLabel(at, step)})
	}
	return out
}

func tickLabel(at time.Time, step time.Duration) string {
	midnight := at.Hour() == 0 && at.Minute() == 0 && at.Second() == 0
	switch {
	case step >= 28*day:
		return at.Format("Jan 2006")
	case step >= day || midnight:
		return at.Format("2 Jan")
	case step >= time.Minute:
		return at.Format("15:04")
	}
	return at.Format("15:04:05")
}

// span names the dates that the axis covers and its time zone.
func span(from, to time.Time, loc *time.Location) string {
	a, b := from.In(loc), to.In(loc)
	s := a.Format("2 Jan 2006")
	switch ay, am, ad := a.Date(); {
	case a.Year() != b.Year():
		s += " – " + b.Format("2 Jan 2006")
	case am != b.Month():
		s = a.Format("2 Jan") + " – " + b.Format("2 Jan 2006")
	case ad != b.Day():
		s = a.Format("2") + "–" + b.Format("2 Jan ") + strconv.Itoa(ay)
	}
	name, off := b.Zone()
	zone := b.Format("UTC-07:00")
	if off == 0 {
		zone = "UTC"
	} else if name != "" && name[0] != '+' && name[0] != '-' {
		zone = name + ", " + zone
	}
	return s + " · " + zone
}
