package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
)

// load writes a configuration and reads it as the program would.
func load(t *testing.T, text string) *Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start runs roles until the test ends or the returned function is called.
func start(t *testing.T, cfg *Config, roles ...string) (*node, func()) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := startNode(t.Context(), cfg, nodeOptions{Roles: roles, Log: log}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return n, stop
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ledger gives the account of the only gateway.
func ledger(t *testing.T, n *node) faultline.LedgerRow {
	t.Helper()
	rows, err := n.store.LedgerRows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		return faultline.LedgerRow{}
	}
	if len(rows) > 1 {
		t.Fatalf("%d epochs: %+v", len(rows), rows)
	}
	return rows[0]
}

// A site's gateway and the centre as two processes: the gateway goes on while the centre is away, and
// afterwards nothing is missing and nothing is there twice. Then the gateway is replaced.
func TestSiteAndCentre(t *testing.T) {
	_, at := simulate(t, equipment.DeviceConfig{Name: "P-1", Kind: "pump", Hours: 10})
	hub, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_HUB_TOKEN", "s3cret")
	shared := fmt.Sprintf("gateways: [{id: gw-1, site: north, devices: [{position: P-1, profile: sim-pump, address: \"tcp://%s\", period: 100ms}]}]\napi: {listen: \"127.0.0.1:0\"}\n", at["P-1"])
	centreCfg := load(t, fmt.Sprintf("hub: {listen: %q}\n", hub)+shared)
	siteCfg := load(t, fmt.Sprintf("hub: {url: \"nats://%s\"}\nmetrics: {listen: \"127.0.0.1:0\"}\n", hub)+shared)

	site, stopSite := start(t, siteCfg, roleGateway) // the hub is not there yet
	eventually(t, "the gateway stores frames", func() bool { return site.writers[0].Last() >= 5 })
	for _, page := range []string{"metrics", "healthz", "readyz"} {
		if b, err := get(t.Context(), http.DefaultClient, "http://"+site.metrics+"/"+page); err != nil || len(b) == 0 {
			t.Errorf("the gateway's %s: %v", page, err)
		}
	}
	centre, stopCentre := start(t, centreCfg, roleIngest, roleRules, roleAPI)
	eventually(t, "frames reach the centre", func() bool { return ledger(t, centre).Delivered >= 10 })
	stopCentre()
	away := site.writers[0].Last()
	eventually(t, "the gateway goes on alone", func() bool { return site.writers[0].Last() >= away+10 })
	centre, _ = start(t, centreCfg, roleIngest, roleRules, roleAPI)
	eventually(t, "the backlog arrives", func() bool { return ledger(t, centre).Last >= away+20 })
	stopSite()
	site, stopSite = start(t, siteCfg, roleGateway)
	again := site.writers[0].Last()
	eventually(t, "the gateway that started again is heard", func() bool { return ledger(t, centre).Last >= again+10 })
	site.stopStage(roleGateway)
	last := site.writers[0].Last()
	eventually(t, "all has arrived", func() bool { return ledger(t, centre).Last == last })
	row := ledger(t, centre)
	if row.Missing != 0 || row.Duplicate != 0 || row.First != 1 || row.Delivered != last {
		t.Errorf("ledger %+v, %d stored at the edge", row, last)
	}
	stopSite()
}

// Combinations of roles that could not work are refused with what to do.
func TestRolesThatCannotWork(t *testing.T) {
	cfg := load(t, "gateways: [{id: gw-1, site: north, devices: [{position: P-1, profile: sim-pump, address: \"tcp://127.0.0.1:1502\"}]}]\n")
	for roles, want := range map[string]string{
		"gateway":      "hub.url",
		"ingest,rules": "PostgreSQL",
		"api":          "PostgreSQL",
	} {
		list, err := splitRoles(roles)
		if err != nil {
			t.Fatal(err)
		}
		_, err = startNode(t.Context(), cfg, nodeOptions{Roles: list, Log: slog.New(slog.DiscardHandler)}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a word on %s", roles, err, want)
		}
	}
	if _, err := splitRoles("gateway,cook"); err == nil || !strings.Contains(err.Error(), "cook") {
		t.Error(err)
	}
}

// Equipment that misbehaves is counted and visible as quality with its reason; what stands beside it
// goes on undisturbed, and nothing crashes.
func TestBadInput(t *testing.T) {
	kinds := map[string]equipment.Fault{"P-2": "half_frame", "P-3": "garbage", "P-4": "exception", "P-5": "offline"}
	devices := []equipment.DeviceConfig{{Name: "P-1", Kind: "pump"}, {Name: "U-1", Kind: "ups"}, {Name: "U-2", Kind: "ups"}}
	for p := range kinds {
		devices = append(devices, equipment.DeviceConfig{Name: p, Kind: "pump"})
	}
	plant, at := simulate(t, devices...)
	broker, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DEVICES", "pw")
	var text strings.Builder
	fmt.Fprintf(&text, "api: {listen: \"127.0.0.1:0\"}\ngateways:\n  - id: gw-1\n    site: north\n    mqtt: {listen: %q, users: [{name: devices, password_env: DEVICES, topics: [\"north/#\"]}]}\n    devices:\n", broker)
	for _, p := range []string{"P-1", "P-2", "P-3", "P-4", "P-5"} {
		fmt.Fprintf(&text, "      - {position: %s, profile: sim-pump, address: \"tcp://%s\", period: 200ms, timeout: 300ms}\n", p, at[p])
	}
	text.WriteString("      - {position: U-1, profile: sim-ups}\n      - {position: U-2, profile: sim-ups}\n      - {position: U-3, profile: sim-ups}\n")
	n, _ := start(t, load(t, text.String()), allRoles...)
	plant.SetBroker(equipment.Broker{URL: "tcp://" + broker, Username: "devices", Password: "pw"})

	latest := func(kind, position string) map[string]faultline.Sample {
		f, err := n.influx.Latest(t.Context(), kind, "north", position)
		if err != nil {
			return nil
		}
		out := map[string]faultline.Sample{}
		for _, s := range f.Samples {
			out[s.Point] = s
		}
		return out
	}
	good := func(kind, position, point string) bool { return latest(kind, position)[point].Quality.IsGood() }
	for _, p := range []string{"P-1", "P-2", "P-3", "P-4", "P-5"} {
		eventually(t, p+" is read", func() bool { return good("centrifugal_pump", p, "speed") })
	}
	eventually(t, "U-1 is heard", func() bool { return good("ups", "U-1", "load") })

	for p, fault := range kinds {
		if _, err := plant.Inject(equipment.Event{Device: p, Fault: fault, Severity: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := plant.Inject(equipment.Event{Device: "U-2", Fault: "garbage", Severity: 1}); err != nil {
		t.Fatal(err)
	}
	reasons := map[string][]string{
		"P-2": {"timeout", "transport", "not_connected", "protocol"}, "P-3": {"timeout", "transport", "not_connected", "protocol"},
		"P-4": {"exception:server_device_busy"}, "P-5": {"timeout", "transport", "not_connected"},
	}
	for p, any := range reasons {
		eventually(t, p+" is bad for a reason", func() bool {
			q := latest("centrifugal_pump", p)["speed"].Quality
			return q.IsBad() && slices.Contains(any, q.Reason())
		})
	}
	eventually(t, "U-2 cannot be understood", func() bool { return latest("ups", "U-2")["load"].Quality == faultline.BadDecode })

	// By hand, to U-3: broken, of the wrong shape, too large, then well-formed with hostile text.
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + broker).SetClientID("by-hand").SetUsername("devices").SetPassword("pw"))
	if tok := client.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	defer client.Disconnect(100)
	send := func(payload string) {
		if tok := client.Publish("north/U-3/telemetry", 1, false, payload); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
			t.Fatalf("publish: %v", tok.Error())
		}
	}
	for payload, want := range map[string]faultline.Quality{
		`{"load":`:     faultline.BadDecode,
		`[1,2]`:        faultline.BadMissing,
		`{"load":"x"}`: faultline.BadDecode,
		fmt.Sprintf(`{"load":1,"pad":%q}`, strings.Repeat("x", 100_000)): "bad:oversized",
	} {
		send(payload)
		eventually(t, fmt.Sprintf("%.20s is %s", payload, want), func() bool { return latest("ups", "U-3")["load"].Quality == want })
	}
	hostile := `<script>alert("x")</script>`
	send(fmt.Sprintf(`{"ts":%q,"load":41.5,"status":%q}`, time.Now().UTC().Format(time.RFC3339Nano), hostile))
	eventually(t, "well-formed again", func() bool { return good("ups", "U-3", "load") })
	if got, _ := latest("ups", "U-3")["status"].Value.Text(); got != hostile {
		t.Errorf("text %q became %q", hostile, got)
	}
	browser, err := n.login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the asset's page shows the text, escaped", func() bool {
		page, err := get(t.Context(), browser, n.api.URL()+"/assets/north/U-3")
		if err != nil || strings.Contains(string(page), "<script>alert") {
			t.Fatalf("the page as it is: %v\n%s", err, page)
		}
		return strings.Contains(string(page), "&lt;script&gt;alert")
	})

	// The others never had a bad sample.
	for _, c := range []struct{ kind, position string }{{"centrifugal_pump", "P-1"}, {"ups", "U-1"}} {
		rows, err := n.influx.Query(t.Context(), fmt.Sprintf(`SELECT * FROM %q WHERE "position" = '%s'`, c.kind, c.position), nil)
		if err != nil || len(rows) == 0 {
			t.Fatalf("%s: %v", c.position, err)
		}
		for _, col := range rows[0].Columns {
			if strings.HasSuffix(col, "__q") && !marksOnlyOthers(rows[0].Columns, rows[0].Rows, col) {
				t.Errorf("%s: %s has marks", c.position, col)
			}
		}
	}
	if row := ledger(t, n); row.Missing != 0 || row.Duplicate != 0 || row.Dead != 0 {
		t.Errorf("ledger %+v", row)
	}
}

// marksOnlyOthers tells whether a column has no value in any row: InfluxDB lists every field of the
// measurement, also those of other positions.
func marksOnlyOthers(columns []string, rows [][]any, column string) bool {
	i := slices.Index(columns, column)
	return !slices.ContainsFunc(rows, func(r []any) bool { return r[i] != nil })
}
