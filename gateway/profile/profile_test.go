package profile

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestLibraryLoads(t *testing.T) {
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sim-pump", "sim-compressor", "sim-chiller", "sim-meter", "sim-ups", "sim-vibration"} {
		p, err := s.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.UsesModbus() == p.UsesMQTT() {
			t.Errorf("%s: modbus %v, mqtt %v", name, p.UsesModbus(), p.UsesMQTT())
		}
		if len(p.Points) < 10 || len(p.Points) > 40 {
			t.Errorf("%s has %d points", name, len(p.Points))
		}
		points := p.DomainPoints()
		trends := 0
		for _, pt := range points {
			if pt.Trend {
				trends++
			}
			if pt.Name == "alarm_word" && (!pt.Bits || len(pt.Texts) < 4) {
				t.Errorf("%s: the alarm word's bits have no names: %+v", name, pt)
			}
		}
		if trends == 0 {
			t.Errorf("%s has nothing to show as a picture", name)
		}
		if _, err := s.Get(p.ID()); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{
		"sim-pump@99": "sim-pump has version 1",
		"SDM630":      "there are: eastron-sdm630;",
		"pm":          "not found; faultline profiles lists all",
	} {
		if _, err := s.Get(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s must be refused and the error name what there is: %v", name, err)
		}
	}
}

func TestYAMLRoundTrip(t *testing.T) {
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	gap := 3
	odd := &Profile{
		Name: "odd", Version: "1.2", Kind: "k", Source: `a "quoted" source: yes # no`,
		Modbus: Modbus{Order: DCBA, MaxRegisters: 10, MaxBits: 5, MaxGap: &gap, Forbidden: []Range{{Holding, 1, 9}}},
		Points: []Point{
			{Name: "a", Title: "no: \\ \t é", Type: faultline.TypeInt, Register: &Register{Table: Input, Address: 7, Data: BitSpan, Bit: 3, Width: 5, Order: BADC}, Texts: map[int64]string{-1: "x", 2: "off"}},
			{Name: "b", Type: faultline.TypeString, Register: &Register{Table: Holding, Address: 10, Data: Text, Length: 4}},
			{Name: "d", Type: faultline.TypeFloat, Register: &Register{Table: Holding, Address: 30, Data: Int16, ScaleAt: ptr(uint16(35))}},
			{Name: "c", Type: faultline.TypeFloat, Register: &Register{Table: Holding, Address: 20, Data: Uint64}, Scale: ptr(0.001), Offset: -3, Range: []float64{-1e9, 2.5}, Plausible: []float64{0, 1}, Trend: true},
		},
	}
	for _, v := range []string{"-1", "0xFFFFFFFFFFFFFFFF", "0x7FFF"} {
		var n Sentinel
		if err := n.UnmarshalText([]byte(v)); err != nil {
			t.Fatal(err)
		}
		odd.Points[3].NotAvailable = append(odd.Points[3].NotAvailable, n)
	}
	all := []*Profile{odd}
	for _, name := range s.Names() {
		p, _ := s.Get(name)
		all = append(all, p)
	}
	for _, p := range all {
		again, err := Decode(p.Name+".yaml", p.YAML())
		if err != nil {
			t.Fatalf("%s:\n%s\n%v", p.Name, p.YAML(), err)
		}
		if got, want := string(again.YAML()), string(p.YAML()); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", p.Name, got, want)
		}
		if fmt.Sprintf("%+v", again.DomainPoints()) != fmt.Sprintf("%+v", p.DomainPoints()) {
			t.Errorf("%s: points differ", p.Name)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestMistakesAreAllReported(t *testing.T) {
	data := `name: bad name
version: ""
kind: k
source: ""
colour: red
modbus: {max_registers: 200, forbidden: [{table: input, from: 9, to: 3}]}
points:
  - {name: A, type: float, register: {table: input, address: 0, data: uint16}}
  - {name: b, type: bool, register: {table: input, address: 0, data: uint16}}
  - {name: c, type: float}
  - {name: d, type: float, json: a..b}
  - {name: e, type: int, scale: 2, register: {table: coil, address: 0, data: uint16}}
  - {name: f, type: string, register: {table: input, address: 65535, data: string, length: 2}}
  - {name: f, type: float, range: [3, 1], register: {table: input, address: 1, data: float32}}
  - {name: g, type: float, not_available: [x], register: {table: input, address: 1, data: bits, bit: 10, width: 7}}
  - {name: h, type: int, register: {table: input, address: 1, data: int16, scale_at: 5}}
  - {name: i, type: float, register: {table: input, address: 1, data: int32, scale_at: 2}}
  - {name: k, type: float, register: {table: input, address: 300, data: int32, scale_at: 2}}
`
	_, err := Decode("bad.yaml", []byte(data))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"bad.yaml:1: name", "bad.yaml:2: version", "bad.yaml:4: source", "bad.yaml:5: colour", "modbus.max_registers", "modbus.forbidden[0].to",
		"bad.yaml:8: points[0].name", "points[1].register.data", "points[2]: no source", "points[3].json", "points[4].scale", "points[4].register.data",
		"points[5].register.address", "points[6].name", "points[6].range", "points[7].register.width", "points[7].not_available[0]", "two profiles",
		"points[8].register.scale_at", "points[9].register.scale_at", "points[10].register: 300 registers",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if _, err = Decode("bad.yaml", []byte("modbus: {order: ABDC}")); err == nil || !strings.Contains(err.Error(), "ABCD, CDAB, BADC, DCBA") {
		t.Errorf("a wrong order: %v", err)
	}
}

func TestKindsKeepTheirTypes(t *testing.T) {
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	p := &Profile{Name: "other-pump", Version: "1", Kind: "centrifugal_pump", Source: "x", Points: []Point{
		{Name: "speed", Type: faultline.TypeInt, Register: &Register{Table: Input, Data: Uint16}},
	}}
	if err := s.Add(p); err == nil || !strings.Contains(err.Error(), "sim-pump") || !strings.Contains(err.Error(), "new point name") {
		t.Fatalf("a profile that disagrees on a type was taken: %v", err)
	}
	p.Points[0].Name = "speed_rounded"
	if err := s.Add(p); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(p); err == nil {
		t.Fatal("the same name was taken twice")
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.yaml")
	body := "name: sim-ups\nversion: \"2\"\nkind: ups\nsource: mine\npoints:\n  - {name: load, type: float, json: l}\n"
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.Get("sim-ups"); err != nil || p.Version != "2" {
		t.Fatalf("%v %v: a file replaces the library's profile of its name", p, err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Fatalf("a missing file: %v", err)
	}
}

func TestFromCSV(t *testing.T) {
	list := "\ufeffName,Address,Type,Unit,Scale,as,table,not_available,length,min,max\n" +
		"# a comment\n" +
		"flow, 10, uint16, m³/h, 0.1,,input,0xFFFF,,0,500\n" +
		"starts,12,uint32,,,int,,,,,\n" +
		"on,3,bool,,,,coil,,,,\n" +
		"serial,100,string,,,,,,8,,\n"
	p, err := FromCSV("list.csv", strings.NewReader(list), "mine", "thing")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, pt := range p.Points {
		types = append(types, fmt.Sprintf("%s %s %s %d %s", pt.Name, pt.Type, pt.Register.Table, pt.Register.Address, pt.Register.Data))
	}
	if got, want := strings.Join(types, "; "), "flow float input 10 uint16; starts int holding 12 uint32; on bool coil 3 bool; serial string holding 100 string"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if _, err := Decode("mine.yaml", p.YAML()); err != nil {
		t.Error(err)
	}
	_, err = FromCSV("list.csv", strings.NewReader("name,address,type,scale\na,70000,uint16,x\nB,1,int99,1\n"), "mine", "thing")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"list.csv:2: address", "list.csv:2: scale", "list.csv:3: name", "list.csv:3: type"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in\n%v", want, err)
		}
	}
	if _, err := FromCSV("list.csv", strings.NewReader("name,adress,type\n"), "mine", "thing"); err == nil || !strings.Contains(err.Error(), "adress") || !strings.Contains(err.Error(), "address") {
		t.Errorf("a wrong heading: %v", err)
	}
}

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		path string
		want []string
	}{{"", nil}, {"a", []string{"a"}}, {"a.0.b", []string{"a", "0", "b"}}, {`a\.b.c\\d`, []string{"a.b", `c\d`}}} {
		got, err := ParsePath(c.path)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) || len(got) != len(c.want) {
			t.Errorf("%q: %q %v, want %q", c.path, got, err, c.want)
		}
	}
	for _, bad := range []string{".", "a.", ".a", "a..b"} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestPlausibleTime(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		off  time.Duration
		want bool
	}{{0, true}, {59 * time.Second, true}, {61 * time.Second, false}, {-30 * 24 * time.Hour, true}, {-32 * 24 * time.Hour, false}} {
		if got := PlausibleTime(now.Add(c.off), now); got != c.want {
			t.Errorf("%v: %v", c.off, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("library/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode("fuzz.yaml", data)
		if err != nil {
			return
		}
		again, err := Decode("again.yaml", p.YAML())
		if err != nil {
			t.Fatalf("a valid profile does not survive writing: %v\n%s", err, p.YAML())
		}
		if string(again.YAML()) != string(p.YAML()) {
			t.Fatalf("changed by writing:\n%s\n%s", p.YAML(), again.YAML())
		}
	})
}

func FuzzFromCSV(f *testing.F) {
	f.Add("name,address,type,unit,scale\nflow,10,uint16,m³/h,0.1\n")
	f.Fuzz(func(t *testing.T, list string) {
		p, err := FromCSV("fuzz.csv", strings.NewReader(list), "mine", "thing")
		if err != nil {
			return
		}
		if _, err := Decode("mine.yaml", p.YAML()); err != nil {
			t.Fatalf("a valid list makes no valid profile: %v\n%s", err, p.YAML())
		}
	})
}

func TestWritable(t *testing.T) {
	head := "name: x\nversion: \"1\"\nkind: pump\nsource: made up\npoints:\n  - "
	for text, want := range map[string]string{
		"{name: a, type: float, register: {table: holding, address: 0, data: uint16}, write: {min: 1, max: 5, step: 0.5}}":       "",
		"{name: a, type: int, register: {table: holding, address: 0, data: uint16}, write: {values: [0, 1, 3], multiple: true}}": "",
		"{name: a, type: bool, register: {table: coil, address: 0, data: bool}, write: {}}":                                      "",
		"{name: a, type: float, register: {table: holding, address: 0, data: uint16}, write: {}}":                                "say how far",
		"{name: a, type: float, register: {table: holding, address: 0, data: uint16}, write: {min: 1}}":                          "say how far",
		"{name: a, type: float, register: {table: holding, address: 0, data: uint16}, write: {min: 5, max: 1}}":                  "must be above min",
		"{name: a, type: float, register: {table: holding, address: 0, data: uint16}, write: {min: 1, max: 5, step: -1}}":        "above 0",
		"{name: a, type: float, register: {table: holding, address: 0, data: uint16}, range: [0, 4], write: {min: 1, max: 5}}":   "would not read back",
		"{name: a, type: float, register: {table: input, address: 0, data: uint16}, write: {min: 1, max: 5}}":                    "only a coil or a holding",
		"{name: a, type: bool, register: {table: discrete, address: 0, data: bool}, write: {}}":                                  "only a coil or a holding",
		"{name: a, type: bool, register: {table: coil, address: 0, data: bool}, write: {min: 0, max: 1}}":                        "no limits",
		"{name: a, type: string, register: {table: holding, address: 0, data: string, length: 4}, write: {}}":                    "only numbers and bools",
		"{name: a, type: float, json: a, write: {min: 1, max: 5}}":                                                               "only a register",
	} {
		p, err := Decode("x.yaml", []byte(head+text+"\n"))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			again, err := Decode("y.yaml", p.YAML())
			if err != nil || again.Points[0].Write == nil || !reflect.DeepEqual(again.Points[0].Write, p.Points[0].Write) {
				t.Errorf("%s: does not survive being written: %v\n%s", text, err, p.YAML())
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
