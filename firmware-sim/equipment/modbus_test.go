package equipment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/simonvetter/modbus"
)

func client(t *testing.T, p *Plant, device string) *modbus.ModbusClient {
	t.Helper()
	c, err := modbus.NewClient(&modbus.ClientConfiguration{
		URL: "tcp://" + address(t, p, device), Timeout: 5 * time.Second, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func address(t *testing.T, p *Plant, device string) string {
	t.Helper()
	for _, d := range p.Devices() {
		if d.Name == device {
			return d.Address
		}
	}
	t.Fatalf("no device %s", device)
	return ""
}

// still is a plant whose values stay those of the first tick.
func still(t *testing.T) *Plant {
	return running(t, Config{Seed: 5, Tick: time.Hour, Devices: Default()[:5]})
}

// counted waits for the counts: an answer is counted when it is written, which the client may notice first.
func counted(t *testing.T, p *Plant, device string, reads, refused uint64) (c Counters) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s: %d reads and %d refusals counted", device, reads, refused), func() bool {
		c, _ = p.DeviceCounters(device)
		return c.Reads >= reads && c.Refused >= refused
	})
	if c.Reads != reads || c.Refused != refused {
		t.Errorf("%s: counted %+v, want %d reads and %d refusals", device, c, reads, refused)
	}
	return c
}

var regTypes = map[Table]modbus.RegType{Input: modbus.INPUT_REGISTER, Holding: modbus.HOLDING_REGISTER}

// readPoint reads through an independent implementation, with its own word orders.
func readPoint(c *modbus.ModbusClient, k *kind, p Point) (v float64, text string, err error) {
	c.SetEncoding(modbus.BIG_ENDIAN, modbus.HIGH_WORD_FIRST)
	if p.Size() > 1 && p.Type != String {
		switch k.order {
		case CDAB:
			c.SetEncoding(modbus.BIG_ENDIAN, modbus.LOW_WORD_FIRST)
		case BADC:
			c.SetEncoding(modbus.LITTLE_ENDIAN, modbus.HIGH_WORD_FIRST)
		case DCBA:
			c.SetEncoding(modbus.LITTLE_ENDIAN, modbus.LOW_WORD_FIRST)
		}
	}
	var b bool
	var u16 uint16
	var u32 uint32
	var u64 uint64
	var f32 float32
	var raw []byte
	r := regTypes[p.Table]
	switch {
	case p.Table == Coil:
		b, err = c.ReadCoil(p.Address)
		v = flag(b)
	case p.Table == Discrete:
		b, err = c.ReadDiscreteInput(p.Address)
		v = flag(b)
	case p.Type == Uint16:
		u16, err = c.ReadRegister(p.Address, r)
		v = float64(u16)
	case p.Type == Int16:
		u16, err = c.ReadRegister(p.Address, r)
		v = float64(int16(u16))
	case p.Type == Uint32:
		u32, err = c.ReadUint32(p.Address, r)
		v = float64(u32)
	case p.Type == Uint64:
		u64, err = c.ReadUint64(p.Address, r)
		v = float64(u64)
	case p.Type == Float32:
		f32, err = c.ReadFloat32(p.Address, r)
		v = float64(f32)
	case p.Type == Float64:
		v, err = c.ReadFloat64(p.Address, r)
	case p.Type == String:
		raw, err = c.ReadRawBytes(p.Address, uint16(2*p.Words), r)
		return 0, strings.TrimRight(string(raw), "\x00 "), err
	default:
		err = errors.New("no way to read " + string(p.Type))
	}
	return v * p.scale(), "", err
}

func TestAnotherImplementationReadsWhatTheModelSays(t *testing.T) {
	p := still(t)
	for i, d := range p.Devices() {
		if d.Protocol != ProtocolModbus {
			continue
		}
		k := p.units[i].k
		c := client(t, p, d.Name)
		want, err := p.Values(d.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, pt := range k.points {
			got, text, err := readPoint(c, k, pt)
			switch {
			case err != nil:
				t.Errorf("%s %s: %v", d.Name, pt.Name, err)
			case pt.Name == "model" && text != d.Model, pt.Name == "serial" && text != d.Serial:
				t.Errorf("%s %s: %q", d.Name, pt.Name, text)
			case pt.Type != String && math.Abs(got-want[pt.Name]) > 1e-9*math.Max(1, math.Abs(got)):
				t.Errorf("%s %s: read %v, model says %v", d.Name, pt.Name, got, want[pt.Name])
			}
		}
		n := uint64(len(k.points))
		counters := counted(t, p, d.Name, n, 0)
		if counters.Points != n || counters.Registers < n {
			t.Errorf("%s: %d points read one by one, counted %+v", d.Name, n, counters)
		}
	}
}

func TestWordOrders(t *testing.T) {
	p := Point{Type: Uint32}
	for order, want := range map[Order][2]uint16{ABCD: {0x0102, 0x0304}, CDAB: {0x0304, 0x0102}, BADC: {0x0201, 0x0403}, DCBA: {0x0403, 0x0201}} {
		var got [2]uint16
		p.encode(got[:], 0x01020304, order)
		if got != want {
			t.Errorf("%s: %04x, want %04x", order, got, want)
		}
	}
	var words [4]uint16
	Point{Type: Uint64}.encode(words[:], 0x0001000200030004, CDAB)
	if want := [4]uint16{4, 3, 2, 1}; words != want {
		t.Errorf("64 bits, CDAB: %x, want %x", words, want)
	}
}

func TestMapsHaveHolesAndNoOverlaps(t *testing.T) {
	for _, k := range kinds {
		if k.protocol != ProtocolModbus {
			continue
		}
		if n := len(k.points); n < 12 || n > 40 {
			t.Errorf("%s has %d points", k.name, n)
		}
		used := map[Table]map[int]string{}
		names := map[string]bool{}
		for _, p := range k.points {
			if names[p.Name] {
				t.Errorf("%s: two points named %s", k.name, p.Name)
			}
			names[p.Name] = true
			if used[p.Table] == nil {
				used[p.Table] = map[int]string{}
			}
			for a := int(p.Address); a < int(p.Address)+p.Size(); a++ {
				if other := used[p.Table][a]; other != "" {
					t.Errorf("%s: %s and %s share %s %d", k.name, p.Name, other, p.Table, a)
				}
				used[p.Table][a] = p.Name
			}
		}
		u := newUnit(DeviceConfig{Name: "X", Unit: 1, WearRate: 1}, k, 1)
		u.advance(surroundings{dt: 1, ambient: 24, demand: 0.6})
		for table, fn := range map[Table]byte{Coil: 1, Discrete: 2, Holding: 3, Input: 4} {
			for a := range 400 {
				res := u.serve(1, binary.BigEndian.AppendUint16([]byte{fn, byte(a >> 8), byte(a)}, 1)).pdu
				if hole := used[table][a] == ""; hole != bytes.Equal(res, []byte{fn | 0x80, 2}) {
					t.Errorf("%s %s %d: hole %v, answered % x", k.name, table, a, hole, res)
				}
			}
		}
	}
}

func TestHolesAndLimitsThroughAClient(t *testing.T) {
	p := still(t)
	c := client(t, p, "P-101")
	for _, q := range []struct {
		address, n uint16
		want       error
	}{{0, 13, nil}, {12, 2, modbus.ErrIllegalDataAddress}, {13, 1, modbus.ErrIllegalDataAddress}, {61, 2, modbus.ErrIllegalDataAddress}, {65535, 1, modbus.ErrIllegalDataAddress}} {
		if _, err := c.ReadRegisters(q.address, q.n, modbus.INPUT_REGISTER); !errors.Is(err, q.want) {
			t.Errorf("%d registers at %d: %v, want %v", q.n, q.address, err, q.want)
		}
	}
	c.SetUnitId(9)
	if _, err := c.ReadRegister(0, modbus.INPUT_REGISTER); !errors.Is(err, modbus.ErrGWTargetFailedToRespond) {
		t.Errorf("another unit id: %v", err)
	}
	c.SetUnitId(255)
	if _, err := c.ReadRegister(0, modbus.INPUT_REGISTER); err != nil {
		t.Errorf("unit id 255: %v", err)
	}
	if got := counted(t, p, "P-101", 2, 5); got.Registers != 14 || got.Points != 14 {
		t.Errorf("counters: %+v", got)
	}
}

func TestWritesReachTheModel(t *testing.T) {
	p := running(t, Config{Seed: 5, Tick: 10 * time.Millisecond, Speed: 100, Devices: Default()[:5]})
	c := client(t, p, "P-101")
	if err := c.WriteRegister(0, 1500); err != nil {
		t.Fatal(err)
	}
	if v, err := c.ReadRegister(0, modbus.HOLDING_REGISTER); v != 1500 || err != nil {
		t.Errorf("read back %v, %v", v, err)
	}
	eventually(t, "the pump slows down", func() bool { v, _ := p.Values("P-101"); return v["speed"] < 1600 })
	if err := c.WriteCoil(0, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pump stops", func() bool {
		v, _ := p.Values("P-101")
		return v["running"] == 0 && v["motor_current"] < 0.1 && v["flow"] == 0
	})
	before, _ := p.Values("P-101")
	if err := c.WriteCoils(0, []bool{true}); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteRegisters(0, []uint16{2900}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pump starts again", func() bool { v, _ := p.Values("P-101"); return v["speed"] > 2400 })
	if after, _ := p.Values("P-101"); after["starts"] != before["starts"]+1 {
		t.Errorf("starts went from %v to %v", before["starts"], after["starts"])
	}
	for _, e := range []struct {
		err, want error
	}{
		{c.WriteRegister(0, 4000), modbus.ErrIllegalDataValue},
		{c.WriteRegister(10, 1), modbus.ErrIllegalDataAddress},
		{c.WriteRegisters(0, []uint16{2900, 1}), modbus.ErrIllegalDataAddress},
		{c.WriteCoil(1, true), modbus.ErrIllegalDataAddress},
	} {
		if !errors.Is(e.err, e.want) {
			t.Errorf("write: %v, want %v", e.err, e.want)
		}
	}
	for device, address := range map[string]uint16{"C-201": 0, "CH-301": 0} {
		if err := client(t, p, device).WriteCoil(address, false); err != nil {
			t.Errorf("%s: %v", device, err)
		}
		eventually(t, device+" stops", func() bool { v, _ := p.Values(device); return v["running"] == 0 })
	}
}

func FuzzModbusRequest(f *testing.F) {
	for _, s := range []string{"\x04\x00\x00\x00\x0d", "\x03\x00\x00\x00\x7d", "\x01\x00\x00\x00\x01", "\x05\x00\x00\xff\x00", "\x06\x00\x00\x0b\x54",
		"\x0f\x00\x00\x00\x01\x01\x01", "\x10\x00\x00\x00\x01\x02\x0b\x54", "\x2b\x0e\x01\x00", "\x04\xff\xff\xff\xff"} {
		f.Add(byte(1), []byte(s))
	}
	var units []*unit
	for _, k := range kinds[:4] {
		u := newUnit(DeviceConfig{Name: "X", Unit: 1, WearRate: 1}, k, 1)
		u.advance(surroundings{dt: 1, ambient: 24, demand: 0.6})
		units = append(units, u)
	}
	f.Fuzz(func(t *testing.T, unitID byte, pdu []byte) {
		if len(pdu) == 0 || len(pdu) > 253 {
			return
		}
		for _, u := range units {
			a := u.serve(unitID, pdu)
			if len(a.pdu) < 2 || len(a.pdu) > 253 || a.pdu[0]&0x7F != pdu[0]&0x7F {
				t.Fatalf("%s answered % x to % x", u.k.name, a.pdu, pdu)
			}
			if a.pdu[0]&0x80 == 0 && pdu[0] <= 4 && int(a.pdu[1]) != len(a.pdu)-2 {
				t.Fatalf("%s: byte count %d in % x", u.k.name, a.pdu[1], a.pdu)
			}
		}
	})
}

func BenchmarkServe(b *testing.B) {
	u := newUnit(DeviceConfig{Name: "X", Unit: 1, WearRate: 1}, &meterKind, 1)
	u.advance(surroundings{dt: 1, ambient: 24, demand: 0.6})
	request := []byte{4, 0, 0, 0, 46}
	b.ReportAllocs()
	for b.Loop() {
		if a := u.serve(1, request); a.registers != 46 {
			b.Fatal(a)
		}
	}
}

func BenchmarkAdvance(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			u := newUnit(DeviceConfig{Name: "X", Unit: 1, WearRate: 1}, k, 1)
			b.ReportAllocs()
			for b.Loop() {
				u.advance(surroundings{dt: 0.2, ambient: 24, demand: 0.6})
			}
		})
	}
}
