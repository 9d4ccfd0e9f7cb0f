package remaining

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/faultline-iot/faultline"
)

// Training says how a model is trained. Zero values mean the defaults.
type Training struct {
	Horizon  int                   // steps; default 150. Runs are learned from at moments with up to so many left
	Progress func(done, total int) // trees that are grown
}

const (
	defaultHorizon = 150
	boundOfHealth  = 5.0 / 6 // of the horizon: beyond it the index of health is whole
	ensembles      = 2
	folds          = 5
	moments        = 60 // of each run that are learned from
	leastRuns      = 2 * folds
	levels         = 4 // of answers that have spreads of their own
)

// sample is a moment of a run.
type sample struct {
	x    []float64
	left float64
}

// Train makes a model of runs to failure. The same runs give the same model.
func (t Training) Train(ctx context.Context, signals []string, runs []Run) (*Model, error) {
	if t.Horizon <= 0 {
		t.Horizon = defaultHorizon
	}
	if t.Progress == nil {
		t.Progress = func(int, int) {}
	}
	runs, err := t.usable(signals, runs)
	if err != nil {
		return nil, err
	}
	done, total := 0, (folds+1)*ensembles*shipped.trees
	step := func() { done++; t.Progress(done, total) }

	var answers []answer
	for fold := range folds {
		var in, out []Run
		for i, u := range runs {
			if i%folds == fold {
				out = append(out, u)
			} else {
				in = append(in, u)
			}
		}
		m, err := t.fit(ctx, signals, in, step)
		if err != nil {
			return nil, err
		}
		for _, s := range t.samples(&m.Scale, out) {
			answers = append(answers, answer{fold, m.answer(s.x), s.left})
		}
	}
	m, err := t.fit(ctx, signals, runs, step)
	if err != nil {
		return nil, err
	}
	m.Spreads = spreads(answers)
	m.Validation = validate(answers)
	m.Validation.Runs = len(runs)
	return m, nil
}

// usable refuses runs that nothing can be learned from.
func (t *Training) usable(signals []string, runs []Run) ([]Run, error) {
	var out []Run
	for _, u := range runs {
		for i, row := range u.Rows {
			if len(row) != len(signals) {
				return nil, fmt.Errorf("%w: unit %s, row %d has %d values for %d signals", faultline.ErrInvalid, u.Unit, i+1, len(row), len(signals))
			}
			for k, v := range row {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return nil, fmt.Errorf("%w: unit %s, row %d: %s is not a number", faultline.ErrInvalid, u.Unit, i+1, signals[k])
				}
			}
		}
		if len(u.Rows) > least {
			out = append(out, u)
		}
	}
	if len(out) < leastRuns {
		return nil, fmt.Errorf("%w: %d runs to failure of more than %d steps, of %d; it takes %d to train and to say what that is worth", faultline.ErrInvalid, len(out), least, len(runs), leastRuns)
	}
	return out, nil
}

// samples takes moments of each run at random, as many with much left as with little.
func (t *Training) samples(s *scale, runs []Run) []sample {
	r := rand.New(rand.NewPCG(1, uint64(len(runs))))
	var out []sample
	for _, u := range runs {
		z := s.scaled(u.Rows)
		for range moments {
			left := 1 + r.IntN(t.Horizon)
			if n := len(z) - left; n >= least {
				out = append(out, sample{features(z[:n]), float64(left)})
			}
		}
	}
	return out
}

func (t *Training) fit(ctx context.Context, signals []string, runs []Run, step func()) (*Model, error) {
	m := &Model{Signals: signals, Horizon: t.Horizon, Scale: scaleOf(runs, boundOfHealth*float64(t.Horizon))}
	var x [][]float64
	var y []float64
	for _, s := range t.samples(&m.Scale, runs) {
		x, y = append(x, s.x), append(y, s.left)
	}
	if len(x) < 4*shipped.leaf {
		return nil, fmt.Errorf("%w: the runs are too short: %d moments to learn from", faultline.ErrInvalid, len(x))
	}
	for seed := range ensembles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.Ensembles = append(m.Ensembles, shipped.grow(x, y, uint64(seed+1), step))
	}
	return m, nil
}

// answer is one of a fold, and the truth.
type answer struct {
	fold        int
	said, truth float64
}

// spreads says for answers of some levels, as many in each, how far off the truth was.
func spreads(answers []answer) []spread {
	answers = slices.Clone(answers)
	slices.SortFunc(answers, func(a, b answer) int {
		if a.said < b.said {
			return -1
		}
		return 1
	})
	var out []spread
	for k := range levels {
		part := answers[k*len(answers)/levels : (k+1)*len(answers)/levels]
		if len(part) == 0 {
			continue
		}
		var off []float64
		for _, a := range part {
			off = append(off, a.truth-a.said)
		}
		slices.Sort(off)
		out = append(out, spread{Below: part[len(part)-1].said, P10: off[len(off)/10], P90: off[len(off)*9/10]})
	}
	return out
}

// validate sums up. Whether the truth is within the spread is asked of the spreads of other folds.
func validate(answers []answer) Validation {
	v := Validation{Folds: folds, Answers: len(answers)}
	n := float64(len(answers))
	for fold := range folds {
		var others []answer
		for _, a := range answers {
			if a.fold != fold {
				others = append(others, a)
			}
		}
		m := Model{Spreads: spreads(others)}
		for _, a := range answers {
			if a.fold != fold {
				continue
			}
			d := a.said - a.truth
			v.RMSE += d * d / n
			v.MAE += math.Abs(d) / n
			if d > 0 {
				v.Late += 1 / n
			}
			if e := m.spread(a.said); e.P10 <= a.truth && a.truth <= e.P90 {
				v.Within += 1 / n
			}
			v.Score += Penalty(a.said, a.truth) / n
		}
	}
	v.RMSE = math.Sqrt(v.RMSE)
	return v
}

// Penalty is that of Saxena et al. 2008 ("Damage propagation modeling for aircraft engine run-to-failure
// simulation") for an answer, both in steps: late answers cost more than early ones.
func Penalty(said, truth float64) float64 {
	if d := said - truth; d > 0 {
		return math.Expm1(d / 10)
	} else {
		return math.Expm1(-d / 13)
	}
}
