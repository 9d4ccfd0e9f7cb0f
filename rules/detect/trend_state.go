package detect

import "math"

// Append writes the state; limit and learning are the rule's.
func (t *Trend) Append(dst []byte) []byte {
	dst = putInt(putInt(putInt(dst, int64(t.steps)), int64(t.fitted)), t.origin)
	dst = putFloats(putFloats(dst, t.base, t.spread), t.day[:]...)
	dst = putInt(dst, int64(len(t.list)))
	for i := range t.list {
		b := &t.list[i]
		dst = putFloats(putInt(putInt(putInt(dst, b.at), b.until-b.at), b.n), b.sum)
	}
	f := &t.forecast
	dst = putInt(putInt(putInt(putInt(putInt(dst, int64(f.Refusal)), int64(f.Model)), f.Onset), f.At), int64(f.Points))
	return putFloats(dst, endless(f.P10), endless(f.P50), endless(f.P90), f.Level, f.Start)
}

// A time that never ends is written as a negative one: states hold finite numbers only.
func endless(v float64) float64 {
	if math.IsInf(v, 1) {
		return -1
	}
	return v
}

// Restore reads a state that Append wrote and gives what follows it; after an error nothing has changed.
func (t *Trend) Restore(b []byte) ([]byte, error) {
	r := reader{b: b}
	n := NewTrend(t.limit, t.up, t.learn)
	n.steps, n.fitted, n.origin = int(r.int(0, math.MaxInt32)), int(r.int(0, math.MaxInt32)), r.int(math.MinInt64, math.MaxInt64)
	r.floats(&n.base, &n.spread)
	for h := range n.day {
		r.floats(&n.day[h])
	}
	last := int64(math.MinInt64)
	for range int(r.int(0, mostBlocks)) {
		b := block{at: r.int(math.MinInt64/4, math.MaxInt64/4)}
		b.until = b.at + r.int(0, math.MaxInt64/4)
		b.n = r.int(1, math.MaxInt32)
		r.floats(&b.sum)
		if r.bad || b.at <= last {
			return nil, ErrState
		}
		last = b.until
		n.list = append(n.list, b)
	}
	f := &n.forecast
	f.Refusal, f.Model = Refusal(r.int(0, int64(Reached))), Model(r.int(0, int64(Exponential)))
	f.Onset, f.At, f.Points = r.int(math.MinInt64, math.MaxInt64), r.int(math.MinInt64, math.MaxInt64), int(r.int(0, mostPoints))
	r.floats(&f.P10, &f.P50, &f.P90, &f.Level, &f.Start)
	for _, p := range []*float64{&f.P10, &f.P50, &f.P90} {
		if *p < 0 {
			*p = math.Inf(1)
		}
	}
	if r.bad || n.spread < 0 || n.fitted > n.steps || len(n.list) > n.steps || (n.steps > 0) != (len(n.list) > 0) {
		return nil, ErrState
	}
	*t = *n
	return r.b, nil
}
