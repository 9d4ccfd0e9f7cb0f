package remaining

import (
	"math/rand/v2"
	"slices"
)

// boost is how an ensemble of trees is grown: gradient boosting with squared loss on histograms
// (Friedman 2001; histograms as in Ke et al. 2017).
type boost struct {
	trees, depth, leaf int     // leaf: the fewest rows in one
	rate, rows, cols   float64 // shares of rows and features that a tree sees
	shrink             float64 // of a leaf's value, in rows
}

// shipped is the one configuration that is used.
var shipped = boost{trees: 500, depth: 4, leaf: 15, rate: 0.03, rows: 0.6, cols: 0.4, shrink: 5}

const bins = 64 // of a feature, of about as many rows each

// ensemble is trees whose answers add up.
type ensemble struct {
	Base  float64 `json:"base"`
	Trees []tree  `json:"trees"`
}

// tree is its nodes, column by column; the first is the root. A node with Feature -1 is a leaf and answers
// Value; at another one, rows whose feature is at most Value go on to Left, others to Right.
type tree struct {
	Feature []int     `json:"feature"`
	Value   []float64 `json:"value"`
	Left    []int     `json:"left"`
	Right   []int     `json:"right"`
}

func (t *tree) answer(x []float64) float64 {
	k := 0
	for t.Feature[k] >= 0 {
		if x[t.Feature[k]] <= t.Value[k] {
			k = t.Left[k]
		} else {
			k = t.Right[k]
		}
	}
	return t.Value[k]
}

func (e *ensemble) answer(x []float64) float64 {
	out := e.Base
	for i := range e.Trees {
		out += e.Trees[i].answer(x)
	}
	return out
}

// check says whether a tree that was read can be walked: every step goes on to a later node.
func (t *tree) check(features int) bool {
	n := len(t.Feature)
	if n == 0 || len(t.Value) != n || len(t.Left) != n || len(t.Right) != n {
		return false
	}
	for k, f := range t.Feature {
		if f >= features || f >= 0 && (t.Left[k] <= k || t.Left[k] >= n || t.Right[k] <= k || t.Right[k] >= n) {
			return false
		}
	}
	return true
}

// quantiles gives the values that part a feature's bins.
func quantiles(x [][]float64, feature int) []float64 {
	v := make([]float64, len(x))
	for i := range x {
		v[i] = x[i][feature]
	}
	slices.Sort(v)
	var cuts []float64
	for b := 1; b < bins; b++ {
		if q := v[b*len(v)/bins]; len(cuts) == 0 || q > cuts[len(cuts)-1] {
			cuts = append(cuts, q)
		}
	}
	return cuts
}

// grower grows one ensemble.
type grower struct {
	boost
	cuts     [][]float64 // by feature
	binned   [][]uint8   // by feature and row
	residual []float64
	features []int // of the tree under way
}

// grow fits an ensemble to the rows and what they should answer. The same seed gives the same trees.
func (c boost) grow(x [][]float64, y []float64, seed uint64, progress func()) ensemble {
	r := rand.New(rand.NewPCG(seed, seed))
	g := grower{boost: c, residual: make([]float64, len(y))}
	for f := range x[0] {
		cuts := quantiles(x, f)
		column := make([]uint8, len(x))
		for i := range x {
			b, _ := slices.BinarySearch(cuts, x[i][f])
			column[i] = uint8(b)
		}
		g.cuts, g.binned = append(g.cuts, cuts), append(g.binned, column)
	}
	var e ensemble
	for _, v := range y {
		e.Base += v / float64(len(y))
	}
	for i, v := range y {
		g.residual[i] = v - e.Base
	}
	for range c.trees {
		var rows []int
		for i := range x {
			if r.Float64() < c.rows {
				rows = append(rows, i)
			}
		}
		g.features = g.features[:0]
		for f := range g.cuts {
			if r.Float64() < c.cols {
				g.features = append(g.features, f)
			}
		}
		var t tree
		g.node(&t, rows, c.depth)
		for i := range x {
			g.residual[i] -= t.answer(x[i])
		}
		e.Trees = append(e.Trees, t)
		progress()
	}
	return e
}

// node adds a node for the rows, and what is below it.
func (g *grower) node(t *tree, rows []int, depth int) int {
	sum := 0.0
	for _, i := range rows {
		sum += g.residual[i]
	}
	me := len(t.Feature)
	t.Feature, t.Left, t.Right = append(t.Feature, -1), append(t.Left, 0), append(t.Right, 0)
	t.Value = append(t.Value, g.rate*sum/(float64(len(rows))+g.shrink))
	if depth == 0 || len(rows) < 2*g.leaf {
		return me
	}
	feature, bin := g.split(rows, sum)
	if feature < 0 {
		return me
	}
	var low, high []int
	for _, i := range rows {
		if g.binned[feature][i] <= bin {
			low = append(low, i)
		} else {
			high = append(high, i)
		}
	}
	t.Feature[me], t.Value[me] = feature, g.cuts[feature][bin]
	t.Left[me] = g.node(t, low, depth-1)
	t.Right[me] = g.node(t, high, depth-1)
	return me
}

// split finds the cut that explains most; feature -1: there is none.
func (g *grower) split(rows []int, sum float64) (feature int, bin uint8) {
	feature = -1
	n := float64(len(rows))
	best := sum*sum/(n+g.shrink) + 1e-9
	for _, f := range g.features {
		var sums [bins]float64
		var counts [bins]int
		column := g.binned[f]
		for _, i := range rows {
			sums[column[i]] += g.residual[i]
			counts[column[i]]++
		}
		low, k := 0.0, 0
		for b := range g.cuts[f] {
			low, k = low+sums[b], k+counts[b]
			if k < g.leaf {
				continue
			}
			if len(rows)-k < g.leaf {
				break
			}
			high := sum - low
			if gain := low*low/(float64(k)+g.shrink) + high*high/(n-float64(k)+g.shrink); gain > best {
				best, feature, bin = gain, f, uint8(b)
			}
		}
	}
	return feature, bin
}
