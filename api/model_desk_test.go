package api

import (
	"slices"
	"strings"
	"time"
)

// The model: what domain.md §4 says of one ticket, in its own words.
type deskModel struct {
	number, id, status, from string // from: where waiting_customer came from
	machine, bad             bool   // a fault of the machine, and whether its condition holds
	impact, urgency          int
	contract, assignee       string
	received                 time.Time
	resolved, ended          time.Time
	version                  int
	told                     []modelTold
	raised                   []modelPriority // priority from each time on
	waits                    []modelWait     // statuses from each time on
	starts                   []time.Time
}

type (
	modelTold struct {
		at     time.Time
		answer bool
	}
	modelPriority struct {
		at time.Time
		p  int
	}
	modelWait struct {
		at     time.Time
		status string
	}
)

// modelMoves are the moves of domain.md §4, but cancelling, which is for all that is open, and those from
// waiting_customer back to where work had not begun.
var modelMoves = map[string]string{
	"new": "triaged waiting_customer", "triaged": "scheduled in_progress resolved waiting_customer",
	"scheduled": "in_progress triaged waiting_parts waiting_customer", "in_progress": "waiting_customer waiting_parts scheduled resolved triaged",
	"waiting_customer": "in_progress scheduled", "waiting_parts": "in_progress scheduled", "resolved": "closed in_progress",
}

func (m *deskModel) open() bool { return m.status != "closed" && m.status != "cancelled" }

func (m *deskModel) priority() int {
	switch product := m.impact * m.urgency; {
	case m.urgency == 3 || product == 9:
		return 1
	case product == 6:
		return 2
	case product >= 3:
		return 3
	}
	return 4
}

// may tells whether an operation is allowed.
func (m *deskModel) may(o operation) bool {
	switch o.What {
	case "move":
		if o.To == "cancelled" {
			return m.open()
		}
		if m.status == "waiting_customer" && m.from != "in_progress" {
			return o.To == m.from
		}
		if !slices.Contains(strings.Fields(modelMoves[m.status]), o.To) {
			return false
		}
		return o.To != "resolved" || o.N%3 != 0 && (!m.machine || !m.bad || o.N%2 == 0) // without a report; or with no reason why
	case "tell":
		return (o.To != "promise" && o.To != "diagnosis_sent") || m.open() && m.status != "resolved"
	case "assign":
		return m.open() && m.assignee != o.To
	case "priority":
		i, u := 1+o.N%3, 1+o.N/3%3
		return m.open() && (i != m.impact || u != m.urgency)
	case "contract":
		return m.open() && m.contract != o.To
	}
	return true
}

func (m *deskModel) goTo(to string, at time.Time) {
	if m.status == "resolved" && to == "in_progress" {
		m.starts = append(m.starts, at)
	}
	m.from = ""
	if to == "waiting_customer" {
		m.from = m.status
	}
	m.resolved = map[bool]time.Time{true: at}[to == "resolved"]
	if to == "closed" || to == "cancelled" {
		m.ended = at
	}
	m.status = to
	m.waits = append(m.waits, modelWait{at, to})
}

// do carries out what is allowed.
func (m *deskModel) do(o operation, at time.Time) {
	m.version++
	switch o.What {
	case "move":
		report := m.status == "in_progress" && o.To == "triaged"
		if !m.resolved.IsZero() && (o.To == "closed" || o.To == "cancelled") {
			was := m.resolved
			m.goTo(o.To, at)
			m.resolved = was
			return
		}
		m.goTo(o.To, at)
		switch {
		case o.To == "resolved", report:
			m.told = append(m.told, modelTold{at, true})
		case o.To == "waiting_parts":
			m.told = append(m.told, modelTold{at, false})
		}
		if report {
			m.assignee = "anna"
		}
	case "tell":
		if o.To != "comment" {
			m.told = append(m.told, modelTold{at, o.To == "solution_sent" || o.To == "diagnosis_sent"})
		}
	case "assign":
		m.assignee = o.To
	case "priority":
		m.impact, m.urgency = 1+o.N%3, 1+o.N/3%3
		m.raised = append(m.raised, modelPriority{at, m.priority()})
	case "contract":
		m.contract = o.To
	}
}

// works tells whether the minute that begins at t counts for a contract: the office of "office" works from 8 to 12 and
// from 13 to 17 UTC, not on weekends and not on 18 March; all else is round the clock.
func works(contract string, t time.Time) bool {
	if contract != "office" {
		return true
	}
	day := t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && !(t.Month() == time.March && t.Day() == 18)
	return day && (t.Hour() >= 8 && t.Hour() < 12 || t.Hour() >= 13 && t.Hour() < 17)
}

// due counts minutes until n have counted.
func (m *deskModel) due(from time.Time, n int, counts func(time.Time) bool) time.Time {
	for ; n > 0; from = from.Add(time.Minute) {
		if works(m.contract, from) && counts(from) {
			n--
		}
	}
	return from
}

// clocks gives when response and answer of the present cycle are due at now, and when they were given.
func (m *deskModel) clocks(now time.Time) (response, responded, answer, answered time.Time) {
	if !m.ended.IsZero() {
		now = m.ended
	}
	always := func(time.Time) bool { return true }
	start := m.starts[len(m.starts)-1]
	for _, k := range m.told {
		if k.at.Before(start) || k.at.After(now) {
			continue
		}
		if responded.IsZero() {
			responded = k.at
		}
		if k.answer && answered.IsZero() {
			answered = k.at
		}
	}
	ordinary := m.due(start, 24*60, always)
	response = ordinary
	last := 0
	var raised time.Time // to P1 in mid-cycle: what was before is not counted against it
	for _, r := range m.raised {
		began := !r.at.After(start)
		switch {
		case began || r.p != 1:
			raised = time.Time{}
		case last != 1:
			raised = r.at
		}
		if !began && !responded.IsZero() && !r.at.Before(responded) {
			last = r.p
			continue
		}
		switch {
		case began && r.p == 1:
			response = m.due(start, 60, always)
		case began, last == 1 && r.p != 1:
			response = ordinary
		case last != 1 && r.p == 1:
			if by := m.due(r.at, 60, always); by.Before(response) {
				response = by
			}
		}
		last = r.p
	}
	first := func(due time.Time) time.Time {
		if !responded.IsZero() && responded.Before(due) {
			return responded
		}
		return due
	}
	begin := first(ordinary) // of P2 to P4, and never later of P1
	if m.raised[len(m.raised)-1].p == 1 {
		urgent := first(response)
		if raised.After(urgent) {
			urgent = raised
		}
		if urgent.Before(begin) {
			begin = urgent
		}
	}
	until := now
	if !answered.IsZero() {
		until = answered
	}
	counts := func(t time.Time) bool {
		status := ""
		for _, w := range m.waits {
			if !w.at.After(t) {
				status = w.status
			}
		}
		return !t.Before(until) || status != "waiting_customer" && (status != "waiting_parts" || m.contract != "parts")
	}
	return response, responded, m.due(begin, 48*60, counts), answered
}
