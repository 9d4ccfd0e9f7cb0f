package modbus

import (
	"time"

	"github.com/faultline-iot/faultline"
)

// class is the fields of a unit that are read equally often.
type class struct {
	every  time.Duration
	fields []int
	next   time.Time // zero: with the next poll
}

const (
	maxClasses = 64 // bits of a mask; the rarest points share the last
	maxPlans   = 64
)

// classesOf groups fields by how often they are read, in order of first appearance.
func classesOf(fields []field, period time.Duration) []class {
	var out []class
next:
	for i := range fields {
		every := fields[i].point.PollEvery(period)
		for k := range out {
			if out[k].every == every || k == maxClasses-1 {
				out[k].fields = append(out[k].fields, i)
				continue next
			}
		}
		out = append(out, class{every: every, fields: []int{i}})
	}
	return out
}

// choose makes the plan of the poll that is due at the time: all fields that are due then are read in
// the fewest reads. A class whose poll failed stays due.
func (u *unit) choose(at time.Time) {
	u.chosen = 0
	for k := range u.classes {
		if !u.classes[k].next.After(at) {
			u.chosen |= 1 << k
		}
	}
	if p := u.plans[u.chosen]; p != nil {
		u.plan = p
		return
	}
	var due []int
	for k := range u.classes {
		if u.chosen>>k&1 != 0 {
			due = append(due, u.classes[k].fields...)
		}
	}
	if len(u.plans) >= maxPlans {
		clear(u.plans)
	}
	u.plan = u.planOf(due)
	u.plans[u.chosen] = u.plan
}

func (u *unit) planOf(due []int) *readPlan {
	p := new(readPlan)
	for _, b := range planFor(u.Profile.Modbus, u.fields, due) {
		p.blocks = append(p.blocks, planned{block: b})
	}
	return p
}

// advance makes the classes that were read due again after their time, in phase.
func (u *unit) advance(at time.Time) {
	for k := range u.classes {
		c := &u.classes[k]
		if u.chosen>>k&1 == 0 || u.unsure>>k&1 != 0 {
			continue
		}
		if c.next.IsZero() {
			c.next = at
		}
		if late := at.Sub(c.next); late >= 0 {
			c.next = c.next.Add(c.every * (late/c.every + 1))
		}
	}
}

// renew makes all fields due: a device that was away may be another one.
func (u *unit) renew() {
	for k := range u.classes {
		u.classes[k].next = time.Time{}
	}
}

// again keeps the classes of fields due that were not answered for good.
func (u *unit) again(fields []int) {
	for _, i := range fields {
		for k := range u.classes {
			for _, j := range u.classes[k].fields {
				if i == j {
					u.unsure |= 1 << k
				}
			}
		}
	}
}

// begin makes room for the samples of a poll, where those of a reading were that is stored.
func (u *unit) begin() {
	select {
	case u.samples = <-u.spare:
		u.samples = u.samples[:len(u.fields)]
		clear(u.samples)
	default:
		u.samples = make([]faultline.Sample, len(u.fields))
	}
}

// spend takes back the samples of a reading that is stored.
func (u *unit) spend(samples []faultline.Sample) {
	select {
	case u.spare <- samples:
	default:
	}
}

// taken gives away the samples of the fields that were due.
func (u *unit) taken() []faultline.Sample {
	out := u.samples
	u.samples = nil
	n := 0
	for i := range out {
		if out[i].Point != "" {
			out[n] = out[i]
			n++
		}
	}
	return out[:n]
}
