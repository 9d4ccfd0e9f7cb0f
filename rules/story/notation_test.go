package story

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func spell(n *notation, upTo int) string {
	var b strings.Builder
	for i := range min(n.len(), upTo) {
		s, v := n.at(i)
		switch {
		case s.none:
			b.WriteString("_")
		case s.number:
			fmt.Fprint(&b, v)
		default:
			b.WriteString(s.text)
		}
		if s.quality != faultline.Good {
			b.WriteString("(" + string(s.quality) + ")")
		}
		b.WriteString(" ")
	}
	return strings.TrimSuffix(b.String(), " ")
}

func TestNotation(t *testing.T) {
	for text, want := range map[string]string{
		"50":                       "50",
		"50x3 51":                  "50 50 50 51",
		"50+2x4":                   "50 52 54 56",
		"5-2.5x4":                  "5 2.5 0 -2.5",
		"-5+1x3":                   "-5 -4 -3",
		"1e3x2 1e-2 1e+2-1x2":      "1000 1000 0.01 100 99",
		"1x3s 2x1s":                "1 1 1 2",
		"_x2 7 _":                  "_(good) _(good) 7 _(good)",
		"bad:timeoutx2 bad:decode": "(bad:timeout) (bad:timeout) (bad:decode)",
		"bad:exception:busyx1":     "(bad:exception:busy)",
		"50?clockx2 4+1?stalex2":   "50(uncertain:clock) 50(uncertain:clock) 4(uncertain:stale) 5(uncertain:stale)",
		"truex2 false":             "true true false",
		"on_battery  online":       "on_battery online",
		"'sensor fault'x2 'ax3'":   "sensor fault sensor fault ax3",
		" 1\n 2 ":                  "1 2",
		"online?clockx2":           "online(uncertain:clock) online(uncertain:clock)",
		"max":                      "max",
		"0.5x2":                    "0.5 0.5",
	} {
		n, err := parseNotation(text, time.Second)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want = strings.ReplaceAll(want, "_(good)", "_")
		if got := spell(n, 100); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	n, err := parseNotation("1+1x3", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, v := n.at(99); v != 3 {
		t.Errorf("the last reading goes on: got %v, want 3", v)
	}
}

func TestNotationRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "is empty",
		"50x":                   "\"x\" is neither how often nor how long",
		"50x0":                  "use 1 to",
		"50x-3":                 "use 1 to",
		"50x1500ms":             "no multiple of the interval",
		"50xoften":              "neither",
		"50+2":                  "a ramp needs the number of its readings",
		"50+x3":                 "after + comes by how much",
		"50--2x3":               "after - comes by how much",
		"5 'abc":                "the quote does not end",
		"''":                    "the text is empty",
		"bad:":                  "quality",
		"bad:Timeout":           "quality",
		"uncertain:a":           "write it as 50?a",
		"50?":                   "after ? comes the reason",
		"_?a":                   "no reading",
		"1e999":                 "out of range",
		"1e308+1e308x9":         "too steep",
		"50x100000001":          "use 1 to",
		"1x90000000 1x90000000": "more than",
		"50y":                   "is not understood",
	} {
		if _, err := parseNotation(text, time.Second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestReadingsFitTheirPoint(t *testing.T) {
	word := faultline.Point{Name: "word", Type: faultline.TypeInt, Bits: true, Texts: map[int64]string{3: "low flow"}}
	mode := faultline.Point{Name: "mode", Type: faultline.TypeInt, Texts: map[int64]string{2: "cooling"}}
	for _, c := range []struct {
		point faultline.Point
		text  string
		want  faultline.Value
	}{
		{word, "'low flow'", faultline.Int(8)}, {word, "8", faultline.Int(8)}, {mode, "cooling", faultline.Int(2)}, {mode, "heating", faultline.Value{}},
		{faultline.Point{Type: faultline.TypeBool}, "true", faultline.Bool(true)}, {faultline.Point{Type: faultline.TypeBool}, "1", faultline.Value{}},
		{faultline.Point{Type: faultline.TypeString}, "online", faultline.String("online")}, {faultline.Point{Type: faultline.TypeFloat}, "online", faultline.Value{}},
		{faultline.Point{Type: faultline.TypeString}, "1", faultline.Value{}},
	} {
		n, err := parseNotation(c.text, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		s, v := n.at(0)
		got, _, err := s.sample(&c.point, v)
		if got.Value != c.want || (err == nil) != (c.want.Type() != faultline.NoType) {
			t.Errorf("%s of %s: got %v, %v", c.text, c.point.Type, got.Value, err)
		}
	}
}

// Whatever is written, the parser neither panics nor promises readings that it cannot give.
func FuzzNotation(f *testing.F) {
	for _, s := range []string{"50x10 50+2x20 _x5 bad:timeoutx3 90x60", "50~2x20 -1~0.5+3x4 7~1e308", "'a b'x3 50?clockx3", "1e3-0.5x10m", "x", "_", "-", "bad:x3", "'''", "1e5x5s x5", "50?x3"} {
		f.Add(s)
	}
	p := faultline.Point{Name: "p", Type: faultline.TypeFloat}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseNotation(text, time.Second)
		if err != nil {
			return
		}
		if n.len() < 1 || n.len() > longestSeries {
			t.Fatalf("%q has %d readings", text, n.len())
		}
		for _, i := range []int{0, n.len() / 2, n.len() - 1, n.len() + 5} {
			s, v := n.at(i)
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%q: reading %d is %v", text, i, v)
			}
			sample, there, err := s.sample(&p, v)
			if err == nil && there && sample.Quality.IsBad() != (sample.Value.Type() == faultline.NoType) {
				t.Fatalf("%q: reading %d is %+v", text, i, sample)
			}
		}
	})
}
