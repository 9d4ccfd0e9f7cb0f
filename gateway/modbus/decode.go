package modbus

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// field is one point, ready to be decoded from the bytes of its registers.
type field struct {
	point      *profile.Point
	table      profile.Table
	data       profile.Data
	address    uint16
	words      uint16 // registers, or 1 bit
	at, own    int    // where in them the value's own lie, and how many: all, unless the scale is among them
	exponent   int    // where in them the scale's lies, -1: there is none
	swapWords  bool
	swapBytes  bool
	bit, width int
	zone       *time.Location // of a date and time
}

func newField(p *profile.Profile, pt *profile.Point) field {
	r := pt.Register
	first, words := r.Span()
	f := field{point: pt, table: r.Table, data: r.Data, address: first, words: uint16(words), at: int(r.Address - first), own: r.Registers(), exponent: -1, bit: r.Bit, width: r.Width}
	if r.ScaleAt != nil {
		f.exponent = int(*r.ScaleAt - first)
	}
	order := r.Order
	if r.Data == profile.DateTime {
		f.zone = time.UTC
		if z, err := time.LoadLocation(r.Zone); err == nil { // the profile was checked
			f.zone = z
		}
	}
	if numeric := r.Data != profile.DateTime || r.Layout.IsNumber(); order == profile.DefaultOrder && numeric && (f.own > 1 || r.Data == profile.Text) {
		order = p.Modbus.Order // single registers are high byte first everywhere, unless a point says otherwise
	}
	f.swapBytes = order.BytesSwapped()
	f.swapWords = order.WordsSwapped() && r.Data != profile.Text
	return f
}

// decode makes a sample of the field's registers, 2 bytes each as they were on the wire. It never
// makes a good sample of a value that the profile calls impossible or absent.
func (f *field) decode(b []byte) faultline.Sample {
	v, q := f.value(b)
	return faultline.Sample{Point: f.point.Name, Value: v, Quality: q}
}

// decodeBit makes a sample of a coil or discrete input.
func (f *field) decodeBit(set bool) faultline.Sample {
	return faultline.Sample{Point: f.point.Name, Value: faultline.Bool(set), Quality: faultline.Good}
}

func bad(q faultline.Quality) (faultline.Value, faultline.Quality) { return faultline.Value{}, q }

func (f *field) value(b []byte) (faultline.Value, faultline.Quality) {
	if len(b) != 2*int(f.words) {
		return bad(faultline.BadDecode)
	}
	if f.data == profile.Text {
		return f.text(b)
	}
	if f.data == profile.DateTime {
		return f.time(b)
	}
	exponent := 0
	if f.exponent >= 0 {
		exponent = int(int16(binary.BigEndian.Uint16(b[2*f.exponent:])))
		b = b[2*f.at : 2*(f.at+f.own)]
	}
	var raw uint64
	n := len(b)
	for i := 0; i < n; i += 2 {
		at := i
		if f.swapWords {
			at = n - 2 - i
		}
		w := uint64(binary.BigEndian.Uint16(b[at:]))
		if f.swapBytes {
			w = w>>8 | w&0xFF<<8
		}
		raw = raw<<16 | w
	}
	switch f.data {
	case profile.Bool:
		return faultline.Bool(raw != 0), faultline.Good
	case profile.Bit:
		return faultline.Bool(raw>>f.bit&1 != 0), faultline.Good
	case profile.BitSpan:
		raw = raw >> f.bit & (1<<f.width - 1)
	}
	if f.notAvailable(raw) || exponent == math.MinInt16 {
		return bad(faultline.BadNotAvailable)
	}
	if exponent < -maxExponent || exponent > maxExponent {
		return bad(faultline.BadDecode)
	}
	return f.number(raw, exponent)
}

// maxExponent is SunSpec's: a scale factor is -10 to 10.
const maxExponent = 10

// number interprets raw, right-aligned, and scales it.
func (f *field) number(raw uint64, exponent int) (faultline.Value, faultline.Quality) {
	var i int64
	switch f.data {
	case profile.Float32:
		return f.float(float64(math.Float32frombits(uint32(raw))), exponent)
	case profile.Float64:
		return f.float(math.Float64frombits(raw), exponent)
	case profile.Int16:
		i = int64(int16(raw))
	case profile.Int32:
		i = int64(int32(raw))
	case profile.BCD16, profile.BCD32, profile.BCD64:
		var ok bool
		if i, ok = bcd(raw); !ok {
			return bad(faultline.BadDecode)
		}
	case profile.Uint64:
		if raw > math.MaxInt64 {
			if f.point.Type == faultline.TypeFloat {
				return f.point.Convert(shifted(float64(raw), exponent))
			}
			return bad(faultline.BadOverflow)
		}
		i = int64(raw)
	default:
		i = int64(raw)
	}
	if f.point.Type == faultline.TypeFloat {
		return f.point.Convert(shifted(float64(i), exponent))
	}
	return f.whole(i)
}

// whole judges an int.
func (f *field) whole(i int64) (faultline.Value, faultline.Quality) {
	v := float64(i)
	q := f.point.Within(v)
	if q.IsBad() {
		return bad(q)
	}
	if c := f.point.Clamped(v); c != v {
		i = int64(c)
	}
	return faultline.Int(i), q
}

// time makes a date and time: RFC 3339 in UTC, or seconds since 1970.
func (f *field) time(b []byte) (faultline.Value, faultline.Quality) {
	words := make([]uint16, len(b)/2)
	for i := range words {
		at := i
		if f.swapWords {
			at = len(words) - 1 - i
		}
		if words[i] = binary.BigEndian.Uint16(b[2*at:]); f.swapBytes {
			words[i] = words[i]<<8 | words[i]>>8
		}
	}
	t, q := f.point.Register.Layout.Time(words, f.zone)
	switch {
	case q.IsBad():
		return bad(q)
	case f.point.Type == faultline.TypeString:
		return faultline.String(t.Format(time.RFC3339Nano)), q
	case f.point.Type == faultline.TypeInt:
		return f.whole(t.Unix())
	}
	return f.point.Convert(float64(t.UnixMilli()) / 1000)
}

// shifted moves the decimal point. It divides for places after it, so that 853 becomes 85.3 exactly.
func shifted(v float64, exponent int) float64 {
	if exponent < 0 {
		return v / math.Pow10(-exponent)
	}
	return v * math.Pow10(exponent)
}

func (f *field) float(v float64, exponent int) (faultline.Value, faultline.Quality) {
	switch {
	case math.IsNaN(v):
		return bad(faultline.BadNotAvailable)
	case math.IsInf(v, 0):
		return bad(faultline.BadOutOfRange)
	}
	return f.point.Convert(shifted(v, exponent))
}

func (f *field) notAvailable(raw uint64) bool {
	if len(f.point.NotAvailable) == 0 {
		return false
	}
	mask := uint64(math.MaxUint64)
	switch {
	case f.data == profile.BitSpan:
		mask = 1<<f.width - 1
	case f.own < 4:
		mask = 1<<(16*f.own) - 1
	}
	for _, n := range f.point.NotAvailable {
		if n.Bits(raw, mask) {
			return true
		}
	}
	return false
}

func bcd(raw uint64) (v int64, ok bool) {
	for shift := 60; shift >= 0; shift -= 4 {
		d := raw >> shift & 0xF
		if d > 9 {
			return 0, false
		}
		v = v*10 + int64(d)
	}
	return v, true
}

// text reads up to the first NUL, without the blanks that pad it.
func (f *field) text(b []byte) (faultline.Value, faultline.Quality) {
	if f.swapBytes {
		swapped := make([]byte, len(b))
		for i := 0; i < len(b); i += 2 {
			swapped[i], swapped[i+1] = b[i+1], b[i]
		}
		b = swapped
	}
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	b = bytes.TrimRight(b, " ")
	if len(b) > 0 && b[0] == 0xFF && len(bytes.Trim(b, "\xff")) == 0 {
		return bad(faultline.BadNotAvailable) // erased memory
	}
	s := string(b)
	if !utf8.ValidString(s) { // Latin-1 is what equipment means by other bytes
		r := make([]rune, len(b))
		for i, c := range b {
			r[i] = rune(c)
		}
		s = string(r)
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return -1
		}
		return r
	}, s)
	return faultline.String(s), faultline.Good
}
