package faultline

import (
	"fmt"
	"strings"
	"time"
)

// Amendment is what a person corrects on a ticket. Fields left zero stay as they are. What moves a clock
// needs a reason.
type Amendment struct {
	Impact     Criticality // A, B or C
	Urgency    int         // 1 to 3
	ReceivedAt time.Time   // when the call, mail or form really came
	Contract   *Contract   // version to go by from now on
	Assignee   *string
	Reason     string
}

// Amend carries corrections out and gives the lines for the history; the caller notes them. Nothing
// is changed after an error.
func (t *Ticket) Amend(a Amendment, by string, now time.Time) (events []TicketEvent, err error) {
	next := *t
	reason := strings.TrimSpace(a.Reason)
	add := func(kind, from, to string) {
		events = append(events, TicketEvent{At: now, By: by, Kind: kind, From: from, To: to, Text: reason})
	}
	if !t.Status.Open() {
		return nil, fmt.Errorf("%w: ticket %s is %s: nothing of it is corrected any more", ErrRefused, t.Number, t.Status)
	}
	if a.Impact != "" && a.Impact != next.Impact {
		if a.Impact != CriticalityA && a.Impact != CriticalityB && a.Impact != CriticalityC {
			return nil, fmt.Errorf("%w: impact: %q: use A, B or C", ErrInvalid, a.Impact)
		}
		next.Impact = a.Impact
	}
	if a.Urgency != 0 {
		if a.Urgency < 1 || a.Urgency > 3 {
			return nil, fmt.Errorf("%w: urgency: %d: use 3 (production stopped, or may stop before planned work), 2 (degraded) or 1 (no effect yet)", ErrInvalid, a.Urgency)
		}
		next.Urgency = a.Urgency
	}
	if next.Impact != t.Impact || next.Urgency != t.Urgency {
		next.Priority = PriorityOf(next.Impact, next.Urgency)
		add(EventPriority, string(t.Priority), string(next.Priority))
	}
	if !a.ReceivedAt.IsZero() && !a.ReceivedAt.Equal(t.ReceivedAt) {
		if a.ReceivedAt.After(now) {
			return nil, fmt.Errorf("%w: received_at: %s is still to come", ErrInvalid, a.ReceivedAt.Format(time.RFC3339))
		}
		next.ReceivedAt = a.ReceivedAt
		add(EventReceived, t.ReceivedAt.UTC().Format(time.RFC3339), a.ReceivedAt.UTC().Format(time.RFC3339))
	}
	if c := a.Contract; c != nil && (c.ID != t.Contract || c.Version != t.ContractVersion) {
		next.Contract, next.ContractVersion = c.ID, c.Version
		add(EventContract, pinned(t.Contract, t.ContractVersion), pinned(c.ID, c.Version))
	}
	if len(events) > 0 && reason == "" {
		return nil, fmt.Errorf("%w: reason: what moves a clock needs one", ErrInvalid)
	}
	if a.Assignee != nil && strings.TrimSpace(*a.Assignee) != t.Assignee {
		next.Assignee = strings.TrimSpace(*a.Assignee)
		add(EventAssigned, t.Assignee, next.Assignee)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("%w: nothing to correct: it is so already", ErrInvalid)
	}
	*t = next
	return events, nil
}

func pinned(contract string, version int) string {
	if contract == "" {
		return ""
	}
	return fmt.Sprintf("%s@%d", contract, version)
}

// Promised tells the customer when to expect the solution: the line for the history.
func (t *Ticket) Promised(expected time.Time, text, by string, now time.Time) (TicketEvent, error) {
	switch {
	case !t.HasClocks():
		return TicketEvent{}, fmt.Errorf("%w: %s tickets have a window of their own, and no promise", ErrRefused, t.Kind)
	case !t.Status.Open() || t.Status == StatusResolved:
		return TicketEvent{}, fmt.Errorf("%w: ticket %s is %s: there is nothing left to promise", ErrRefused, t.Number, t.Status)
	case !expected.After(now):
		return TicketEvent{}, fmt.Errorf("%w: expected_solution_at: use a time to come", ErrInvalid)
	}
	return TicketEvent{At: now, By: by, Kind: EventPromise, To: expected.UTC().Format(time.RFC3339), Text: strings.TrimSpace(text)}, nil
}
