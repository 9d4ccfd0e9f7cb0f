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

func TestAddMonths(t *testing.T) {
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
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
