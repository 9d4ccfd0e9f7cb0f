package faultline

import (
	"slices"
	"testing"
	"time"
)

func TestAdvise(t *testing.T) {
	limits := []Limit{{Name: "low", Value: 0}, {Name: "high", Value: 85}, {Name: "high-high", Value: 95}}
	threshold := RuleInstance{Kind: "threshold", Unit: "°C", Limits: limits, OnDelay: 10 * time.Second, OffDelay: time.Minute}
	slow := threshold
	slow.OnDelay = 10 * time.Minute
	// A ticket whose alarm cleared a time after it was raised; 0: it never did by itself.
	ticket := func(verdict string, cleared time.Duration, text string) Ticket {
		k := Ticket{EventAt: t0, Text: text, Resolution: Resolution{Verdict: verdict}}
		if cleared > 0 {
			k.RecoveredAt = t0.Add(cleared)
		}
		return k
	}
	many := func(n int, k Ticket) []Ticket { return slices.Repeat([]Ticket{k}, n) }
	const high = "Bearing temperature 86 °C above its high limit of 85 °C for 10 s."
	for _, c := range []struct {
		name    string
		rule    RuleInstance
		tickets []Ticket
		want    []string
	}{
		{"right ones", threshold, many(6, ticket(VerdictTrue, 0, high)), nil},
		{"too few", threshold, many(4, ticket(VerdictFalse, 0, high)), nil},
		{"short false ones", threshold, append(many(5, ticket(VerdictFalse, 95*time.Second, high)), ticket(VerdictTrue, time.Hour, high), ticket(VerdictTrue, 0, high)),
			[]string{"raise on_delay from 10s to 50s: the condition of the 5 false ones was over within 45s, that of right ones lasted 59m10s or more", "raise limits.high (now 85 °C)"}},
		{"false ones as long as right ones", threshold, append(many(5, ticket(VerdictFalse, time.Hour, high)), ticket(VerdictTrue, time.Hour, high)), []string{"raise limits.high (now 85 °C)"}},
		{"false ones that stood", threshold, many(5, ticket(VerdictFalse, 0, "Below its low limit of 0 °C.")), []string{"lower limits.low (now 0 °C)"}},
		{"which limit is not known", threshold, many(5, ticket(VerdictFalse, 0, "")), []string{"lower limits.low (now 0 °C)", "raise limits.high (now 85 °C)", "raise limits.high_high (now 95 °C)"}},
		{"late", threshold, many(5, ticket(VerdictTooLate, 0, high)), []string{"lower limits.high (now 85 °C)"}},
		{"late, after a long delay", slow, many(5, ticket(VerdictTooLate, 0, "below its low limit")), []string{"lower on_delay (now 10m0s): until then nobody is told", "raise limits.low (now 0 °C)"}},
		{"early", threshold, many(5, ticket(VerdictTooEarly, 0, high)), []string{"raise limits.high (now 85 °C)"}},
		{"false silence", RuleInstance{Kind: "silence"}, many(5, ticket(VerdictFalse, 0, "")), []string{"raise after"}},
		{"late silence", RuleInstance{Kind: "silence"}, many(5, ticket(VerdictTooLate, 0, "")), []string{"lower after"}},
		{"a forecast too early", RuleInstance{Kind: "life", Unit: "mm/s", Limits: []Limit{{Name: "high", Value: 7}}}, many(5, ticket(VerdictTooEarly, 0, "")), []string{"lower lead", "raise limits.high (now 7 mm/s)"}},
		{"a forecast too late", RuleInstance{Kind: "life"}, many(5, ticket(VerdictTooLate, 0, "")), []string{"raise lead"}},
		{"a false finding", RuleInstance{Kind: "deviation"}, many(5, ticket(VerdictFalse, 0, "")), []string{"raise score"}},
		{"a false state", RuleInstance{Kind: "state", OnDelay: time.Second}, many(5, ticket(VerdictFalse, 0, "")), []string{"raise on_delay (now 1s)"}},
		{"a late state", RuleInstance{Kind: "state", OnDelay: time.Second}, many(5, ticket(VerdictTooLate, 0, "")), nil},
	} {
		for i := range c.tickets {
			k := &c.tickets[i]
			k.Kind, k.Rule, k.Site, k.Position, k.ReceivedAt = TicketFault, "r", "s", "p", t0
		}
		scores := Scores(c.tickets, nil, func(string, string) string { return "pump" }, t0, t0.Add(time.Hour))
		var got []string
		for _, change := range scores[0].Advise(&c.rule, c.tickets) {
			got = append(got, change.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}
