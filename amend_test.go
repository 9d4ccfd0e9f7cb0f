package faultline

import (
	"errors"
	"testing"
	"time"
)

func TestAmend(t *testing.T) {
	name := func(s string) *string { return &s }
	open := Ticket{Number: "T-1", Kind: TicketFault, Status: StatusTriaged, Impact: CriticalityB, Urgency: 2, Priority: P3, ReceivedAt: t0, Contract: "C", ContractVersion: 1, Assignee: "anna"}
	for _, c := range []struct {
		name   string
		a      Amendment
		err    error
		events []string // kind from→to
	}{
		{"raised", Amendment{Urgency: 3, Reason: "the line stands"}, nil, []string{"priority P3→P1"}},
		{"impact", Amendment{Impact: CriticalityA, Reason: "the only pump"}, nil, []string{"priority P3→P2"}},
		{"no reason", Amendment{Urgency: 3}, ErrInvalid, nil},
		{"no such urgency", Amendment{Urgency: 4, Reason: "x"}, ErrInvalid, nil},
		{"no such impact", Amendment{Impact: "D", Reason: "x"}, ErrInvalid, nil},
		{"the call came earlier", Amendment{ReceivedAt: t0.Add(-time.Hour), Reason: "call at noon"}, nil, []string{"received " + t0.Format(time.RFC3339) + "→" + t0.Add(-time.Hour).Format(time.RFC3339)}},
		{"received in the future", Amendment{ReceivedAt: t0.Add(2 * time.Hour), Reason: "x"}, ErrInvalid, nil},
		{"another version", Amendment{Contract: &Contract{ID: "C", Version: 2}, Reason: "renegotiated"}, nil, []string{"contract C@1→C@2"}},
		{"assigned without a reason", Amendment{Assignee: name(" ben ")}, nil, []string{"assigned anna→ben"}},
		{"everything", Amendment{Urgency: 3, ReceivedAt: t0.Add(-time.Minute), Contract: &Contract{ID: "D", Version: 1}, Assignee: name(""), Reason: "x"}, nil,
			[]string{"priority P3→P1", "received " + t0.Format(time.RFC3339) + "→" + t0.Add(-time.Minute).Format(time.RFC3339), "contract C@1→D@1", "assigned anna→"}},
		{"as it is", Amendment{Urgency: 2, Impact: CriticalityB, Assignee: name("anna"), Reason: "x"}, ErrInvalid, nil},
	} {
		k := open
		events, err := k.Amend(c.a, "carl", t0.Add(time.Hour))
		if !errors.Is(err, c.err) || len(events) != len(c.events) {
			t.Errorf("%s: %v %+v", c.name, err, events)
			continue
		}
		for i, e := range events {
			if got := e.Kind + " " + e.From + "→" + e.To; got != c.events[i] || e.By != "carl" {
				t.Errorf("%s: %s, want %s", c.name, got, c.events[i])
			}
		}
		if err != nil && (k.Priority != open.Priority || k.ReceivedAt != open.ReceivedAt || k.Contract != open.Contract || k.Assignee != open.Assignee) {
			t.Errorf("%s: refused, but changed", c.name)
		}
	}
	closed := open
	closed.Status = StatusClosed
	if _, err := closed.Amend(Amendment{Urgency: 3, Reason: "x"}, "carl", t0); !errors.Is(err, ErrRefused) {
		t.Errorf("closed: %v", err)
	}
}

func TestPromised(t *testing.T) {
	k := Ticket{Number: "T-1", Kind: TicketFault, Status: StatusWaitingParts}
	e, err := k.Promised(t0.Add(time.Hour), " the seal comes on Friday ", "anna", t0)
	if err != nil || e.Kind != EventPromise || e.To != t0.Add(time.Hour).UTC().Format(time.RFC3339) || e.Text != "the seal comes on Friday" {
		t.Errorf("%+v %v", e, err)
	}
	if _, err := k.Promised(t0, "", "anna", t0); !errors.Is(err, ErrInvalid) {
		t.Errorf("a time that has passed: %v", err)
	}
	for _, refused := range []Ticket{{Kind: TicketInspection, Status: StatusNew}, {Kind: TicketFault, Status: StatusResolved}, {Kind: TicketManual, Status: StatusClosed}} {
		if _, err := refused.Promised(t0.Add(time.Hour), "", "anna", t0); !errors.Is(err, ErrRefused) {
			t.Errorf("%s %s: %v", refused.Kind, refused.Status, err)
		}
	}
}
