package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

const (
	maxText = 8000 // bytes of a comment or another text by a person
	maxWord = 200  // of a name or short answer
)

// checkText refuses texts that are too long or empty where they are needed.
func checkText(name, text string, least, most int) error {
	switch n := len(strings.TrimSpace(text)); {
	case n < least:
		return &refusal{invalid("%s is empty", name), nil, []string{name}}
	case n > most:
		return invalid("%s has %d bytes, at most %d are taken", name, n, most)
	}
	return nil
}

// check says what is wrong with the request itself, whatever the ticket.
func (m *Move) check() error {
	if !slices.Contains(statuses, string(m.To)) {
		return &refusal{invalid("to: %q is no status", m.To), statuses, nil}
	}
	for _, f := range []struct{ name, text string }{{"reason", m.Reason}, {"duplicate_of", m.DuplicateOf}} {
		if err := checkText(f.name, f.text, 0, maxWord); err != nil {
			return err
		}
	}
	if err := checkText("text", m.Text, 0, maxText); err != nil {
		return err
	}
	if r := m.Resolution; r != nil {
		for _, f := range []struct{ name, text string }{
			{"resolution.outcome", r.Outcome}, {"resolution.failure_mode", r.FailureMode}, {"resolution.detection", r.Detection}, {"resolution.mechanism", r.Mechanism},
			{"resolution.cause", r.Cause}, {"resolution.functional_test", r.FunctionalTest}, {"resolution.normal_reason", r.NormalReason}, {"resolution.words", r.Words},
			{"resolution.next_plan", r.NextPlan}, {"resolution.owner", r.Owner},
		} {
			if err := checkText(f.name, f.text, 0, maxText); err != nil {
				return err
			}
		}
	}
	if r := m.Resolution; r != nil && r.Verdict != "" && !slices.Contains(faultline.Verdicts, r.Verdict) {
		return &refusal{invalid("resolution.verdict: %q is no verdict", r.Verdict), faultline.Verdicts, nil}
	}
	if m.To == faultline.StatusCancelled && !slices.Contains(faultline.CancelReasons, m.Reason) {
		return &refusal{invalid("reason: %q is no reason to cancel", m.Reason), faultline.CancelReasons, []string{"reason"}}
	}
	if m.Reason == faultline.CancelDuplicate && m.To == faultline.StatusCancelled {
		if strings.TrimSpace(m.DuplicateOf) == "" {
			return &refusal{invalid("duplicate_of is empty: name the ticket that this one repeats"), nil, []string{"duplicate_of: which ticket this one repeats"}}
		}
	}
	return nil
}

// apply moves the ticket, or refuses with what is allowed or missing. normal tells whether the
// condition that raised it is back to normal. It gives the lines for the ticket's history.
func (m *Move) apply(t *faultline.Ticket, by string, at time.Time, normal bool) ([]faultline.TicketEvent, error) {
	if err := t.CheckMove(m.To); err != nil {
		var names []string
		for _, s := range t.Moves() {
			names = append(names, string(s))
		}
		return nil, &refusal{err, names, nil}
	}
	from := t.Status
	events := []faultline.TicketEvent{}
	if m.To == faultline.StatusWaitingParts && t.HasClocks() || !m.ExpectedAt.IsZero() {
		if m.ExpectedAt.IsZero() {
			return nil, &refusal{fmt.Errorf("%w: ticket %s waits for parts only with an expected time that the customer was told; missing: expected_solution_at", faultline.ErrRefused, t.Number), nil, []string{"expected_solution_at: when the customer can expect the solution"}}
		}
		e, err := t.Promised(m.ExpectedAt, m.Text, by, at)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	if t.Reports(m.To) {
		return m.report(t, by, at)
	}
	event := faultline.TicketEvent{At: at, By: by, Kind: faultline.EventMoved, From: string(from), To: string(m.To), Text: m.words()}
	events = append(events, event)

	switch m.To {
	case faultline.StatusResolved:
		var r faultline.Resolution
		if m.Resolution != nil {
			r = *m.Resolution
		}
		if missing := t.Gate(r, normal); len(missing) > 0 {
			return nil, &refusal{fmt.Errorf("%w: ticket %s cannot be resolved yet; missing: %s", faultline.ErrRefused, t.Number, strings.Join(missing, "; ")), nil, missing}
		}
		if r.FailureMode == "" {
			r.FailureMode = t.FailureMode
		}
		if r.Detection == "" && t.Rule != "" {
			r.Detection = "rule " + t.Rule
		}
		t.Resolution, t.ResolvedAt = r, at
		// The words for the customer are the solution: they stop the clocks that still run.
		events = append(events, tell(faultline.EventSolution, r.Words, by, at))
	case faultline.StatusInProgress:
		if from == faultline.StatusResolved { // reopened: it must pass the gate again; its history keeps what was said
			t.Resolution, t.ResolvedAt = faultline.Resolution{}, time.Time{}
		}
	case faultline.StatusClosed:
		t.ClosedAt = at
		if m.Resolution != nil && m.Resolution.Verdict != "" { // given, or corrected, at closing
			t.Resolution.Verdict = m.Resolution.Verdict
		}
	case faultline.StatusCancelled:
		t.ClosedAt, t.CancelReason = at, m.Reason
	}
	t.WaitingFrom = ""
	if m.To == faultline.StatusWaitingCustomer {
		t.WaitingFrom = from
	}
	t.Status = m.To
	return events, nil
}

// report sends work that did not solve the ticket back to triaged, with how it goes on. Its words tell
// the customer what was found: a diagnosis.
func (m *Move) report(t *faultline.Ticket, by string, at time.Time) ([]faultline.TicketEvent, error) {
	var r faultline.Resolution
	if m.Resolution != nil {
		r = *m.Resolution
	}
	missing := t.ReportGate(r)
	if !r.NextAt.IsZero() && r.NextAt.Before(at) {
		missing = append(missing, "next_at: a time to come")
	}
	if len(missing) > 0 {
		return nil, &refusal{fmt.Errorf("%w: ticket %s goes back to triaged only with a report; missing: %s", faultline.ErrRefused, t.Number, strings.Join(missing, "; ")), nil, missing}
	}
	r.NextAt = r.NextAt.UTC()
	text := fmt.Sprintf("%s. Cause: %s. Next: %s. By: %s, until %s.", console.Word(r.Outcome), sentence(r.Cause), sentence(r.NextPlan), sentence(r.Owner), r.NextAt.Format("2 Jan 2006"))
	if m.Text != "" {
		text += " " + strings.TrimSpace(m.Text)
	}
	event := faultline.TicketEvent{At: at, By: by, Kind: faultline.EventMoved, From: string(t.Status), To: string(m.To), Text: text}
	t.Resolution, t.Assignee, t.Status, t.WaitingFrom = r, strings.TrimSpace(r.Owner), m.To, ""
	events := []faultline.TicketEvent{event, tell(faultline.EventDiagnosis, r.Words, by, at)}
	if t.HasClocks() { // a diagnosis carries a promise: the plan's date
		events = append(events, faultline.TicketEvent{At: at, By: by, Kind: faultline.EventPromise, To: r.NextAt.Format(time.RFC3339), Text: sentence(r.NextPlan)})
	}
	return events, nil
}

// sentence without its full stop, to stand in another.
func sentence(s string) string { return strings.TrimRight(strings.TrimSpace(s), ". ") }

// words for the history.
func (m *Move) words() string {
	var parts []string
	if m.Reason != "" {
		parts = append(parts, strings.TrimSpace(m.Reason))
	}
	if m.DuplicateOf != "" {
		parts = append(parts, "of "+strings.TrimSpace(m.DuplicateOf))
	}
	s := strings.Join(parts, " ")
	if text := strings.TrimSpace(m.Text); text != "" && s != "" {
		return s + ": " + text
	} else if text != "" {
		return text
	}
	return s
}

// tell gives the line that a message to the customer leaves in the history: it stops clocks.
func tell(kind, text, by string, at time.Time) faultline.TicketEvent {
	return faultline.TicketEvent{At: at, By: by, Kind: kind, Text: strings.TrimSpace(text)}
}

var commentKinds = []string{faultline.EventComment, faultline.EventResponse, faultline.EventPromise, faultline.EventSolution, faultline.EventDiagnosis}

// check fills in the kind and says what is wrong with the request itself.
func (m *Comment) check() error {
	if m.Kind == "" {
		m.Kind = faultline.EventComment
	}
	if !slices.Contains(commentKinds, m.Kind) {
		return &refusal{invalid("kind: %q is no kind of comment", m.Kind), commentKinds, nil}
	}
	if m.Kind == faultline.EventComment && m.ToCustomer {
		m.Kind = faultline.EventResponse
	}
	return checkText("text", m.Text, 1, maxText)
}

// apply gives the lines for the history. A diagnosis of work that is still to be done carries a promise.
func (m *Comment) apply(t *faultline.Ticket, by string, at time.Time) ([]faultline.TicketEvent, error) {
	var events []faultline.TicketEvent
	promises := m.Kind == faultline.EventPromise || m.Kind == faultline.EventDiagnosis && t.HasClocks()
	if promises && m.ExpectedAt.IsZero() {
		return nil, &refusal{invalid("expected_solution_at is missing: say when the customer can expect the solution"), nil, []string{"expected_solution_at: when the customer can expect the solution"}}
	}
	if m.Kind != faultline.EventPromise {
		events = append(events, faultline.TicketEvent{At: at, By: by, Kind: m.Kind, Text: strings.TrimSpace(m.Text)})
	}
	if !m.ExpectedAt.IsZero() {
		e, err := t.Promised(m.ExpectedAt, m.Text, by, at)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}
