package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Counter: what a meter ran, or how often an asset entered one of the states Is, in the time Within:
// starts in an hour, cycles in a day, energy in a shift. A meter that falls begins anew.
var counterType = Type{
	Name:     "counter",
	Uses:     []string{"limits", "severities", "dead_band", "within", "is"},
	Severity: faultline.SeverityWarning,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		checkThreshold(s, report)
		if s.Limits.Low != nil || s.Limits.LowLow != nil {
			report("limits", "a counter rule has high and high_high only")
		}
		if s.Within < time.Second || s.Within > longestWindow {
			report("within", "is missing, or not from 1s to %v: in how long is it counted?", longestWindow)
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		k := &counter{settings: s, point: p, slots: newSlots(int64(s.Within), windowSlots)}
		if len(s.Is) > 0 {
			inner, err := newState(s, p)
			if err != nil {
				return nil, err
			}
			k.state = inner.(*state)
			return k, nil
		}
		return k, numbers("counter", p)
	},
	Limits: nil,
}

type counter struct {
	settings *Settings
	point    *faultline.Point
	state    *state // nil: a meter
	slots    slots
	last     int64
	seen     bool
	reading  float64 // of a meter; 1 in the state, else 0
	level    int8
}

func (k *counter) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	v, ok := s.Value.Number()
	if k.state != nil {
		inner := k.state.Observe(at, s)
		if ok = inner.Judgement == Fine || inner.Judgement == Bad; inner.Judgement == Bad {
			v = 1
		} else {
			v = 0
		}
	}
	if s.Quality.IsBad() || !ok {
		return Verdict{Judgement: Unknown}
	}
	if k.seen && v > k.reading {
		k.slots.add(now, v-k.reading)
	}
	k.seen, k.reading = true, v
	k.slots.forget(now)
	sum, _ := k.slots.total()
	k.level = k.settings.level(k.level, sum)
	if k.level <= 0 {
		return Verdict{Judgement: Fine, Value: sum}
	}
	return Verdict{Judgement: Bad, Severity: k.settings.Severities.at(k.level), Value: sum, Limit: *k.settings.Limits.at(k.level), Detail: int64(k.level)}
}

// Tick brings no news.
func (k *counter) Tick(time.Time) Verdict { return Verdict{} }

func (k *counter) Explain(v Verdict, held time.Duration) string {
	unit, does := k.point.Unit, " rose by "
	if k.state != nil {
		unit, does = "times", " became "+k.settings.Is[0]+" "
	}
	name := "limit"
	if v.Detail > 0 && v.Detail <= 2 {
		name = levelNames[v.Detail+2] + " limit"
	}
	value, limit := apart(v.Value, v.Limit, unit)
	return subject(k.point) + does + value + " in " + span(k.settings.Within) + "; its " + name + " is " + limit + lasting(held)
}

func (k *counter) Snapshot(dst []byte) []byte {
	seen := int64(0)
	if k.seen {
		seen = 1
	}
	return k.slots.snapshot(putInt(putInt(putFloat(putInt(dst, k.last), k.reading), seen), int64(k.level)))
}

func (k *counter) Restore(b []byte) error {
	r := reader{b: b}
	last, reading, seen, level := r.int(), r.float(), r.int(), r.int()
	list := k.slots.restored(&r)
	if err := r.end("counter"); err != nil {
		return err
	}
	if seen < 0 || seen > 1 || level < 0 || level > 2 || math.IsNaN(reading) {
		return fmt.Errorf("%w: state of a counter rule is damaged", faultline.ErrInvalid)
	}
	k.last, k.reading, k.seen, k.level, k.slots = last, reading, seen == 1, int8(level), list
	if k.settings.Limits.at(k.level) == nil {
		k.level = 0
	}
	if k.state != nil {
		k.state.last = last
	}
	return nil
}
