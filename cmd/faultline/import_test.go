package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImportFromTheCommandLine imports with the databases closed and through the process that runs; the configuration does not take
// it back at the next start.
func TestImportFromTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	file := write("faultline.yaml", `data: data
hub: {max_bytes: 67108864}
api: {listen: "127.0.0.1:0"}
sites: [{id: plant-1, name: Plant, customer: Acme}]
gateways:
  - id: gw-1
    site: plant-1
    devices: [{position: P-101, profile: sim-pump, address: "tcp://127.0.0.1:1", unit: 1, period: 1s}]
assets: [{site: plant-1, position: P-101, serial: A-1, model: Old}]
`)
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	model := func(n *node) string {
		t.Helper()
		p, err := n.store.Position(t.Context(), "plant-1", "P-101")
		if err != nil {
			t.Fatal(err)
		}
		return p.Asset.Model + " " + p.Asset.Serial
	}
	n, stop := start(t, cfg, roleIngest, roleRules, roleAPI)
	good, bad := write("good.csv", "site,position,model\nplant-1,P-101,New\n"), write("bad.csv", "site,position,criticality\nplant-1,P-101,X\n")
	check := func(want string, fails bool, args ...string) {
		t.Helper()
		out, err := cli(t, append(append([]string{"import"}, args...), "-config", file)...)
		if err != nil {
			out += err.Error()
		}
		if (err != nil) != fails || !strings.Contains(out, want) {
			t.Errorf("%v: %v, no %q in\n%s", args, err, want, out)
		}
	}
	check("bad.csv, row 2, column criticality: \"X\": use A, B or C", true, "assets", bad)
	check("no table", true, "pumps", good)
	check("no such file", true, "assets", filepath.Join(dir, "none.csv"))
	check("asset.model: \"Old\" → \"New\"\ngood.csv: 1 rows: 0 added, 1 changed, 0 as they were; nothing was changed", false, "assets", good, "-dry-run")
	if got := model(n); got != "Old A-1" {
		t.Errorf("after a dry run: %s", got)
	}
	check("1 changed", false, "assets", good)
	stop()
	n, stop = start(t, cfg, roleIngest, roleRules, roleAPI)
	if got := model(n); got != "New A-1" {
		t.Errorf("the configuration took it back: %s", got)
	}
	stop()
	check("1 as they were", false, "assets", good)
}
