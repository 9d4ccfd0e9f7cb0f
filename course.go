package faultline

import (
	"slices"
	"time"
)

// Turn is what an event of a ticket's history means to its clocks.
type Turn struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // of the event
	From string    `json:"from,omitempty"`
	To   string    `json:"to,omitempty"`
	By   string    `json:"by,omitempty"`   // of a promise
	Text string    `json:"text,omitempty"` // of a promise
}

// Note takes an event of the ticket's history into its course, if its clocks go by it. Whoever adds an
// event to the history of a ticket notes it; the store does so in ChangeTicket and AddTicket.
func (t *Ticket) Note(e TicketEvent) {
	turn := Turn{At: e.At, Kind: e.Kind, From: e.From, To: e.To}
	switch e.Kind {
	case EventMoved, EventPriority, EventResponse, EventSolution, EventDiagnosis, EventWarning, EventEscalated, EventAcknowledged:
	case EventPromise:
		turn.By, turn.Text = e.By, e.Text
	default:
		return
	}
	t.Course = append(t.Course, turn)
}

// course is what a ticket's turns say about its clocks.
type course struct {
	terms    ServiceTerms
	now      time.Time
	starts   []time.Time // received, and each reopening
	raises   []change    // of the priority
	first    Priority    // before any change
	told     []told      // messages to the customer
	promises []Promise
	pauses   []span
	solved   []time.Time
}

type change struct {
	at       time.Time
	from, to Priority
}

type told struct {
	at     time.Time
	answer bool // a solution or a diagnosis
}

// span of time; a zero to is not over yet.
type span struct{ from, to time.Time }

func (t *Ticket) course(terms ServiceTerms, now time.Time) *course {
	c := &course{terms: terms, now: now, starts: []time.Time{t.ReceivedAt}, first: t.Priority}
	var raises []change
	for i := range t.Course {
		e := &t.Course[i]
		if e.At.After(now) {
			break
		}
		switch e.Kind {
		case EventMoved:
			c.move(Status(e.From), Status(e.To), e.At)
		case EventPriority:
			raises = append(raises, change{e.At, Priority(e.From), Priority(e.To)})
		case EventResponse:
			c.told = append(c.told, told{e.At, false})
		case EventSolution, EventDiagnosis:
			c.told = append(c.told, told{e.At, true})
		case EventPromise:
			c.told = append(c.told, told{e.At, false})
			if at, err := time.Parse(time.RFC3339, e.To); err == nil {
				c.promises = append(c.promises, Promise{ToldAt: e.At, Expected: at, By: e.By, Text: e.Text})
			}
		}
	}
	if len(raises) > 0 {
		c.first = raises[0].from
		c.raises = raises
	}
	return c
}

func (c *course) move(from, to Status, at time.Time) {
	if n := len(c.pauses); n > 0 && c.pauses[n-1].to.IsZero() {
		c.pauses[n-1].to = at
	}
	switch {
	case to == StatusWaitingCustomer, to == StatusWaitingParts && c.terms.PauseForParts:
		c.pauses = append(c.pauses, span{from: at})
	case to == StatusResolved:
		c.solved = append(c.solved, at)
	case from == StatusResolved && to == StatusInProgress:
		c.starts = append(c.starts, at)
	}
}

// cycle gives the clocks of the time from start until it was reopened at end; a zero end is now.
func (c *course) cycle(start, end time.Time) Cycle {
	cal, g := c.terms.Calendar, c.terms.Targets
	at := c.now
	if !end.IsZero() {
		at = end
	}
	var respondedAt, answeredAt time.Time
	for _, m := range c.told {
		if m.at.Before(start) || !end.IsZero() && !m.at.Before(end) {
			continue
		}
		if respondedAt.IsZero() {
			respondedAt = m.at
		}
		if m.answer && answeredAt.IsZero() {
			answeredAt = m.at
		}
	}

	ordinary := cal.Add(start, g.Response) // the response due of P2 to P4
	priority := c.first
	due, raised := ordinary, time.Time{}
	if priority == P1 {
		due = cal.Add(start, g.ResponseP1)
	}
	before, since := time.Duration(0), time.Time{} // of the response clock of a raised ticket
	ease, eased := time.Duration(0), start         // working time at lower priorities so far, and since when it is at one
	for _, r := range c.raises {
		if r.at.After(at) {
			break
		}
		was := priority
		priority = r.to
		unanswered := respondedAt.IsZero() || r.at.Before(respondedAt)
		switch {
		case r.at.Before(start): // it began the cycle at this priority
			due, raised = ordinary, time.Time{}
			if priority == P1 {
				due = cal.Add(start, g.ResponseP1)
			}
		case was != P1 && priority == P1:
			raised = r.at
			if unanswered {
				ease += cal.Between(eased, r.at)
				before, since = ease, r.at
				due = earlier(due, cal.Add(r.at, g.ResponseP1))
			}
		case was == P1 && priority != P1:
			raised, eased = time.Time{}, r.at
			if unanswered {
				before, since, due = 0, time.Time{}, ordinary
			}
		}
	}
	response := c.clock(start, later(start, since), due, respondedAt, at, nil)
	response.Before = before

	// The solution clock begins with the response, or when that fell due.
	begin := func(due time.Time) time.Time {
		if !respondedAt.IsZero() && respondedAt.Before(due) {
			return respondedAt
		}
		return due
	}
	pauses := c.pausesUntil(answeredAt, at)
	from := begin(ordinary)
	answerDue := c.add(from, g.Answer, pauses)
	if priority == P1 {
		allow := g.AnswerP1
		if allow == 0 {
			allow = g.Answer
		}
		urgent := later(begin(due), raised)
		if by := c.add(urgent, allow, pauses); by.Before(answerDue) {
			from, answerDue = begin(due), by
		}
	}
	return Cycle{response, c.clock(from, from, answerDue, answeredAt, at, pauses)}
}

// pausesUntil gives the pauses up to when the clock was stopped, or now; one that goes on ends there.
func (c *course) pausesUntil(stopped, now time.Time) (out []span) {
	if !stopped.IsZero() {
		now = stopped
	}
	for _, p := range c.pauses {
		if p.to.IsZero() || p.to.After(now) {
			p.to = now
		}
		if p.from.Before(p.to) {
			out = append(out, p)
		}
	}
	return out
}

// add is the calendar's Add that leaves pauses out.
func (c *course) add(start time.Time, d time.Duration, pauses []span) time.Time {
	cal := c.terms.Calendar
	for _, p := range pauses {
		if !p.to.After(start) {
			continue
		}
		worked := cal.Between(start, p.from)
		if worked >= d && p.from.After(start) {
			break
		}
		d -= worked
		start = later(start, p.to)
	}
	return cal.Add(start, d)
}

// net is the working time between two moments without pauses.
func (c *course) net(from, to time.Time, pauses []span) time.Duration {
	d := c.terms.Calendar.Between(from, to)
	for _, p := range pauses {
		d -= c.terms.Calendar.Between(later(p.from, from), earlier(p.to, to))
	}
	return d
}

// clock that began at start. since is what three quarters are counted from: a ticket that was raised has
// its hour from then on.
func (c *course) clock(start, since, due, stopped, now time.Time, pauses []span) Clock {
	end := now
	if !stopped.IsZero() {
		end = stopped
	}
	k := Clock{Start: start, Due: due, Stopped: stopped}
	total := c.net(since, due, pauses)
	k.WarnAt = c.add(since, total*3/4, pauses)
	if end.After(start) {
		k.Gross, k.Net = end.Sub(start), c.net(start, end, pauses)
	}
	if total > 0 {
		k.passed = float64(c.net(since, end, pauses)) / float64(total)
	}
	paused := len(pauses) > 0 && len(c.pauses) > 0 && c.pauses[len(c.pauses)-1].to.IsZero()
	switch {
	case !stopped.IsZero() && stopped.After(due):
		k.State = ClockMissed
	case !stopped.IsZero():
		k.State = ClockMet
	case now.After(due):
		k.State = ClockOverdue
	case paused:
		k.State = ClockPaused
	case !now.Before(k.WarnAt):
		k.State = ClockWarning
	default:
		k.State = ClockRunning
	}
	return k
}

// promise gives what was promised, and the clock of the newest promise.
func (c *course) promise() ([]Promise, Clock) {
	if len(c.promises) == 0 {
		return nil, Clock{State: ClockNone}
	}
	list := slices.Clone(c.promises)
	for i := range list {
		p := &list[i]
		until := c.now
		if i+1 < len(list) {
			until = list[i+1].ToldAt
		}
		if s := c.solvedAfter(p.ToldAt); !s.IsZero() && s.Before(until) {
			until = s
		}
		p.Broken = until.After(p.Expected)
	}
	last := list[len(list)-1]
	return list, wall(last.ToldAt, last.Expected, c.solvedAfter(last.ToldAt), c.now)
}

func (c *course) solvedAfter(at time.Time) time.Time {
	for _, s := range c.solved {
		if !s.Before(at) {
			return s
		}
	}
	return time.Time{}
}

// wall is a clock in plain time: a time told to a customer knows no calendar.
func wall(start, due, stopped, now time.Time) Clock {
	c := course{terms: ServiceTerms{}, now: now}
	return c.clock(start, start, due, stopped, now, nil)
}

// update gives the next message to the customer that P1 wants after the first, and how many came late.
func (c *course) update(response Clock) (Clock, int) {
	every := c.terms.UpdateP1
	if every <= 0 || response.Stopped.IsZero() {
		return Clock{State: ClockNone}, 0
	}
	late := 0
	start := c.starts[len(c.starts)-1]
	solved := c.solvedAfter(start)
	for _, p := range c.urgent(start) {
		until := p.to
		if until.IsZero() {
			until = c.now
		}
		if !solved.IsZero() {
			until = earlier(until, solved)
		}
		last := later(response.Stopped, p.from)
		for _, m := range c.told {
			if m.at.After(last) && !m.at.After(until) {
				if m.at.After(c.terms.Calendar.Add(last, every)) {
					late++
				}
				last = m.at
			}
		}
		if due := c.terms.Calendar.Add(last, every); p.to.IsZero() && solved.IsZero() {
			return c.clock(last, last, due, time.Time{}, c.now, nil), late
		} else if until.After(due) {
			late++
		}
	}
	return Clock{State: ClockNone}, late
}

// urgent gives the times from start on in which the ticket was P1; the last may not be over.
func (c *course) urgent(start time.Time) (out []span) {
	priority, since := c.first, start
	for _, r := range c.raises {
		at := later(r.at, start)
		if priority == P1 && r.to != P1 && at.After(since) {
			out = append(out, span{since, at})
		}
		if priority != P1 && r.to == P1 {
			since = at
		}
		priority = r.to
	}
	if priority == P1 {
		out = append(out, span{from: since})
	}
	return out
}
