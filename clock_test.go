package faultline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The scenarios are written in wall time of their calendar's zone, "2 09:00" being 09:00 on 2 March 2026, a
// Monday; "10-25 12:00" is in October. Every expected time was worked out by hand from the plan's figures:
// 1 h; 24 h and then 48 h; the office works 08:00–12:00 and 13:00–17:00 from Monday to Friday.

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func moment(t *testing.T, loc *time.Location, s string) time.Time {
	t.Helper()
	day, clock, _ := strings.Cut(strings.TrimSpace(s), " ")
	if !strings.Contains(day, "-") {
		day = "3-" + day
	}
	at, err := time.ParseInLocation("2006-1-2 15:04", "2026-"+day+" "+clock, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func testTerms(t *testing.T) map[string]ServiceTerms {
	t.Helper()
	day := []Interval{{8 * 60, 12 * 60}, {13 * 60, 17 * 60}}
	office := &Calendar{ID: "office", Zone: "Europe/Berlin", Week: [7][]Interval{nil, day, day, day, day, day, nil},
		Exceptions: map[string][]Interval{"2026-03-06": nil, "2026-03-14": {{8 * 60, 12 * 60}}}}
	whole := []Interval{{0, 24 * 60}}
	local := &Calendar{ID: "local", Zone: "Europe/Berlin", Week: [7][]Interval{whole, whole, whole, whole, whole, whole, whole}}
	shift := []Interval{{9 * 60, 18 * 60}}
	shanghai := &Calendar{ID: "shanghai", Zone: "Asia/Shanghai", Week: [7][]Interval{nil, shift, shift, shift, shift, shift, shift}}
	// Shifts whose ends are times that clocks are set over: 02:00 to 03:00 in New York on 8 March, 03:00 to 02:00 in
	// Berlin on 25 October.
	night := []Interval{{0, 2 * 60}, {2*60 + 30, 10 * 60}}
	york := &Calendar{ID: "york", Zone: "America/New_York", Week: [7][]Interval{night, night, night, night, night, night, night}}
	early := []Interval{{0, 2*60 + 30}, {3 * 60, 6 * 60}}
	berlin := &Calendar{ID: "berlin", Zone: "Europe/Berlin", Week: [7][]Interval{early, early, early, early, early, early, early}}
	for _, c := range []*Calendar{office, local, shanghai, york, berlin} {
		if problems := c.Open(time.LoadLocation); problems != nil {
			t.Fatal(problems)
		}
	}
	gold := DefaultTargets
	gold.AnswerP1 = 4 * time.Hour
	return map[string]ServiceTerms{
		"std": DefaultService, "gold": {Targets: gold, PauseForParts: true},
		"office":   {Targets: DefaultTargets, Calendar: office},
		"local":    {Targets: DefaultTargets, Calendar: local},
		"shanghai": {Targets: DefaultTargets, Calendar: shanghai},
		"york":     {Targets: DefaultTargets, Calendar: york},
		"berlin":   {Targets: DefaultTargets, Calendar: berlin},
	}
}

func TestClocks(t *testing.T) {
	const (
		wait    = "moved:in_progress>waiting_customer"
		back    = "moved:waiting_customer>in_progress"
		parts   = "moved:in_progress>waiting_parts"
		arrived = "moved:waiting_parts>in_progress"
		solved  = "moved:in_progress>resolved"
		reopen  = "moved:resolved>in_progress"
	)
	for _, c := range []struct {
		name, terms, priority, received string
		events                          string // "time kind; …"
		now                             string
		response, answer                string // "due state"; "" is not looked at
		more                            string // "promise due state", "update due state", "broken n", "late n", "before 6h", "net 2h", "rgross 2h" of the response, "earlier response answer": joined by ";"
	}{
		// The plan's figures, round the clock.
		{"P1 fresh", "std", "P1", "2 09:00", "", "2 09:01", "2 10:00 running", "4 10:00 running", ""},
		{"P1 a minute before three quarters", "std", "P1", "2 09:00", "", "2 09:44", "2 10:00 running", "", ""},
		{"P1 at three quarters", "std", "P1", "2 09:00", "", "2 09:45", "2 10:00 warning", "", ""},
		{"P1 at its due time", "std", "P1", "2 09:00", "", "2 10:00", "2 10:00 warning", "", ""},
		{"P1 overdue", "std", "P1", "2 09:00", "", "2 10:01", "2 10:00 overdue", "4 10:00 running", ""},
		{"P1 answered in time", "std", "P1", "2 09:00", "2 09:50 response", "2 12:00", "2 10:00 met", "4 09:50 running", ""},
		{"P1 answered late", "std", "P1", "2 09:00", "2 10:30 response", "2 12:00", "2 10:00 missed", "4 10:00 running", ""},
		{"P2 fresh", "std", "P2", "2 09:00", "", "2 09:01", "3 09:00 running", "5 09:00 running", ""},
		{"P2 at 18 h", "std", "P2", "2 09:00", "", "3 03:00", "3 09:00 warning", "", ""},
		{"P2 answered", "std", "P2", "2 09:00", "2 12:00 response", "2 13:00", "3 09:00 met", "4 12:00 running", ""},
		{"P3 answered after 30 h: solution still within 72 h", "std", "P3", "2 09:00", "3 15:00 response", "4 00:00", "3 09:00 missed", "5 09:00 running", ""},
		{"P4 diagnosis without an answer before", "std", "P4", "2 09:00", "4 10:00 diagnosis_sent", "5 00:00", "3 09:00 missed", "5 09:00 met", ""},
		{"P2 solution on the first day", "std", "P2", "2 09:00", "2 20:00 solution_sent", "4 00:00", "3 09:00 met", "4 20:00 met", ""},
		{"P2 solution late", "std", "P2", "2 09:00", "2 10:00 response; 4 10:01 solution_sent", "5 00:00", "3 09:00 met", "4 10:00 missed", ""},
		{"triage stops nothing", "std", "P1", "2 09:00", "2 09:10 moved:new>triaged", "2 09:30", "2 10:00 running", "", ""},
		{"solution at three quarters", "std", "P2", "2 09:00", "2 12:00 response", "4 00:00", "", "4 12:00 warning", ""},
		{"solution a minute before", "std", "P2", "2 09:00", "2 12:00 response", "3 23:59", "", "4 12:00 running", ""},
		{"second answer changes nothing", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 response", "2 19:00", "3 09:00 met", "4 12:00 running", ""},

		// Pauses.
		{"a day waiting for the customer", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait + "; 3 18:00 " + back, "3 20:00", "", "5 12:00 running", ""},
		{"waiting goes on", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait, "3 18:00", "", "5 12:00 paused", ""},
		{"two pauses", "std", "P2", "2 09:00", "2 12:00 response; 2 13:00 " + wait + "; 2 15:00 " + back + "; 2 16:00 " + wait + "; 2 20:00 " + back, "2 21:00", "", "4 18:00 running", ""},
		{"a pause before the answer moves nothing", "std", "P2", "2 09:00", "2 10:00 moved:new>waiting_customer; 2 12:00 moved:waiting_customer>new; 2 13:00 response", "2 14:00", "3 09:00 met", "4 13:00 running", ""},
		{"a pause around the answer", "std", "P2", "2 09:00", "2 10:00 moved:new>waiting_customer; 2 12:00 response; 2 14:00 moved:waiting_customer>new", "2 15:00", "", "4 14:00 running", ""},
		{"the response never pauses", "std", "P2", "2 09:00", "2 10:00 moved:new>waiting_customer", "3 10:00", "3 09:00 overdue", "5 10:00 paused", ""},
		{"parts do not pause by default", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + parts + "; 3 18:00 " + arrived, "3 20:00", "", "4 12:00 running", ""},
		{"parts pause where the contract says so", "gold", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + parts + "; 3 18:00 " + arrived, "3 20:00", "", "5 12:00 running", ""},
		{"from customer to parts at once", "gold", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait + "; 2 20:00 " + back + "; 2 20:00 " + parts + "; 2 23:00 " + arrived, "3 08:00", "", "4 17:00 running", ""},
		{"a pause after the diagnosis", "std", "P2", "2 09:00", "2 10:00 response; 2 11:00 diagnosis_sent; 2 12:00 " + wait + "; 4 12:00 " + back, "4 13:00", "", "4 10:00 met", ""},
		{"a pause after the due time", "std", "P2", "2 09:00", "2 10:00 response; 5 10:00 " + wait, "5 11:00", "", "4 10:00 overdue", ""},
		{"a pause that ends in a visit", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait + "; 3 06:00 moved:waiting_customer>scheduled", "3 08:00", "", "5 00:00 running", ""},

		// Changes of priority.
		{"raised before the answer", "std", "P1", "2 09:00", "2 15:00 priority:P2>P1", "2 15:10", "2 16:00 running", "", "before 6h0m0s"},
		{"raised shortly before it was due", "std", "P1", "2 09:00", "3 08:30 priority:P2>P1", "3 08:31", "3 09:00 running", "", "before 23h30m0s"},
		{"raised: three quarters of its hour", "std", "P1", "2 09:00", "2 15:00 priority:P2>P1", "2 15:45", "2 16:00 warning", "", ""},
		{"raised after the answer", "std", "P1", "2 09:00", "2 12:00 response; 2 15:00 priority:P2>P1", "2 15:10", "3 09:00 met", "4 12:00 running", ""},
		{"raised after the answer, contract with 4 h", "gold", "P1", "2 09:00", "2 12:00 response; 2 15:00 priority:P2>P1", "2 15:10", "3 09:00 met", "2 19:00 running", ""},
		{"P1, contract with 4 h", "gold", "P1", "2 09:00", "2 09:30 response", "2 09:40", "2 10:00 met", "2 13:30 running", ""},
		{"P1, contract with 4 h, no answer yet", "gold", "P1", "2 09:00", "", "2 09:10", "2 10:00 running", "2 14:00 running", ""},
		{"lowered before the answer", "std", "P2", "2 09:00", "2 09:30 priority:P1>P2", "2 09:40", "3 09:00 running", "5 09:00 running", ""},
		{"lowered when it was overdue", "std", "P2", "2 09:00", "2 11:00 priority:P1>P2", "2 11:10", "3 09:00 running", "", ""},
		{"P3 to P2", "std", "P2", "2 09:00", "2 11:00 priority:P3>P2", "2 11:10", "3 09:00 running", "5 09:00 running", ""},
		{"raised, lowered, raised", "std", "P1", "2 09:00", "2 10:00 priority:P2>P1; 2 10:30 priority:P1>P2; 2 12:00 priority:P2>P1", "2 12:10", "2 13:00 running", "", "before 2h30m0s"},
		{"lowered and raised", "std", "P1", "2 09:00", "2 09:30 priority:P1>P2; 2 09:40 priority:P2>P1", "2 09:45", "2 10:40 running", "", "before 10m0s"},
		{"raised while the customer is waited for", "gold", "P1", "2 09:00", "2 10:00 response; 2 11:00 " + wait + "; 2 12:00 priority:P2>P1; 2 15:00 " + back, "2 16:00", "3 09:00 met", "2 19:00 running", ""},
		{"lowered keeps the pause", "gold", "P3", "2 09:00", "2 09:30 response; 2 10:00 " + wait + "; 2 13:00 " + back + "; 2 14:00 priority:P1>P3", "2 15:00", "2 10:00 met", "4 12:30 running", ""},

		// Calendars: several intervals a day, a holiday on Friday 6, a make-up day on Saturday 14.
		{"office: in the morning", "office", "P1", "2 09:00", "", "2 09:10", "2 10:00 running", "", ""},
		{"office: over lunch", "office", "P1", "2 11:30", "", "2 12:30", "2 13:30 running", "", ""},
		{"office: three quarters after lunch", "office", "P1", "2 11:30", "", "2 13:15", "2 13:30 warning", "", ""},
		{"office: over night", "office", "P1", "2 16:30", "", "2 20:00", "3 08:30 running", "", ""},
		{"office: received at night", "office", "P1", "2 22:00", "", "3 07:00", "3 09:00 running", "", ""},
		{"office: over a holiday and a weekend", "office", "P1", "5 16:45", "", "7 12:00", "9 08:45 running", "", ""},
		{"office: 24 and 48 working hours", "office", "P2", "2 09:00", "", "2 09:10", "5 09:00 running", "14 09:00 running", ""},
		{"office: answered at ten", "office", "P2", "2 09:00", "2 10:00 response", "2 10:10", "5 09:00 met", "11 10:00 running", ""},
		{"office: pause counts two working hours", "office", "P2", "2 09:00", "2 10:00 response; 3 16:00 " + wait + "; 4 09:00 " + back, "4 10:00", "", "11 12:00 running", ""},
		{"office: pause over night counts nothing", "office", "P2", "2 09:00", "2 10:00 response; 3 17:00 " + wait + "; 4 08:00 " + back, "4 10:00", "", "11 10:00 running", ""},
		{"office: pause on a weekend counts nothing", "office", "P2", "2 09:00", "2 10:00 response; 7 10:00 " + wait + "; 8 20:00 " + back, "9 10:00", "", "11 10:00 running", ""},
		{"office: received on a holiday", "office", "P2", "6 10:00", "", "6 11:00", "11 17:00 running", "", ""},
		{"office: make-up day", "office", "P1", "14 08:30", "", "14 08:40", "14 09:30 running", "", ""},
		{"office: end of the make-up day", "office", "P1", "14 11:30", "", "14 13:00", "16 08:30 running", "", ""},
		{"office: raised in the evening", "office", "P1", "2 09:00", "2 18:00 priority:P2>P1", "2 19:00", "3 09:00 running", "", "before 7h0m0s"},
		{"office: answered on Sunday", "office", "P2", "5 09:00", "8 12:00 response", "9 09:00", "11 09:00 met", "16 12:00 running", ""},

		// Clocks change on 29 March and 25 October 2026 in Berlin.
		{"spring: 24 real hours", "local", "P2", "28 12:00", "", "28 13:00", "29 13:00 running", "", ""},
		{"spring: one real hour", "local", "P1", "29 01:30", "", "29 01:40", "29 03:30 running", "", ""},
		{"autumn: 24 real hours", "local", "P2", "10-24 12:00", "", "10-24 13:00", "10-25 11:00 running", "", ""},
		{"spring: office", "office", "P1", "27 16:30", "", "28 12:00", "30 08:30 running", "", ""},
		{"autumn: office", "office", "P2", "10-23 09:00", "", "10-23 10:00", "10-28 09:00 running", "", ""},
		{"Shanghai: Saturday evening to Monday", "shanghai", "P1", "7 17:30", "", "8 12:00", "9 09:30 running", "", ""},
		{"the contract was pinned again: same events, other terms", "shanghai", "P1", "7 16:00", "7 16:30 response", "7 16:40", "7 17:00 met", "14 10:30 running", ""},

		// New York, 8 March: 02:00 EST is 03:00 EDT, so the shift of 02:30 begins at 03:00. 1 November: 02:00 EDT is 01:00 EST.
		{"New York spring: the shift begins where the clocks jump", "york", "P1", "8 01:30", "", "8 01:40", "8 03:30 running", "", ""},
		{"New York: the same on a day like others, half an hour's break", "york", "P1", "9 01:30", "", "9 01:40", "9 03:00 running", "", ""},
		{"New York spring: 2 h and 7 h of work are all of the day", "york", "P2", "8 00:00", "8 12:00 response", "8 12:00", "10 06:00 met", "", "rnet 9h0m0s; rgross 11h0m0s"},
		{"New York autumn: due before the hour comes again", "york", "P1", "11-1 00:15", "", "11-1 00:20", "11-1 01:15 running", "", ""},
		{"New York autumn: the hour that comes again is worked", "york", "P2", "11-1 00:30", "11-1 03:00 response", "11-1 03:10", "", "", "rnet 3h0m0s; rgross 3h30m0s"},
		{"Berlin spring: a shift that would end at 02:30 ends where the clocks jump", "berlin", "P1", "29 01:30", "", "29 01:40", "29 03:30 running", "", ""},
		{"Berlin autumn: a shift until 02:30 ends the first time", "berlin", "P1", "10-25 01:45", "", "10-25 01:50", "10-25 03:15 running", "", ""},

		// More in mid-ticket.
		{"over P2 to P1", "std", "P1", "2 09:00", "2 11:00 priority:P3>P2; 2 13:00 priority:P2>P1", "2 13:10", "2 14:00 running", "", "before 4h0m0s"},
		{"lowered after the answer: that stays met", "std", "P2", "2 09:00", "2 09:50 response; 2 11:00 priority:P1>P2", "2 12:00", "2 10:00 met", "4 09:50 running", ""},
		{"raised on a holiday: the hour is Monday's first", "office", "P1", "5 16:00", "6 10:00 priority:P2>P1", "6 11:00", "9 09:00 running", "", "before 1h0m0s"},
		{"three quarters of 24 working hours, a minute before", "office", "P2", "2 09:00", "", "4 10:59", "5 09:00 running", "", ""},
		{"three quarters of 24 working hours: 7 + 8 + 3", "office", "P2", "2 09:00", "", "4 11:00", "5 09:00 warning", "", ""},
		{"three quarters with a day's pause, a minute before", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait + "; 3 18:00 " + back, "4 23:59", "", "5 12:00 running", ""},
		{"three quarters with a day's pause: 6 h and 30 h", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait + "; 3 18:00 " + back, "5 00:00", "", "5 12:00 warning", ""},
		{"net leaves the pause out: 6 h and 6 h of 36", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + wait + "; 3 18:00 " + back + "; 4 00:00 solution_sent", "5 00:00", "", "5 12:00 met", "net 12h0m0s; gross 36h0m0s"},
		{"net of the office: Monday 6, Tuesday 8, Wednesday 1", "office", "P2", "2 09:00", "2 10:00 response; 4 09:00 solution_sent", "5 00:00", "5 09:00 met", "11 10:00 met", "net 15h0m0s; gross 47h0m0s"},

		// Waiting for parts, with an expected time and its changes.
		{"parts: a new time in time, 6 h before and 42 h after", "gold", "P2", "2 09:00", "2 12:00 response; 2 18:00 promise:5 12:00; 2 18:00 " + parts + "; 4 09:00 promise:9 12:00; 9 10:00 " + arrived, "9 11:00", "", "11 04:00 running", "promise 9 12:00 warning; broken 0"},
		{"parts: the time passes, then a new one", "std", "P2", "2 09:00", "2 12:00 response; 2 18:00 promise:4 18:00; 2 18:00 " + parts + "; 5 10:00 promise:9 12:00", "6 00:00", "", "4 12:00 overdue", "promise 9 12:00 running; broken 1"},
		{"an earlier time counts as soon as it is told", "std", "P2", "2 09:00", "2 12:00 promise:9 12:00; 3 12:00 promise:5 12:00", "5 13:00", "", "", "promise 5 12:00 overdue; broken 1"},
		{"from parts to the customer", "gold", "P2", "2 09:00", "2 12:00 response; 2 18:00 " + parts + "; 3 06:00 " + arrived + "; 3 06:00 " + wait + "; 3 12:00 " + back, "3 13:00", "", "5 06:00 running", ""},

		// Reopened: a new cycle, the old one stays.
		{"reopened: a pause of the second cycle", "std", "P2", "2 09:00", "2 10:00 response; 3 10:00 solution_sent; 3 10:00 " + solved + "; 4 12:00 " + reopen + "; 4 14:00 response; 4 16:00 " + wait + "; 4 20:00 " + back, "5 00:00", "5 12:00 met", "6 18:00 running", "earlier 3 09:00 met 4 10:00 met"},
		{"reopened: a pause of the first cycle is not of the second", "std", "P2", "2 09:00", "2 10:00 response; 2 11:00 " + wait + "; 3 11:00 " + back + "; 3 12:00 solution_sent; 3 12:00 " + solved + "; 4 12:00 " + reopen, "4 13:00", "5 12:00 running", "7 12:00 running", "earlier 3 09:00 met 5 10:00 met"},
		{"reopened", "std", "P2", "2 09:00", "2 10:00 response; 3 10:00 solution_sent; 3 10:00 " + solved + "; 4 12:00 " + reopen, "4 13:00", "5 12:00 running", "7 12:00 running", "earlier 3 09:00 met 4 10:00 met"},
		{"reopened and answered", "std", "P2", "2 09:00", "2 10:00 response; 3 10:00 solution_sent; 3 10:00 " + solved + "; 4 12:00 " + reopen + "; 4 14:00 response", "4 15:00", "5 12:00 met", "6 14:00 running", "earlier 3 09:00 met 4 10:00 met"},
		{"reopened: what was missed stays missed", "std", "P2", "2 09:00", "3 10:00 response; 3 11:00 " + solved + "; 4 12:00 " + reopen, "4 13:00", "5 12:00 running", "", "earlier 3 09:00 missed 5 09:00 running"},
		{"reopened, then raised", "std", "P1", "2 09:00", "2 10:00 solution_sent; 2 10:00 " + solved + "; 4 12:00 " + reopen + "; 4 12:30 priority:P2>P1", "4 12:40", "4 13:30 running", "", "before 30m0s"},
		{"reopened at the priority it had", "std", "P1", "2 09:00", "2 12:00 priority:P2>P1; 2 12:10 solution_sent; 2 12:10 " + solved + "; 4 12:00 " + reopen, "4 12:10", "4 13:00 running", "", "earlier 2 13:00 met 4 12:10 met"},
		{"reopened twice", "std", "P2", "2 09:00", "2 10:00 solution_sent; 2 10:00 " + solved + "; 3 10:00 " + reopen + "; 3 11:00 solution_sent; 3 11:00 " + solved + "; 9 08:00 " + reopen, "9 09:00", "10 08:00 running", "12 08:00 running", "earlier 3 09:00 met 4 10:00 met; earlier 4 10:00 met 5 11:00 met"},

		// The promise: an expected time, told to the customer.
		{"promised", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00", "3 12:00", "3 09:00 met", "4 12:00 running", "promise 6 12:00 running; broken 0"},
		{"promise at three quarters", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00", "5 12:00", "", "", "promise 6 12:00 warning"},
		{"promise passed", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00", "6 13:00", "", "", "promise 6 12:00 overdue; broken 1"},
		{"a new promise in time", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00; 5 12:00 promise:9 12:00", "6 13:00", "", "", "promise 9 12:00 running; broken 0"},
		{"a new promise too late", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00; 6 13:00 promise:9 12:00", "7 13:00", "", "", "promise 9 12:00 running; broken 1"},
		{"promise kept", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00; 6 11:00 " + solved, "8 00:00", "", "", "promise 6 12:00 met; broken 0"},
		{"solved after the promise", "std", "P2", "2 09:00", "2 12:00 promise:6 12:00; 6 13:00 " + solved, "8 00:00", "", "", "promise 6 12:00 missed; broken 1"},
		{"the promise knows no calendar", "office", "P2", "2 09:00", "2 12:00 promise:7 12:00", "7 12:01", "", "", "promise 7 12:00 overdue; broken 1"},

		// P1: the customer hears something every hour until it is solved.
		{"next update", "std", "P1", "2 09:00", "2 09:30 response", "2 10:00", "", "", "update 2 10:30 running; late 0"},
		{"update overdue", "std", "P1", "2 09:00", "2 09:30 response", "2 10:45", "", "", "update 2 10:30 overdue"},
		{"updated in time", "std", "P1", "2 09:00", "2 09:30 response; 2 10:20 response", "2 10:30", "", "", "update 2 11:20 running; late 0"},
		{"updated late", "std", "P1", "2 09:00", "2 09:30 response; 2 10:40 response", "2 10:50", "", "", "update 2 11:40 running; late 1"},
		{"no updates at P2", "std", "P2", "2 09:00", "2 09:30 response", "2 12:00", "", "", "update none; late 0"},
		{"updates from the raise on", "std", "P1", "2 09:00", "2 09:30 response; 2 12:00 priority:P2>P1", "2 12:10", "", "", "update 2 13:00 running; late 0"},
		{"lowered: no more updates, the late one stays", "std", "P2", "2 09:00", "2 09:30 response; 2 11:00 priority:P1>P2", "2 12:00", "", "", "update none; late 1"},
		{"solved: no more updates", "std", "P1", "2 09:00", "2 09:30 response; 2 10:10 solution_sent; 2 10:10 " + solved, "2 15:00", "", "", "update none; late 0"},
		{"updates in the calendar", "office", "P1", "2 16:00", "2 16:30 response", "2 17:30", "", "", "update 3 08:30 running; late 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			terms := testTerms(t)[c.terms]
			loc := zone(t, "Europe/Berlin")
			if terms.Calendar != nil {
				loc = zone(t, terms.Calendar.Zone)
			}
			k := Ticket{Kind: TicketFault, Priority: Priority(c.priority), Status: StatusInProgress, ReceivedAt: moment(t, loc, c.received)}
			for _, line := range strings.Split(c.events, ";") {
				f := strings.SplitN(strings.TrimSpace(line), " ", 3)
				if len(f) < 3 {
					continue
				}
				e := TicketEvent{At: moment(t, loc, f[0]+" "+f[1])}
				var what string
				e.Kind, what, _ = strings.Cut(f[2], ":")
				if e.Kind == EventPromise {
					e.To = moment(t, loc, what).Format(time.RFC3339)
				} else {
					e.From, e.To, _ = strings.Cut(what, ">")
				}
				k.Note(e)
			}
			got := k.Clocks(terms, moment(t, loc, c.now))
			shown := func(k Clock) string {
				if k.State == ClockNone {
					return k.State
				}
				at := k.Due.In(loc)
				day := fmt.Sprint(at.Day())
				if at.Month() != time.March {
					day = fmt.Sprintf("%d-%d", at.Month(), at.Day())
				}
				return fmt.Sprintf("%s %s %s", day, at.Format("15:04"), k.State)
			}
			same := func(what, want, got string) {
				if want != "" && want != got {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			same("response", c.response, shown(got.Response))
			same("answer", c.answer, shown(got.Answer))
			broken := 0
			for _, p := range got.Promises {
				if p.Broken {
					broken++
				}
			}
			earlier := 0
			for _, m := range strings.Split(c.more, ";") {
				what, want, _ := strings.Cut(strings.TrimSpace(m), " ")
				switch what {
				case "promise":
					same(what, want, shown(got.Promise))
				case "update":
					same(what, want, shown(got.Update))
				case "broken":
					same(what, want, fmt.Sprint(broken))
				case "late":
					same(what, want, fmt.Sprint(got.LateUpdates))
				case "net":
					same(what, want, got.Answer.Net.String())
				case "gross":
					same(what, want, got.Answer.Gross.String())
				case "rnet":
					same(what, want, got.Response.Net.String())
				case "rgross":
					same(what, want, got.Response.Gross.String())
				case "before":
					same(what, want, got.Response.Before.String())
				case "earlier":
					if earlier >= len(got.Earlier) {
						t.Fatalf("%d earlier cycles", len(got.Earlier))
					}
					same(what, want, shown(got.Earlier[earlier].Response)+" "+shown(got.Earlier[earlier].Answer))
					earlier++
				}
			}
		})
	}
}

// Kinds without clocks, and an ended ticket, whose clocks stand still.
func TestClocksOfOthers(t *testing.T) {
	loc := zone(t, "Europe/Berlin")
	for _, kind := range []TicketKind{TicketInspection, TicketImprovement} {
		k := Ticket{Kind: kind, Priority: P1, ReceivedAt: moment(t, loc, "2 09:00")}
		if c := k.Clocks(DefaultService, moment(t, loc, "9 09:00")); c.Response.State != ClockNone || c.Answer.State != ClockNone || !c.Next().Due.IsZero() {
			t.Errorf("%s: %+v", kind, c)
		}
	}
	k := Ticket{Kind: TicketManual, Priority: P1, Status: StatusCancelled, ReceivedAt: moment(t, loc, "2 09:00"), ClosedAt: moment(t, loc, "2 09:10")}
	if c := k.Clocks(DefaultService, moment(t, loc, "9 09:00")); c.Response.State != ClockRunning || c.Response.Gross != 10*time.Minute {
		t.Errorf("ended: %+v", c)
	}
}

// Gross is all the time, net what counts of it.
func TestGrossAndNet(t *testing.T) {
	loc, terms := zone(t, "Europe/Berlin"), testTerms(t)["office"]
	k := Ticket{Kind: TicketFault, Priority: P2, Status: StatusInProgress, ReceivedAt: moment(t, loc, "2 09:00")}
	for _, e := range []TicketEvent{
		{At: moment(t, loc, "2 10:00"), Kind: EventResponse},
		{At: moment(t, loc, "3 16:00"), Kind: EventMoved, From: "in_progress", To: "waiting_customer"},
		{At: moment(t, loc, "4 09:00"), Kind: EventMoved, From: "waiting_customer", To: "in_progress"},
		{At: moment(t, loc, "4 11:00"), Kind: EventSolution},
	} {
		k.Note(e)
	}
	c := k.Clocks(terms, moment(t, loc, "9 09:00"))
	// Monday 10–12 and 13–17, Tuesday 8–12 and 13–16, Wednesday 9–11: 6 + 7 + 2 hours of 49.
	if c.Response.Gross != time.Hour || c.Response.Net != time.Hour || c.Answer.Gross != 49*time.Hour || c.Answer.Net != 15*time.Hour {
		t.Errorf("response %v/%v, answer %v/%v", c.Response.Gross, c.Response.Net, c.Answer.Gross, c.Answer.Net)
	}
	if got := c.Answer.Passed(); got != 15.0/48 {
		t.Errorf("passed %v of the solution clock", got)
	}
}

func TestCalendarProblems(t *testing.T) {
	for want, c := range map[string]Calendar{
		`zone: "Mars" is no time zone`:    {Zone: "Mars", Week: [7][]Interval{{{0, 60}}}},
		"Sunday: 10:00 to 09:00 is no":    {Zone: "UTC", Week: [7][]Interval{{{600, 540}}}},
		"Monday: 09:00 to 10:00 overlaps": {Zone: "UTC", Week: [7][]Interval{nil, {{480, 600}, {540, 600}}}},
		"no hours at all":                 {Zone: "UTC"},
		`"6 March" is no date`:            {Zone: "UTC", Week: [7][]Interval{{{0, 60}}}, Exceptions: map[string][]Interval{"6 March": nil}},
		"Saturday: 00:00 to 24:01 is no":  {Zone: "UTC", Week: [7][]Interval{6: {{0, 1441}}}},
	} {
		if got := strings.Join(c.Open(time.LoadLocation), "; "); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

// A calendar that is closed for good from some day on gives an end, not a loop for ever.
func TestCalendarWithoutEnd(t *testing.T) {
	c := &Calendar{Zone: "UTC", Week: [7][]Interval{{{0, 60}}}, Exceptions: map[string][]Interval{}}
	for day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2056; day = day.AddDate(0, 0, 7) {
		c.Exceptions[day.Format(time.DateOnly)] = nil // every Sunday
	}
	if problems := c.Open(time.LoadLocation); problems != nil {
		t.Fatal(problems)
	}
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if got := c.Add(start, time.Hour); got.Before(start) {
		t.Errorf("due %v before %v", got, start)
	}
	if got := c.Between(start, start.AddDate(1, 0, 0)); got != 0 {
		t.Errorf("%v of working time", got)
	}
}
