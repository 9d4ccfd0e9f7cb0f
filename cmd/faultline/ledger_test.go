package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// frames publishes frames straight into the hub and waits until they are dealt with.
func frames(t *testing.T, n *node, gateway string, count int) {
	t.Helper()
	p, err := n.hub.Publisher(t.Context(), "plant-1", gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	begin := time.Now().Add(-time.Minute)
	for i := range count {
		f := faultline.Frame{Kind: "pump", Site: "plant-1", Position: "P-" + gateway, Gateway: gateway, Time: begin.Add(time.Duration(i) * time.Millisecond),
			Samples: []faultline.Sample{{Point: "v", Value: faultline.Float(float64(i)), Quality: faultline.Good}, {Point: "note", Value: faultline.String(strings.Repeat("x", 200)), Quality: faultline.Good}}}
		if err := p.Publish(t.Context(), f, bus.Meta{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the frames are dealt with", func() bool {
		rows, err := n.store.LedgerRows(t.Context())
		if err != nil {
			return false
		}
		for _, r := range rows {
			if r.Gateway == gateway && r.Last == p.Last() {
				return true
			}
		}
		return false
	})
}

func TestLedgerVerify(t *testing.T) {
	file, cfg := centre(t)
	n, stop := start(t, cfg, roleIngest, roleRules, roleAPI)
	frames(t, n, "gw-1", 30)
	frames(t, n, "gw-2", 5)
	if out, err := cli(t, "ledger", "verify", "-config", file); err != nil || !strings.Contains(out, "35 frames") || !strings.Contains(out, " 0 differences") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := cli(t, "ledger", "-config", file); err != nil || !strings.Contains(out, "1–30") {
		t.Errorf("%v\n%s", err, out)
	}
	// Points vanish from InfluxDB: they are named.
	rows, err := n.influx.Query(t.Context(), `SELECT v FROM pump WHERE "position" = 'P-gw-1' LIMIT 10`, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := rows[0].Rows[9][0].(time.Time)
	if _, err := n.influx.Query(t.Context(), fmt.Sprintf(`DELETE FROM pump WHERE "position" = 'P-gw-1' AND time <= %d`, last.UnixNano()), nil); err != nil {
		t.Fatal(err)
	}
	out, err := cli(t, "ledger", "verify", "-config", file)
	if err == nil || !strings.Contains(out, "not in InfluxDB: plant-1/gw-1") || !strings.Contains(out, "10 frames, 1 to 10, between") || strings.Contains(out, "gw-2") {
		t.Errorf("%v\n%s", err, out)
	}
	stop()
}

// A flipped bit in the middle of a stream's file takes the rest of its block with it, without an error.
func TestLedgerNoticesAFlippedBit(t *testing.T) {
	file, cfg := centre(t)
	n, stop := start(t, cfg, roleIngest, roleRules, roleAPI)
	frames(t, n, "gw-1", 200)
	stop()
	blocks, err := filepath.Glob(filepath.Join(cfg.dataDir(), "hub", "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("blocks %v, %v", blocks, err)
	}
	b, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x10
	if err := os.WriteFile(blocks[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	// What the server kept of it must be forgotten too, as after a power loss.
	for _, f := range []string{"index.db"} {
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(blocks[0]), f))
		for _, l := range left {
			_ = os.Remove(l)
		}
	}
	out, err := cli(t, "ledger", "verify", "-config", file)
	if err == nil || !strings.Contains(out, "DIFFERENCE") || strings.Contains(out, " 0 differences") {
		t.Errorf("nobody noticed: %v\n%s", err, out)
	}
	// The gateway writes on in a new epoch: none of its frames is taken for one that came before.
	n, _ = start(t, cfg, roleIngest, roleRules, roleAPI)
	count := func() int {
		rows, err := n.influx.Query(t.Context(), `SELECT count(v) FROM pump`, nil)
		if err != nil || len(rows) == 0 {
			return -1
		}
		c, _ := rows[0].Rows[0][1].(int64)
		return int(c)
	}
	before := count()
	p, err := n.hub.Publisher(t.Context(), "plant-1", "gw-1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 10 {
		f := faultline.Frame{Kind: "pump", Site: "plant-1", Position: "P-gw-1", Gateway: "gw-1", Time: time.Now().Add(time.Duration(i) * time.Millisecond), Samples: []faultline.Sample{{Point: "v", Value: faultline.Float(1), Quality: faultline.Good}}}
		if err := p.Publish(t.Context(), f, bus.Meta{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "its frames are in InfluxDB", func() bool { return count() == before+10 })
	eventually(t, "they are an epoch of their own in the ledger, without duplicates", func() bool {
		rows, err := n.store.LedgerRows(t.Context())
		return err == nil && len(rows) == 2 && rows[1].Epoch == p.Epoch() && rows[1].Delivered == 10 && rows[1].Duplicate == 0
	})
}
