package equipment

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Table names one of the four Modbus tables, or JSON for MQTT payloads.
type Table string

// The tables a point can live in.
const (
	Input    Table = "input"    // input registers, function 04
	Holding  Table = "holding"  // holding registers, functions 03, 06 and 16
	Coil     Table = "coil"     // coils, functions 01, 05 and 15
	Discrete Table = "discrete" // discrete inputs, function 02
	JSON     Table = "json"     // a field of an MQTT payload
)

// Type is how a point is represented on the wire.
type Type string

// The types in use. Number, Integer and Text appear in JSON payloads only.
const (
	Bool    Type = "bool"
	Uint16  Type = "uint16"
	Int16   Type = "int16"
	Uint32  Type = "uint32"
	Int32   Type = "int32"
	Uint64  Type = "uint64"
	Float32 Type = "float32"
	Float64 Type = "float64"
	String  Type = "string"
	Number  Type = "number"
	Integer Type = "integer"
	Text    Type = "text"
)

// Order is the order of the bytes of a value that spans several registers. Bytes inside
// a single 16-bit register are always high byte first.
type Order string

// The four orders. For 64-bit values CDAB means all four words reversed.
const (
	ABCD Order = "ABCD" // high word first, high byte first
	CDAB Order = "CDAB" // low word first, high byte first
	BADC Order = "BADC" // high word first, low byte first
	DCBA Order = "DCBA" // low word first, low byte first
)

// Point is one documented quantity of a kind of equipment.
type Point struct {
	Name     string   // snake_case, unique within the kind
	Unit     string   // "" where the quantity has none
	Table    Table    // where it is read
	Address  uint16   // zero-based protocol address (the first register or bit)
	Path     string   // dotted path within the payload, for Table JSON
	Type     Type     // wire representation
	Words    int      // registers taken by a String; other types know their own size
	Scale    float64  // engineering value = raw × Scale; resolution for JSON; 0 means 1
	Low      float64  // lowest value in normal operation, engineering units
	High     float64  // highest value in normal operation, engineering units
	Counter  bool     // only rises, is truncated, and has no normal range
	Sensor   bool     // comes from a sensor: sensor_stuck and sensor_open apply
	Writable bool     // accepts writes within [Low, High]
	Bits     []string // names of the bits of a word, bit 0 first; all 0 in normal operation unless Low/High say otherwise
	Enum     []string // names of the values of an enumeration, value 0 first
	Doc      string   // what it is
}

// Size is the number of registers the point occupies; 1 for a bit; 0 for a JSON field.
func (p Point) Size() int {
	switch p.Type {
	case Uint32, Int32, Float32:
		return 2
	case Uint64, Float64:
		return 4
	case String:
		return p.Words
	case Number, Integer, Text:
		return 0
	}
	return 1
}

// static reports whether the point is a text fixed at build time (model, serial).
func (p Point) static() bool { return p.Type == String || (p.Type == Text && p.Enum == nil) }

func (p Point) scale() float64 {
	if p.Scale == 0 {
		return 1
	}
	return p.Scale
}

// quantise returns the raw number sent on the wire for v and the engineering value that a
// correct reader gets back from it.
func (p Point) quantise(v float64) (raw, value float64) {
	switch p.Type {
	case Float32:
		f := float64(float32(v))
		return f, f
	case Float64:
		return v, v
	}
	s := p.scale()
	per := math.Round(1 / s)
	if per < 1 {
		per = 1 / s
	}
	raw = v * per
	if p.Counter {
		raw = math.Floor(raw + 1e-6)
	} else {
		raw = math.Round(raw)
	}
	low, high := p.limits()
	raw = min(max(raw, low), high)
	return raw, raw / per
}

// limits is the range of raw values, with the open-circuit values left out.
func (p Point) limits() (low, high float64) {
	switch p.Type {
	case Bool:
		return 0, 1
	case Uint16:
		if p.Sensor {
			return 0, 0xFFFE
		}
		return 0, 0xFFFF
	case Int16:
		return -0x7FFF, 0x7FFE
	case Uint32:
		return 0, math.MaxUint32
	case Int32:
		return math.MinInt32, math.MaxInt32
	case Uint64:
		return 0, 1 << 63
	}
	return -1e15, 1e15
}

// encode writes raw (already quantised) into dst, which has p.Size() words, in order o.
func (p Point) encode(dst []uint16, raw float64, o Order) {
	var b [8]byte
	n := 2 * p.Size()
	switch p.Type {
	case Bool, Uint16:
		binary.BigEndian.PutUint16(b[:], uint16(raw))
	case Int16:
		binary.BigEndian.PutUint16(b[:], uint16(int16(raw)))
	case Uint32:
		binary.BigEndian.PutUint32(b[:], uint32(raw))
	case Int32:
		binary.BigEndian.PutUint32(b[:], uint32(int32(raw)))
	case Uint64:
		binary.BigEndian.PutUint64(b[:], uint64(raw))
	case Float32:
		binary.BigEndian.PutUint32(b[:], math.Float32bits(float32(raw)))
	case Float64:
		binary.BigEndian.PutUint64(b[:], math.Float64bits(raw))
	default:
		return
	}
	arrange(dst, b[:n], o)
}

// arrange spreads big-endian bytes over registers in order o.
func arrange(dst []uint16, b []byte, o Order) {
	n := len(b) / 2
	for i := range n {
		hi, lo := b[2*i], b[2*i+1]
		if n > 1 && (o == BADC || o == DCBA) {
			hi, lo = lo, hi
		}
		at := i
		if o == CDAB || o == DCBA {
			at = n - 1 - i
		}
		dst[at] = uint16(hi)<<8 | uint16(lo)
	}
}

// encodeText writes s as ASCII, two characters a register, high byte first, padded with pad.
func encodeText(dst []uint16, s string, pad byte) {
	at := func(i int) uint16 {
		if i < len(s) {
			return uint16(s[i])
		}
		return uint16(pad)
	}
	for i := range dst {
		dst[i] = at(2*i)<<8 | at(2*i+1)
	}
}

// openRaw is what the point sends while its sensor is open: the words for a register, or
// text for JSON.
func (k *kind) openRaw(p Point) (words []uint16, text string) {
	switch p.Type {
	case Int16:
		return []uint16{k.openInt16}, ""
	case Uint16:
		return []uint16{0xFFFF}, ""
	case Float32:
		w := make([]uint16, 2)
		arrange(w, []byte{0x7F, 0xC0, 0, 0}, k.order)
		return w, ""
	}
	return nil, k.openJSON
}

// openDoc is the open-circuit value as documented, "" where the point has no sensor.
func (k *kind) openDoc(p Point) string {
	if !p.Sensor {
		return ""
	}
	switch p.Type {
	case Int16:
		return fmt.Sprintf("0x%04X (%s)", k.openInt16, decimal(float64(int16(k.openInt16))*p.scale()))
	case Uint16:
		return fmt.Sprintf("0xFFFF (%s)", decimal(0xFFFF*p.scale()))
	case Float32:
		return "NaN"
	}
	return k.openJSON
}

func decimal(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}
