package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// JobTier is the kind of job that condenses a site's stale hours; its key is the site.
const JobTier = "tier"

// StaleHour is an hour of a site whose condensed values may differ from its readings.
type StaleHour struct {
	Hour    time.Time // its beginning
	Changes int64     // how often it was marked
	Due     time.Time // not to be condensed before
}

// MarkStale notes that readings of the site's hours have changed, and schedules their condensing at
// due. Marking again is counted, so that a worker notices; the hour stays due when it was.
func (t *Tx) MarkStale(site string, due func(hour time.Time) time.Time, hours ...time.Time) error {
	return t.c.markStale(t.ctx, site, due, hours)
}

// MarkStale is Tx.MarkStale without a lease, for readings that do not come through a partition.
func (s *Store) MarkStale(ctx context.Context, site string, due func(hour time.Time) time.Time, hours ...time.Time) error {
	return s.update(ctx, "mark stale", func(c conn) error { return c.markStale(ctx, site, due, hours) })
}

func (c conn) markStale(ctx context.Context, site string, due func(time.Time) time.Time, hours []time.Time) error {
	if len(hours) == 0 {
		return nil
	}
	if err := identity("stale hour", "site", site); err != nil {
		return err
	}
	var first time.Time
	rows := make([][]any, len(hours))
	for i, h := range hours {
		h = h.Truncate(time.Hour)
		at := due(h)
		if first.IsZero() || at.Before(first) {
			first = at
		}
		rows[i] = []any{site, nanos(h), 1, nanos(at)}
	}
	if err := c.insertMany(ctx, `INSERT INTO stale_hour (site, hour, changes, due)`,
		`ON CONFLICT (site, hour) DO UPDATE SET changes = stale_hour.changes + 1`, rows); err != nil {
		return fmt.Errorf("mark stale hours of %s: %w", site, err)
	}
	return c.schedule(ctx, Job{Kind: JobTier, Key: site, Due: first})
}

// StaleHours lists the site's hours that are due, the oldest first, and tells when the next one is;
// the zero time if there is none.
func (s *Store) StaleHours(ctx context.Context, site string, now time.Time, limit int) (hours []StaleHour, next time.Time, err error) {
	c := s.reader()
	err = c.each(ctx, func(rows *sql.Rows) error {
		var h StaleHour
		var hour, due int64
		err := rows.Scan(&hour, &h.Changes, &due)
		h.Hour, h.Due = moment(hour), moment(due)
		hours = append(hours, h)
		return err
	}, `SELECT hour, changes, due FROM stale_hour WHERE site = ? AND due <= ? ORDER BY hour LIMIT ?`, site, nanos(now), limit)
	if err == nil {
		var due sql.NullInt64
		err = c.row(ctx, `SELECT min(due) FROM stale_hour WHERE site = ? AND due > ?`, site, nanos(now)).Scan(&due)
		next = moment(due.Int64)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("stale hours of %s: %w", site, err)
	}
	return hours, next, nil
}

// Condensed forgets hours, but for those that were marked again since they were listed.
func (s *Store) Condensed(ctx context.Context, site string, hours []StaleHour) error {
	return s.update(ctx, "condensed", func(c conn) error {
		for _, h := range hours {
			if _, err := c.exec(ctx, `DELETE FROM stale_hour WHERE site = ? AND hour = ? AND changes = ?`, site, nanos(h.Hour), h.Changes); err != nil {
				return fmt.Errorf("forget stale hour %s of %s: %w", h.Hour.Format(time.RFC3339), site, err)
			}
		}
		return nil
	})
}

// StaleFrom tells from when on a site has stale hours that touch [from, to); false if it has none.
func (s *Store) StaleFrom(ctx context.Context, site string, from, to time.Time) (time.Time, bool, error) {
	var hour int64
	err := s.reader().row(ctx, `SELECT hour FROM stale_hour WHERE site = ? AND hour >= ? AND hour < ? ORDER BY hour LIMIT 1`,
		site, nanos(from.Truncate(time.Hour)), nanos(to)).Scan(&hour)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("stale hours of %s: %w", site, err)
	}
	return moment(hour), true, nil
}

// CountStale counts the stale hours of all sites that are due.
func (s *Store) CountStale(ctx context.Context, now time.Time) (n int, err error) {
	if err := s.reader().row(ctx, `SELECT count(*) FROM stale_hour WHERE due <= ?`, nanos(now)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count stale hours: %w", err)
	}
	return n, nil
}
