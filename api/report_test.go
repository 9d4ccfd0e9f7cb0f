package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

func TestOpenByHand(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	for body, want := range map[string]string{
		`{"site":"plant-3"}`:                                                  "title is empty",
		`{"site":"nowhere","title":"x"}`:                                      `there is no site "nowhere"`,
		`{"site":"plant-3","position":"P-9","title":"x"}`:                     `no position "P-9"`,
		`{"site":"plant-3","title":"x","kind":"fault"}`:                       `"fault" is not opened by hand`,
		`{"site":"plant-3","title":"x","urgency":4}`:                          "use 1 to 3",
		`{"site":"plant-3","title":"x","impact":"D"}`:                         "use A, B or C",
		`{"site":"plant-3","title":"x","received_at":"2027-01-01T00:00:00Z"}`: "still to come",
	} {
		if a := f.do(http.MethodPost, base+"/tickets", body); a.code != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(a.body, `\"`, `"`), want) {
			t.Errorf("%s: %d %s, want %s", body, a.code, a.body, want)
		}
	}
	k := decode[Ticket](t, f.do(http.MethodPost, base+"/tickets", `{"site":"plant-3","position":"P-101","title":" Pump rattles ","urgency":3,"received_at":"2026-03-14T11:30:00Z","assignee":"Anna"}`))
	if k.Kind != faultline.TicketManual || k.Priority != faultline.P1 || k.Title != "Pump rattles" || k.Serial == "" || k.Clocks.Response.State != faultline.ClockRunning || !k.Clocks.Response.Due.Equal(noon.Add(30*time.Minute)) {
		t.Errorf("%+v", k)
	}
	if body := f.get("/tickets/" + k.Number).body; !strings.Contains(body, "Pump rattles") || !strings.Contains(body, "Anna") {
		t.Error("its page does not show it")
	}
	form := url.Values{"place": {"plant-3/P-101"}, "kind": {"manual"}, "title": {""}, "text": {"since <noon>"}}
	if a := f.form("/tickets", form.Encode()); a.code != http.StatusBadRequest || !strings.Contains(a.body, "since &lt;noon&gt;") {
		t.Errorf("the refused form is lost: %d", a.code)
	}
	form.Set("title", "Seal drips")
	if a := f.form("/tickets", form.Encode()); a.code != http.StatusSeeOther {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// Corrections move the clocks, and the history tells of them.
func TestAmendTicket(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	must(t, f.store.PutContract(t.Context(), faultline.Contract{ID: "C-9", Name: "Fast", Customer: "somebody", From: noon, Until: noon.Add(time.Hour), Version: 1, Targets: faultline.Targets{ResponseP1: 30 * time.Minute}}))
	before := decode[Ticket](t, f.get(base+"/tickets/T-000001"))
	at := noon.Add(-10 * time.Minute)
	after := decode[Ticket](t, f.do(http.MethodPost, base+"/tickets/T-000001/amend", `{"urgency":3,"received_at":"`+at.Format(time.RFC3339)+`","contract":"C-9","assignee":"Ben","reason":"the customer called"}`))
	if after.Priority != faultline.P1 || after.Assignee != "Ben" || after.ContractVersion != 1 || after.Version != before.Version+1 {
		t.Errorf("%+v", after)
	}
	if due := after.Clocks.Response.Due; !due.Equal(noon.Add(20*time.Minute)) && before.Priority == faultline.P1 {
		t.Errorf("due %v", due) // P1 from the beginning: 30 min after it was received
	}
	if a := f.do(http.MethodPost, base+"/tickets/T-000001/amend", `{"contract":"C-8","reason":"x"}`); a.code != http.StatusBadRequest || !strings.Contains(a.body, "there is no C-8") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := f.form("/tickets/T-000001/amend", "urgency=1&impact=C"); a.code != http.StatusBadRequest || !strings.Contains(a.body, "what moves a clock needs") {
		t.Errorf("without a reason: %d", a.code)
	}
	if a := f.form("/tickets/T-000001/amend", "urgency=2&assignee=Carl&reason=calmer"); a.code != http.StatusSeeOther {
		t.Errorf("%d %s", a.code, a.body)
	}
	body := f.get("/tickets/T-000001").body
	for _, want := range []string{"Ben → Carl", "C-9@1", "the customer called", "calmer"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
}

func TestPromisePage(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	for _, to := range []string{"triaged", "in_progress"} {
		f.form("/tickets/T-000001/move", "to="+to)
	}
	if a := f.form("/tickets/T-000001/move", "to=waiting_parts&text=seal"); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "when the customer can expect the solution") {
		t.Errorf("without a promise: %d", a.code)
	}
	if a := f.form("/tickets/T-000001/move", "to=waiting_parts&text=seal+ordered&expected_at=2026-03-16T12:00"); a.code != http.StatusSeeOther {
		t.Errorf("%d %s", a.code, a.body)
	}
	body := f.get("/tickets/T-000001").body
	for _, want := range []string{"Promised solution", "1 promise", "seal ordered", "Waiting for parts"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
}
