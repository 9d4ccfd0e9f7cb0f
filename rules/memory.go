package rules

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// memoryHours is how far back the hourly means of a point go.
const memoryHours = 48

// memory keeps the mean of each of the last hours of a point, so that a sentence can say how a value came to
// where it is over hours. It goes by event time.
type memory struct {
	hour  int64   // that is going on, since 1970; its mean is sum / n
	n     int64   // 0: nothing was ever added
	sum   float64 // of the hour that is going on
	means [memoryHours]float32
}

// none stands for an hour of which nothing is known.
var none = float32(math.NaN())

func (m *memory) add(at int64, v float64) {
	hour := floorHour(at)
	switch {
	case !(math.Abs(v) <= math.MaxFloat32): // no measured quantity
		return
	case m.n == 0:
		m.clear()
		m.hour = hour
	case hour < m.hour:
		return
	case hour > m.hour:
		m.means[m.hour%memoryHours] = float32(m.sum / float64(m.n))
		for gone := m.hour + 1; gone <= min(hour, m.hour+memoryHours); gone++ {
			m.means[gone%memoryHours] = none
		}
		m.hour, m.n, m.sum = hour, 0, 0
	}
	m.n++
	m.sum += v
}

func floorHour(at int64) int64 { return max(at, 0) / int64(time.Hour) }

func (m *memory) clear() {
	for i := range m.means {
		m.means[i] = none
	}
}

// mean of an hour that is over, and whether it is known.
func (m *memory) mean(hour int64) (float64, bool) {
	if m.n == 0 || hour >= m.hour || hour <= m.hour-memoryHours || hour < 0 {
		return 0, false
	}
	v := m.means[hour%memoryHours]
	return float64(v), v == v // not none
}

// A course over hours is worth telling if it took this long, and if no hour took more of it than this share:
// else it was a jump, and the last minutes tell more.
const (
	courseHours   = 2
	longestStride = 0.6
)

// course gives how a value came gradually to v over hours, upwards or downwards: from the latest hour that was
// still as good as the least (or greatest) one that is known.
func (m *memory) course(up bool, scale, v float64, at time.Time) (change float64, from int64, ok bool) {
	sign := 1.0
	if !up {
		sign = -1
	}
	most := 0.0
	for h := m.hour - 1; h > m.hour-memoryHours; h-- {
		if mean, known := m.mean(h); known {
			most = max(most, sign*(v-mean))
		}
	}
	if most <= 0.02*math.Abs(scale) {
		return 0, 0, false
	}
	last, stride := v, 0.0
	for h := m.hour - 1; h > m.hour-memoryHours; h-- {
		mean, known := m.mean(h)
		if !known {
			continue
		}
		stride = max(stride, sign*(last-mean))
		last = mean
		if moved := sign * (v - mean); moved >= 0.95*most {
			return v - mean, h, floorHour(at.UnixNano())-h >= courseHours && stride <= longestStride*moved
		}
	}
	return 0, 0, false
}

// between gives the means of the hours from from to to, the one that is going on; false if less than half of
// them are known.
func (m *memory) between(from, to int64) (s kind.Span, ok bool) {
	known := int64(0)
	add := func(v float64) {
		if known == 0 {
			s = kind.Span{First: v, Last: v, Low: v, High: v}
		}
		s.Way += math.Abs(v - s.Last)
		s.Last, s.Low, s.High = v, min(s.Low, v), max(s.High, v)
		known++
	}
	for h := from; h < m.hour; h++ {
		if v, ok := m.mean(h); ok {
			add(v)
		}
	}
	if m.n > 0 && m.hour >= from {
		add(m.sum / float64(m.n))
	}
	return s, known > 0 && 2*known >= to-from+1
}

// snapshot appends the memory; one that never was is empty.
func (m *memory) snapshot(dst []byte) []byte {
	if m == nil || m.n == 0 {
		return dst
	}
	dst = appendUint(appendUint(dst, uint64(m.hour)), uint64(m.n))
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(m.sum))
	for back := int64(1); back < memoryHours; back++ {
		if v, ok := m.mean(m.hour - back); ok {
			dst = binary.LittleEndian.AppendUint32(append(dst, byte(back)), math.Float32bits(float32(v)))
		}
	}
	return dst
}

func (m *memory) restore(in *input) {
	n := memory{}
	if len(in.b) == 0 {
		*m = n
		return
	}
	hour, count := in.uint(), in.uint()
	n.sum = math.Float64frombits(in.fixed())
	n.clear()
	if hour > math.MaxInt64/uint64(time.Hour) || count == 0 || count > math.MaxInt64 || !(math.Abs(n.sum) <= math.MaxFloat64) {
		in.fail("an hour")
		return
	}
	n.hour, n.n = int64(hour), int64(count)
	for len(in.b) > 0 {
		if len(in.b) < 5 || in.b[0] == 0 || in.b[0] >= memoryHours || int64(in.b[0]) > n.hour {
			in.fail("a mean")
			return
		}
		v := math.Float32frombits(binary.LittleEndian.Uint32(in.b[1:]))
		if !(math.Abs(float64(v)) <= math.MaxFloat32) {
			in.fail("a mean")
			return
		}
		n.means[(n.hour-int64(in.b[0]))%memoryHours] = v
		in.b = in.b[5:]
	}
	*m = n
}

// remember keeps the hours of what a rule tells of: its point, and its load if the asset has it.
func (u *unit) remember(r *instance) {
	if r.rule.Kind != "threshold" || r.point == nil {
		return
	}
	u.points[r.point.Name].keepHours()
	if load := u.load(r); load != nil {
		w := u.points[load.Name]
		if w == nil {
			w = &watched{}
			u.points[load.Name] = w
		}
		w.keepHours()
	}
}

func (w *watched) keepHours() {
	if w.memory == nil {
		w.memory = &memory{}
	}
}

// load gives the point that the rule names as its load; nil if there is none, or no measured quantity.
func (u *unit) load(r *instance) *faultline.Point {
	for i := range u.position.Points {
		p := &u.position.Points[i]
		if p.Name == r.rule.Load && r.rule.Load != "" && (p.Type == faultline.TypeFloat || p.Type == faultline.TypeInt) && !p.Bits {
			return p
		}
	}
	return nil
}

// course says of a limit how the value got there, where that was gradual: over hours if they are known, with
// what the load did meanwhile, else over the samples of the ring.
func (u *unit) course(r *instance, v kind.Verdict, at time.Time) string {
	if r.rule.Kind != "threshold" || r.point == nil {
		return ""
	}
	w := u.points[r.point.Name]
	if change, from, ok := w.memory.course(v.Detail > 0, v.Limit, v.Value, at); ok {
		hour := floorHour(at.UnixNano())
		text := "; " + kind.Course(change, r.point.Unit, time.Duration(hour-from)*time.Hour)
		if load := u.load(r); load != nil {
			if s, ok := u.points[load.Name].memory.between(from, hour); ok {
				text += " " + kind.While(load, s)
			}
		}
		return text
	}
	change, in, ok := w.ring.course(v.Detail > 0, v.Limit)
	if !ok {
		return ""
	}
	return "; " + kind.Course(change, r.point.Unit, in)
}

// sinceAfter is how much earlier than its alarm a condition must have begun for the sentence to say when.
const sinceAfter = time.Minute

// since says when a condition began that had held for long before its alarm.
func since(began, at time.Time) string {
	if at.Sub(began) < sinceAfter {
		return ""
	}
	return "; since " + began.Format("2006-01-02 15:04:05 UTC")
}
