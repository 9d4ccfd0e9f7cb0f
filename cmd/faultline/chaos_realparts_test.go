//go:build realparts

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/cmd/faultline/chaos"
)

// TestChaos is the short form of faultline chaos: everything that was taken is there, once, after faults of
// every kind of the edge and the centre. What this machine cannot have is said in the report, not skipped.
func TestChaos(t *testing.T) {
	for name, args := range map[string][]string{
		"no faults": {"-quiet", "-for", "15s"},
		"faults":    {"-only", "kill-gateway,kill-hub,kill-ingest,kill-rules,kill-influx,cut,loss,power", "-for", "60s"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report.json")
			cmd := program(t, append([]string{"chaos", "-report", file, "-modbus", "5", "-mqtt", "2"}, args...)...)
			out, err := cmd.Output()
			t.Logf("%s", out)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r chaos.Report
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			s := r.Samples
			if !r.OK || s.Sent < 10_000 || s.Sent != s.Delivered+s.DroppedByLimit || s.Missing+s.Duplicate+s.Wrong != 0 {
				t.Errorf("samples %+v", s)
			}
			if r.Alarms.Expected == 0 || r.Alarms.Raised != r.Alarms.Expected || r.Tickets.Doubled != 0 {
				t.Errorf("alarms %+v, tickets %+v", r.Alarms, r.Tickets)
			}
			if name == "no faults" {
				if len(r.Faults) != 0 || r.Tickets.Raised != r.Tickets.Expected || s.UntakenReadings != 0 {
					t.Errorf("without faults: %+v, tickets %+v, samples %+v", r.Faults, r.Tickets, s)
				}
				return
			}
			if !slices.ContainsFunc(r.Faults, func(c chaos.Count) bool { return strings.HasPrefix(c.Kind, "kill-") && c.Count > 0 }) {
				t.Errorf("faults %+v", r.Faults)
			}
		})
	}
}
