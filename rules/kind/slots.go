package kind

import (
	"math"
	"slices"
)

// slots holds amounts by time over a window that moves on in steps: as much memory as there are slots,
// however many samples come.
type slots struct {
	width int64 // ns
	most  int64
	list  []amount // the oldest first
}

type amount struct {
	at  int64 // number of the slot: time / width
	n   int64
	sum float64
}

func newSlots(window int64, most int64) slots { return slots{width: max(window/most, 1), most: most} }

// forget drops what is out of the window at now.
func (s *slots) forget(now int64) {
	oldest := now/s.width - s.most
	n := 0
	for n < len(s.list) && s.list[n].at <= oldest {
		n++
	}
	if n > 0 {
		s.list = append(s.list[:0], s.list[n:]...)
	}
}

// add counts v at now, which is not before what was added last.
func (s *slots) add(now int64, v float64) {
	s.forget(now)
	at := now / s.width
	if n := len(s.list); n > 0 && s.list[n-1].at == at {
		s.list[n-1].sum += v
		s.list[n-1].n++
		return
	}
	s.list = append(s.list, amount{at, 1, v})
}

// total of the window, with how many additions it had.
func (s *slots) total() (sum float64, n int64) {
	for _, a := range s.list {
		sum += a.sum
		n += a.n
	}
	return sum, n
}

// slope of the means of the slots, by least squares, in units per ns; false unless the slots span three
// quarters of the window and a quarter of them is filled.
func (s *slots) slope() (float64, bool) {
	n := len(s.list)
	if n < 3 || int64(n) < s.most/4 || (s.list[n-1].at-s.list[0].at)*4 < s.most*3 {
		return 0, false
	}
	first, base := s.list[0].at, s.list[0].sum/float64(s.list[0].n)
	var sx, sy, sxx, sxy float64
	for _, a := range s.list {
		x, y := float64(a.at-first), a.sum/float64(a.n)-base
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	c := float64(n)
	d := c*sxx - sx*sx
	return (c*sxy - sx*sy) / d / float64(s.width), d != 0
}

func (s *slots) snapshot(dst []byte) []byte {
	dst = putInt(putInt(dst, s.width), int64(len(s.list)))
	last := int64(0)
	for _, a := range s.list {
		dst = putFloat(putInt(putInt(dst, a.at-last), a.n), a.sum)
		last = a.at
	}
	return dst
}

// restored reads slots; those of another window, from before the rule was edited, are of no use.
func (s *slots) restored(r *reader) slots {
	n := slots{width: s.width, most: s.most}
	same := r.int() == s.width
	last := int64(0)
	for range r.count(s.most + 1) {
		a := amount{at: last + r.int(), n: r.int(), sum: r.float()}
		if len(n.list) > 0 && a.at <= last || a.n < 1 || math.IsNaN(a.sum) || math.IsInf(a.sum, 0) {
			r.bad = true
			return n
		}
		last = a.at
		n.list = append(n.list, a)
	}
	if !same {
		n.list = nil
	}
	n.list = slices.Clip(n.list)
	return n
}

// count reads the length of a list.
func (r *reader) count(most int64) int64 {
	n := r.int()
	if n < 0 || n > most || n > int64(len(r.b)) {
		r.bad = true
		return 0
	}
	return n
}
