package document

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

type config struct {
	Data    string        `yaml:"data"`
	Wait    time.Duration `yaml:"wait"`
	Gateway struct {
		ID      string            `yaml:"id"`
		Labels  map[string]string `yaml:"labels"`
		Devices []device          `yaml:"devices"`
	} `yaml:"gateway"`
	Sites *[]struct {
		ID string `yaml:"id"`
	} `yaml:"sites"`
}

type device struct {
	common   `yaml:",inline"`
	Position string `yaml:"position"`
	Unit     uint8  `yaml:"unit"`
}

type common struct {
	Profile string `yaml:"profile"`
}

func TestDecodeFills(t *testing.T) {
	var c config
	d, err := Decode("a.yaml", []byte(`
data: ./x
wait: 10s
gateway:
  id: gw-1
  labels: {any: thing}
  devices:
    - {position: P-101, profile: pump, unit: 7}
sites: [{id: north}]
`), &c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Wait != 10*time.Second || c.Gateway.Devices[0].Profile != "pump" || c.Gateway.Devices[0].Unit != 7 || (*c.Sites)[0].ID != "north" {
		t.Fatalf("decoded %+v", c)
	}
	d.Problems().Add("gateway.devices[0].position", "stands twice")
	d.Problems().Add("gateway.devices[0].address", "is missing")
	d.Problems().Add("gateway.id", "is taken")
	want := "a.yaml:5: gateway.id: is taken\na.yaml:8: gateway.devices[0].position: stands twice\na.yaml:8: gateway.devices[0].address: is missing"
	if got := d.Problems().Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	var c config
	_, err := Decode("bad.yaml", []byte(`data: [1]
wait: soon
gatway: {}
gateway:
  id: x
  id: y
  devices:
    - {positon: P-101, unit: 300}
    - unit: high
  nonsense: 1
sites: {id: north}
`), &c)
	var list *Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`bad.yaml:1: data: a list, but text is needed`,
		`bad.yaml:2: wait: "soon", but a duration such as "10s" or "5m" is needed`,
		`bad.yaml:3: gatway: unknown key (did you mean "gateway"?)`,
		`bad.yaml:6: gateway.id: written twice, first on line 5`,
		`bad.yaml:8: gateway.devices[0].positon: unknown key (did you mean "position"?)`,
		`"300", but a whole number that fits is needed`,
		`bad.yaml:9: gateway.devices[1].unit: "high", but a whole number that fits is needed`,
		`bad.yaml:10: gateway.nonsense: unknown key; known here: devices, id, labels`,
		`bad.yaml:11: sites`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if len(list.List) != 9 {
		t.Errorf("%d problems, want 9:\n%v", len(list.List), err)
	}
	if c.Gateway.ID == "" {
		t.Error("the readable part was not decoded")
	}
}

// A type that reads itself does not hide the mistakes after it.
func TestTextTypes(t *testing.T) {
	var c struct {
		Severity faultline.Severity        `yaml:"severity"`
		Types    []faultline.Type          `yaml:"types"`
		Pointer  *faultline.Severity       `yaml:"pointer"`
		When     time.Time                 `yaml:"when"`
		Count    int                       `yaml:"count"`
		Named    map[string]faultline.Type `yaml:"named"`
	}
	_, err := Decode("t.yaml", []byte("severity: fatal\ntypes: [float, fload]\npointer: warning\nwhen: 2026-01-31\ncount: many\nnamed: {a: nope, b: int}\n"), &c)
	want := `t.yaml:1: severity: severity "fatal": use advisory, warning or critical
t.yaml:2: types[1]: type "fload": use float, int, bool or string
t.yaml:5: count: "many", but a whole number that fits is needed
t.yaml:6: named.a: type "nope": use float, int, bool or string`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if c.Types[0] != faultline.TypeFloat || *c.Pointer != faultline.SeverityWarning || c.When.IsZero() || c.Named["b"] != faultline.TypeInt {
		t.Errorf("decoded %+v", c)
	}
}

func TestBrokenDocuments(t *testing.T) {
	for name, text := range map[string]string{
		"syntax":   "a: [1\nb: 2",
		"tab":      "gateway:\n\tid: x",
		"two":      "data: a\n---\ndata: b",
		"scalar":   "just words",
		"anchored": "gateway: &g\n  labels: *g\n",
	} {
		var c config
		d, err := Decode(name, []byte(text), &c)
		if err == nil || d == nil {
			t.Errorf("%s: document %v, error %v", name, d, err)
		} else if !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("%s: error names no file: %v", name, err)
		}
	}
	var c config
	if _, err := Decode("empty", nil, &c); err != nil {
		t.Errorf("empty document: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("data: x\ngateway: {id: 1, devices: [{unit: 2}]}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: {data: x}\ngateway: &g {id: x}\nsites: [*g]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		d, err := Decode("fuzz", data, &c)
		if d == nil {
			t.Fatal("no document")
		}
		if (err == nil) != (d.Problems().Len() == 0) {
			t.Fatalf("error %v with %d problems", err, d.Problems().Len())
		}
		d.Problems().Add("gateway.devices[3].x", "probe")
		if d.Problems().Err() == nil {
			t.Fatal("an added problem is lost")
		}
	})
}
