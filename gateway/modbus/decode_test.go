package modbus

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

func TestDecode(t *testing.T) {
	sentinel := func(texts ...string) (out []profile.Sentinel) {
		for _, s := range texts {
			var n profile.Sentinel
			if err := n.UnmarshalText([]byte(s)); err != nil {
				t.Fatal(err)
			}
			out = append(out, n)
		}
		return out
	}
	tenth, third := 0.1, 1.0/3
	f, i, b, s := faultline.TypeFloat, faultline.TypeInt, faultline.TypeBool, faultline.TypeString
	for _, c := range []struct {
		name string
		typ  faultline.Type
		reg  profile.Register
		dev  profile.Order
		with profile.Point
		in   []uint16
		want any // value, or quality
	}{
		{"int16", i, profile.Register{Data: profile.Int16}, 0, profile.Point{}, []uint16{0xFFFE}, int64(-2)},
		{"int16 ignores the device's order", i, profile.Register{Data: profile.Int16}, profile.DCBA, profile.Point{}, []uint16{0x1234}, int64(0x1234)},
		{"int16 with an order of its own", i, profile.Register{Data: profile.Uint16, Order: profile.BADC}, 0, profile.Point{}, []uint16{0x1234}, int64(0x3412)},
		{"uint32 ABCD", i, profile.Register{Data: profile.Uint32}, 0, profile.Point{}, []uint16{0x0102, 0x0304}, int64(0x01020304)},
		{"uint32 CDAB", i, profile.Register{Data: profile.Uint32}, profile.CDAB, profile.Point{}, []uint16{0x0304, 0x0102}, int64(0x01020304)},
		{"uint32 BADC", i, profile.Register{Data: profile.Uint32}, profile.BADC, profile.Point{}, []uint16{0x0201, 0x0403}, int64(0x01020304)},
		{"uint32 DCBA", i, profile.Register{Data: profile.Uint32}, profile.DCBA, profile.Point{}, []uint16{0x0403, 0x0201}, int64(0x01020304)},
		{"point before device", i, profile.Register{Data: profile.Uint32, Order: profile.ABCD}, profile.DCBA, profile.Point{}, []uint16{0x0102, 0x0304}, int64(0x01020304)},
		{"int32", i, profile.Register{Data: profile.Int32}, 0, profile.Point{}, []uint16{0xFFFF, 0xFFFF}, int64(-1)},
		{"int64", i, profile.Register{Data: profile.Int64}, profile.CDAB, profile.Point{}, []uint16{0xFFFE, 0xFFFF, 0xFFFF, 0xFFFF}, int64(-2)},
		{"uint64 too large", i, profile.Register{Data: profile.Uint64}, 0, profile.Point{}, []uint16{0x8000, 0, 0, 0}, faultline.BadOverflow},
		{"uint64 as float", f, profile.Register{Data: profile.Uint64}, 0, profile.Point{}, []uint16{0x8000, 0, 0, 0}, 9223372036854775808.0},
		{"scaled", f, profile.Register{Data: profile.Int16}, 0, profile.Point{Scale: &tenth}, []uint16{853}, 85.3},
		{"scaled and shifted", f, profile.Register{Data: profile.Int16}, 0, profile.Point{Scale: &third, Offset: -1}, []uint16{6}, 1.0},
		{"float32", f, profile.Register{Data: profile.Float32}, 0, profile.Point{}, []uint16{0x42F6, 0xE979}, float64(math.Float32frombits(0x42F6E979))},
		{"float64", f, profile.Register{Data: profile.Float64}, profile.CDAB, profile.Point{}, []uint16{0, 0, 0, 0x4045}, 42.0},
		{"NaN", f, profile.Register{Data: profile.Float32}, 0, profile.Point{}, []uint16{0x7FC0, 0}, faultline.BadNotAvailable},
		{"infinite", f, profile.Register{Data: profile.Float32}, 0, profile.Point{}, []uint16{0x7F80, 0}, faultline.BadOutOfRange},
		{"sentinel int16", f, profile.Register{Data: profile.Int16}, 0, profile.Point{NotAvailable: sentinel("0x8000"), Scale: &tenth}, []uint16{0x8000}, faultline.BadNotAvailable},
		{"sentinel -1 of uint32", f, profile.Register{Data: profile.Uint32}, 0, profile.Point{NotAvailable: sentinel("-1")}, []uint16{0xFFFF, 0xFFFF}, faultline.BadNotAvailable},
		{"no sentinel", f, profile.Register{Data: profile.Int16}, 0, profile.Point{NotAvailable: sentinel("0x7FFF")}, []uint16{0x7FFE}, 32766.0},
		{"out of range", f, profile.Register{Data: profile.Int16}, 0, profile.Point{Range: []float64{0, 10}}, []uint16{11}, faultline.BadOutOfRange},
		{"int out of range", i, profile.Register{Data: profile.Int16}, 0, profile.Point{Range: []float64{0, 10}}, []uint16{11}, faultline.BadOutOfRange},
		{"bool", b, profile.Register{Data: profile.Bool}, 0, profile.Point{}, []uint16{2}, true},
		{"bit", b, profile.Register{Data: profile.Bit, Bit: 3}, 0, profile.Point{}, []uint16{0xFFF7}, false},
		{"bits", i, profile.Register{Data: profile.BitSpan, Bit: 4, Width: 4}, 0, profile.Point{}, []uint16{0x0AB0}, int64(0xB)},
		{"bits, all 16", i, profile.Register{Data: profile.BitSpan, Width: 16}, 0, profile.Point{}, []uint16{0xFFFF}, int64(0xFFFF)},
		{"bcd16", i, profile.Register{Data: profile.BCD16}, 0, profile.Point{}, []uint16{0x1234}, int64(1234)},
		{"bcd32", i, profile.Register{Data: profile.BCD32}, profile.CDAB, profile.Point{}, []uint16{0x5678, 0x1234}, int64(12345678)},
		{"no bcd", i, profile.Register{Data: profile.BCD16}, 0, profile.Point{}, []uint16{0x12A4}, faultline.BadDecode},
		{"text", s, profile.Register{Data: profile.Text, Length: 3}, profile.CDAB, profile.Point{}, []uint16{0x4142, 0x4300, 0x5858}, "ABC"},
		{"padded text, bytes swapped", s, profile.Register{Data: profile.Text, Length: 2}, profile.BADC, profile.Point{}, []uint16{0x4241, 0x2043}, "ABC"},
		{"latin text", s, profile.Register{Data: profile.Text, Length: 1}, 0, profile.Point{}, []uint16{0xB043}, "°C"},
		{"control characters", s, profile.Register{Data: profile.Text, Length: 1}, 0, profile.Point{}, []uint16{0x1B41}, "A"},
		{"erased text", s, profile.Register{Data: profile.Text, Length: 1}, 0, profile.Point{}, []uint16{0xFFFF}, faultline.BadNotAvailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			pt := c.with
			pt.Name, pt.Type, pt.Register = "x", c.typ, &c.reg
			c.reg.Table = profile.Input
			fl := newField(&profile.Profile{Modbus: profile.Modbus{Order: c.dev}}, &pt)
			var raw []byte
			for _, w := range c.in {
				raw = binary.BigEndian.AppendUint16(raw, w)
			}
			got := fl.decode(raw)
			if q, bad := c.want.(faultline.Quality); bad {
				if got.Quality != q || got.Value.Type() != faultline.NoType {
					t.Errorf("got %v %s, want %s", got.Value, got.Quality, q)
				}
			} else if got.Value.Any() != c.want || !got.Quality.IsGood() {
				t.Errorf("got %v %s, want %v", got.Value.Any(), got.Quality, c.want)
			}
		})
	}
}

func TestPlausibleIsUncertain(t *testing.T) {
	pt := profile.Point{Name: "x", Type: faultline.TypeFloat, Plausible: []float64{0, 10}, Register: &profile.Register{Table: profile.Input, Data: profile.Int16}}
	f := newField(&profile.Profile{}, &pt)
	if s := f.decode([]byte{0, 11}); s.Quality != faultline.UncertainOutOfRange || s.Value != faultline.Float(11) {
		t.Errorf("%v %s", s.Value, s.Quality)
	}
}

// FuzzDecode checks that whatever registers hold and a profile asks for makes a sample that a frame
// may carry.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(profile.Float32), uint8(faultline.TypeFloat), uint8(2), uint8(0), uint8(1), 0.1, 0.0, []byte{0x42, 0xF6, 0xE9, 0x79})
	f.Add(uint8(profile.BitSpan), uint8(faultline.TypeInt), uint8(1), uint8(4), uint8(4), 1.0, 0.0, []byte{1, 2})
	f.Add(uint8(profile.Text), uint8(faultline.TypeString), uint8(3), uint8(0), uint8(0), 1.0, 0.0, []byte{0xFF, 0xFE, 0, 1})
	f.Fuzz(func(t *testing.T, data, typ, order, bit, width uint8, scale, offset float64, raw []byte) {
		pt := profile.Point{Name: "x", Type: faultline.Type(typ), Offset: offset, Register: &profile.Register{
			Table: profile.Input, Data: profile.Data(data), Order: profile.Order(order), Bit: int(bit), Width: int(width), Length: len(raw) / 2,
		}}
		if pt.Type == faultline.TypeFloat {
			pt.Scale = &scale
		} else {
			pt.Offset = 0
		}
		if pt.Register.Data != profile.Text {
			pt.Register.Length = 0
		}
		if pt.Register.Data != profile.BitSpan {
			pt.Register.Width = 0
			if pt.Register.Data != profile.Bit {
				pt.Register.Bit = 0
			}
		}
		p := &profile.Profile{Name: "fuzz", Version: "1", Kind: "k", Source: "x", Points: []profile.Point{pt}}
		if err := new(profile.Set).Add(p); err != nil {
			return // no valid profile asks for this
		}
		fl := newField(p, &p.Points[0])
		frame := faultline.Frame{Kind: "k", Site: "s", Position: "p", Gateway: "g", Samples: []faultline.Sample{fl.decode(raw)}}
		frame.Time = frame.Time.AddDate(2026, 0, 0)
		if err := frame.Check(); err != nil {
			t.Fatal(err)
		}
		if s := frame.Samples[0]; !s.Quality.IsBad() && s.Value.Type() != pt.Type {
			t.Fatalf("a %s became a %s", pt.Type, s.Value.Type())
		}
	})
}

func TestPlan(t *testing.T) {
	show := func(m profile.Modbus, addresses ...uint16) string {
		p := registers(addresses...)
		p.Modbus = m
		out := ""
		for _, r := range Plan(p, time.Second)[0].Reads {
			out += fmt.Sprintf("%d+%d ", r.Address, r.Count)
		}
		return out
	}
	zero, three := 0, 3
	for _, c := range []struct {
		name string
		m    profile.Modbus
		at   []uint16
		want string
	}{
		{"one block", profile.Modbus{}, []uint16{0, 1, 2}, "0+3 "},
		{"any order", profile.Modbus{}, []uint16{2, 0, 1, 1}, "0+3 "},
		{"over a gap of 8", profile.Modbus{}, []uint16{0, 9}, "0+10 "},
		{"not over 9", profile.Modbus{}, []uint16{0, 10}, "0+1 10+1 "},
		{"no gaps", profile.Modbus{MaxGap: &zero}, []uint16{0, 1, 3}, "0+2 3+1 "},
		{"own gap", profile.Modbus{MaxGap: &three}, []uint16{0, 4, 9}, "0+5 9+1 "},
		{"own size", profile.Modbus{MaxRegisters: 4}, []uint16{0, 1, 2, 3, 4, 5}, "0+4 4+2 "},
		{"forbidden between", profile.Modbus{Forbidden: []profile.Range{{Table: profile.Input, From: 2, To: 2}}}, []uint16{0, 1, 3}, "0+2 3+1 "},
		{"forbidden elsewhere", profile.Modbus{Forbidden: []profile.Range{{Table: profile.Holding, From: 2, To: 2}}}, []uint16{0, 1, 3}, "0+4 "},
	} {
		if got := show(c.m, c.at...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	var many []uint16
	for a := range uint16(300) {
		many = append(many, a)
	}
	if got := show(profile.Modbus{}, many...); got != "0+125 125+125 250+50 " {
		t.Errorf("300 registers: %s", got)
	}
	s, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s.Names() {
		p, _ := s.Get(name)
		if !p.UsesModbus() {
			continue
		}
		points := 0
		for _, c := range Plan(p, time.Second) {
			for _, r := range c.Reads {
				points += len(r.Points)
				if r.Wanted == 0 || r.Wanted > r.Count || !r.Table.Bits() && r.Count > profile.MaxRegisters {
					t.Errorf("%s: %+v", name, r)
				}
			}
		}
		if points != len(p.Points) {
			t.Errorf("%s: the plan reads %d of %d points", name, points, len(p.Points))
		}
	}
}

// BenchmarkDecode decodes one device: the simulated pump's registers into a frame's samples.
func BenchmarkDecode(b *testing.B) {
	s, err := profile.Library()
	if err != nil {
		b.Fatal(err)
	}
	p, err := s.Get("sim-pump")
	if err != nil {
		b.Fatal(err)
	}
	u := newUnit(Device{Position: "P-101", Unit: 1, Profile: p})
	u.choose(time.Now())
	data := make([][]byte, len(u.plan.blocks))
	for i := range u.plan.blocks {
		data[i] = make([]byte, u.plan.blocks[i].request(u).bytes())
		for k := range data[i] {
			data[i][k] = byte(k * 7)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		u.samples = make([]faultline.Sample, len(u.fields))
		for i := range u.plan.blocks {
			u.decode(&u.plan.blocks[i].block, data[i])
		}
	}
	b.ReportMetric(float64(len(u.fields)), "points/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(u.fields)), "ns/point")
}
