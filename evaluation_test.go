package faultline

import (
	"reflect"
	"testing"
	"time"
)

func TestEvaluate(t *testing.T) {
	h := func(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Hour))) }
	told := func(response, solution time.Time) []Turn {
		return []Turn{{At: response, Kind: EventResponse}, {At: solution, Kind: EventSolution}}
	}
	tickets := []Ticket{
		{Kind: TicketFault, Priority: P1, Status: StatusClosed, ReceivedAt: h(0), Course: told(h(0.5), h(4)), ResolvedAt: h(4), ClosedAt: h(20)},
		{Kind: TicketFault, Priority: P3, Status: StatusResolved, ReceivedAt: h(1), Course: told(h(26), h(72)), ResolvedAt: h(73)}, // 25 h is late, 71 h after receiving is in time
		{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: h(98)},                                                    // overdue
		{Kind: TicketManual, Priority: P2, Status: StatusNew, ReceivedAt: h(99)},                                                   // running
		{Kind: TicketInspection, Maintenance: Predetermined, Status: StatusClosed, ReceivedAt: h(2), ResolvedAt: h(3)},
		{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: h(3), Test: true},
		{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: h(-1)},
		{Kind: TicketManual, Priority: P1, Status: StatusCancelled, CancelReason: CancelWithdrawn, ReceivedAt: h(3), ClosedAt: h(5)}, // nobody had to answer
	}
	facts := EvaluationFacts{From: t0, To: h(100), Now: h(100), Terms: func(*Ticket) ServiceTerms { return DefaultService }}
	got, groups := Evaluate(tickets, nil, facts)
	want := Evaluation{Received: 6, Solved: 3, ResponseMet: 1, ResponseMissed: 2, AnswerMet: 2, MeanResponse: 3600 * 25.5 / 2, MeanSolution: 3600 * 77.0 / 3,
		NetAnswer:   3600 * (3.5 + 47) / 2, // the second one's began when the response was due, after 24 h
		LateUpdates: 1,                     // the solution came more than an hour after the response
		Corrective:  4, Predetermined: 1}
	if got != want || groups != nil {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, _ := Evaluate(nil, nil, facts); got != (Evaluation{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// Failures of two pumps in 1,000 h, worked out by hand.
func TestEvaluateFailures(t *testing.T) {
	h := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Hour) }
	fault := func(position, mode string, began, received, resolved int) Ticket {
		return Ticket{Kind: TicketFault, Maintenance: Corrective, Priority: P3, Status: StatusClosed, Site: "s", Position: position, FailureMode: mode, EventAt: h(began), ReceivedAt: h(received), ResolvedAt: h(resolved)}
	}
	moved := func(k Ticket, at int, from, to Status) Ticket {
		k.Course = append(k.Course, Turn{At: h(at), Kind: EventMoved, From: string(from), To: string(to)})
		return k
	}
	recovered := fault("P-2", "leak", 600, 600, 700)
	recovered.RecoveredAt = h(610)
	falsely := fault("P-1", "seal", 300, 300, 0)
	falsely.Status, falsely.CancelReason = StatusCancelled, CancelFalseAlarm
	declined := fault("P-2", "noise", 500, 500, 0)
	declined.Status, declined.CancelReason = StatusCancelled, CancelQuoteDeclined
	open := fault("P-1", "valve", 990, 991, 0)
	open.Status = StatusInProgress
	testAlarm := fault("P-1", "seal", 5, 5, 6)
	testAlarm.Test = true
	promised := moved(fault("P-1", "seal", 100, 101, 110), 105, StatusInProgress, StatusTriaged)
	promised.Course = append([]Turn{
		{At: h(102), Kind: EventPromise, To: h(103).Format(time.RFC3339)}, // passed at 103, replaced at 104
		{At: h(104), Kind: EventPromise, To: h(120).Format(time.RFC3339)}, // kept: solved at 110
	}, append(promised.Course, Turn{At: h(110), Kind: EventMoved, From: string(StatusInProgress), To: string(StatusResolved)})...)
	tickets := []Ticket{
		recovered,                           // down 10 h
		fault("P-1", "seal", -60, -50, -40), // before the time: counts for repeats only
		promised,                            // down 10 h, a repeat, not at once
		moved(fault("P-2", "seal", 200, 200, 220), 210, StatusResolved, StatusInProgress), // down 20 h, another pump: no repeat; reopened
		fault("P-1", "valve", 400, 400, 430),                                              // down 30 h
		falsely, declined, open, testAlarm,                                                // the quote was declined: down until nobody knows when; open: down 10 h so far
		{Kind: TicketInspection, Maintenance: ConditionBased, Status: StatusClosed, Site: "s", Position: "P-1", ReceivedAt: h(450), ResolvedAt: h(460)},
		{Kind: TicketManual, Maintenance: Corrective, Status: StatusNew, Site: "t", ReceivedAt: h(1), Count: 1}, // a site's, of no asset
	}
	facts := EvaluationFacts{From: t0, To: h(1000), Now: h(1000), Terms: func(*Ticket) ServiceTerms { return DefaultService },
		Positions: func(g string) int { return map[string]int{"": 3, "s": 2, "t": 1}[g] }}
	total, groups := Evaluate(tickets, func(k *Ticket) string { return k.Site }, facts)
	if len(groups) != 2 || groups[0].Group != "s" || groups[1].Group != "t" {
		t.Fatalf("%+v", groups)
	}
	got := groups[0].Evaluation
	type figures struct{ Received, Solved, Failures, Repeats, Fixed, FirstTime, Corrective, ConditionBased, Kept, Broken int }
	have := figures{got.Received, got.Solved, got.Failures, got.Repeats, got.Fixed, got.FirstTime, got.Corrective, got.ConditionBased, got.PromisesKept, got.PromisesBroken}
	// Failures: seal, seal of P-2, valve, leak, noise, valve again. Repeats: seal of P-1, valve.
	if want := (figures{8, 5, 6, 2, 4, 2, 5, 1, 1, 1}); have != want {
		t.Errorf("got  %+v\nwant %+v", have, want)
	}
	if want := 3600 * (10.0 + 20 + 30 + 10) / 4; got.MeanRepair != want {
		t.Errorf("mean repair %v, want %v", got.MeanRepair, want)
	}
	if want := 3600 * (2*1000.0 - 10 - 20 - 30 - 10 - 10) / 6; got.MeanBetween != want {
		t.Errorf("mean between %v, want %v", got.MeanBetween, want)
	}
	if want := 3600 * (3*1000.0 - 80) / 6; total.MeanBetween != want || total.Failures != 6 {
		t.Errorf("in total %+v", total)
	}
	if groups[1].Failures != 0 || groups[1].MeanBetween != 0 || groups[1].FirstTimeShare() != -1 {
		t.Errorf("a site without failures: %+v", groups[1])
	}
	if got.FirstTimeShare() != 0.5 || got.PreventiveShare() != 1.0/6 || got.RepeatShare() != 2.0/6 {
		t.Error(got.FirstTimeShare(), got.PreventiveShare(), got.RepeatShare())
	}
	again, _ := Evaluate(reversed(tickets), nil, facts)
	if again.MeanBetween = total.MeanBetween; !reflect.DeepEqual(again, total) {
		t.Errorf("in another order\n%+v\n%+v", again, total)
	}
}

func reversed(in []Ticket) []Ticket {
	out := make([]Ticket, len(in))
	for i := range in {
		out[len(in)-1-i] = in[i]
	}
	return out
}
