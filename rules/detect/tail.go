package detect

import (
	"math"
	"sort"
)

// tail ranks a value against the largest of its own past: how often was one as large seen? It keeps the
// largest ones, sorted. Beyond the largest it goes on with a Pareto tail fitted to the upper half of
// what it keeps (Hill, Annals of Statistics 3, 1975); below the smallest kept one it interpolates.
type tail struct {
	n   float64 // how many were seen, less what is forgotten
	top []float32
}

// kept is how many of the largest values a tail keeps.
const kept = 200

// horizon is after how many values a tail forgets half of its past: what was rare last year may be
// normal now.
const horizon = 40_000

// rarity of v among the past in powers of ten: 3 is one in a thousand. 0 until enough was seen.
func (t *tail) rarity(v float64) float64 {
	m := len(t.top)
	if t.n < 30 || m < 5 || math.IsNaN(v) {
		return 0
	}
	e := float32(v)
	below := sort.Search(m, func(i int) bool { return t.top[i] >= e })
	if below < m && below > 0 {
		return decades(float64(m-below+1) / (t.n + 1))
	}
	low := float64(t.top[0])
	if below == 0 {
		if low <= 0 {
			return 0
		}
		return decades(float64(m+1)/(t.n+1)) * max(0, v/low)
	}
	most := float64(t.top[m-1])
	rare := decades(1 / (t.n + 1))
	middle := max(float64(t.top[m/2]), most*1e-9)
	if middle <= 0 {
		return rare + 2 // all were zero, and this one is not
	}
	sum := 0.0
	for _, x := range t.top[m/2:] {
		sum += math.Log(max(float64(x), middle) / middle)
	}
	shape := max(sum/float64(m-m/2), 0.05)
	return rare + min(math.Log(v/most)/shape/math.Ln10, sure)
}

// add makes v part of the past.
func (t *tail) add(v float64) {
	if math.IsNaN(v) {
		return
	}
	t.n++
	if t.n >= horizon {
		t.forget()
	}
	e := float32(v)
	if len(t.top) < kept {
		i := sort.Search(len(t.top), func(i int) bool { return t.top[i] >= e })
		t.top = append(t.top, 0)
		copy(t.top[i+1:], t.top[i:])
		t.top[i] = e
		return
	}
	if e <= t.top[0] {
		return
	}
	i := sort.Search(len(t.top), func(i int) bool { return t.top[i] >= e })
	copy(t.top[:i-1], t.top[1:i])
	t.top[i-1] = e
}

// forget halves the past: every second of the largest values stays.
func (t *tail) forget() {
	t.n /= 2
	n := 0
	for i := len(t.top) % 2; i < len(t.top); i += 2 {
		t.top[n] = t.top[i]
		n++
	}
	t.top = t.top[:n]
}
