package profile

import (
	"fmt"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Table is one of the four address spaces of Modbus.
type Table uint8

// The tables.
const (
	NoTable  Table = iota
	Coil           // function 01
	Discrete       // function 02
	Holding        // function 03
	Input          // function 04
)

// Bits tells whether the table holds single bits.
func (t Table) Bits() bool { return t == Coil || t == Discrete }

// Data is how a value is kept in registers.
type Data uint8

// The data types.
const (
	NoData  Data = iota
	Bool         // a coil or discrete input; in registers: not zero
	Bit          // one bit of a register
	BitSpan      // several bits of a register, unsigned
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Float32
	Float64
	BCD16    // four decimal digits
	BCD32    // eight decimal digits
	BCD64    // sixteen decimal digits
	Text     // two bytes a register, ended by NUL or padded with blanks
	DateTime // date and time in the register's layout
)

// Order of bytes and words, as engineers write it for a 32-bit value whose bytes are A (highest) to D.
type Order uint8

// The orders. DefaultOrder is the device's, and ABCD for a device.
const (
	DefaultOrder Order = iota
	ABCD
	CDAB // words swapped
	BADC // bytes swapped in each word
	DCBA // both
)

// Report tells which samples of a point are stored.
type Report uint8

// The ways to report.
const (
	Always   Report = iota // every reading
	OnChange               // changes, and one reading each heartbeat
)

var (
	reportNames = []string{"always", "change"}
	tableNames  = []string{"", "coil", "discrete", "holding", "input"}
	dataNames   = []string{"", "bool", "bit", "bits", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bcd64", "string", "datetime"}
	orderNames  = []string{"", "ABCD", "CDAB", "BADC", "DCBA"}
)

func (t Table) String() string { return enumName(tableNames, int(t)) }
func (d Data) String() string  { return enumName(dataNames, int(d)) }
func (o Order) String() string { return enumName(orderNames, int(o)) }

// MarshalText writes the name.
func (t Table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalText writes the name.
func (d Data) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalText writes the name.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (t *Table) UnmarshalText(b []byte) error { return parseEnum("table", tableNames, b, (*uint8)(t)) }

// UnmarshalText reads the name.
func (d *Data) UnmarshalText(b []byte) error {
	return parseEnum("data type", dataNames, b, (*uint8)(d))
}

// UnmarshalText reads the name.
func (o *Order) UnmarshalText(b []byte) error { return parseEnum("order", orderNames, b, (*uint8)(o)) }

func (r Report) String() string { return enumName(reportNames, int(r)) }

// MarshalText writes the name.
func (r Report) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name.
func (r *Report) UnmarshalText(b []byte) error {
	for i, n := range reportNames {
		if n == string(b) {
			*r = Report(i)
			return nil
		}
	}
	return fmt.Errorf("%w: report %q: use %s", faultline.ErrInvalid, b, strings.Join(reportNames, " or "))
}

// IsZero lets encoders leave out what is not set.
func (o Order) IsZero() bool { return o == DefaultOrder }

// WordsSwapped tells whether the low word comes first.
func (o Order) WordsSwapped() bool { return o == CDAB || o == DCBA }

// BytesSwapped tells whether the low byte of each word comes first.
func (o Order) BytesSwapped() bool { return o == BADC || o == DCBA }

func enumName(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("invalid(%d)", i)
}

func parseEnum(what string, names []string, b []byte, to *uint8) error {
	for i, n := range names[1:] {
		if n == string(b) {
			*to = uint8(i + 1)
			return nil
		}
	}
	return fmt.Errorf("%w: %s %q: use %s", faultline.ErrInvalid, what, b, strings.Join(names[1:], ", "))
}
