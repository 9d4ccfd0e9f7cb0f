package api

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

const (
	// staleAfter is the age from which a position's data no longer tells its state.
	staleAfter   = 2 * time.Minute
	maxPoints    = 1024 // of one position, should a device invent names
	seedEvery    = 30 * time.Second
	rateSeconds  = 10
	seedDeadline = 5 * time.Second
)

// place names a position.
type place struct{ site, position string }

// reading is the newest of one point; frames may each bring only some points of a position.
type reading struct {
	value   faultline.Value
	quality faultline.Quality
	at      time.Time
	good    faultline.Value // newest that had a value
	goodAt  time.Time
}

// latest keeps the newest readings of all positions in memory.
type latest struct {
	mu     sync.RWMutex
	of     map[place]map[string]reading
	newest map[place]time.Time
	seeded map[place]bool
	health map[place]*DeviceHealth
	counts [rateSeconds]struct {
		second  int64
		samples int
	}
}

func newLatest() *latest {
	return &latest{of: map[place]map[string]reading{}, newest: map[place]time.Time{}, seeded: map[place]bool{}, health: map[place]*DeviceHealth{}}
}

// take puts a frame in. Older readings than the ones at hand are ignored, point by point.
func (l *latest) take(f *faultline.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := place{f.Site, f.Position}
	points := l.of[k]
	if points == nil {
		points = map[string]reading{}
		l.of[k] = points
	}
	if f.Time.After(l.newest[k]) {
		l.newest[k] = f.Time
	}
	for _, s := range f.Samples {
		old, ok := points[s.Point]
		if ok && f.Time.Before(old.at) || !ok && len(points) >= maxPoints {
			continue
		}
		r := reading{value: s.Value, quality: s.Quality, at: f.Time, good: old.good, goodAt: old.goodAt}
		if s.Quality.Usable() {
			r.good, r.goodAt = s.Value, f.Time
		}
		points[s.Point] = r
	}
}

// count adds samples to the rate.
func (l *latest) count(samples int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.counts[now.Unix()%rateSeconds]
	if c.second != now.Unix() {
		c.second, c.samples = now.Unix(), 0
	}
	c.samples += samples
}

// rate is the samples per second of the full seconds before now.
func (l *latest) rate(now time.Time) float64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := 0
	for _, c := range l.counts {
		if age := now.Unix() - c.second; age > 0 && age < rateSeconds {
			n += c.samples
		}
	}
	return float64(n) / (rateSeconds - 1)
}

// readings of a position, a copy; and the time of its newest frame.
func (l *latest) readings(site, position string) (map[string]reading, time.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	k := place{site, position}
	return maps.Clone(l.of[k]), l.newest[k]
}

// usable is the time of the newest usable sample of a position, and whether one of its points tells
// its state at the moment: its newest reading is usable and recent. Frames of bad samples alone, as of a
// device that does not answer, are no data.
func (l *latest) usable(site, position string, now time.Time) (last time.Time, speaks bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, r := range l.of[place{site, position}] {
		if r.goodAt.After(last) {
			last = r.goodAt
		}
		speaks = speaks || r.quality.Usable() && now.Sub(r.at) <= staleAfter
	}
	return last, speaks
}

// silent lists positions that nothing was heard of and that were not asked for yet.
func (l *latest) silent(positions []faultline.Position) []faultline.Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var out []faultline.Position
	for _, p := range positions {
		if k := (place{p.Site, p.ID}); l.newest[k].IsZero() && !l.seeded[k] {
			out = append(out, p)
		}
	}
	return out
}

// runSeed fills in what InfluxDB knows of positions that are not heard, so that a page opened after
// a restart is not empty. A position is asked for once; a failed question is asked again.
func (s *Server) runSeed(ctx context.Context) {
	tick := time.NewTicker(seedEvery)
	defer tick.Stop()
	for {
		positions, err := s.book.positions(ctx)
		if err == nil {
			for _, p := range s.latest.silent(positions) {
				if s.seed(ctx, &p) != nil {
					break // it does not answer now: try again later
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) seed(ctx context.Context, p *faultline.Position) error {
	ctx, cancel := context.WithTimeout(ctx, seedDeadline)
	defer cancel()
	f, err := s.series.Latest(ctx, p.Kind, p.Site, p.ID)
	if err != nil && !errors.Is(err, faultline.ErrNotFound) {
		return err
	}
	if err == nil && len(f.Samples) > 0 {
		f.Site, f.Position = p.Site, p.ID
		s.latest.take(&f)
	}
	told, err := s.series.Latest(ctx, faultline.HealthKind, p.Site, p.ID)
	if err != nil && !errors.Is(err, faultline.ErrNotFound) {
		return err
	}
	if err == nil && len(told.Samples) > 0 {
		told.Site, told.Position = p.Site, p.ID
		s.latest.takeHealth(&told)
	}
	s.latest.mu.Lock()
	s.latest.seeded[place{p.Site, p.ID}] = true
	s.latest.mu.Unlock()
	return nil
}
