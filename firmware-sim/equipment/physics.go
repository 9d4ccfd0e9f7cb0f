package equipment

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// noise is a unit's own seeded source of randomness.
type noise struct{ r *rand.Rand }

// newNoise gives every (seed, name) its own stream, so that one unit's values do not depend
// on which others exist.
func newNoise(seed int64, name string) *noise {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &noise{rand.New(rand.NewPCG(uint64(seed), h.Sum64()))}
}

// around is a normal deviate cut at three sigma: the documented ranges are promises, not odds.
func (n *noise) around(sigma float64) float64 {
	return min(max(n.r.NormFloat64(), -3), 3) * sigma
}

// lag is a first-order delay that starts settled.
type lag struct {
	v       float64
	started bool
}

func (l *lag) to(target, tau, dt float64) float64 {
	if !l.started {
		l.v, l.started = target, true
		return target
	}
	l.v += (target - l.v) * -math.Expm1(-dt/tau)
	return l.v
}

// climate gives ambient temperature and load as pure functions of time, so that a history
// and the live run that follows it meet.
type climate struct {
	zone  float64 // seconds east of UTC
	phase [6]float64
}

func newClimate(seed int64, zone int) climate {
	n := newNoise(seed, "climate")
	c := climate{zone: float64(zone)}
	for i := range c.phase {
		c.phase[i] = n.r.Float64() * 2 * math.Pi
	}
	return c
}

// The demand on a device, as a share of its design load.
const (
	leastDemand = 0.28
	mostDemand  = 0.90
)

const (
	minute = 60.0
	hour   = 3600.0
	day    = 24 * hour
	week   = 7 * day
	year   = 365.25 * day
)

func wave(t, period, phase float64) float64 { return math.Sin(2*math.Pi*t/period + phase) }

// at returns the plant room's temperature in °C (17 to 31) and the demand as a share of
// design load (0.28 to 0.90) at a Unix time in seconds: warm in July and at 15:00, busy at
// 14:00 and on weekdays.
func (c *climate) at(unix float64) (ambient, demand float64) {
	t := unix + c.zone
	season := math.Cos(2 * math.Pi * (t - 199*day) / year)
	weather := 0.6*wave(t, 5.3*day, c.phase[0]) + 0.4*wave(t, 37*hour, c.phase[1])
	ambient = 24 + 3*season + 2.5*math.Cos(2*math.Pi*(t-15*hour)/day) + 1.4*weather

	shape := math.Cos(2 * math.Pi * (t - 14*hour) / day)
	slow := 0.6*wave(t, 11.3*hour, c.phase[2]) + 0.4*wave(t, 3.1*hour, c.phase[3])
	fast := 0.5*wave(t, 23*minute, c.phase[4]) + 0.5*wave(t, 4.3*minute, c.phase[5])
	demand = 0.64 + 0.15*shape - 0.10*weekend(t) + 0.05*slow + 0.03*fast
	return min(max(ambient, 17), 31), min(max(demand, leastDemand), mostDemand)
}

// weekend is 1 on Saturday and Sunday, 0 on weekdays, with four-hour slopes around midnight.
func weekend(t float64) float64 {
	// 1970-01-01 was a Thursday: Saturday begins two days into the period.
	p := math.Mod(t-2*day, week)
	if p < 0 {
		p += week
	}
	const slope = 2 * hour
	switch {
	case p < slope:
		return 0.5 + p/slope/2
	case p < 2*day-slope:
		return 1
	case p < 2*day+slope:
		return 0.5 - (p-2*day)/slope/2
	case p > week-slope:
		return 0.5 - (week-p)/slope/2
	}
	return 0
}

// aged is wear by running hours: 0 when new, 1 at 40,000 h and after.
func aged(hours float64) float64 { return min(hours/40000, 1) }

func bit(on bool, n uint) uint16 {
	if on {
		return 1 << n
	}
	return 0
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
