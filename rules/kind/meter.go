package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Meter counts what an asset has done since its last service: hours, cycles, starts. It is due when
// reading − zero reaches the interval, and stays due until Serviced.
//
// An asset whose services are not known is taken to have been serviced at every full interval: one
// that is first seen at 57,000 h with an interval of 4,000 h is due at 60,000 h, not at once.
var meterType = Type{
	Name:     "meter",
	Uses:     []string{"every", "severity"},
	Severity: faultline.SeverityAdvisory,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		if !(s.Every > 0) || math.IsInf(s.Every, 0) {
			report("every", "must be a positive number in the meter's unit")
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		if p == nil {
			return nil, fmt.Errorf("%w: a meter rule needs a point", faultline.ErrInvalid)
		}
		if p.Type != faultline.TypeFloat && p.Type != faultline.TypeInt || p.Bits {
			return nil, fmt.Errorf("%w: point %s is %s: a meter rule needs numbers", faultline.ErrInvalid, p.Name, typeName(p))
		}
		return &Meter{settings: s, point: p}, nil
	},
}

// newMeter is how many readings in a row must stand below the last one before the meter counts as
// replaced or rolled over: a single zero after a restart of the equipment is not a new meter.
const newMeter = 3

// Meter is the kind "meter". It is exported because a service sets its zero.
type Meter struct {
	settings *Settings
	point    *faultline.Point
	last     int64 // event time
	reading  float64
	zero     float64
	cycle    int64 // of the next service, from 1; 0: nothing was read yet
	lower    int64 // readings in a row below reading
	since    float64
}

// Observe judges a reading.
func (k *Meter) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	v, ok := s.Value.Number()
	if s.Quality.IsBad() || !ok {
		return Verdict{Judgement: Unknown}
	}
	if k.cycle == 0 {
		done := max(math.Floor(v/k.settings.Every), 0)
		k.cycle, k.zero, k.reading = int64(min(done, 1<<52))+1, done*k.settings.Every, v
	}
	if v < k.reading {
		if k.lower == 0 {
			k.since = v
		}
		if k.lower++; k.lower < newMeter {
			return Verdict{Judgement: Unknown}
		}
		k.zero = k.since - (k.reading - k.zero) // what was counted before stays counted
	}
	k.reading, k.lower = v, 0
	used := k.reading - k.zero
	d := Verdict{Judgement: Fine, Value: v, Limit: k.settings.Every, Detail: k.cycle}
	if used >= k.settings.Every {
		d.Judgement, d.Severity = Bad, severity(k.settings, meterType.Severity)
	}
	return d
}

// Tick brings no news: meters speak for themselves.
func (k *Meter) Tick(time.Time) Verdict { return Verdict{} }

// Explain says how far the meter has come since its last service.
func (k *Meter) Explain(v Verdict, _ time.Duration) string {
	return subject(k.point) + " " + quantity(v.Value, k.point.Unit) + ": " + quantity(v.Value-k.zero, k.point.Unit) +
		" since the last service, which is due every " + quantity(v.Limit, k.point.Unit)
}

// Reading is the last one that was believed; false if there was none.
func (k *Meter) Reading() (float64, bool) { return k.reading, k.cycle != 0 }

// Cycle numbers the service that is next or due, from 1; 0 before the first reading.
func (k *Meter) Cycle() int { return int(k.cycle) }

// Serviced makes the present reading the new zero and gives the cycle that it ends; false if nothing
// was read yet.
func (k *Meter) Serviced() (cycle int, ok bool) {
	if k.cycle == 0 {
		return 0, false
	}
	cycle = int(k.cycle)
	k.zero = k.reading
	k.cycle++
	return cycle, true
}

// Snapshot appends the state.
func (k *Meter) Snapshot(dst []byte) []byte {
	dst = putFloat(putFloat(putFloat(putInt(dst, k.last), k.reading), k.zero), k.since)
	return putInt(putInt(dst, k.cycle), k.lower)
}

// Restore takes over a state.
func (k *Meter) Restore(state []byte) error {
	r := reader{b: state}
	last, reading, zero, since := r.int(), r.float(), r.float(), r.float()
	cycle, lower := r.int(), r.int()
	if err := r.end("meter"); err != nil {
		return err
	}
	if cycle < 0 || lower < 0 || lower >= newMeter || math.IsNaN(reading) || math.IsNaN(zero) || math.IsNaN(since) {
		return fmt.Errorf("%w: state of a meter rule is damaged", faultline.ErrInvalid)
	}
	k.last, k.reading, k.zero, k.since, k.cycle, k.lower = last, reading, zero, since, cycle, lower
	return nil
}
