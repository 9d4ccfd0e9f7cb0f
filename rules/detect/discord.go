package detect

import "math"

// discord finds shapes that were not there before: the distance of the last few values, as a shape, to
// the nearest stretch of the recent past (Keogh, Lin and Fu, ICDM 2005). The distance to the stretch
// that lies lag steps back follows from the one a step ago, so a step costs a few operations a lag;
// rounding is undone by computing one lag anew at each step, in turn.
type discord struct {
	n        int       // values seen
	first    int       // where the newest value stands in past; older ones follow
	past     []float32 // the newest first
	distance []float32 // squared, by lag-1
	turn     int
}

const (
	shapeLength = 12   // steps that are a shape
	lags        = 1000 // how far back similar shapes are looked for
	reach       = lags + shapeLength + 1
	room        = 128 // steps between two moves of the past
)

func newDiscord() discord {
	return discord{first: room, past: make([]float32, reach+room), distance: make([]float32, lags)}
}

// back gives the value that came i steps before the newest.
func (d *discord) back(i int) float32 { return d.past[d.first+i] }

// step takes the next value and gives the distance of the newest shape to the nearest one that does
// not overlap with it; NaN while there is none.
func (d *discord) step(v float64) float64 {
	if d.first == 0 {
		copy(d.past[room:], d.past[:reach])
		d.first = room
	}
	d.first--
	x := float32(v)
	d.past[d.first] = x
	d.n++
	least := float32(math.MaxFloat32)
	switch {
	case d.n > reach: // the usual case
		least = slide(d.distance[:lags], d.past[d.first+1:][:lags], d.past[d.first+1+shapeLength:][:lags], x, d.back(shapeLength))
	default:
		for lag := 1; lag <= min(lags, d.n-1); lag++ {
			a := x - d.back(lag)
			d.distance[lag-1] += a * a
			if lag+shapeLength < d.n {
				b := d.back(shapeLength) - d.back(lag+shapeLength)
				d.distance[lag-1] -= b * b
			}
		}
		for lag := shapeLength; lag <= min(lags, d.n-shapeLength); lag++ {
			least = min(least, d.distance[lag-1])
		}
	}
	d.renew()
	if d.n <= 3*shapeLength {
		return math.NaN()
	}
	return math.Sqrt(max(0, float64(least)))
}

// slide moves the distances on by a step and gives the least one beyond the overlap.
func slide(distance, near, far []float32, x, gone float32) float32 {
	near, far = near[:len(distance)], far[:len(distance)]
	for i := range shapeLength - 1 {
		a, b := x-near[i], gone-far[i]
		distance[i] += a*a - b*b
	}
	least := float32(math.MaxFloat32)
	for i := shapeLength - 1; i < len(distance); i++ {
		a, b := x-near[i], gone-far[i]
		s := distance[i] + (a*a - b*b)
		distance[i] = s
		if s < least {
			least = s
		}
	}
	return least
}

// renew computes the distance of one lag from its values.
func (d *discord) renew() {
	most := min(lags, d.n-1)
	if most < 1 {
		return
	}
	d.turn = d.turn%most + 1
	sum := float32(0)
	for i := range min(shapeLength, d.n-d.turn) {
		a := d.back(i) - d.back(i+d.turn)
		sum += a * a
	}
	d.distance[d.turn-1] = sum
}
