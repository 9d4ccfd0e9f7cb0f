package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	faultline "github.com/faultline-iot/faultline"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// example fills the parameters of a path with what the fixture holds.
var example = strings.NewReplacer(":site", "plant-3", ":position", "P-101", ":gateway", "gw-1", ":rule", "bearing-temperature", ":point", "vibration", "/points/:point/write", "/points/speed_setpoint/write", "/writes/:id/refuse", "/writes/W-2/refuse", "/writes/:id/withdraw", "/writes/W-3/withdraw", "/writes/:id", "/writes/W-1", ":id", "T-000001", ":mark", "x", ":name", "console.css", ":n", "1", ":document", "hot", ":version", "1", ":backtest", "b1", ":user", "zoe", ":token", "tok-1", ":table", "sites")

// bodies are requests that the fixture can carry out.
var bodies = map[string]string{
	"/write":          `{"value":5,"reason":"load"}`,
	"/shelve":         `{"reason":"known","until":"2026-03-14T16:00:00Z"}`,
	"/out-of-service": `{"reason":"known","until":"2026-03-14T16:00:00Z"}`,
	"/move":           `{"to":"triaged","text":"remote first"}`,
	"/tickets":        `{"site":"plant-3","position":"P-101","title":"Pump rattles","urgency":3}`,
	"/amend":          `{"assignee":"zoe"}`,
	"/password":       `{"old":"tuesday-pump-grease","new":"wednesday-valve-oil"}`,
	"/tokens":         `{"name":"board","days":7}`,
	"/users":          `{"name":"new-one","role":"viewer"}`,
	"/teams":          `{"id":"night","name":"Night shift","sites":["clinic"],"members":["zoe"],"version":0}`,
	"/replay":         `{"ids":[1]}`,
	"/drop":           `{"ids":[1]}`,
	"/import/:table":  "id,name\nplant-9,Plant 9\n",
	"/comments":       `{"text":"on our way","to_customer":true}`,
}

func bodyOf(path string) string {
	for end, b := range bodies {
		if strings.HasSuffix(path, end) {
			return b
		}
	}
	return "{}"
}

// TestEveryRouteIsDocumentedAndAnswers holds the router, the table and the document together.
func TestEveryRouteIsDocumentedAndAnswers(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Workshop = fakeWorkshop{} })
	f.populate(t)
	_, err := f.store.AddRevision(t.Context(), faultline.Revision{Kind: faultline.DocumentRules, Name: "hot", By: "anna", At: noon, Body: "rules: test"}, 0)
	must(t, err)
	_, err = f.store.AddRevision(t.Context(), faultline.Revision{Kind: faultline.DocumentGateway, Name: "gw-1", By: "file", At: noon, Body: "gateways: []"}, 0)
	must(t, err)
	f.backtests.list = []*Backtest{{ID: "b1", Rule: "hot", Version: 1, Done: true, Report: &BacktestReport{Alarms: []BacktestAlarm{}, Were: []BacktestAlarm{}, Pictures: map[int][]byte{0: []byte("<svg/>")}}}}
	f.people(t)
	f.withPassword(t, "boss", goodPassword, faultline.RoleAdmin) // what is about oneself needs a user
	boss := f.session(t, "boss", noon)
	document := decode[struct {
		OpenAPI    string
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}](t, f.do(http.MethodGet, base+"/openapi.json", "", boss))
	if document.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", document.OpenAPI)
	}

	api, pages := f.apiRoutes(), f.pageRoutes()
	known := map[string]bool{}
	for _, r := range append(slices.Clone(api), pages...) {
		known[r.method+" "+r.path] = true
	}
	for _, r := range f.handler.(*gin.Engine).Routes() {
		if !known[r.Method+" "+r.Path] {
			t.Errorf("%s %s is served but in no table", r.Method, r.Path)
		}
		delete(known, r.Method+" "+r.Path)
	}
	for k := range known {
		t.Errorf("%s is in a table but not served", k)
	}

	documented := 0
	for _, operations := range document.Paths {
		documented += len(operations)
	}
	if documented != len(api) {
		t.Errorf("%d operations documented, %d routes", documented, len(api))
	}
	ids := map[any]bool{}
	for _, r := range api {
		op := document.Paths[documentPath(r.path)][strings.ToLower(r.method)]
		if op == nil {
			t.Errorf("%s %s is not documented", r.method, r.path)
			continue
		}
		if r.summary == "" || r.tag == "" || op["x-role"] != string(r.role) || ids[op["operationId"]] {
			t.Errorf("%s %s: summary, tag, role or a unique operationId is missing: %v", r.method, r.path, op)
		}
		ids[op["operationId"]] = true
		if r.slow {
			continue // streams have tests of their own
		}
		body := ""
		if r.method == http.MethodPost {
			body = bodyOf(r.path)
		}
		a := f.do(r.method, example.Replace(r.path), body, boss)
		if a.code != http.StatusOK {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.code, a.body)
		}
		media := r.media
		if media == "" {
			media = mediaJSON
			checkAgainstSchema(t, r.path, []byte(a.body), op, document.Components.Schemas)
		}
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, media) {
			t.Errorf("%s %s: content type %q, documented %q", r.method, r.path, got, media)
		}
	}
	for _, r := range pages {
		if r.method != http.MethodGet || r.path == "/join" { // which is for those who have a link
			continue
		}
		if a := f.do(http.MethodGet, example.Replace(r.path), "", boss); a.code != http.StatusOK {
			t.Errorf("page %s: %d %s", r.path, a.code, a.body)
		}
	}
}

// checkAgainstSchema follows the documented schema through an answer: each required field is there,
// and no field is undocumented.
func checkAgainstSchema(t *testing.T, path string, body []byte, op map[string]any, all map[string]any) {
	t.Helper()
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	schema := op["responses"].(map[string]any)["200"].(map[string]any)["content"].(map[string]any)[mediaJSON].(map[string]any)["schema"].(map[string]any)
	var check func(where string, schema map[string]any, v any)
	check = func(where string, schema map[string]any, v any) {
		if ref, ok := schema["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/components/schemas/")
			target, ok := all[name].(map[string]any)
			if !ok {
				t.Errorf("%s: %s is not in the document", where, ref)
				return
			}
			schema = target
		}
		switch v := v.(type) {
		case map[string]any:
			properties, _ := schema["properties"].(map[string]any)
			if properties == nil {
				return
			}
			for _, n := range asList(schema["required"]) {
				if _, ok := v[n.(string)]; !ok {
					t.Errorf("%s: required %v is missing", where, n)
				}
			}
			for name, inner := range v {
				p, ok := properties[name].(map[string]any)
				if !ok {
					t.Errorf("%s: %s is not documented", where, name)
					continue
				}
				check(where+"."+name, p, inner)
			}
		case []any:
			items, _ := schema["items"].(map[string]any)
			for _, inner := range v {
				check(where+"[]", items, inner)
			}
		case nil: // a list is never null; values and pointers may be
			if schema["type"] == "array" {
				t.Errorf("%s: null instead of a list", where)
			}
		}
	}
	check(path, schema, got)
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

func TestUnknownAddresses(t *testing.T) {
	f := newFixture(t)
	if a := f.get("/api/v1/nothing"); a.code != http.StatusNotFound || a.header.Get("Content-Type") != mediaProblem {
		t.Errorf("%d %s", a.code, a.header.Get("Content-Type"))
	}
	if a := f.get("/nothing"); a.code != http.StatusNotFound || !strings.Contains(a.body, "To the overview") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := f.do(http.MethodDelete, "/api/v1/tickets", ""); a.code != http.StatusMethodNotAllowed {
		t.Errorf("%d %s", a.code, a.body)
	}
	for _, path := range []string{"/assets/plant-3/none", "/tickets/T-999999", "/api/v1/assets/x/y", "/api/v1/tickets/T-9/events", "/api/v1/alarms/a/b/c", "/static/x/../console.go", "/api/v1/tickets/T-000001/evidence/7/picture.svg"} {
		if a := f.get(path); a.code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
}

func TestMetricNames(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.get("/")
	families, err := f.registry.Gather()
	if err != nil || len(families) < 4 {
		t.Fatalf("%d families: %v", len(families), err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, m := range families {
		if !strings.HasPrefix(m.GetName(), "faultline_api_") {
			t.Errorf("metric %s", m.GetName())
		}
	}
	// What a stranger asks for makes no new label.
	f.get("/some/address/of/a/scanner")
	if a := f.get("/metrics"); strings.Contains(a.body, "scanner") || !strings.Contains(a.body, `route="unknown"`) {
		t.Error("labels are not bounded")
	}
}
