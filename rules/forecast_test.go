package rules

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// What a life rule says is in the store: once why there is no forecast, then every new forecast, with the
// ticket that it leads to and its evidence.
func TestForecastsAreKept(t *testing.T) {
	library, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	set, err := library.Only("vibration-velocity-x-life")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	position := faultline.Position{Site: "plant", ID: "V-1", Kind: "vibration_sensor", Gateway: "gw", Points: []faultline.Point{{Name: "velocity_x", Unit: "mm/s", Type: faultline.TypeFloat}}}
	p, err := NewPlayer(t.Context(), set, Stage{Positions: []faultline.Position{position}}, at)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var proof *faultline.Evidence
	p.Raised = func(_ faultline.Alarm, e *faultline.Evidence) { proof = e }
	show := func(hours int, value func(hour int) float64) {
		t.Helper()
		for hour := range hours {
			f := faultline.Frame{Site: "plant", Position: "V-1", Kind: "vibration_sensor", Gateway: "gw", Time: at,
				Samples: []faultline.Sample{{Point: "velocity_x", Quality: faultline.Good, Value: faultline.Float(value(hour))}}}
			if _, err := p.Frame(t.Context(), &f); err != nil {
				t.Fatal(err)
			}
			at = at.Add(time.Hour)
		}
	}
	journal := func() (list []faultline.Forecast) {
		t.Helper()
		lines, err := p.Store().ForecastJournal(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			list = append(list, l.Forecast)
		}
		return list
	}
	show(220, func(hour int) float64 { return 2 + float64(hour%3)/20 })
	if list := journal(); len(list) != 2 || list[0].None == "" || list[1].None != "nothing degrades" {
		t.Fatalf("in 220 hours as ever: %+v", list)
	}
	if proof != nil {
		t.Fatalf("a ticket: %s", proof.Why)
	}
	show(120, func(hour int) float64 { return 2 + float64(hour%3)/20 + 0.02*float64(hour) })
	latest, err := p.Store().Forecasts(t.Context(), "plant", "V-1")
	if err != nil || len(latest) != 1 {
		t.Fatalf("forecasts: %+v, %v", latest, err)
	}
	f := latest[0]
	left := (7.1 - 2.05 - 0.02*120) / 0.02
	if f.None != "" || !(f.P10 < f.P50 && f.P50 < f.P90) || float64(f.P10) > left || float64(f.P90) < left || f.Rule != "vibration-velocity-x-life" || f.Limit != 7.1 {
		t.Errorf("%v h before the limit: %+v", left, f)
	}
	if proof == nil || proof.Forecast == nil || proof.Forecast.None != "" || len(proof.Samples) < 200 {
		t.Errorf("evidence of the ticket: %+v", proof)
	}
}
