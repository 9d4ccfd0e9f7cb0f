//go:build realparts

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// part finds a real part or fails: with the tag realparts nothing is skipped.
func part(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: run deploy/realparts.sh", names[0])
	return ""
}

// startPart runs a real part until the test ends and waits until its port answers.
func startPart(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done })
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended:\n%s", cmd.Path, out.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s", cmd.Path, addr)
		}
	}
}

func free(t *testing.T) (addr, port string) {
	t.Helper()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(addr)
	return addr, port
}

// profileFrom writes a register list as a profile file.
func profileFrom(t *testing.T, dir, name, csv string) {
	t.Helper()
	p, err := profile.FromCSV(name+".csv", strings.NewReader(csv), name, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".profile.yaml"), p.YAML(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runNode starts every role on a configuration.
func runNode(t *testing.T, dir, text string) *node {
	t.Helper()
	file := filepath.Join(dir, "faultline.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	n, err := startNode(t.Context(), cfg, nodeOptions{Roles: allRoles, Log: log}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// arrives waits until InfluxDB holds a frame of the position, and compares its values.
func arrives(t *testing.T, n *node, kind, position string, want map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var f faultline.Frame
	var err error
	for {
		if f, err = n.influx.Latest(ctx, kind, "north", position); err == nil && len(f.Samples) >= len(want) {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nothing of %s in InfluxDB: %v (%d samples)", position, err, len(f.Samples))
		case <-time.After(100 * time.Millisecond):
		}
	}
	got := map[string]any{}
	for _, s := range f.Samples {
		got[s.Point] = s.Value.Any()
		if s.Quality != faultline.Good {
			got[s.Point] = string(s.Quality)
		}
	}
	for point, v := range want {
		if got[point] != v {
			t.Errorf("%s %s: %v (%T), want %v (%T)", position, point, got[point], got[point], v, v)
		}
	}
}

const plain = `data: %q
gateways:
  - id: gw-1
    site: north
    %s
    devices:
      - %s
profiles: [%s]
api: {listen: "127.0.0.1:0"}
`

// What pymodbus serves arrives in InfluxDB as it was set there.
func TestPymodbus(t *testing.T) {
	dir := t.TempDir()
	addr, port := free(t)
	startPart(t, addr, exec.Command(part(t, "/usr/bin/python3"), "testdata/pymodbus_server.py", port))
	profileFrom(t, dir, "pymodbus", `name,table,address,type,order,scale,as
word,holding,0,uint16,,,int
tenths,holding,1,int16,,0.1,float
float_abcd,holding,10,float32,ABCD,,float
float_cdab,holding,12,float32,CDAB,,float
large,holding,20,uint32,,,int
exact,holding,24,int64,,,int
double,holding,30,float64,,,float
input,input,5,uint16,,,int
coil,coil,1,bool,,,bool
discrete,discrete,1,bool,,,bool
`)
	n := runNode(t, dir, fmt.Sprintf(plain, filepath.Join(dir, "data"), "", `{position: P-1, profile: pymodbus, address: "tcp://`+addr+`", unit: 7, period: 500ms}`, "pymodbus.profile.yaml"))
	arrives(t, n, "pymodbus", "P-1", map[string]any{
		"word": int64(4711), "tenths": -12.3, "float_abcd": 21.5, "float_cdab": -7.25, "large": int64(4000000000),
		"exact": int64(-9007199254740993), "double": 3.141592653589793, "input": int64(0xBEEF), "coil": false, "discrete": true,
	})
}

// The same for a server made of libmodbus.
func TestLibmodbus(t *testing.T) {
	dir := t.TempDir()
	server := libmodbusServer(t)
	addr, port := free(t)
	startPart(t, addr, exec.Command(server, port))
	profileFrom(t, dir, "libmodbus", `name,table,address,type,order,scale,as
word,holding,0,uint16,,,int
tenths,holding,1,int16,,0.1,float
float_abcd,holding,10,float32,ABCD,,float
float_cdab,holding,12,float32,CDAB,,float
long,holding,20,uint32,ABCD,,int
input,input,3,uint16,,,int
coil,coil,2,bool,,,bool
discrete,discrete,1,bool,,,bool
`)
	n := runNode(t, dir, fmt.Sprintf(plain, filepath.Join(dir, "data"), "", `{position: P-2, profile: libmodbus, address: "tcp://`+addr+`", unit: 1, period: 500ms}`, "libmodbus.profile.yaml"))
	arrives(t, n, "libmodbus", "P-2", map[string]any{
		"word": int64(1234), "tenths": -25.0, "float_abcd": float64(float32(101.325)), "float_cdab": -0.5,
		"long": int64(65538), "input": int64(999), "coil": true, "discrete": true,
	})
}

// What is published to Mosquitto arrives in InfluxDB, a message sent while nobody listened included.
func TestMosquitto(t *testing.T) {
	dir := t.TempDir()
	addr, port := free(t)
	conf := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(conf, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startPart(t, addr, exec.Command(part(t, "mosquitto", "/usr/sbin/mosquitto"), "-c", conf))
	text := `name: real-mqtt
version: "1"
kind: real_mqtt
source: this test
mqtt: {time: at}
points:
  - {name: level, unit: "%", type: float, json: tank.level}
  - {name: count, type: int, json: count}
  - {name: pump_on, type: bool, json: pump}
  - {name: mode, type: string, json: mode}
`
	if err := os.WriteFile(filepath.Join(dir, "mqtt.profile.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := runNode(t, dir, fmt.Sprintf(plain, filepath.Join(dir, "data"), `mqtt: {brokers: [{name: plant, url: "tcp://`+addr+`"}]}`,
		`{position: T-1, profile: real-mqtt, broker: plant, topic: plant/T-1}`, "mqtt.profile.yaml"))
	at := time.Now().UTC().Truncate(time.Millisecond)
	payload := fmt.Sprintf(`{"at":%q,"tank":{"level":73.25},"count":9007199254740993,"pump":true,"mode":"<b>auto</b>"}`, at.Format(time.RFC3339Nano))
	publish := func() {
		if out, err := exec.Command(part(t, "mosquitto_pub"), "-h", "127.0.0.1", "-p", port, "-q", "1", "-r", "-t", "plant/T-1", "-m", payload).CombinedOutput(); err != nil {
			t.Fatalf("publish: %v %s", err, out)
		}
	}
	publish() // retained: it reaches the gateway whenever it subscribes
	arrives(t, n, "real_mqtt", "T-1", map[string]any{"level": 73.25, "count": int64(9007199254740993), "pump_on": true, "mode": "<b>auto</b>"})
	f, err := n.influx.Latest(t.Context(), "real_mqtt", "north", "T-1")
	if err != nil || !f.Time.Equal(at) {
		t.Errorf("the device's time %s became %s (%v)", at, f.Time, err)
	}
}

// mbpoll, a client that we did not write, reads the simulator.
func TestMbpoll(t *testing.T) {
	plant, err := equipment.New(equipment.Config{Seed: 1, Devices: []equipment.DeviceConfig{{Name: "P-1", Kind: "pump", Hours: 100}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- plant.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-plant.Ready()
	_, port, _ := net.SplitHostPort(plant.Devices()[0].Address)
	// mbpoll counts from 1: input register 21 is address 20, the running hours in tenths.
	out, err := exec.Command(part(t, "mbpoll"), "-m", "tcp", "-a", "1", "-t", "3:int", "-B", "-r", "21", "-c", "1", "-p", port, "-1", "127.0.0.1").CombinedOutput()
	if err != nil {
		t.Fatalf("mbpoll: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`\[21\]:\s+(\d+)`).FindStringSubmatch(string(out))
	if m == nil || m[1] != "1000" {
		t.Errorf("running hours %v, want 1000 tenths:\n%s", m, out)
	}
}

// TestConsole opens the console of a running demonstration in Chromium: the ticket for the injected
// fault is there within 60 seconds of the start, with its picture.
func TestConsole(t *testing.T) {
	chromium := part(t, "chromium", "chromium-browser", "google-chrome")
	started := time.Now()
	cmd := program(t, "demo", "-listen", "127.0.0.1:0", "-data", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }()
	line, ok := waitLine(t, out, regexp.MustCompile(`see http\S+/tickets/`), 60*time.Second)
	if !ok {
		t.Fatal("no ticket within 60 s")
	}
	ticket := regexp.MustCompile(`http\S+`).FindString(line)
	base := ticket[:strings.Index(ticket, "/tickets/")]
	dom := browse(t, chromium, ticket, "--dump-dom")
	if took := time.Since(started); took > 60*time.Second {
		t.Errorf("the ticket was read %s after the start", took)
	}
	for _, want := range []string{"P-101", "<svg", "T-0"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the ticket's page lacks %q", want)
		}
	}
	for name, url := range map[string]string{"overview": base + "/", "ticket": ticket, "alarms": base + "/alarms", "asset": base + "/assets/harbour/P-101"} {
		file := filepath.Join(t.TempDir(), name+".png")
		browse(t, chromium, url, "--screenshot="+file, "--window-size=1280,1600")
		if info, err := os.Stat(file); err != nil || info.Size() < 20_000 {
			t.Errorf("screenshot of %s: %v %v", name, info, err)
		}
		if keep := os.Getenv("FAULTLINE_SCREENSHOTS"); keep != "" {
			b, _ := os.ReadFile(file)
			_ = os.WriteFile(filepath.Join(keep, name+".png"), b, 0o644)
		}
	}
	res, err := http.Get(base + "/api/v1/ledger")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("ledger: %v %v", res, err)
	}
}

func browse(t *testing.T, chromium, url string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	base := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(), "--hide-scrollbars"}
	out, err := exec.CommandContext(ctx, chromium, append(append(base, args...), url)...).Output()
	if err != nil {
		t.Fatalf("chromium %s: %v", url, err)
	}
	return string(out)
}
