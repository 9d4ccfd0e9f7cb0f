package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// Maker makes the parts of pages as of one moment, in one time zone.
type Maker struct {
	Now      time.Time
	Location *time.Location
}

// Moment is a time as pages show it: how long ago, or ahead, with the full time on hovering. The zero
// Moment is shown as a dash.
type Moment struct {
	Ago, Clock, Day, Full, ISO string
}

// At makes the Moment of a time.
func (m Maker) At(t time.Time) Moment {
	if t.IsZero() {
		return Moment{}
	}
	l := t.In(m.Location)
	clock := l.Format("2 Jan 2006 15:04")
	now := m.Now.In(m.Location)
	switch {
	case l.YearDay() == now.YearDay() && l.Year() == now.Year():
		clock = l.Format("15:04:05")
	case l.Year() == now.Year():
		clock = l.Format("2 Jan 15:04")
	}
	ago := Span(m.Now.Sub(t).Abs())
	switch d := m.Now.Sub(t); {
	case d < -time.Second:
		ago = text("in %s", ago)
	case d < 2*time.Second:
		ago = text("now")
	default:
		ago = text("%s ago", ago)
	}
	return Moment{ago, clock, l.Format("2 Jan 2006"), l.Format("Monday, 2 January 2006, 15:04:05 MST"), t.UTC().Format(time.RFC3339)}
}

// Span is a duration for people: one unit, rounded down.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// Pill is a word with a colour; the word says all, the colour only repeats it.
type Pill struct{ Tone, Text string }

// severityTone is the colour of a severity.
func severityTone(s faultline.Severity) string {
	if s == faultline.SeverityNone {
		return "muted"
	}
	return s.String()
}

// SeverityPill names a severity.
func SeverityPill(s faultline.Severity) Pill { return Pill{severityTone(s), Word(s.String())} }

// AlarmPill names an alarm's state.
func AlarmPill(a *faultline.Alarm, now time.Time) Pill {
	st := a.State(now)
	tone := "muted"
	switch st {
	case faultline.AlarmUnacked:
		tone = severityTone(a.Severity)
	case faultline.AlarmAcked:
		tone = severityTone(a.Severity) + " quiet"
	case faultline.AlarmReturned:
		tone = "info"
	case faultline.AlarmNormal:
		tone = "normal"
	}
	return Pill{tone, Word(st)}
}

// StatusPill names a ticket's status.
func StatusPill(s faultline.Status) Pill {
	tone := "info"
	switch s {
	case faultline.StatusNew:
		tone = "accent"
	case faultline.StatusResolved, faultline.StatusClosed:
		tone = "normal"
	case faultline.StatusCancelled:
		tone = "muted"
	case faultline.StatusWaitingCustomer, faultline.StatusWaitingParts:
		tone = "warning quiet"
	}
	return Pill{tone, Word(s)}
}

// PriorityPill names a priority.
func PriorityPill(p faultline.Priority) Pill {
	tone := map[faultline.Priority]string{faultline.P1: "critical", faultline.P2: "warning", faultline.P3: "advisory"}[p]
	if tone == "" {
		tone = "muted"
	}
	return Pill{tone, string(p)}
}

// StatePill names the state of an asset.
func StatePill(s string) Pill { return Pill{s, Word(s)} }

// CoveragePill names who pays.
func CoveragePill(c faultline.Coverage) Pill {
	tone := "muted"
	switch c.State {
	case faultline.InWarranty, faultline.InContract:
		tone = "normal"
	case faultline.StatutoryToConfirm:
		tone = "warning"
	}
	return Pill{tone, Word(c.State)}
}

// QualityPill names a quality and its reason.
func QualityPill(q faultline.Quality) Pill {
	reason := strings.ReplaceAll(strings.ReplaceAll(q.Reason(), "_", " "), ":", ": ")
	switch {
	case q == "":
		return Pill{"muted", text("Not read yet")}
	case q.IsGood():
		return Pill{"normal quiet", Word("good")}
	case q.IsUncertain():
		return Pill{"warning", strings.TrimSuffix(Word("uncertain")+": "+reason, ": ")}
	}
	return Pill{"critical", strings.TrimSuffix(Word("bad")+": "+reason, ": ")}
}

// Due is a clock as pages show it.
type Due struct {
	Name    string
	State   Pill
	At      Moment // when it falls due
	Stopped Moment
	Percent int // of its time that has passed, at most 100
}

// Due makes the view of a ticket's clock; nil if it has none.
func (m Maker) Due(name string, c faultline.Clock) *Due {
	if c.State == "" || c.State == "none" {
		return nil
	}
	d := &Due{Name: name, At: m.At(c.Due), Stopped: m.At(c.Stopped)}
	tone := map[string]string{"running": "info", "paused": "quiet", "warning": "warning", "overdue": "critical", "met": "normal", "missed": "critical quiet"}[c.State]
	word := Word(c.State)
	if c.State == "warning" {
		word = text("Due soon")
	}
	d.State = Pill{tone, word}
	d.Percent = int(math.Round(100 * min(1, max(0, c.Passed()))))
	return d
}
