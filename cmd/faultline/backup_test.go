package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// A centre is copied while a gateway of a site delivers to it, is lost with all that came after, and is
// restored elsewhere. The gateway, which never stopped, fills it again: nothing is missing, nothing is
// there twice.
func TestBackupAndRestore(t *testing.T) {
	_, at := simulate(t, equipment.DeviceConfig{Name: "P-1", Kind: "pump", Hours: 10})
	hub, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_HUB_TOKEN", "s3cret")
	shared := fmt.Sprintf("gateways: [{id: gw-1, site: north, devices: [{position: P-1, profile: sim-pump, address: \"tcp://%s\", period: 100ms}]}]\napi: {listen: \"127.0.0.1:0\"}\n", at["P-1"])
	cfg := load(t, fmt.Sprintf("hub: {listen: %q, max_bytes: 67108864, partitions: 2}\n", hub)+shared)
	site, _ := start(t, load(t, fmt.Sprintf("hub: {url: \"nats://%s\"}\n", hub)+shared), roleGateway)
	centre, stopCentre := start(t, cfg, roleIngest, roleRules, roleAPI)
	eventually(t, "frames reach the centre", func() bool { return ledger(t, centre).Delivered >= 30 })
	if err := os.WriteFile(filepath.Join(cfg.dataDir(), "mark"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	if out, err := cli(t, "backup", "-config", cfg.file, "-out", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(archives) != 1 || !strings.HasSuffix(archives[0], ".tar") {
		t.Fatalf("files %v", archives)
	}
	if out, err := cli(t, "backup", "-config", cfg.file, "-out", archives[0]); err == nil {
		t.Errorf("a backup was overwritten:\n%s", out)
	}
	before := ledger(t, centre)
	eventually(t, "more frames come after the backup", func() bool { return ledger(t, centre).Delivered >= before.Delivered+30 })
	was := centre.hub.Stream(centre.hub.Partition("north"))
	stopCentre()
	away := site.writers[0].Last()
	eventually(t, "the gateway goes on alone", func() bool { return site.writers[0].Last() >= away+10 })

	// A fresh machine: another directory, the same address.
	fresh := load(t, fmt.Sprintf("hub: {listen: %q, max_bytes: 67108864, partitions: 2}\n", hub)+shared)
	out, err := cli(t, "restore", "-config", fresh.file, archives[0])
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(fresh.dataDir(), "mark")); string(b) != "kept" {
		t.Errorf("other files: %q, %v", b, err)
	}
	centre, _ = start(t, fresh, roleIngest, roleRules, roleAPI)
	if now := centre.hub.Stream(centre.hub.Partition("north")); now == was {
		t.Errorf("the restored stream is called %s as before", now)
	}
	eventually(t, "the gateway fills it again", func() bool { return ledger(t, centre).Last > away+20 })
	site.stopStage(roleGateway)
	last := site.writers[0].Last()
	eventually(t, "all has arrived", func() bool { return ledger(t, centre).Last == last })
	if row := ledger(t, centre); row.Missing != 0 || row.Duplicate != 0 || row.Dropped != 0 || row.First != 1 || row.Delivered != last {
		t.Errorf("ledger %+v, %d stored at the edge", row, last)
	}
	rows, err := centre.influx.Query(t.Context(), `SELECT * FROM /.*/ WHERE "position" = 'P-1'`, nil) // readings, and the device's health
	if err != nil {
		t.Fatal(err)
	}
	points, kinds := 0, []string{}
	for _, s := range rows {
		points, kinds = points+len(s.Rows), append(kinds, s.Name)
	}
	if uint64(points) != last {
		t.Errorf("%d points of %d frames in %v", points, last, kinds)
	}
	places, err := centre.store.Places(t.Context())
	if err != nil || len(places) == 0 {
		t.Fatal(places, err)
	}
	for _, p := range places {
		if p.Place.Stream != centre.hub.Stream(p.Partition) {
			t.Errorf("the place of %s in partition %d is in %s", p.Role, p.Partition, p.Place.Stream)
		}
	}
	if out, err := cli(t, "restore", "-config", fresh.file, archives[0]); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored over what is there: %v\n%s", err, out)
	}
}

// rewrite copies an archive with changes.
func rewrite(t *testing.T, archive string, change func(name string, b []byte) (string, []byte)) string {
	t.Helper()
	in, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	r, w := tar.NewReader(in), tar.NewWriter(&out)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if name, b := change(h.Name, b); name != "" {
			if err := addBytes(w, name, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "changed.tar")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A backup of a centre that does not run; and archives that are not as they should be leave nothing.
func TestRestoreRefusesWhatIsNotWhole(t *testing.T) {
	_, cfg := centre(t)
	n, stop := start(t, cfg, roleIngest, roleRules, roleAPI)
	eventually(t, "the hub's ticks are dealt with", func() bool {
		s, err := n.hub.State(t.Context(), 0)
		return err == nil && s.Messages >= 2
	})
	stop()
	archive := filepath.Join(t.TempDir(), "b.tar")
	if out, err := cli(t, "backup", "-config", cfg.file, "-out", archive); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.dataDir(), "backup-*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short.tar")
	if err := os.WriteFile(short, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	same := func(name string, b []byte) (string, []byte) { return name, b }
	with := func(name string) func(string, []byte) (string, []byte) {
		return func(was string, b []byte) (string, []byte) {
			if was == inManifest {
				return name, b
			}
			return was, b
		}
	}
	for what, c := range map[string]struct{ file, says string }{
		"cut off":     {short, "unexpected EOF"},
		"no manifest": {rewrite(t, archive, with("")), "no manifest"},
		"a way out":   {rewrite(t, archive, with("files/../../evil")), "no file of a backup"},
		"over a part": {rewrite(t, archive, with("files/hub/x")), "no file of a backup"},
		"something":   {rewrite(t, archive, with("other")), "no file of a backup"},
		"a flipped bit": {rewrite(t, archive, func(name string, b []byte) (string, []byte) {
			if strings.HasPrefix(name, inStreams) {
				b = slices.Clone(b)
				b[len(b)/2] ^= 4
			}
			return name, b
		}), "damaged"},
	} {
		_, fresh := centre(t)
		if out, err := cli(t, "restore", "-config", fresh.file, c.file); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q\n%s", what, err, c.says, out)
		}
		if left, err := filepath.Glob(fresh.dataDir() + "*"); err != nil || len(left) != 0 {
			t.Errorf("%s: left over: %v", what, left)
		}
	}
	_, fresh := centre(t)
	if out, err := cli(t, "restore", "-config", fresh.file, rewrite(t, archive, same)); err != nil {
		t.Errorf("as it was: %v\n%s", err, out)
	}
	n, _ = start(t, fresh, roleIngest, roleRules, roleAPI)
	if got, err := n.influx.QueryIn(t.Context(), tsdb.Hours, "SHOW MEASUREMENTS", nil); err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
