package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/backtest"
	"github.com/prometheus/client_golang/prometheus"
)

const stricterRule = `rules:
  - {id: pump-vibration-de, version: 2, title: Vibration high (drive end), kind: threshold, asset_kind: centrifugal_pump, point: vibration_de,
     limits: {high: 5}, dead_band: 0.5, on_delay: 3s, off_delay: 30s, failure_mode: bearing_damage, family: bearing}
`

var past = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// vibration is the history: above 5 mm/s from second 1000 to 1100, above 7.1 from 2000 to 2100.
func vibration(second int) float64 {
	switch {
	case second >= 1000 && second < 1100:
		return 6
	case second >= 2000 && second < 2100:
		return 9
	}
	return 2
}

func files(t *testing.T, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBacktestOfTable(t *testing.T) {
	var csv strings.Builder
	csv.WriteString("time,vibration_de\n")
	for i := range 3000 {
		fmt.Fprintf(&csv, "%s,%v\n", past.Add(time.Duration(i)*time.Second).Format(time.RFC3339), vibration(i))
	}
	dir := files(t, map[string]string{"own.rules.yaml": stricterRule, "past.csv": csv.String()})
	args := []string{"backtest", "-rule", filepath.Join(dir, "own.rules.yaml"), "-asset", "P-101", "-profile", "sim-pump",
		"-csv", filepath.Join(dir, "past.csv"), "-out", filepath.Join(dir, "pictures")}
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), args, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"2026-03-01 00:16:43 2m7s warning pump-vibration-de T-000001 no vibration, drive end 6 mm/s above its high limit of 5 mm/s for 3 s",
		"2026-03-01 00:33:23 2m7s warning pump-vibration-de T-000001 no vibration, drive end 9 mm/s",
		"2 alarms would have been raised", "T-000001 2026-03-01 00:16:43 P4 fault 2 P-101: Vibration high (drive end)", "2 pictures in",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not said: %s\n%s", want, out.String())
		}
	}
	svg, err := os.ReadFile(filepath.Join(dir, "pictures", "001-pump-vibration-de-20260301T001643Z.svg"))
	if err != nil || !bytes.HasPrefix(svg, []byte("<svg")) || !bytes.Contains(svg, []byte("00:16:43")) {
		t.Errorf("picture: %v, %.200s", err, svg)
	}
	out.Reset()
	if err := dispatch(t.Context(), append(args, "-json", "-from", "2026-03-01T00:30:00Z"), &out, &errOut); err != nil {
		t.Fatal(err)
	}
	var report backtest.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(report.Alarms) != 1 || len(report.Tickets) != 1 || report.Samples != 1200 {
		t.Errorf("from half past: %+v", report)
	}
}

// With a configuration the points, the history and the alarms that were really raised come from there.
func TestBacktestOfInstallation(t *testing.T) {
	dir := files(t, map[string]string{"own.rules.yaml": stricterRule, "faultline.yaml": `
data: data
influx: {retention: 87600h}
gateways:
  - id: gw-1
    site: plant-1
    devices:
      - {position: P-101, profile: sim-pump, address: "tcp://127.0.0.1:502", unit: 1, period: 1s}
assets:
  - {position: P-101, criticality: A}
`})
	config := filepath.Join(dir, "faultline.yaml")
	args := []string{"backtest", "-rule", filepath.Join(dir, "own.rules.yaml"), "-asset", "plant-1/P-101", "-config", config, "-from", "2026-03-01", "-to", "2026-03-02"}
	var out bytes.Buffer
	if err := dispatch(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), "there is no history yet") {
		t.Errorf("before anything ran: %v", err)
	}
	cfg, err := LoadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{cfg: cfg, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
	if err := os.MkdirAll(cfg.dataDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.openStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.openInflux(t.Context()); err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for i := range 3000 {
		lines = fmt.Appendf(lines, "centrifugal_pump,site=plant-1,position=P-101,gateway=gw-1 vibration_de=%v %d\n", vibration(i), past.Add(time.Duration(i)*time.Second).UnixNano())
	}
	lines = fmt.Appendf(lines, "centrifugal_pump,origin=demo,site=plant-1,position=P-101,gateway=gw-1 vibration_de=2 %d\n", past.Add(500*time.Second+1).UnixNano())
	if err := n.influx.Write(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	id := faultline.AlarmID("plant-1", "P-101", "pump-vibration-de")
	if err := n.store.ImportAlarm(t.Context(), faultline.Alarm{ID: id, Site: "plant-1", Position: "P-101", Rule: "pump-vibration-de", Severity: faultline.SeverityWarning, Count: 1},
		[]faultline.AlarmEvent{{Alarm: id, At: past.Add(2003 * time.Second), StoredAt: past, Transition: faultline.TransitionRaised, Severity: faultline.SeverityWarning, Why: "as it was"}}); err != nil {
		t.Fatal(err)
	}
	if err := dispatch(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), "a running faultline has the history open") {
		t.Errorf("while it runs: %v", err)
	}
	for i := len(n.closers) - 1; i >= 0; i-- {
		if err := n.closers[i](); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	if err := dispatch(t.Context(), args, &out, &out); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"from InfluxDB, vibration_de: readings as they were", "00:16:43 2m7s warning pump-vibration-de T-000001 no", "00:33:23 2m7s warning pump-vibration-de T-000001 yes",
		"note: history up to 2026-03-01 00:08:20 is made up",
		"2 alarms would have been raised; 1 were, of which 0 would not have been", "T-000001 2026-03-01 00:16:43 P2 fault 2",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not said: %s\n%s", want, out.String())
		}
	}
}

// The table in the documentation is one.
func TestDocumentedTable(t *testing.T) {
	doc, err := os.ReadFile("../../docs/testing-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```csv\n")
	text, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("the documentation shows no table")
	}
	dir := files(t, map[string]string{"past.csv": text})
	var out bytes.Buffer
	if err := dispatch(t.Context(), []string{"backtest", "-id", "pump-vibration-de", "-asset", "P-101", "-profile", "sim-pump", "-csv", filepath.Join(dir, "past.csv")}, &out, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "5 readings of points, 1 of them bad") {
		t.Errorf("not as written:\n%s", out.String())
	}
}

func TestBacktestRefuses(t *testing.T) {
	dir := files(t, map[string]string{"past.csv": "time,vibration_de\n2026-03-01,1\n"})
	csv := filepath.Join(dir, "past.csv")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-id", "pump-vibration-de", "-csv", csv}, "-asset is needed"},
		{[]string{"-asset", "P-101", "-csv", csv}, "-rule FILE or -id RULE is needed"},
		{[]string{"-asset", "P-101", "-id", "pump-vibration-de"}, "where is the history?"},
		{[]string{"-asset", "P-101", "-id", "pump-vibrations", "-csv", csv}, "no rule pump-vibrations"},
		{[]string{"-asset", "P-101", "-id", "pump-vibration-de", "-csv", csv, "-profile", "sim-chiller"}, "has no point \"vibration_de\""},
		{[]string{"-asset", "P-101", "-id", "pump-vibration-de", "-csv", csv, "-from", "yesterday"}, "write 2026-03-01"},
		{[]string{"-asset", "P-101", "-id", "pump-vibration-de", "-csv", csv + "x"}, "open the table"},
	} {
		var out bytes.Buffer
		err := dispatch(t.Context(), append([]string{"backtest"}, c.args...), &out, &out)
		if err == nil || !strings.Contains(err.Error()+out.String(), c.want) {
			t.Errorf("%v: %v, %s; want %s", c.args, err, out.String(), c.want)
		}
	}
}
