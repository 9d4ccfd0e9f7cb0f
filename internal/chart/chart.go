// Package chart draws signals as SVG pictures: series with gaps where samples are bad, limits, and the
// moment of a fault.
//
// It is pure: the same chart gives the same bytes. Pictures carry no script and no reference to
// anything outside themselves, and all text in them is escaped. They are fluid: the plot stretches to the width
// it is given while its text keeps its size, so that one picture serves a desktop and a phone of
// 320 px. Inside a page, colours come from the page's style sheet by class (see Standalone for
// pictures that stand by themselves).
package chart

import (
	"math"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// Sample is one sample of a series, or one interval of down-sampled ones.
type Sample struct {
	At       time.Time
	Value    float64 // ignored if Quality is bad; NaN and infinities are drawn as gaps
	Min, Max float64 // of the interval; used by series with Band only
	Quality  faultline.Quality
}

// Series is one line of a chart. Samples must be in order of time.
type Series struct {
	Name    string
	Samples []Sample
	Band    bool          // samples are intervals: draw from Min to Max behind the line
	Step    bool          // values hold until the next one: states, counters, words
	Dots    bool          // mark each sample; its time and value show on hovering
	MaxGap  time.Duration // break the line where samples are further apart; 0 never breaks it
}

// Mark is a moment worth a vertical line, such as the moment of a fault.
type Mark struct {
	At    time.Time
	Label string
}

// Chart is the description of a picture.
type Chart struct {
	Title    string // read out by screen readers; not drawn
	Unit     string
	Series   []Series
	Limits   []faultline.Limit
	Marks    []Mark
	Notes    []string  // below the picture, before others
	From, To time.Time // zero: the extent of the samples and marks
	// MadeUpUntil is the end of made-up values, shaded and said so; zero if there are none.
	MadeUpUntil time.Time
	Location    *time.Location // of the time axis; nil is UTC

	Width  int // px; 0 is fluid
	Height int // px of the plot without its axis and legend; 0 is 180
	// Standalone pictures carry their own colours for light and dark, and a background, for use as a
	// file or in an <img>; others take them from the page.
	Standalone bool
}

// FromEvidence describes the picture of a ticket's evidence: its samples one by one, the limits of
// the rule's version that raised it, and the moment that it was raised.
func FromEvidence(e *faultline.Evidence, loc *time.Location) *Chart {
	s := Series{Name: e.Point, Dots: true, Step: e.Kind == "state"}
	label := "raised "
	switch e.Kind {
	case "meter":
		label = "due since "
	case "test":
		label = "test "
	}
	for _, v := range e.Samples {
		c := Sample{At: v.At, Quality: v.Quality, Value: math.NaN()}
		if v.Value != nil {
			c.Value = *v.Value
		}
		s.Samples = append(s.Samples, c)
	}
	c := &Chart{
		Title: e.Why, Unit: e.Unit, Series: []Series{s}, Limits: e.Limits, Location: loc,
		Marks: []Mark{{At: e.At, Label: label + e.At.In(location(loc)).Format("15:04:05")}},
	}
	for i, part := range e.Parts {
		what := "then "
		if i == 0 {
			what = "score "
		}
		c.Notes = append(c.Notes, what+plain(math.Round(part.Score*10)/10)+": "+words(part.Point))
	}
	if f := e.Forecast; f != nil {
		c.Series[0].Dots = false
		c.Foretell(f)
	}
	// Room to the right, so that the moment of the fault is not the edge of the picture.
	if from, to, ok := c.extent(); ok {
		c.From, c.To = from, to.Add(max(to.Sub(from)/25, time.Second))
	}
	return c
}

// extent is the time from the first to the last sample or mark.
func (c *Chart) extent() (from, to time.Time, ok bool) {
	see := func(t time.Time) {
		if !ok || t.Before(from) {
			from = t
		}
		if !ok || t.After(to) {
			to = t
		}
		ok = true
	}
	for i := range c.Series {
		if s := c.Series[i].Samples; len(s) > 0 {
			see(s[0].At)
			see(s[len(s)-1].At)
		}
	}
	for _, m := range c.Marks {
		see(m.At)
	}
	return from, to, ok
}

// usable tells whether the sample can be drawn as a value.
func (s *Sample) usable() bool {
	return s.Quality.Usable() && !math.IsNaN(s.Value) && math.Abs(s.Value) < huge
}

// words of a quality's reason: "not connected" for not_connected.
func words(reason string) string {
	return strings.ReplaceAll(strings.ReplaceAll(reason, "_", " "), ":", ": ")
}

// reason of a sample that cannot be drawn.
func (s *Sample) reason() string {
	switch {
	case s.Quality.IsBad() && s.Quality.Reason() != "":
		return words(s.Quality.Reason())
	case s.Quality.IsBad():
		return "bad"
	}
	return "not a number"
}

// huge bounds what is drawn, so that differences of two values stay finite.
const huge = 1e300

func location(l *time.Location) *time.Location {
	if l == nil {
		return time.UTC
	}
	return l
}
