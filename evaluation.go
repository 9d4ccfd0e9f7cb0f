package faultline

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// RepeatWithin is how long after a failure was solved the same one at the same position counts as a repeat.
const RepeatWithin = 90 * 24 * time.Hour

// Evaluation says how the desk did with the tickets received in a time, as they stand now, and how often
// equipment failed. Test tickets are left out, and so are those cancelled as duplicate or withdrawn, but for Received.
type Evaluation struct {
	Received int `json:"received"`
	Solved   int `json:"solved"` // of those, resolved or closed

	// Of the clocks that apply, each reopening judged by itself; those still running are left out.
	ResponseMet    int `json:"response_met"`
	ResponseMissed int `json:"response_missed"`
	AnswerMet      int `json:"answer_met"` // solution or diagnosis
	AnswerMissed   int `json:"answer_missed"`
	PromisesKept   int `json:"promises_kept"` // replaced in time, or solved in time
	PromisesBroken int `json:"promises_broken"`
	LateUpdates    int `json:"late_updates"` // messages that P1 was owed

	// MeanResponse and MeanSolution are from received to the first answer to the customer and to
	// resolved, in seconds of plain time; 0 if there are none. NetAnswer is the time that counts, by calendar and
	// without pauses, of solution-or-diagnosis clocks that were stopped.
	MeanResponse float64 `json:"mean_response_s"`
	MeanSolution float64 `json:"mean_solution_s"`
	NetAnswer    float64 `json:"mean_net_answer_s"`

	// Failures are fault tickets and corrective manual ones of an asset that were no false alarm. Repeats are
	// those of the same failure mode, or rule, at the same position within RepeatWithin of one that was solved.
	Failures int `json:"failures"`
	Repeats  int `json:"repeats"`
	// MeanRepair is the mean time to restoration: from when the fault began, as far as is known, until the condition was
	// normal or the ticket resolved, in seconds; 0 if nothing was restored. MeanBetween is the mean time between
	// failures: the calendar time of all positions less the time that they were failed, by failure; 0 without a failure.
	MeanRepair  float64 `json:"mean_repair_s"`
	MeanBetween float64 `json:"mean_between_s"`
	// Fixed is solved failures; FirstTime those of them that never went back from work to triage and were never reopened.
	Fixed     int `json:"fixed"`
	FirstTime int `json:"first_time"`

	// Work by maintenance type, improvements left out.
	Corrective     int `json:"corrective"`
	Predetermined  int `json:"predetermined"`
	ConditionBased int `json:"condition_based"`
}

// share of n in of; -1 of nothing.
func share(n, of int) float64 {
	if of == 0 {
		return -1
	}
	return float64(n) / float64(of)
}

// ResponseShare is the part of responses in time, -1 if there was none to give.
func (e *Evaluation) ResponseShare() float64 {
	return share(e.ResponseMet, e.ResponseMet+e.ResponseMissed)
}

// AnswerShare is the part of solutions and diagnoses in time, -1 if there was none to give.
func (e *Evaluation) AnswerShare() float64 { return share(e.AnswerMet, e.AnswerMet+e.AnswerMissed) }

// FirstTimeShare is the part of failures solved that were solved at once, -1 if none was.
func (e *Evaluation) FirstTimeShare() float64 { return share(e.FirstTime, e.Fixed) }

// RepeatShare is the part of failures that had been there before, -1 if there was none.
func (e *Evaluation) RepeatShare() float64 { return share(e.Repeats, e.Failures) }

// PreventiveShare is the part of work that was planned or found before a failure, -1 if there was none.
func (e *Evaluation) PreventiveShare() float64 {
	return share(e.Predetermined+e.ConditionBased, e.Corrective+e.Predetermined+e.ConditionBased)
}

// EvaluationFacts are what an evaluation is worked out from, besides tickets.
type EvaluationFacts struct {
	From, To time.Time // tickets received from From until To
	Now      time.Time
	Terms    func(*Ticket) ServiceTerms
	// Positions gives how many positions a group has, for the time between failures; nil: not known.
	Positions func(group string) int
}

// EvaluationGroup is what one customer, site or other group came to.
type EvaluationGroup struct {
	Group string `json:"group"`
	Evaluation
}

// Evaluate sums up tickets by group, in the order of the groups' names, and all of them together. The order of
// tickets does not matter. Those received before From count for repeats only. A nil group makes no groups.
func Evaluate(tickets []Ticket, group func(*Ticket) string, f EvaluationFacts) (total Evaluation, groups []EvaluationGroup) {
	order := make([]*Ticket, 0, len(tickets))
	for i := range tickets {
		order = append(order, &tickets[i])
	}
	slices.SortStableFunc(order, func(a, b *Ticket) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	all, by := tallies{}, map[string]*tallies{}
	solved := map[string]time.Time{} // the newest solution of a failure at a position
	for _, t := range order {
		if t.Test {
			continue
		}
		repeated := t.repeats(solved)
		if t.ReceivedAt.Before(f.From) || !t.ReceivedAt.Before(f.To) {
			continue
		}
		clocks := t.Clocks(f.Terms(t), f.Now)
		all.add(t, &clocks, repeated, f)
		if group == nil {
			continue
		}
		g := group(t)
		if by[g] == nil {
			by[g] = &tallies{}
		}
		by[g].add(t, &clocks, repeated, f)
	}
	positions := func(g string) int {
		if f.Positions == nil {
			return 0
		}
		return f.Positions(g)
	}
	for g, v := range by {
		groups = append(groups, EvaluationGroup{g, v.sum(positions(g), f)})
	}
	slices.SortFunc(groups, func(a, b EvaluationGroup) int { return strings.Compare(a.Group, b.Group) })
	return all.sum(positions(""), f), groups
}

// failure tells whether the ticket is a failure of an asset.
func (t *Ticket) failure() bool {
	if t.Position == "" || t.Kind != TicketFault && (t.Kind != TicketManual || t.Maintenance != Corrective) {
		return false
	}
	return t.Status != StatusCancelled || t.CancelReason == CancelWontFix || t.CancelReason == CancelQuoteDeclined
}

// repeats tells whether the ticket is a failure that was solved shortly before, and notes its own solution.
func (t *Ticket) repeats(solved map[string]time.Time) bool {
	mode := cmp.Or(t.Resolution.FailureMode, t.FailureMode, t.Rule)
	if !t.failure() || mode == "" {
		return t.failure() && t.Earlier != ""
	}
	k := t.Site + "|" + t.Position + "|" + mode
	before, found := solved[k]
	if t.done() && t.ResolvedAt.After(before) {
		solved[k] = t.ResolvedAt
	}
	return t.Earlier != "" || found && t.ReceivedAt.Before(before.Add(RepeatWithin))
}

func (t *Ticket) done() bool {
	return !t.ResolvedAt.IsZero() && (t.Status == StatusResolved || t.Status == StatusClosed)
}

// atOnce tells whether work never went back to triage and the ticket was never reopened.
func (t *Ticket) atOnce() bool {
	return !slices.ContainsFunc(t.Course, func(e Turn) bool {
		from, to := Status(e.From), Status(e.To)
		return e.Kind == EventMoved && (from == StatusResolved && to == StatusInProgress || from == StatusInProgress && to == StatusTriaged)
	})
}

// tallies are an evaluation being summed up.
type tallies struct {
	e                                         Evaluation
	answered, netted, restored                int
	responses, solutions, net, repair, failed time.Duration
}

func (s *tallies) add(t *Ticket, clocks *Clocks, repeated bool, f EvaluationFacts) {
	e := &s.e
	e.Received++
	if t.Status == StatusCancelled && (t.CancelReason == CancelDuplicate || t.CancelReason == CancelWithdrawn) {
		return
	}
	for i, c := range append(slices.Clone(clocks.Earlier), clocks.Cycle) { // each reopening is judged too
		tally(c.Response, &e.ResponseMet, &e.ResponseMissed)
		tally(c.Answer, &e.AnswerMet, &e.AnswerMissed)
		if i == 0 && !c.Response.Stopped.IsZero() {
			s.answered++
			s.responses += c.Response.Stopped.Sub(t.ReceivedAt)
		}
		if !c.Answer.Stopped.IsZero() {
			s.netted++
			s.net += c.Answer.Net
		}
	}
	for i, p := range clocks.Promises {
		if p.Broken {
			e.PromisesBroken++
		} else if i+1 < len(clocks.Promises) || !clocks.Promise.Stopped.IsZero() {
			e.PromisesKept++
		}
	}
	e.LateUpdates += clocks.LateUpdates
	if t.done() {
		e.Solved++
		s.solutions += t.ResolvedAt.Sub(t.ReceivedAt)
	}
	if t.Kind != TicketImprovement && t.Status != StatusCancelled {
		switch t.Maintenance {
		case Predetermined:
			e.Predetermined++
		case ConditionBased:
			e.ConditionBased++
		default:
			e.Corrective++
		}
	}
	if t.failure() {
		s.fail(t, repeated, f)
	}
}

func (s *tallies) fail(t *Ticket, repeated bool, f EvaluationFacts) {
	e := &s.e
	e.Failures++
	if repeated {
		e.Repeats++
	}
	began := t.EventAt
	if began.IsZero() || began.After(t.ReceivedAt) {
		began = t.ReceivedAt
	}
	end := t.RecoveredAt
	if end.IsZero() && t.done() {
		end = t.ResolvedAt
	}
	if !end.IsZero() && !end.Before(began) {
		s.restored++
		s.repair += end.Sub(began)
	}
	if t.Status == StatusCancelled && end.IsZero() {
		end = began // nobody knows how long: it is not counted as down
	}
	if end.IsZero() || end.After(f.To) {
		end = f.To
	}
	s.failed += max(0, end.Sub(later(began, f.From)))
	if t.done() {
		e.Fixed++
		if t.atOnce() {
			e.FirstTime++
		}
	}
}

func (s *tallies) sum(positions int, f EvaluationFacts) Evaluation {
	mean := func(d time.Duration, n int) float64 {
		if n == 0 {
			return 0
		}
		return d.Seconds() / float64(n)
	}
	e := s.e
	e.MeanResponse, e.MeanSolution, e.NetAnswer, e.MeanRepair = mean(s.responses, s.answered), mean(s.solutions, e.Solved), mean(s.net, s.netted), mean(s.repair, s.restored)
	if positions > 0 && e.Failures > 0 {
		e.MeanBetween = max(0, (float64(positions)*f.To.Sub(f.From).Seconds()-s.failed.Seconds())/float64(e.Failures))
	}
	return e
}

func tally(c Clock, met, missed *int) {
	switch c.State {
	case ClockMet:
		*met++
	case ClockMissed, ClockOverdue:
		*missed++
	}
}
