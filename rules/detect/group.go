package detect

import "math"

// Group watches several signals of one asset against each other. From its first steps it learns the
// level, the spread and the correlations of the signals, smoothed (EWMA: Roberts, Technometrics 1, 1959).
// Later each signal is held against what the others let expect of it: its conditional deviation, from the
// inverse of the correlation matrix, which is shrunk towards none (Ledoit and Wolf, 2004). Signals that
// do nothing but drift while it learns are given more room, or left out.
//
// A fault begins where the largest deviation passes the score, and ends where it has fallen to about
// half of what it was: plants do not come back to where they were. Meanwhile the normal is not learnt; outside
// it follows the signals slowly.
type Group struct {
	n        int // signals
	learning int // steps to learn from
	steps    int

	rows  []float32 // of the learning steps, one after the other; then gone
	model *model

	smooth []float64   // standardized and smoothed
	base   []float64   // the present normal of smooth
	old    [][]float32 // of smooth, the last lookBack steps, in a ring
	at     int

	on     bool
	peak   float64
	below  int // steps that the deviation has been far below its peak
	quiet  int // steps in which the normal follows fast, after a fault
	change int // steps since the last change point
}

// model is what was learnt; it does not change.
type model struct {
	mean, spread []float64
	width        []float64 // of smooth around base: a deviation of 1
	move         []float64 // of smooth over lookBack steps: likewise
	inverse      []float64 // of the shrunk correlation of deviations, n×n; 0 for what is left out
}

// Moment is what a Group says of a step.
type Moment struct {
	Ready     bool    // it has learnt
	Refused   bool    // it would have now, but what it saw was no normal operation: it begins anew
	Deviation float64 // the largest of the signals
	Fault     bool
	Began     bool // the fault began with this step
	Change    bool // a change point
	Main      int  // the signal that deviates most
}

const (
	groupGain  = 0.2   // of smoothing
	followGain = 0.005 // of the normal after the signals
	afterGain  = 0.03  // likewise after a fault
	afterSteps = 40
	endsAt     = 0.55  // of the peak
	peakDecay  = 0.005 // the peak is forgotten by this much a step
	endsAfter  = 8     // steps
	leastWidth = 0.15  // of a smoothed signal, in its spread
	driftRoom  = 0.5   // of the slow part of the variance, added to the width
	drifts     = 0.6   // slow part of the variance from which a signal is left out
	farthest   = 20    // what a standardized value counts as at most
	blocks     = 8     // of the learning steps: their means tell slow from fast
	shrinkage  = 0.4
	lookBack   = 60
	changeAt   = 3.5
	changeRest = 30
	settle     = int(2 / groupGain)
)

// NewGroup makes one for n signals that learns from so many steps, at least 3·settle.
func NewGroup(n, learning int) *Group {
	g := &Group{n: n, learning: max(learning, 3*settle), smooth: make([]float64, n), base: make([]float64, n), change: changeRest}
	g.old = make([][]float32, lookBack)
	for i := range g.old {
		g.old[i] = make([]float32, n)
	}
	return g
}

// Step judges the values of a step, NaN where there is none; score is the deviation that is a fault.
func (g *Group) Step(values []float64, score float64) Moment {
	if g.model == nil {
		return g.learn(values)
	}
	g.steps++
	m := Moment{Ready: true}
	for c, v := range values {
		if !math.IsNaN(v) {
			g.smooth[c] += groupGain * (g.model.standard(c, v) - g.smooth[c])
		}
	}
	for c := range g.n {
		if d := math.Abs(g.Deviation(c)); d > m.Deviation {
			m.Deviation, m.Main = d, c
		}
	}
	m.Change = g.changed()
	gain := g.judge(&m, score)
	for c := range g.n {
		g.base[c] += gain * (g.smooth[c] - g.base[c])
	}
	return m
}

// judge decides whether there is a fault, and how fast the normal may follow.
func (g *Group) judge(m *Moment, score float64) (gain float64) {
	gain = followGain
	if g.quiet > 0 {
		g.quiet--
		gain = afterGain
	}
	if !g.on && g.quiet == 0 && m.Deviation >= score {
		g.on, m.Began, g.peak, g.below = true, true, m.Deviation, 0
	}
	if g.on {
		gain = 0
		g.peak = max(g.peak*(1-peakDecay), m.Deviation)
		if g.below++; m.Deviation >= max(0.8*score, endsAt*g.peak) {
			g.below = 0
		}
		if g.below > endsAfter {
			g.on, g.quiet = false, afterSteps
		}
	}
	m.Fault = g.on
	return gain
}

// changed tells whether a signal is elsewhere than lookBack steps ago, in a way that learning did not see.
func (g *Group) changed() bool {
	past := g.old[g.at]
	g.at = (g.at + 1) % lookBack
	most := 0.0
	for c := range g.n {
		most = max(most, math.Abs(g.smooth[c]-float64(past[c]))/g.model.move[c])
		past[c] = float32(g.smooth[c])
	}
	g.change = min(g.change+1, changeRest)
	if most < changeAt || g.change < changeRest {
		return false
	}
	g.change = 0
	return true
}

// Deviation of a signal from what the others let expect of it, now, in widths of the normal.
func (g *Group) Deviation(c int) float64 {
	if g.model == nil {
		return 0
	}
	p := g.model.inverse[c*g.n:][:g.n]
	if p[c] == 0 {
		return 0
	}
	sum := 0.0
	for i, w := range p {
		sum += w * (g.smooth[i] - g.base[i]) / g.model.width[i]
	}
	return sum / math.Sqrt(p[c])
}

// Normal is what is expected of a signal now, in its unit, with the half width of its normal band.
func (g *Group) Normal(c int) (expected, width float64) {
	if g.model == nil {
		return 0, 0
	}
	m := g.model
	return m.mean[c] + m.spread[c]*g.base[c], m.spread[c] * m.width[c]
}

func (m *model) standard(c int, v float64) float64 {
	return max(-farthest, min(farthest, (v-m.mean[c])/m.spread[c]))
}

// Cause is what a deviation looks like.
type Cause uint8

// The causes.
const (
	Unclear Cause = iota
	Sensor        // one signal has left others that it normally goes with, and these are as ever
	Process       // several signals deviate
)

// Cause says whether the deviation of the main signal looks like its sensor or like the process.
func (g *Group) Cause(main int) Cause {
	if g.model == nil {
		return Unclear
	}
	follows := 1 - 1/max(g.model.inverse[main*g.n+main], 1) // share of its variance that the others explain
	others := 0.0
	for c := range g.n {
		if c != main && g.model.inverse[c*g.n+c] > 0 {
			others = max(others, math.Abs(g.smooth[c]-g.base[c])/g.model.width[c])
		}
	}
	switch {
	case others >= 3:
		return Process
	case follows >= 0.15 && others < 2:
		return Sensor
	}
	return Unclear
}
