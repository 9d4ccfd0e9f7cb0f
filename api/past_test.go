package api

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMadeUpPastIsMarked(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.series.madeUp = map[string]time.Time{"plant-3/P-101": noon.Add(-30 * time.Minute)}

	h := decode[History](t, f.get("/api/v1/assets/plant-3/P-101/series"))
	if !h.MadeUp.Equal(noon.Add(-30 * time.Minute)) {
		t.Errorf("made up until %s", h.MadeUp)
	}
	if a := f.get("/api/v1/assets/plant-3/P-101/series?from=2026-03-14T11:45:00Z"); strings.Contains(a.body, "made_up_until") {
		t.Errorf("measured values are called made up: %s", a.body)
	}
	if a := f.get("/api/v1/assets/plant-3/C-201/series"); strings.Contains(a.body, "made_up_until") {
		t.Errorf("measured values are called made up: %s", a.body)
	}
	page := f.get("/assets/plant-3/P-101").body
	picture := f.get("/api/v1/assets/plant-3/P-101/points/vibration/picture.svg").body
	for name, body := range map[string]string{"page": page, "picture": picture} {
		if !strings.Contains(body, "made up until 11:30") || !strings.Contains(body, `class="chart-made"`) {
			t.Errorf("the %s does not say what is made up", name)
		}
	}
	if f.series.past > 2 {
		t.Errorf("asked %d times for two positions", f.series.past)
	}
	f.now = func() time.Time { return noon.Add(2 * time.Minute) }
	f.series.err = errors.New("gone")
	if a := f.get("/api/v1/assets/plant-3/P-101/series"); a.code != 500 {
		t.Errorf("%d without InfluxDB", a.code)
	}
}
