package faultline

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RuleChange is a number of a rule that is proposed to be changed.
type RuleChange struct {
	Key string `json:"key"`           // in the rule's document, such as limits.high
	Do  string `json:"do"`            // raise or lower
	Now string `json:"now,omitempty"` // what it is; "" if only the document says it
	To  string `json:"to,omitempty"`  // "" where only a back-test can tell
	Why string `json:"why,omitempty"`
}

// What is done to a number.
const (
	raise = "raise"
	lower = "lower"
)

// String is one clause.
func (c RuleChange) String() string {
	text := c.Do + " " + c.Key
	switch {
	case c.Now != "" && c.To != "":
		text += " from " + c.Now + " to " + c.To
	case c.Now != "":
		text += " (now " + c.Now + ")"
	}
	if c.Why != "" {
		text += ": " + c.Why
	}
	return text
}

// levers are the numbers that decide how much a kind of rule without limits finds; with more of it, it finds
// less and later, but for those in leads.
var levers = map[string]string{"silence": "after", "stuck": "after", "duration": "after", "deviation": "score", "joint": "score", "peer": "least", "life": "lead"}

var leads = map[string]bool{"lead": true}

// limitKeys are the keys of limits in a rule's document, by the limits' names.
var limitKeys = map[string]string{"low-low": "limits.low_low", "low": "limits.low", "high": "limits.high", "high-high": "limits.high_high"}

// Advise says which numbers of the rule to change and in which direction, from the verdicts on its tickets. It gives
// nothing for a rule that is not below the bar. r is the rule as it is on one of the assets.
func (s *Score) Advise(r *RuleInstance, tickets []Ticket) (list []RuleChange) {
	wrong := s.wrong()
	if wrong == "" {
		return nil
	}
	var judged []Ticket // with the verdict that counts
	for i := range tickets {
		if tickets[i].Verdict() == wrong {
			judged = append(judged, tickets[i])
		}
	}
	rarer := wrong != VerdictTooLate
	if c, ok := delayChange(r, wrong, judged, tickets); ok {
		list = append(list, c)
	}
	if key := levers[r.Kind]; key != "" {
		do := lower
		if rarer != leads[key] {
			do = raise
		}
		list = append(list, RuleChange{Key: key, Do: do})
	}
	for _, l := range passed(r.Limits, judged) {
		do := lower
		if rarer == strings.HasPrefix(l.Name, "high") {
			do = raise
		}
		list = append(list, RuleChange{Key: limitKeys[l.Name], Do: do, Now: quantityOf(l.Value, r.Unit)})
	}
	if len(list) == 0 && rarer { // a state or an expression: what is bad stands in words
		list = append(list, RuleChange{Key: "on_delay", Do: raise, Now: r.OnDelay.String()})
	}
	return list
}

// passed gives the limits that the tickets' texts name, or all if they name none.
func passed(limits []Limit, tickets []Ticket) (list []Limit) {
	for _, l := range limits {
		if slices.ContainsFunc(tickets, func(t Ticket) bool { return strings.Contains(t.Text, " "+l.Name+" limit") }) {
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		return limits
	}
	return list
}

const (
	longestDelay = 24 * time.Hour   // that a rule may have
	worthDelay   = 30 * time.Second // a shorter one makes no alarm late
)

// delayChange proposes another on-delay: one that outlasts the false alarms but not the right ones, or a
// shorter one where alarms came too late.
func delayChange(r *RuleInstance, wrong string, judged, all []Ticket) (c RuleChange, ok bool) {
	c = RuleChange{Key: "on_delay", Now: r.OnDelay.String()}
	if wrong == VerdictTooLate {
		c.Do, c.Why = lower, "until then nobody is told"
		return c, r.OnDelay >= worthDelay
	}
	if wrong == VerdictTooEarly {
		return c, false
	}
	longest, shortest := time.Duration(0), time.Duration(math.MaxInt64)
	for i := range judged {
		d, over := lasted(r, &judged[i])
		if !over {
			return c, false
		}
		longest = max(longest, d)
	}
	for i := range all {
		if v := all[i].Verdict(); v == VerdictTrue || v == VerdictTooEarly || v == VerdictTooLate {
			if d, over := lasted(r, &all[i]); over {
				shortest = min(shortest, d)
			}
		}
	}
	to := roundUp(longest)
	if to >= shortest || to > longestDelay || to <= r.OnDelay {
		return c, false
	}
	c.Do, c.To, c.Why = raise, to.String(), fmt.Sprintf("the condition of the %d false ones was over within %v", len(judged), longest.Round(time.Second))
	if shortest != math.MaxInt64 {
		c.Why += fmt.Sprintf(", that of right ones lasted %v or more", shortest.Round(time.Second))
	}
	return c, true
}

// lasted is how long the condition of a ticket's alarms held, if it was over by itself.
func lasted(r *RuleInstance, t *Ticket) (time.Duration, bool) {
	if t.RecoveredAt.IsZero() {
		return 0, false
	}
	return max(t.RecoveredAt.Sub(t.EventAt)-r.OffDelay, 0) + r.OnDelay, true
}

// roundUp gives a delay that is longer, and one that people would write.
func roundUp(d time.Duration) time.Duration {
	step := 10 * time.Second
	switch {
	case d >= 3*time.Hour:
		step = time.Hour
	case d >= 10*time.Minute:
		step = 5 * time.Minute
	case d >= 3*time.Minute:
		step = time.Minute
	}
	return (d/step + 1) * step
}

func quantityOf(v float64, unit string) string {
	return strings.TrimSpace(strconv.FormatFloat(v, 'g', -1, 64) + " " + unit)
}
