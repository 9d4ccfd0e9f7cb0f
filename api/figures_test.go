package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// addFigures adds floods at one site and judged tickets of one rule.
func addFigures(t *testing.T, f *fixture) {
	t.Helper()
	a := faultline.Alarm{ID: "plant-3/E-401/voltage", Site: "plant-3", Position: "E-401", Rule: "voltage", Title: "Voltage <low>", Severity: faultline.SeverityWarning, Acked: true, Count: 24}
	var events []faultline.AlarmEvent
	for i := range 24 { // twelve in each of two windows
		at := noon.Add(-5*time.Hour + time.Duration(i/12)*time.Hour + time.Duration(i%12)*20*time.Second)
		events = append(events, faultline.AlarmEvent{At: at, StoredAt: at, Transition: faultline.TransitionRaised, Severity: faultline.SeverityWarning})
	}
	last := events[23].At.Add(time.Second)
	must(t, f.store.ImportAlarm(t.Context(), a, append(events, faultline.AlarmEvent{At: last, StoredAt: last, Transition: faultline.TransitionChattering})))
	for i, verdict := range []string{"false", "false", "false", "true", "too_late", ""} {
		f.addTicket(t, faultline.Ticket{ID: fmt.Sprint("judged-", i), Kind: faultline.TicketFault, Status: faultline.StatusClosed, Priority: faultline.P3, Site: "plant-3", Position: "E-401", Rule: "voltage", Title: "Voltage low",
			ReceivedAt: noon.AddDate(0, 0, -2), ClosedAt: noon, ResolvedAt: noon, Resolution: faultline.Resolution{Outcome: "solved", Verdict: verdict}, Count: 1}, nil, nil)
	}
}

func TestAlarmFigures(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	addFigures(t, f)
	got := decode[AlarmFigures](t, f.get("/api/v1/alarm-figures?days=1"))
	if k := got.Total; k.Alarms != 27 || k.Floods != 2 || k.Peak != 12 || k.Chattering != 1 || k.Met || k.Windows != 144 || k.Mix[faultline.SeverityWarning] != 26 {
		t.Errorf("total %+v", k)
	}
	if len(got.Sites) != 2 || got.Sites[0].Site != "clinic" && got.Sites[1].Site != "clinic" || got.Targets.PerDay != 150 {
		t.Fatalf("%+v", got)
	}
	for _, s := range got.Sites {
		if want := map[string]int{"clinic": 0, "plant-3": 27}[s.Site]; s.Figures.Alarms != want {
			t.Errorf("%s: %d alarms, want %d", s.Site, s.Figures.Alarms, want)
		}
	}
	if one := decode[AlarmFigures](t, f.get("/api/v1/alarm-figures?site=clinic")); len(one.Sites) != 1 || one.Total.Alarms != 0 || !one.Total.Met {
		t.Errorf("%+v", one)
	}
	if made := decode[AlarmFigures](t, f.get("/api/v1/alarm-figures?made_up=true")); made.Total.Alarms != 0 {
		t.Errorf("made up: %+v", made.Total)
	}
	for _, bad := range []string{"days=0", "days=367", "days=x", "made_up=1", "until=now"} {
		if a := f.get("/api/v1/alarm-figures?" + bad); a.code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, a.code)
		}
	}
	body := f.get("/figures?days=1").body
	for _, want := range []string{"Voltage &lt;low&gt;", `href="/alarms/plant-3/E-401/voltage"`, "It chatters", "Missed", "27 in all; target: at most 150 a day", "2 of 144 windows", "24 <span", `value="1" selected`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if body := f.get("/figures?site=clinic&days=90").body; !strings.Contains(body, "No alarm in this time.") || strings.Contains(body, "Voltage") {
		t.Error("the clinic had no alarm")
	}
	if body := f.get("/figures?origin=made_up").body; !strings.Contains(body, "it did not happen") {
		t.Error("made-up figures do not say so")
	}
}

func TestVerdictAtResolvingAndClosing(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const page, path = "/tickets/T-000001", "/api/v1/tickets/T-000001/move"
	for _, to := range []string{"triaged", "in_progress"} {
		f.do(http.MethodPost, path, `{"to":"`+to+`"}`)
	}
	body := f.get(page).body
	for _, v := range faultline.Verdicts {
		if !strings.Contains(body, `<option value="`+v+`">`) {
			t.Errorf("verdict %s is not offered", v)
		}
	}
	resolve := "to=resolved&outcome=solved&mechanism=m&cause=c&functional_test=t&normal_reason=n&words=w&verdict="
	if a := f.form(page+"/move", resolve+"perhaps"); a.code != http.StatusBadRequest {
		t.Errorf("%d", a.code)
	}
	if a := f.form(page+"/move", strings.Replace(resolve, "words=w", "words=", 1)+"too_late"); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `<option value="too_late" selected>`) {
		t.Errorf("%d: the refused form forgets the verdict", a.code)
	}
	if a := f.form(page+"/move", resolve+"too_late"); a.code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if body := f.get(page).body; !strings.Contains(body, "Too late: the harm was done") {
		t.Error("the ticket does not show the verdict")
	}
	if a := f.do(http.MethodPost, path, `{"to":"closed"}`); decode[Ticket](t, a).Resolution.Verdict != faultline.VerdictTooLate {
		t.Errorf("closing forgets the verdict: %s", a.body)
	}
	if s := decode[Scorecard](t, f.get("/api/v1/scorecard")); len(s.Rules) != 1 || s.Rules[0].TooLate != 1 {
		t.Errorf("%+v", s)
	}
	if body := f.get("/tickets/T-000002").body; strings.Contains(body, "name=\"verdict\"") {
		t.Error("an inspection has no rule to judge")
	}

	// Given at closing only.
	g := newFixture(t)
	g.populate(t)
	for _, b := range []string{`{"to":"triaged"}`, `{"to":"in_progress"}`, `{"to":"resolved","resolution":{"outcome":"solved","mechanism":"m","cause":"c","functional_test":"t","normal_reason":"n","words":"w"}}`, `{"to":"closed","resolution":{"verdict":"true"}}`} {
		if a := g.do(http.MethodPost, path, b); a.code != http.StatusOK {
			t.Fatalf("%s: %d %s", b, a.code, a.body)
		}
	}
	if k, err := g.store.Ticket(t.Context(), "T-000001"); err != nil || k.Resolution.Verdict != faultline.VerdictTrue || k.Resolution.Cause != "c" {
		t.Errorf("%+v %v", k.Resolution, err)
	}
}

func TestScorecard(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	addFigures(t, f)
	got := decode[Scorecard](t, f.get("/api/v1/scorecard"))
	if len(got.Rules) != 2 {
		t.Fatalf("%+v", got.Rules)
	}
	r := got.Rules[0]
	if r.Rule != "voltage" || r.AssetKind != "power_meter" || r.Tickets != 6 || r.Judged != 5 || r.False != 3 || r.Precision == nil || *r.Precision != 0.4 || r.Propose == "" {
		t.Errorf("%+v", r)
	}
	body := f.get("/figures/rules").body
	for _, want := range []string{"voltage", "Power meter", "40 %", "3 × false", "3 of 5 were false", "not judged yet"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if body := f.get("/figures/rules?site=clinic").body; !strings.Contains(body, "No rule has opened a ticket") {
		t.Error("the clinic has only made-up tickets")
	}
}

// A rule below the bar is proposed for a change of its numbers, and gets one ticket while one is open. What counts
// afterwards is what is said of tickets received since.
func TestImprovement(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	addFigures(t, f)
	must(t, f.store.ReplaceRuleInstances(t.Context(), []faultline.RuleInstance{
		{Site: "plant-3", Position: "E-401", Rule: "voltage", Kind: "threshold", Point: "voltage", Unit: "V", OnDelay: 10 * time.Second, Limits: []faultline.Limit{{Name: "low", Value: 207}}},
	}))
	tickets := func() (list []faultline.Ticket) {
		list, _, err := f.store.Tickets(t.Context(), store.TicketFilter{Kind: []faultline.TicketKind{faultline.TicketImprovement}, Limit: 10})
		must(t, err)
		return list
	}
	for range 3 {
		must(t, f.improve(t.Context(), noon))
	}
	list := tickets()
	if len(list) != 1 {
		t.Fatalf("%d tickets", len(list))
	}
	k := list[0]
	if k.Rule != "voltage" || k.Site != "plant-3" || k.Keys[0] != "improvement|voltage" || k.Priority != faultline.P4 || !k.Due.Equal(noon.Add(improveTime)) {
		t.Errorf("%+v", k)
	}
	for _, want := range []string{"On power_meter: 3 of 5 were false", "- lower limits.low (now 207 V)\n", " false, ", " too late"} {
		if !strings.Contains(k.Text, want) {
			t.Errorf("%q is not in the ticket:\n%s", want, k.Text)
		}
	}
	if r := decode[Scorecard](t, f.get("/api/v1/scorecard")).Rules[0]; len(r.Changes) != 1 || r.Changes[0].Key != "limits.low" || r.Improvement != k.Number {
		t.Errorf("%+v", r)
	}
	body := f.get("/figures/rules").body
	for _, want := range []string{"<li>lower limits.low (now 207 V)</li>", `href="/tickets/` + k.Number + `"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}

	// Cancelled: what was said before counts no more; what is said of newer tickets does.
	if a := f.do(http.MethodPost, "/api/v1/tickets/"+k.Number+"/move", `{"to":"cancelled","reason":"wont_fix"}`); a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	must(t, f.improve(t.Context(), noon.Add(time.Hour)))
	if n := len(tickets()); n != 1 {
		t.Errorf("%d tickets: old verdicts count again", n)
	}
	for i := range 5 {
		f.addTicket(t, faultline.Ticket{ID: fmt.Sprint("again-", i), Kind: faultline.TicketFault, Status: faultline.StatusCancelled, CancelReason: faultline.CancelFalseAlarm, Priority: faultline.P3, Site: "plant-3", Position: "E-401", Rule: "voltage", Title: "Voltage low",
			ReceivedAt: noon.Add(2 * time.Hour), ClosedAt: noon.Add(3 * time.Hour), Count: 1}, nil, nil)
	}
	must(t, f.improve(t.Context(), noon.Add(4*time.Hour)))
	if n := len(tickets()); n != 2 {
		t.Errorf("%d tickets after new verdicts", n)
	}
}

func TestDocumentOfARule(t *testing.T) {
	var documents []faultline.Revision
	for _, name := range []string{"pump", "pump-vibration", "sensor-lost"} {
		documents = append(documents, faultline.Revision{Name: name})
	}
	for rule, want := range map[string]string{"pump-vibration": "/rules/pump-vibration", "sensor-lost-dew-point": "/rules/sensor-lost", "pump-vibration-de": "/rules/pump-vibration", "pumps": "", "gone": ""} {
		if got := documentHref(documents, rule); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}
