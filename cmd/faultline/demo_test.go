package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// TestMain lets the test binary stand in for the program, so that tests can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("FAULTLINE_TEST_AS_PROGRAM") != "" {
		main()
		os.Exit(0)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// program starts the test binary as the program itself.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "FAULTLINE_TEST_AS_PROGRAM=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// TestDemo runs the demonstration and reads its report, as somebody who wants to know would.
func TestDemo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	var out strings.Builder
	err := dispatch(t.Context(), []string{"demo", "-for", "80s", "-report", file, "-listen", "127.0.0.1:0", "-grafana"}, &out, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`docker run .* -e INFLUX_URL=http://127\.0\.0\.1:\d+ -e INFLUX_TOKEN=\S{20,} `).MatchString(out.String()) {
		t.Error("-grafana says nothing of how to run one")
	}
	r := readReport(t, file)
	checkReport(t, r)
	if r.Equipment.Devices != 7 || r.Equipment.ReadingsServed == 0 || r.Equipment.Published == 0 {
		t.Errorf("equipment %+v", r.Equipment)
	}
	if len(r.Faults) != len(demoScript) {
		t.Errorf("%d faults injected, %d in the script", len(r.Faults), len(demoScript))
	}
	for _, f := range r.Faults {
		if len(f.Tickets) != 1 {
			t.Errorf("%s at %s has tickets %v, want exactly one", f.Fault, f.Device, f.Tickets)
		}
	}
	kinds := map[string]int{}
	for _, k := range r.Tickets {
		kinds[k.Kind]++
		if k.Evidence.Samples == 0 {
			t.Errorf("%s has no evidence", k.Number)
		}
		svg, err := os.ReadFile(filepath.Join(filepath.Dir(file), k.Evidence.Picture))
		if err != nil || !strings.Contains(string(svg), "<svg") || !strings.Contains(string(svg), "</svg>") {
			t.Errorf("picture of %s: %v", k.Number, err)
		}
		if k.Kind == "fault" && (k.DetectedAfter == nil || *k.DetectedAfter < 0) {
			t.Errorf("%s belongs to no injected fault: %s", k.Number, k.Title)
		}
	}
	if kinds["inspection"] != 1 || kinds["fault"] != len(demoScript) || len(kinds) != 2 {
		t.Errorf("tickets by kind: %v", kinds)
	}
	if r.MadeUp.Values == 0 || r.MadeUp.Tickets != len(pastFaults) {
		t.Errorf("made-up history: %+v", r.MadeUp)
	}
	if first := firstTicket(r); first.Sub(r.start()) > 60*time.Second {
		t.Errorf("first fault ticket %s after the start", first.Sub(r.start()))
	}
}

func (r *report) start() time.Time {
	return r.Faults[0].Injected.Add(-demoScript[0].At)
}

func firstTicket(r *report) time.Time {
	var first time.Time
	for _, k := range r.Tickets {
		if k.Kind == "fault" && (first.IsZero() || k.OpenedAt.Before(first)) {
			first = k.OpenedAt
		}
	}
	return first
}

func readReport(t *testing.T, file string) *report {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// checkReport checks what must hold of every run: nothing missing, nothing twice, and InfluxDB holds
// what the gateways stored.
func checkReport(t *testing.T, r *report) {
	t.Helper()
	if r.Frames.Missing != 0 || r.Frames.Duplicate != 0 || r.Frames.Stored == 0 || r.Frames.Delivered != r.Frames.Stored {
		t.Errorf("frames %+v", r.Frames)
	}
	if want := r.Samples.Good + r.Samples.Uncertain; r.Influx.Values != want || want == 0 {
		t.Errorf("InfluxDB holds %d values, the gateways stored %d", r.Influx.Values, want)
	}
}

// TestKill kills the program while an alarm is active and starts it again on the same data: nothing
// that was stored is missing, and the fault keeps its one ticket.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	first := program(t, "demo", "-data", dir, "-history=false", "-listen", "127.0.0.1:0")
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Process.Kill()
	if _, ok := waitLine(t, out, regexp.MustCompile(`TICKET +P-101`), 60*time.Second); !ok {
		t.Fatal("no ticket for P-101")
	}
	if err := first.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = first.Wait()
	before := ticketsIn(t, dir)
	if len(before["P-101"]) != 1 {
		t.Fatalf("tickets before: %v", before)
	}

	// The equipment of the second run has the same fault from its eighth second on.
	file := filepath.Join(t.TempDir(), "report.json")
	second := program(t, "demo", "-data", dir, "-history=false", "-listen", "127.0.0.1:0", "-for", "35s", "-report", file)
	if text, err := second.Output(); err != nil {
		t.Fatalf("second run: %v\n%s", err, text)
	}
	checkReport(t, readReport(t, file))
	after := ticketsIn(t, dir)
	if len(after["P-101"]) != 1 || after["P-101"][0].Number != before["P-101"][0].Number {
		t.Errorf("P-101 had ticket %v, now %v", before["P-101"], after["P-101"])
	}
	for position, list := range before {
		faults := 0
		for _, k := range after[position] {
			if k.Kind == faultline.TicketFault {
				faults++
			}
		}
		if len(list) > 0 && faults > 1 {
			t.Errorf("%s has %d fault tickets", position, faults)
		}
	}
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(dir, "faultline.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.LedgerRows(t.Context())
	if err != nil || len(rows) == 0 {
		t.Fatalf("ledger %v: %v", rows, err)
	}
	for _, r := range rows {
		if r.Missing != 0 || r.Duplicate != 0 || r.Delivered != r.Last-r.First+1 {
			t.Errorf("ledger %+v", r)
		}
	}
}

// ticketsIn reads the tickets of a data directory that nobody uses.
func ticketsIn(t *testing.T, dir string) map[string][]faultline.Ticket {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(dir, "faultline.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	list, _, err := st.Tickets(t.Context(), store.TicketFilter{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]faultline.Ticket{}
	for _, k := range list {
		out[k.Position] = append(out[k.Position], k)
	}
	return out
}

// waitLine reads lines until one matches; the rest is read and thrown away in the background.
func waitLine(t *testing.T, r io.Reader, want *regexp.Regexp, limit time.Duration) (string, bool) {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(r)
		sent := false
		for s.Scan() {
			if !sent && want.MatchString(s.Text()) {
				sent = true
				found <- s.Text()
			}
		}
		if !sent {
			close(found)
		}
	}()
	select {
	case line, ok := <-found:
		return line, ok
	case <-time.After(limit):
		return "", false
	}
}

// TestInterrupt ends the demonstration as Ctrl-C does: cleanly, within five seconds, with a summary.
func TestInterrupt(t *testing.T) {
	cmd := program(t, "demo", "-history=false", "-listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := make(chan string, 1000)
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			lines <- s.Text()
		}
		close(lines)
	}()
	var said []string
	for line := range lines {
		said = append(said, line)
		if m := regexp.MustCompile(`console: (http\S+)`).FindStringSubmatch(line); m != nil {
			checkPages(t, m[1])
		}
		if strings.Contains(line, "samples/s") {
			break
		}
	}
	asked := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		said = append(said, line)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("took %s to end", took)
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{"found P-101", "found U-501", "console:", "gateway stored", "0 missing, 0 duplicate", "stopped in"} {
		if !strings.Contains(text, want) {
			t.Errorf("it did not say %q:\n%s", want, text)
		}
	}
}

func checkPages(t *testing.T, base string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for path, want := range map[string]string{"/": "P-101", "/api/v1/assets": `"P-101"`, "/healthz": "", "/readyz": `"ingest"`, "/metrics": "faultline_", "/api/v1/openapi.json": `"openapi"`} {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			continue
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("GET %s: %s without %q", path, res.Status, want)
		}
	}
}
