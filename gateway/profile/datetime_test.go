package profile

import (
	"strings"
	"testing"
)

// TestTimesClampsAndRollovers reads them, writes them and reads them again, and refuses what makes no sense.
func TestTimesClampsAndRollovers(t *testing.T) {
	const head = "name: x\nversion: \"1\"\nkind: k\nsource: s\npoints:\n"
	good := head + `  - {name: level, type: float, register: {table: input, address: 0, data: int16}, range: [-2, 102], clamp: [0, 100]}
  - {name: count, type: int, register: {table: input, address: 1, data: uint32}, rollover: 4294967296}
  - {name: meter, type: int, register: {table: input, address: 3, data: bcd64}, rollover: 10000000000000000}
  - {name: at, type: string, register: {table: input, address: 10, data: datetime, layout: "bcd year/month day/hour minute/second", zone: Europe/Berlin}}
  - {name: trip, type: int, register: {table: input, address: 20, data: datetime, layout: cp56time2a, order: DCBA}}
`
	p, err := Decode("x.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode("x.yaml", p.YAML())
	if err != nil || string(again.YAML()) != string(p.YAML()) {
		t.Fatalf("%v\n%s", err, p.YAML())
	}
	for want, point := range map[string]string{
		"clamp":             `{name: a, type: float, register: {table: input, address: 0, data: int16}, clamp: [1, 0]}`,
		"clamp or rollover": `{name: a, type: float, register: {table: input, address: 0, data: int16}, clamp: [0, 1], rollover: 65536}`,
		"begins at 0":       `{name: a, type: int, register: {table: input, address: 0, data: int16}, rollover: 1.5}`,
		"only numbers":      `{name: a, type: bool, register: {table: coil, address: 0, data: bool}, rollover: 65536}`,
		"make the point":    `{name: a, type: int, register: {table: input, address: 0, data: uint64}, rollover: 18446744073709551616}`,
		"scale_at":          `{name: a, type: float, register: {table: input, address: 0, data: uint32, scale_at: 9}, rollover: 4294967296}`,
		"negative":          `{name: a, type: float, register: {table: input, address: 0, data: uint32}, scale: -1, rollover: 4294967296}`,
		"layout: missing":   `{name: a, type: string, register: {table: input, address: 0, data: datetime}}`,
		"no part of a time": `{name: a, type: string, register: {table: input, address: 0, data: datetime, layout: "year month noon"}}`,
		"has a layout":      `{name: a, type: int, register: {table: input, address: 0, data: int16, layout: unix}}`,
		"has a zone":        `{name: a, type: int, register: {table: input, address: 0, data: int16, zone: UTC}}`,
		"Europe/Berlin":     `{name: a, type: string, register: {table: input, address: 0, data: datetime, layout: unix, zone: Nowhere/City}}`,
	} {
		if _, err := Decode("x.yaml", []byte(head+"  - "+point+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", point, err, want)
		}
	}
}
