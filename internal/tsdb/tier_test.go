package tsdb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

const day = 24 * time.Hour

// withTiers gives a client of a fresh engine that has tiers.
func withTiers(t testing.TB, cfg tsdb.Config) (*tsdb.Client, *embedded.Engine) {
	t.Helper()
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg.URL, cfg.Token = e.URL(), e.Token()
	if cfg.Tiers == nil {
		cfg.Tiers = tsdb.Tiers(365*day, 5*365*day)
	}
	c := client(t, cfg)
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, e
}

// plant writes n readings of every type, one each ten seconds: the fourth minute has no value.
func plant(t testing.TB, c *tsdb.Client, begin time.Time, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		at := begin.Add(time.Duration(i) * 10 * time.Second).UnixNano()
		if i/6 == 3 {
			fmt.Fprintf(&b, "pump,gateway=g1,position=P-1,site=s1 temp__q=\"bad:timeout\",hours__q=\"bad:timeout\" %d\n", at)
			continue
		}
		fmt.Fprintf(&b, "pump,gateway=g1,position=P-1,site=s1 temp=%d.5,hours=%di,run=%t,text=\"a \\\"%d\\\"\"", i%6, i, i%2 == 0, i)
		if i/6 == 5 {
			b.WriteString(`,temp__q="uncertain:clock"`)
		}
		fmt.Fprintf(&b, " %d\npump,gateway=g1,position=P-2,site=s1 temp=1000 %d\nfan,gateway=g1,origin=demo,position=F-1,site=s1 speed=7 %d\npump,gateway=g2,position=P-1,site=s2 temp=-1 %d\n", at, at, at, at)
	}
	write(t, c, b.String())
}

func row(t testing.TB, c *tsdb.Client, tier, query string) map[string]any {
	t.Helper()
	s, err := c.QueryIn(t.Context(), tier, query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != 1 || len(s[0].Rows) != 1 {
		t.Fatalf("%s in %s: %+v, want one row", query, tier, s)
	}
	m := map[string]any{}
	for i, name := range s[0].Columns {
		if v := s[0].Rows[0][i]; v != nil && name != "time" {
			m[name] = v
		}
	}
	return m
}

func TestCondense(t *testing.T) {
	c, _ := withTiers(t, tsdb.Config{})
	begin := time.Now().Add(-30 * time.Hour).Truncate(time.Hour).UTC()
	plant(t, c, begin, 2*360)
	n, err := c.Condense(t.Context(), "s1", begin, begin.Add(2*time.Hour))
	if want := 120 + 2*119 + 3*2; err != nil || n != want {
		t.Fatalf("%d points, %v; want %d", n, err, want)
	}
	at := func(m int) string { return " AND time = " + tsdb.Time(begin.Add(time.Duration(m)*time.Minute)) }
	want := map[string]any{
		"temp": int64(3), "temp__min": 0.5, "temp__max": 5.5, "temp__last": 5.5, "temp__n": int64(6),
		"hours": int64(11), "hours__min": int64(6), "hours__max": int64(11), "hours__mean": 8.5, "hours__n": int64(6),
		"run": false, "run__min": false, "run__max": true, "run__n": int64(6), "text": `a "11"`, "text__n": int64(6), "gateway": "g1", "position": "P-1", "site": "s1",
	}
	if got := row(t, c, tsdb.Minutes, `SELECT * FROM pump WHERE "position" = 'P-1'`+at(1)); !reflect.DeepEqual(got, want) {
		t.Errorf("a minute:\n%v, want\n%v", got, want)
	}
	if got := row(t, c, tsdb.Minutes, `SELECT * FROM pump WHERE "position" = 'P-1'`+at(3)); !reflect.DeepEqual(got, map[string]any{"temp__q": "bad:timeout", "hours__q": "bad:timeout", "gateway": "g1", "position": "P-1", "site": "s1"}) {
		t.Errorf("the gap: %v", got)
	}
	if got := row(t, c, tsdb.Minutes, `SELECT temp__q, temp FROM pump WHERE "position" = 'P-1'`+at(5)); !reflect.DeepEqual(got, map[string]any{"temp__q": "uncertain:clock", "temp": int64(3)}) {
		t.Errorf("the uncertain minute: %v", got)
	}
	if got := row(t, c, tsdb.Hours, `SELECT temp, temp__n, temp__min, temp__max, hours, temp__q FROM pump WHERE "position" = 'P-1'`+at(0)); !reflect.DeepEqual(got, map[string]any{"temp": int64(3), "temp__n": int64(354), "temp__min": 0.5, "temp__max": 5.5, "hours": int64(359), "temp__q": "uncertain:clock"}) {
		t.Errorf("an hour: %v", got)
	}
	if got := row(t, c, tsdb.Hours, `SELECT speed, origin FROM fan WHERE "origin" = 'demo'`+at(0)); got["speed"] != int64(7) {
		t.Errorf("made-up history: %v", got)
	}
	// A field has the type of its point.
	types, err := c.QueryIn(t.Context(), tsdb.Minutes, `SHOW FIELD KEYS FROM pump`, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[any]any{}
	for _, r := range types[0].Rows {
		got[r[0]] = r[1]
	}
	for name, typ := range map[string]string{"temp": "float", "temp__last": "float", "hours": "integer", "hours__mean": "float", "run__max": "boolean", "text": "string", "temp__n": "integer"} {
		if got[name] != typ {
			t.Errorf("field %s is %v, want %s", name, got[name], typ)
		}
	}

	// Late readings come in: condensing again changes what they touch, and nothing is there twice.
	write(t, c, fmt.Sprintf("pump,gateway=g1,position=P-1,site=s1 temp=99 %d", begin.Add(time.Minute+time.Second).UnixNano()))
	if n, err = c.Condense(t.Context(), "s1", begin, begin.Add(time.Hour)); err != nil || n != 60+2*59+3 {
		t.Fatalf("%d points, %v", n, err)
	}
	if got := row(t, c, tsdb.Minutes, `SELECT temp__max, temp__n FROM pump WHERE "position" = 'P-1'`+at(1)); !reflect.DeepEqual(got, map[string]any{"temp__max": int64(99), "temp__n": int64(7)}) {
		t.Errorf("after a late reading: %v", got)
	}
	if got := row(t, c, tsdb.Minutes, `SELECT count(temp) FROM pump WHERE "position" = 'P-1'`); got["count"] != int64(119) {
		t.Errorf("%v minutes, want 119", got)
	}
	// What the program counts and shows are readings.
	if n, err := c.Count(t.Context(), tsdb.CountWhere{}); err != nil || n.ByKind["fan"] != 714 {
		t.Errorf("%+v, %v: tiers are counted as readings", n, err)
	}
	if f, err := c.Latest(t.Context(), "pump", "s1", "P-1"); err != nil || len(f.Samples) != 4 {
		t.Errorf("latest: %+v, %v", f, err)
	}
}

func TestCondenseManyPositions(t *testing.T) {
	c, _ := withTiers(t, tsdb.Config{})
	begin := time.Now().Add(-10 * time.Hour).Truncate(time.Hour)
	var b strings.Builder
	for p := range 25 {
		for i := range 3 {
			fmt.Fprintf(&b, "meter,position=M-%d,site=s1 ", p)
			for f := range 50 {
				fmt.Fprintf(&b, "f%d=%d.0,", f, p)
			}
			fmt.Fprintf(&b, "last=1i %d\n", begin.Add(time.Duration(i)*time.Hour).UnixNano())
		}
	}
	write(t, c, b.String())
	if n, err := c.Condense(t.Context(), "s1", begin, begin.Add(3*time.Hour)); err != nil || n != 2*2*3*25 { // tiers, parts of fields, hours
		t.Fatalf("%d points, %v", n, err)
	}
	for _, f := range []string{"f0", "f49", "last"} {
		if got := row(t, c, tsdb.Hours, `SELECT count(`+f+`) FROM meter`); got["count"] != int64(75) {
			t.Errorf("%s: %v, want 75", f, got)
		}
	}
}

func TestHistoryPicksTheTier(t *testing.T) {
	var asked []string
	var stale time.Time
	c, _ := withTiers(t, tsdb.Config{Retention: 90 * day, Stale: func(_ context.Context, site string, from, to time.Time) (time.Time, bool, error) {
		asked = append(asked, site)
		return stale, !stale.IsZero(), nil
	}})
	now := time.Now().Truncate(time.Hour).UTC()
	// One line each ten minutes for ten days; the tiers get other values, so that it shows who answered.
	var raw, minutes, hours strings.Builder
	for at := now.Add(-10 * day); at.Before(now); at = at.Add(10 * time.Minute) {
		fmt.Fprintf(&raw, "pump,position=P-1,site=s1 v=1,n=1i %d\n", at.UnixNano())
		fmt.Fprintf(&minutes, "pump,position=P-1,site=s1 v=2,v__min=-2,v__max=22,n=2i,n__min=2i,n__max=2i %d\n", at.UnixNano())
	}
	for at := now.Add(-200 * day); at.Before(now); at = at.Add(time.Hour) {
		fmt.Fprintf(&hours, "pump,position=P-1,site=s1 v=3,v__min=-3,v__max=33,n=3i,n__min=3i,n__max=3i %d\n", at.UnixNano())
	}
	write(t, c, raw.String())
	for tier, lines := range map[string]string{tsdb.Minutes: minutes.String(), tsdb.Hours: hours.String()} {
		if err := c.WriteIn(t.Context(), tier, []byte(lines)); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(from, to time.Time, rows int) tsdb.PointHistory {
		t.Helper()
		h, err := c.History(t.Context(), tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-1", Points: []string{"v", "n"}, From: from, To: to, MaxRows: rows})
		if err != nil {
			t.Fatal(err)
		}
		if len(h[0].At) != len(h[1].At) || len(h[0].At) > rows || !slices.IsSortedFunc(h[0].At, time.Time.Compare) || len(slices.Compact(slices.Clone(h[0].At))) != len(h[0].At) {
			t.Errorf("%d and %d rows, times %v", len(h[0].At), len(h[1].At), h[0].At)
		}
		return h[0]
	}
	for _, w := range []struct {
		span  time.Duration
		rows  int
		tier  string
		step  time.Duration
		value float64
	}{
		{day, 1000, tsdb.Policy, 0, 1}, // they all fit
		{2 * day, 100, tsdb.Minutes, 30 * time.Minute, 2},
		{10 * day, 100, tsdb.Hours, 3 * time.Hour, 3},
		{200 * day, 300, tsdb.Hours, day, 3},
		{100 * day, 100_000, tsdb.Minutes, 2 * time.Minute, 2}, // older than the readings
	} {
		h := ask(now.Add(-w.span), now, w.rows)
		if h.Tier != w.tier || h.Step != w.step || h.Value[len(h.Value)-1] != w.value {
			t.Errorf("%v in %d rows: tier %s, step %v, value %v; want %+v", w.span, w.rows, h.Tier, h.Step, h.Value[len(h.Value)-1], w)
		}
		if h.Tier != tsdb.Policy && (h.Min[0] >= h.Value[0] || h.Max[0] <= h.Value[0]) {
			t.Errorf("%v: %v of %v..%v", w.span, h.Value[0], h.Min[0], h.Max[0])
		}
	}
	// From where the tiers are stale on, the readings are taken; no step is made of both.
	stale = now.Add(-25 * time.Hour)
	h := ask(now.Add(-10*day), now, 100)
	edge := now.Add(-25*time.Hour).Unix() / 10800 * 10800
	for i := range h.At {
		want := 3.0
		if h.At[i].Unix() >= edge {
			want = 1
		}
		if h.Value[i] != want {
			t.Errorf("%v is %v, want %v", h.At[i], h.Value[i], want)
		}
	}
	if h.Tier != tsdb.Hours || h.Step != 3*time.Hour || len(h.At) < 80 {
		t.Errorf("tier %s, step %v, %d rows", h.Tier, h.Step, len(h.At))
	}
	stale = now.Add(-11 * day) // all of it
	if h = ask(now.Add(-10*day), now, 100); h.Value[0] != 1 || h.Tier != tsdb.Policy {
		t.Errorf("all stale: %v of %s", h.Value[0], h.Tier)
	}
	stale = now.Add(-150 * day) // readings of then are gone
	if h = ask(now.Add(-200*day), now, 300); h.Value[0] != 3 || h.At[0].After(now.Add(-198*day)) {
		t.Errorf("stale for long: %v at %v", h.Value[0], h.At[0])
	}
	if len(asked) == 0 || asked[0] != "s1" {
		t.Errorf("asked for %v", asked)
	}
}

// TestTheSameHistoryFromTheTiers compares what the tiers answer with what the readings answer.
func TestTheSameHistoryFromTheTiers(t *testing.T) {
	c, e := withTiers(t, tsdb.Config{})
	begin := time.Now().Add(-30 * day).Truncate(day).UTC()
	var b strings.Builder
	for i := range 3 * 24 * 60 { // each minute
		fmt.Fprintf(&b, "pump,position=P-1,site=s1 v=%f,n=%di,run=%t %d\n", math.Sin(float64(i)/500), i, i%7 == 0, begin.Add(time.Duration(i)*time.Minute).UnixNano())
		if i%5000 == 4999 {
			write(t, c, b.String())
			b.Reset()
		}
	}
	write(t, c, b.String())
	q := tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-1", Points: []string{"v", "n", "run"}, From: begin, To: begin.Add(3 * day), MaxRows: 60}
	whole := client(t, tsdb.Config{URL: e.URL(), Token: e.Token()})
	want, err := whole.History(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Condense(t.Context(), "s1", begin, begin.Add(3*day)); err != nil {
		t.Fatal(err)
	}
	got, err := c.History(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if want[i].Tier != tsdb.Policy || got[i].Tier != tsdb.Hours || !reflect.DeepEqual(want[i].At, got[i].At) || !reflect.DeepEqual(want[i].Min, got[i].Min) || !reflect.DeepEqual(want[i].Max, got[i].Max) || !reflect.DeepEqual(want[i].Quality, got[i].Quality) {
			t.Errorf("%s differs", want[i].Point)
		}
		for j := range want[i].Value {
			if math.Abs(want[i].Value[j]-got[i].Value[j]) > 1e-9 {
				t.Errorf("%s at %v is %v, want %v", want[i].Point, want[i].At[j], got[i].Value[j], want[i].Value[j])
			}
		}
	}
}

func TestLateReadingsStandInTheTiers(t *testing.T) {
	c, _ := withTiers(t, tsdb.Config{Retention: 90 * day})
	at := time.Now().Add(-100 * day).Truncate(time.Hour).UTC()
	f := faultline.Frame{Kind: "pump", Site: "s1", Position: "P-1", Gateway: "g1", Time: at.Add(90 * time.Second), Samples: []faultline.Sample{
		{Point: "temp", Value: faultline.Float(20), Quality: faultline.Good},
		{Point: "hours", Value: faultline.Int(math.MaxInt64), Quality: faultline.UncertainClock},
		{Point: "run", Value: faultline.Bool(true), Quality: faultline.Good},
		{Point: "text", Value: faultline.String(`a "b" \ c`), Quality: faultline.Good},
		{Point: "flow", Quality: faultline.BadTimeout},
	}}
	line := tsdb.AppendLate(nil, &f)
	for _, tier := range c.Tiers() {
		if err := c.WriteIn(t.Context(), tier.Name, []byte(fmt.Sprintf("%s\npump,gateway=g1,position=P-1,site=s1 temp=10,temp__min=5,temp__max=15,temp__n=60i %d", line, at.Add(time.Minute).UnixNano()))); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	h, err := c.History(t.Context(), tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-1", Points: []string{"temp", "hours", "flow"}, From: at, To: at.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if h[0].Tier != tsdb.Minutes || len(h[0].At) != 1 || h[0].Value[0] != 15 || h[0].Min[0] != 5 || h[0].Max[0] != 20 {
		t.Errorf("temperature: %+v", h[0])
	}
	if h[1].Value[0] != math.MaxInt64 || h[1].Quality[0] != faultline.UncertainClock || h[2].Quality[0] != faultline.BadTimeout {
		t.Errorf("hours %+v, flow %+v", h[1], h[2])
	}
	if got := row(t, c, tsdb.Hours, `SELECT "text", run, hours__mean, hours__n FROM pump WHERE "origin" = 'late'`); !reflect.DeepEqual(got, map[string]any{"text": `a "b" \ c`, "run": true, "hours__mean": float64(math.MaxInt64), "hours__n": int64(1)}) {
		t.Errorf("%v", got)
	}
}

// A tier that is read point by point gives what the server's GROUP BY of the same points gives, also where a step has
// points of two gateways, late ones and gaps.
func TestTierPointByPoint(t *testing.T) {
	c, _ := withTiers(t, tsdb.Config{Retention: 90 * day})
	begin := time.Now().Add(-200 * day).Truncate(day).UTC()
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	for i := range 600 {
		at := begin.Add(time.Duration(i) * time.Minute)
		for gateway, share := range []float64{0.9, 0.2} {
			if r.Float64() > share {
				continue
			}
			v := r.Float64() * 100
			var fields []string
			if r.IntN(10) > 0 {
				fields = append(fields, fmt.Sprintf("v=%v,v__min=%v,v__max=%v,v__n=6i", v, v-r.Float64(), v+r.Float64()))
			}
			if r.IntN(4) == 0 {
				fields = append(fields, fmt.Sprintf("v__q=%q", []string{"bad:timeout", "uncertain:clock"}[r.IntN(2)]))
			}
			if r.IntN(5) > 0 {
				fields = append(fields, fmt.Sprintf("n=%[1]di,n__min=%[1]di,n__max=%[1]di,run=%t", r.IntN(9), r.IntN(2) == 0))
			}
			if len(fields) > 0 {
				fmt.Fprintf(&b, "pump,gateway=g%d,position=P-1,site=s1 %s %d\n", gateway, strings.Join(fields, ","), at.Add(time.Duration(gateway)*time.Second).UnixNano())
			}
		}
	}
	if err := c.WriteIn(t.Context(), tsdb.Minutes, []byte(b.String())); err != nil {
		t.Fatal(err)
	}
	q := tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-1", Points: []string{"v", "n", "run", "nothing"}, From: begin, To: begin.Add(10 * time.Hour), MaxRows: 700}
	got, err := c.History(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tsdb.StepHistory(t.Context(), c, tsdb.Minutes, time.Minute, q)
	if err != nil {
		t.Fatal(err)
	}
	several := 0
	for i := range want {
		w, g := &want[i], &got[i]
		if g.Tier != tsdb.Minutes || g.Step != time.Minute || len(g.At) != len(w.At) {
			t.Fatalf("%s: %d steps of %v from %s, want %d", w.Point, len(g.At), g.Step, g.Tier, len(w.At))
		}
		for j := range w.At {
			close := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) }
			if !g.At[j].Equal(w.At[j]) || g.Quality[j] != w.Quality[j] || !close(g.Value[j], w.Value[j]) || w.Point == "v" && (!close(g.Min[j], w.Min[j]) || !close(g.Max[j], w.Max[j])) {
				t.Errorf("%s at %v: %v (%v to %v) %s, want %v (%v to %v) %s", w.Point, w.At[j], g.Value[j], g.Min[j], g.Max[j], g.Quality[j], w.Value[j], w.Min[j], w.Max[j], w.Quality[j])
			}
			if w.Point == "v" && w.Max[j]-w.Min[j] > 2 {
				several++
			}
		}
	}
	if len(want[0].At) < 400 || several < 20 {
		t.Errorf("%d steps, %d of them of several points: that proves little", len(want[0].At), several)
	}
	q.Bare = true
	bare, err := c.History(t.Context(), q)
	if err != nil || !reflect.DeepEqual(bare[0].Quality, got[0].Quality) || !reflect.DeepEqual(bare[1].Value, got[1].Value) {
		t.Errorf("bare: %v, %d values", err, len(bare[0].Value))
	}
}

func TestUncondensed(t *testing.T) {
	c, _ := withTiers(t, tsdb.Config{Retention: 90 * day})
	now := time.Now()
	if from, to, err := c.Uncondensed(t.Context(), "s1", now); err != nil || !from.IsZero() || !to.IsZero() {
		t.Errorf("of nothing: %v to %v, %v", from, to, err)
	}
	begin := now.Add(-50 * time.Hour).Truncate(time.Hour).UTC()
	plant(t, c, begin, 3*360)
	if from, to, err := c.Uncondensed(t.Context(), "s1", now); err != nil || !from.Equal(begin) || !to.Equal(now.Truncate(time.Hour)) {
		t.Errorf("without tiers: %v to %v, %v; want from %v", from, to, err, begin)
	}
	if _, err := c.Condense(t.Context(), "s1", begin.Add(2*time.Hour), begin.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if from, to, err := c.Uncondensed(t.Context(), "s1", now); err != nil || !from.Equal(begin) || !to.Equal(begin.Add(2*time.Hour)) {
		t.Errorf("with the last hour condensed: %v to %v, %v", from, to, err)
	}
	if _, err := c.Condense(t.Context(), "s1", begin, begin.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if from, _, err := c.Uncondensed(t.Context(), "s1", now); err != nil || !from.IsZero() {
		t.Errorf("all condensed: from %v, %v", from, err)
	}
}

func TestSetupMakesAndChangesTiers(t *testing.T) {
	c, e := withTiers(t, tsdb.Config{Retention: 90 * day})
	policies := func() string {
		s, err := c.Query(t.Context(), `SHOW RETENTION POLICIES ON faultline`, nil)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s[0].Rows)
	}
	want := "[[raw 2160h0m0s 168h0m0s 1 true] [m1 8760h0m0s 672h0m0s 1 false] [h1 43800h0m0s 4368h0m0s 1 false]]"
	if got := policies(); got != want {
		t.Errorf("policies %s, want %s", got, want)
	}
	if err := c.Setup(t.Context()); err != nil || policies() != want {
		t.Errorf("set up again: %v, %s", err, policies())
	}
	shorter := client(t, tsdb.Config{URL: e.URL(), Token: e.Token(), Retention: 90 * day, Tiers: tsdb.Tiers(100*day, 0)})
	if err := shorter.Setup(t.Context()); err != nil || !strings.Contains(policies(), "[m1 2400h0m0s 336h0m0s 1 false] [h1 0s ") {
		t.Errorf("shorter: %v, %s", err, policies())
	}
}

// TestSetupOn2 speaks to a server that answers as 2.x does, with one bucket mapped.
func TestSetupOn2(t *testing.T) {
	var made []string
	mapped := []string{"raw"}
	refuse := false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /query", func(w http.ResponseWriter, _ *http.Request) {
		var rows []any
		for _, m := range mapped {
			rows = append(rows, []any{m, "0s", "168h0m0s", 1, m == "raw"})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"results": []any{map[string]any{"series": []any{map[string]any{"columns": []string{"name", "duration", "shardGroupDuration", "replicaN", "default"}, "values": rows}}}}})
	})
	mux.HandleFunc("GET /api/v2/orgs", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("org") != "acme" || r.Header.Get("Authorization") != "Token secret" {
			t.Errorf("asked for %s with %s", r.URL, r.Header.Get("Authorization"))
		}
		fmt.Fprint(w, `{"orgs":[{"id":"0a1b"}]}`)
	})
	mux.HandleFunc("POST /api/v2/buckets", func(w http.ResponseWriter, r *http.Request) {
		if refuse {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"code":"forbidden","message":"insufficient permissions"}`)
			return
		}
		var b struct {
			OrgID, Name    string
			RetentionRules []struct{ EverySeconds int64 }
		}
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		made = append(made, fmt.Sprint(b))
		w.WriteHeader(http.StatusCreated)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Influxdb-Version", "v2.7.12")
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c := client(t, tsdb.Config{URL: server.URL, Token: "secret", Org: "acme", Tiers: tsdb.Tiers(365*day, 0)})
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"{0a1b faultline/m1 [{31536000}]}", "{0a1b faultline/h1 []}"}; !slices.Equal(made, want) {
		t.Errorf("made %v, want %v", made, want)
	}
	refuse = true
	err := c.Setup(t.Context())
	if err == nil || !strings.Contains(err.Error(), "influx bucket create -n faultline/m1 -r 31536000s") || !strings.Contains(err.Error(), "insufficient permissions") {
		t.Errorf("refused: %v", err)
	}
	mapped = []string{"raw", "m1", "h1"}
	if err := c.Setup(t.Context()); err != nil {
		t.Errorf("all mapped: %v", err)
	}
}
