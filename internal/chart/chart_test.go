package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // machines without a time zone database show local times too

	faultline "github.com/faultline-iot/faultline"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

var start = time.Date(2026, 3, 14, 8, 0, 0, 0, time.UTC)

func wave(n int, step time.Duration, f func(i int) float64) []Sample {
	out := make([]Sample, n)
	for i := range out {
		v := f(i)
		out[i] = Sample{At: start.Add(time.Duration(i) * step), Value: v, Min: v - 2, Max: v + 3, Quality: faultline.Good}
	}
	return out
}

func limit(name string, v float64, s faultline.Severity) faultline.Limit {
	return faultline.Limit{Name: name, Value: v, Severity: s}
}

// evidence is the picture that a fault ticket shows.
func evidence() *Chart {
	e := &faultline.Evidence{
		At: start.Add(100 * time.Second), Point: "bearing_temperature", Unit: "°C", Why: "bearing temperature 97.2 °C above its high-high limit of 95 °C",
		Limits: []faultline.Limit{limit("high", 85, faultline.SeverityWarning), limit("high-high", 95, faultline.SeverityCritical)},
	}
	for i := range 110 {
		s := faultline.EvidenceSample{At: start.Add(time.Duration(i) * time.Second), Quality: faultline.Good}
		v := 62 + 3*math.Sin(float64(i)/7) + math.Max(0, float64(i)-60)*0.9
		s.Value = &v
		switch {
		case i >= 30 && i < 36:
			s.Quality, s.Value = faultline.BadTimeout, nil
		case i == 50 || i == 51:
			s.Quality = faultline.UncertainClock
		}
		e.Samples = append(e.Samples, s)
	}
	return FromEvidence(e, time.UTC)
}

func charts() map[string]*Chart {
	berlin := time.FixedZone("CET", 3600)
	gap := wave(60, time.Minute, func(i int) float64 { return 40 + float64(i%7) })
	for i := 20; i < 26; i++ {
		gap[i].Quality = faultline.BadNotConnected
	}
	two := Series{Name: "inlet", Samples: wave(40, time.Hour, func(i int) float64 { return float64(i) })}
	return map[string]*Chart{
		"evidence": evidence(),
		"band-of-a-month": {Title: "current", Unit: "A", Location: berlin, Limits: []faultline.Limit{limit("high", 70, faultline.SeverityWarning), limit("high-high", 4000, faultline.SeverityCritical)},
			Series: []Series{{Name: "current", Band: true, Samples: wave(120, 6*time.Hour, func(i int) float64 { return 50 + 12*math.Sin(float64(i)/4) })}}},
		"gaps":       {Unit: "%", Series: []Series{{Name: "load", Samples: gap}}, Standalone: true, Width: 640},
		"two-series": {Unit: "bar", Series: []Series{two, {Name: "outlet <b>", Samples: wave(40, time.Hour, func(i int) float64 { return 20 }), MaxGap: 90 * time.Minute}}},
		"state":      {Series: []Series{{Name: "running", Step: true, Samples: wave(24, 10*time.Minute, func(i int) float64 { return float64(i / 6 % 2) })}}},
		"one-sample": {Unit: "V", Series: []Series{{Name: "voltage", Samples: wave(1, time.Second, func(int) float64 { return 229.7 })}}},
		"empty":      {Unit: "V", From: start, To: start.Add(time.Hour), Limits: []faultline.Limit{limit("low", 210, faultline.SeverityWarning)}},
		"all-bad":    {Series: []Series{{Name: "x", Samples: []Sample{{At: start, Quality: faultline.BadTimeout}, {At: start.Add(time.Second), Quality: faultline.Good, Value: math.NaN()}}}}},
	}
}

func TestGolden(t *testing.T) {
	for name, c := range charts() {
		t.Run(name, func(t *testing.T) {
			got := c.SVG()
			file := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from its golden picture; look at it, then run with -update\n%s", name, got)
			}
			wellFormed(t, got)
		})
	}
}

// wellFormed parses the picture and refuses script, handlers and outside references.
func wellFormed(t testing.TB, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "svg", "g", "line", "path", "rect", "circle", "text", "title", "style":
		default:
			t.Fatalf("element <%s>", e.Name.Local)
		}
		for _, a := range e.Attr {
			if n := a.Name.Local; strings.HasPrefix(n, "on") || strings.Contains(n, "href") {
				t.Fatalf("attribute %s=%q", n, a.Value)
			}
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Fatalf("attribute %s=%q of <%s>", a.Name.Local, a.Value, e.Name.Local)
			}
		}
	}
}

func TestHostileText(t *testing.T) {
	const bad = "\"'/><script>alert(1)</script>\x00\x1b\xff]]>"
	c := evidence()
	c.Title, c.Unit, c.Marks[0].Label, c.Series[0].Name = bad, bad, bad, bad
	c.Limits[0].Name = bad
	c.Series = append(c.Series, Series{Name: bad, Samples: []Sample{{At: start, Quality: faultline.Quality("bad:" + bad)}, {At: start, Quality: faultline.Quality("uncertain:" + bad)}}})
	svg := c.SVG()
	wellFormed(t, svg)
	if bytes.Contains(svg, []byte("<script")) {
		t.Error("markup got through")
	}
}

func TestHostileNumbers(t *testing.T) {
	for _, values := range [][]float64{
		{math.MaxFloat64, -math.MaxFloat64}, {1e299, -1e299}, {math.Inf(1), 1}, {math.NaN()}, {0, 0}, {5e-324, 0}, {1e15, 1e15 + 1}, {-3, -3}, {1e-9, 2e-9},
	} {
		s := Series{Band: true, Dots: true}
		for i, v := range values {
			s.Samples = append(s.Samples, Sample{At: start.Add(time.Duration(i)), Value: v, Min: math.NaN(), Max: math.Inf(1), Quality: faultline.Good})
		}
		for _, l := range []float64{0, math.NaN(), math.Inf(-1), 1e308, 1e15} {
			c := &Chart{Series: []Series{s}, Limits: []faultline.Limit{limit("high", l, faultline.SeverityWarning)}}
			wellFormed(t, c.SVG())
		}
	}
}

// No two ticks have one label, however large the values and small their differences.
func TestTicksTellNeighboursApart(t *testing.T) {
	for _, c := range [][2]float64{{12_345_678, 12_345_690}, {4_294_967_000, 4_294_967_295}, {1e12, 1e12 + 40}, {1e15, 1e15 + 100}, {-2_000_030, -2_000_000}, {999_990, 1_000_010}, {0.00001, 0.00002}, {63.1, 63.4}, {0, 5e6}} {
		s := []Series{{Samples: []Sample{{At: start, Value: c[0], Quality: faultline.Good}, {At: start.Add(time.Second), Value: c[1], Quality: faultline.Good}}}}
		a, _ := valueAxis(s, nil, 150)
		seen := map[string]float64{}
		for _, v := range a.ticks() {
			label := number(v, a.step)
			if other, twice := seen[label]; twice {
				t.Errorf("%v to %v: %v and %v are both labelled %s", c[0], c[1], other, v, label)
			}
			seen[label] = v
		}
		if len(seen) < 2 {
			t.Errorf("%v to %v: %d ticks", c[0], c[1], len(seen))
		}
	}
}

func TestBadSamplesBreakTheLine(t *testing.T) {
	c := charts()["gaps"]
	if runs := c.Series[0].runs(); len(runs) != 2 || len(runs[0]) != 20 || len(runs[1]) != 34 {
		t.Errorf("%d runs", len(runs))
	}
	if svg := c.SVG(); !bytes.Contains(svg, []byte("no value: not connected ×6")) {
		t.Error("the legend does not give the reason")
	}
	s := Series{MaxGap: time.Minute, Samples: wave(4, 2*time.Minute, func(int) float64 { return 1 })}
	if n := len(s.runs()); n != 4 {
		t.Errorf("%d runs of samples further apart than MaxGap", n)
	}
}

func TestFarLimitsDoNotFlattenTheSignal(t *testing.T) {
	c := charts()["band-of-a-month"]
	a, off := valueAxis(c.Series, c.Limits, 180)
	if len(off) != 1 || off[0].Value != 4000 || a.hi > 100 {
		t.Errorf("range to %v, off scale %v", a.hi, off)
	}
	if svg := c.SVG(); !bytes.Contains(svg, []byte("↑ off scale: high-high 4000 A")) {
		t.Error("a limit off the scale is not named")
	}
}

func TestTimeTicks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	labels := func(from time.Time, d time.Duration, loc *time.Location) string {
		var out []string
		for _, k := range timeTicks(from, from.Add(d), loc) {
			out = append(out, k.label)
		}
		return strings.Join(out, " | ")
	}
	for _, c := range []struct {
		from time.Time
		d    time.Duration
		loc  *time.Location
		want string
	}{
		{start, time.Minute, time.UTC, "08:00:00 | 08:00:15 | 08:00:30 | 08:00:45 | 08:01:00"},
		{start, time.Hour, time.UTC, "08:00 | 08:15 | 08:30 | 08:45 | 09:00"},
		{start.Add(7 * time.Minute), 24 * time.Hour, time.UTC, "12:00 | 18:00 | 15 Mar | 06:00"},
		{start, 30 * day, time.UTC, "21 Mar | 28 Mar | 4 Apr | 11 Apr"},
		// Over the change to summer time on 29 March, hours stay round and days begin at midnight.
		{time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC), 12 * time.Hour, berlin, "21:00 | 29 Mar | 03:00 | 06:00 | 09:00"},
		{time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC), 4 * day, berlin, "28 Mar | 29 Mar | 30 Mar | 31 Mar"},
	} {
		if got := labels(c.from, c.d, c.loc); got != c.want {
			t.Errorf("%s + %s: %q, want %q", c.from, c.d, got, c.want)
		}
	}
}

func BenchmarkSVG(b *testing.B) {
	c := &Chart{Unit: "A", Series: []Series{{Band: true, Samples: wave(400, time.Minute, func(i int) float64 { return float64(i % 50) })}}}
	b.ReportAllocs()
	for b.Loop() {
		c.SVG()
	}
}

func TestMadeUpPastIsMarked(t *testing.T) {
	from := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	draw := func(until time.Time) string {
		c := Chart{Title: "Temperature", From: from, To: from.Add(time.Hour), MadeUpUntil: until, Series: []Series{{Samples: []Sample{{At: from, Value: 1, Quality: faultline.Good}, {At: from.Add(time.Hour), Value: 2, Quality: faultline.Good}}}}}
		return string(c.SVG())
	}
	for name, c := range map[string]struct {
		until time.Time
		want  []string
	}{
		"a part":   {from.Add(15 * time.Minute), []string{`<rect class="chart-made" x="0" y="8" width="25%"`, `class="chart-made-end" x1="25%"`, "made up until 10:15</text>", `, made up until 10:15"`}},
		"all":      {from.Add(2 * time.Hour), []string{`width="100%" height="180" fill="#6a4c93"`, "made up: demonstration history</text>"}},
		"the past": {from.Add(-time.Minute), nil},
		"nothing":  {time.Time{}, nil},
	} {
		svg := draw(c.until)
		for _, w := range c.want {
			if !strings.Contains(svg, w) {
				t.Errorf("%s: no %s in\n%s", name, w, svg)
			}
		}
		if len(c.want) == 0 && strings.Contains(svg, "made") {
			t.Errorf("%s is marked:\n%s", name, svg)
		}
	}
}
