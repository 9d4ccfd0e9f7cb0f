package profile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
)

const parent = `name: meter-a
version: "1"
kind: power_meter
title: Meter
manufacturer: ACME
model: A
source: the manual of A
modbus: {order: CDAB, max_registers: 60, max_gap: 0}
points:
  - {name: voltage_l1, unit: V, type: float, register: {table: input, address: 0, data: uint32}, scale: 0.1}
  - {name: current_l1, unit: A, type: float, register: {table: input, address: 2, data: uint32}, scale: 0.001}
  - {name: frequency, unit: Hz, type: float, register: {table: input, address: 4, data: uint16}, scale: 0.1}
`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestExtends(t *testing.T) {
	dir := t.TempDir()
	child := write(t, dir, "b.yaml", `name: meter-b
version: "3"
extends: meter-a
model: B
source: the manual of B
modbus: {max_registers: 20}
remove: [frequency]
points:
  - {name: phase_angle, unit: °, type: float, register: {table: input, address: 8, data: int16}}
  - {name: voltage_l1, unit: V, type: float, register: {table: holding, address: 100, data: uint16}}
`)
	grandchild := write(t, dir, "c.yaml", "name: meter-c\nversion: \"1\"\nextends: meter-b\nsource: c\n")
	s, err := Load(grandchild, child, write(t, dir, "a.yaml", parent)) // the order of files does not matter
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Get("meter-b@3")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pt := range p.Points {
		got = append(got, fmt.Sprintf("%s %s %d", pt.Name, pt.Register.Table, pt.Register.Address))
	}
	if got, want := strings.Join(got, "; "), "voltage_l1 holding 100; current_l1 input 2; phase_angle input 8"; got != want {
		t.Errorf("points %s, want %s", got, want)
	}
	if p.Points[0].Scale != nil {
		t.Error("a point that is given again keeps nothing of the one that it replaces")
	}
	registers, _, gap := p.Modbus.Limits()
	if p.Kind != "power_meter" || p.Manufacturer != "ACME" || p.Model != "B" || p.Modbus.Order != CDAB || registers != 20 || gap != 0 {
		t.Errorf("taken over: %+v", p)
	}
	a, _ := s.Get("meter-a")
	if len(a.Points) != 3 || a.Points[0].Register.Address != 0 || a.Modbus.MaxRegisters != 60 {
		t.Errorf("extending changed the base: %+v", a)
	}
	if c, err := s.Get("meter-c"); err != nil || len(c.Points) != 3 || c.Points[0].Register.Address != 100 || c.Model != "B" {
		t.Errorf("a profile that extends an extending one: %+v %v", c, err)
	}
}

// A site's own profile may extend the one of the library that it replaces.
func TestExtendsItsNamesake(t *testing.T) {
	own := write(t, t.TempDir(), "own.yaml", "name: sim-pump\nversion: \"2\"\nextends: sim-pump\nsource: site\nremove: [tick]\n")
	lib, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	before, _ := lib.Get("sim-pump")
	s, err := Load(own)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.Get("sim-pump"); err != nil || p.Version != "2" || len(p.Points) != len(before.Points)-1 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestExtendsMistakes(t *testing.T) {
	dir := t.TempDir()
	base := write(t, dir, "a.yaml", parent)
	for _, c := range []struct{ name, text, want string }{
		{"no base", "extends: meter-x\n", "b.yaml:3: extends: profile \"meter-x\""},
		{"unknown point", "extends: meter-a\nremove: [current_l1, speed]\n", "b.yaml:4: remove[1]: profile meter-a has no point speed"},
		{"removed and given", "extends: meter-a\nremove: [frequency]\npoints:\n  - {name: frequency, type: float, register: {table: input, address: 9, data: uint16}}\n", "b.yaml:4: remove[0]: frequency is among the points"},
		{"nothing left", "extends: meter-a\nremove: [voltage_l1, current_l1, frequency]\n", "at least one point"},
		{"remove alone", "kind: k\nremove: [a]\npoints:\n  - {name: b, type: float, register: {table: input, address: 9, data: uint16}}\n", "extends no other"},
		{"own mistake", "extends: meter-a\npoints:\n  - {name: x, type: float, register: {table: input, address: 9, data: uint16}}\n  - {name: frequency, type: float, scale: 0, register: {table: input, address: 9, data: uint16}}\n", "b.yaml:6: points[1].scale"},
		{"base made unreadable", "extends: meter-a\nmodbus: {max_registers: 1}\n", "b.yaml:3: extends: .register of meter-a: 2 registers"},
		{"own twice", "extends: meter-a\npoints:\n  - {name: x, type: float, register: {table: input, address: 9, data: uint16}}\n  - {name: x, type: float, register: {table: input, address: 9, data: uint16}}\n", "points[1].name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(base, write(t, dir, "b.yaml", "name: meter-b\nsource: s\n"+c.text+"version: \"1\"\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nlacks %q", err, c.want)
			}
		})
	}
	one := write(t, dir, "one.yaml", "name: one\nversion: \"1\"\nextends: two\nsource: s\n")
	two := write(t, dir, "two.yaml", "name: two\nversion: \"1\"\nextends: one\nsource: s\n")
	if _, err := Load(one, two); err == nil || !strings.Contains(err.Error(), "extend one another") {
		t.Errorf("a ring: %v", err)
	}
	if _, err := Decode("x.yaml", []byte("name: x\nversion: \"1\"\nextends: sim-pump\nsource: s\n")); err == nil {
		t.Error("a profile alone cannot extend another")
	}
}

// One rule serves all equipment of a kind only if they agree on what a point is.
func TestLibraryAgrees(t *testing.T) {
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	devices := 0
	units, owner := map[string]string{}, map[string]string{}
	for _, name := range s.Names() {
		p, _ := s.Get(name)
		if p.Manufacturer == "" || p.Model == "" || p.Title == "" {
			t.Errorf("%s: manufacturer %q, model %q, title %q", name, p.Manufacturer, p.Model, p.Title)
		}
		if !strings.HasPrefix(name, "sim-") {
			devices++
		}
		trends := 0
		for _, pt := range p.Points {
			if pt.Trend {
				trends++
			}
			key := p.Kind + "." + pt.Name
			if first, known := units[key]; known && first != pt.Unit {
				t.Errorf("%s is in %q in %s and in %q in %s", key, first, owner[key], pt.Unit, name)
			}
			units[key], owner[key] = pt.Unit, name
			if pt.Type == faultline.TypeFloat && pt.Title == "" {
				t.Errorf("%s: %s has no title", name, pt.Name)
			}
		}
		if trends == 0 {
			t.Errorf("%s has nothing to show as a picture", name)
		}
	}
	if devices < 20 {
		t.Errorf("%d profiles of real equipment", devices)
	}
}

// Whatever extends a profile of the library is refused or makes a profile that stands by itself.
func FuzzExtends(f *testing.F) {
	lib, err := Library()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("name: b\nversion: \"1\"\nextends: sim-pump\nsource: s\nremove: [tick, flow]\npoints:\n  - {name: x, type: bool, register: {table: coil, address: 9, data: bool}}\n"))
	f.Add([]byte("name: b\nversion: \"1\"\nextends: sim-ups@1\nsource: s\nmqtt: {topic: t}\npoints:\n  - {name: load, type: float, json: l}\n  - {name: load, type: float, json: l}\n"))
	f.Add([]byte("name: b\nversion: \"1\"\nextends: solaredge-inverter\nsource: s\nmodbus: {max_registers: 2, forbidden: [{table: holding, from: 40070, to: 40080}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := lib.Decode("fuzz.yaml", data)
		if err != nil {
			return
		}
		again, err := Decode("again.yaml", p.YAML())
		if err != nil {
			t.Fatalf("%v\n%s", err, p.YAML())
		}
		if got, want := string(again.YAML()), string(p.YAML()); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
