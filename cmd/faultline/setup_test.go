package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// An InfluxDB over HTTP has its three retention policies after the first set-up, and the same after the second.
func TestSetupInflux(t *testing.T) {
	engine, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	t.Setenv("FAULTLINE_INFLUX_TOKEN", engine.Token())
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "influx: {url: %q}\n", engine.URL()), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := tsdb.Open(t.Context(), tsdb.Config{URL: engine.URL(), Token: engine.Token(), Database: "faultline"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 2 {
		var out strings.Builder
		if err := dispatch(t.Context(), []string{"setup", "influx", "-config", file}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "is set up") {
			t.Errorf("it says %q", out.String())
		}
		answer, err := client.Query(t.Context(), "SHOW RETENTION POLICIES ON faultline", nil)
		if err != nil || len(answer) != 1 || len(answer[0].Rows) != 3 {
			t.Errorf("policies %v, error %v; want raw, m1 and h1", answer, err)
		}
	}
}
