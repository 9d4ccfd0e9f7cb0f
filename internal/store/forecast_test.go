package store

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testForecasts(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	of := func(rule string, after time.Duration, p90 faultline.Remaining) faultline.Forecast {
		return faultline.Forecast{Site: "s", Position: "P-1", Rule: rule, Point: "vibration", At: t0.Add(after), P10: 5, P50: 10, P90: p90, Model: "linear"}
	}
	add := func(f faultline.Forecast) {
		inTx(t, s, l, func(tx *Tx) error { return tx.AddForecast(f) })
	}
	add(of("a", 0, 20))
	add(of("a", time.Hour, faultline.Never))
	add(of("b", 0, 30))
	add(of("a", time.Hour, 1)) // told again after a restart
	got, err := s.Forecasts(ctx, "s", "P-1")
	must(t, err)
	equal(t, "the newest of each", got, []faultline.Forecast{of("a", time.Hour, faultline.Never), of("b", 0, 30)})
	lines, err := s.ForecastJournal(ctx, 0, 100)
	must(t, err)
	equal(t, "journal", len(lines), 3)
	rest, err := s.ForecastJournal(ctx, lines[1].ID, 100)
	must(t, err)
	equal(t, "after the second", []any{len(rest), rest[0].Forecast.Rule}, []any{1, "b"})
	add(of("a", 40*24*time.Hour, 3))
	lines, err = s.ForecastJournal(ctx, 0, 100)
	must(t, err)
	equal(t, "old ones are dropped", len(lines), 2)
}
