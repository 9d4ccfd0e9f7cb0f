package equipment

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// stepper drives a bare model the way a unit does.
type stepper struct {
	k       *kind
	m       model
	climate climate
	now     time.Time
	c       conditions
	v       []float64
}

func newStepper(k *kind, seed int64, hours float64, from time.Time) *stepper {
	_, zone := from.Zone()
	return &stepper{k: k, m: k.start(hours, newNoise(seed, k.name)), climate: newClimate(seed, zone), now: from,
		c: conditions{wearRate: 1}, v: make([]float64, len(k.points))}
}

func (s *stepper) step(dt time.Duration) {
	s.now = s.now.Add(dt)
	s.c.dt = dt.Seconds()
	s.c.ambient, s.c.demand = s.climate.at(float64(s.now.UnixNano()) / 1e9)
	s.m.step(&s.c)
	s.m.read(s.v)
}

func TestNormalOperationStaysInDocumentedRanges(t *testing.T) {
	for _, k := range kinds {
		for _, hours := range []float64{0, 3999.9, 25000} {
			for season := range 4 {
				t.Run(fmt.Sprintf("%s/%v/%d", k.name, hours, season), func(t *testing.T) {
					t.Parallel()
					s := newStepper(k, int64(season+1), hours, monday.AddDate(0, 3*season, 0))
					low, high := make([]float64, len(k.points)), make([]float64, len(k.points))
					for i := range low {
						low[i], high[i] = math.Inf(1), math.Inf(-1)
					}
					for range 30 * 24 * 60 {
						s.step(time.Minute)
						for i, v := range s.v {
							low[i], high[i] = min(low[i], v), max(high[i], v)
						}
					}
					for i, p := range k.points {
						if p.static() || p.Counter {
							continue
						}
						if testing.Verbose() && hours == 3999.9 && !p.Writable && p.Bits == nil {
							t.Logf("%-28s %9.3f … %9.3f of %9.3f … %9.3f", p.Name, low[i], high[i], p.Low, p.High)
						}
						if math.IsNaN(low[i]) || low[i] < p.Low-1e-9 || high[i] > p.High+1e-9 {
							t.Errorf("%s went from %.3f to %.3f, documented %v to %v", p.Name, low[i], high[i], p.Low, p.High)
						}
					}
				})
			}
		}
	}
}

func TestReadmeHoldsTheTables(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), Tables()) {
		t.Error("README.md does not hold the current tables: run `go run ./firmware-sim -tables` and paste its output")
	}
}
