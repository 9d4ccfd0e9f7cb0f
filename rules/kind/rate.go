package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Rate of change: how fast a value rises or falls, by a line through the last Within. Limits are in the
// point's unit in the time Per.
var rateType = Type{
	Name:     "rate",
	Uses:     []string{"limits", "severities", "dead_band", "within", "per"},
	Severity: faultline.SeverityWarning,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		checkThreshold(s, report)
		if s.Within < rateSlots*time.Millisecond || s.Within > longestWindow {
			report("within", "is missing, or not from %v to %v: over how long is the change measured?", rateSlots*time.Millisecond, longestWindow)
		}
		if s.Per < 0 || s.Per > longestWindow {
			report("per", "%v: use at most %v", s.Per, longestWindow)
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		if err := numbers("rate", p); err != nil {
			return nil, err
		}
		return &rate{settings: s, point: p, slots: newSlots(int64(s.Within), rateSlots)}, nil
	},
}

const (
	rateSlots     = 24
	longestWindow = 31 * 24 * time.Hour
)

// numbers says why a kind that needs numbers does not fit a point.
func numbers(kind string, p *faultline.Point) error {
	if p == nil {
		return fmt.Errorf("%w: a %s rule needs a point", faultline.ErrInvalid, kind)
	}
	if p.Type != faultline.TypeFloat && p.Type != faultline.TypeInt || p.Bits {
		return fmt.Errorf("%w: point %s is %s: a %s rule needs numbers", faultline.ErrInvalid, p.Name, typeName(p), kind)
	}
	return nil
}

type rate struct {
	settings *Settings
	point    *faultline.Point
	slots    slots
	last     int64
	level    int8
}

func (k *rate) per() time.Duration {
	if k.settings.Per > 0 {
		return k.settings.Per
	}
	return time.Hour
}

func (k *rate) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	v, ok := s.Value.Number()
	if s.Quality.IsBad() || !ok {
		return Verdict{Judgement: Unknown}
	}
	k.slots.add(now, v)
	slope, ok := k.slots.slope()
	if !ok || math.IsNaN(slope) || math.IsInf(slope, 0) {
		return Verdict{Judgement: Unknown}
	}
	slope *= float64(k.per())
	k.level = k.settings.level(k.level, slope)
	if k.level == 0 {
		return Verdict{Judgement: Fine, Value: slope}
	}
	return Verdict{Judgement: Bad, Severity: k.settings.Severities.at(k.level), Value: slope, Limit: *k.settings.Limits.at(k.level), Detail: int64(k.level)}
}

// Tick brings no news.
func (k *rate) Tick(time.Time) Verdict { return Verdict{} }

func (k *rate) Explain(v Verdict, held time.Duration) string {
	does, name := "rises", "limit"
	if v.Value < 0 {
		does = "falls"
	}
	if v.Detail >= -2 && v.Detail <= 2 && v.Detail != 0 {
		name = levelNames[v.Detail+2] + " limit"
	}
	value, limit := apart(math.Abs(v.Value), math.Abs(v.Limit), k.point.Unit)
	per := " in " + span(k.per())
	return subject(k.point) + " " + does + " by " + value + per + ", measured over " + span(k.settings.Within) + "; its " + name + " is " + limit + per + lasting(held)
}

func (k *rate) Snapshot(dst []byte) []byte {
	return k.slots.snapshot(putInt(putInt(dst, k.last), int64(k.level)))
}

func (k *rate) Restore(state []byte) error {
	r := reader{b: state}
	last, level := r.int(), r.int()
	list := k.slots.restored(&r)
	if err := r.end("rate"); err != nil {
		return err
	}
	if level < -2 || level > 2 {
		return fmt.Errorf("%w: state of a rate rule has level %d", faultline.ErrInvalid, level)
	}
	k.last, k.level, k.slots = last, int8(level), list
	if k.settings.Limits.at(k.level) == nil {
		k.level = 0
	}
	return nil
}
