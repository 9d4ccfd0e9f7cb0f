package faultline

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Verdicts of the technician who closes a ticket, on the rule that opened it.
const (
	VerdictTrue     = "true"      // there was a fault, and time to act
	VerdictFalse    = "false"     // there was none
	VerdictTooLate  = "too_late"  // there was one, and it had done its harm
	VerdictTooEarly = "too_early" // there was one, long before anything had to be done
)

// Verdicts lists them all.
var Verdicts = []string{VerdictTrue, VerdictFalse, VerdictTooLate, VerdictTooEarly}

// Verdict of the people on the ticket's rule, "" if they gave none. Cancelling as false alarm is one.
func (t *Ticket) Verdict() string {
	if t.Status == StatusCancelled && t.CancelReason == CancelFalseAlarm {
		return VerdictFalse
	}
	return t.Resolution.Verdict
}

// Score says how good a rule was on one kind of asset.
type Score struct {
	Rule      string `json:"rule"`
	AssetKind string `json:"asset_kind"`
	Tickets   int    `json:"tickets"` // that it opened
	Judged    int    `json:"judged"`  // and people gave a verdict on
	True      int    `json:"true"`
	False     int    `json:"false"`
	TooLate   int    `json:"too_late"`
	TooEarly  int    `json:"too_early"`
	// Precision is the share of judged tickets that had a fault behind them; nil if none was judged.
	Precision *float64 `json:"precision"`
	// Nuisance is the share of tickets that nobody needed: false ones, and ones that were normal again and
	// cancelled without work.
	Nuisance float64 `json:"nuisance"`
	PerMonth float64 `json:"tickets_per_month"` // of 30 days
	// Lead is the middle time from an alarm to its becoming critical, of those that did; 0 if none.
	Lead    time.Duration `json:"lead_time"`
	Propose string        `json:"propose,omitempty"` // what to change; "" if the rule is good enough or too little is known
	Changes []RuleChange  `json:"changes,omitempty"` // of its numbers, if a change is proposed and the rule is there
	// Improvement is the number of the open ticket about it.
	Improvement string `json:"improvement,omitempty"`
}

// The bar for rules. Below it, with at least scoreJudged verdicts, a change is proposed.
const (
	scoreJudged    = 5
	scorePrecision = 0.7
	scoreLate      = 0.3
	scoreMonth     = 30 * 24 * time.Hour
)

// Scores works out the scorecard of every rule and asset kind from fault tickets received from from until to
// and the transitions of alarms in that time; kind gives the asset kind of a position. Test tickets and
// made-up ones are left out. The rules with the most false tickets come first.
func Scores(tickets []Ticket, events []AlarmEvent, kind func(site, position string) string, from, to time.Time) []Score {
	type id struct{ rule, kind string }
	scores, nuisance := map[id]*Score{}, map[id]int{}
	for i := range tickets {
		t := &tickets[i]
		if t.Kind != TicketFault || t.Test || t.MadeUp || t.Rule == "" || t.ReceivedAt.Before(from) || !t.ReceivedAt.Before(to) {
			continue
		}
		k := id{t.Rule, kind(t.Site, t.Position)}
		s := scores[k]
		if s == nil {
			s = &Score{Rule: k.rule, AssetKind: k.kind}
			scores[k] = s
		}
		s.Tickets++
		switch t.Verdict() {
		case VerdictTrue:
			s.True++
		case VerdictFalse:
			s.False++
			nuisance[k]++
		case VerdictTooLate:
			s.TooLate++
		case VerdictTooEarly:
			s.TooEarly++
		default:
			if t.Status == StatusCancelled && t.CancelReason == CancelWithdrawn && !t.RecoveredAt.IsZero() {
				nuisance[k]++
			}
		}
	}
	leads := map[id][]time.Duration{}
	for alarm, list := range leadTimes(events) {
		site, position, rule, ok := SplitAlarmID(alarm)
		if ok {
			k := id{rule, kind(site, position)}
			leads[k] = append(leads[k], list...)
		}
	}
	months := max(to.Sub(from).Hours()/scoreMonth.Hours(), 1e-9)
	all := make([]Score, 0, len(scores))
	for k, s := range scores {
		s.Judged = s.True + s.False + s.TooLate + s.TooEarly
		if s.Judged > 0 {
			p := float64(s.Judged-s.False) / float64(s.Judged)
			s.Precision = &p
		}
		s.Nuisance, s.PerMonth = float64(nuisance[k])/float64(s.Tickets), float64(s.Tickets)/months
		if l := leads[k]; len(l) > 0 {
			slices.Sort(l)
			s.Lead = l[len(l)/2]
		}
		s.Propose = s.proposal()
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Score) int {
		return cmp.Or(b.False-a.False, b.Tickets-a.Tickets, cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.AssetKind, b.AssetKind))
	})
	return all
}

// leadTimes gives, by alarm, the times from being raised to becoming critical.
func leadTimes(events []AlarmEvent) map[string][]time.Duration {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b AlarmEvent) int { return a.At.Compare(b.At) })
	raised, leads := map[string]time.Time{}, map[string][]time.Duration{}
	for i := range events {
		e := &events[i]
		switch e.Transition {
		case TransitionRaised:
			delete(raised, e.Alarm)
			if e.Severity < SeverityCritical {
				raised[e.Alarm] = e.At
			}
		case TransitionRose:
			if at, ok := raised[e.Alarm]; ok && e.Severity == SeverityCritical {
				leads[e.Alarm] = append(leads[e.Alarm], e.At.Sub(at))
				delete(raised, e.Alarm)
			}
		case TransitionCleared:
			delete(raised, e.Alarm)
		}
	}
	return leads
}

// wrong is the verdict for which the rule falls below the bar, "" if it does not.
func (s *Score) wrong() string {
	switch {
	case s.Judged < scoreJudged:
		return ""
	case *s.Precision < scorePrecision:
		return VerdictFalse
	case float64(s.TooLate) >= scoreLate*float64(s.Judged):
		return VerdictTooLate
	case float64(s.TooEarly) >= scoreLate*float64(s.Judged):
		return VerdictTooEarly
	}
	return ""
}

func (s *Score) proposal() string {
	switch s.wrong() {
	case VerdictFalse:
		return fmt.Sprintf("%d of %d were false: move the limit away from normal operation or lengthen the delay, and back-test it.", s.False, s.Judged)
	case VerdictTooLate:
		return fmt.Sprintf("%d of %d came too late: add an earlier limit, or a rule on the rate of change.", s.TooLate, s.Judged)
	case VerdictTooEarly:
		return fmt.Sprintf("%d of %d came too early: lower its severity, or move the limit.", s.TooEarly, s.Judged)
	}
	return ""
}
