package faultline

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func TestNames(t *testing.T) {
	for _, ok := range []string{"P-101", "a", "plant_3", strings.Repeat("x", 64)} {
		if err := CheckName("site", ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "-x", "a.b", "a b", "a*", "a>", "ü", strings.Repeat("x", 65), "a\n"} {
		if err := CheckName("site", bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for s, ok := range map[string]bool{"bearing_temperature_de": true, "v1": true, "v__q": false, "_a": false, "A": false, "1a": false, "": false, "a_": false, "time": false, "position": false, "valve_position": true, "run_time": true} {
		if err := CheckPoint(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestValues(t *testing.T) {
	for _, v := range []Value{Float(math.NaN()), Float(math.Inf(1)), String(strings.Repeat("x", MaxString+1)), {}} {
		if v.Type() != NoType || v.Any() != nil {
			t.Errorf("%v is a value", v)
		}
	}
	if n, ok := Int(-3).Number(); !ok || n != -3 {
		t.Error(n, ok)
	}
	if n, ok := Int(math.MinInt64).Int64(); !ok || n != math.MinInt64 {
		t.Error(n, ok)
	}
	if _, ok := String("7").Number(); ok {
		t.Error("text is a number")
	}
	if n, ok := Bool(true).Number(); !ok || n != 1 {
		t.Error(n, ok)
	}
}

func TestQuality(t *testing.T) {
	if !BadTimeout.IsBad() || BadTimeout.Usable() || BadTimeout.Reason() != "timeout" || Quality("").Usable() || !UncertainClock.Usable() || Good.Reason() != "" {
		t.Error("levels")
	}
	for q, ok := range map[Quality]bool{Good: true, "bad:exception:server_device_busy": true, "bad": false, "bad:": false, "ok": false, "bad:No": false, "uncertain:x y": false} {
		if err := q.Check(); (err == nil) != ok {
			t.Errorf("%q: %v", q, err)
		}
	}
	f := Frame{Kind: "pump", Site: "s", Position: "p", Gateway: "g", Time: t0, Samples: []Sample{{"flow", Float(1), BadTimeout}}}
	if err := f.Check(); !errors.Is(err, ErrInvalid) {
		t.Errorf("a bad sample with a value: %v", err)
	}
	f.Samples[0] = Sample{Point: "flow", Quality: Good}
	if err := f.Check(); !errors.Is(err, ErrInvalid) {
		t.Errorf("a good sample without a value: %v", err)
	}
}

func TestAlarmStates(t *testing.T) {
	for _, c := range []struct {
		a    Alarm
		want AlarmState
	}{
		{Alarm{}, AlarmNormal},
		{Alarm{Active: true, Count: 1}, AlarmUnacked},
		{Alarm{Active: true, Acked: true, Count: 1}, AlarmAcked},
		{Alarm{Count: 1}, AlarmReturned},
		{Alarm{Count: 1, Acked: true}, AlarmNormal},
		{Alarm{Active: true, Count: 1, ShelvedUntil: t0.Add(1)}, AlarmShelved},
		{Alarm{Active: true, Count: 1, ShelvedUntil: t0}, AlarmUnacked},
		{Alarm{Active: true, Count: 1, ShelvedUntil: t0.Add(1), SuppressedBy: "gw"}, AlarmSuppressed},
		{Alarm{Active: true, SuppressedBy: "gw", OutOfService: "V-1"}, AlarmOutOfService},
	} {
		if got := c.a.State(t0); got != c.want {
			t.Errorf("%+v: %s, want %s", c.a, got, c.want)
		}
	}
}

// The matrix of domain.md §4, written out.
func TestPriorities(t *testing.T) {
	want := map[Criticality][3]Priority{"A": {P3, P2, P1}, "B": {P4, P3, P1}, "C": {P4, P4, P1}, "": {P4, P4, P1}}
	for c, row := range want {
		for i, p := range row {
			if got := PriorityOf(c, i+1); got != p {
				t.Errorf("criticality %q urgency %d: %s, want %s", c, i+1, got, p)
			}
		}
	}
}

func TestMoves(t *testing.T) {
	all := []Status{StatusNew, StatusTriaged, StatusScheduled, StatusInProgress, StatusWaitingCustomer, StatusWaitingParts, StatusResolved, StatusClosed, StatusCancelled}
	allowed := map[Status]string{ // from domain.md §4
		StatusNew:             "triaged waiting_customer cancelled",
		StatusTriaged:         "in_progress scheduled resolved waiting_customer cancelled",
		StatusScheduled:       "in_progress triaged waiting_parts waiting_customer cancelled",
		StatusInProgress:      "waiting_customer waiting_parts scheduled resolved triaged cancelled",
		StatusWaitingCustomer: "in_progress scheduled cancelled",
		StatusWaitingParts:    "in_progress scheduled cancelled",
		StatusResolved:        "closed in_progress cancelled",
	}
	for _, from := range all {
		for _, to := range all {
			tk := Ticket{Number: "T-1", Status: from}
			err := tk.CheckMove(to)
			if want := slices.Contains(strings.Fields(allowed[from]), string(to)); (err == nil) != want {
				t.Errorf("%s→%s: %v", from, to, err)
			}
			if err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s→%s: %v is not a refusal", from, to, err)
			}
		}
	}
	back := Ticket{Status: StatusWaitingCustomer, WaitingFrom: StatusTriaged}
	if got := back.Moves(); !slices.Equal(got, []Status{StatusTriaged, StatusCancelled}) {
		t.Errorf("back from the customer: %v", got)
	}
}

func TestGate(t *testing.T) {
	tk := Ticket{Kind: TicketFault, Rule: "r", FailureMode: "overheating"}
	if got := tk.Gate(Resolution{}, false); len(got) != 6 {
		t.Errorf("missing %q", got)
	}
	full := Resolution{Outcome: "solved", Words: "Replaced the bearing.", Mechanism: "wear", Cause: "lubrication", FunctionalTest: "2 h at full load: 61 °C"}
	if got := tk.Gate(full, true); got != nil {
		t.Errorf("missing %q", got)
	}
	if got := tk.Gate(full, false); len(got) != 1 || !strings.HasPrefix(got[0], "normal_reason") {
		t.Errorf("missing %q", got)
	}
	full.Outcome = "partial"
	if got := tk.Gate(full, true); len(got) != 1 {
		t.Errorf("missing %q", got)
	}
	in := Ticket{Kind: TicketInspection}
	if got := in.Gate(Resolution{Outcome: "solved", Words: "x", JobsDone: true}, false); got != nil {
		t.Errorf("missing %q", got)
	}
}

func TestReportGate(t *testing.T) {
	for _, from := range []Status{StatusNew, StatusScheduled, StatusInProgress, StatusResolved} {
		if tk := (Ticket{Status: from}); tk.Reports(StatusTriaged) != (from == StatusInProgress) || tk.Reports(StatusResolved) {
			t.Errorf("%s: a report is wanted at the wrong moves", from)
		}
	}
	var tk Ticket
	if got := tk.ReportGate(Resolution{Outcome: "solved", Owner: " "}); len(got) != 6 || !strings.HasPrefix(got[0], "outcome") {
		t.Errorf("missing %q", got)
	}
	for _, outcome := range []string{OutcomePartial, OutcomeNotSolved} {
		r := Resolution{Outcome: outcome, Words: "It runs at half load.", Cause: "bearing worn", NextPlan: "replace the bearing", Owner: "Anna", NextAt: time.Unix(1, 0)}
		if got := tk.ReportGate(r); got != nil {
			t.Errorf("%s: missing %q", outcome, got)
		}
	}
}

// The plan's figures, worked out by hand.
func TestClocks(t *testing.T) {
	at := func(h, m int) time.Time { return t0.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute) }
	for name, c := range map[string]struct {
		ticket    Ticket
		now       time.Time
		due, due2 time.Time
		state     string
		state2    string
	}{
		"P1 fresh":           {Ticket{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: t0}, at(0, 1), at(1, 0), at(49, 0), "running", "running"},
		"P1 at 75 %":         {Ticket{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: t0}, at(0, 45), at(1, 0), at(49, 0), "warning", "running"},
		"P1 overdue":         {Ticket{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: t0}, at(1, 1), at(1, 0), at(49, 0), "overdue", "running"},
		"P2 answered at 3 h": {Ticket{Kind: TicketManual, Priority: P2, Status: StatusTriaged, ReceivedAt: t0, RespondedAt: at(3, 0)}, at(4, 0), at(24, 0), at(51, 0), "met", "running"},
		"P3 answered late":   {Ticket{Kind: TicketFault, Priority: P3, Status: StatusTriaged, ReceivedAt: t0, RespondedAt: at(30, 0)}, at(71, 0), at(24, 0), at(72, 0), "missed", "warning"},
		"solution in time":   {Ticket{Kind: TicketFault, Priority: P4, Status: StatusResolved, ReceivedAt: t0, RespondedAt: at(1, 0), AnsweredAt: at(49, 0)}, at(500, 0), at(24, 0), at(49, 0), "met", "met"},
		"inspection":         {Ticket{Kind: TicketInspection, ReceivedAt: t0}, at(500, 0), time.Time{}, time.Time{}, "none", "none"},
		"ended stands still": {Ticket{Kind: TicketFault, Priority: P1, Status: StatusCancelled, ReceivedAt: t0, ClosedAt: at(0, 10)}, at(9, 0), at(1, 0), at(49, 0), "running", "running"},
	} {
		r, a := c.ticket.Clocks(DefaultTargets, c.now)
		if !r.Due.Equal(c.due) || !a.Due.Equal(c.due2) || r.State != c.state || a.State != c.state2 {
			t.Errorf("%s: response %+v, answer %+v", name, r, a)
		}
	}
}

func TestCoverage(t *testing.T) {
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	p := Position{Site: "north", Asset: Asset{Customer: "acme", ProductKind: "industrial", Commissioned: day("2024-01-31")}}
	contract := Contract{ID: "C-1", Name: "Gold", Customer: "acme", From: day("2026-01-01"), Until: day("2026-07-01")}
	for name, c := range map[string]struct {
		position  Position
		contracts []Contract
		at        string
		want      CoverageState
	}{
		"contract first":      {p, []Contract{contract}, "2026-06-30", InContract},
		"its last day is out": {p, []Contract{contract}, "2026-07-01", InWarranty},
		"warranty":            {p, nil, "2027-01-30", InWarranty},
		"warranty over":       {p, nil, "2027-01-31", OutOfCoverage},
		"no date":             {Position{Asset: Asset{ProductKind: "electronics"}}, nil, "2026-01-01", CoverageUnknown},
		"nothing known":       {Position{}, []Contract{contract}, "2026-02-01", CoverageUnknown},
	} {
		if got := CoverageAt(&c.position, c.position.Asset.Customer, c.contracts, DefaultTerms, day(c.at)); got.State != c.want {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	for _, c := range [][3]string{{"2026-01-31", "1", "2026-02-28"}, {"2028-01-31", "1", "2028-02-29"}, {"2026-11-30", "3", "2027-02-28"}, {"2026-12-15", "1", "2027-01-15"}, {"2026-03-31", "-1", "2026-02-28"}} {
		months := map[string]int{"1": 1, "3": 3, "-1": -1}[c[1]]
		if got := AddMonths(day(c[0]), months).Format(time.DateOnly); got != c[2] {
			t.Errorf("%s + %s months = %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestKeys(t *testing.T) {
	if k, err := FaultKey("s", "p", "r", "m"); err != nil || k != "s|p|r|m" {
		t.Error(k, err)
	}
	for _, parts := range [][]string{{"", "p", "r", "m"}, {"s", "p", "r", ""}, {"s", "p|q", "r", "m"}} {
		if _, err := FaultKey(parts[0], parts[1], parts[2], parts[3]); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", parts, err)
		}
	}
}

func TestEvaluate(t *testing.T) {
	h := func(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Hour))) }
	tickets := []Ticket{
		{Kind: TicketFault, Priority: P1, Status: StatusClosed, ReceivedAt: h(0), RespondedAt: h(0.5), AnsweredAt: h(4), ResolvedAt: h(4), ClosedAt: h(20)},
		{Kind: TicketFault, Priority: P3, Status: StatusResolved, ReceivedAt: h(1), RespondedAt: h(26), AnsweredAt: h(72), ResolvedAt: h(73)}, // 25 h is late, 71 h after receiving is in time
		{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: h(98)},                                                               // overdue
		{Kind: TicketManual, Priority: P2, Status: StatusNew, ReceivedAt: h(99)},                                                              // running
		{Kind: TicketInspection, Status: StatusClosed, ReceivedAt: h(2), ResolvedAt: h(3)},
		{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: h(3), Test: true},
		{Kind: TicketFault, Priority: P1, Status: StatusNew, ReceivedAt: h(-1)},
	}
	got := Evaluate(tickets, t0, DefaultTargets, h(100))
	want := Evaluation{Received: 5, Solved: 3, ResponseMet: 1, ResponseMissed: 2, AnswerMet: 2, AnswerMissed: 0, MeanResponse: 3600 * 25.5 / 2, MeanSolution: 3600 * 77.0 / 3}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := Evaluate(nil, t0, DefaultTargets, t0); got != (Evaluation{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
