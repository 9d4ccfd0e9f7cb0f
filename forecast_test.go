package faultline_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/faultline-iot/faultline"
)

func TestForecastRoundTrips(t *testing.T) {
	in := faultline.Forecast{Rule: "r", P10: 12.5, P50: 40, P90: faultline.Never, Model: "linear"}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out faultline.Forecast
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("%s became %+v, %v", text, out, err)
	}
	if _, err := json.Marshal(faultline.Remaining(math.NaN())); err == nil {
		t.Error("a time that is no number was written")
	}
	for _, bad := range []string{`-1`, `"soon"`, `true`} {
		if err := json.Unmarshal([]byte(bad), new(faultline.Remaining)); err == nil {
			t.Errorf("%s was read as a time", bad)
		}
	}
}

func TestForecastPath(t *testing.T) {
	f := faultline.Forecast{Start: 2, Level: 4, Limit: 10, Model: "linear"}
	for _, c := range []struct {
		model       string
		left        faultline.Remaining
		hours, want float64
	}{
		{"linear", 10, 5, 7}, {"linear", 10, 20, 10}, {"linear", faultline.Never, 1000, 4}, {"linear", 0, 0, 10},
		{faultline.Exponential, 10, 5, 6}, {faultline.Exponential, 10, 10, 10},
	} {
		f.Model = c.model
		if got := f.Path(c.left, c.hours); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s, limit in %v h: after %v h at %v, want %v", c.model, c.left, c.hours, got, c.want)
		}
	}
}
