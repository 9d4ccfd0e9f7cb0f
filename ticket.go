package faultline

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// TicketKind says what work a ticket is.
type TicketKind string

// The kinds of ticket.
const (
	TicketFault       TicketKind = "fault"
	TicketInspection  TicketKind = "inspection"
	TicketManual      TicketKind = "manual"
	TicketImprovement TicketKind = "improvement"
)

// MaintenanceType follows EN 13306.
type MaintenanceType string

// The maintenance types.
const (
	Corrective     MaintenanceType = "corrective"
	Predetermined  MaintenanceType = "predetermined"
	ConditionBased MaintenanceType = "condition_based"
)

// Status of a ticket.
type Status string

// The statuses.
const (
	StatusNew             Status = "new"
	StatusTriaged         Status = "triaged"
	StatusScheduled       Status = "scheduled"
	StatusInProgress      Status = "in_progress"
	StatusWaitingCustomer Status = "waiting_customer"
	StatusWaitingParts    Status = "waiting_parts"
	StatusResolved        Status = "resolved"
	StatusClosed          Status = "closed"
	StatusCancelled       Status = "cancelled"
)

// Open tells whether work may still come.
func (s Status) Open() bool { return s != StatusClosed && s != StatusCancelled }

var moves = map[Status][]Status{
	StatusNew:             {StatusTriaged, StatusWaitingCustomer, StatusCancelled},
	StatusTriaged:         {StatusInProgress, StatusScheduled, StatusWaitingCustomer, StatusResolved, StatusCancelled},
	StatusScheduled:       {StatusInProgress, StatusTriaged, StatusWaitingCustomer, StatusWaitingParts, StatusCancelled},
	StatusInProgress:      {StatusWaitingCustomer, StatusWaitingParts, StatusScheduled, StatusResolved, StatusTriaged, StatusCancelled},
	StatusWaitingCustomer: {StatusInProgress, StatusScheduled, StatusCancelled},
	StatusWaitingParts:    {StatusInProgress, StatusScheduled, StatusCancelled},
	StatusResolved:        {StatusClosed, StatusInProgress, StatusCancelled},
}

// Moves lists where the ticket may go from here; a resolution must pass Gate, a report ReportGate. From waiting_customer that depends on where it
// came from: work that had not begun goes back where it was.
func (t *Ticket) Moves() []Status {
	if t.Status == StatusWaitingCustomer && t.WaitingFrom != "" && t.WaitingFrom != StatusInProgress {
		return []Status{t.WaitingFrom, StatusCancelled}
	}
	return slices.Clone(moves[t.Status])
}

// CheckMove says why a move is refused, with the list of allowed ones.
func (t *Ticket) CheckMove(to Status) error {
	allowed := t.Moves()
	if slices.Contains(allowed, to) {
		return nil
	}
	if len(allowed) == 0 {
		return fmt.Errorf("%w: ticket %s is %s: no move leads on from there", ErrRefused, t.Number, t.Status)
	}
	names := make([]string, len(allowed))
	for i, s := range allowed {
		names[i] = string(s)
	}
	return fmt.Errorf("%w: ticket %s cannot go from %s to %q; allowed: %s", ErrRefused, t.Number, t.Status, to, strings.Join(names, ", "))
}

// Reasons for cancelling. Only false_alarm counts against the rule.
const (
	CancelDuplicate     = "duplicate"
	CancelFalseAlarm    = "false_alarm"
	CancelWontFix       = "wont_fix"
	CancelWithdrawn     = "withdrawn"
	CancelQuoteDeclined = "quote_declined"
)

// CancelReasons lists them all.
var CancelReasons = []string{CancelDuplicate, CancelFalseAlarm, CancelWontFix, CancelWithdrawn, CancelQuoteDeclined}

// Priority is "P1" (urgent) to "P4".
type Priority string

// The priorities.
const (
	P1 Priority = "P1"
	P2 Priority = "P2"
	P3 Priority = "P3"
	P4 Priority = "P4"
)

// PriorityOf multiplies impact (criticality A=3, B=2, C=1) by urgency (3: production stopped or may
// stop before planned work; 2: degraded; 1: no effect yet): 9→P1, 6→P2, 3–4→P3, 1–2→P4; urgency 3 is
// always P1.
func PriorityOf(c Criticality, urgency int) Priority {
	switch product := c.Impact() * urgency; {
	case urgency >= 3 || product >= 9:
		return P1
	case product >= 6:
		return P2
	case product >= 3:
		return P3
	}
	return P4
}

// Outcomes of work. Only OutcomeSolved resolves a ticket; the others send it back to triaged.
const (
	OutcomeSolved    = "solved"
	OutcomePartial   = "partial"
	OutcomeNotSolved = "not_solved"
)

// Resolution is what must be known before a ticket counts as resolved, or before it goes back to
// triaged because work did not solve it.
type Resolution struct {
	Outcome        string `json:"outcome,omitempty"` // "solved"; "partial" and "not_solved" go back to triaged
	FailureMode    string `json:"failure_mode,omitempty"`
	Detection      string `json:"detection,omitempty"` // how it was found, such as "rule bearing-temperature"
	Mechanism      string `json:"mechanism,omitempty"`
	Cause          string `json:"cause,omitempty"`
	FunctionalTest string `json:"functional_test,omitempty"`
	NormalReason   string `json:"normal_reason,omitempty"` // why it may be resolved though its condition is not normal
	JobsDone       bool   `json:"jobs_done,omitempty"`     // inspections: the job list is done
	Verdict        string `json:"verdict,omitempty"`       // on the rule that opened it: one of Verdicts
	Words          string `json:"words,omitempty"`         // for the customer

	// How it goes on, where it is not solved.
	NextPlan string    `json:"next_plan,omitempty"`
	Owner    string    `json:"owner,omitempty"`  // who sees to it
	NextAt   time.Time `json:"next_at,omitzero"` // until when
}

// Ticket is work for people.
type Ticket struct {
	ID          string          `json:"id"`
	Number      string          `json:"number"` // as people say it: T-000042
	Kind        TicketKind      `json:"kind"`
	Maintenance MaintenanceType `json:"maintenance"`
	Status      Status          `json:"status"`
	WaitingFrom Status          `json:"waiting_from,omitempty"`
	Priority    Priority        `json:"priority"`
	Urgency     int             `json:"urgency"`
	Impact      Criticality     `json:"impact,omitempty"` // of the asset, unless a person corrected it
	Site        string          `json:"site"`
	Position    string          `json:"position,omitempty"` // empty for a gateway's ticket
	Serial      string          `json:"serial,omitempty"`
	Rule        string          `json:"rule,omitempty"` // that opened it
	RuleVersion int             `json:"rule_version,omitempty"`
	FailureMode string          `json:"failure_mode,omitempty"`
	Family      string          `json:"family,omitempty"`
	Plan        string          `json:"plan,omitempty"`
	Cycle       int             `json:"cycle,omitempty"`
	Keys        []string        `json:"keys,omitempty"` // each unique among open tickets
	Title       string          `json:"title"`
	Text        string          `json:"text"`    // why it was raised, what to check
	Suggest     string          `json:"suggest"` // "remote" or "on_site"
	Assignee    string          `json:"assignee,omitempty"`
	Coverage    Coverage        `json:"coverage"` // snapshot at opening
	Resolution  Resolution      `json:"resolution"`

	// The contract in force when it was received: its clocks go by this version until somebody re-pins it.
	Contract        string `json:"contract,omitempty"`
	ContractVersion int    `json:"contract_version,omitempty"`
	Course          []Turn `json:"course,omitempty"` // what its clocks are computed from, oldest first

	Due         time.Time `json:"due,omitzero"` // of an improvement, which has no clocks
	EventAt     time.Time `json:"event_at"`     // when it was raised, in event time
	ReceivedAt  time.Time `json:"received_at"`  // starts the clocks
	RecoveredAt time.Time `json:"recovered_at,omitzero"`
	ResolvedAt  time.Time `json:"resolved_at,omitzero"`
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	LastAlarmAt time.Time `json:"last_alarm_at,omitzero"`
	CommentedAt time.Time `json:"commented_at,omitzero"` // last comment on a repeat or a recovery: at most hourly

	Count        int    `json:"count"` // alarms that it stands for, repeats included
	CancelReason string `json:"cancel_reason,omitempty"`
	Earlier      string `json:"earlier,omitempty"` // number of the ticket of the same fault before this one
	Late         bool   `json:"late,omitempty"`
	Test         bool   `json:"test,omitempty"`    // a test alarm: KPIs leave it out
	MadeUp       bool   `json:"made_up,omitempty"` // demonstration history: counted apart
	Version      int    `json:"version"`           // for optimistic locking
}

// FaultKey is the key of a machine-raised fault; an empty part is refused.
func FaultKey(site, position, rule, failureMode string) (string, error) {
	return key(site, position, rule, failureMode)
}

// InspectionKey is the key of one cycle of an inspection plan.
func InspectionKey(site, position, plan string, cycle int) (string, error) {
	return key(site, position, plan, fmt.Sprint(cycle))
}

// ImprovementKey is the key of the work on a rule that falls below the bar.
func ImprovementKey(rule string) (string, error) { return key(string(TicketImprovement), rule) }

func key(parts ...string) (string, error) {
	for _, p := range parts {
		if p == "" || strings.Contains(p, "|") {
			return "", fmt.Errorf("%w: ticket key %q has an empty part or a |", ErrInvalid, parts)
		}
	}
	return strings.Join(parts, "|"), nil
}

// Gate lists what is still missing before the ticket may be resolved; conditionNormal tells whether
// the alarms it stands for have returned to normal. Empty means that it may.
func (t *Ticket) Gate(r Resolution, conditionNormal bool) (missing []string) {
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	need(r.Outcome == OutcomeSolved, "outcome: only solved resolves; partial and not_solved go back to triaged")
	need(strings.TrimSpace(r.Words) != "", "words: a sentence for the customer")
	switch t.Kind {
	case TicketFault:
		need(r.FailureMode != "" || t.FailureMode != "", "failure_mode")
		need(r.Detection != "" || t.Rule != "", "detection")
		need(r.Mechanism != "", "mechanism")
		need(r.Cause != "", "cause")
		need(r.FunctionalTest != "", "functional_test: what was tested and what came out")
		need(conditionNormal || r.NormalReason != "", "normal_reason: its condition is not normal yet; wait for it or say why it may be resolved")
	case TicketInspection:
		need(r.JobsDone, "jobs_done: the plan's job list")
	}
	return missing
}

// Reports tells whether a move is the one from work back to triage, which only the report of work that
// did not solve the ticket, or not all of it, may make.
func (t *Ticket) Reports(to Status) bool {
	return t.Status == StatusInProgress && to == StatusTriaged
}

// ReportGate lists what is still missing in the report that sends work back to triaged. Empty means
// that it may go.
func (t *Ticket) ReportGate(r Resolution) (missing []string) {
	for _, n := range []struct {
		ok   bool
		what string
	}{
		{r.Outcome == OutcomePartial || r.Outcome == OutcomeNotSolved, "outcome: partial or not_solved; what is solved goes to resolved"},
		{strings.TrimSpace(r.Words) != "", "words: a sentence for the customer"},
		{strings.TrimSpace(r.Cause) != "", "cause: as far as it is known"},
		{strings.TrimSpace(r.NextPlan) != "", "next_plan: what is to be done next"},
		{strings.TrimSpace(r.Owner) != "", "owner: who sees to it"},
		{!r.NextAt.IsZero(), "next_at: until when"},
	} {
		if !n.ok {
			missing = append(missing, n.what)
		}
	}
	return missing
}

// Kinds of ticket event.
const (
	EventOpened    = "opened"
	EventMoved     = "moved"
	EventComment   = "comment"
	EventResponse  = "response"      // a person's message or call to the customer: stops the response clock
	EventSolution  = "solution_sent" // stops the solution-or-diagnosis clock
	EventDiagnosis = "diagnosis_sent"
	EventJoined    = "joined" // another alarm joined
	EventRepeated  = "repeated"
	EventRecovered = "recovered"
	EventPriority  = "priority"
	EventPromise   = "promise" // the customer was told to expect the solution at To (RFC 3339)
	EventWarning   = "warning" // a clock, From, has come to To % of its time
	EventEscalated = "escalated"
	// EventAcknowledged: a person has seen it; it stops no clock, but escalation.
	EventAcknowledged = "acknowledged"
	EventReceived     = "received" // its beginning was corrected, From one time To another
	EventContract     = "contract" // its clocks go by another contract, or another version of it: ID@version
	EventAssigned     = "assigned"
)

// TicketEvent is one line of a ticket's history; append-only.
type TicketEvent struct {
	Ticket string    `json:"ticket"`
	At     time.Time `json:"at"`
	By     string    `json:"by"` // a person, or "rules"
	Kind   string    `json:"kind"`
	From   string    `json:"from,omitempty"`
	To     string    `json:"to,omitempty"`
	Text   string    `json:"text,omitempty"`
}

// Evidence is what a ticket rests on: copied when it opens, never changed, exempt from retention.
type Evidence struct {
	Ticket      string           `json:"ticket"`
	Alarm       string           `json:"alarm"`
	At          time.Time        `json:"at"`                // event time of the moment that raised it
	BeganAt     time.Time        `json:"began_at,omitzero"` // event time at which the condition began to hold; zero: not known
	Point       string           `json:"point,omitempty"`
	Unit        string           `json:"unit,omitempty"`
	Rule        string           `json:"rule"`
	RuleVersion int              `json:"rule_version"`
	Kind        string           `json:"kind"`
	Why         string           `json:"why"`
	Limits      []Limit          `json:"limits,omitempty"`
	Samples     []EvidenceSample `json:"samples"`
	Forecast    *Forecast        `json:"forecast,omitempty"` // of life rules, whose samples are means
	Parts       []EvidencePart   `json:"parts,omitempty"`    // of rules that learn: what contributes most, the first the most
}

// EvidencePart is a signal's share in a finding.
type EvidencePart struct {
	Point string  `json:"point"`
	Score float64 `json:"score"` // deviation: rarity in powers of ten; joint: in widths of the normal, with its sign
}

// EvidenceSample is one sample of a picture. Value is NaN-free: bad samples have none.
type EvidenceSample struct {
	At      time.Time `json:"at"`
	Value   *float64  `json:"value"`
	Text    string    `json:"text,omitempty"` // of strings
	Quality Quality   `json:"quality"`
}
