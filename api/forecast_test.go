package api

import (
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// Forecasts are in the API and on the asset's page, with a fan where there is one, and with the reason where
// there is none.
func TestForecastsOnPages(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.inTx(t, func(tx *store.Tx) error {
		said := faultline.Forecast{Site: "plant-3", Position: "P-101", Rule: "wears", Point: "bearing_temperature", Unit: "°C", At: noon.Add(-time.Minute),
			P10: 100, P50: 200, P90: faultline.Never, Model: "linear", Basis: "linear fit to 40 means", Level: 70, Start: 60, Limit: 85, Onset: noon.Add(-240 * time.Hour)}
		none := said
		none.Rule, none.Point, none.None = "well", "vibration", "nothing degrades"
		if err := tx.AddForecast(said); err != nil {
			return err
		}
		return tx.AddForecast(none)
	})
	list := decode[Page[faultline.Forecast]](t, f.get("/api/v1/assets/plant-3/P-101/forecasts")).Items
	if len(list) != 2 || list[1].None != "nothing degrades" || list[0].P90 != faultline.Never || list[0].P50 != 200 {
		t.Errorf("%+v", list)
	}
	page := f.get("/assets/plant-3/P-101").body
	for _, want := range []string{"85 °C in about 8 days; at the earliest in 4 days, perhaps never", "linear fit to 40 means", "forecast, linear", "no forecast: nothing degrades"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if code := f.get("/api/v1/assets/plant-3/none/forecasts").code; code != 404 {
		t.Errorf("of a position that is not there: %d", code)
	}
}
