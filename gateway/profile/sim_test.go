package profile

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
)

// TestSimulatedRanges checks the ranges of the simulated equipment against its documentation: every
// measurement has one, whose room holds twice the normal range and standstill, and which
// refuses what no instrument of the kind can show.
func TestSimulatedRanges(t *testing.T) {
	readme, err := os.ReadFile("../../firmware-sim/README.md")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	normal := regexp.MustCompile("\\| `([a-z0-9_]+)` \\| ([A-Za-z0-9\\[\\]]+) \\|[^|]*\\|[^|]*\\| (-?[0-9.]+)(?: … (-?[0-9.]+))? \\|")
	seen := 0
	for _, part := range strings.Split(string(readme), "\n### `")[1:] {
		kind, text, _ := strings.Cut(part, "`")
		p, err := s.Get("sim-" + kind)
		if err != nil {
			t.Fatal(err)
		}
		documented := map[string][2]float64{}
		for _, m := range normal.FindAllStringSubmatch(text, -1) {
			low, _ := strconv.ParseFloat(m[3], 64)
			high, err := strconv.ParseFloat(m[4], 64)
			if err != nil {
				high = low
			}
			documented[m[1]] = [2]float64{low, high}
		}
		for i := range p.Points {
			pt := &p.Points[i]
			if pt.Type != faultline.TypeFloat && pt.Type != faultline.TypeInt {
				continue
			}
			if pt.Register != nil && (pt.Type == faultline.TypeInt || pt.Name == "energy" || pt.Name == "service_interval") {
				continue // an unsigned register holds nothing that could not be
			}
			seen++
			for _, v := range []float64{-99999, 1e15} {
				if q := pt.Within(v); q != faultline.BadOutOfRange {
					t.Errorf("%s: %s of %v is %s", p.Name, pt.Name, v, q)
				}
			}
			d, ok := documented[pt.Name]
			if !ok || pt.Unit == "%" {
				d[1] = max(d[1], 0) // shares end at 100
			} else if !strings.Contains(pt.Name, "factor") {
				d[1] *= 2
			}
			for _, v := range []float64{0, d[0], d[1]} {
				if q := pt.Within(v); !q.IsGood() {
					t.Errorf("%s: %s of %v is %s", p.Name, pt.Name, v, q)
				}
			}
		}
	}
	if seen < 90 {
		t.Errorf("only %d measurements", seen)
	}
}
