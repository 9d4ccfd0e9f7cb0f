package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Stuck: a value that does not move, by more than DeadBand, for After. A real measurement always moves a
// little; one that does not comes from a dead sensor or a frozen gateway in between.
var stuckType = Type{
	Name:     "stuck",
	Uses:     []string{"after", "dead_band", "severity"},
	Severity: faultline.SeverityAdvisory,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		if s.After < time.Second || s.After > longestWindow {
			report("after", "is missing, or not from 1s to %v: for how long may the value stand still?", longestWindow)
		}
		if !(s.DeadBand >= 0) || math.IsInf(s.DeadBand, 0) {
			report("dead_band", "must not be negative")
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		if err := numbers("stuck", p); err != nil {
			return nil, err
		}
		return &stuck{settings: s, point: p}, nil
	},
}

type stuck struct {
	settings  *Settings
	point     *faultline.Point
	last      int64
	reference float64
	still     int64 // ns; -1: nothing was seen yet
	unknown   bool  // the last sample could not be judged: the time since counts for nothing
}

func (k *stuck) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	passed := min(now-k.last, k.settings.step())
	if k.last == 0 || k.unknown {
		passed = 0
	}
	first := k.last == 0
	k.last = now
	v, ok := s.Value.Number()
	if k.unknown = s.Quality.IsBad() || !ok; k.unknown {
		if first {
			k.reference = math.Inf(1)
		}
		return Verdict{Judgement: Unknown}
	}
	if first || !(math.Abs(v-k.reference) <= k.settings.DeadBand) {
		k.reference, k.still = v, 0
	} else {
		k.still += passed
	}
	if k.still < int64(k.settings.After) {
		return Verdict{Judgement: Fine, Value: v}
	}
	return Verdict{Judgement: Bad, Severity: severity(k.settings, stuckType.Severity), Value: k.reference, Limit: k.settings.After.Seconds(), Detail: k.still}
}

// Tick brings no news: a value that is not seen may have moved.
func (k *stuck) Tick(time.Time) Verdict { return Verdict{} }

func (k *stuck) Explain(v Verdict, _ time.Duration) string {
	return subject(k.point) + " has not moved from " + quantity(v.Value, k.point.Unit) + " for " + span(time.Duration(v.Detail)) +
		" (allowed: " + span(k.settings.After) + ")"
}

func (k *stuck) began(v Verdict, at time.Time) (time.Time, bool) {
	return at.Add(-time.Duration(v.Detail)), true
}

func (k *stuck) Snapshot(dst []byte) []byte {
	unknown := int64(0)
	if k.unknown {
		unknown = 1
	}
	return putInt(putInt(putFloat(putInt(dst, k.last), k.reference), k.still), unknown)
}

func (k *stuck) Restore(state []byte) error {
	r := reader{b: state}
	last, reference, still, unknown := r.int(), r.float(), r.int(), r.int()
	if err := r.end("stuck"); err != nil {
		return err
	}
	if still < 0 || math.IsNaN(reference) || unknown < 0 || unknown > 1 {
		return fmt.Errorf("%w: state of a stuck rule is damaged", faultline.ErrInvalid)
	}
	k.last, k.reference, k.still, k.unknown = last, reference, still, unknown == 1
	return nil
}
