package faultline

import "time"

// Targets of a service contract. The plan's own figures are DefaultTargets.
type Targets struct {
	ResponseP1 time.Duration // first answer by a person to the customer
	Response   time.Duration // the same for P2 to P4
	Answer     time.Duration // solution or diagnosis, after the response
}

// DefaultTargets: urgent within 1 h; others within 24 h, then a solution or a diagnosis within 48 h.
var DefaultTargets = Targets{ResponseP1: time.Hour, Response: 24 * time.Hour, Answer: 48 * time.Hour}

// Clock is one running or stopped clock of a ticket.
type Clock struct {
	Due     time.Time `json:"due,omitzero"`
	Stopped time.Time `json:"stopped,omitzero"`
	State   string    `json:"state"` // "none", "running", "warning" (75 %), "overdue", "met", "missed"
}

// Clocks of a ticket at now, computed from its events' times in a 24×7 calendar; never stored.
// They apply to fault and manual tickets; an inspection has its plan's window, an improvement its date.
func (t *Ticket) Clocks(g Targets, now time.Time) (response, answer Clock) {
	if t.Kind != TicketFault && t.Kind != TicketManual {
		return Clock{State: "none"}, Clock{State: "none"}
	}
	allow := g.Response
	if t.Priority == P1 {
		allow = g.ResponseP1
	}
	end := now // an ended ticket's clocks stand still
	if !t.Status.Open() && !t.ClosedAt.IsZero() {
		end = t.ClosedAt
	}
	response = clock(t.ReceivedAt, t.ReceivedAt.Add(allow), t.RespondedAt, end)
	start := response.Due
	if !t.RespondedAt.IsZero() && t.RespondedAt.Before(start) {
		start = t.RespondedAt
	}
	answer = clock(t.ReceivedAt, start.Add(g.Answer), t.AnsweredAt, end)
	return response, answer
}

func clock(start, due, stopped, now time.Time) Clock {
	c := Clock{Due: due, Stopped: stopped}
	switch {
	case !stopped.IsZero() && stopped.After(due):
		c.State = "missed"
	case !stopped.IsZero():
		c.State = "met"
	case now.After(due):
		c.State = "overdue"
	case now.Sub(start) >= due.Sub(start)*3/4:
		c.State = "warning"
	default:
		c.State = "running"
	}
	return c
}
