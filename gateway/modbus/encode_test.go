package modbus

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

func layout(t testing.TB, s string) profile.Layout {
	t.Helper()
	var l profile.Layout
	if err := l.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return l
}

// kinds are one point of each way that a value can be kept, and the layouts of times.
func kinds(t testing.TB) []profile.Point {
	tenth, at := 0.1, uint16(50)
	var out []profile.Point
	add := func(typ faultline.Type, r profile.Register, scale *float64, offset float64) {
		r.Table, r.Address = profile.Holding, 40
		out = append(out, profile.Point{Name: "x", Type: typ, Register: &r, Scale: scale, Offset: offset})
	}
	for _, d := range []profile.Data{profile.Int16, profile.Uint16, profile.Int32, profile.Uint32, profile.Int64, profile.Uint64, profile.BCD16, profile.BCD32, profile.BCD64} {
		add(faultline.TypeInt, profile.Register{Data: d}, nil, 0)
		add(faultline.TypeFloat, profile.Register{Data: d}, &tenth, -5)
		add(faultline.TypeFloat, profile.Register{Data: d, ScaleAt: &at}, nil, 0)
	}
	add(faultline.TypeFloat, profile.Register{Data: profile.Float32}, nil, 0)
	add(faultline.TypeFloat, profile.Register{Data: profile.Float64}, &tenth, 1)
	add(faultline.TypeBool, profile.Register{Data: profile.Bool}, nil, 0)
	add(faultline.TypeBool, profile.Register{Data: profile.Bit, Bit: 5}, nil, 0)
	add(faultline.TypeInt, profile.Register{Data: profile.BitSpan, Bit: 3, Width: 7}, nil, 0)
	add(faultline.TypeFloat, profile.Register{Data: profile.BitSpan, Bit: 3, Width: 7}, &tenth, 0)
	add(faultline.TypeString, profile.Register{Data: profile.Text, Length: 4}, nil, 0)
	for _, l := range []string{"cp56time2a", "unix", "unix_ms", "bcd year/month day/hour minute/second", "year month day hour minute second ms", "month/day year/hour minute/second ms"} {
		for _, typ := range []faultline.Type{faultline.TypeString, faultline.TypeInt, faultline.TypeFloat} {
			add(typ, profile.Register{Data: profile.DateTime, Layout: layout(t, l), Zone: "Europe/Berlin"}, nil, 0)
		}
	}
	return out
}

// TestEncodeIsTheInverseOfDecode: whatever registers at random read as is encoded to registers that read
// as the same, in every order given by the device or by the point, and where both are whole numbers, bits
// or texts, to the same registers.
func TestEncodeIsTheInverseOfDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, pt := range kinds(t) {
		usable := 0
		for n := range 600 {
			p := &profile.Profile{Modbus: profile.Modbus{Order: orders[n%4]}}
			if n%3 == 0 {
				pt.Register.Order = orders[n/4%4]
			} else {
				pt.Register.Order = profile.DefaultOrder
			}
			f := newField(p, &pt)
			span := make([]byte, 2*f.words)
			for i := range span {
				span[i] = byte(r.Uint32())
			}
			if n%2 == 0 || f.data == profile.Text { // all decimal digits, all letters, or a small number
				for i := range span {
					span[i] = byte(r.IntN(10)<<4 | r.IntN(10))
				}
				if f.data == profile.Text {
					copy(span, "Ab-07.xy")
				}
				if f.data == profile.DateTime {
					continue
				}
			} else if f.data == profile.DateTime {
				words, err := pt.Register.Layout.Words(timeAt(r), f.zone)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range f.asOnWire(words) {
					binary.BigEndian.PutUint16(span[2*i:], w)
				}
			}
			if f.exponent >= 0 {
				binary.BigEndian.PutUint16(span[2*f.exponent:], uint16(int16(r.IntN(7)-3)))
			}
			want, q := f.value(span)
			if q.IsBad() {
				continue
			}
			usable++
			w, err := Encode(p, &pt, want, span)
			if err != nil {
				t.Fatalf("%s %s of % x in %s: %v", pt.Register.Data, pt.Register.Layout, span, p.Modbus.Order, err)
			}
			again := append([]byte(nil), span...)
			for i, word := range w.Words {
				binary.BigEndian.PutUint16(again[2*(int(w.Address-f.address)+i):], word)
			}
			got, q := f.value(again)
			if q.IsBad() || !same(got, want) {
				t.Fatalf("%s of % x reads %v, written as %x it reads %v %s", pt.Register.Data, span, want, w.Words, got, q)
			}
			exact := pt.Type != faultline.TypeFloat && f.data != profile.DateTime && f.data != profile.Bool && f.data != profile.Text
			if exact && string(again) != string(span) {
				t.Fatalf("%s: % x became % x", pt.Register.Data, span, again)
			}
		}
		if usable < 50 {
			t.Errorf("%s %s: only %d usable", pt.Register.Data, pt.Register.Layout, usable)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	var sentinel profile.Sentinel
	if err := sentinel.UnmarshalText([]byte("0x7FFF")); err != nil {
		t.Fatal(err)
	}
	f, i, b, s := faultline.TypeFloat, faultline.TypeInt, faultline.TypeBool, faultline.TypeString
	for _, c := range []struct {
		name  string
		typ   faultline.Type
		r     profile.Register
		point profile.Point
		v     faultline.Value
	}{
		{"too large", i, profile.Register{Data: profile.Int16}, profile.Point{}, faultline.Int(32768)},
		{"negative", f, profile.Register{Data: profile.Uint32}, profile.Point{}, faultline.Float(-1)},
		{"out of range", f, profile.Register{Data: profile.Int16}, profile.Point{Range: []float64{0, 10}}, faultline.Float(11)},
		{"clamped", f, profile.Register{Data: profile.Int16}, profile.Point{Clamp: []float64{0, 10}}, faultline.Float(11)},
		{"means not available", i, profile.Register{Data: profile.Int16}, profile.Point{NotAvailable: []profile.Sentinel{sentinel}}, faultline.Int(0x7FFF)},
		{"too large a float", f, profile.Register{Data: profile.Float32}, profile.Point{}, faultline.Float(math.MaxFloat64)},
		{"five digits", i, profile.Register{Data: profile.BCD16}, profile.Point{}, faultline.Int(10000)},
		{"seventeen digits", i, profile.Register{Data: profile.BCD64}, profile.Point{}, faultline.Int(1e16)},
		{"uint64 of an int", i, profile.Register{Data: profile.Uint64}, profile.Point{}, faultline.Int(-1)},
		{"a number as a bool", b, profile.Register{Data: profile.Bool}, profile.Point{}, faultline.Int(1)},
		{"a bool as a number", i, profile.Register{Data: profile.Int16}, profile.Point{}, faultline.Bool(true)},
		{"a bit without its word", b, profile.Register{Data: profile.Bit}, profile.Point{}, faultline.Bool(true)},
		{"long text", s, profile.Register{Data: profile.Text, Length: 1}, profile.Point{}, faultline.String("abc")},
		{"blanks at the end", s, profile.Register{Data: profile.Text, Length: 2}, profile.Point{}, faultline.String("a ")},
		{"no time", s, profile.Register{Data: profile.DateTime, Layout: layout(t, "unix")}, profile.Point{}, faultline.String("noon")},
		{"before the layout's years", s, profile.Register{Data: profile.DateTime, Layout: layout(t, "cp56time2a")}, profile.Point{}, faultline.String("1066-10-14T09:00:00Z")},
		{"nothing", i, profile.Register{Data: profile.Int16}, profile.Point{}, faultline.Value{}},
	} {
		c.r.Table = profile.Holding
		c.point.Name, c.point.Type, c.point.Register = "x", c.typ, &c.r
		if w, err := Encode(new(profile.Profile), &c.point, c.v, nil); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%s: %x %v", c.name, w.Words, err)
		}
	}
}

// FuzzEncode checks that what Encode gives reads as what was asked for.
func FuzzEncode(f *testing.F) {
	list := kinds(f)
	f.Add(uint8(0), uint8(1), 12.5, int64(7), "2026-03-29T01:30:00Z", []byte{1, 2, 3, 4})
	f.Add(uint8(30), uint8(2), -1e30, int64(math.MinInt64), "x", []byte{})
	f.Fuzz(func(t *testing.T, kind, order uint8, x float64, n int64, s string, now []byte) {
		pt := list[int(kind)%len(list)]
		p := &profile.Profile{Modbus: profile.Modbus{Order: orders[order%4]}}
		fl := newField(p, &pt)
		for _, v := range []faultline.Value{faultline.Float(x), faultline.Int(n), faultline.Bool(n != 0), faultline.String(s), {}} {
			w, err := Encode(p, &pt, v, now)
			if err != nil {
				continue
			}
			span := make([]byte, 2*fl.words)
			if len(now) == len(span) {
				copy(span, now)
			}
			for i, word := range w.Words {
				binary.BigEndian.PutUint16(span[2*(int(w.Address-fl.address)+i):], word)
			}
			if got, q := fl.value(span); q.IsBad() || got.Type() != pt.Type {
				t.Fatalf("%v as %s %s is written as %x and reads %v %s", v, pt.Type, pt.Register.Data, w.Words, got, q)
			}
		}
	})
}
