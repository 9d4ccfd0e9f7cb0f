package detect

import (
	"math"
	"slices"
)

// learn gathers a step; a step that lacks a value does not count.
func (g *Group) learn(values []float64) Moment {
	g.steps++
	if slices.ContainsFunc(values, math.IsNaN) {
		return Moment{}
	}
	for _, v := range values {
		g.rows = append(g.rows, float32(v))
	}
	if len(g.rows) < g.learning*g.n {
		return Moment{}
	}
	good := g.fit()
	g.rows = nil
	if !good {
		g.steps = 0
		return Moment{Refused: true}
	}
	return Moment{Ready: true}
}

// fit makes the model from the rows. It refuses data in which more than half of the signals stand still,
// and data with a step of the kind that normal operation does not have: learning a fault as the
// normal would hide it for ever.
func (g *Group) fit() bool {
	n, rows := g.n, len(g.rows)/g.n
	m := &model{
		mean: make([]float64, n), spread: make([]float64, n), width: make([]float64, n),
		move: make([]float64, n), inverse: make([]float64, n*n),
	}
	still := 0
	for c := range n {
		m.mean[c], m.spread[c] = g.moments(c, rows)
		if m.spread[c] <= 1e-7*math.Abs(m.mean[c]) {
			m.spread[c] = max(1e-3*math.Abs(m.mean[c]), 1e-9)
			still++
		}
	}
	if 2*still > n {
		return false
	}
	track := g.replay(m, rows)
	left := make([]bool, n)
	for c := range n {
		slow := m.slow(g.rows, c, n, rows)
		sum, moved, most := 0.0, 0.0, 0.0
		for i := settle; i < rows; i++ {
			sum += track[i][c] * track[i][c]
			if i >= lookBack+settle {
				d := track[i][c] - track[i-lookBack][c]
				moved += d * d
				most = max(most, math.Abs(d))
			}
		}
		m.width[c] = math.Sqrt(sum/float64(rows-settle) + leastWidth*leastWidth + driftRoom*max(0, slow-0.1))
		m.move[c] = math.Sqrt(moved/float64(max(rows-lookBack-settle, 1)) + 0.04)
		left[c] = slow > drifts
		if jumped(track, c, rows) {
			return false
		}
	}
	m.invert(track, left, rows)
	g.model = m
	return true
}

func (g *Group) moments(c, rows int) (mean, spread float64) {
	for i := range rows {
		mean += float64(g.rows[i*g.n+c]) / float64(rows)
	}
	for i := range rows {
		d := float64(g.rows[i*g.n+c]) - mean
		spread += d * d / float64(rows)
	}
	return mean, math.Sqrt(spread)
}

// replay runs the learning rows through the smoothing and the following, as if they came now.
func (g *Group) replay(m *model, rows int) [][]float64 {
	track := make([][]float64, rows)
	clear(g.smooth)
	clear(g.base)
	for i := range rows {
		track[i] = make([]float64, g.n)
		for c := range g.n {
			z := m.standard(c, float64(g.rows[i*g.n+c]))
			g.smooth[c] += max(groupGain, 1/float64(i+1)) * (z - g.smooth[c])
			if i > settle {
				g.base[c] += followGain * (g.smooth[c] - g.base[c])
			}
			track[i][c] = g.smooth[c]
			g.old[i%lookBack][c] = float32(g.smooth[c])
		}
	}
	g.at = rows % lookBack
	return track
}

// slow is the share of a signal's variance that lies between blocks of the learning steps.
func (m *model) slow(values []float32, c, n, rows int) float64 {
	size := rows / blocks
	share := 0.0
	for b := range blocks {
		mean := 0.0
		for i := b * size; i < (b+1)*size; i++ {
			mean += m.standard(c, float64(values[i*n+c])) / float64(size)
		}
		share += mean * mean / blocks
	}
	return share
}

// jumped tells whether a signal stood in two places, each much narrower than the way between them.
func jumped(track [][]float64, c, rows int) bool {
	const apart = 12
	third := rows / 3
	level := func(from, to int) (mean, spread float64) {
		for i := from; i < to; i++ {
			mean += track[i][c] / float64(to-from)
		}
		for i := from; i < to; i++ {
			spread += (track[i][c] - mean) * (track[i][c] - mean) / float64(to-from)
		}
		return mean, math.Sqrt(spread)
	}
	a, s := level(settle, third)
	b, t := level(rows-third, rows)
	return math.Abs(a-b) > apart*max(s, t, 0.02)
}

// invert correlates the deviations and inverts; what is left out stands alone and counts for nothing.
func (m *model) invert(track [][]float64, left []bool, rows int) {
	n := len(left)
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, 2*n)
		a[i][i], a[i][n+i] = 1, 1
		for j := range n {
			if i == j || left[i] || left[j] {
				continue
			}
			for k := settle; k < rows; k++ {
				a[i][j] += track[k][i] * track[k][j] / float64(rows-settle)
			}
			a[i][j] *= (1 - shrinkage) / (m.width[i] * m.width[j])
		}
	}
	for i := range n { // Gauss and Jordan; shrunk matrices need no pivot
		d := a[i][i]
		for k := range a[i] {
			a[i][k] /= d
		}
		for j := range n {
			if f := a[j][i]; j != i && f != 0 {
				for k := range a[j] {
					a[j][k] -= f * a[i][k]
				}
			}
		}
	}
	for i := range n {
		for j := range n {
			if !left[i] && !left[j] {
				m.inverse[i*n+j] = a[i][n+j]
			}
		}
	}
}
