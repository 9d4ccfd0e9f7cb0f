package kind

import (
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Course says how a value came to where it is: "it rose 11 °C in 6 h".
func Course(change float64, unit string, in time.Duration) string {
	verb := "rose"
	if change < 0 {
		verb = "fell"
	}
	return "it " + verb + " " + quantity(math.Abs(change), unit) + " in " + span(in)
}

// steady is by how much of its value a load may vary and still count as steady.
const steady = 0.05

// Span is what a signal did in a while, by its hourly means.
type Span struct {
	First, Last, Low, High float64
	Way                    float64 // the sum of its steps, up and down
}

// While says what the load did meanwhile: "while motor current was steady at 42 A".
func While(p *faultline.Point, s Span) string {
	name := subject(p)
	moved := math.Abs(s.Last - s.First)
	switch width := s.High - s.Low; {
	case width <= steady*max(math.Abs(s.Low), math.Abs(s.High)):
		return "while " + name + " was steady at " + quantity((s.Low+s.High)/2, p.Unit)
	case moved >= 0.7*s.Way && s.Last > s.First:
		return "while " + name + " rose " + quantity(moved, p.Unit) + " to " + quantity(s.Last, p.Unit)
	case moved >= 0.7*s.Way:
		return "while " + name + " fell " + quantity(moved, p.Unit) + " to " + quantity(s.Last, p.Unit)
	}
	return "while " + name + " went between " + quantity(s.Low, p.Unit) + " and " + quantity(s.High, p.Unit)
}
