package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/grafana"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
	"github.com/faultline-iot/faultline/rules"
)

const provisioned = "../../deploy/grafana/dashboards"

// What is provisioned is what the command writes, no file more and none less.
func TestDashboardsAreCurrent(t *testing.T) {
	list, err := dashboards("", "")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(provisioned + "/*.json")
	if err != nil || len(files) != len(list) {
		t.Errorf("%d files for %d dashboards, %v: run faultline dashboards in the root of the project, and delete what is too much", len(files), len(list), err)
	}
	for _, d := range list {
		got, err := os.ReadFile(filepath.Join(provisioned, d.UID+".json"))
		if err != nil || !bytes.Equal(got, d.JSON()) {
			t.Errorf("%s is not what faultline dashboards writes (%v): run it in the root of the project", d.UID, err)
		}
	}
}

// dashboard is what a file holds, as Grafana reads it.
type dashboard struct {
	UID, Title  string
	Annotations struct {
		List []struct{ Name, Query string }
	}
	Templating struct {
		List []struct {
			Name, Type, Query string
		}
	}
	Panels []struct {
		Type, Title string
		Targets     []struct{ Query, Expr string }
	}
}

// provisionedDashboards reads the files, as Grafana does at its start.
func provisionedDashboards(t *testing.T) (list []dashboard) {
	t.Helper()
	files, err := filepath.Glob(provisioned + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, d)
	}
	return list
}

// There is an asset of each kind, with a value of every point each ten seconds of the last two hours.
const (
	filledSite  = "plant-1"
	filledFor   = 2 * time.Hour
	filledEvery = 10 * time.Second
)

// fillForDashboards writes what a plant with an asset of every kind leaves in InfluxDB.
func fillForDashboards(t *testing.T, c *tsdb.Client, now time.Time) {
	t.Helper()
	profiles, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Library()
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := kindsOf(profiles, set)
	if err != nil {
		t.Fatal(err)
	}
	begin := now.Add(-filledFor).Truncate(filledEvery)
	for _, k := range kinds {
		var b strings.Builder
		for at := begin; at.Before(now); at = at.Add(filledEvery) {
			fmt.Fprintf(&b, "%s,gateway=gw-1,position=%s,site=%s ", k.Name, positionOf(k), filledSite)
			for i, p := range k.Points {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString(p.Name + "=")
				switch p.Type {
				case faultline.TypeFloat:
					fmt.Fprintf(&b, "%g", 20+float64(i)+math.Sin(float64(at.Unix())/600))
				case faultline.TypeInt:
					fmt.Fprintf(&b, "%di", i%4)
				case faultline.TypeBool:
					fmt.Fprint(&b, at.Unix()%600 < 300)
				case faultline.TypeString:
					b.WriteString(`"ok"`)
				}
			}
			fmt.Fprintf(&b, " %d\n", at.UnixNano())
		}
		if err := c.Write(t.Context(), []byte(b.String())); err != nil {
			t.Fatal(k.Name, err)
		}
		var events [][]byte
		for i, e := range []tsdb.Event{
			{Source: "alarm", Kind: "raised", Of: "rule-1", Grade: "critical", Title: "Too hot", Text: "92 °C above 85 °C", Ref: "alarm-1"},
			{Source: "alarm", Kind: "cleared", Of: "rule-1", Grade: "critical", Title: "Too hot", Ref: "alarm-1"},
			{Source: "ticket", Kind: "opened", Of: "fault", Grade: "P1", Title: "FT-1 Too hot", Text: "opened", Ref: "FT-1"},
			{Source: "ticket", Kind: "warning", Of: "fault", Grade: "P1", Title: "FT-1 Too hot", Text: "response → 75", Ref: "FT-1"},
			{Source: "ticket", Kind: "opened", Of: "inspection", Grade: "P4", Title: "FT-2 Inspection", Text: "opened", Ref: "FT-2"},
		} {
			e.ID, e.At, e.Site, e.Position = int64(i+1), now.Add(-time.Hour), filledSite, positionOf(k)
			events = append(events, tsdb.AppendEvent(nil, &e))
		}
		events = append(events, tsdb.AppendForecast(nil, &faultline.Forecast{Site: filledSite, Position: positionOf(k), Rule: "life-1", Point: "wear", At: now.Add(-time.Hour), P10: 10, P50: 20, P90: 30, Model: "linear"}))
		if err := c.WriteIn(t.Context(), tsdb.Hours, bytes.Join(events, []byte("\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Write(t.Context(), fmt.Appendf(nil, "faultline_ledger,epoch=e1,gateway=gw-1,site=%s first=1i,last=9i,delivered=9i,late=0i,duplicate=0i,possibly_duplicate=0i,missing=0i,dropped=0i,expired=0i,dead=0i %d", filledSite, now.Add(-time.Hour).UnixNano())); err != nil {
		t.Fatal(err)
	}
	hour := now.Truncate(time.Hour)
	if _, err := c.Condense(t.Context(), filledSite, hour.Add(-filledFor), hour.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := c.ShowTiers(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

func positionOf(k grafana.Kind) string { return strings.ToUpper(k.Name[:1]) + "-1" }

// grafanaAsks puts a question to InfluxDB as Grafana's data source does: over HTTP, with a password.
func grafanaAsks(t *testing.T, address, database, password, q string) (columns [][]string, rows int) {
	t.Helper()
	u := address + "/query?" + url.Values{"db": {database}, "epoch": {"ms"}, "q": {q}}.Encode()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		r.SetBasicAuth("grafana", password)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %d %v", q, resp.StatusCode, err)
	}
	if answer.Error != "" {
		t.Fatalf("%s\n%s", q, answer.Error)
	}
	for _, res := range answer.Results {
		if res.Error != "" {
			t.Fatalf("%s\n%s", q, res.Error)
		}
		for _, s := range res.Series {
			for _, v := range s.Values {
				for i, x := range v {
					if x != nil && s.Columns[i] != "time" {
						rows++
						columns = append(columns, []string{s.Columns[i], fmt.Sprint(x)})
						break
					}
				}
			}
		}
	}
	return columns, rows
}

// expand replaces Grafana's variables as Grafana does for a time range.
func expand(q string, from, to time.Time, vars map[string]string) string {
	step := max(to.Sub(from)/1000, time.Second)
	q = strings.NewReplacer(
		"$timeFilter", fmt.Sprintf("time >= %dms and time <= %dms", from.UnixMilli(), to.UnixMilli()),
		"$__interval", strconv.FormatInt(int64(step/time.Millisecond), 10)+"ms",
		"$__from", strconv.FormatInt(from.UnixMilli(), 10), "$__to", strconv.FormatInt(to.UnixMilli(), 10),
	).Replace(q)
	for name, v := range vars {
		q = strings.ReplaceAll(q, "$"+name, v)
	}
	return q
}

// askDashboards asks over six hours, which the readings answer, over a week and over 90 days.
func askDashboards(t *testing.T, address, password string, now time.Time) {
	t.Helper()
	for shown, tier := range map[time.Duration]string{6 * time.Hour: "raw", 7 * 24 * time.Hour: "m1", 90 * 24 * time.Hour: "h1"} {
		askDashboardsFor(t, address, "faultline", password, now, shown, tier)
	}
}

// askDashboardsFor runs every question of every dashboard for the range that ends now, and wants an answer to
// each: variables first, as Grafana does, then panels and annotations.
func askDashboardsFor(t *testing.T, address, database, password string, now time.Time, shown time.Duration, wantTier string) {
	t.Helper()
	from, asked := now.Add(-shown), 0
	for _, d := range provisionedDashboards(t) {
		vars := map[string]string{}
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			columns, n := grafanaAsks(t, address, database, password, expand(v.Query, from, now, vars))
			if n == 0 {
				t.Errorf("%s: variable %s has no values", d.Title, v.Name)
				continue
			}
			vars[v.Name] = columns[0][1]
			if columns[0][0] == "key" { // SHOW TAG VALUES answers key, value
				vars[v.Name] = ".*"
			}
			if v.Name == "tier" && vars[v.Name] != wantTier {
				t.Errorf("%s: %v are drawn from %s, not %s", d.Title, shown, vars[v.Name], wantTier)
			}
		}
		ask := func(what, q string) {
			asked++
			if _, n := grafanaAsks(t, address, database, password, expand(q, from, now, vars)); n == 0 {
				t.Errorf("%s, %s: no answer to\n%s", d.Title, what, expand(q, from, now, vars))
			}
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Query != "" {
					ask(p.Title, target.Query)
				}
			}
		}
		for _, a := range d.Annotations.List {
			ask("annotation "+a.Name, a.Query)
		}
	}
	t.Logf("%d questions over %v", asked, shown)
	if asked < 300 {
		t.Errorf("only %d questions: are all panels there?", asked)
	}
}

// Every panel of every dashboard has an answer from the embedded engine, over six hours from the readings, over a
// week from the minutes and over 90 days from the hours.
func TestDashboardsAnswered(t *testing.T) {
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := tsdb.Open(t.Context(), tsdb.Config{URL: e.URL(), Token: e.Token(), Database: "faultline", Retention: 90 * 24 * time.Hour, Tiers: tsdb.Tiers(365*24*time.Hour, 5*365*24*time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	fillForDashboards(t, c, now)
	askDashboards(t, e.URL(), e.Token(), now)
	// Of what the readings no longer have, the minutes are drawn.
	old := now.Add(-100 * 24 * time.Hour)
	for _, d := range provisionedDashboards(t) {
		for _, v := range d.Templating.List {
			if v.Name != "tier" {
				continue
			}
			if columns, _ := grafanaAsks(t, e.URL(), "faultline", e.Token(), expand(v.Query, old, old.Add(time.Hour), nil)); len(columns) != 1 || columns[0][1] != "m1" {
				t.Errorf("an hour 100 days ago is drawn from %v", columns)
			}
		}
	}
}

var metricName = regexp.MustCompile(`\b(faultline|process)_[a-z0-9_]+`)

// Every metric that a panel or a rule for Prometheus names is one that the product has, and their names follow the conventions.
func TestDashboardsMetricsExist(t *testing.T) {
	_, at := simulate(t, equipment.DeviceConfig{Name: "P-1", Kind: "pump", Hours: 10})
	n, stop := start(t, load(t, fmt.Sprintf("gateways: [{id: gw-1, site: north, devices: [{position: P-1, profile: sim-pump, address: \"tcp://%s\", period: 100ms}]}]\napi: {listen: \"127.0.0.1:0\"}\n", at["P-1"])), allRoles...)
	defer stop()
	var have map[string]bool
	eventually(t, "the gateway's metrics are shown", func() bool {
		have = metricsOf(t, n)
		return have["faultline_gateway_modbus_polls_total"]
	})
	look := func(where, text string) (named int) {
		for _, name := range metricName.FindAllString(text, -1) {
			named++
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base := strings.TrimSuffix(name, suffix); have[base] {
					name = base
				}
			}
			if !have[name] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
		return named
	}
	named := 0
	for _, d := range provisionedDashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				named += look(d.Title+", "+p.Title, target.Expr)
			}
		}
	}
	if named < 10 {
		t.Errorf("panels name only %d metrics", named)
	}
	rules, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", "faultline.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	have["faultline_certificate_expiry_timestamp_seconds"] = true // of processes that have a certificate
	if named := look("deploy/prometheus/faultline.rules.yml", recorded.ReplaceAllString(string(rules), "")); named < 10 {
		t.Errorf("rules for Prometheus name only %d metrics", named)
	}
	problems, err := testutil.GatherAndLint(n.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}

// recorded are the names of series that a rule makes.
var recorded = regexp.MustCompile(`job:[a-z0-9_:]+`)

var described = regexp.MustCompile(`fqName: "([^"]+)"`)

// metricsOf lists the metrics that the page /metrics has, and those that have no value yet.
func metricsOf(t *testing.T, n *node) map[string]bool {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		n.registry.Describe(descs)
	}()
	have := map[string]bool{}
	for d := range descs {
		if m := described.FindStringSubmatch(d.String()); m != nil {
			have[m[1]] = true
		}
	}
	r, err := http.Get(n.api.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		if name, is := strings.CutPrefix(lines.Text(), "# TYPE "); is {
			have[strings.Fields(name)[0]] = true
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return have
}
