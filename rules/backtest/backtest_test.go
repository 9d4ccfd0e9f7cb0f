package backtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
	"github.com/faultline-iot/faultline/rules"
)

var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func tank() faultline.Position {
	return faultline.Position{Site: "plant", ID: "T-1", Kind: "tank", Gateway: "gw", Points: []faultline.Point{
		{Name: "level", Type: faultline.TypeFloat, Unit: "%"}, {Name: "mode", Type: faultline.TypeInt, Texts: map[int64]string{0: "idle", 2: "dry"}},
		{Name: "open", Type: faultline.TypeBool}, {Name: "note", Type: faultline.TypeString},
	}}
}

func set(t testing.TB, only ...string) *rules.Set {
	t.Helper()
	s, err := rules.Load(nil, rules.File{Name: "tank.rules.yaml", Data: []byte(`
rules:
  - {id: level, title: Level low, kind: threshold, asset_kind: tank, point: level, limits: {low: 20, low_low: 5}, on_delay: 2s, off_delay: 3s, failure_mode: empty, family: supply}
  - {id: dry, title: Pump runs dry, kind: state, asset_kind: tank, point: mode, is: [dry], failure_mode: dry, family: pump}
  - {id: silent, title: Silent, kind: silence, asset_kind: tank, after: 30s, failure_mode: silent, family: communication}
`)})
	if err == nil && len(only) > 0 {
		s, err = s.Only(only...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// series is a source of levels, one a second; NaN is a second without a reading.
type series struct {
	level func(second int) float64
	n     int
	step  time.Duration
}

func (s series) Step() time.Duration { return s.step }
func (s series) Used() string        { return "a series" }
func (s series) Frames(_ context.Context, from, to time.Time, show func(*faultline.Frame) error) error {
	f := faultline.Frame{Kind: "tank", Site: "plant", Position: "T-1", Gateway: "gw", Samples: make([]faultline.Sample, 1)}
	for i := range s.n {
		v := s.level(i)
		if math.IsNaN(v) {
			continue
		}
		f.Time, f.Samples[0] = begin.Add(time.Duration(i)*time.Second), faultline.Sample{Point: "level", Value: faultline.Float(v), Quality: faultline.Good}
		if err := show(&f); err != nil {
			return err
		}
	}
	return nil
}

func run(t testing.TB, o Options) *Report {
	t.Helper()
	o.Position = tank()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func summary(r *Report) string {
	var b strings.Builder
	for _, a := range r.Alarms {
		cleared := "-"
		if !a.Cleared.IsZero() {
			cleared = fmt.Sprint(a.Cleared.Sub(begin).Seconds())
		}
		fmt.Fprintf(&b, "%s %s %v-%s %s; ", a.Rule, a.Severity, a.RaisedAt.Sub(begin).Seconds(), cleared, a.Ticket)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestAlarmsAndTickets(t *testing.T) {
	level := func(i int) float64 {
		switch {
		case i >= 100 && i < 110, i >= 500 && i < 505, i >= 5000:
			return 10
		case i >= 105+400 && i < 510:
			return 1
		}
		return 50
	}
	o := Options{Set: set(t, "level"), Source: series{level: level, n: 5100}, From: begin, CloseAfter: time.Hour}
	r := run(t, o)
	// The second fault is 390 s after the first: one ticket; the third comes an hour after the end of both.
	if got, want := summary(r), "level warning 102-113 T-000001; level critical 502-513 T-000001; level warning 5002-- T-000002"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(r.Tickets) != 2 || r.Tickets[0].Count != 2 || r.Tickets[0].Status != faultline.StatusClosed || r.Tickets[1].Earlier != "T-000001" {
		t.Errorf("tickets: %+v", r.Tickets)
	}
	if r.Frames != 5100 || r.Samples != 5100 || r.Bad != 0 || !r.First.Equal(begin) || !r.Last.Equal(begin.Add(5099*time.Second)) {
		t.Errorf("counts: %+v", r)
	}
	for i, a := range r.Alarms {
		e := a.Evidence
		if e == nil || e.Point != "level" || len(e.Limits) != 2 {
			t.Fatalf("alarm %d: evidence %+v", i, e)
		}
		if last := e.Samples[len(e.Samples)-1].At; !last.After(a.RaisedAt.Add(50 * time.Second)) {
			t.Errorf("alarm %d: the picture ends at %v", i, last)
		}
	}
	o.CloseAfter = 10 * time.Hour
	if r := run(t, o); len(r.Tickets) != 1 || r.Tickets[0].Count != 3 {
		t.Errorf("a ticket that nobody closes takes all in: %+v", r.Tickets)
	}
	o.Pictures = 1
	if r := run(t, o); r.Alarms[0].Evidence == nil || r.Alarms[1].Evidence != nil {
		t.Error("one picture was asked for")
	}
}

func TestSilence(t *testing.T) {
	level := func(i int) float64 {
		if i >= 100 && i < 200 {
			return math.NaN()
		}
		return 50
	}
	r := run(t, Options{Set: set(t, "silent"), Source: series{level: level, n: 300}, From: begin})
	if got, want := summary(r), "silent warning 129-200 T-000001"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the gateway is taken as alive") {
		t.Errorf("notes: %q", r.Notes)
	}
	r = run(t, Options{Set: set(t, "silent"), Source: series{level: level, n: 300, step: time.Minute}, From: begin})
	if len(r.Alarms) != 0 || len(r.Notes) != 2 || !strings.Contains(r.Notes[1], "condensed to 1m0s") {
		t.Errorf("condensed data: %s, %q", summary(r), r.Notes)
	}
}

func TestCompare(t *testing.T) {
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	r := Report{First: at(0), Last: at(10_000), Alarms: []Activation{
		{Rule: "a", RaisedAt: at(100), Cleared: at(200)}, {Rule: "a", RaisedAt: at(2000), Cleared: at(2100)}, {Rule: "b", RaisedAt: at(5000)},
	}}
	r.Compare([]Activation{
		{Rule: "a", RaisedAt: at(90), Cleared: at(95)}, {Rule: "b", RaisedAt: at(2000), Cleared: at(2100)},
		{Rule: "b", RaisedAt: at(9000)}, {Rule: "b", RaisedAt: at(20_000)},
	})
	var got []bool
	for _, a := range r.Alarms {
		got = append(got, a.Was)
	}
	for _, w := range r.Were {
		got = append(got, w.Was)
	}
	if fmt.Sprint(got) != "[true false true true false true]" {
		t.Errorf("got %v", got)
	}
}

func TestNothingToTry(t *testing.T) {
	o := Options{Set: set(t), Source: series{}, Position: tank()}
	o.Position.Kind = "boiler"
	if _, err := Run(t.Context(), o); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("no rule applies: %v", err)
	}
	if r := run(t, Options{Set: set(t), Source: series{}}); r.Frames != 0 || len(r.Alarms) != 0 {
		t.Errorf("no data: %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.Position = tank()
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The same history gives the same from the real time-series engine, whether it comes in one piece or
// more; and condensed it still shows what lasts.
func TestInflux(t *testing.T) {
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	c, err := tsdb.Open(t.Context(), tsdb.Config{URL: e.URL(), Token: e.Token()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	const n = 4000
	var lines []byte
	for i := range n {
		level, mode := 50.0, 0
		if i >= 1000 && i < 1600 {
			level = 10
		}
		if i >= 3000 {
			mode = 2
		}
		field := fmt.Sprintf("level=%v", level)
		if i == 2000 {
			field = `level__q="bad:timeout"`
		}
		lines = fmt.Appendf(lines, "tank,site=plant,position=T-1,gateway=gw %s,mode=%di,open=true,note=\"x\" %d\n", field, mode, begin.Add(time.Duration(i)*time.Second).UnixNano())
	}
	if err := c.Write(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	s := set(t, "level", "dry")
	p := tank()
	points := s.Watched(&p)
	if fmt.Sprint(points) != "[level mode]" {
		t.Fatalf("watched: %v", points)
	}
	o := Options{Set: s, Source: NewInflux(c, p, points, false), From: begin, To: begin.Add(48 * time.Hour)}
	r := run(t, o)
	if got, want := summary(r), "level warning 1002-1603 T-000001; dry warning 3000-- T-000002"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.Samples != 2*n || r.Bad != 1 || !strings.Contains(r.Used, "readings as they were, in 2 parts") {
		t.Errorf("%d samples, %d bad, %s", r.Samples, r.Bad, r.Used)
	}
	o.Source = NewInflux(c, p, []string{"level", "mode", "open", "note"}, true)
	r = run(t, o)
	if got := summary(r); !strings.HasPrefix(got, "level warning 1") || !strings.Contains(got, "dry warning 30") || r.Step != 60 || !strings.Contains(r.Used, "means of 1m0s") {
		t.Errorf("condensed: %s from %s", got, r.Used)
	}
}

// A query that gives too much is asked for in parts.
type crowded struct{ asked []time.Duration }

func (c *crowded) History(_ context.Context, q tsdb.HistoryQuery) ([]tsdb.PointHistory, error) {
	span := q.To.Sub(q.From)
	c.asked = append(c.asked, span)
	h := tsdb.PointHistory{Point: "level", At: []time.Time{q.From}, Value: []float64{50}, Quality: []faultline.Quality{faultline.Good}}
	if span > 7*time.Hour {
		h.Step = time.Minute
	}
	return []tsdb.PointHistory{h}, nil
}

func TestCrowdedDay(t *testing.T) {
	c := &crowded{}
	r := run(t, Options{Set: set(t, "level"), Source: NewInflux(c, tank(), []string{"level"}, false), From: begin, To: begin.Add(24 * time.Hour)})
	if r.Frames != 4 || r.Step != 0 || len(c.asked) != 7 {
		t.Errorf("%d frames, step %v, asked for %v", r.Frames, r.Step, c.asked)
	}
}

func BenchmarkRun(b *testing.B) {
	level := func(i int) float64 { return 50 + float64(i%7) }
	s := set(b, "level")
	b.ReportAllocs()
	p := tank()
	if _, err := Run(b.Context(), Options{Set: s, Position: p, Source: series{level: level, n: b.N}, From: begin}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkYearOfAnAsset tries a rule on each point on a year of one-minute values of twenty points in the embedded engine:
//
//	go test ./rules/backtest -run XXX -bench YearOfAnAsset -benchtime 1x
func BenchmarkYearOfAnAsset(b *testing.B) {
	if testing.Short() {
		b.Skip("fills a year")
	}
	const day, minutes, points = 24 * time.Hour, 365 * 24 * 60, 20
	e, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	c, err := tsdb.Open(b.Context(), tsdb.Config{URL: e.URL(), Token: e.Token(), Retention: day, Tiers: tsdb.Tiers(400*day, 5*365*day)})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.Setup(b.Context()); err != nil {
		b.Fatal(err)
	}
	p := faultline.Position{Site: "plant", ID: "T-1", Kind: "tank", Gateway: "gw"}
	var names []string
	for k := range points {
		names = append(names, fmt.Sprintf("v%d", k))
		p.Points = append(p.Points, faultline.Point{Name: names[k], Type: faultline.TypeFloat})
	}
	s, err := rules.Load(nil, rules.File{Name: "year.rules.yaml", Data: []byte(`rules: [{id: low, title: Low, kind: threshold, asset_kind: tank, point: "*", limits: {low: 20}, failure_mode: empty, family: supply}]`)})
	if err != nil {
		b.Fatal(err)
	}
	to := time.Now().UTC().Truncate(day)
	from := to.Add(-365 * day)
	var lines []byte
	for i := range minutes {
		lines = append(lines, "tank,site=plant,position=T-1,gateway=gw "...)
		for k := range points {
			v := 50 + float64((i+k)%7)
			if i%100_000 > 99_000 && k < 3 {
				v = 10
			}
			lines = fmt.Appendf(lines, "v%d=%v,", k, v)
		}
		lines = fmt.Appendf(lines[:len(lines)-1], " %d\n", from.Add(time.Duration(i)*time.Minute).UnixNano())
		if len(lines) > 1<<20 || i == minutes-1 {
			if err := c.WriteIn(b.Context(), tsdb.Minutes, lines); err != nil {
				b.Fatal(err)
			}
			lines = lines[:0]
		}
	}
	for b.Loop() {
		heard := 0
		r, err := Run(b.Context(), Options{Set: s, Position: p, Source: NewInflux(c, p, names, true), From: from, To: to, Progress: func(time.Time) { heard++ }})
		if err != nil {
			b.Fatal(err)
		}
		if r.Samples != points*minutes || len(r.Alarms) != 3*5 || heard == 0 || !strings.Contains(r.Used, "values of one minute") {
			b.Fatalf("%d samples, %d alarms, %s", r.Samples, len(r.Alarms), r.Used)
		}
	}
}
