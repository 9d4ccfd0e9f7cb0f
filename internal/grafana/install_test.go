package grafana

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// standIn answers as Grafana's API is documented to: what is there already is a conflict.
type standIn struct {
	sources    map[string]map[string]any
	dashboards map[string]string // UID: title
	folders    int
}

func (g *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, message string) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
	}
	if r.Header.Get("Authorization") != "Bearer t0ken" {
		refuse(401, "Invalid API key")
		return
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(400, "bad request data")
		return
	}
	switch uid, _ := body["uid"].(string); {
	case r.Method == "POST" && r.URL.Path == "/api/folders":
		if g.folders++; g.folders > 1 {
			refuse(412, "the folder has been changed by someone else")
		}
	case r.Method == "POST" && r.URL.Path == "/api/datasources":
		if g.sources[uid] != nil {
			refuse(409, "data source with the same name already exists")
			return
		}
		g.sources[uid] = body
	case r.Method == "PUT" && r.URL.Path == "/api/datasources/uid/"+uid && g.sources[uid] != nil:
		g.sources[uid] = body
	case r.Method == "POST" && r.URL.Path == "/api/dashboards/db" && body["folderUid"] == folder && body["overwrite"] == true:
		d := body["dashboard"].(map[string]any)
		g.dashboards[d["uid"].(string)] = d["title"].(string)
	default:
		refuse(404, "not found")
	}
}

func TestInstall(t *testing.T) {
	g := &standIn{sources: map[string]map[string]any{}, dashboards: map[string]string{}}
	srv := httptest.NewServer(g)
	defer srv.Close()
	s := Server{URL: srv.URL + "/", Token: "t0ken"}
	sources := []Source{
		{UID: "faultline-influx", Name: "Faultline readings", Type: "influxdb", URL: "http://influx:8086", Database: "faultline", User: "grafana", Password: "s3cret"},
		{UID: "faultline-prometheus", Name: "Faultline metrics", Type: "prometheus", URL: "http://prometheus:9090"},
	}
	list := Dashboards([]Kind{{Name: "pump"}}, "http://console")
	var said strings.Builder
	for range 2 { // the second time all is there already
		if err := s.Install(t.Context(), sources, list, func(format string, _ ...any) { said.WriteString(format) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.dashboards) != len(list) || g.dashboards[UID("pump")] != "Faultline: Pump" || len(g.sources) != 2 {
		t.Errorf("%v %v", g.dashboards, g.sources)
	}
	want := map[string]any{"dbName": "faultline", "httpMode": "POST", "version": "InfluxQL"}
	if in := g.sources["faultline-influx"]; !reflect.DeepEqual(in["jsonData"], want) || in["basicAuthUser"] != "grafana" || !reflect.DeepEqual(in["secureJsonData"], map[string]any{"basicAuthPassword": "s3cret"}) {
		t.Errorf("%v", in)
	}
	s.Token = "wrong"
	if err := s.Install(t.Context(), sources, list, func(string, ...any) {}); err == nil || !strings.Contains(err.Error(), "service account") {
		t.Errorf("a wrong token: %v", err)
	}
}
