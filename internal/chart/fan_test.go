package chart

import (
	"bytes"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

func TestForetell(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	value := 4.5
	e := &faultline.Evidence{
		At: at, Point: "vibration", Unit: "mm/s", Kind: "life",
		Samples:  []faultline.EvidenceSample{{At: at.Add(-48 * time.Hour), Value: &value, Quality: faultline.Good}, {At: at, Value: &value, Quality: faultline.Good}},
		Limits:   []faultline.Limit{{Name: "high", Value: 7.1, Severity: faultline.SeverityWarning}},
		Forecast: &faultline.Forecast{At: at, P10: 10, P50: 20, P90: faultline.Never, Model: "linear", Level: 4.5, Start: 2, Limit: 7.1},
	}
	c := FromEvidence(e, nil)
	fan := c.Series[1]
	first, last := fan.Samples[0], fan.Samples[len(fan.Samples)-1]
	if first.Value != 4.5 || last.Value != 7.1 || last.Min != 4.5 || last.Max != 7.1 || !last.At.Equal(at.Add(40*time.Hour)) {
		t.Errorf("the fan goes from %+v to %+v", first, last)
	}
	if svg := c.SVG(); !bytes.Contains(svg, []byte("chart-band chart-s1")) || !bytes.Contains(svg, []byte("forecast, linear")) {
		t.Errorf("no fan in %s", svg)
	}
	e.Forecast = &faultline.Forecast{At: at, None: "nothing degrades"}
	if c := FromEvidence(e, nil); len(c.Series) != 1 {
		t.Error("a fan without a forecast")
	}
}
