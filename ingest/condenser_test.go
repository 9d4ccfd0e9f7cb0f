package ingest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// kept is an InfluxDB that notes what is condensed.
type kept struct {
	mu       sync.Mutex
	calls    []string
	fail     error
	during   func()
	whole    time.Time
	from, to time.Time // uncondensed
}

func (k *kept) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *kept) Condense(_ context.Context, site string, from, to time.Time) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.during != nil {
		k.during()
	}
	k.calls = append(k.calls, fmt.Sprint(site, " ", from.UTC().Format("02 15:04"), " ", to.Sub(from)))
	return 7, k.fail
}

func (k *kept) Whole(time.Time) time.Time { return k.whole }

func (k *kept) ShowTiers(context.Context, time.Time) error { return nil }

func (k *kept) Uncondensed(context.Context, string, time.Time) (from, to time.Time, err error) {
	return k.from, k.to, nil
}

func (k *kept) done() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.calls
	k.calls = nil
	return c
}

// calendar is Hours of one site, in memory.
type calendar struct {
	mu    sync.Mutex
	hours map[time.Time]store.StaleHour
	job   *store.Job
	until time.Time
	again bool // asked for while it is done
}

func (c *calendar) Claim(_ context.Context, _, owner string, _ int, ttl time.Duration, now time.Time) ([]store.Job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job == nil || c.job.Due.After(now) || c.until.After(now) {
		return nil, nil
	}
	c.until, c.again = now.Add(ttl), false
	return []store.Job{*c.job}, nil
}

func (c *calendar) Finish(_ context.Context, _ store.Job, next time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
	c.job.Attempts = 0
	switch {
	case c.again:
	case !next.IsZero():
		c.job.Due = next
	default:
		c.job = nil
	}
	return nil
}

func (c *calendar) Fail(_ context.Context, _ store.Job, _ error, next time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.job.Due = time.Time{}, next
	c.job.Attempts++
	return nil
}

func (c *calendar) StaleHours(_ context.Context, _ string, now time.Time, limit int) (hours []store.StaleHour, next time.Time, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first, last time.Time
	for h := range c.hours {
		if first.IsZero() || h.Before(first) {
			first = h
		}
		if h.After(last) {
			last = h
		}
	}
	for h := first; !h.After(last); h = h.Add(time.Hour) {
		s, ok := c.hours[h]
		switch {
		case !ok:
		case s.Due.After(now):
			if next.IsZero() || s.Due.Before(next) {
				next = s.Due
			}
		case len(hours) < limit:
			hours = append(hours, s)
		}
	}
	return hours, next, nil
}

func (c *calendar) Condensed(_ context.Context, _ string, hours []store.StaleHour) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range hours {
		if c.hours[h.Hour].Changes == h.Changes {
			delete(c.hours, h.Hour)
		}
	}
	return nil
}

func (c *calendar) MarkStale(_ context.Context, site string, due func(time.Time) time.Time, hours ...time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range hours {
		s, ok := c.hours[h]
		if !ok {
			s = store.StaleHour{Hour: h, Due: due(h)}
		}
		s.Changes++
		c.hours[h] = s
		c.again = true
		if c.job == nil {
			c.job = &store.Job{Kind: store.JobTier, Key: site, Due: s.Due}
		}
		if s.Due.Before(c.job.Due) {
			c.job.Due = s.Due
		}
	}
	return nil
}

func (c *calendar) CountStale(context.Context, time.Time) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.hours), nil
}

func (c *calendar) left() int { n, _ := c.CountStale(context.Background(), time.Time{}); return n }

func TestCondenser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cal, in := &calendar{hours: map[time.Time]store.StaleHour{}}, &kept{}
		registry := prometheus.NewRegistry()
		c := Condenser{Store: cal, Influx: in, Owner: "me", Registry: registry}
		hour := time.Now().Truncate(time.Hour) // a bubble begins at midnight
		in.from, in.to = hour.Add(-30*time.Hour), hour.Add(-3*time.Hour)
		in.whole = hour.Add(-20 * time.Hour)
		mark := func(hours ...time.Time) {
			t.Helper()
			if err := cal.MarkStale(t.Context(), "s1", DueAfter(time.Now()), hours...); err != nil {
				t.Fatal(err)
			}
		}
		want := func(calls ...string) {
			t.Helper()
			if got := in.done(); fmt.Sprint(got) != fmt.Sprint(calls) {
				t.Errorf("condensed %q, want %q", got, calls)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		settle(time.Second)
		mark(hour)
		settle(59 * time.Minute)
		want() // the hour is not over
		settle(5 * time.Minute)
		// With the first job come the older readings, but for those that have expired.
		want("s1 31 04:00 14h0m0s", "s1 31 18:00 3h0m0s", "s1 01 00:00 1h0m0s")
		if cal.left() != 0 {
			t.Errorf("%d hours left", cal.left())
		}
		if n := testutil.ToFloat64(c.metrics.hours.WithLabelValues("expired")); n != 10 {
			t.Errorf("%v hours expired, want 10", n)
		}
		// Late readings are gathered for a minute.
		mark(hour.Add(-5 * time.Hour))
		settle(30 * time.Second)
		mark(hour.Add(-5*time.Hour), hour.Add(-4*time.Hour))
		settle(45 * time.Second)
		want("s1 31 19:00 1h0m0s")
		settle(45 * time.Second)
		want("s1 31 20:00 1h0m0s")
		// One that comes while its hour is condensed keeps the mark.
		in.set(func() { in.during = sync.OnceFunc(func() { mark(hour.Add(-5 * time.Hour)) }) })
		mark(hour.Add(-5 * time.Hour))
		settle(80 * time.Second)
		settle(80 * time.Second)
		want("s1 31 19:00 1h0m0s", "s1 31 19:00 1h0m0s")
		in.set(func() { in.during = nil })
		// A server that is away is asked again, less and less often.
		in.set(func() { in.fail = errDown })
		mark(hour.Add(-time.Hour))
		settle(time.Hour)
		if n := len(in.done()); n < 10 || n > 25 || cal.left() != 1 {
			t.Errorf("%d attempts in an hour, %d hours left", n, cal.left())
		}
		in.set(func() { in.fail = nil })
		settle(6 * time.Minute)
		want("s1 31 23:00 1h0m0s")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
	})
}

func TestFramesMarkTheirHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Retention, r.cfg.Tiers = 90*24*time.Hour, tsdb.Tiers(365*24*time.Hour, 0)
		r.start(t)
		marks := func() string {
			r.memory.mu.Lock()
			defer r.memory.mu.Unlock()
			out := fmt.Sprint(r.memory.stale)
			r.memory.stale = nil
			return strings.ReplaceAll(out, " +0000 UTC", "")
		}
		for range 300 { // five minutes
			r.add(r.frame("g1", time.Now()))
			settle(time.Second)
		}
		if got := marks(); got != "[{s1 [2000-01-01 00:00:00]}]" {
			t.Errorf("the hour that lasts is marked %s, want once", got)
		}
		for range 2 {
			r.add(r.frame("g1", time.Now().Add(-48*time.Hour)))
			settle(time.Second)
		}
		if got := marks(); got != "[{s1 [1999-12-30 00:00:00]} {s1 [1999-12-30 00:00:00]}]" {
			t.Errorf("late readings marked %s, want at each save: their hour may have been condensed in between", got)
		}
		settle(58 * time.Minute)
		r.add(r.frame("g1", time.Now().Add(-5*time.Minute)), r.frame("g1", time.Now()))
		settle(time.Second)
		if got := marks(); got != "[{s1 [2000-01-01 00:00:00 2000-01-01 01:00:00]}]" {
			t.Errorf("at the turn of the hour: %s", got)
		}
		settle(10 * time.Minute)
		r.add(r.frame("g1", time.Now().Add(-15*time.Minute)))
		settle(time.Second)
		if got := marks(); got != "[{s1 [2000-01-01 00:00:00]}]" {
			t.Errorf("after the hour: %s", got)
		}
		r.add(r.frame("g1", time.Now().Add(-100*24*time.Hour)))
		settle(time.Second)
		if got := marks(); got != "[]" {
			t.Errorf("expired readings marked %s: nothing is to be condensed", got)
		}
	})
}

func TestExpiredFramesGoToTheTiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		r := newRig()
		r.cfg.Retention, r.cfg.Tiers = 90*day, tsdb.Tiers(365*day, 5*365*day)
		r.influx.set(refuse(" v=3,", "field type conflict"))
		r.start(t)
		now := time.Now()
		for i, age := range []time.Duration{89 * day, 90*day - time.Hour, 100 * day, 400 * day, 2000 * day} {
			r.add(frame("g1", uint64(i+1), now.Add(-age)))
		}
		settle(time.Second)
		all := r.all()
		for what, want := range map[string]bool{
			"pump,gateway=g1,position=P-g1,site=s1 v=1,":                                                      true,
			"m1pump,gateway=g1,origin=late,position=P-g1,site=s1 ":                                            true,
			"h1pump,gateway=g1,origin=late,position=P-g1,site=s1 ":                                            true,
			" v=2,v__min=2,v__max=2,v__last=2,v__n=1i,w__q=\"bad:timeout\" ":                                  true,
			fmt.Sprint("m1pump,gateway=g1,origin=late,position=P-g1,site=s1 ", now.Add(-400*day).UnixNano()):  false,
			fmt.Sprint("h1pump,gateway=g1,origin=late,position=P-g1,site=s1 ", now.Add(-400*day).UnixNano()):  true,
			fmt.Sprint("h1pump,gateway=g1,origin=late,position=P-g1,site=s1 ", now.Add(-2000*day).UnixNano()): false,
		} {
			if strings.Contains(all, what) != want {
				t.Errorf("%q there is %v, want %v:\n%s", what, !want, want, all)
			}
		}
		row := r.row(t, "g1")
		if row.Delivered != 1 || row.Expired != 4 || row.Dead != 1 || len(r.letters()) != 1 || r.letters()[0].Sequence != 3 {
			t.Errorf("%+v, %d dead letters: the refused line is dead once, the others expired", row, len(r.letters()))
		}
	})
}

// TestTiersWithTheRealEngineAndSQLite brings frames in, and condenses them, with the real parts.
func TestTiersWithTheRealEngineAndSQLite(t *testing.T) {
	const day = 24 * time.Hour
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	tiers := tsdb.Tiers(365*day, 5*365*day)
	client := engineWith(t, tsdb.Config{Retention: 90 * day, Tiers: tiers, Stale: s.StaleFrom})
	r := newRig()
	r.cfg.Store, r.cfg.Influx, r.cfg.MaxWait, r.cfg.Retention, r.cfg.Tiers = SQL(s), client, 20*time.Millisecond, 90*day, tiers
	begin := time.Now().Add(-50 * time.Hour).Truncate(time.Hour)
	for i := range 6 * 60 {
		r.add(r.frame("g1", begin.Add(time.Duration(i)*time.Minute)))
	}
	r.add(r.frame("g1", time.Now().Add(-200*day)))
	r.start(t)
	deadline := time.Now().Add(20 * time.Second)
	for r.ing.Reached(0).Sequence < 361 {
		if time.Now().After(deadline) {
			t.Fatalf("at %v after 20 s; ready: %v", r.ing.Reached(0), r.ing.Ready())
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.stop()
	history := func() tsdb.PointHistory {
		t.Helper()
		h, err := client.History(t.Context(), tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-g1", Points: []string{"v", "w"}, From: begin, To: begin.Add(6 * time.Hour), MaxRows: 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(h[0].At) != 12 || h[0].Value[0] != 15.5 || h[0].Max[0] != 30 || h[1].Quality[0] != faultline.BadTimeout {
			t.Fatalf("%+v", h)
		}
		return h[0]
	}
	if h := history(); h.Tier != tsdb.Policy {
		t.Errorf("before they are condensed, %s answers", h.Tier)
	}
	c := Condenser{Store: s, Influx: client, Owner: "me"}
	c.prepare()
	if next, err := c.site(t.Context(), "s1"); err != nil || next.IsZero() {
		t.Fatalf("next %v, %v: late readings are gathered for a minute", next, err)
	}
	hours, _, err := s.StaleHours(t.Context(), "s1", time.Now().Add(2*gatherLate), 100)
	if err != nil || len(hours) < 6 || !hours[0].Hour.Equal(begin) {
		t.Fatalf("%d stale hours, %v", len(hours), err)
	}
	if err := c.hours(t.Context(), "s1", hours); err != nil {
		t.Fatal(err)
	}
	if h := history(); h.Tier != tsdb.Minutes {
		t.Errorf("after that, %s answers", h.Tier)
	}
	if at, any, err := s.StaleFrom(t.Context(), "s1", begin, begin.Add(6*time.Hour)); err != nil || any {
		t.Errorf("still stale from %v, %v", at, err)
	}
	old, err := client.QueryIn(t.Context(), tsdb.Hours, `SELECT v FROM pump WHERE "origin" = 'late'`, nil)
	if err != nil || len(old) != 1 || len(old[0].Rows) != 1 || old[0].Rows[0][1] != int64(361) {
		t.Errorf("the expired frame: %+v, %v", old, err)
	}
}
