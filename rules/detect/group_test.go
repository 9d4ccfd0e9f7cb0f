package detect_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/faultline-iot/faultline/rules/detect"
)

// machine is three signals that follow a load, one that does not, and one that drifts.
func machine(r *rand.Rand, i int) []float64 {
	load := 50 + 10*math.Sin(float64(i)/9)
	return []float64{load + r.NormFloat64(), 3*load + 2*r.NormFloat64(), 0.1*load + 0.05*r.NormFloat64(), 7 + r.NormFloat64(), 20 + float64(i)/300}
}

const score = 4.6

func TestGroupFindsWhichSignalAndWhatCause(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(v []float64)
		main   int
		cause  detect.Cause
	}{
		{"a sensor that left the load", func(v []float64) { v[1] -= 100 }, 1, detect.Sensor},
		{"several signals", func(v []float64) { v[3] += 12; v[0] -= 40; v[2] += 6 }, -1, detect.Process},
		{"a signal of its own", func(v []float64) { v[3] += 12 }, 3, detect.Unclear},
	} {
		r := rand.New(rand.NewPCG(1, 1))
		g := detect.NewGroup(5, 400)
		began, changed := -1, -1
		const from = 1000
		for i := range 1100 {
			v := machine(r, i)
			if i >= from {
				c.change(v)
			}
			m := g.Step(v, score)
			if m.Ready != (i >= 399) || m.Refused {
				t.Fatalf("%s: step %d: %+v", c.name, i, m)
			}
			if m.Change && changed < 0 && i >= from {
				changed = i
			}
			if !m.Fault {
				continue
			}
			if began < 0 {
				began = i
			}
			if i == from+40 {
				if c.main >= 0 && m.Main != c.main || g.Cause(m.Main) != c.cause {
					t.Errorf("%s: signal %d, cause %d", c.name, m.Main, g.Cause(m.Main))
				}
			}
		}
		if began < from || began > from+10 || changed < 0 || changed > from+20 {
			t.Errorf("%s: from step %d on; found at %d, change point at %d", c.name, from, began, changed)
		}
	}
}

// When the signals are back, or stay where they are elsewhere, the fault ends and they are normal.
func TestGroupEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	g := detect.NewGroup(5, 400)
	for i := range 2000 {
		v := machine(r, i)
		if i >= 1000 && i < 1200 {
			v[3] += 15
		} else if i >= 1200 {
			v[3] += 2 // not quite where it was
		}
		if m := g.Step(v, score); i == 1199 && !m.Fault || i > 1300 && m.Fault {
			t.Fatalf("step %d: %+v", i, m)
		}
	}
}

// It learns nothing from data that is no normal operation.
func TestGroupRefuses(t *testing.T) {
	for name, change := range map[string]func(v []float64, i int){
		"a signal that jumps": func(v []float64, i int) {
			if i > 200 {
				v[3] += 100
			}
		},
		"signals that stand still": func(v []float64, _ int) { v[0], v[1], v[2] = 5, 6, 7 },
	} {
		r := rand.New(rand.NewPCG(1, 3))
		g := detect.NewGroup(5, 400)
		refused := false
		for i := range 900 {
			v := machine(r, i)
			if i < 400 {
				change(v, i)
			}
			m := g.Step(v, score)
			refused = refused || m.Refused
			if i < 799 && m.Ready {
				t.Fatalf("%s: it has learnt at step %d", name, i)
			} else if i == 799 && !m.Ready {
				t.Errorf("%s: it did not learn from the good data that followed", name)
			}
		}
		if !refused {
			t.Errorf("%s: not refused", name)
		}
	}
}

// A state goes on the same, with gaps in the data, while it learns and after.
func TestGroupStateRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	a, b := detect.NewGroup(5, 400), detect.NewGroup(5, 400)
	for i := range 1500 {
		v := machine(r, i)
		if i > 1000 && i < 1100 {
			v[2] += 9
		}
		if r.IntN(10) == 0 {
			v[r.IntN(5)] = math.NaN()
		}
		if r.IntN(20) == 0 {
			state := b.Append(nil)
			b = detect.NewGroup(5, 400)
			if rest, err := b.Restore(append(bytes.Clone(state), 9)); err != nil || len(rest) != 1 {
				t.Fatalf("step %d: %v, %d bytes left", i, err, len(rest))
			}
		}
		if m, n := a.Step(v, score), b.Step(v, score); m != n {
			t.Fatalf("step %d: %+v and %+v", i, m, n)
		}
	}
	if _, err := detect.NewGroup(4, 400).Restore(b.Append(nil)); err == nil {
		t.Error("the state of five signals was taken for four")
	}
}

func FuzzRestoreGroup(fz *testing.F) {
	r := rand.New(rand.NewPCG(1, 5))
	g := detect.NewGroup(5, 40)
	for i := range 60 {
		if i%20 == 0 {
			fz.Add(g.Append(nil))
		}
		g.Step(machine(r, i), score)
	}
	fz.Add(g.Append(nil))
	fz.Fuzz(func(t *testing.T, state []byte) {
		g := detect.NewGroup(5, 40)
		if _, err := g.Restore(state); err != nil {
			return
		}
		if rest, err := detect.NewGroup(5, 40).Restore(g.Append(nil)); err != nil || len(rest) > 0 {
			t.Fatalf("its own state is refused: %v, %d bytes left", err, len(rest))
		}
		for i := range 50 {
			g.Step(machine(r, i), score)
		}
	})
}

func BenchmarkGroup(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 6))
	g := detect.NewGroup(5, 400)
	v := machine(r, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		v[i%5] += r.Float64() - 0.5
		g.Step(v, score)
	}
}
