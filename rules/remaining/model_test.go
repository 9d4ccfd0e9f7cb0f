package remaining

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
)

// worn makes runs to failure: two signals that move with an exponential wear from an onset of the unit's own,
// one that only wanders, and one that never changes, all with noise.
func worn(seed uint64, n int) []Run {
	r := rand.New(rand.NewPCG(seed, 0))
	var out []Run
	for u := range n {
		life, pace := 120+r.IntN(120), 25+10*r.Float64()
		run := Run{Unit: fmt.Sprint(u + 1)}
		for t := range life {
			wear := math.Exp(-float64(life-t) / pace)
			run.Rows = append(run.Rows, []float64{50 + 10*wear + r.NormFloat64(), 3 - 2*wear + 0.3*r.NormFloat64(), r.NormFloat64(), 7})
		}
		out = append(out, run)
	}
	return out
}

var wornSignals = []string{"temperature", "flow", "nothing", "constant"}

// quick trains with few trees.
func quick(t testing.TB, runs []Run) *Model {
	t.Helper()
	was := shipped.trees
	shipped.trees = 60
	t.Cleanup(func() { shipped.trees = was })
	m, err := Training{}.Train(t.Context(), wornSignals, runs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// On units of which nothing was seen it is far better than a constant, its interval holds what it says, it is no
// worse than its validation claims, and it looks at nothing after the last row.
func TestTrain(t *testing.T) {
	m := quick(t, worn(1, 40))
	v := m.Validation
	if v.Runs != 40 || v.Folds != folds || v.Answers < 500 || v.Late <= 0.2 || v.Late >= 0.8 || v.Within < 0.6 || v.Within > 0.95 {
		t.Errorf("%+v", v)
	}
	var sum, constant, inside, n float64
	for _, u := range worn(2, 40) {
		for left := 5; left <= 100; left += 10 {
			e, err := m.Estimate(u.Rows[:len(u.Rows)-left])
			if err != nil {
				t.Fatal(err)
			}
			sum += (e.P50 - float64(left)) * (e.P50 - float64(left))
			constant += (50 - float64(left)) * (50 - float64(left))
			if e.P10 > e.P50 || e.P50 > e.P90 || e.P10 < 0 {
				t.Fatalf("%+v", e)
			}
			if e.P10 <= float64(left) && float64(left) <= e.P90 {
				inside++
			}
			n++
		}
	}
	rmse := math.Sqrt(sum / n)
	if rmse > math.Sqrt(constant/n)*0.7 || inside/n < 0.6 {
		t.Errorf("RMSE %.1f, a constant has %.1f; %.0f %% inside", rmse, math.Sqrt(constant/n), 100*inside/n)
	}
}

func TestSameRunsSameModel(t *testing.T) {
	a, b := quick(t, worn(3, 12)), quick(t, worn(3, 12))
	if !reflect.DeepEqual(a, b) {
		t.Error("two trainings differ")
	}
	var stored bytes.Buffer
	if err := a.Write(&stored); err != nil {
		t.Fatal(err)
	}
	c, err := Read(&stored)
	if err != nil || !reflect.DeepEqual(a, c) {
		t.Errorf("it is not what was stored: %v", err)
	}
}

func TestTrainingRefuses(t *testing.T) {
	few := worn(4, leastRuns-1)
	short := worn(4, leastRuns)
	for i := range short {
		short[i].Rows = short[i].Rows[:least]
	}
	odd := worn(4, leastRuns)
	odd[3].Rows[7] = odd[3].Rows[7][:2]
	none := worn(4, leastRuns)
	none[5].Rows[2][1] = math.NaN()
	for name, c := range map[string]struct {
		runs []Run
		want string
	}{
		"too few":      {few, "9 runs to failure"},
		"too short":    {short, "0 runs to failure"},
		"wrong width":  {odd, "unit 4, row 8 has 2 values for 4 signals"},
		"not a number": {none, "unit 6, row 3: flow is not a number"},
	} {
		if _, err := (Training{}).Train(t.Context(), wornSignals, c.runs); err == nil || !errors.Is(err, faultline.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Training{}).Train(ctx, wornSignals, worn(4, leastRuns)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	m := quick(t, worn(5, leastRuns))
	if _, err := m.Estimate(make([][]float64, least-1)); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("too few steps: %v", err)
	}
	if _, err := m.Estimate(make([][]float64, least)); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("rows without signals: %v", err)
	}
}

// A model that was read answers, whatever was in the file.
func FuzzRead(f *testing.F) {
	m := Model{
		Signals: []string{"a"}, Horizon: 10, Scale: scale{[]float64{0}, []float64{1}, []float64{0, 1}}, Spreads: []spread{{10, -1, 1}},
		Ensembles: []ensemble{{1, []tree{{[]int{0, -1, -1}, []float64{0, 1, 2}, []int{1, 0, 0}, []int{2, 0, 0}}}}},
	}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(bytes.Replace(b.Bytes(), []byte(`"left":[1`), []byte(`"left":[0`), 1)) // a circle
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, faultline.ErrInvalid) {
				t.Errorf("%v is no ErrInvalid", err)
			}
			return
		}
		rows := make([][]float64, least)
		for i := range rows {
			rows[i] = make([]float64, len(m.Signals))
		}
		if _, err := m.Estimate(rows); err != nil {
			t.Error(err)
		}
	})
}
