package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckShowsThePlan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	if err := os.WriteFile(file, []byte(`gateways:
  - id: gw-1
    site: s
    devices:
      - {position: P-1, profile: sim-pump, address: "rtu:///dev/ttyUSB0?baud=9600", unit: 3, period: 500ms}
      - {position: P-2, profile: sim-pump, address: "tcp://10.0.0.1", period: 2s}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := dispatch(t.Context(), []string{"check", "-config", file, "-plan", "-answer", "50ms"}, &out, &out); err != nil {
		t.Fatal(err, out.String())
	}
	for _, want := range []string{"bus rtu:///dev/ttyUSB0?baud=9600", "bus tcp://10.0.0.1:502", "500ms", "too much", "input 0–43"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
