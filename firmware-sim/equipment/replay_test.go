package equipment

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/simonvetter/modbus"
)

const recordedCSV = `datetime;Accelerometer1RMS;Volume Flow RateRMS;note
2020-03-09 10:14:33;0.5;32;a
2020-03-09 10:14:34;;33;b
2020-03-09 10:14:35;0.75;34.5;c
`

func TestReplayOverModbus(t *testing.T) {
	r, err := ParseRecording("1.csv", []byte(recordedCSV))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Points, " "); got != "accelerometer1rms volume_flow_raterms" || len(r.Rows) != 3 {
		t.Fatalf("points %q, %d rows", got, len(r.Rows))
	}
	p := running(t, Config{Tick: time.Hour, Devices: []DeviceConfig{{Name: "1", Replay: r}}})
	c := client(t, p, "1")
	for _, want := range [][3]float32{{0.5, 32, 1}, {0.75, 34.5, 3}} {
		values, err := c.ReadFloat32s(0, 2, modbus.INPUT_REGISTER)
		if err != nil {
			t.Fatal(err)
		}
		row, err := c.ReadUint32(4, modbus.INPUT_REGISTER)
		if err != nil {
			t.Fatal(err)
		}
		if values[0] != want[0] || values[1] != want[1] || float32(row) != want[2] {
			t.Errorf("row %d: %v, want %v", row, values, want)
		}
		for range 2 { // the first step, of an hour, has passed them all
			p.units[0].advance(surroundings{dt: 1, now: time.Now()})
		}
	}
}

func TestReplayAsPayload(t *testing.T) {
	r, err := ParseRecording("1.csv", []byte(recordedCSV))
	if err != nil {
		t.Fatal(err)
	}
	r.Protocol = ProtocolMQTT
	u := newUnit(DeviceConfig{Name: "1"}, r.kind(), 1)
	for _, want := range []map[string]float64{
		{"accelerometer1rms": 0.5, "volume_flow_raterms": 32, "row": 1},
		{"accelerometer1rms": 0.5, "volume_flow_raterms": 33, "row": 2},
		{"accelerometer1rms": 0.75, "volume_flow_raterms": 34.5, "row": 3},
		{"accelerometer1rms": 0.75, "volume_flow_raterms": 34.5, "row": 3},
	} {
		u.advance(surroundings{dt: 1, now: monday})
		var got map[string]any
		if err := json.Unmarshal(u.payload(monday), &got); err != nil {
			t.Fatal(err)
		}
		for name, v := range want {
			if is, ok := got[name].(float64); !ok || math.Abs(is-v) > 1e-6 {
				t.Errorf("row %v: %s is %v, want %v", want["row"], name, got[name], v)
			}
		}
	}
}

func TestParseRecordingRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "read the header",
		"timestamp,word\na,b\n": "0 columns hold numbers",
		"a b,a_b\n1,2\n":        "two columns make the point a_b",
		"a,b\n1\n":              "wrong number of fields",
	} {
		if _, err := ParseRecording("x.csv", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.csv") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
