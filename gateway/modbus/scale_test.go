package modbus

import (
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// A scale that the device gives in a register of its own is read with the value, before or behind it.
func TestScaleOfTheDevice(t *testing.T) {
	at := func(a uint16) *uint16 { return &a }
	kilo := 0.001
	for _, c := range []struct {
		name  string
		r     profile.Register
		scale *float64
		words []uint16
		want  string
		q     faultline.Quality
	}{
		{"behind, tenths", profile.Register{Address: 10, Data: profile.Uint16, ScaleAt: at(12)}, nil, []uint16{853, 7, 0xFFFF}, "85.3", faultline.Good},
		{"before, hundreds", profile.Register{Address: 10, Data: profile.Int16, ScaleAt: at(9)}, nil, []uint16{2, 0xFFFE}, "-200", faultline.Good},
		{"two registers, and a scale of the profile", profile.Register{Address: 10, Data: profile.Uint32, ScaleAt: at(12)}, &kilo, []uint16{0, 1234, 1}, "12.34", faultline.Good},
		{"words swapped, the scale not", profile.Register{Address: 10, Data: profile.Uint32, Order: profile.CDAB, ScaleAt: at(12)}, nil, []uint16{1234, 0, 0xFFFE}, "12.34", faultline.Good},
		{"value absent", profile.Register{Address: 10, Data: profile.Uint16, ScaleAt: at(11)}, nil, []uint16{0xFFFF, 0}, "", faultline.BadNotAvailable},
		{"scale absent", profile.Register{Address: 10, Data: profile.Uint16, ScaleAt: at(11)}, nil, []uint16{853, 0x8000}, "", faultline.BadNotAvailable},
		{"no scale at all", profile.Register{Address: 10, Data: profile.Uint16, ScaleAt: at(11)}, nil, []uint16{853, 11}, "", faultline.BadDecode},
		{"out of range", profile.Register{Address: 10, Data: profile.Uint16, ScaleAt: at(11)}, nil, []uint16{853, 10}, "", faultline.BadOutOfRange},
	} {
		r := c.r
		r.Table = profile.Holding
		p := &profile.Profile{Points: []profile.Point{{Name: "x", Type: faultline.TypeFloat, Scale: c.scale, Register: &r, Range: []float64{-1e6, 1e6}}}}
		var none profile.Sentinel
		if err := none.UnmarshalText([]byte("0xFFFF")); err != nil {
			t.Fatal(err)
		}
		p.Points[0].NotAvailable = []profile.Sentinel{none}
		f := newField(p, &p.Points[0])
		if int(f.words) != len(c.words) {
			t.Errorf("%s: reads %d registers", c.name, f.words)
			continue
		}
		var b []byte
		for _, w := range c.words {
			b = append(b, byte(w>>8), byte(w))
		}
		if s := f.decode(b); s.Quality != c.q || c.q.IsGood() && s.Value.String() != c.want {
			t.Errorf("%s: %v %s, want %s %s", c.name, s.Value, s.Quality, c.want, c.q)
		}
	}
}
