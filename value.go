package faultline

import (
	"fmt"
	"math"
	"strconv"
)

// Type is the type of a point's values. It is fixed for a (kind, point) pair for ever: a changed type
// is a new point name, because the time-series store keeps one type per field.
type Type uint8

// The types of values.
const (
	NoType    Type = iota // the zero Value: nothing was read
	TypeFloat             // measured quantities
	TypeInt               // counters, words, enumerations
	TypeBool
	TypeString // at most MaxString bytes
)

// MaxString is the longest string value in bytes.
const MaxString = 64<<10 - 1

var typeNames = [...]string{"none", "float", "int", "bool", "string"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// ParseType reads "float", "int", "bool" or "string".
func ParseType(s string) (Type, error) {
	for i, n := range typeNames[1:] {
		if s == n {
			return Type(i + 1), nil
		}
	}
	return NoType, fmt.Errorf("%w: type %q: use float, int, bool or string", ErrInvalid, s)
}

// MarshalText and UnmarshalText make types readable in YAML and JSON.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is the inverse of MarshalText; "none" is accepted here only.
func (t *Type) UnmarshalText(b []byte) (err error) {
	if string(b) == "none" || len(b) == 0 {
		*t = NoType
		return nil
	}
	*t, err = ParseType(string(b))
	return err
}

// Value is one value of a point. The zero Value means that there is none, as in a bad sample.
type Value struct {
	typ Type
	num uint64 // float bits, int64 bits, or 0/1
	str string
}

// Float makes a float value. NaN and infinities make no value: they are not measurements.
func Float(v float64) Value {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Value{}
	}
	return Value{typ: TypeFloat, num: math.Float64bits(v)}
}

// Int makes an integer value.
func Int(v int64) Value { return Value{typ: TypeInt, num: uint64(v)} }

// Bool makes a boolean value.
func Bool(v bool) Value {
	if v {
		return Value{typ: TypeBool, num: 1}
	}
	return Value{typ: TypeBool}
}

// String makes a string value; one longer than MaxString makes no value.
func String(v string) Value {
	if len(v) > MaxString {
		return Value{}
	}
	return Value{typ: TypeString, str: v}
}

// Type of the value; NoType if there is none.
func (v Value) Type() Type { return v.typ }

// Number gives the value as a float64 where it has one: floats, ints (exact up to 2^53), bools as 0 or 1.
func (v Value) Number() (float64, bool) {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(v.num), true
	case TypeInt:
		return float64(int64(v.num)), true
	case TypeBool:
		return float64(v.num), true
	}
	return 0, false
}

// Int64 gives an int or bool value exactly.
func (v Value) Int64() (int64, bool) {
	return int64(v.num), v.typ == TypeInt || v.typ == TypeBool
}

// Text gives a string value.
func (v Value) Text() (string, bool) { return v.str, v.typ == TypeString }

// String shows the value for people: floats with at most six significant digits.
func (v Value) String() string {
	switch v.typ {
	case TypeFloat:
		return strconv.FormatFloat(math.Float64frombits(v.num), 'g', 6, 64)
	case TypeInt:
		return strconv.FormatInt(int64(v.num), 10)
	case TypeBool:
		return strconv.FormatBool(v.num != 0)
	case TypeString:
		return v.str
	}
	return "–"
}

// Any gives float64, int64, bool, string or nil.
func (v Value) Any() any {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(v.num)
	case TypeInt:
		return int64(v.num)
	case TypeBool:
		return v.num != 0
	case TypeString:
		return v.str
	}
	return nil
}
