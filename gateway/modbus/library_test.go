package modbus

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math"
	"sync"
	"testing"
	"time"

	sim "github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// image is what a device of some profile holds, with the size of the largest read that it answered.
type image struct {
	mu        sync.Mutex
	words     map[profile.Table]map[uint16]uint16
	registers int
	bits      int
}

const filler = 0xDEAD // what lies between the registers that a profile names

func (d *image) read(t profile.Table, addr, count uint16) ([]uint16, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.registers = max(d.registers, int(count))
	out := make([]uint16, count)
	for i := range out {
		v, named := d.words[t][addr+uint16(i)]
		if !named {
			v = filler
		}
		out[i] = v
	}
	return out, nil
}

func (d *image) readBits(t profile.Table, addr, count uint16) ([]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bits = max(d.bits, int(count))
	out := make([]bool, count)
	for i := range out {
		out[i] = d.words[t][addr+uint16(i)] != 0
	}
	return out, nil
}

func (d *image) HandleHoldingRegisters(r *sim.HoldingRegistersRequest) ([]uint16, error) {
	return d.read(profile.Holding, r.Addr, r.Quantity)
}

func (d *image) HandleInputRegisters(r *sim.InputRegistersRequest) ([]uint16, error) {
	return d.read(profile.Input, r.Addr, r.Quantity)
}

func (d *image) HandleCoils(r *sim.CoilsRequest) ([]bool, error) {
	return d.readBits(profile.Coil, r.Addr, r.Quantity)
}

func (d *image) HandleDiscreteInputs(r *sim.DiscreteInputsRequest) ([]bool, error) {
	return d.readBits(profile.Discrete, r.Addr, r.Quantity)
}

// candidates are raw numbers whose bytes all differ, from telling to tame: a point takes the first that
// its ranges allow.
var candidates = map[profile.Data][]float64{
	profile.Int16:   {-12345, 12345, 2345, 345, 57, 3},
	profile.Uint16:  {54321, 12345, 2345, 345, 57, 3},
	profile.Int32:   {-19088744, 19088743, 1234567, 70001, 345, 57, 3},
	profile.Uint32:  {4275878552, 19088743, 1234567, 70001, 345, 57, 3},
	profile.Int64:   {-1147797409030816545, 81985529216486895, 1234567890123, 70001, 345},
	profile.Uint64:  {81985529216486895, 1234567890123, 70001, 345},
	profile.Float32: {-1234.5625, 1234.5625, 50.1875, 21.65625, 0.984375},
	profile.Float64: {-1234.5625, 1234.5625, 50.1875, 21.65625, 0.984375},
	profile.BCD16:   {1234, 345, 57},
	profile.BCD32:   {12345678, 345, 57},
}

// encode is the opposite of the driver's decoding, written apart from it: the registers of a raw number.
func encode(data profile.Data, order profile.Order, raw float64) []uint16 {
	var b []byte
	switch data {
	case profile.Int16, profile.Uint16:
		b = binary.BigEndian.AppendUint16(b, uint16(int64(raw)))
	case profile.Int32, profile.Uint32:
		b = binary.BigEndian.AppendUint32(b, uint32(int64(raw)))
	case profile.Int64:
		b = binary.BigEndian.AppendUint64(b, uint64(int64(raw)))
	case profile.Uint64:
		b = binary.BigEndian.AppendUint64(b, uint64(raw))
	case profile.Float32:
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(float32(raw)))
	case profile.Float64:
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(raw))
	case profile.BCD16, profile.BCD32:
		digits := fmt.Sprintf("%04d", int(raw))
		if data == profile.BCD32 {
			digits = fmt.Sprintf("%08d", int(raw))
		}
		for i := 0; i < len(digits); i += 2 {
			b = append(b, (digits[i]-'0')<<4|(digits[i+1]-'0'))
		}
	}
	words := make([]uint16, len(b)/2)
	for i := range words {
		words[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	if len(words) == 1 {
		return words // one register is high byte first whatever the order of the device
	}
	switch order {
	case profile.CDAB:
		reverse(words)
	case profile.BADC:
		swapBytes(words)
	case profile.DCBA:
		reverse(words)
		swapBytes(words)
	}
	return words
}

func reverse(w []uint16) {
	for i, k := 0, len(w)-1; i < k; i, k = i+1, k-1 {
		w[i], w[k] = w[k], w[i]
	}
}

func swapBytes(w []uint16) {
	for i := range w {
		w[i] = w[i]<<8 | w[i]>>8
	}
}

// fill gives every point of a profile a value of its own and tells which sample must come of it. Two
// points on one register are a mistake, unless one of them is bits of it.
func fill(t *testing.T, p *profile.Profile) (*image, map[string]faultline.Value) {
	t.Helper()
	d := &image{words: map[profile.Table]map[uint16]uint16{profile.Coil: {}, profile.Discrete: {}, profile.Holding: {}, profile.Input: {}}}
	want := map[string]faultline.Value{}
	owner := map[string]string{}
	put := func(pt *profile.Point, words []uint16) {
		for i, w := range words {
			at := pt.Register.Address + uint16(i)
			key := fmt.Sprintf("%s %d", pt.Register.Table, at)
			if first, taken := owner[key]; taken {
				t.Errorf("%s and %s are both at %s", first, pt.Name, key)
			}
			owner[key] = pt.Name
			d.words[pt.Register.Table][at] = w
		}
	}
	for i := range p.Points {
		pt := &p.Points[i]
		r := pt.Register
		order := r.Order
		if order == profile.DefaultOrder {
			order = p.Modbus.Order
		}
		switch {
		case r.Data == profile.Bit || r.Data == profile.BitSpan:
		case r.Data == profile.Bool:
			put(pt, []uint16{uint16(i % 2)})
			want[pt.Name] = faultline.Bool(i%2 == 1)
		case r.Data == profile.Text:
			s := fmt.Sprintf("%s-%d", "Xy", i)
			words := make([]uint16, r.Length)
			for k := 0; k < len(s) && k < 2*r.Length; k++ {
				words[k/2] |= uint16(s[k]) << (8 * (1 - k%2))
			}
			if order == profile.BADC || order == profile.DCBA {
				swapBytes(words)
			}
			put(pt, words)
			want[pt.Name] = faultline.String(s[:min(len(s), 2*r.Length)])
		default:
			moved := 1.0
			if r.ScaleAt != nil { // shared by points: all have the same power of ten
				moved = 0.01
				d.words[r.Table][*r.ScaleAt] = 0xFFFE
				owner[fmt.Sprintf("%s %d", r.Table, *r.ScaleAt)] = "a scale"
			}
			for _, raw := range candidates[r.Data] {
				v := raw*moved + pt.Offset
				if pt.Scale != nil {
					v = raw*moved**pt.Scale + pt.Offset
				}
				if !pt.Within(v).IsGood() {
					continue
				}
				put(pt, encode(r.Data, order, raw))
				if pt.Type == faultline.TypeInt {
					want[pt.Name] = faultline.Int(int64(raw))
				} else {
					want[pt.Name] = faultline.Float(v)
				}
				break
			}
			if _, found := want[pt.Name]; !found {
				t.Errorf("%s: no candidate lies in its range %v", pt.Name, pt.Range)
			}
		}
	}
	for i := range p.Points { // bits of words that are there, or of their own
		pt := &p.Points[i]
		r := pt.Register
		if r.Data != profile.Bit && r.Data != profile.BitSpan {
			continue
		}
		w, named := d.words[r.Table][r.Address]
		if !named {
			w = 0x5AA5
			d.words[r.Table][r.Address] = w
		}
		if r.Data == profile.Bit {
			want[pt.Name] = faultline.Bool(w>>r.Bit&1 == 1)
		} else {
			want[pt.Name] = faultline.Int(int64(w >> r.Bit & (1<<r.Width - 1)))
		}
	}
	return d, want
}

func same(a, b faultline.Value) bool {
	if a.Type() != faultline.TypeFloat || b.Type() != faultline.TypeFloat {
		return a == b
	}
	x, _ := a.Number()
	y, _ := b.Number()
	return math.Abs(x-y) <= 1e-9*math.Max(1, math.Abs(y))
}

// TestLibraryRoundTrip reads every profile of the library from a server that holds known values.
func TestLibraryRoundTrip(t *testing.T) {
	s, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s.Names() {
		p, err := s.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if !p.UsesModbus() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d, want := fill(t, p)
			address := freePort(t)
			server, err := sim.NewServer(&sim.ServerConfiguration{URL: "tcp://" + address, Timeout: time.Minute, MaxClients: 5, Logger: log.New(io.Discard, "", 0)}, d)
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Stop() })
			f, _ := run(t, Config{Address: "tcp://" + address, Devices: []Device{{Position: "X-1", Unit: 1, Period: 50 * time.Millisecond, Profile: p}}})
			got := map[string]faultline.Sample{}
			f.wait(t, 0, "the last point", func(frame faultline.Frame) bool {
				for _, s := range frame.Samples {
					got[s.Point] = s
				}
				return len(got) == len(p.Points)
			})
			for point, v := range want {
				if s := got[point]; !s.Quality.IsGood() || !same(s.Value, v) {
					t.Errorf("%s: %v %s, want %v", point, s.Value, s.Quality, v)
				}
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if registers, bits, _ := p.Modbus.Limits(); d.registers > registers || d.bits > bits {
				t.Errorf("reads of %d registers and %d bits: the device answers at most %d and %d", d.registers, d.bits, registers, bits)
			}
		})
	}
}
