package detect

import "math"

// Append writes the state.
func (g *Group) Append(dst []byte) []byte {
	dst = putInt(putInt(dst, int64(g.n)), int64(g.steps))
	if g.model == nil {
		return putSingles(putInt(dst, 0), g.rows)
	}
	dst = putInt(dst, 1)
	m := g.model
	for _, list := range [][]float64{m.mean, m.spread, m.width, m.move, m.inverse, g.smooth, g.base} {
		dst = putFloats(dst, list...)
	}
	on := int64(0)
	if g.on {
		on = 1
	}
	for _, i := range []int64{on, int64(g.below), int64(g.quiet), int64(g.change), int64(g.at)} {
		dst = putInt(dst, i)
	}
	dst = putFloats(dst, g.peak)
	for _, row := range g.old {
		dst = putSingles(dst, row)
	}
	return dst
}

// Restore reads a state that Append wrote for as many signals, and gives what follows it; after an error
// nothing has changed.
func (g *Group) Restore(b []byte) ([]byte, error) {
	r := reader{b: b}
	n := NewGroup(g.n, g.learning)
	r.int(int64(g.n), int64(g.n))
	n.steps = int(r.int(0, math.MaxInt32))
	if r.int(0, 1) == 0 {
		n.rows = r.singles(g.learning * g.n)
		r.bad = r.bad || len(n.rows)%g.n != 0 || len(n.rows) == g.learning*g.n
	} else {
		n.restore(&r)
	}
	if r.bad {
		return nil, ErrState
	}
	*g = *n
	return r.b, nil
}

func (g *Group) restore(r *reader) {
	n := g.n
	m := &model{
		mean: make([]float64, n), spread: make([]float64, n), width: make([]float64, n),
		move: make([]float64, n), inverse: make([]float64, n*n),
	}
	g.model = m
	for _, list := range [][]float64{m.mean, m.spread, m.width, m.move, m.inverse, g.smooth, g.base} {
		for i := range list {
			r.floats(&list[i])
		}
	}
	for c := range n {
		r.bad = r.bad || m.spread[c] <= 0 || m.width[c] <= 0 || m.move[c] <= 0 || m.inverse[c*n+c] < 0
	}
	g.on = r.int(0, 1) == 1
	for _, i := range []struct {
		to   *int
		most int64
	}{{&g.below, endsAfter + 1}, {&g.quiet, afterSteps}, {&g.change, changeRest}, {&g.at, lookBack - 1}} {
		*i.to = int(r.int(0, i.most))
	}
	r.floats(&g.peak)
	for i := range g.old {
		row := r.singles(n)
		if len(row) != n {
			r.bad = true
			return
		}
		g.old[i] = row
	}
}
