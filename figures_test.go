package faultline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAlarmFigures(t *testing.T) {
	from, to := t0, t0.Add(48*time.Hour)
	var events []AlarmEvent
	add := func(alarm, transition string, at time.Duration, s Severity) {
		events = append(events, AlarmEvent{Alarm: alarm, At: t0.Add(at), StoredAt: t0.Add(at), Transition: transition, Severity: s})
	}
	for i := range 12 { // a flood
		add(fmt.Sprintf("s/P-%d/r", i), TransitionRaised, time.Duration(i)*time.Second, SeverityWarning)
	}
	for i := range 20 { // a worst actor, which chatters
		add("s/P-0/r", TransitionRaised, 3*time.Hour+time.Duration(i)*30*time.Minute, SeverityCritical)
	}
	add("s/P-0/r", TransitionChattering, 20*time.Hour, SeverityCritical)
	add("s/P-0/r", TransitionChattering, 21*time.Hour, SeverityCritical)
	add("s/P-1/r", TransitionShelved, 30*time.Hour, 0)
	add("s/P-1/r", TransitionRaised, 31*time.Hour, SeverityWarning)
	add("s/P-1/r", TransitionUnshelved, 32*time.Hour, 0)
	add("s/P-1/r", TransitionRaised, 33*time.Hour, SeverityAdvisory)
	add("s/P-1/r", TransitionRaised, 48*time.Hour, SeverityAdvisory) // too late
	add("s/P-1/r", TransitionRaised, -1, SeverityAdvisory)           // too early
	add("s/P-1/"+TestAlarmRule, TransitionRaised, time.Hour, SeverityAdvisory)
	add("s/P-2/r", TransitionRose, time.Hour, SeverityCritical) // of the flood's: it is counted as what it became
	add("s/P-1/r", TransitionRose, 31*time.Hour+1, SeverityCritical)
	alarms := []Alarm{
		{ID: "s/P-0/r", Title: "Pressure", Active: true, RaisedAt: to.Add(-time.Hour)},
		{ID: "s/P-99/r", Title: "Old", Active: true, RaisedAt: from.Add(-time.Hour)},
		{ID: "s/P-98/r", Active: false, RaisedAt: from.Add(-time.Hour)},
	}
	k := AlarmFigures(alarms, events, from, to)
	if k.Alarms != 33 || k.Muted != 1 || k.PerDay != 16.5 || k.Peak != 12 || k.Floods != 1 || k.Windows != 288 || k.Standing != 1 || k.Chattering != 1 ||
		!k.Met || k.Mix[SeverityWarning] != 11 || k.Mix[SeverityCritical] != 21 || k.Mix[SeverityAdvisory] != 1 {
		t.Errorf("%+v", k)
	}
	if len(k.Top) != 10 || k.Top[0].Alarm != "s/P-0/r" || k.Top[0].Count != 21 || k.Top[0].Title != "Pressure" || !strings.Contains(k.Top[0].Do, "chatters") {
		t.Errorf("%+v", k.Top)
	}
	if empty := AlarmFigures(nil, nil, from, from); empty.Alarms != 0 || empty.PerDay != 0 || !empty.Met {
		t.Errorf("of no time: %+v", empty)
	}
	short := AlarmFigures(nil, events, from, from.Add(time.Hour))
	if short.Met || short.PerDay != 288 {
		t.Errorf("of a bad hour: %+v", short)
	}
}

func TestScores(t *testing.T) {
	from, to := t0, t0.Add(60*24*time.Hour)
	ticket := func(rule, verdict string) Ticket {
		return Ticket{Kind: TicketFault, Site: "s", Position: "P-1", Rule: rule, ReceivedAt: t0.Add(time.Hour), Status: StatusClosed, Resolution: Resolution{Verdict: verdict}}
	}
	var tickets []Ticket
	for rule, text := range map[string]string{"good": "tttttt", "noisy": "tfffft", "late": "ttlllt", "early": "tteeet", "new": "ff", "unjudged": "----"} {
		for _, c := range text {
			tickets = append(tickets, ticket(rule, map[rune]string{'t': VerdictTrue, 'f': VerdictFalse, 'l': VerdictTooLate, 'e': VerdictTooEarly}[c]))
		}
	}
	cancelled, withdrawn, test, old, inspection := ticket("unjudged", ""), ticket("unjudged", ""), ticket("good", VerdictFalse), ticket("good", VerdictFalse), ticket("good", VerdictFalse)
	cancelled.Status, cancelled.CancelReason = StatusCancelled, CancelFalseAlarm
	withdrawn.Status, withdrawn.CancelReason, withdrawn.RecoveredAt = StatusCancelled, CancelWithdrawn, t0
	test.Test, old.ReceivedAt, inspection.Kind = true, t0.Add(-1), TicketInspection
	tickets = append(tickets, cancelled, withdrawn, test, old, inspection)
	event := func(rule, transition string, at time.Duration, s Severity) AlarmEvent {
		return AlarmEvent{Alarm: AlarmID("s", "P-1", rule), At: t0.Add(at), Transition: transition, Severity: s}
	}
	events := []AlarmEvent{
		event("good", TransitionRose, 5*time.Hour, SeverityCritical), event("good", TransitionRaised, time.Hour, SeverityWarning),
		event("good", TransitionCleared, 6*time.Hour, SeverityCritical), event("good", TransitionRaised, 7*time.Hour, SeverityCritical),
		event("late", TransitionRaised, time.Hour, SeverityWarning), event("late", TransitionCleared, 2*time.Hour, SeverityWarning),
		event("late", TransitionRose, 3*time.Hour, SeverityCritical),
	}
	scores := Scores(tickets, events, func(site, position string) string { return "pump" }, from, to)
	got := map[string]Score{}
	for _, s := range scores {
		got[s.Rule] = s
	}
	if len(scores) != 6 || scores[0].Rule != "noisy" || scores[0].AssetKind != "pump" {
		t.Fatalf("%+v", scores)
	}
	for rule, want := range map[string]struct {
		precision, nuisance, perMonth float64
		lead                          time.Duration
		propose                       string
	}{
		"good": {1, 0, 3, 4 * time.Hour, ""}, "noisy": {2. / 6, 4. / 6, 3, 0, "4 of 6 were false"}, "late": {1, 0, 3, 0, "3 of 6 came too late"},
		"early": {1, 0, 3, 0, "3 of 6 came too early"}, "new": {0, 1, 1, 0, ""}, "unjudged": {0, 2. / 6, 3, 0, ""},
	} {
		s := got[rule]
		if s.Precision == nil || *s.Precision != want.precision || s.Nuisance != want.nuisance || s.PerMonth != want.perMonth || s.Lead != want.lead ||
			!strings.HasPrefix(s.Propose, want.propose) || want.propose == "" && s.Propose != "" {
			t.Errorf("%s: %+v, want %+v", rule, s, want)
		}
	}
	if none := Scores([]Ticket{ticket("x", "")}, nil, func(string, string) string { return "" }, from, to); none[0].Precision != nil {
		t.Errorf("nobody judged: %+v", none)
	}
}

func TestAlarmStatesOfMutedAndLatched(t *testing.T) {
	now := t0
	for _, c := range []struct {
		a    Alarm
		want AlarmState
	}{
		{Alarm{}, AlarmNormal},
		{Alarm{Active: true, Count: 1}, AlarmUnacked},
		{Alarm{Active: true, Acked: true, Count: 1}, AlarmAcked},
		{Alarm{Count: 1}, AlarmReturned},
		{Alarm{Acked: true, Count: 1}, AlarmNormal},
		{Alarm{Latched: true, Count: 1}, AlarmUnacked},
		{Alarm{Latched: true, Acked: true, Count: 1}, AlarmAcked},
		{Alarm{Active: true, Count: 1, ShelvedUntil: now.Add(1)}, AlarmShelved},
		{Alarm{Active: true, Count: 1, ShelvedUntil: now}, AlarmUnacked},
		{Alarm{Active: true, ShelvedUntil: now.Add(1), SuppressedBy: "gateway g"}, AlarmSuppressed},
		{Alarm{Active: true, ShelvedUntil: now.Add(1), SuppressedBy: "gateway g", OutOfService: "anna"}, AlarmOutOfService},
	} {
		if got := c.a.State(now); got != c.want {
			t.Errorf("%+v: %s, want %s", c.a, got, c.want)
		}
	}
	if s, p, r, ok := SplitAlarmID(AlarmID("s", "p", "r")); s != "s" || p != "p" || r != "r" || !ok {
		t.Error(s, p, r, ok)
	}
	if _, _, _, ok := SplitAlarmID("s/p"); ok {
		t.Error("half an id was split")
	}
}
