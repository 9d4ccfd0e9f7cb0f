package chart

import (
	"math"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// fanSteps is how many pieces a fan is drawn in.
const fanSteps = 40

// Foretell adds a forecast: the way to the limit that is as likely as not, in the fan between the early and
// the late tenth. What says nothing adds nothing.
func (c *Chart) Foretell(f *faultline.Forecast) {
	if f.None != "" || !(f.P50 > 0) || math.IsInf(float64(f.P50), 1) {
		return
	}
	until := min(float64(f.P90), 2*float64(f.P50))
	s := Series{Name: "forecast, " + f.Model, Band: true}
	for i := range fanSteps + 1 {
		hours := until * float64(i) / fanSteps
		early, late := f.Path(f.P10, hours), f.Path(f.P90, hours)
		s.Samples = append(s.Samples, Sample{
			At:    f.At.Add(time.Duration(hours * float64(time.Hour))),
			Value: f.Path(f.P50, hours), Min: min(early, late), Max: max(early, late), Quality: faultline.Good,
		})
	}
	c.Series = append(c.Series, s)
	if !c.To.IsZero() {
		c.To = s.Samples[fanSteps].At
	}
}
