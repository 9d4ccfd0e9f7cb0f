package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// runUntil starts the program, waits until its output holds want, and ends it.
func runUntil(t *testing.T, want string, then func(out string), args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w, io.Discard)
		w.Close()
		done <- err
	}()
	var out strings.Builder
	timer := time.AfterFunc(20*time.Second, func() { r.CloseWithError(errors.New("no such output in time")) })
	defer timer.Stop()
	buf := make([]byte, 4096)
	told := false
	for {
		n, err := r.Read(buf)
		out.Write(buf[:n])
		if !told && strings.Contains(out.String(), want) {
			told = true
			if then != nil {
				then(out.String())
			}
			cancel()
		}
		if err != nil {
			break
		}
	}
	if err := <-done; err != nil || !told {
		t.Fatalf("run %v: %v; output:\n%s", args, err, out.String())
	}
	return out.String()
}

func TestRunPrintsWhereDevicesAre(t *testing.T) {
	out := runUntil(t, "/counters", func(out string) {
		for _, at := range regexp.MustCompile(`127\.0\.0\.1:\d+ unit 1`).FindAllString(out, -1) {
			c, err := net.Dial("tcp", strings.TrimSuffix(at, " unit 1"))
			if err != nil {
				t.Error(err)
				continue
			}
			c.Close()
		}
		url := regexp.MustCompile(`http://\S+/devices`).FindString(out)
		res, err := http.Get(url)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 || !bytes.Contains(b, []byte(`"P-101"`)) {
			t.Errorf("%s: %d %s", url, res.StatusCode, b)
		}
	}, "-http", "127.0.0.1:0")
	for _, w := range []string{"P-101", "C-201", "CH-301", "M-401", "demo/U-501/telemetry (no broker", "V-102", "0 values read"} {
		if !strings.Contains(out, w) {
			t.Errorf("output lacks %q:\n%s", w, out)
		}
	}
}

func TestDevicesAndPorts(t *testing.T) {
	o, err := parse([]string{"-devices", "M-401, X-1:chiller,U-501,P-102", "-listen", "127.0.0.1:15020"}, io.Discard)
	if err != nil || len(o.Devices) != 4 {
		t.Fatalf("%+v, %v", o.Devices, err)
	}
	for i, want := range []string{"127.0.0.1:15020", "127.0.0.1:15021", "", "127.0.0.1:15022"} {
		if o.Devices[i].Listen != want {
			t.Errorf("%s listens on %q, want %q", o.Devices[i].Name, o.Devices[i].Listen, want)
		}
	}
	if o.Devices[1].Name != "X-1" || o.Devices[1].Kind != "chiller" || o.Host != "127.0.0.1" {
		t.Errorf("%+v on %q", o.Devices[1], o.Host)
	}
}

func TestMistakesAreTold(t *testing.T) {
	script := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(script, []byte("- device: P-101\n  fault: offline\n  wen: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-devices", "P-7"}, `"P-7" is not in the default fleet`},
		{[]string{"-devices", "X:boat"}, `unknown kind "boat"`},
		{[]string{"-fault", "device=P-101 fault=rust"}, `unknown fault "rust"`},
		{[]string{"-fault", "rust"}, "not key=value"},
		{[]string{"-script", script}, "f.yaml:3: unknown key wen"},
		{[]string{"-script", script + ".gone"}, "no such file"},
		{[]string{"-listen", "127.0.0.1:nowhere"}, "nowhere"},
		{[]string{"-http", "256.0.0.1:1"}, "control interface"},
		{[]string{"now"}, `unexpected argument "now"`},
	} {
		err := run(t.Context(), c.args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v does not say %q", c.args, err, c.want)
		}
	}
	if err := run(t.Context(), []string{"-help"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}

func TestReadmeCommandsParse(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^go run ./firmware-sim *(.*?) *(#.*)?$`).FindAllStringSubmatch(string(readme), -1)
	if len(lines) < 4 {
		t.Fatalf("found %d commands", len(lines))
	}
	for _, l := range lines {
		var args []string
		for _, a := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(l[1], -1) {
			args = append(args, strings.Trim(a, "'"))
		}
		if _, err := parse(args, io.Discard); err != nil && !strings.Contains(err.Error(), "faults.yaml") {
			t.Errorf("%s: %v", l[0], err)
		}
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-tables"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "bearing_temperature_de") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestReplayIsADevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loop.csv")
	if err := os.WriteFile(path, []byte("time,heat\n1,20\n2,21\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := runUntil(t, "unit 1", nil, "-replay", path); !strings.Contains(out, "loop") || strings.Contains(out, "P-101") {
		t.Error(out)
	}
	for args, want := range map[string]string{
		"-replay " + path + " -devices P-101":    "leave -devices out",
		"-replay " + path + " -replay-as serial": "use modbus or mqtt",
		"-replay " + path + ".csv":               "no such file",
	} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
