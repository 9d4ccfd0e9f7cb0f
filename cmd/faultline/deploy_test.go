package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// Every configuration that the files under deploy mount or install loads.
func TestDeployedConfigurations(t *testing.T) {
	for file, positions := range map[string]int{"compose/faultline.yaml": 2, "kubernetes/faultline.yaml": 1, "debian/faultline.yaml": 0} {
		cfg, err := LoadConfig(filepath.Join("../../deploy", file))
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
		} else if n := len(cfg.positions()); n != positions {
			t.Errorf("%s reads %d positions, want %d", file, n, positions)
		}
	}
}

// What the edge's install script writes loads, and a second run keeps what a person changed.
func TestEdgeInstall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a script for Linux")
	}
	root, certs := t.TempDir(), t.TempDir()
	for _, f := range []string{"ca.pem", "gw-7.pem", "gw-7-key.pem", "faultline"} {
		if err := os.WriteFile(filepath.Join(certs, f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := func(args ...string) (string, error) {
		cmd := exec.Command("bash", append([]string{"../../deploy/edge-install.sh", filepath.Join(certs, "faultline")}, args...)...)
		cmd.Env = append(os.Environ(), "DESTDIR="+root)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := install("north; rm", "gw-7", "wss://hub.example.com:4222"); err == nil || !strings.Contains(out, "north; rm") {
		t.Errorf("a site of that name: %v %s", err, out)
	}
	if out, err := install("north", "gw-7", "wss://hub.example.com:4222", certs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(root, "etc/faultline/faultline.yaml")
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if g := cfg.Gateways; len(g) != 1 || g[0].ID != "gw-7" || g[0].Site != "north" {
		t.Errorf("gateways %+v", g)
	}
	if c := cfg.certificateFiles("gw-7"); c.Key != filepath.Join(root, "etc/faultline/certs/gw-7-key.pem") {
		t.Errorf("certificates %+v", c)
	}
	const own = "# changed by a person\n"
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := install("north", "gw-7", "wss://hub.example.com:4222", certs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if b, err := os.ReadFile(file); string(b) != own {
		t.Errorf("the second run left %q: %v", b, err)
	}
}

func TestHealth(t *testing.T) {
	for status, want := range map[int]string{http.StatusOK: "ok", http.StatusServiceUnavailable: "503 Service Unavailable: no connection to the hub"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(map[bool]string{true: "ok\n", false: "no connection to the hub\n"}[status == http.StatusOK]))
		}))
		var out strings.Builder
		err := dispatch(t.Context(), []string{"health", "-url", s.URL}, &out, &out)
		s.Close()
		if (err == nil) != (status == http.StatusOK) {
			t.Errorf("%d: %v", status, err)
		}
		if err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%d: %q, want %q", status, out.String(), want)
		}
	}
}

var shellCommand = regexp.MustCompile(`command: \[run, -config, /etc/faultline/faultline\.yaml, -roles, (\w+)\]`)

// Compose starts each role once, as roles that may run apart.
func TestComposeRoles(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig("../../deploy/compose/faultline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_STORE_URL", "postgres://faultline@postgres/faultline")
	seen := map[string]bool{}
	for _, m := range shellCommand.FindAllStringSubmatch(string(text), -1) {
		roles, err := splitRoles(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := (&node{cfg: cfg, roles: roles}).checkRoles(); err != nil || seen[m[1]] {
			t.Errorf("%s (seen before: %t): %v", m[1], seen[m[1]], err)
		}
		seen[m[1]] = true
	}
	if len(seen) != len(allRoles) {
		t.Errorf("roles %v", seen)
	}
}
