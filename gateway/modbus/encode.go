package modbus

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// Written is what to write so that a point reads as a value.
type Written struct {
	Table   profile.Table
	Address uint16
	Words   []uint16 // registers as they are on the wire; of a bit one word, 0 or 1
}

// Encode is the inverse of decoding, in the point's own order of bytes and words: what to write so that
// the point of the profile reads as v, rounded to what its registers can hold. A value that would not
// read as itself, because it is outside the point's range, does not fit, or means "not available", is
// refused.
//
// now is what the registers of Span hold, two bytes each as on the wire. It is needed where they hold
// more than the value (NeedsSpan tells): the other bits of a word, the scale that the device keeps.
func Encode(p *profile.Profile, pt *profile.Point, v faultline.Value, now []byte) (Written, error) {
	if pt.Register == nil {
		return Written{}, fmt.Errorf("%w: %s is no register", faultline.ErrInvalid, pt.Name)
	}
	refuse := func(why string) (Written, error) {
		return Written{}, fmt.Errorf("%w: %s cannot be written as %v: %s", faultline.ErrInvalid, pt.Name, v, why)
	}
	f := newField(p, pt)
	if NeedsSpan(pt) && len(now) != 2*int(f.words) {
		return refuse("its registers were not read before")
	}
	w := Written{Table: f.table, Address: pt.Register.Address}
	if f.table.Bits() {
		on, isBool := v.Int64()
		if !isBool || v.Type() != faultline.TypeBool {
			return refuse("write true or false")
		}
		w.Words = []uint16{uint16(on)}
		return w, nil
	}
	words, why := f.wordsOf(v, now)
	if why != "" {
		return refuse(why)
	}
	w.Words = words
	// What was written is read back in mind: nothing is sent that would read as something else.
	span := append([]byte(nil), now...)
	if len(span) != 2*int(f.words) {
		span = make([]byte, 2*int(f.words))
	}
	for i, word := range words {
		binary.BigEndian.PutUint16(span[2*(f.at+i):], word)
	}
	got, q := f.value(span)
	if q.IsBad() {
		return refuse("it would read as " + string(q))
	}
	if !f.reads(got, v, now) {
		return refuse("it would read as " + got.String())
	}
	return w, nil
}

// NeedsSpan tells whether a point can only be encoded beside what its registers hold.
func NeedsSpan(pt *profile.Point) bool {
	r := pt.Register
	return r != nil && (r.ScaleAt != nil || r.Data == profile.Bit || r.Data == profile.BitSpan)
}

// wordsOf gives the value's registers, or why there are none.
func (f *field) wordsOf(v faultline.Value, now []byte) (words []uint16, why string) {
	switch f.data {
	case profile.Text:
		return f.wordsOfText(v)
	case profile.DateTime:
		return f.wordsOfTime(v)
	case profile.Bool:
		n, _ := v.Int64()
		if v.Type() != faultline.TypeBool {
			return nil, "write true or false"
		}
		return f.ordered(uint64(n)), ""
	case profile.Bit, profile.BitSpan:
		n, _ := v.Int64()
		width := max(f.width, 1)
		switch x, number := v.Number(); {
		case f.data == profile.Bit && v.Type() != faultline.TypeBool:
			return nil, "write true or false"
		case f.data == profile.BitSpan && !number:
			return nil, "write a number"
		case v.Type() == faultline.TypeFloat:
			n = int64(math.Round(f.raw(x, 0)))
		}
		if n < 0 || n >= 1<<width {
			return nil, fmt.Sprintf("it has %d bits", width)
		}
		word := binary.BigEndian.Uint16(now)
		if f.swapBytes {
			word = word<<8 | word>>8
		}
		mask := uint16(1<<width-1) << f.bit
		return f.ordered(uint64(word&^mask | uint16(n)<<f.bit)), ""
	}
	x, number := v.Number()
	if !number || v.Type() == faultline.TypeBool {
		return nil, "write a number"
	}
	exponent := f.exponentOf(now)
	x = f.raw(x, exponent)
	exact, whole := v.Int64()
	if whole = whole && f.point.Type == faultline.TypeInt; !whole {
		exact = 0
	}
	return f.wordsOfNumber(x, exact, whole)
}

// raw undoes scale, offset and the power of ten.
func (f *field) raw(x float64, exponent int) float64 {
	if f.point.Type == faultline.TypeFloat {
		x -= f.point.Offset
		if f.point.Scale != nil {
			x /= *f.point.Scale
		}
	}
	return shifted(x, -exponent)
}

func (f *field) exponentOf(now []byte) int {
	if f.exponent < 0 {
		return 0
	}
	return int(int16(binary.BigEndian.Uint16(now[2*f.exponent:])))
}

// wordsOfNumber encodes a raw number: exact of an int point, x rounded of others.
func (f *field) wordsOfNumber(x float64, exact int64, whole bool) (words []uint16, why string) {
	switch f.data {
	case profile.Float32:
		if v := float32(x); math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
			return nil, "it does not fit into a float32"
		}
		return f.ordered(uint64(math.Float32bits(float32(x)))), ""
	case profile.Float64:
		return f.ordered(math.Float64bits(x)), ""
	}
	low, high := limitsOf(f.data)
	if x = math.Round(x); !whole {
		if !(x >= low && x <= high) {
			return nil, fmt.Sprintf("a %s holds %.0f to %.0f", f.data, low, high)
		}
		if f.data == profile.Uint64 && x >= 1<<63 {
			return f.ordered(uint64(x)), ""
		}
		if x >= 1<<63 { // 2^63 itself, which no int64 is
			exact = math.MaxInt64
		} else {
			exact = int64(x)
		}
	} else if float64(exact) < low || float64(exact) > high {
		return nil, fmt.Sprintf("a %s holds %.0f to %.0f", f.data, low, high)
	}
	switch f.data {
	case profile.BCD16, profile.BCD32, profile.BCD64:
		raw := uint64(0)
		for shift := 0; exact > 0; shift += 4 {
			if shift > 60 {
				return nil, "it has more than 16 digits"
			}
			raw |= uint64(exact%10) << shift
			exact /= 10
		}
		return f.ordered(raw), ""
	}
	return f.ordered(uint64(exact)), ""
}

// limitsOf a whole number's raw values.
func limitsOf(d profile.Data) (low, high float64) {
	switch d {
	case profile.Int16:
		return math.MinInt16, math.MaxInt16
	case profile.Int32:
		return math.MinInt32, math.MaxInt32
	case profile.Int64:
		return math.MinInt64, math.MaxInt64
	case profile.Uint32:
		return 0, math.MaxUint32
	case profile.Uint64:
		return 0, 1<<64 - 2048 // the float below 2^64
	case profile.BCD16:
		return 0, 9999
	case profile.BCD32:
		return 0, 99_999_999
	case profile.BCD64:
		return 0, 9_999_999_999_999_999
	}
	return 0, math.MaxUint16
}

// ordered lays the lowest registers of raw as the wire has them.
func (f *field) ordered(raw uint64) []uint16 {
	out := make([]uint16, f.own)
	for i := range out {
		out[len(out)-1-i] = uint16(raw >> (16 * i))
	}
	return f.asOnWire(out)
}

func (f *field) asOnWire(words []uint16) []uint16 {
	for i, k := 0, len(words)-1; f.swapWords && i < k; i, k = i+1, k-1 {
		words[i], words[k] = words[k], words[i]
	}
	for i := range words {
		if f.swapBytes {
			words[i] = words[i]<<8 | words[i]>>8
		}
	}
	return words
}

func (f *field) wordsOfText(v faultline.Value) ([]uint16, string) {
	s, text := v.Text()
	if !text {
		return nil, "write a text"
	}
	if len(s) > 2*f.own {
		return nil, fmt.Sprintf("it has room for %d bytes", 2*f.own)
	}
	out := make([]uint16, f.own)
	for i := range len(s) {
		out[i/2] |= uint16(s[i]) << (8 * (1 - i%2))
	}
	return f.asOnWire(out), ""
}

func (f *field) wordsOfTime(v faultline.Value) ([]uint16, string) {
	var t time.Time
	if s, text := v.Text(); text {
		var err error
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return nil, "write a time such as 2026-01-31T12:00:00Z"
		}
	} else if x, number := v.Number(); number && v.Type() != faultline.TypeBool && math.Abs(f.raw(x, 0)) < 1e12 {
		t = time.UnixMilli(int64(math.Round(f.raw(x, 0) * 1000)))
	} else {
		return nil, "write a time"
	}
	words, err := f.point.Register.Layout.Words(t, f.zone)
	if err != nil {
		return nil, err.Error()
	}
	return f.asOnWire(words), ""
}

// reads tells whether what would be read is what was to be written, within the registers' resolution.
func (f *field) reads(got, want faultline.Value, now []byte) bool {
	x, number := want.Number()
	y, numberToo := got.Number()
	if !number || !numberToo {
		if f.data == profile.DateTime {
			return !number && !numberToo // cut to the layout's resolution
		}
		return got == want
	}
	if f.data == profile.DateTime {
		return math.Abs(x-y) < 60
	}
	if got.Type() == faultline.TypeInt && want.Type() == faultline.TypeInt {
		return got == want
	}
	step := math.Abs(x) * 1e-6 // more than float32's
	if f.data != profile.Float32 && f.data != profile.Float64 {
		one := shifted(1, f.exponentOf(now))
		if f.point.Type == faultline.TypeFloat && f.point.Scale != nil {
			one *= math.Abs(*f.point.Scale)
		}
		step = max(math.Abs(x)*1e-9, one*0.5000001)
	}
	return math.Abs(x-y) <= step+math.Abs(f.point.Offset)*1e-6
}
