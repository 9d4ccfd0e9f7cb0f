package faultline

import (
	"fmt"
	"time"
)

// What the desk does by itself about tickets that nobody sees to.
const (
	// CloseAfter is how long a customer may be silent before a resolved ticket counts as confirmed.
	CloseAfter = 7 * 24 * time.Hour
	// EscalateP1 and EscalateOther are how long an overdue clock waits for somebody before it is told again.
	EscalateP1    = 15 * time.Minute
	EscalateOther = 4 * time.Hour
	// EscalateOften is how many times it is told so; after that, each day.
	EscalateOften = 10
)

// Levels of a warning.
const (
	WarnedSoon = "75" // three quarters of a clock have passed
	WarnedDue  = "100"
)

// Watch gives what is to be added to an open ticket's history at now, because of its clocks alone:
// warnings at three quarters and when a clock is overdue; escalations until a person has acknowledged or
// done something; the closing of a ticket that the customer was silent about. The caller notes the events,
// so that asking again gives nothing new, and carries out a move to closed.
func (t *Ticket) Watch(c Clocks, now time.Time) (events []TicketEvent) {
	if t.Status == StatusResolved {
		if !t.ResolvedAt.IsZero() && !now.Before(t.ResolvedAt.Add(CloseAfter)) {
			events = append(events, TicketEvent{At: now, By: DeskName, Kind: EventMoved, From: string(StatusResolved), To: string(StatusClosed), Text: "7 days without a word from the customer"})
		}
		return events
	}
	if !t.Status.Open() {
		return nil
	}
	for _, k := range []struct {
		name string
		Clock
	}{{"response", c.Response}, {"answer", c.Answer}, {"promise", c.Promise}, {"update", c.Update}} {
		if !k.Stopped.IsZero() || k.State == ClockNone || k.State == ClockPaused {
			continue
		}
		if k.State == ClockWarning && !t.warned(k.name, WarnedSoon, k.Start) {
			events = append(events, TicketEvent{At: now, By: DeskName, Kind: EventWarning, From: k.name, To: WarnedSoon, Text: fmt.Sprintf("three quarters of the %s clock have passed", k.name)})
		}
		if k.State != ClockOverdue {
			continue
		}
		if !t.warned(k.name, WarnedDue, k.Start) {
			events = append(events, TicketEvent{At: now, By: DeskName, Kind: EventWarning, From: k.name, To: WarnedDue, Text: fmt.Sprintf("the %s clock is overdue", k.name)})
			continue
		}
		if e, due := t.escalation(k.name, k.Start, now); due {
			events = append(events, e)
		}
	}
	return events
}

// DeskName is who acts for the desk where no person did.
const DeskName = "desk"

func (t *Ticket) warned(clock, level string, since time.Time) bool {
	for i := range t.Course {
		e := &t.Course[i]
		if e.Kind == EventWarning && e.From == clock && e.To == level && !e.At.Before(since) {
			return true
		}
	}
	return false
}

// Unseen tells whether a clock is overdue and nobody has acknowledged that or done anything since it was told.
func (t *Ticket) Unseen() (unseen bool) {
	for i := range t.Course {
		switch e := &t.Course[i]; {
		case e.Kind == EventWarning && e.To == WarnedDue || e.Kind == EventEscalated:
			unseen = true
		case e.seen():
			unseen = false
		}
	}
	return unseen
}

// seen tells whether the turn shows that somebody sees to the ticket.
func (e *Turn) seen() bool {
	switch e.Kind {
	case EventAcknowledged, EventMoved, EventResponse, EventSolution, EventDiagnosis, EventPromise:
		return true
	}
	return false
}

// escalation tells of an overdue clock once more, if nobody has done anything about it since it was told last.
func (t *Ticket) escalation(clock string, since, now time.Time) (TicketEvent, bool) {
	var last time.Time
	level := 1
	for i := range t.Course {
		e := &t.Course[i]
		switch {
		case e.At.Before(since):
		case e.Kind == EventWarning && e.From == clock && e.To == WarnedDue, e.Kind == EventEscalated && e.From == clock:
			last = e.At
			if e.Kind == EventEscalated {
				level++
			}
		case !last.IsZero() && e.seen():
			return TicketEvent{}, false
		}
	}
	every := EscalateOther
	if t.Priority == P1 {
		every = EscalateP1
	}
	if level > EscalateOften {
		every = 24 * time.Hour
	}
	if last.IsZero() || now.Before(last.Add(every)) {
		return TicketEvent{}, false
	}
	return TicketEvent{At: now, By: DeskName, Kind: EventEscalated, From: clock, To: fmt.Sprint(level), Text: fmt.Sprintf("the %s clock is overdue and nobody has acknowledged it", clock)}, true
}
