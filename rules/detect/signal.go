package detect

import (
	"math"
	"time"
)

// Signal watches one signal against its own past, in steps of about equal length. Six streams of
// evidence are each ranked against their own past:
//
//   - how far the signal is from what it does at this hour of the week, at once and on average over
//     the last thirty steps or so: spikes, level shifts, drifts;
//   - the same for the hour of the day;
//   - how far the shape of the last twelve steps is from any shape of the last thousand: changed cycles;
//   - how far the mean of the last 48 steps is from that of the 48 before.
//
// The strength is the mean of the six rarities in powers of ten: the evidence must agree, or one of it
// must be overwhelming. A strength is ranked against its own past in turn, which makes it a probability.
type Signal struct {
	started bool
	first   int64   // when it began, ns since 1970: hours of the day and of the week count from there
	base    float64 // the first value: what is kept is relative to it
	n       float64
	mean    float64 // of everything
	day     profile
	week    profile
	smooth  [2]float64 // residuals against week and day, smoothed
	shapes  discord
	sums    [2]float64 // of the last window and of the one before
	tails   [evidences]tail
	whole   tail // of strengths

	errors [3]float64 // mean absolute error of predicting by all, day, week
}

// Evidence names a stream of evidence.
type Evidence uint8

// The streams.
const (
	AgainstWeek Evidence = iota
	AgainstDay
	AgainstWeekLong
	AgainstDayLong
	Shape
	Level
	evidences = iota
)

// Finding is what is said of a step.
type Finding struct {
	Strength float64  // mean rarity of the evidence, in powers of ten
	Rarity   float64  // of such a strength in this signal's own past, in powers of ten
	Main     Evidence // the strongest stream
	Expected float64  // what is normal now
	Spread   float64  // mean absolute distance from it
	Steps    int      // that were learnt from
}

const (
	dayGain  = 0.05
	weekGain = 0.2
	slow     = 0.03 // of smoothed residuals
	window   = 48   // steps whose mean is the level
)

// NewSignal makes a detector that has seen nothing, and holds next to nothing.
func NewSignal() *Signal { return &Signal{} }

// begun is one that begins with a value.
func begun(at int64, value float64) *Signal {
	return &Signal{started: true, first: at, base: value, day: newProfile(24*time.Hour, time.Hour, dayGain), week: newProfile(7*24*time.Hour, time.Hour, weekGain), shapes: newDiscord()}
}

// Step judges a value at a time (ns since 1970) against the past, and makes it part of it.
func (s *Signal) Step(at int64, value float64) Finding {
	if !s.started {
		*s = *begun(at, value)
	}
	v := value - s.base
	hour, part := s.day.at(at-s.first), s.week.at(at-s.first)
	f := s.expect(hour, part)
	f.Steps = int(s.n)

	var e [evidences]float64
	e[AgainstWeek] = s.residual(&s.week, part, v)
	e[AgainstDay] = s.residual(&s.day, hour, v)
	s.smooth[0] += slow * (e[AgainstWeek] - s.smooth[0])
	s.smooth[1] += slow * (e[AgainstDay] - s.smooth[1])
	e[AgainstWeekLong], e[AgainstDayLong] = s.smooth[0], s.smooth[1]
	e[Shape] = s.shapes.step(v)
	e[Level] = s.level()

	best := -1.0
	for i := range e {
		e[i] = math.Abs(e[i])
		rare := s.tails[i].rarity(e[i])
		f.Strength += rare / evidences
		if rare > best {
			best, f.Main = rare, Evidence(i)
		}
		s.tails[i].add(e[i])
	}
	if s.n < warm {
		f.Strength = 0
	}
	f.Rarity = s.whole.rarity(f.Strength)
	if s.n >= warm {
		s.whole.add(f.Strength)
	}
	s.learn(hour, part, v)
	return f
}

// warm is how many steps come before the first judgement.
const warm = 50

func (s *Signal) residual(p *profile, part int, v float64) float64 {
	if e, ok := p.expect(part); ok {
		return v - e
	}
	return v - s.mean
}

// level is the mean of the newest window less that of the window before.
func (s *Signal) level() float64 {
	d := &s.shapes
	if d.n < 2*window {
		return math.NaN()
	}
	if d.n%window == 0 { // anew, so that rounding does not add up
		s.sums = [2]float64{}
		for i := range window {
			s.sums[0] += float64(d.back(i))
			s.sums[1] += float64(d.back(i + window))
		}
	} else {
		middle := float64(d.back(window))
		s.sums[0] += float64(d.back(0)) - middle
		s.sums[1] += middle - float64(d.back(2*window))
	}
	return (s.sums[0] - s.sums[1]) / window
}

// expect says what is normal, by the predictor that was best of late.
func (s *Signal) expect(hour, part int) Finding {
	f := Finding{Expected: s.base + s.mean, Spread: s.errors[0]}
	if e, ok := s.day.expect(hour); ok && s.errors[1] < f.Spread {
		f.Expected, f.Spread = s.base+e, s.errors[1]
	}
	if e, ok := s.week.expect(part); ok && s.errors[2] < f.Spread {
		f.Expected, f.Spread = s.base+e, s.errors[2]
	}
	return f
}

func (s *Signal) learn(hour, part int, v float64) {
	s.n++
	gain := max(1/s.n, 1.0/2000)
	for i, e := range [...]float64{v - s.mean, s.residual(&s.day, hour, v), s.residual(&s.week, part, v)} {
		s.errors[i] += gain * (math.Abs(e) - s.errors[i])
	}
	s.mean += (v - s.mean) / s.n
	s.day.learn(hour, v)
	s.week.learn(part, v)
}
