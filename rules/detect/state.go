package detect

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrState says that a state is damaged or of another form.
var ErrState = errors.New("the state of a detector is damaged")

// Append writes the state.
func (s *Signal) Append(dst []byte) []byte {
	dst = putInt(dst, int64(s.n))
	if !s.started {
		return dst
	}
	dst = putFloats(putInt(dst, s.first), s.base, s.mean, s.smooth[0], s.smooth[1], s.sums[0], s.sums[1], s.errors[0], s.errors[1], s.errors[2])
	dst = s.week.append(s.day.append(dst))
	dst = s.shapes.append(dst)
	for i := range s.tails {
		dst = s.tails[i].append(dst)
	}
	return s.whole.append(dst)
}

// Restore reads a state that Append wrote and gives what follows it; after an error nothing has changed.
func (s *Signal) Restore(b []byte) ([]byte, error) {
	r := reader{b: b}
	n := NewSignal()
	if steps := r.int(0, math.MaxInt32); steps > 0 {
		n = begun(r.int(math.MinInt64, math.MaxInt64), 0)
		n.n = float64(steps)
		r.floats(&n.base, &n.mean, &n.smooth[0], &n.smooth[1], &n.sums[0], &n.sums[1], &n.errors[0], &n.errors[1], &n.errors[2])
		n.day.restore(&r)
		n.week.restore(&r)
		n.shapes.restore(&r)
		for i := range n.tails {
			n.tails[i].restore(&r)
		}
		n.whole.restore(&r)
	}
	if r.bad {
		return nil, ErrState
	}
	*s = *n
	return r.b, nil
}

func (t *tail) append(dst []byte) []byte {
	return putSingles(putFloats(dst, t.n), t.top)
}

func (t *tail) restore(r *reader) {
	r.floats(&t.n)
	t.top = r.singles(kept)
	for i := 1; i < len(t.top); i++ {
		r.bad = r.bad || t.top[i] < t.top[i-1]
	}
	r.bad = r.bad || t.n < 0 || t.n > horizon
}

func (p *profile) append(dst []byte) []byte {
	for i, m := range p.mean {
		dst = putInt(dst, int64(p.seen[i]))
		if p.seen[i] > 0 {
			dst = putFloats(dst, m)
		}
	}
	return dst
}

func (p *profile) restore(r *reader) {
	for i := range p.mean {
		if p.seen[i] = uint16(r.int(0, math.MaxUint16-1)); p.seen[i] > 0 {
			r.floats(&p.mean[i])
		}
	}
}

func (d *discord) append(dst []byte) []byte {
	dst = putInt(putInt(dst, int64(d.n)), int64(d.turn))
	return putSingles(putSingles(dst, d.past[d.first:][:min(d.n, reach)]), d.distance[:min(lags, max(d.n-1, 0))])
}

func (d *discord) restore(r *reader) {
	d.n, d.turn = int(r.int(0, math.MaxInt32)), int(r.int(0, lags))
	past, distance := r.singles(reach), r.singles(lags)
	if r.bad || len(past) != min(d.n, reach) || len(distance) != min(lags, max(d.n-1, 0)) || d.turn > len(distance) {
		r.bad = true
		return
	}
	copy(d.past[d.first:], past)
	copy(d.distance, distance)
}

// reader takes a state apart. After the first fault it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) int(low, high int64) int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 || v < low || v > high {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// floats reads finite numbers.
func (r *reader) floats(to ...*float64) {
	for _, f := range to {
		if len(r.b) < 8 {
			r.bad, r.b = true, nil
			return
		}
		*f = math.Float64frombits(binary.LittleEndian.Uint64(r.b))
		r.bad = r.bad || math.IsNaN(*f) || math.IsInf(*f, 0)
		r.b = r.b[8:]
	}
}

func (r *reader) singles(most int) []float32 {
	n := int(r.int(0, int64(most)))
	if len(r.b) < 4*n {
		r.bad, r.b = true, nil
		return nil
	}
	list := make([]float32, n)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(r.b[4*i:]))
		r.bad = r.bad || list[i] != list[i]
	}
	r.b = r.b[4*n:]
	return list
}

func putInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func putFloats(dst []byte, list ...float64) []byte {
	for _, f := range list {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	}
	return dst
}

func putSingles(dst []byte, list []float32) []byte {
	dst = putInt(dst, int64(len(list)))
	for _, f := range list {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	}
	return dst
}
