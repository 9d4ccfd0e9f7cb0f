package gateway

import (
	"math"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// rollovers makes the counters of a position go on rising where the device's begin at 0 again: what is
// stored is the device's count plus a whole number of rollovers. A value below the last one is a
// rollover if the count has risen by at most a quarter of its room over it; any other fall is one, such
// as that of a device that was replaced, and stays one.
//
// How often a counter has rolled over is not kept apart: after a restart it is found in the last stored
// frames. A position that is not in them begins with the device's count, which shows as a fall.
type rollovers struct{ of map[string]*rolled }

type rolled struct {
	room   float64 // in the point's unit
	offset float64
	times  float64
	last   faultline.Value
}

// newRollovers is nil if no point of the profile rolls over.
func newRollovers(p *profile.Profile) *rollovers {
	var r *rollovers
	for i := range p.Points {
		pt := &p.Points[i]
		if pt.Rollover == 0 {
			continue
		}
		if r == nil {
			r = &rollovers{of: map[string]*rolled{}}
		}
		c := &rolled{room: pt.Rollover, offset: pt.Offset}
		if pt.Scale != nil {
			c.room *= *pt.Scale
		}
		r.of[pt.Name] = c
	}
	return r
}

// resume goes on after a stored frame.
func (r *rollovers) resume(f *faultline.Frame) {
	if r == nil {
		return
	}
	for i := range f.Samples {
		c := r.of[f.Samples[i].Point]
		if v, number := f.Samples[i].Value.Number(); c != nil && number {
			c.last = f.Samples[i].Value
			c.times = max(math.Floor((v-c.offset)/c.room*(1+1e-12)), 0)
		}
	}
}

// apply replaces the counts of a reading.
func (r *rollovers) apply(samples []faultline.Sample) {
	if r == nil {
		return
	}
	for i := range samples {
		if c := r.of[samples[i].Point]; c != nil && samples[i].Quality.Usable() {
			samples[i].Value = c.next(samples[i].Value)
		}
	}
}

func (c *rolled) next(v faultline.Value) faultline.Value {
	total := c.plus(v)
	last, before := c.last.Number()
	if now, _ := total.Number(); before && now < last && now+c.room-last <= c.room/4 {
		c.times++
		total = c.plus(v)
	}
	if total.Type() != faultline.NoType {
		c.last = total
	}
	return total
}

// plus adds the rollovers so far, exactly to an int.
func (c *rolled) plus(v faultline.Value) faultline.Value {
	if c.times == 0 {
		return v
	}
	if n, whole := v.Int64(); whole && v.Type() == faultline.TypeInt {
		if c.times*c.room > math.MaxInt64-float64(n)-1024 {
			return v // after more than 2^63 counts it falls after all
		}
		return faultline.Int(n + int64(c.times)*int64(c.room))
	}
	n, _ := v.Number()
	return faultline.Float(n + c.times*c.room)
}
