package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/internal/bus"
)

// A site's gateway follows the hub: a version with one more device is taken over without a lost frame, one with a
// mistake and one that silences the site are refused with their reason, which raises an alarm; and it starts
// with what works while the hub is away.
func TestConfigurationFromTheHub(t *testing.T) {
	_, at := simulate(t, equipment.DeviceConfig{Name: "P-1", Kind: "pump", Hours: 10}, equipment.DeviceConfig{Name: "P-2", Kind: "pump", Hours: 10})
	hub, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_HUB_TOKEN", "s3cret")
	device := func(position, profile, address string) string {
		return fmt.Sprintf("{position: %s, profile: %s, address: \"tcp://%s\", period: 100ms}", position, profile, address)
	}
	centreText := func(devices ...string) string {
		return fmt.Sprintf("hub: {listen: %q}\napi: {listen: \"127.0.0.1:0\"}\nprofiles: [mine.yaml]\ngateways: [{id: gw-1, site: north, devices: [%s]}]\n", hub, strings.Join(devices, ", "))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "faultline.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mine.yaml", "name: my-pump\nversion: \"1\"\nextends: sim-pump\nsource: mine\n")
	write("faultline.yaml", centreText(device("P-1", "sim-pump", at["P-1"])))
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	siteCfg := load(t, fmt.Sprintf("hub: {url: \"nats://%s\"}\nedge: {pull_every: 100ms, trial: 4s}\ngateways: [{id: gw-1, site: north}]\n", hub))
	site, stopSite := start(t, siteCfg, roleGateway) // it knows nothing but itself
	centre, stopCentre := start(t, cfg, roleIngest, roleRules, roleAPI)

	state := func() faultline.GatewayState {
		list, err := centre.store.Gateways(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 || list[0].State == nil {
			return faultline.GatewayState{}
		}
		return *list[0].State
	}
	apply := func(text string, args ...string) string {
		t.Helper()
		write("faultline.yaml", text)
		var out bytes.Buffer
		if err := dispatch(t.Context(), append([]string{"apply", "-config", file}, args...), &out, t.Output()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	good := func(position string) bool {
		f, err := centre.influx.Latest(t.Context(), "centrifugal_pump", "north", position)
		if err != nil && !errors.Is(err, faultline.ErrNotFound) {
			t.Fatal(err)
		}
		return slices.ContainsFunc(f.Samples, func(s faultline.Sample) bool { return s.Quality.IsGood() })
	}
	eventually(t, "the first version runs", func() bool { return state().Config == 1 && ledger(t, centre).Delivered > 20 })

	two := centreText(device("P-1", "sim-pump", at["P-1"]), device("P-2", "my-pump", at["P-2"]))
	if out := apply(two, "-dry-run"); !strings.Contains(out, "P-2") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("dry run: %s", out)
	}
	if r, err := centre.store.Revisions(t.Context(), faultline.DocumentGateway, "gw-1"); err != nil || len(r) != 1 {
		t.Errorf("a dry run left %v, %v", r, err)
	}
	if out := apply(two); !strings.Contains(out, "version 2 is in force") {
		t.Errorf("apply: %s", out)
	}
	eventually(t, "the second version runs", func() bool { return state().Config == 2 && state().Refused == 0 })
	eventually(t, "the new device is read", func() bool { return good("P-2") })
	if row := ledger(t, centre); row.Missing != 0 || row.Duplicate != 0 || row.First != 1 {
		t.Errorf("ledger %+v", row)
	}

	// A mistake that the centre did not see: the site has no such file.
	bad := strings.Replace(two, "site: north,", "site: north, mqtt: {users: [{name: u, password_file: secret.txt}]},", 1)
	write("secret.txt", "x")
	apply(bad)
	eventually(t, "the third version is refused", func() bool {
		s := state()
		return s.Config == 2 && s.Refused == 3 && strings.Contains(s.Why, "secret.txt")
	})
	eventually(t, "the refusal is an alarm", func() bool {
		a, err := centre.store.Alarm(t.Context(), faultline.AlarmID("north", "gw-1", "gateway-config"))
		return err == nil && a.Active
	})

	silent, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	apply(centreText(device("P-1", "sim-pump", silent), device("P-2", "my-pump", silent)))
	eventually(t, "the fourth version is rolled back", func() bool {
		s := state()
		return s.Config == 2 && s.Refused == 4 && strings.Contains(s.Why, "silences the site")
	})
	before := ledger(t, centre).Last
	eventually(t, "it goes on with the second", func() bool { return ledger(t, centre).Last > before+40 && good("P-1") })
	if row := ledger(t, centre); row.Missing != 0 || row.Duplicate != 0 {
		t.Errorf("ledger %+v", row)
	}
	last := site.writers[0].Last()
	stopSite()
	stopCentre()
	site, _ = start(t, siteCfg, roleGateway) // the hub is away
	eventually(t, "it starts with what works", func() bool { return site.writers[0].Last() > last+20 })
}

// The file stays the authority until somebody edits a version; then it is only told that it differs.
func TestFileAndEdits(t *testing.T) {
	text := "api: {listen: \"127.0.0.1:0\"}\ngateways: [{id: gw-1, site: north, devices: [{position: P-1, profile: sim-pump, address: \"tcp://127.0.0.1:%d\"}]}]\n"
	dir := t.TempDir()
	at := func(port int) *node {
		t.Helper()
		file := filepath.Join(dir, "faultline.yaml")
		if err := os.WriteFile(file, []byte(fmt.Sprintf(text, port)), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := LoadConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := openParts(t.Context(), cfg)
		if err != nil {
			n, _ = start(t, cfg, allRoles...)
			if err := n.stop(); err != nil {
				t.Fatal(err)
			}
			if n, err = openParts(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = n.stop() })
		return n
	}
	live := func(n *node) faultline.Revision {
		t.Helper()
		if err := n.seedGateways(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := n.store.Revision(t.Context(), faultline.DocumentGateway, "gw-1", 0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	n := at(1)
	if r := live(n); r.Version != 1 || !strings.Contains(r.Body, ":1\"") {
		t.Errorf("from an empty store: %+v", r)
	}
	_ = n.stop()
	n = at(2)
	r := live(n)
	if r.Version != 2 || !strings.Contains(r.Body, ":2\"") {
		t.Errorf("of an edited file: %+v", r)
	}
	r.By, r.Body = "ann", strings.Replace(r.Body, ":2\"", ":9\"", 1)
	if _, err := n.store.AddRevision(t.Context(), r, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := n.store.MoveRevision(t.Context(), faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: 3, State: faultline.RevisionLive, By: "ann", At: r.At}, 2); err != nil {
		t.Fatal(err)
	}
	_ = n.stop()
	n = at(4)
	if r := live(n); r.Version != 3 || r.By != "ann" {
		t.Errorf("over an edit: %+v", r)
	}
	var out bytes.Buffer
	if err := n.apply(t.Context(), n.cfg, false, &out); err != nil {
		t.Fatal(err)
	}
	if r := live(n); r.Version != 4 || !strings.Contains(r.Body, ":4\"") || !strings.Contains(out.String(), "version 3 by ann") {
		t.Errorf("applied: %+v\n%s", r, out.String())
	}
}

// A document never does more than be refused, whatever it is.
func FuzzGatewayDocument(f *testing.F) {
	f.Add("gateways:\n  - id: gw-1\n    site: north\n    devices: [{position: P-1, profile: my-pump, address: \"tcp://127.0.0.1:502\"}]\nprofiles:\n  - |\n    name: my-pump\n    version: \"1\"\n    extends: sim-pump\nsource: mine\n")
	f.Add("gateways: [{id: gw-2, site: south}]")
	f.Add("profiles: [\"\"]")
	f.Add("{")
	c := Default()
	f.Fuzz(func(t *testing.T, body string) {
		g, set, err := c.readGateway("gw-1", "north", bus.GatewayConfig{Version: 1, Body: body})
		if err == nil && (g.ID != "gw-1" || g.Site != "north" || set == nil) {
			t.Errorf("took %+v", g)
		}
	})
}
