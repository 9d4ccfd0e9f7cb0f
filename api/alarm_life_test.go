package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// addLives adds an alarm in each state that the fixture lacks.
func addLives(t *testing.T, f *fixture) {
	t.Helper()
	for _, a := range []faultline.Alarm{
		{Rule: "shelved", Active: true, ShelvedUntil: noon.Add(2 * time.Hour), ShelvedBy: "eva", ShelvedWhy: "known <leak>"},
		{Rule: "suppressed", Active: true, SuppressedBy: "gateway gw-1"},
		{Rule: "out", OutOfService: "tom: new seal", OutOfServiceUntil: noon.Add(26 * time.Hour), Acked: true},
		{Rule: "latched", Latched: true, Acked: true, AckedBy: "eva"},
	} {
		a.Site, a.Position, a.Title, a.Severity, a.Count, a.RaisedAt = "plant-3", "C-201", "Alarm "+a.Rule, faultline.SeverityWarning, 1, noon.Add(-time.Hour)
		a.ID = faultline.AlarmID(a.Site, a.Position, a.Rule)
		must(t, f.store.ImportAlarm(t.Context(), a, []faultline.AlarmEvent{
			{At: a.RaisedAt, StoredAt: a.RaisedAt.Add(5 * time.Minute), Transition: faultline.TransitionRaised, Severity: a.Severity, Why: "raised <early>"},
			{At: noon, StoredAt: noon, Transition: faultline.TransitionShelved, By: "eva"},
		}))
	}
}

func TestAlarmVerbs(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const alarm, asset = "/api/v1/alarms/plant-3/P-101/bearing-temperature/", "/api/v1/assets/plant-3/P-101/"
	for _, c := range []struct {
		path, body string
		code       int
		verb, rule string
	}{
		{alarm + "shelve", `{"reason":"known","until":"2026-03-15T12:00:00Z"}`, 200, faultline.VerbShelve, "bearing-temperature"},
		{alarm + "shelve", `{"reason":"known","until":"2026-03-15T12:00:01Z"}`, 400, "", ""},
		{alarm + "shelve", `{"reason":"known","until":"2026-03-14T12:00:00Z"}`, 400, "", ""},
		{alarm + "shelve", `{"reason":"known"}`, 400, "", ""},
		{alarm + "shelve", `{"reason":" ","until":"2026-03-15T12:00:00Z"}`, 400, "", ""},
		{alarm + "shelve", `{"reason":"known","until":"tomorrow"}`, 400, "", ""},
		{alarm + "unshelve", `{}`, 200, faultline.VerbUnshelve, "bearing-temperature"},
		{alarm + "out-of-service", `{"reason":"new seal","until":"2026-04-01T12:00:00Z"}`, 200, faultline.VerbOutOfService, "bearing-temperature"},
		{alarm + "out-of-service", `{"reason":"new seal","until":"2026-05-01T12:00:00Z"}`, 400, "", ""},
		{alarm + "return", ``, 200, faultline.VerbReturn, "bearing-temperature"},
		{alarm + "reset", `{"reason":"looked at"}`, 200, faultline.VerbReset, "bearing-temperature"},
		{asset + "out-of-service", `{"reason":"new seal","until":"2026-03-17T12:00:00Z"}`, 200, faultline.VerbOutOfService, ""},
		{asset + "return", `{}`, 200, faultline.VerbReturn, ""},
		{"/api/v1/alarms/plant-3/P-101/none/reset", `{}`, 404, "", ""},
		{"/api/v1/assets/plant-3/none/return", `{}`, 404, "", ""},
	} {
		before := len(f.bus.commands())
		a := f.do(http.MethodPost, c.path, c.body)
		sent := f.bus.commands()[before:]
		if a.code != c.code || (len(sent) == 1) != (c.code == 200) {
			t.Errorf("%s %s: %d %s, sent %+v", c.path, c.body, a.code, a.body, sent)
			continue
		}
		if len(sent) == 1 && (sent[0].Verb != c.verb || sent[0].Rule != c.rule || sent[0].Position != "P-101" || sent[0].By != local || sent[0].ID == "") {
			t.Errorf("%s: sent %+v", c.path, sent[0])
		}
	}
	if first := f.bus.commands()[0]; first.Reason != "known" || !first.Until.Equal(noon.Add(24*time.Hour)) {
		t.Errorf("%+v", first)
	}
	f.bus.result = faultline.CommandResult{Message: "there is nothing to reset: the alarm is not latched"}
	if a := f.do(http.MethodPost, alarm+"reset", `{}`); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "not latched") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestAlarmForms(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const alarm = "/alarms/plant-3/P-101/bearing-temperature"
	for _, c := range []struct {
		path  string
		form  url.Values
		sent  string
		until time.Time
	}{
		{alarm + "/shelve", url.Values{"reason": {"known"}, "for": {"24h"}, "back": {"/alarms?all=1"}}, faultline.VerbShelve, noon.Add(24*time.Hour - time.Minute)},
		{alarm + "/shelve", url.Values{"reason": {"known"}, "for": {"7d"}}, "", time.Time{}}, // too long for a shelf
		{alarm + "/shelve", url.Values{"for": {"1h"}}, "", time.Time{}},
		{alarm + "/shelve", url.Values{"reason": {"known"}, "for": {"for ever"}}, "", time.Time{}},
		{alarm + "/unshelve", nil, faultline.VerbUnshelve, time.Time{}},
		{"/assets/plant-3/P-101/out-of-service", url.Values{"reason": {"visit"}, "for": {"7d"}}, faultline.VerbOutOfService, noon.Add(7*24*time.Hour - time.Minute)},
		{"/assets/plant-3/P-101/return", nil, faultline.VerbReturn, time.Time{}},
	} {
		before := len(f.bus.commands())
		a := f.form(c.path, c.form.Encode())
		if a.code != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), "notice=") {
			t.Fatalf("%s %v: %d %s", c.path, c.form, a.code, a.body)
		}
		back := c.form.Get("back")
		if back == "" {
			back = c.path[:strings.LastIndex(c.path, "/")] + "?notice="
		}
		if !strings.HasPrefix(a.header.Get("Location"), back) {
			t.Errorf("%s leads to %s", c.path, a.header.Get("Location"))
		}
		sent := f.bus.commands()[before:]
		switch {
		case c.sent == "" && len(sent) > 0:
			t.Errorf("%s %v: sent %+v", c.path, c.form, sent)
		case c.sent != "" && (len(sent) != 1 || sent[0].Verb != c.sent || !sent[0].Until.Equal(c.until)):
			t.Errorf("%s %v: sent %+v", c.path, c.form, sent)
		}
	}
}

func TestAlarmsByState(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	addLives(t, f)
	for state, want := range map[string]string{"UNACK": "bearing-temperature", "RTNUN": "pressure", "ACKED": "vibration latched", "SHLVD": "shelved", "DSUPR": "suppressed", "OOSRV": "out", "NORM": ""} {
		var got []string
		p := decode[Page[Alarm]](t, f.get("/api/v1/alarms?state="+state))
		for _, a := range p.Items {
			got = append(got, a.Rule)
		}
		if len(got) != p.Total || strings.Join(got, " ") != want && strings.Join(got, " ") != "latched vibration" {
			t.Errorf("%s: %v of %d, want %s", state, got, p.Total, want)
		}
	}
	if a := f.get("/api/v1/alarms?state=ACKED&limit=1&offset=1"); len(decode[Page[Alarm]](t, a).Items) != 1 || decode[Page[Alarm]](t, a).Total != 2 {
		t.Errorf("%s", a.body)
	}
	if a := f.get("/api/v1/alarms?state=asleep"); a.code != http.StatusBadRequest {
		t.Errorf("%d", a.code)
	}
	body := f.get("/alarms?state=SHLVD").body
	if !strings.Contains(body, "Alarm shelved") || strings.Contains(body, "Alarm out") || !strings.Contains(body, `value="SHLVD" selected`) {
		t.Error("the page does not choose by state")
	}
}

func TestStatesSayWhy(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	addLives(t, f)
	for rule, want := range map[string][]string{
		"shelved":    {"Shelved", "until 14:00:00 by eva: known &lt;leak&gt;", "/C-201/shelved/unshelve"},
		"suppressed": {"Suppressed", "while gateway gw-1 is down", "/C-201/suppressed/shelve"},
		"out":        {"Out of service", "until 15 Mar 14:00 by tom: new seal", "/C-201/out/return"},
		"latched":    {"latched until it is reset", "/C-201/latched/reset"},
	} {
		for _, page := range []string{"/alarms?all=1", "/assets/plant-3/C-201", "/alarms/plant-3/C-201/" + rule} {
			body := f.get(page).body
			for _, w := range want {
				if !strings.Contains(body, w) {
					t.Errorf("%s does not show %q", page, w)
				}
			}
		}
	}
	body := f.get("/alarms/plant-3/C-201/shelved").body
	for _, w := range []string{"Raised", "raised &lt;early&gt;", "known since", "by eva"} {
		if !strings.Contains(body, w) {
			t.Errorf("the history does not show %q", w)
		}
	}
	if a := f.get("/alarms/plant-3/C-201/none"); a.code != http.StatusNotFound {
		t.Errorf("%d", a.code)
	}
	if body := f.get("/assets/plant-3/P-101").body; strings.Contains(body, "by tom: new seal") || !strings.Contains(body, "Take out of service") {
		t.Error("P-101 is not out of service")
	}
}
