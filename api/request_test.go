package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

func TestRequestsAreReadStrictly(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const move = "/api/v1/tickets/T-000001/move"
	for _, c := range []struct {
		method, path, body, media string
		code                      int
		says                      string
	}{
		{"POST", move, `{"to":"triaged","resaon":"x"}`, "", 400, "resaon"},
		{"POST", move, `{"to":"triaged"} {"to":"closed"}`, "", 400, "nothing after it"},
		{"POST", move, `{"to":7}`, "", 400, "body"},
		{"POST", move, `{"to":`, "", 400, "body"},
		{"POST", move, `to=triaged`, "application/x-www-form-urlencoded", 415, "application/json"},
		{"POST", move, `{"to":"triaged","text":"` + strings.Repeat("x", maxBody) + `"}`, "", 413, "at most"},
		{"POST", move, `{"to":"triaged","text":"` + strings.Repeat("x", maxText+1) + `"}`, "", 400, "text"},
		{"POST", move, `{"to":"repaired"}`, "", 400, `"allowed":["new"`},
		{"POST", move, `{"to":"closed"}`, "", 422, `"allowed":["triaged","waiting_customer","cancelled"]`},
		{"POST", move, `{"to":"cancelled","reason":"because"}`, "", 400, `"allowed":["duplicate"`},
		{"POST", move, `{"to":"cancelled","reason":"duplicate"}`, "", 400, "duplicate_of"},
		{"POST", move, `{"to":"cancelled","reason":"duplicate","duplicate_of":"T-000001"}`, "", 400, "cannot be a duplicate of itself"},
		{"POST", move, `{"to":"cancelled","reason":"duplicate","duplicate_of":"T-000999"}`, "", 400, "there is no ticket"},
		{"POST", move, `null`, "", 400, "null is no JSON object"},
		{"POST", move, `{"to":"triaged","version":9}`, "", 409, "T-000001"},
		{"POST", "/api/v1/tickets/T-000001/comments", `{"text":"  "}`, "", 400, "text"},
		{"POST", "/api/v1/tickets/T-000001/comments", `{"text":"x","kind":"closed"}`, "", 400, `"allowed":["comment"`},
		{"GET", "/api/v1/tickets?stauts=new", "", "", 400, `"allowed":["site"`},
		{"GET", "/api/v1/tickets?status=gone", "", "", 400, `"allowed":["new"`},
		{"GET", "/api/v1/tickets?open=maybe", "", "", 400, "true or false"},
		{"GET", "/api/v1/tickets?limit=0", "", "", 400, "from 1 to 500"},
		{"GET", "/api/v1/tickets?offset=-1", "", "", 400, "offset"},
		{"GET", "/api/v1/tickets?kind=x", "", "", 400, `"allowed":["fault"`},
		{"GET", "/api/v1/assets/plant-3/P-101/series?points=nothing", "", "", 400, `"allowed":["bearing_temperature"`},
		{"GET", "/api/v1/assets/plant-3/P-101/series?from=yesterday", "", "", 400, "RFC 3339"},
		{"GET", "/api/v1/assets/plant-3/P-101/series?from=2026-03-14T12:00:00Z&to=2026-03-14T12:00:00Z", "", "", 400, "after"},
		{"GET", "/api/v1/assets/plant-3/P-101/series?max=100000", "", "", 400, "max"},
	} {
		a := f.do(c.method, c.path, c.body, func(r *http.Request) {
			if c.media != "" {
				r.Header.Set("Content-Type", c.media)
			}
		})
		p := decode[Problem](t, a)
		if a.code != c.code || p.Status != c.code || p.Title == "" || !strings.HasPrefix(p.Type, "urn:faultline:problem:") || strings.HasSuffix(p.Type, ":") || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s %.60s: %d %s; want %d with %s", c.method, c.path, c.body, a.code, a.body, c.code, c.says)
		}
	}
	if k, _ := f.store.Ticket(t.Context(), "T-000001"); k.Status != faultline.StatusNew || k.Version != 1 {
		t.Errorf("refused requests changed the ticket: %s, version %d", k.Status, k.Version)
	}
}

func TestFaultsOfOursTellNothing(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.bus.err = errors.New("dial tcp 10.0.0.7: secret-password refused")
	a := f.do(http.MethodPost, "/api/v1/alarms/plant-3/P-101/bearing-temperature/acknowledge", "{}")
	if a.code != 500 || strings.Contains(a.body, "secret") {
		t.Errorf("%d %s", a.code, a.body)
	}
	f.series.err = context.DeadlineExceeded
	if a := f.get("/api/v1/assets/plant-3/P-101/series"); a.code != http.StatusGatewayTimeout {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := f.get("/assets/plant-3/P-101"); a.code != 200 || !strings.Contains(a.body, "history cannot be read") || !strings.Contains(a.body, "97.2 °C") {
		t.Errorf("the page is lost with its history: %d", a.code)
	}
}

func TestCommands(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const path = "/api/v1/alarms/plant-3/P-101/bearing-temperature/acknowledge"
	r := decode[Result](t, f.do(http.MethodPost, path, `{"reason":"seen"}`))
	if r.Pending || r.Message != "acknowledged" || r.ID == "" {
		t.Errorf("%+v", r)
	}
	sent := f.bus.commands()
	want := faultline.Command{ID: r.ID, Verb: faultline.VerbAcknowledge, At: noon, By: "local", Site: "plant-3", Position: "P-101", Rule: "bearing-temperature", Reason: "seen"}
	if len(sent) != 1 || !reflect.DeepEqual(sent[0], want) {
		t.Errorf("sent %+v, want %+v", sent, want)
	}

	f.bus.err = fmt.Errorf("send: %w", bus.ErrPending)
	for _, path := range []string{path, "/api/v1/tickets/T-000001/acknowledge", "/api/v1/assets/plant-3/P-101/test-alarm"} {
		if a := f.do(http.MethodPost, path, ""); a.code != http.StatusAccepted || !decode[Result](t, a).Pending {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
	f.bus.err, f.bus.result = nil, faultline.CommandResult{OK: false, Message: "there is nothing to acknowledge"}
	if a := f.do(http.MethodPost, path, ""); a.code != 422 || !strings.Contains(a.body, "nothing to acknowledge") {
		t.Errorf("%d %s", a.code, a.body)
	}
	before := len(f.bus.commands())
	if a := f.do(http.MethodPost, "/api/v1/alarms/plant-3/P-101/vibration/acknowledge", ""); a.code != 200 || !strings.Contains(a.body, "already") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if len(f.bus.commands()) != before {
		t.Error("an acknowledged alarm was acknowledged again")
	}
}

func TestSeries(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	h := decode[History](t, f.get("/api/v1/assets/plant-3/P-101/series?points=vibration,bearing_temperature&from=2026-03-14T10:00:00%2B01:00&to=2026-03-14T11:00:00Z&max=500"))
	q := f.series.asked[0]
	if q.Kind != "centrifugal_pump" || q.MaxRows != 500 || !q.From.Equal(noon.Add(-3*time.Hour)) || !q.To.Equal(noon.Add(-time.Hour)) || strings.Join(q.Points, " ") != "vibration bearing_temperature" {
		t.Errorf("asked %+v", q)
	}
	p := h.Points[1]
	if p.Unit != "°C" || p.Step != 60 || p.Value[41] != nil || p.Quality[41] != faultline.BadTimeout || p.Value[0] == nil || math.Abs(*p.Value[0]-*p.Min[0]-2) > 1e-9 {
		t.Errorf("%+v", p)
	}
	decode[History](t, f.get("/api/v1/assets/plant-3/P-101/series"))
	if q := f.series.asked[1]; len(q.Points) != 4 || q.To.Sub(q.From) != time.Hour {
		t.Errorf("by default: %+v", q)
	}
}

func TestLists(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	ids := func(path string) string {
		p := decode[Page[map[string]any]](t, f.get("/api/v1"+path))
		var out []string
		for _, i := range p.Items {
			for _, k := range []string{"number", "id", "name", "plan", "gateway"} {
				if v, ok := i[k].(string); ok {
					out = append(out, v)
					break
				}
			}
		}
		return fmt.Sprintf("%d: %s", p.Total, strings.Join(out, " "))
	}
	for path, want := range map[string]string{
		"/tickets":                              "3: T-000001 T-000002 T-000003",
		"/tickets?open=true&kind=fault":         "1: T-000001",
		"/tickets?status=closed,in_progress":    "2: T-000002 T-000003",
		"/tickets?made_up=true":                 "1: T-000003",
		"/tickets?limit=1&offset=1":             "3: T-000002",
		"/tickets?text=bearing":                 "1: T-000001",
		"/assets?state=critical":                "1: P-101",
		"/assets?site=clinic":                   "1: U-1",
		"/assets?text=meridian":                 "0: ",
		"/assets?text=feed":                     "1: P-101",
		"/assets?limit=2":                       "4: P-101 U-1",
		"/alarms?open=true&site=plant-3":        "3: plant-3/P-101/bearing-temperature plant-3/P-101/vibration plant-3/C-201/pressure",
		"/inspections?open=false":               "0: ",
		"/inspections?open=true":                "1: pump-2000h",
		"/gateways":                             "2: gw-2 gw-1",
		"/rules?site=plant-3&position=P-101":    "1: ",
		"/contracts":                            "1: SC-12",
		"/plans":                                "1: pump-2000h",
		"/sites":                                "2: clinic plant-3",
		"/dead-letters":                         "1: gw-1",
		"/assets/plant-3/P-101/points":          "9: bearing_temperature discharge_pressure motor_current vibration running_hours alarm_word state speed_setpoint run_command",
		"/tickets/T-000001/evidence":            "1: ",
		"/tickets/T-000001/events":              "2: ",
		"/alarms/plant-3/C-201/pressure/events": "1: ",
	} {
		if got := ids(path); got != want {
			t.Errorf("%s gives %q, want %q", path, got, want)
		}
	}
}

func TestPoints(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	p := decode[Page[map[string]any]](t, f.get("/api/v1/assets/plant-3/P-101/points")).Items
	if p[0]["value"] != 97.234 || p[0]["quality"] != "good" || p[0]["age_s"] != 1.0 {
		t.Errorf("%v", p[0])
	}
	if v, there := p[2]["value"]; v != nil || !there || p[2]["quality"] != "bad:illegal_address" {
		t.Errorf("a bad reading: %v", p[2])
	}
	if p[5]["text"] != "overtemperature, dry run" || p[6]["text"] != "running" {
		t.Errorf("%v %v", p[5], p[6])
	}
}

func TestReadiness(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.Checks = map[string]func(context.Context) error{"bus": func(context.Context) error { return nil }}
	})
	if h := decode[Health](t, f.get("/readyz")); !h.OK || len(h.Parts) != 3 || !h.Parts["bus"] {
		t.Errorf("%+v", h)
	}
	f.series.err = errors.New("connection refused by 10.0.0.7")
	a := f.get("/readyz")
	if h := decode[Health](t, a); a.code != 503 || h.OK || h.Parts["influx"] || !h.Parts["store"] || strings.Contains(a.body, "10.0.0.7") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if h := decode[Health](t, f.get("/healthz")); !h.OK {
		t.Error("not alive")
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	f := newFixture(t)
	r := &route{method: "GET", path: "/p", role: viewer, handle: func(*call) (any, error) { panic("boom") }}
	f.handler = f.router([]route{*r})
	if a := f.get("/p"); a.code != 500 || strings.Contains(a.body, "boom") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestPageParametersNeverFail(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	odd := url.QueryEscape(`<">'&%s -1 99999999999999999999`)
	for _, path := range []string{"/assets?text=" + odd + "&site=" + odd + "&state=" + odd + "&offset=" + odd, "/assets/plant-3/P-101?range=" + odd, "/alarms?site=" + odd + "&offset=1000000", "/tickets?show=" + odd + "&kind=" + odd + "&status=" + odd + "&origin=" + odd + "&text=" + odd, "/data?offset=-4", "/?notice=" + odd} {
		if a := f.get(path); a.code != 200 || strings.Contains(a.body, `<">`) {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

func TestTakenPortIsSaidOnce(t *testing.T) {
	f := newFixture(t)
	taken := f.listener.Addr().String()
	_, err := New(Options{Store: f.store, Series: f.series, Commands: f.bus, Live: f.bus, Listen: taken})
	if err == nil || strings.Count(err.Error(), taken) != 1 || !strings.Contains(err.Error(), "-listen") {
		t.Errorf("%v", err)
	}
}
