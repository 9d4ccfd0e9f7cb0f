package store

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// forecastsStay is how long forecasts are kept that newer ones of the same rule have followed.
const forecastsStay = 30 * 24 * time.Hour

// AddForecast adds what a rule says of the time that is left; one of the same rule and moment is kept as it
// is. Those that are a month older than it are dropped.
func (t *Tx) AddForecast(f faultline.Forecast) error {
	if err := identity("forecast", "site", f.Site, "position", f.Position, "rule", f.Rule); err != nil {
		return err
	}
	doc, err := encode(f)
	if err == nil {
		_, err = t.c.exec(t.ctx, `INSERT INTO forecast (site, position, rule, at, doc) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, f.Site, f.Position, f.Rule, nanos(f.At), doc)
	}
	if err == nil {
		_, err = t.c.exec(t.ctx, `DELETE FROM forecast WHERE site = ? AND position = ? AND rule = ? AND at < ?`, f.Site, f.Position, f.Rule, nanos(f.At.Add(-forecastsStay)))
	}
	if err != nil {
		return fmt.Errorf("add forecast of %s at %s/%s: %w", f.Rule, f.Site, f.Position, err)
	}
	return nil
}

// Forecasts gives the newest forecast of each rule at a position, by rule.
func (s *Store) Forecasts(ctx context.Context, site, position string) ([]faultline.Forecast, error) {
	all, err := list[faultline.Forecast](ctx, s.reader(), `SELECT f.doc FROM forecast f WHERE f.site = ? AND f.position = ?
		AND f.at = (SELECT max(n.at) FROM forecast n WHERE n.site = f.site AND n.position = f.position AND n.rule = f.rule) ORDER BY f.rule`, site, position)
	if err != nil {
		return nil, fmt.Errorf("forecasts of %s/%s: %w", site, position, err)
	}
	return all, nil
}

// ForecastJournal lists forecasts after an id as AlarmJournal does transitions.
func (s *Store) ForecastJournal(ctx context.Context, after int64, limit int) ([]JournalEvent, error) {
	return s.journal(ctx, "forecast", `SELECT id, '', doc FROM forecast WHERE id > ? ORDER BY id LIMIT ?`,
		after, limit, func(j *JournalEvent, _, doc string) (err error) {
			j.Forecast, err = decode[faultline.Forecast](doc)
			return err
		})
}
