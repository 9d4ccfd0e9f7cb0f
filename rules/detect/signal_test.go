package detect_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/rules/detect"
)

const minute = int64(time.Minute)

var begin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).UnixNano()

// normal are signals of which nothing is wrong, a step every five minutes.
var normal = map[string]func(r *rand.Rand, i int) float64{
	"noise":       func(r *rand.Rand, _ int) float64 { return r.NormFloat64() },
	"heavy tails": func(r *rand.Rand, _ int) float64 { return r.ExpFloat64() * r.ExpFloat64() },
	"a day":       func(r *rand.Rand, i int) float64 { return 20*math.Sin(float64(i)/288*2*math.Pi) + r.NormFloat64() },
	"a cycle":     func(r *rand.Rand, i int) float64 { return float64(i%37/30)*50 + r.NormFloat64() },
}

// What is normal is found rare about as often as its rarity says.
func TestRarityIsWhatItSays(t *testing.T) {
	for name, make := range normal {
		var rare [4]int
		n := 0
		for seed := range uint64(4) {
			r := rand.New(rand.NewPCG(seed, 7))
			s := detect.NewSignal()
			for i := range 20_000 {
				f := s.Step(begin+int64(i)*5*minute, make(r, i))
				if i < 5000 {
					continue
				}
				n++
				for d := range rare {
					if f.Rarity >= float64(d) {
						rare[d]++
					}
				}
			}
		}
		for d := 2; d < len(rare); d++ {
			share, says := float64(rare[d])/float64(n), math.Pow(10, -float64(d))
			if share > 4*says || share < says/10 {
				t.Errorf("%s: %.2g of the steps have a rarity of %d or more, which says %.2g", name, share, d, says)
			}
		}
	}
}

// faults are what may go wrong with a daily signal from a step on, and within how many steps it must
// have a strength that hardly ever comes about otherwise.
var faults = map[string]struct {
	within int
	change func(v float64, since int, r *rand.Rand) float64
}{
	"spike":       {2, func(v float64, since int, _ *rand.Rand) float64 { return v + 60*float64(max(0, 1-since)) }},
	"level shift": {60, func(v float64, _ int, _ *rand.Rand) float64 { return v + 15 }},
	"drift":       {288, func(v float64, since int, _ *rand.Rand) float64 { return v + float64(since)/10 }},
	"noisier":     {288, func(v float64, _ int, r *rand.Rand) float64 { return v + 15*r.NormFloat64() }},
	"frozen":      {288, func(_ float64, _ int, _ *rand.Rand) float64 { return 14 }},
	"no cycle":    {288, func(_ float64, _ int, r *rand.Rand) float64 { return r.NormFloat64() - 20 }},
}

func TestFaultsAreFound(t *testing.T) {
	for name, fault := range faults {
		r := rand.New(rand.NewPCG(1, 2))
		s := detect.NewSignal()
		before, after := 0.0, 0.0
		const from = 5000
		for i := range from + fault.within {
			v := normal["a day"](r, i)
			if i >= from {
				v = fault.change(v, i-from, r)
			}
			f := s.Step(begin+int64(i)*5*minute, v)
			switch {
			case i >= from:
				after = max(after, f.Strength)
			case i > 2500:
				before = max(before, f.Strength)
			}
		}
		if after <= 2 || after <= before {
			t.Errorf("%s: strength %.2f, and %.2f before", name, after, before)
		}
	}
}

// A change that stays is normal after a while.
func TestChangeIsAccepted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	s := detect.NewSignal()
	for i := range 12_000 {
		v := normal["a day"](r, i)
		if i >= 4000 {
			v += 40
		}
		f := s.Step(begin+int64(i)*5*minute, v)
		if i >= 4000+3*2016 && (f.Strength > 2 || math.Abs(f.Expected-v) > 10) {
			t.Fatalf("three weeks later, step %d still has strength %.2f, expected %.1f, is %.1f", i, f.Strength, f.Expected, v)
		}
	}
}

// Other units and other dates (by whole weeks) make no difference.
func TestUnitsMakeNoDifference(t *testing.T) {
	for name, make := range normal {
		r, other := rand.New(rand.NewPCG(1, 4)), rand.New(rand.NewPCG(1, 4))
		a, b := detect.NewSignal(), detect.NewSignal()
		for i := range 4000 {
			at := begin + int64(i)*5*minute
			f := a.Step(at, make(r, i))
			g := b.Step(at-52*7*24*60*minute, make(other, i)*1e-3+500)
			if math.Abs(f.Strength-g.Strength) > 0.1 {
				t.Fatalf("%s: step %d: strength %v and %v", name, i, f.Strength, g.Strength)
			}
		}
	}
}

// A state that was stored and restored goes on the same, bit by bit, and is as small as promised.
func TestStateRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	a, b := detect.NewSignal(), detect.NewSignal()
	var state []byte
	for i := range 6000 {
		at, v := begin+int64(i)*5*minute, normal["a day"](r, i)
		if r.IntN(40) == 0 || i < 60 {
			state = b.Append(nil)
			b = detect.NewSignal()
			rest, err := b.Restore(append(bytes.Clone(state), 1, 2))
			if err != nil || !bytes.Equal(rest, []byte{1, 2}) {
				t.Fatalf("step %d: %v, rest %v", i, err, rest)
			}
		}
		if f, g := a.Step(at, v), b.Step(at, v); f != g {
			t.Fatalf("step %d: %+v and %+v", i, f, g)
		}
	}
	if len(state) > 20_000 {
		t.Errorf("a state has %d bytes", len(state))
	}
}

func FuzzRestoreSignal(fz *testing.F) {
	s := detect.NewSignal()
	fz.Add(s.Append(nil))
	for i := range 100 {
		s.Step(begin+int64(i)*minute, float64(i%7))
	}
	fz.Add(s.Append(nil))
	fz.Fuzz(func(t *testing.T, state []byte) {
		s := detect.NewSignal()
		if _, err := s.Restore(state); err != nil {
			return
		}
		if rest, err := detect.NewSignal().Restore(s.Append(nil)); err != nil || len(rest) > 0 {
			t.Fatalf("its own state is refused: %v, %d bytes left", err, len(rest))
		}
		for i := range 3 {
			if f := s.Step(begin+int64(i)*minute, float64(i)); math.IsNaN(f.Strength) || f.Strength < 0 {
				t.Fatalf("strength %v", f.Strength)
			}
		}
	})
}

func BenchmarkSignal(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 6))
	s := detect.NewSignal()
	values := make([]float64, 4096)
	for i := range values {
		values[i] = normal["a day"](r, i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Step(begin+int64(i)*5*minute, values[i&4095])
	}
	b.ReportMetric(float64(len(s.Append(nil))), "state-bytes")
}
