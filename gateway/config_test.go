package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/internal/document"
)

const configText = `id: gw
site: plant
devices:
  - {position: A, profile: two, address: "tcp://10.0.0.1", unit: 3, period: 5s, timeout: 300ms}
  - {position: U, profile: json, topic: plant/ups, username: dev}
  - {position: V, profile: json, broker: main}
mqtt:
  listen: 127.0.0.1:1883
  users:
    - {name: dev, password_env: FAULTLINE_TEST_PASSWORD}
  brokers:
    - {name: main, url: "ssl://broker:8883", username: gw, password_file: %q}
`

func TestConfigDecodes(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_TEST_PASSWORD", "other")
	var c Config
	d, err := document.Decode("gw.yaml", fmt.Appendf(nil, configText, secret), &c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Validate(d.Problems(), "", profiles(t)); d.Problems().Err() != nil {
		t.Fatal(d.Problems().Err())
	}
	g, err := New(Options{Config: c, Profiles: profiles(t), Sink: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.drivers) != 3 {
		t.Errorf("%d drivers", len(g.drivers))
	}
	if s, err := c.MQTT.Brokers[0].Secret.read(); err != nil || s != "s3cret" {
		t.Errorf("%q %v", s, err)
	}
	t.Setenv("FAULTLINE_TEST_PASSWORD", "")
	if _, err := New(Options{Config: c, Profiles: profiles(t), Sink: newStore()}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("an empty password: %v", err)
	}
}

func TestConfigMistakesAreAllReported(t *testing.T) {
	text := `id: "gw 1"
site: ""
devices:
  - {position: A, profile: two}
  - {position: A, profile: none, address: "tcp://x"}
  - {position: B, profile: two, address: "10.0.0.1:502", unit: 300, period: 1ms, timeout: 2h, topic: t}
  - {position: C, profile: json, address: "tcp://x"}
  - {position: D, profile: json, topic: "a/#", username: nobody, broker: gone}
  - {position: E, profile: two, address: "tcp://x", overrides: {speed: {scale: 2}}}
  - {position: F, profile: two, address: "rtuovertcp://y:1", pipeline: 4}
  - {position: G, profile: two, address: "tcp://y", pipeline: 4, pause: 10ms}
  - {position: H, profile: two, address: "tcp://z", pipeline: 17}
  - {position: I, profile: two, address: "tcp://w", pipeline: 2}
  - {position: J, profile: two, address: "tcp://w", unit: 2}
mqtt:
  listen: 0.0.0.0:1883
  users:
    - {name: ""}
    - {name: u, password_file: f, password_env: E}
  brokers:
    - {name: b, url: "broker:1883"}
    - {name: b, url: "tcp://user:pw@broker:1883", username: x}
`
	var c Config
	d, err := document.Decode("gw.yaml", []byte(text), &c)
	if err != nil {
		t.Fatal(err)
	}
	c.Validate(d.Problems(), "", profiles(t))
	err = d.Problems().Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"gw.yaml:1: id:", "gw.yaml:2: site:", "gw.yaml:4: devices[0].address:", "gw.yaml:5: devices[1].position:", "devices[1].profile:", "faultline profiles lists all", "gw.yaml:9: devices[5].overrides.speed: profile two has no such point",
		"devices[2].address:", "devices[2].unit:", "devices[2].period:", "devices[2].timeout:", "devices[2].topic:", "devices[3].address:",
		"devices[6].pipeline: only answers over tcp", "devices[7].pipeline: a device that wants a pause", "devices[8].pipeline: 17: use 1 to 16", "devices[10].address: devices[9] has the same",
		"devices[4].topic:", "devices[4].username:", "devices[4].broker:", "mqtt.listen:", "mqtt.users[0].name:", "mqtt.users[0].password_file:", "mqtt.users[1].password_file:",
		"mqtt.brokers[0].url:", "mqtt.brokers[1].name:", "mqtt.brokers[1].url:", "mqtt.brokers[1].password_file:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if _, err := document.Decode("gw.yaml", []byte("id: a\nmqtt: {users: [{name: x, password: y}]}"), &c); err == nil {
		t.Error("a password in the document was taken")
	}
}

// What differs at a device reaches the driver of that device and no other.
func TestOverridesReachTheDriver(t *testing.T) {
	var c Config
	if _, err := document.Decode("gw.yaml", []byte(`id: gw
site: plant
devices:
  - {position: A, profile: two, address: "tcp://10.0.0.1", overrides: {a: {scale: 0.04, range: [0, 600]}}}
  - {position: B, profile: two, address: "tcp://10.0.0.2"}
`), &c); err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{Config: c, Profiles: profiles(t), Sink: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range g.configured() {
		v, q := d.profile.Points[0].Convert(1000)
		got = append(got, fmt.Sprintf("%s %s %s", d.Position, v, q))
	}
	if got, want := strings.Join(got, "; "), "A 40 good; B 1000 good"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
