package equipment

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestControlInterface(t *testing.T) {
	p := stepped(t, Config{Seed: 1})
	p.step(monday)
	h := p.Handler()
	call := func(method, path, body string, want int) string {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s %s %s: %d, want %d: %s", method, path, body, w.Code, want, w.Body)
		}
		return w.Body.String()
	}
	says := func(text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q", text, w)
			}
		}
	}
	says(call("POST", "/faults", `{"device":"P-101","fault":"bearing_wear","severity":0.5,"ramp":"20s","for":"1m"}`, 201), `"severity":0.5`, `"ramp":"20s"`, `"at":"20`)
	says(call("POST", "/faults", `{"device":"M-401","fault":"sensor_stuck","point":"frequency"}`, 201), `"point":"frequency"`)
	says(call("POST", "/faults", `{"device":"M-401","fault":"sensor_stuck","point":"current_l1"}`, 201), `"point":"current_l1"`)
	says(call("POST", "/faults", `{"device":"P-9","fault":"offline"}`, 404), "unknown device", "P-101")
	says(call("POST", "/faults", `{"device":"P-101","fault":"melting"}`, 400), "unknown fault", "bearing_wear")
	says(call("POST", "/faults", `{"device":"P-101","fault":"offline","speed":3}`, 400), "speed")
	says(call("POST", "/faults", `{"device":"P-101","fault":"offline","ramp":"fast"}`, 400), "fast")
	says(call("POST", "/faults", `{"device":"P-101"} {}`, 400), "follows")
	call("POST", "/faults", `{"device":"`+strings.Repeat("x", maxBody)+`"}`, 400)

	var devices []struct {
		Name   string
		Faults []string
	}
	if err := json.Unmarshal([]byte(call("GET", "/devices", "", 200)), &devices); err != nil || len(devices) != 7 || len(devices[0].Faults) != 1 || len(devices[4].Faults) != 1 {
		t.Errorf("devices: %v %+v", err, devices)
	}
	says(call("GET", "/devices/P-101", "", 200), `"vibration_de":`)
	call("GET", "/devices/P-9", "", 404)
	says(call("DELETE", "/faults/M-401/sensor_stuck?point=frequency", "", 204))
	says(call("DELETE", "/faults/M-401/sensor_stuck?point=frequency", "", 404), "not active")
	call("DELETE", "/faults/M-401/sensor_stuck", "", 204)
	call("DELETE", "/faults/P-101/bearing_wear", "", 204)
	var faults []struct {
		Device, Point string
		Cleared       *time.Time
	}
	if err := json.Unmarshal([]byte(call("GET", "/faults", "", 200)), &faults); err != nil || len(faults) != 3 {
		t.Errorf("faults: %v %+v", err, faults)
	}
	for _, f := range faults {
		if f.Cleared == nil {
			t.Errorf("not cleared: %+v", f)
		}
	}
	says(call("GET", "/counters", "", 200), `"total":{"reads":0`, `"V-102":{`)

	r := httptest.NewRequest("POST", "/faults", strings.NewReader(`{"device":"P-101","fault":"offline"}`))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form post from a browser: %d", w.Code)
	}
}

func TestScriptErrorsCarryFileAndLine(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"- device: P-101\n  fault: offline\n  sevrity: 1\n- colour: red\n", []string{"f.yaml:3: unknown key sevrity", "f.yaml:4: unknown key colour", "severity, ramp"}},
		{"- device: P-101\n  fault: offline\n- device: P-101\n  fault: offline\n  at: soon\n", []string{`f.yaml:5: "soon" is not a duration`}},
		{"- device: P-101\n  fault: offline\n  at: -5s\n", []string{"f.yaml:3: ", "-5s"}},
		{"- at: 1s\n  fault: offline\n- at: 2s\n  device: X\n  severity: 2\n", []string{"f.yaml:1: device is missing", "f.yaml:3: fault is missing", "severity 2"}},
		{"- device: [a\n", []string{"f.yaml:"}},
		{"device: P-101\n", []string{"f.yaml:1: ", "a list of events"}},
		{"- device: P-101\n  fault: offline\n---\n- device: P-102\n", []string{"f.yaml: a script is one YAML document"}},
		{"- device: P-101\n  fault: offline\n  clear: maybe\n", []string{"f.yaml:3: ", "maybe"}},
		{"- device: P-101\n  fault: offline\n  at: {a: b}\n", []string{"f.yaml:3: a duration"}},
	} {
		_, err := ParseScript("f.yaml", []byte(c.text))
		if err == nil {
			t.Errorf("%q was accepted", c.text)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %q does not say %q", c.text, err, w)
			}
		}
		if strings.Contains(err.Error(), "equipment.") {
			t.Errorf("%q: %q names a Go type", c.text, err)
		}
	}
	// What only the fleet can tell is found by New, with the same places.
	events, err := ParseScript("f.yaml", []byte("- device: P-101\n  fault: offline\n\n- device: P-7\n  fault: offline\n- device: P-102\n  fault: refrigerant_leak\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Script: events})
	for _, w := range []string{`f.yaml:4: unknown device "P-7"`, "f.yaml:6: fault refrigerant_leak does not apply"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %q", err, w)
		}
	}
	if events, err := ParseScript("f.yaml", []byte("# nothing\n")); err != nil || events != nil {
		t.Errorf("an empty script: %v, %v", events, err)
	}
}

func TestScriptRunsInOrderOfTime(t *testing.T) {
	events, err := ParseScript("s", []byte(`
- {at: 3s, device: P-101, fault: offline, clear: true}
- {at: 1s, device: P-101, fault: offline}
- {at: 2s, device: C-201, fault: clogged_filter, severity: 0.5, ramp: 1m, for: 5s}
`))
	if err != nil {
		t.Fatal(err)
	}
	p := stepped(t, Config{Script: events})
	for range 5 * 10 {
		p.step(monday.Add(time.Duration(p.clock.Load())))
	}
	in := p.Injected()
	if len(in) != 2 || in[0].Device != "P-101" || in[0].Cleared.Sub(in[0].At) != 2*time.Second ||
		in[1].Fault != CloggedFilter || in[1].Severity != 0.5 || in[1].Cleared.Sub(in[1].At) != 5*time.Second {
		t.Errorf("%+v", in)
	}
}

func TestParseEvent(t *testing.T) {
	e, err := ParseEvent("device=P-101 fault=sensor_open point=flow at=3s for=1m severity=0.5 ramp=2s")
	e.where = ""
	if want := (Event{At: 3 * time.Second, Device: "P-101", Fault: SensorOpen, Point: "flow", Severity: 0.5, Ramp: 2 * time.Second, For: time.Minute}); err != nil || e != want {
		t.Errorf("%+v, %v", e, err)
	}
	for text, want := range map[string]string{"device": "not key=value", "device=P fault=x colour=red": "unknown key", "device=P": "fault is missing",
		"device=P fault=x ramp=1": "not a duration", "device=P fault=x severity=NaN": "severity NaN", "device=P fault=x code=a": "code"} {
		if _, err := ParseEvent(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", text, err, want)
		}
	}
}

func TestReadmeScriptLoads(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(readme)
	if m == nil {
		t.Fatal("README.md has no script")
	}
	events, err := ParseScript("README.md", m[1])
	if err != nil || len(events) < 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if _, err := New(Config{Script: events}); err != nil {
		t.Error(err)
	}
}

func FuzzScript(f *testing.F) {
	f.Add([]byte("- at: 12s\n  device: P-101\n  fault: bearing_wear\n  ramp: 20s\n  severity: .5\n  for: 1m\n"))
	f.Add([]byte("- {device: a, fault: b, clear: true, code: 6, point: p}\n"))
	f.Add([]byte("- &a {device: a, fault: b}\n- *a\n- <<: *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := ParseScript("f", data)
		if err != nil {
			if !strings.Contains(err.Error(), "f:") {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		for _, e := range events {
			if e.Device == "" || e.Fault == "" || e.At < 0 || !(e.Severity >= 0 && e.Severity <= 1) {
				t.Fatalf("accepted %+v", e)
			}
		}
		if p, err := New(Config{Script: events}); err == nil {
			p.begin(monday)
			p.step(monday)
		}
	})
}

func FuzzFaultBody(f *testing.F) {
	f.Add([]byte(`{"device":"P-101","fault":"bearing_wear","severity":1,"ramp":"20s"}`))
	f.Add([]byte(`{"device":"CH-301","fault":"sensor_open","point":"superheat","for":"1h","code":6}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decodeFault(body)
		if err != nil {
			return
		}
		p, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		p.begin(monday)
		if in, err := p.Inject(e); err == nil && !(in.Severity > 0 && in.Severity <= 1 && in.Ramp >= 0) {
			t.Fatalf("accepted %+v", in)
		}
		p.step(monday)
		for _, d := range p.Devices() {
			if _, err := p.Values(d.Name); err != nil {
				t.Fatal(err)
			}
		}
	})
}
