package profile

import (
	"fmt"
	"math"
	"strconv"

	"github.com/faultline-iot/faultline"
)

// Sentinel is what a device sends when it has no value: a raw number (0x7FFF, -1, -3276.8) or, in
// payloads, a text.
type Sentinel struct {
	text    string
	whole   bool
	bits    uint64 // of a whole number, two's complement
	float   float64
	numeric bool
}

// UnmarshalText reads a number, decimal or hexadecimal, or a text.
func (s *Sentinel) UnmarshalText(b []byte) error {
	t := string(b)
	if t == "" {
		return fmt.Errorf("%w: not_available: an empty value", faultline.ErrInvalid)
	}
	*s = Sentinel{text: t}
	if i, err := strconv.ParseInt(t, 0, 64); err == nil {
		s.whole, s.bits, s.float, s.numeric = true, uint64(i), float64(i), true
	} else if u, err := strconv.ParseUint(t, 0, 64); err == nil {
		s.whole, s.bits, s.float, s.numeric = true, u, float64(u), true
	} else if f, err := strconv.ParseFloat(t, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		s.float, s.numeric = f, true
	}
	return nil
}

// MarshalText writes it as it was read.
func (s Sentinel) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s Sentinel) String() string { return s.text }

// Bits tells whether raw, the lowest bits of a register value that mask leaves, is the sentinel.
func (s Sentinel) Bits(raw, mask uint64) bool { return s.whole && s.bits&mask == raw }

// Number tells whether a number of a payload is the sentinel.
func (s Sentinel) Number(v float64) bool { return s.numeric && s.float == v }

// Text tells whether a text of a payload is the sentinel.
func (s Sentinel) Text(v string) bool { return s.text == v }
