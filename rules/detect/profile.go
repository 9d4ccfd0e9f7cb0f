package detect

import (
	"math"
	"time"
)

// profile is what a signal does in each part of a period, such as the hours of a week: an exponential
// mean for each part. A part that was never seen is expected to be like the whole.
type profile struct {
	period time.Duration
	part   time.Duration
	gain   float64 // of a value, where a part has seen many
	mean   []float64
	seen   []uint16
}

func newProfile(period, part time.Duration, gain float64) profile {
	n := int(period / part)
	return profile{period: period, part: part, gain: gain, mean: make([]float64, n), seen: make([]uint16, n)}
}

// at is the part of a time, in ns since the detector began.
func (p *profile) at(now int64) int {
	in := now % int64(p.period)
	if in < 0 {
		in += int64(p.period)
	}
	return min(int(in/int64(p.part)), len(p.mean)-1)
}

// expect gives what is normal in a part; false if it was never seen.
func (p *profile) expect(part int) (float64, bool) { return p.mean[part], p.seen[part] > 0 }

func (p *profile) learn(part int, v float64) {
	if p.seen[part] == 0 {
		p.mean[part] = v
	} else {
		p.mean[part] += max(p.gain, 1/float64(p.seen[part]+1)) * (v - p.mean[part])
	}
	p.seen[part] = min(p.seen[part]+1, math.MaxUint16-1)
}
