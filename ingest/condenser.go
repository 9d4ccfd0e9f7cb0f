package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline/internal/store"
)

// Condenser keeps the tiers: it makes the one-minute and one-hour values of every hour of every site
// whose readings have changed. Hours are marked in the transaction that saves the place of the frames
// in them, so that none is forgotten; several condensers share the work through the table of jobs.
//
// What a crash leaves:
//
//   - before or in the middle of writing: tiers as they were, or partly newer. The hour is still marked
//     and is condensed again when the claim has run out.
//   - after writing, before the mark is taken away: the same once more, which makes the same points.
//
// A reading that comes while its hour is condensed marks it again, so that the mark stays.
type Condenser struct {
	Store    Hours
	Influx   Condense
	Owner    string // of claims
	Log      *slog.Logger
	Registry prometheus.Registerer
	Every    time.Duration // between looks for work; 15 s by default

	metrics *condenserMetrics
	filled  map[string]bool // sites whose older readings are marked
	showAt  time.Time       // when the tiers are shown next
}

// Hours is where marks and jobs are; *store.Store is one.
type Hours interface {
	Claim(ctx context.Context, kind, owner string, limit int, ttl time.Duration, now time.Time) ([]store.Job, error)
	Finish(ctx context.Context, j store.Job, next time.Time) error
	Fail(ctx context.Context, j store.Job, why error, next time.Time) error
	StaleHours(ctx context.Context, site string, now time.Time, limit int) ([]store.StaleHour, time.Time, error)
	Condensed(ctx context.Context, site string, hours []store.StaleHour) error
	MarkStale(ctx context.Context, site string, due func(time.Time) time.Time, hours ...time.Time) error
	CountStale(ctx context.Context, now time.Time) (int, error)
}

// Condense is InfluxDB; *tsdb.Client is one.
type Condense interface {
	// Condense makes the tiers' points of whole hours from the readings; again, the same ones.
	Condense(ctx context.Context, site string, from, to time.Time) (points int, err error)
	// Whole tells since when readings are there to be condensed.
	Whole(now time.Time) time.Time
	// ShowTiers says in InfluxDB itself what each tier is for, so that dashboards can choose one.
	ShowTiers(ctx context.Context, now time.Time) error
	// Uncondensed tells the time of a site's readings that are older than all that its tiers have.
	Uncondensed(ctx context.Context, site string, now time.Time) (from, to time.Time, err error)
}

const (
	claimFor       = 5 * time.Minute // for one site
	workFor        = 2 * time.Minute // then other sites have their turn
	hoursAtOnce    = 24              // in one call, so that progress is kept
	hoursOfList    = 24 * 31
	longestAway    = 5 * time.Minute // between attempts
	shortestRetry  = 10 * time.Second
	showTiersEvery = 24 * time.Hour
)

type condenserMetrics struct {
	hours  *prometheus.CounterVec
	points prometheus.Counter
	stale  prometheus.Gauge
}

func (c *Condenser) prepare() {
	if c.Every <= 0 {
		c.Every = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("component", "tiers")
	c.filled = map[string]bool{}
	c.metrics = &condenserMetrics{
		hours: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_tiers_condensed_total", Help: "Hours of sites dealt with: condensed, or expired before they could be.",
		}, []string{"outcome"}),
		points: prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_tiers_points_total", Help: "Points written to the tiers."}),
		stale:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "faultline_tiers_due", Help: "Hours of sites that are due to be condensed."}),
	}
	if c.Registry != nil {
		c.Registry.MustRegister(c.metrics.hours, c.metrics.points, c.metrics.stale)
	}
}

// Run condenses until ctx ends, when it returns nil. What fails is logged and tried again.
func (c *Condenser) Run(ctx context.Context) error {
	c.prepare()
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		c.show(ctx, time.Now())
		for c.turn(ctx) && ctx.Err() == nil {
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// show says each day what the tiers are for.
func (c *Condenser) show(ctx context.Context, now time.Time) {
	if now.Before(c.showAt) {
		return
	}
	c.showAt = now.Add(showTiersEvery)
	if err := c.Influx.ShowTiers(ctx, now); err != nil && ctx.Err() == nil {
		c.showAt = now.Add(longestAway)
		c.Log.Debug("the tiers cannot be shown to dashboards, trying again", "error", err)
	}
}

// turn does one site's job; false if there is none.
func (c *Condenser) turn(ctx context.Context) bool {
	now := time.Now()
	if n, err := c.Store.CountStale(ctx, now); err == nil {
		c.metrics.stale.Set(float64(n))
	}
	jobs, err := c.Store.Claim(ctx, store.JobTier, c.Owner, 1, claimFor, now)
	if err != nil || len(jobs) == 0 {
		if err != nil && ctx.Err() == nil {
			c.Log.Debug("cannot look for work", "error", err)
		}
		return false
	}
	job := jobs[0]
	// The claim outlives all that is done under it: two workers would write points of different ages.
	work, cancel := context.WithTimeoutCause(ctx, claimFor-30*time.Second, fmt.Errorf("%s took too long", job))
	defer cancel()
	next, err := c.site(work, job.Key)
	if err == nil {
		err = c.Store.Finish(work, job, next)
	}
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false // the claim runs out
	}
	if job.Attempts == 0 {
		c.Log.Warn("a site cannot be condensed, trying again", "site", job.Key, "error", err)
	}
	again := time.Now().Add(min(shortestRetry<<min(job.Attempts, 10), longestAway))
	if err := c.Store.Fail(work, job, err, again); err != nil {
		c.Log.Debug("a failure was not noted", "site", job.Key, "error", err)
	}
	return true
}

// site condenses what is due of a site, and tells when to look again; the zero time if nothing is left.
func (c *Condenser) site(ctx context.Context, site string) (next time.Time, err error) {
	began := time.Now()
	if err := c.fill(ctx, site); err != nil {
		return next, err
	}
	hours, next, err := c.Store.StaleHours(ctx, site, began, hoursOfList)
	if err != nil {
		return next, err
	}
	full := len(hours) == hoursOfList
	for len(hours) > 0 {
		if time.Since(began) > workFor {
			return time.Now(), nil
		}
		n := 1
		for n < len(hours) && n < hoursAtOnce && hours[n].Hour.Equal(hours[n-1].Hour.Add(time.Hour)) {
			n++
		}
		start := time.Now()
		if err := c.hours(ctx, site, hours[:n]); err != nil {
			return next, err
		}
		if hours = hours[n:]; len(hours) > 0 { // a backlog leaves half of the server to the others
			sleep(ctx, min(time.Since(start), 10*time.Second))
		}
	}
	if full {
		next = time.Now()
	}
	return next, nil
}

// hours condenses hours that follow one another.
func (c *Condenser) hours(ctx context.Context, site string, hours []store.StaleHour) error {
	whole := c.Influx.Whole(time.Now())
	gone := 0
	for gone < len(hours) && hours[gone].Hour.Before(whole) {
		gone++ // what is left of its readings would make a wrong hour of a right one
	}
	if gone > 0 {
		c.Log.Warn("readings expired before they were condensed", "site", site, "hours", gone, "from", hours[0].Hour)
		c.metrics.hours.WithLabelValues("expired").Add(float64(gone))
	}
	if some := hours[gone:]; len(some) > 0 {
		points, err := c.Influx.Condense(ctx, site, some[0].Hour, some[len(some)-1].Hour.Add(time.Hour))
		if err != nil {
			return err
		}
		c.metrics.points.Add(float64(points))
		c.metrics.hours.WithLabelValues("condensed").Add(float64(len(some)))
	}
	return c.Store.Condensed(ctx, site, hours)
}

// fill marks, once in the life of the process, the hours of readings that are older than the site's
// tiers: those of a database that had none.
func (c *Condenser) fill(ctx context.Context, site string) error {
	if c.filled[site] {
		return nil
	}
	now := time.Now()
	from, to, err := c.Influx.Uncondensed(ctx, site, now)
	if err != nil {
		return err
	}
	var hours []time.Time
	for h := from.Truncate(time.Hour); !from.IsZero() && h.Before(to); h = h.Add(time.Hour) {
		hours = append(hours, h)
	}
	if len(hours) > 0 {
		c.Log.Info("condensing older readings", "site", site, "from", hours[0], "hours", len(hours))
		soon := func(h time.Time) time.Time { // what is past at once, the hour that still lasts when it is over
			if over := h.Add(time.Hour + settleFor); over.After(now) {
				return over
			}
			return now
		}
		if err := c.Store.MarkStale(ctx, site, soon, hours...); err != nil {
			return err
		}
	}
	c.filled[site] = true
	return nil
}
