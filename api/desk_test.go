package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
)

// TestTicketFromNewToClosedByForms goes the whole way as a person does, without script.
func TestTicketFromNewToClosedByForms(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const page = "/tickets/T-000001"
	post := func(form string, v url.Values) {
		t.Helper()
		a := f.form(page+form, v.Encode())
		if a.code != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), page+"?notice=") {
			t.Fatalf("%s %v: %d %s %s", form, v, a.code, a.header.Get("Location"), a.body)
		}
	}
	offers := func(want ...string) {
		t.Helper()
		body := f.get(page).body
		for _, st := range statuses {
			there, wanted := strings.Contains(body, `id="move-`+st+`"`), strings.Contains(" "+strings.Join(want, " ")+" ", " "+st+" ")
			if there != wanted {
				t.Errorf("move to %s is offered: %v", st, there)
			}
		}
	}
	offers("triaged", "waiting_customer", "cancelled")
	if body := f.get(page).body; !strings.Contains(body, "Acknowledge</button>") && !strings.Contains(body, "Acknowledge 1 alarm") {
		t.Error("its unacknowledged alarm is not offered")
	}
	post("/acknowledge", nil)
	post("/comment", url.Values{"text": {"We are on it."}, "kind": {"response"}})
	post("/move", url.Values{"to": {"triaged"}, "text": {"needs a visit"}, "version": {"2"}})
	offers("in_progress", "scheduled", "waiting_customer", "resolved", "cancelled")
	post("/move", url.Values{"to": {"in_progress"}})
	offers("waiting_customer", "waiting_parts", "scheduled", "resolved", "triaged", "cancelled")

	// The gate: what is missing is named, what was typed is kept.
	typed := url.Values{"to": {"resolved"}, "outcome": {"solved"}, "cause": {"grease <interval> too long"}, "words": {"All is well."}}
	a := f.form(page+"/move", typed.Encode())
	if a.code != http.StatusUnprocessableEntity {
		t.Fatalf("%d", a.code)
	}
	for _, want := range []string{"mechanism", "functional_test", "normal_reason", "grease &lt;interval&gt; too long", "All is well.", `data-href="/tickets/T-000001"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the refused form does not show %s", want)
		}
	}
	typed.Set("mechanism", "bearing worn")
	typed.Set("functional_test", "one hour at full load, 61 °C")
	typed.Set("normal_reason", "sensor is being replaced")
	typed.Set("failure_mode", "overheating")
	post("/move", typed)
	post("/move", url.Values{"to": {"closed"}})
	offers()

	k, err := f.store.Ticket(t.Context(), "T-000001")
	must(t, err)
	if k.Status != faultline.StatusClosed || !responded(&k).Equal(noon) || !solutionSent(&k).Equal(noon) || k.Resolution.Cause != "grease <interval> too long" {
		t.Errorf("%+v", k)
	}
	events, err := f.store.TicketEvents(t.Context(), k.ID)
	must(t, err)
	var kinds []string
	for _, e := range events[2:] {
		kinds = append(kinds, e.Kind+">"+e.To)
	}
	if got := strings.Join(kinds, " "); got != "response> moved>triaged moved>in_progress moved>resolved solution_sent> moved>closed" {
		t.Errorf("history %s", got)
	}
	if len(f.bus.events) != 5 { // all but the acknowledgement, which rules tells
		t.Errorf("%d changes told", len(f.bus.events))
	}
}

func TestConflictNamesWhoWasFirst(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.form("/tickets/T-000001/move", "to=triaged&version=1")
	a := f.form("/tickets/T-000001/move", "to=cancelled&reason=false_alarm&version=1")
	if a.code != http.StatusConflict || !strings.Contains(a.body, "local changed this ticket at 12:00:00 (Moved)") || strings.Contains(a.body, "12:00:00Z (moved)") || !strings.Contains(a.body, `<option value="false_alarm" selected>`) {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestFormsSpeakOfFieldsAsPagesDo(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	for form, want := range map[string]string{
		"to=cancelled&reason=duplicate":                                                    "Number of the other ticket: which ticket this one repeats",
		"to=cancelled&reason=duplicate&duplicate_of=T-000001":                              "Number of the other ticket: T-000001 cannot be a duplicate of itself",
		"to=cancelled&reason=duplicate&duplicate_of=T-000999":                              "Number of the other ticket: there is no ticket &#34;T-000999&#34;",
		"to=cancelled&reason=false_alarm&version=1&text=" + strings.Repeat("x", maxText+1): "Text has 8001 bytes",
	} {
		if a := f.form("/tickets/T-000001/move", form); a.code < 400 || !strings.Contains(a.body, want) {
			t.Errorf("%.60s: %d, does not say %s", form, a.code, want)
		}
	}
	for _, to := range []string{"triaged", "in_progress"} {
		f.form("/tickets/T-000001/move", "to="+to)
	}
	a := f.form("/tickets/T-000001/move", "to=resolved&outcome=solved")
	if !strings.Contains(a.body, "<li>Functional test: what was tested and what came out</li>") || strings.Contains(a.body, "<li>functional_test") {
		t.Error("what is missing is named as the API names it")
	}
}

// TestEvidenceReadsAsItsPointDoes: words are whole numbers, and the moment is what it is.
func TestEvidenceReadsAsItsPointDoes(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	three := 9.0
	for kind, want := range map[string]string{"state": "raised", "meter": "due since", "test": "test"} {
		e := faultline.Evidence{Alarm: "a", At: noon, Point: "alarm_word", Rule: "r", Kind: kind, Samples: []faultline.EvidenceSample{{At: noon, Value: &three, Quality: faultline.Good}}}
		k := f.addTicket(t, faultline.Ticket{ID: "e-" + kind, Kind: faultline.TicketFault, Status: faultline.StatusNew, Priority: faultline.P3, Site: "plant-3", Position: "P-101", Title: "Pump reports an alarm", ReceivedAt: noon, Count: 1}, nil, []faultline.Evidence{e})
		body := f.get("/tickets/" + k.Number).body
		for _, w := range []string{`<td class="num">overtemperature, dry run</td>`, `<span class="mark">` + want + `</span>`, "Samples up to the moment that raised it</caption>"} {
			if !strings.Contains(body, w) {
				t.Errorf("%s: the page does not show %s", kind, w)
			}
		}
	}
	if body := f.get("/tickets/T-000001").body; !strings.Contains(body, "that raised it, and after it</caption>") {
		t.Error("samples after the moment are not told")
	}
}

func TestRulesOfManyPointsStandInOneRow(t *testing.T) {
	rule := func(id, title, point string) faultline.RuleInstance {
		return faultline.RuleInstance{Rule: id, Title: title, Point: point, Kind: "silence", Version: 1}
	}
	rows := ruleRows([]faultline.RuleInstance{
		rule("lost-flow-rate", "No usable value: Flow: rate", "flow_rate"), rule("hot", "Hot", "t"), rule("lost-head", "No usable value: Head", "head"),
		rule("other-head", "Other: Head", "head"), {Rule: "lim-head", Title: "No usable value: Head", Point: "head", Kind: "silence", Version: 1, Limits: []faultline.Limit{{Name: "high"}}},
	})
	if len(rows) != 4 || rows[0].Title != "No usable value" || rows[0].ID != "lost" || strings.Join(rows[0].Points, " ") != "flow_rate head" || rows[2].Title != "Other: Head" || rows[2].Points != nil {
		t.Errorf("%+v", rows)
	}
}

func TestInspectionIsServicedOnce(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const path = "/api/v1/tickets/T-000002/move"
	resolve := `{"to":"resolved","resolution":{"outcome":"solved","words":"Serviced.","jobs_done":true}}`
	f.bus.err = fmt.Errorf("send: %w", bus.ErrPending)
	a := f.do(http.MethodPost, path, resolve)
	k := decode[Ticket](t, a)
	if a.code != http.StatusAccepted || k.Status != faultline.StatusResolved || len(k.Notes) != 1 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	f.bus.err = nil
	// Closed before rules has read it: sent again under the same name, so that it counts once.
	if a := f.do(http.MethodPost, path, `{"to":"closed"}`); a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	sent := f.bus.commands()
	if len(sent) != 2 || sent[0].ID != sent[1].ID || sent[0].Verb != faultline.VerbServiced || sent[0].Plan != "pump-2000h" || sent[0].Position != "P-101" {
		t.Errorf("%+v", sent)
	}

	// Done already: nothing is sent.
	g := newFixture(t)
	g.populate(t)
	g.inTx(t, func(tx *store.Tx) error {
		return tx.PutInspection(faultline.Inspection{Site: "plant-3", Position: "P-101", Plan: "pump-2000h", Cycle: 4, Status: faultline.InspectionDone, DueAt: noon, Until: noon, DoneAt: noon, Ticket: "inspection-1"})
	})
	if a := g.do(http.MethodPost, path, resolve); a.code != http.StatusOK || len(g.bus.commands()) != 0 {
		t.Errorf("%d, sent %v", a.code, g.bus.commands())
	}
}

func TestGuideTicksOff(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Demo = true })
	if body := f.get("/").body; !strings.Contains(body, "Wait a moment") || !strings.Contains(body, "No equipment yet") {
		t.Error("the empty overview does not say what is to come")
	}
	f.populate(t)
	f.now = func() time.Time { return noon.Add(bookTime) }
	done := func() int { return strings.Count(f.get("/").body, `<li class="done">`) }
	if n := done(); n != 0 {
		t.Errorf("%d steps are done before anything was", n)
	}
	f.form("/tickets/T-000001/comment", "text=hello&kind=response")
	f.form("/tickets/T-000001/move", "to=triaged")
	if n := done(); n != 2 {
		t.Errorf("%d steps done", n)
	}
	if body := newFixture(t).get("/").body; strings.Contains(body, "What to try next") {
		t.Error("there is a guide outside the demonstration")
	}
}

const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(2)></textarea></title>` + "\x1b{{.}}"

// TestHostileText puts markup into every free text that pages and pictures show.
func TestHostileText(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Demo = true })
	ctx := t.Context()
	must(t, f.store.PutSite(ctx, faultline.Site{ID: "s", Name: hostile, Customer: hostile, Region: hostile}))
	must(t, f.store.PutPosition(ctx, faultline.Position{Site: "s", ID: "P", Name: hostile, Kind: "pump", Gateway: "g", Profile: hostile, Address: hostile, Parent: hostile,
		Asset:  faultline.Asset{Serial: hostile, Model: hostile, Manufacturer: hostile, Customer: hostile, Criticality: hostile, ProductKind: hostile},
		Points: []faultline.Point{{Name: "a", Title: hostile, Unit: hostile, Type: faultline.TypeFloat, Trend: true}, {Name: "b", Title: hostile, Type: faultline.TypeInt, Trend: true, Texts: map[int64]string{1: hostile}}, {Name: "c", Type: faultline.TypeString, Trend: true}}}))
	must(t, f.store.PutContract(ctx, faultline.Contract{ID: hostile, Name: hostile, Customer: hostile, Sites: []string{hostile}, From: noon.AddDate(-1, 0, 0), Until: noon.AddDate(1, 0, 0)}))
	must(t, f.store.PutPlan(ctx, faultline.Plan{ID: "plan", Title: hostile, AssetKind: hostile, Meter: hostile, Unit: hostile, Jobs: []string{hostile}}))
	must(t, f.store.TouchGateway(ctx, faultline.Gateway{ID: "g", Site: "s", LastSeen: noon}))
	limits := []faultline.Limit{{Name: hostile, Value: 3, Severity: faultline.SeverityWarning}}
	must(t, f.store.ReplaceRuleInstances(ctx, []faultline.RuleInstance{{Site: "s", Position: "P", Rule: "r", Title: hostile, Kind: hostile, Point: "a", Unit: hostile, FailureMode: hostile, Family: hostile, Limits: limits, Check: []string{hostile}}}))
	v := 1.0
	k := f.addTicket(t, faultline.Ticket{ID: "k", Kind: faultline.TicketFault, Status: faultline.StatusInProgress, Priority: hostile, Site: "s", Position: "P", Serial: hostile, Rule: "r", FailureMode: hostile, Family: hostile, Plan: "plan", Title: hostile, Text: hostile, Suggest: hostile, Assignee: hostile, Maintenance: hostile,
		Coverage: faultline.Coverage{State: hostile, Term: hostile}, Resolution: faultline.Resolution{Outcome: hostile, Cause: hostile, Words: hostile, Mechanism: hostile}, Earlier: hostile, CancelReason: hostile, ReceivedAt: noon, Keys: []string{"s|P|r|x"}},
		[]faultline.TicketEvent{{At: noon, By: hostile, Kind: hostile, From: hostile, To: hostile, Text: hostile}},
		[]faultline.Evidence{{Alarm: "s/P/r", At: noon, Point: hostile, Unit: hostile, Rule: hostile, Kind: hostile, Why: hostile, Limits: limits, Samples: []faultline.EvidenceSample{{At: noon, Value: &v, Quality: hostile}, {At: noon, Text: hostile, Quality: faultline.Good}, {At: noon, Quality: "bad:" + hostile}, {At: noon, Value: &v, Quality: "uncertain:" + hostile}}}})
	must(t, f.store.ImportAlarm(ctx, faultline.Alarm{ID: "s/P/r", Site: "s", Position: "P", Rule: "r", Title: hostile, Why: hostile, AckedBy: hostile, SuppressedBy: hostile, Active: true, Severity: faultline.SeverityWarning, Count: 2, Ticket: k.ID, RaisedAt: noon}, nil))
	f.inTx(t, func(tx *store.Tx) error {
		must(t, tx.AddDeadLetter(faultline.DeadLetter{At: noon, Site: hostile, Gateway: hostile, Epoch: hostile, Line: hostile, Reason: hostile}))
		must(t, tx.PutLedger(faultline.LedgerRow{Site: hostile, Gateway: "g", Epoch: hostile, First: 1, Last: 1, LastAt: noon}))
		return tx.PutInspection(faultline.Inspection{Site: "s", Position: "P", Plan: "plan", Cycle: 1, Status: hostile, Ticket: k.ID, DueAt: noon})
	})
	f.takeFrame(faultline.Frame{Site: "s", Position: "P", Time: noon, Samples: []faultline.Sample{{Point: "a", Quality: "bad:" + hostile}, {Point: "b", Value: faultline.Int(1), Quality: "uncertain:" + hostile}, {Point: "c", Value: faultline.String(hostile), Quality: faultline.Good}, {Point: hostile, Value: faultline.String(hostile), Quality: hostile}}})

	page := "/tickets/" + k.Number
	answers := map[string]answered{
		"refused move":    f.form(page+"/move", url.Values{"to": {"resolved"}, "cause": {hostile}, "mechanism": {hostile}, "words": {hostile}, "outcome": {hostile}, "functional_test": {hostile}, "failure_mode": {hostile}}.Encode()),
		"refused cancel":  f.form(page+"/move", url.Values{"to": {"cancelled"}, "reason": {hostile}, "duplicate_of": {hostile}, "text": {hostile}}.Encode()),
		"refused target":  f.form(page+"/move", url.Values{"to": {hostile}}.Encode()),
		"refused comment": f.form(page+"/comment", url.Values{"text": {hostile}, "kind": {hostile}}.Encode()),
		"odd host":        f.do("GET", "/", "", host(hostile)),
		"login":           f.get("/login?token=" + url.QueryEscape(hostile)),
	}
	f.bus.result = faultline.CommandResult{OK: true, Message: hostile}
	done := f.form("/assets/s/P/test-alarm", url.Values{"reason": {hostile}}.Encode())
	answers["notice"] = f.get(done.header.Get("Location"))
	for _, path := range []string{"/", "/assets", "/assets?text=" + url.QueryEscape(hostile), "/assets/s/P", "/alarms?all=1", "/tickets?show=all&text=" + url.QueryEscape(hostile), "/tickets?show=all", page, "/inspections", "/data", "/data/dead-letters", "/contracts", "/api", "/" + url.PathEscape(hostile), page[:9] + url.PathEscape(hostile)} {
		answers[path] = f.get(path)
	}
	shown := 0
	for name, a := range answers {
		for _, bad := range []string{"<script>alert", "<img src=x", "</textarea></title>", "\x00", `"'>`} {
			if strings.Contains(a.body, bad) {
				i := strings.Index(a.body, bad)
				t.Errorf("%s: %q got through: …%s", name, bad, a.body[max(0, i-120):min(len(a.body), i+80)])
			}
		}
		shown += strings.Count(a.body, "&lt;script&gt;alert")
	}
	if shown < 100 {
		t.Errorf("only %d hostile texts are shown: the pages do not show what this tests", shown)
	}
	for _, path := range []string{"/api/v1" + page + "/evidence/1/picture.svg", "/api/v1/assets/s/P/points/a/picture.svg"} {
		if a := f.get(path); a.code != 200 || strings.Contains(a.body, "<script") || strings.Contains(a.body, "<img") {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

// TestPagesAreSelfContained holds what the content security policy demands: no script or style in the
// page, no handler, nothing from elsewhere; and a caption, label or heading for everything.
func TestPagesAreSelfContained(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Demo = true })
	f.populate(t)
	for _, path := range []string{"/", "/assets", "/assets/plant-3/P-101", "/alarms?all=1", "/tickets?show=all", "/tickets/T-000001", "/tickets/T-000002", "/tickets/T-000003", "/inspections", "/data", "/data/dead-letters", "/contracts", "/api", "/login?token=x", "/nothing"} {
		body := f.get(path).body
		for _, bad := range []string{" style=", "<style", " onclick", " onload", "<script>", "javascript:", `src="http`, `href="http`, "url(http", "<no value>", "%!"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
		if n := strings.Count(body, "<h1"); n != 1 {
			t.Errorf("%s has %d first headings", path, n)
		}
		if strings.Count(body, "<table") != strings.Count(body, "<caption") {
			t.Errorf("%s: a table has no caption", path)
		}
		for _, part := range strings.Split(body, "<svg")[1:] {
			if head, _, _ := strings.Cut(part, ">"); !strings.Contains(head, "aria-") && !strings.Contains(head, "preserveAspectRatio") {
				t.Errorf("%s: a picture has no words: %s", path, head)
			}
		}
	}
}

func TestTextsAreNotShownTwice(t *testing.T) {
	check := []string{"Lubrication - level and smell.", "Alignment of the coupling."}
	for text, want := range map[string]string{
		"Vibration 10.4 mm/s above its limit.\nTo check:\n1. Lubrication - level and smell.\n2. Alignment of the coupling.":                      "",
		"Vibration 10.4 mm/s above its limit.\nTo check:\n1. Lubrication - level and smell.\n2. Call Anna first.\n3. Alignment of the coupling.": "2. Call Anna first.",
		"The customer called.": "The customer called.",
	} {
		if got := withoutRepeats(text, "vibration 10.4 mm/s above its limit", check); got != want {
			t.Errorf("%q is left of %q", got, text)
		}
	}
	if got := withoutRepeats("To check:\n1. Anything", "", nil); got != "To check:\n1. Anything" {
		t.Errorf("%q", got)
	}
}

// TestReportOfUnsolvedWork sends work back to triage by its form: what is missing is named, what was
// typed is kept, and the plan stands on the ticket.
func TestReportOfUnsolvedWork(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const page = "/tickets/T-000001"
	for _, to := range []string{"triaged", "in_progress"} {
		if a := f.form(page+"/move", "to="+to); a.code != http.StatusSeeOther {
			t.Fatalf("to %s: %d", to, a.code)
		}
	}
	typed := url.Values{"to": {"triaged"}, "outcome": {"not_solved"}, "cause": {"seal <worn>"}, "words": {"The spare comes on Friday."}, "next_at": {"2026-03-20"}}
	a := f.form(page+"/move", typed.Encode())
	for _, want := range []string{"seal &lt;worn&gt;", "The spare comes on Friday.", `value="2026-03-20"`, `<option value="not_solved" selected>`} {
		if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, want) {
			t.Errorf("%d: the refused form does not show %s", a.code, want)
		}
	}
	typed.Set("next_plan", "change the seal")
	typed.Set("owner", "Ben")
	if a := f.form(page+"/move", typed.Encode()); a.code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.code, a.body)
	}
	k, err := f.store.Ticket(t.Context(), "T-000001")
	must(t, err)
	if k.Status != faultline.StatusTriaged || k.Assignee != "Ben" || !k.Resolution.NextAt.Equal(time.Date(2026, 3, 20, 23, 59, 59, 0, time.UTC)) || !solutionSent(&k).Equal(noon) {
		t.Errorf("%+v", k)
	}
	body := f.get(page).body
	for _, want := range []string{"Not solved. Cause: seal &lt;worn&gt;. Next: change the seal. By: Ben, until 20 Mar 2026.", "Diagnosis sent", "The spare comes on Friday."} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
}
