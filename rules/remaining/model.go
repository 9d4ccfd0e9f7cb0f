// Package remaining estimates how long an asset lasts from others of its kind that ran until they failed: a
// supervised model, trained once and stored as data with what its validation gave. Where there are no runs to
// failure, the rule kind life forecasts from the asset's own trend instead.
package remaining

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/faultline-iot/faultline"
)

// Run is the history of one unit: a row for each step, the oldest first, each with the values of all signals.
// For training, the last row is the last one before it failed.
type Run struct {
	Unit string
	Rows [][]float64
}

// Model is a trained one.
type Model struct {
	Signals    []string   `json:"signals"`
	Horizon    int        `json:"horizon"` // steps: it was trained on what was left up to here, and answers no more
	Scale      scale      `json:"scale"`
	Ensembles  []ensemble `json:"ensembles"`
	Spreads    []spread   `json:"spreads"`
	Validation Validation `json:"validation"`
}

// spread is how far the truth was from answers up to Below, when units were left out of training.
type spread struct {
	Below float64 `json:"below"` // answer, in steps; the last one counts for all above too
	P10   float64 `json:"p10"`   // to be added to the answer
	P90   float64 `json:"p90"`
}

// Validation is what the model was worth on units that it was not trained with.
type Validation struct {
	Runs    int     `json:"runs"`    // to failure that it rests on
	Folds   int     `json:"folds"`   // that they were left out in
	Answers int     `json:"answers"` // at moments chosen at random
	RMSE    float64 `json:"rmse"`    // steps
	MAE     float64 `json:"mae"`     // steps
	Late    float64 `json:"late"`    // share of answers that said more than was left
	Within  float64 `json:"within"`  // share of truths between P10 and P90 of other folds' spread
	Score   float64 `json:"score"`   // mean penalty of Saxena et al. 2008, late answers worse than early ones
}

// Estimate is what is left of a unit's life, in steps.
type Estimate struct{ P10, P50, P90 float64 }

// Estimate says what is left after the last row. It needs the unit's rows from its beginning, or at least its
// first ones and its newest 80, and 25 in all.
func (m *Model) Estimate(rows [][]float64) (Estimate, error) {
	if len(rows) < least {
		return Estimate{}, fmt.Errorf("%w: %d steps are too few to estimate from, it takes %d", faultline.ErrInvalid, len(rows), least)
	}
	for i, row := range rows {
		if len(row) != len(m.Signals) {
			return Estimate{}, fmt.Errorf("%w: row %d has %d values, the model takes %d", faultline.ErrInvalid, i+1, len(row), len(m.Signals))
		}
	}
	return m.spread(m.answer(features(m.Scale.scaled(rows)))), nil
}

func (m *Model) answer(x []float64) float64 {
	sum := 0.0
	for i := range m.Ensembles {
		sum += m.Ensembles[i].answer(x)
	}
	return max(0, min(float64(m.Horizon), sum/float64(len(m.Ensembles))))
}

// spread puts an interval around an answer.
func (m *Model) spread(v float64) Estimate {
	s := m.Spreads[len(m.Spreads)-1]
	for _, s = range m.Spreads {
		if v <= s.Below {
			break
		}
	}
	return Estimate{P10: max(0, v+min(0, s.P10)), P50: v, P90: v + max(0, s.P90)}
}

// Write stores the model.
func (m *Model) Write(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(m); err != nil {
		return fmt.Errorf("write the model: %w", err)
	}
	return nil
}

// Read takes a model that was stored.
func Read(r io.Reader) (*Model, error) {
	var m Model
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: read the model: %w", faultline.ErrInvalid, err)
	}
	n := len(m.Signals)
	bad := func(what string) (*Model, error) {
		return nil, fmt.Errorf("%w: read the model: %s; train it again", faultline.ErrInvalid, what)
	}
	if n == 0 || len(m.Scale.Mean) != n || len(m.Scale.Spread) != n || len(m.Scale.Health) != n+1 {
		return bad("its signals and their scales do not agree")
	}
	for _, s := range m.Scale.Spread {
		if s <= 0 || math.IsInf(s, 0) {
			return bad("a signal has no noise")
		}
	}
	if len(m.Ensembles) == 0 || len(m.Spreads) == 0 || m.Horizon < 1 {
		return bad("it has no trees, no spreads or no horizon")
	}
	width := len(features([][]float64{make([]float64, n+1)}))
	for _, e := range m.Ensembles {
		for i := range e.Trees {
			if !e.Trees[i].check(width) {
				return bad("a tree is damaged")
			}
		}
	}
	return &m, nil
}
