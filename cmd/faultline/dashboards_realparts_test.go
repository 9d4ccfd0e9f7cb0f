//go:build realparts

package main

import (
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/internal/tsdb"
)

// The same dashboards on InfluxDB 1.8.3.
func TestDashboardsAnsweredByInfluxDB(t *testing.T) {
	program, err := exec.LookPath("influxd")
	if err != nil {
		t.Fatal("no influxd: run deploy/realparts.sh")
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	backup, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "INFLUXDB_REPORTING_DISABLED=true", "INFLUXDB_BIND_ADDRESS="+backup, "INFLUXDB_HTTP_BIND_ADDRESS="+address,
		"INFLUXDB_META_DIR="+dir+"/meta", "INFLUXDB_DATA_DIR="+dir+"/data", "INFLUXDB_DATA_WAL_DIR="+dir+"/wal", "INFLUXDB_MONITOR_STORE_ENABLED=false")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "InfluxDB answers", func() bool {
		r, err := http.Get("http://" + address + "/ping")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	c, err := tsdb.Open(t.Context(), tsdb.Config{URL: "http://" + address, Database: "faultline", Retention: 90 * 24 * time.Hour, Tiers: tsdb.Tiers(365*24*time.Hour, 5*365*24*time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	fillForDashboards(t, c, now)
	askDashboards(t, "http://"+address, "", now)
}
