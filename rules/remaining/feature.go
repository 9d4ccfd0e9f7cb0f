package remaining

import "math"

// scale brings the signals of a kind of asset to one measure, and joins them to an index of health.
type scale struct {
	Mean   []float64 `json:"mean"`
	Spread []float64 `json:"spread"` // of the noise from one step to the next
	Health []float64 `json:"health"` // weights of the index: a constant, then one for each signal
}

// scaled gives rows in units of noise, and the index of health as one signal more.
func (s *scale) scaled(rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		z := make([]float64, len(row)+1)
		h := s.Health[0]
		for k, v := range row {
			z[k] = (v - s.Mean[k]) / s.Spread[k]
			h += s.Health[k+1] * z[k]
		}
		z[len(row)] = h
		out[i] = z
	}
	return out
}

// Windows of the features, in steps.
var (
	meanWindows  = []int{5, 15, 40}
	slopeWindows = []int{20, 40}
	startWindow  = 20 // that a unit's own beginning is taken from
)

// least is the steps that a unit must have been seen for.
const least = 25

// features says what the last step of scaled rows looks like: of each signal the mean of the newest steps, how
// it moves, and how far it is from where the unit began; and how old the unit is. Nothing later than the last
// row counts.
func features(z [][]float64) []float64 {
	var x []float64
	for f := range z[0] {
		for _, w := range meanWindows {
			x = append(x, mean(z, w, f))
		}
		for _, w := range slopeWindows {
			x = append(x, slope(z, w, f))
		}
		x = append(x, mean(z, meanWindows[1], f)-mean(z[:min(len(z), startWindow)], startWindow, f))
	}
	health := len(z[0]) - 1
	return append(x, mean(z, 10, health), mean(z, 25, health), slope(z, 80, health), float64(len(z)))
}

// mean of a signal over the newest w rows.
func mean(z [][]float64, w, f int) float64 {
	z = z[max(0, len(z)-w):]
	s := 0.0
	for _, row := range z {
		s += row[f]
	}
	return s / float64(len(z))
}

// slope is how far a signal moved in the newest w rows, by least squares.
func slope(z [][]float64, w, f int) float64 {
	z = z[max(0, len(z)-w):]
	if len(z) < 3 {
		return 0
	}
	middle := float64(len(z)-1) / 2
	var xy, xx float64
	for i, row := range z {
		d := float64(i) - middle
		xy += d * row[f]
		xx += d * d
	}
	return xy / xx * float64(w)
}

// scaleOf measures the noise of the runs' signals and fits the index of health, which is the steps that are
// left up to a bound, to them.
func scaleOf(runs []Run, bound float64) scale {
	n := len(runs[0].Rows[0])
	s := scale{Mean: make([]float64, n), Spread: make([]float64, n)}
	rows, steps := 0.0, 0.0
	for _, u := range runs {
		for i, row := range u.Rows {
			rows++
			for k, v := range row {
				s.Mean[k] += v
				if i > 0 {
					d := v - u.Rows[i-1][k]
					s.Spread[k] += d * d
				}
			}
			if i > 0 {
				steps++
			}
		}
	}
	for k := range s.Mean {
		s.Mean[k] /= rows
		s.Spread[k] = math.Sqrt(s.Spread[k] / steps / 2)
		if s.Spread[k] == 0 {
			s.Spread[k] = 1 // it never changed
		}
	}
	s.Health = make([]float64, n+1)
	var x [][]float64
	var y []float64
	for _, u := range runs {
		for i, z := range s.scaled(u.Rows) {
			x, y = append(x, z[:n]), append(y, min(bound, float64(len(u.Rows)-1-i)))
		}
	}
	s.Health = ridge(x, y, 10)
	return s
}

// ridge is a linear regression with a constant, its weights held back by the penalty (Hoerl and Kennard 1970).
func ridge(x [][]float64, y []float64, penalty float64) []float64 {
	n := len(x[0]) + 1
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, n+1)
	}
	v := make([]float64, n)
	v[0] = 1
	for i, row := range x {
		copy(v[1:], row)
		for p := range v {
			for q := range v {
				a[p][q] += v[p] * v[q]
			}
			a[p][n] += v[p] * y[i]
		}
	}
	for p := 1; p < n; p++ {
		a[p][p] += penalty
	}
	for p := range n { // Gauss and Jordan: the matrix is positive definite
		for q := range n {
			if q == p {
				continue
			}
			k := a[q][p] / a[p][p]
			for j := p; j <= n; j++ {
				a[q][j] -= k * a[p][j]
			}
		}
	}
	out := make([]float64, n)
	for p := range out {
		out[p] = a[p][n] / a[p][p]
	}
	return out
}
