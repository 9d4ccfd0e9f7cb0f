package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// A site's data are written to its own target, and asked there; a target that is away at the start keeps nobody waiting.
func TestEachSiteHasItsTarget(t *testing.T) {
	at, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("another secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "faultline.yaml")
	text := fmt.Sprintf("data: data\nhub: {max_bytes: 67108864}\napi: {listen: \"127.0.0.1:0\"}\ninflux: {targets: [{name: other, sites: [plant-1], url: \"http://%s\", token_file: token}]}\n", at)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := start(t, cfg, roleIngest, roleRules, roleAPI) // the target is not there yet
	other, err := embedded.Open(embedded.Config{Dir: filepath.Join(dir, "other"), Listen: at, Token: "another secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	frames(t, n, "gw-1", 7)
	count := func(site string) int64 {
		rows, err := n.influx.For(site).Query(t.Context(), `SELECT count(v) FROM pump`, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return 0
		}
		c, _ := rows[0].Rows[0][1].(int64)
		return c
	}
	if here, there := count("elsewhere"), count("plant-1"); here != 0 || there != 7 {
		t.Errorf("%d readings in the main database, %d in the target", here, there)
	}
	if f, err := n.influx.Latest(t.Context(), "pump", "plant-1", "P-gw-1"); err != nil || time.Since(f.Time) > time.Hour {
		t.Errorf("the latest reading: %+v, %v", f, err)
	}
	if out, err := cli(t, "ledger", "verify", "-config", file); err != nil || !strings.Contains(out, "7 frames") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTargetsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	text := "influx:\n  targets:\n    - {name: a, sites: [s1], url: \"http://x:8086\"}\n    - {name: a, sites: [s1, s2]}\n    - {name: \"b c\", url: \"ftp://y\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadConfig(file)
	for _, want := range []string{"targets[1].name", "targets[1].url", "targets[1].sites", "targets[2].name", "targets[2].url", "targets[2].sites"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// faultline check says where the file differs from what is live.
func TestCheckComparesWithWhatIsLive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	write := func(period string) {
		t.Helper()
		text := "hub: {max_bytes: 67108864}\napi: {listen: \"127.0.0.1:0\"}\ngateways: [{id: gw-1, site: north, devices: [{position: P-1, profile: sim-pump, address: \"tcp://127.0.0.1:1\", period: " + period + "}]}]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1s")
	check := func(want string) {
		t.Helper()
		if out, err := cli(t, "check", "-config", file); err != nil || !strings.Contains(out, want) {
			t.Errorf("%v\n%s\ndoes not say %q", err, out, want)
		}
	}
	check("is in order")
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	start(t, cfg, roleIngest, roleRules, roleAPI)
	check("every gateway's configuration is as the file says")
	write("2s")
	check("gateway gw-1, against version 1")
	check("1 gateways would change; nothing was changed")
}
