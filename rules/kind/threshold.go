package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Limits of a threshold rule, in the point's unit; nil ones are not watched. A value is bad strictly
// beyond its limit, and normal again when it is back inside by the dead band.
type Limits struct {
	LowLow   *float64 `yaml:"low_low"`
	Low      *float64 `yaml:"low"`
	High     *float64 `yaml:"high"`
	HighHigh *float64 `yaml:"high_high"`
}

// Severities of the limits. Left out, low and high are warnings, low_low and high_high critical.
type Severities struct {
	LowLow   faultline.Severity `yaml:"low_low"`
	Low      faultline.Severity `yaml:"low"`
	High     faultline.Severity `yaml:"high"`
	HighHigh faultline.Severity `yaml:"high_high"`
}

var thresholdType = Type{
	Name:     "threshold",
	Uses:     []string{"limits", "severities", "dead_band", "load"},
	Severity: faultline.SeverityWarning,
	Check:    checkThreshold,
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		if p == nil {
			return nil, fmt.Errorf("%w: a threshold rule needs a point", faultline.ErrInvalid)
		}
		if p.Type != faultline.TypeFloat && p.Type != faultline.TypeInt || p.Bits {
			return nil, fmt.Errorf("%w: point %s is %s: a threshold rule needs numbers", faultline.ErrInvalid, p.Name, typeName(p))
		}
		return &threshold{settings: s, point: p}, nil
	},
	Limits: func(s *Settings) []faultline.Limit {
		var list []faultline.Limit
		for level := int8(-2); level <= 2; level++ {
			if l := s.Limits.at(level); l != nil {
				list = append(list, faultline.Limit{Name: levelNames[level+2], Value: *l, Severity: s.Severities.at(level)})
			}
		}
		return list
	},
}

var levelNames = [...]string{"low-low", "low", "", "high", "high-high"}

// at gives the limit of a level: -2 is low-low, 2 is high-high.
func (l *Limits) at(level int8) *float64 {
	switch level {
	case -2:
		return l.LowLow
	case -1:
		return l.Low
	case 1:
		return l.High
	case 2:
		return l.HighHigh
	}
	return nil
}

func (s *Severities) at(level int8) faultline.Severity {
	set, otherwise := faultline.SeverityNone, faultline.SeverityWarning
	switch level {
	case -2:
		set, otherwise = s.LowLow, faultline.SeverityCritical
	case -1:
		set = s.Low
	case 1:
		set = s.High
	case 2:
		set, otherwise = s.HighHigh, faultline.SeverityCritical
	}
	if set != faultline.SeverityNone {
		return set
	}
	return otherwise
}

func checkThreshold(s *Settings, report func(field, format string, args ...any)) {
	var last *float64
	lastName := ""
	for level := int8(-2); level <= 2; level++ {
		l, name := s.Limits.at(level), levelNames[level+2]
		if l == nil {
			continue
		}
		switch {
		case math.IsNaN(*l) || math.IsInf(*l, 0):
			report("limits", "the %s limit is not a number", name)
			continue
		case last != nil && *l <= *last:
			report("limits", "the %s limit %s must be above the %s limit %s", name, number(*l), lastName, number(*last))
		}
		last, lastName = l, name
	}
	if last == nil {
		report("limits", "is missing: give at least one of low_low, low, high and high_high")
	}
	if !(s.DeadBand >= 0) || math.IsInf(s.DeadBand, 0) {
		report("dead_band", "must not be negative")
	}
	if s.Load != "" {
		if err := faultline.CheckPoint(s.Load); err != nil {
			report("load", "%s", withoutInvalid(err))
		}
	}
	low, high := s.Limits.Low, s.Limits.High
	if low == nil {
		low = s.Limits.LowLow
	}
	if high == nil {
		high = s.Limits.HighHigh
	}
	if low != nil && high != nil && *low+s.DeadBand >= *high-s.DeadBand && *low < *high {
		report("dead_band", "%s leaves nothing normal between %s and %s", number(s.DeadBand), number(*low), number(*high))
	}
}

type threshold struct {
	settings *Settings
	point    *faultline.Point
	last     int64 // event time of the last sample
	level    int8  // the limit it is beyond: -2 low-low … 2 high-high, 0 none
}

func (k *threshold) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	if s.Quality.IsBad() {
		return Verdict{Judgement: Unknown}
	}
	v, ok := s.Value.Number()
	if !ok {
		return Verdict{Judgement: Unknown}
	}
	k.level = k.settings.level(k.level, v)
	if k.level == 0 {
		return Verdict{Judgement: Fine, Value: v}
	}
	return Verdict{
		Judgement: Bad, Severity: k.settings.Severities.at(k.level), Value: v,
		Limit: *k.settings.Limits.at(k.level), Detail: int64(k.level),
	}
}

// level gives the outermost limit that v is beyond, holding on to the present level while v is within
// the dead band of its limit.
func (s *Settings) level(present int8, v float64) int8 {
	for _, level := range [...]int8{2, 1} {
		l := s.Limits.at(level)
		if l != nil && (v > *l || present >= level && v > *l-s.DeadBand) {
			return level
		}
	}
	for _, level := range [...]int8{-2, -1} {
		l := s.Limits.at(level)
		if l != nil && (v < *l || present <= level && v < *l+s.DeadBand) {
			return level
		}
	}
	return 0
}

// Tick brings no news: a value that is not seen is neither good nor bad.
func (k *threshold) Tick(time.Time) Verdict { return Verdict{} }

func (k *threshold) Explain(v Verdict, held time.Duration) string {
	if v.Detail < -2 || v.Detail > 2 {
		return subject(k.point) + " is beyond its limits"
	}
	name := levelNames[v.Detail+2]
	beyond := "above"
	if v.Detail < 0 {
		beyond = "below"
	}
	if inside := v.Detail > 0 && v.Value <= v.Limit || v.Detail < 0 && v.Value >= v.Limit; inside {
		value, limit := apart(v.Value, v.Limit, k.point.Unit)
		return subject(k.point) + " " + value + " not yet back from its " + name + " limit of " + limit + " by the dead band of " +
			quantity(k.settings.DeadBand, k.point.Unit) + lasting(held)
	}
	value, limit := apart(v.Value, v.Limit, k.point.Unit)
	return subject(k.point) + " " + value + " " + beyond + " its " + name + " limit of " + limit + lasting(held)
}

func (k *threshold) Snapshot(dst []byte) []byte {
	return putInt(putInt(dst, k.last), int64(k.level))
}

func (k *threshold) Restore(state []byte) error {
	r := reader{b: state}
	last, level := r.int(), r.int()
	if err := r.end("threshold"); err != nil {
		return err
	}
	if level < -2 || level > 2 {
		return fmt.Errorf("%w: state of a threshold rule has level %d", faultline.ErrInvalid, level)
	}
	k.last, k.level = last, int8(level)
	if k.settings.Limits.at(k.level) == nil {
		k.level = 0 // the rule was edited: the limit is no more
	}
	return nil
}

func typeName(p *faultline.Point) string {
	if p.Bits {
		return "a word of bits"
	}
	return p.Type.String()
}
