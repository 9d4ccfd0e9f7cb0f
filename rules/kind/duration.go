package kind

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// Duration in a state: an asset is in one of the states Is for After without a break or, with Within,
// for After altogether in that time. Time without samples is not counted.
var durationType = Type{
	Name:     "duration",
	Uses:     []string{"is", "after", "within", "severity"},
	Severity: faultline.SeverityWarning,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		stateType.Check(s, report)
		if s.After < time.Second || s.After > longestWindow {
			report("after", "is missing, or not from 1s to %v: how long in the state is too long?", longestWindow)
		}
		if s.Within != 0 && (s.Within <= s.After || s.Within > longestWindow) {
			report("within", "%v: use more than after (%v) and at most %v", s.Within, s.After, longestWindow)
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		inner, err := newState(s, p)
		if err != nil {
			return nil, err
		}
		return &duration{state: inner.(*state), slots: newSlots(int64(max(s.Within, 1)), windowSlots)}, nil
	},
}

// windowSlots is how finely a window moves on.
const windowSlots = 48

type duration struct {
	state  *state
	slots  slots
	in     Judgement // at the last sample
	length int64     // ns in the state, without a break
}

func (k *duration) Observe(at time.Time, s *faultline.Sample) Verdict {
	last := k.state.last
	v := k.state.Observe(at, s)
	if v.Judgement == NoNews {
		return v
	}
	settings, now := k.state.settings, at.UnixNano()
	was := k.in
	k.in = v.Judgement
	if was == Bad && v.Judgement != Unknown {
		passed := min(now-last, settings.step())
		k.length += passed
		if settings.Within > 0 {
			k.slots.add(now, float64(passed))
		}
	}
	if v.Judgement == Unknown {
		return v
	}
	length := k.length
	if settings.Within > 0 {
		k.slots.forget(now)
		sum, _ := k.slots.total()
		length = int64(sum)
	}
	if v.Judgement == Fine {
		k.length = 0
		if settings.Within == 0 {
			return Verdict{Judgement: Fine}
		}
	}
	if length < int64(settings.After) {
		return Verdict{Judgement: Fine, Value: float64(length) / 1e9}
	}
	return Verdict{Judgement: Bad, Severity: severity(settings, durationType.Severity), Value: float64(length) / 1e9, Limit: settings.After.Seconds(), Detail: v.Detail}
}

// Tick brings no news.
func (k *duration) Tick(time.Time) Verdict { return Verdict{} }

func (k *duration) Explain(v Verdict, _ time.Duration) string {
	settings, length := k.state.settings, span(time.Duration(v.Value*1e9))
	allowed := " (allowed: " + span(settings.After) + ")"
	if settings.Within > 0 {
		return subject(k.state.point) + " was " + strings.Join(settings.Is, " or ") + " for " + length + " of the last " + span(settings.Within) + allowed
	}
	return k.state.Explain(v, 0) + " for " + length + allowed
}

// began is not known of a time that was gathered in pieces.
func (k *duration) began(v Verdict, at time.Time) (time.Time, bool) {
	return at.Add(-time.Duration(math.Round(v.Value * 1e9))), k.state.settings.Within == 0
}

func (k *duration) Snapshot(dst []byte) []byte {
	return k.slots.snapshot(putInt(putInt(putInt(dst, k.state.last), int64(k.in)), k.length))
}

func (k *duration) Restore(b []byte) error {
	r := reader{b: b}
	last, in, length := r.int(), r.int(), r.int()
	list := k.slots.restored(&r)
	if err := r.end("duration"); err != nil {
		return err
	}
	if in < 0 || in > int64(Bad) || length < 0 {
		return fmt.Errorf("%w: state of a duration rule is damaged", faultline.ErrInvalid)
	}
	k.state.last, k.in, k.length, k.slots = last, Judgement(in), length, list
	return nil
}
