package modbus

import (
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// answersWithin is how late an answer can be: a request without one is forgotten after it.
const answersWithin = 10 * time.Second

// shape is what an answer shows of its request.
type shape struct {
	unit, function byte
	bytes          int // 0 of an exception
}

func shapeOf(r request) shape { return shape{r.unit, functions[r.table], r.bytes()} }

func (s shape) exception() bool { return s.function&0x80 != 0 }

// answers tells whether a frame of shape got can be the answer to a request of shape s.
func (s shape) answers(got shape) bool {
	return s == got || got.exception() && got.unit == s.unit && got.function == s.function|0x80
}

// answered is a shape and when it was answered, to which address and with what.
type answered struct {
	shape
	at      time.Time
	address uint16
	sum     uint64
}

// overdue holds the requests that have no answer yet, oldest first. The last one is under way.
type overdue struct {
	within time.Duration // how late an answer can be
	list   []answered
}

// sent adds the request under way.
func (o *overdue) sent(s shape, now time.Time) {
	o.expire(now)
	o.list = append(o.list, answered{shape: s, at: now})
}

func (o *overdue) expire(now time.Time) {
	o.list = slices.DeleteFunc(o.list, func(a answered) bool { return now.Sub(a.at) > o.within })
}

// fits tells whether a late answer could be taken for one of shape s.
func (o *overdue) fits(s shape, now time.Time) bool {
	o.expire(now)
	return slices.ContainsFunc(o.list, func(a answered) bool { return a.answers(s) })
}

// answered takes a frame for the oldest request that it fits, and forgets the older ones of its unit,
// whose answers cannot come any more. newest tells that it was the request under way.
func (o *overdue) answered(got shape) (newest, known bool) {
	i := slices.IndexFunc(o.list, func(a answered) bool { return a.answers(got) })
	if i < 0 {
		return false, false
	}
	newest = i == len(o.list)-1
	k := -1
	o.list = slices.DeleteFunc(o.list, func(a answered) bool { k++; return k <= i && a.unit == got.unit })
	return newest, true
}

// other is a request whose answer is of no taken shape: a part of r, or one register or bit of another
// table, for which an exception would do as well.
func other(r request, taken func(shape) bool) (request, bool) {
	step := uint16(1)
	if r.table.Bits() {
		step = 8
	}
	o := r
	for o.count > step {
		if o.count -= step; !taken(shapeOf(o)) {
			return o, true
		}
	}
	o.count = 1
	for _, o.table = range [...]profile.Table{profile.Holding, profile.Input, profile.Coil, profile.Discrete} {
		s := shapeOf(o)
		if !taken(s) && !taken(shape{s.unit, s.function | 0x80, 0}) {
			return o, true
		}
	}
	return r, false
}

// seen tells whether an answer of the shape came lately.
func (l *rtuLine) seen(s shape) bool {
	now := time.Now()
	l.recent = slices.DeleteFunc(l.recent, func(r answered) bool { return now.Sub(r.at) > copyAge })
	return slices.ContainsFunc(l.recent, func(r answered) bool { return r.shape == s && now.Sub(r.at) <= repeatAge })
}

// copied tells whether an answer is, to the last bit, what another address was answered lately.
func (l *rtuLine) copied(s shape, address uint16, sum uint64) bool {
	return slices.ContainsFunc(l.recent, func(r answered) bool { return r.shape == s && r.address != address && r.sum == sum })
}

// sumOf data.
func sumOf(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data) // which cannot fail
	return h.Sum64()
}

func isException(err error) bool {
	var e Exception
	return errors.As(err, &e)
}
