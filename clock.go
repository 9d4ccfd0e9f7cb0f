package faultline

import "time"

// Targets of a service contract. The plan's own figures are DefaultTargets.
type Targets struct {
	ResponseP1 time.Duration `json:"response_p1"` // first answer by a person to the customer
	Response   time.Duration `json:"response"`    // the same for P2 to P4
	AnswerP1   time.Duration `json:"answer_p1"`   // solution or diagnosis, after the response; 0: as Answer
	Answer     time.Duration `json:"answer"`
	UpdateP1   time.Duration `json:"update_p1"` // between messages to the customer until it is solved
}

// DefaultTargets: urgent within 1 h; others within 24 h, then a solution or a diagnosis within 48 h.
var DefaultTargets = Targets{ResponseP1: time.Hour, Response: 24 * time.Hour, Answer: 48 * time.Hour, UpdateP1: time.Hour}

// ServiceTerms are what a ticket's clocks run by: those of the contract version that was in force when it
// was received.
type ServiceTerms struct {
	Targets
	Calendar      *Calendar // nil: round the clock
	PauseForParts bool      // waiting for parts pauses the solution clock, as waiting for the customer does
}

// DefaultService is the plan's targets round the clock.
var DefaultService = ServiceTerms{Targets: DefaultTargets}

// States of a clock.
const (
	ClockNone    = "none" // it does not apply
	ClockRunning = "running"
	ClockPaused  = "paused"
	ClockWarning = "warning" // three quarters have passed
	ClockOverdue = "overdue"
	ClockMet     = "met"
	ClockMissed  = "missed" // it was stopped too late
)

// Clock is one running or stopped clock of a ticket.
type Clock struct {
	Start   time.Time `json:"start,omitzero"`
	Due     time.Time `json:"due,omitzero"`     // of a paused clock: as if it went on now
	WarnAt  time.Time `json:"warn_at,omitzero"` // when three quarters have passed
	Stopped time.Time `json:"stopped,omitzero"`
	State   string    `json:"state"`
	// Gross is all the time from Start until it stopped (or now), Net what of it counts: in the
	// calendar and not paused.
	Gross time.Duration `json:"gross_ns,omitempty"`
	Net   time.Duration `json:"net_ns,omitempty"`
	// Before is the working time at a lower priority before the ticket was raised to P1: reported, so that
	// nobody is punished for raising.
	Before time.Duration `json:"before_raise_ns,omitempty"`

	passed float64
}

// Passed is the part of the clock's time that has passed: 1 at Due, more when it is overdue.
func (c *Clock) Passed() float64 { return c.passed }

// Promise is a time at which the customer was told to expect the solution.
type Promise struct {
	ToldAt   time.Time `json:"told_at"`
	Expected time.Time `json:"expected"`
	By       string    `json:"by,omitempty"`
	Text     string    `json:"text,omitempty"`
	Broken   bool      `json:"broken,omitempty"` // it passed before it was replaced or kept
}

// Cycle of a ticket: from received, or reopened, to solved.
type Cycle struct {
	Response Clock `json:"response"` // first message or call by a person to the customer
	Answer   Clock `json:"answer"`   // solution or diagnosis sent
}

// Clocks of a ticket at a moment.
type Clocks struct {
	Cycle
	Promise     Clock     `json:"promise"` // the newest; none if nothing is promised
	Update      Clock     `json:"update"`  // of P1: the next message that is due to the customer
	LateUpdates int       `json:"late_updates,omitempty"`
	Promises    []Promise `json:"promises,omitempty"` // oldest first
	Earlier     []Cycle   `json:"earlier,omitempty"`  // before it was reopened, oldest first
}

// Next is the clock that somebody has to see to first: of those that have not been stopped, the one due
// first. The zero Clock if there is none.
func (c Clocks) Next() (next Clock) {
	for _, k := range []Clock{c.Response, c.Answer, c.Promise, c.Update} {
		if k.Stopped.IsZero() && !k.Due.IsZero() && (next.Due.IsZero() || k.Due.Before(next.Due)) {
			next = k
		}
	}
	return next
}

// HasClocks tells whether the ticket's kind has clocks.
func (t *Ticket) HasClocks() bool { return t.Kind == TicketFault || t.Kind == TicketManual }

// Clocks are computed from the ticket's course whenever they are read; nothing of them is stored. They
// apply to fault and manual tickets; an inspection has its plan's window, an improvement its date. On an
// ended ticket they stand still.
func (t *Ticket) Clocks(terms ServiceTerms, now time.Time) Clocks {
	none := Clock{State: ClockNone}
	c := Clocks{Cycle: Cycle{none, none}, Promise: none, Update: none}
	if !t.HasClocks() {
		return c
	}
	if !t.Status.Open() && !t.ClosedAt.IsZero() && t.ClosedAt.Before(now) {
		now = t.ClosedAt
	}
	line := t.course(terms, now)
	for i, start := range line.starts {
		end := time.Time{}
		if i+1 < len(line.starts) {
			end = line.starts[i+1]
		}
		cycle := line.cycle(start, end)
		if !end.IsZero() {
			c.Earlier = append(c.Earlier, cycle)
		} else {
			c.Cycle = cycle
		}
	}
	c.Promises, c.Promise = line.promise()
	c.Update, c.LateUpdates = line.update(c.Response)
	return c
}
