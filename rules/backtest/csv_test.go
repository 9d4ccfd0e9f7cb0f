package backtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func table(text string, p faultline.Position) (frames []string, err error) {
	c, err := NewCSV("t.csv", strings.NewReader(text), &p)
	if err != nil {
		return nil, err
	}
	err = c.Frames(context.Background(), time.Time{}, time.Time{}, func(f *faultline.Frame) error {
		line := f.Time.Format(time.RFC3339Nano)
		for _, s := range f.Samples {
			line += fmt.Sprintf(" %s=%v", s.Point, s.Value)
			if s.Quality != faultline.Good {
				line += "(" + string(s.Quality) + ")"
			}
		}
		frames = append(frames, line)
		return nil
	})
	return frames, err
}

func TestCSV(t *testing.T) {
	for text, want := range map[string]string{
		"time,level\n2026-03-01T08:00:00Z,50.5\n2026-03-01T08:00:01.25Z,51\n":                 "2026-03-01T08:00:00Z level=50.5|2026-03-01T08:00:01.25Z level=51",
		"\ufefftime,\"level\"\r\n\"2026-03-01 08:00:00\",\"50\"\r\n\r\n2026-03-02 00:00:00,1": "2026-03-01T08:00:00Z level=50|2026-03-02T00:00:00Z level=1",
		"t;level;mode\n2026-03-01;1,5;2\n":                                                    "2026-03-01T00:00:00Z level=1.5 mode=2",
		"t\tlevel\n1772352000\t1\n1772352000.5\t2\n":                                          "2026-03-01T08:00:00Z level=1|2026-03-01T08:00:00.5Z level=2",
		"t,level\n1772352000500,1\n":                                                          "2026-03-01T08:00:00.5Z level=1",
		"t,level\n2026-03-01T09:00:00+01:00,1\n":                                              "2026-03-01T08:00:00Z level=1",
		"t,level,open,note\n2026-03-01,bad:timeout,true,hello\n":                              "2026-03-01T00:00:00Z level=–(bad:timeout) open=true note=hello",
		"t,level,mode\n2026-03-01,,\n2026-03-02,,7\n2026-03-03,5\n":                           "2026-03-02T00:00:00Z mode=7|2026-03-03T00:00:00Z level=5",
		"t,level,open\n2026-03-01,abc,maybe\n2026-03-02,NaN,0\n":                              "2026-03-01T00:00:00Z level=–(bad:decode) open=–(bad:decode)|2026-03-02T00:00:00Z level=–(bad:decode) open=false",
		"t,level\n2026-03-01T08:00:00Z,1\n2026-02-28T23:59:59Z,2\n":                           "2026-03-01T08:00:00Z level=1|2026-02-28T23:59:59Z level=2",
	} {
		frames, err := table(text, tank())
		if got := strings.Join(frames, "|"); err != nil || got != want {
			t.Errorf("%q:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestCSVRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "is empty",
		"time\n1,2\n":                        "write time and then the points' names",
		"time,flow\n":                        "t.csv:1: column 2: T-1 has no point \"flow\"",
		"time,level\nyesterday,1\n":          "t.csv:2: \"yesterday\" is no time",
		"time,level\n2026-03-01,1,2\n":       "t.csv:2: more cells",
		"time,level\n2026-13-01T00:00:00Z,1": "is no time",
		"time,level\n2026-03-01T25:00:00Z,1": "is no time",
		"time,level\n" + strings.Repeat("1", longestLine+1): "the line is longer",
	} {
		if _, err := table(text, tank()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %s", text, err, want)
		}
	}
	// A position that nothing is known of takes its points from the head.
	p := faultline.Position{ID: "X"}
	if frames, err := table("time,flow_1,flow_2\n2026-03-01,1,2\n", p); err != nil || len(frames) != 1 || frames[0] != "2026-03-01T00:00:00Z flow_1=1 flow_2=2" {
		t.Errorf("unknown position: %v, %v", frames, err)
	}
	if _, err := table("time,Flow\n", p); err == nil {
		t.Error("a name that no point may have was taken")
	}
}

// Tables come from anywhere. Whatever is in them, what comes out is a frame that could be stored.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"time,level\n2026-03-01T08:00:00Z,50\n", "t;mode;open\n1772352000;1,5;true\n", "t\tnote\n2026-03-01\t\"a\"\n", "t,level\n2026-03-01 08:00:00.123,bad:x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := tank()
		c, err := NewCSV("t.csv", strings.NewReader(text), &p)
		if err != nil {
			return
		}
		_ = c.Frames(context.Background(), time.Time{}, time.Time{}, func(f *faultline.Frame) error {
			for i := range f.Samples {
				s := &f.Samples[i]
				if s.Quality.Check() != nil || s.Quality.IsBad() != (s.Value.Type() == faultline.NoType) {
					t.Fatalf("%q gives %+v", text, *s)
				}
			}
			return nil
		})
	})
}

func BenchmarkCSV(b *testing.B) {
	var text strings.Builder
	text.WriteString("time,level\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "%s,%.3f\n", begin.Add(time.Duration(i)*time.Second).Format(time.RFC3339), 50+float64(i%100)/7)
	}
	b.ReportAllocs()
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		p := tank()
		c, err := NewCSV("t.csv", strings.NewReader(text.String()), &p)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Frames(context.Background(), time.Time{}, time.Time{}, func(*faultline.Frame) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
