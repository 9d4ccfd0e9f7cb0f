package api

import (
	"errors"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

func fault(status faultline.Status) faultline.Ticket {
	return faultline.Ticket{ID: "x", Number: "T-000007", Kind: faultline.TicketFault, Status: status, Priority: faultline.P2, Rule: "r", FailureMode: "wear", ReceivedAt: noon.Add(-time.Hour)}
}

var solved = faultline.Resolution{Outcome: "solved", Mechanism: "wear", Cause: "age", FunctionalTest: "ran one hour", Words: "New bearing fitted."}

func TestMoves(t *testing.T) {
	partial, jobs := solved, faultline.Resolution{Outcome: "solved", Words: "Done.", JobsDone: true}
	partial.Outcome = "partial"
	report := faultline.Resolution{Outcome: "partial", Cause: "bearing worn.", Words: "It runs at half load.", NextPlan: "replace the bearing", Owner: "Ben ", NextAt: noon.Add(24 * time.Hour)}
	yesterday, claimed := report, report
	yesterday.NextAt, claimed.Outcome = noon.Add(-time.Hour), "solved"
	inspection := fault(faultline.StatusInProgress)
	inspection.Kind, inspection.Rule = faultline.TicketInspection, ""
	waiting := fault(faultline.StatusWaitingCustomer)
	waiting.WaitingFrom = faultline.StatusTriaged
	reopened := fault(faultline.StatusResolved)
	reopened.Resolution, reopened.ResolvedAt = solved, noon.Add(-time.Minute)
	answered := fault(faultline.StatusInProgress)
	answered.Note(faultline.TicketEvent{At: noon.Add(-30 * time.Minute), Kind: faultline.EventResponse})
	answered.Note(faultline.TicketEvent{At: noon.Add(-20 * time.Minute), Kind: faultline.EventSolution})

	for _, c := range []struct {
		name   string
		t      faultline.Ticket
		m      Move
		ill    bool // its condition is not normal
		says   string
		events string
		check  func(*faultline.Ticket) bool
	}{
		{name: "triage stops no clock", t: fault(faultline.StatusNew), m: Move{To: "triaged", Text: " remote "}, events: "moved:remote",
			check: func(t *faultline.Ticket) bool { return t.Status == "triaged" && responded(t).IsZero() }},
		{name: "not straight to closed", t: fault(faultline.StatusNew), m: Move{To: "closed"}, says: "allowed: triaged, waiting_customer, cancelled"},
		{name: "nothing leads on from closed", t: fault(faultline.StatusClosed), m: Move{To: "in_progress"}, says: "no move leads on"},
		{name: "waiting remembers where from", t: fault(faultline.StatusTriaged), m: Move{To: "waiting_customer"}, events: "moved:",
			check: func(t *faultline.Ticket) bool { return t.WaitingFrom == "triaged" }},
		{name: "and goes back there only", t: waiting, m: Move{To: "in_progress"}, says: "allowed: triaged, cancelled"},
		{name: "and forgets it there", t: waiting, m: Move{To: "triaged"}, events: "moved:", check: func(t *faultline.Ticket) bool { return t.WaitingFrom == "" }},
		{name: "resolving needs the gate", t: fault(faultline.StatusInProgress), m: Move{To: "resolved"}, says: "mechanism; cause; functional_test"},
		{name: "partial does not resolve", t: fault(faultline.StatusInProgress), m: Move{To: "resolved", Resolution: &partial}, says: "only solved resolves"},
		{name: "not while its condition is bad", t: fault(faultline.StatusInProgress), m: Move{To: "resolved", Resolution: &solved}, ill: true, says: "normal_reason"},
		{name: "resolved: the words are the solution", t: fault(faultline.StatusInProgress), m: Move{To: "resolved", Resolution: &solved}, events: "moved:,solution_sent:New bearing fitted.",
			check: func(t *faultline.Ticket) bool {
				return t.ResolvedAt.Equal(noon) && solutionSent(t).Equal(noon) && responded(t).Equal(noon) && t.Resolution.FailureMode == "wear" && t.Resolution.Detection == "rule r" && t.ClosedAt.IsZero()
			}},
		{name: "back to triage needs a report", t: fault(faultline.StatusInProgress), m: Move{To: "triaged"}, says: "outcome: partial or not_solved"},
		{name: "with a date to come", t: fault(faultline.StatusInProgress), m: Move{To: "triaged", Resolution: &yesterday}, says: "next_at: a time to come"},
		{name: "and not as solved", t: fault(faultline.StatusInProgress), m: Move{To: "triaged", Resolution: &claimed}, says: "what is solved goes to resolved"},
		{name: "not while it waits", t: fault(faultline.StatusWaitingParts), m: Move{To: "triaged", Resolution: &report}, says: "allowed: in_progress, scheduled, cancelled"},
		{name: "reported: the words are a diagnosis", t: fault(faultline.StatusInProgress), m: Move{To: "triaged", Resolution: &report, Text: "keys at the gate"}, ill: true,
			events: "moved:Partly solved. Cause: bearing worn. Next: replace the bearing. By: Ben, until 15 Mar 2026. keys at the gate,diagnosis_sent:It runs at half load.,promise:replace the bearing",
			check: func(t *faultline.Ticket) bool {
				return t.Status == "triaged" && t.Resolution.Outcome == "partial" && t.Assignee == "Ben" && solutionSent(t).Equal(noon) && responded(t).Equal(noon) && t.ResolvedAt.IsZero()
			}},
		{name: "clocks stop once", t: answered, m: Move{To: "resolved", Resolution: &solved}, events: "moved:,solution_sent:New bearing fitted.",
			check: func(t *faultline.Ticket) bool { return solutionSent(t).Equal(noon.Add(-20 * time.Minute)) }},
		{name: "inspection without its jobs", t: inspection, m: Move{To: "resolved", Resolution: &faultline.Resolution{Outcome: "solved", Words: "x"}}, says: "jobs_done"},
		{name: "inspection", t: inspection, m: Move{To: "resolved", Resolution: &jobs}, events: "moved:,solution_sent:Done."},
		{name: "reopened: through the gate again", t: reopened, m: Move{To: "in_progress", Text: "noise is back"}, events: "moved:noise is back",
			check: func(t *faultline.Ticket) bool { return t.Resolution == faultline.Resolution{} && t.ResolvedAt.IsZero() }},
		{name: "closed", t: reopened, m: Move{To: "closed"}, events: "moved:", check: func(t *faultline.Ticket) bool { return t.ClosedAt.Equal(noon) && t.Resolution == solved }},
		{name: "cancelled", t: fault(faultline.StatusScheduled), m: Move{To: "cancelled", Reason: "duplicate", DuplicateOf: "T-000001", Text: "same leak"}, events: "moved:duplicate of T-000001: same leak",
			check: func(t *faultline.Ticket) bool { return t.CancelReason == "duplicate" && t.ClosedAt.Equal(noon) }},
	} {
		before := c.t
		err := c.m.check()
		var events []faultline.TicketEvent
		if err == nil {
			events, err = c.m.apply(&c.t, "anna", noon, !c.ill)
		}
		for i := range events {
			c.t.Note(events[i])
		}
		if c.says != "" {
			var r *refusal
			if err == nil || !errors.Is(err, faultline.ErrRefused) || !errors.As(err, &r) || !strings.Contains(err.Error()+strings.Join(r.missing, " "), c.says) {
				t.Errorf("%s: %v, want %s", c.name, err, c.says)
			}
			if c.t.Status != before.Status || c.t.Resolution != before.Resolution {
				t.Errorf("%s: refused, but changed", c.name)
			}
			continue
		}
		var got []string
		for _, e := range events {
			got = append(got, e.Kind+":"+e.Text)
			if e.By != "anna" || !e.At.Equal(noon) {
				t.Errorf("%s: event %+v", c.name, e)
			}
		}
		if err != nil || strings.Join(got, ",") != c.events || c.check != nil && !c.check(&c.t) {
			t.Errorf("%s: %v, events %v, ticket %+v", c.name, err, got, c.t)
		}
	}
}

func TestComments(t *testing.T) {
	for _, c := range []struct {
		m                   Comment
		responded, answered bool
		kind                string
	}{
		{Comment{Text: "looked at it"}, false, false, "comment"},
		{Comment{Text: "we are on it", ToCustomer: true}, true, false, "response"},
		{Comment{Text: "we are on it", Kind: "response"}, true, false, "response"},
		{Comment{Text: "on Friday", Kind: "promise", ExpectedAt: noon.Add(time.Hour)}, true, false, "promise"},
		{Comment{Text: "it is the seal", Kind: "diagnosis_sent", ExpectedAt: noon.Add(time.Hour)}, true, true, "diagnosis_sent"},
		{Comment{Text: "turn it off and on", Kind: "solution_sent", ToCustomer: true}, true, true, "solution_sent"},
	} {
		k := fault(faultline.StatusTriaged)
		if err := c.m.check(); err != nil {
			t.Errorf("%+v: %v", c.m, err)
			continue
		}
		k.Status = faultline.StatusInProgress
		e, err := c.m.apply(&k, "anna", noon)
		if err != nil {
			t.Errorf("%+v: %v", c.m, err)
		}
		for i := range e {
			k.Note(e[i])
		}
		if responded(&k).IsZero() == c.responded || solutionSent(&k).IsZero() == c.answered || e[0].Kind != c.kind {
			t.Errorf("%+v: %+v %+v", c.m, e, k)
		}
	}
}

// What is told to a customer about the solution carries a time.
func TestPromisesAreAsked(t *testing.T) {
	k := fault(faultline.StatusInProgress)
	for _, m := range []Comment{{Text: "it is the seal", Kind: "diagnosis_sent"}, {Text: "soon", Kind: "promise"}} {
		var r *refusal
		if _, err := m.apply(&k, "anna", noon); !errors.As(err, &r) || len(r.missing) != 1 || !strings.Contains(r.missing[0], "expected_solution_at") {
			t.Errorf("%s: %v", m.Kind, err)
		}
	}
	m := Move{To: faultline.StatusWaitingParts}
	if _, err := m.apply(&k, "anna", noon, false); !errors.Is(err, faultline.ErrRefused) || k.Status != faultline.StatusInProgress {
		t.Errorf("waiting for parts without a promise: %v, %s", err, k.Status)
	}
	m.ExpectedAt = noon.Add(48 * time.Hour)
	events, err := m.apply(&k, "anna", noon, false)
	if err != nil || len(events) != 2 || events[0].Kind != faultline.EventPromise || k.Status != faultline.StatusWaitingParts {
		t.Errorf("%v %+v", err, events)
	}
}

func TestNormal(t *testing.T) {
	k := fault(faultline.StatusInProgress)
	active, over := faultline.Alarm{Active: true}, faultline.Alarm{}
	if normal(&k, []faultline.Alarm{over, active}) || !normal(&k, []faultline.Alarm{over}) || normal(&k, nil) {
		t.Error("alarms decide; without them it must have recovered")
	}
	k.RecoveredAt = noon
	if !normal(&k, nil) {
		t.Error("it has recovered")
	}
	k = faultline.Ticket{Kind: faultline.TicketManual}
	if !normal(&k, nil) {
		t.Error("nothing measured raised it")
	}
}

func responded(t *faultline.Ticket) time.Time {
	return t.Clocks(faultline.DefaultService, noon).Response.Stopped
}

func solutionSent(t *faultline.Ticket) time.Time {
	return t.Clocks(faultline.DefaultService, noon).Answer.Stopped
}
