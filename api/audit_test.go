package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

func (f *fixture) audit(t testing.TB) []faultline.AuditEntry {
	t.Helper()
	entries, _, err := f.store.AuditEntries(t.Context(), store.AuditFilter{})
	must(t, err)
	_, err = f.store.VerifyAudit(t.Context(), faultline.AuditHead{}, nil)
	must(t, err)
	return entries
}

func TestChangesAreAudited(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	agent := f.login(t, "anna", faultline.RoleAgent)
	if a := f.do(http.MethodGet, "/api/v1/tickets", "", agent); a.code != 200 || len(f.audit(t)) != 0 {
		t.Fatal("reading is no change")
	}
	f.do(http.MethodPost, "/api/v1/tickets/T-000001/move", `{"to":"triaged","text":"remote first"}`, agent)
	f.do(http.MethodPost, "/api/v1/tickets/T-000001/move", `{"to":"closed"}`, agent)
	f.do(http.MethodPost, "/api/v1/alarms/plant-3/P-101/bearing-temperature/acknowledge", `{"reason":"seen"}`, agent)
	f.do(http.MethodPost, "/api/v1/assets/plant-3/P-101/test-alarm", `{}`, agent) // takes an engineer
	f.do(http.MethodPost, "/tickets/T-000001/move", "to=closed", agent, header("Content-Type", "application/x-www-form-urlencoded"))
	f.bus.err = errors.New("the bus is down")
	f.do(http.MethodPost, "/api/v1/alarms/plant-3/P-101/bearing-temperature/shelve", `{"reason":"known","until":"2026-03-14T16:00:00Z"}`, agent)

	all := f.audit(t)
	want := []struct{ action, outcome, words string }{ // the newest first
		{"POST /api/v1/alarms/:site/:position/:rule/shelve", faultline.OutcomeFailed, "shelve plant-3/P-101/bearing-temperature until 2026-03-14T16:00:00Z because: known"},
		{"POST /tickets/:id/move", faultline.OutcomeRefused, "closed"},
		{"POST /api/v1/assets/:site/:position/test-alarm", faultline.OutcomeDenied, "engineer or admin"},
		{"POST /api/v1/alarms/:site/:position/:rule/acknowledge", faultline.OutcomeDone, "acknowledge plant-3/P-101/bearing-temperature because: seen"},
		{"POST /api/v1/tickets/:id/move", faultline.OutcomeRefused, "closed"},
		{"POST /api/v1/tickets/:id/move", faultline.OutcomeDone, ""},
	}
	if len(all) != len(want) {
		t.Fatalf("%d entries: %+v", len(all), all)
	}
	for i, w := range want {
		e := all[i]
		if e.Action != w.action || e.Outcome != w.outcome || !strings.Contains(e.Detail, w.words) || e.By != "anna" || e.Role != faultline.RoleAgent || e.Via != "session" || e.From == "" || len(e.Request) != 64 && e.Outcome != faultline.OutcomeDenied {
			t.Errorf("entry %d: %+v", e.N, e)
		}
	}
	if e := all[5]; e.Object != "ticket T-000001" || !strings.Contains(e.After, `"status":"triaged"`) || !strings.Contains(e.Before, `"status":"new"`) {
		t.Errorf("before and after: %+v", e)
	}
	if e := all[2]; e.Object != "plant-3/P-101" {
		t.Errorf("object: %+v", e)
	}

	page := decode[Page[faultline.AuditEntry]](t, f.do(http.MethodGet, "/api/v1/audit?outcome=denied&by=anna&text=TEST-ALARM", "", f.login(t, "boss", faultline.RoleAdmin)))
	if page.Total != 1 || page.Items[0].N != 4 || page.Items[0].Hash == "" {
		t.Errorf("%+v", page)
	}
}

// Every attempt to write a point leaves an entry, and so does what the second person decides: who, which point, what
// was asked for, and whether it was done, waits, was refused or denied.
func TestWritesAreAudited(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	engineer, agent := f.login(t, "otto", faultline.RoleEngineer), f.login(t, "anna", faultline.RoleAgent)
	f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":62.5,"reason":"less demand","id":"w-1"}`, engineer)
	f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":1000,"reason":"too much"}`, engineer)
	f.do(http.MethodPost, writePath+"vibration/write", `{"value":1,"reason":"not writable"}`, engineer)
	f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":60,"reason":"not my role"}`, agent)
	f.do(http.MethodPost, writePath+"run_command/write", `{"value":false,"reason":"service","id":"w-2"}`, engineer)
	f.do(http.MethodPost, "/api/v1/writes/w-2/approve", `{"reason":"myself"}`, engineer)
	f.do(http.MethodPost, "/api/v1/writes/w-2/refuse", `{"reason":"not now"}`, f.login(t, "eva", faultline.RoleEngineer))
	f.bus.told = faultline.WriteAnswer{Status: faultline.WriteUnknown, Message: "the device did not confirm"}
	f.do(http.MethodPost, writePath+"speed_setpoint/write", `{"value":61,"reason":"again"}`, engineer)

	const ask, point = "POST /api/v1/assets/:site/:position/points/:point/write", "speed_setpoint at plant-3/P-101"
	want := []struct{ by, action, object, outcome, words string }{ // the newest first; what is sent leaves one entry more, of its outcome
		{"otto", ask, point, faultline.OutcomeDone, `"status":"unknown"`},
		{"otto", ask, point, faultline.OutcomeDone, `"value":61`},
		{"eva", "POST /api/v1/writes/:id/refuse", "write w-2", faultline.OutcomeDone, `"status":"refused"`},
		{"otto", "POST /api/v1/writes/:id/approve", "w-2", faultline.OutcomeRefused, "second person"},
		{"otto", ask, "write w-2 of run_command", faultline.OutcomeDone, `"status":"pending"`},
		{"anna", ask, "plant-3/P-101/speed_setpoint", faultline.OutcomeDenied, "engineer"},
		{"otto", ask, "plant-3/P-101/vibration", faultline.OutcomeRefused, "may not be written"},
		{"otto", ask, "plant-3/P-101/speed_setpoint", faultline.OutcomeRefused, "1000"},
		{"otto", ask, point, faultline.OutcomeDone, `"old":40,"read_back":5`},
		{"otto", ask, point, faultline.OutcomeDone, `"value":62.5`},
	}
	all := f.audit(t)
	if len(all) != len(want) {
		t.Fatalf("%d entries: %+v", len(all), all)
	}
	for i, w := range want {
		e := all[i]
		if e.By != w.by || e.Action != w.action || !strings.Contains(e.Object, w.object) || e.Outcome != w.outcome || !strings.Contains(e.Detail+e.After, w.words) {
			t.Errorf("entry %d: %+v, want %+v", i, e, w)
		}
	}
}

func TestRefusedAttemptsAreBounded(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	viewer := f.login(t, "eve", faultline.RoleViewer)
	for range 3 * attemptsFromOne {
		f.do(http.MethodPost, "/api/v1/assets/plant-3/P-101/test-alarm", `{}`, viewer)
	}
	if n := len(f.audit(t)); n != attemptsFromOne {
		t.Errorf("%d entries", n)
	}
	later := noon.Add(attemptWindow)
	f.now = func() time.Time { return later }
	f.do(http.MethodPost, "/api/v1/assets/plant-3/P-101/test-alarm", `{}`, viewer)
	if e := f.audit(t)[0]; !strings.Contains(e.Detail, "20 further attempts before this one were left out") {
		t.Errorf("%+v", e)
	}
	// From many addresses together.
	var a attempts
	taken := 0
	for i := range 1000 {
		if ok, _ := a.take(string(rune('a'+i)), noon); ok {
			taken++
		}
	}
	if taken != attemptsPerMinute {
		t.Errorf("%d taken", taken)
	}
}

// What came from outside is text in the audit, however it looks.
func TestAwkwardObjects(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	agent := f.login(t, "anna", faultline.RoleAgent)
	for _, id := range []string{"\x00", "\xff\xfe", strings.Repeat("ü", 5000), "'; DROP TABLE audit; --"} {
		f.do(http.MethodPost, "/api/v1/tickets/"+url.PathEscape(id)+"/move", `{"to":"triaged"}`, agent)
	}
	all := f.audit(t)
	if len(all) != 4 {
		t.Fatalf("%d entries", len(all))
	}
	for _, e := range all {
		if len(e.Object) > 210 || strings.ContainsRune(e.Object, 0) {
			t.Errorf("%q", e.Object)
		}
	}
}
