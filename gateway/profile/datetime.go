package profile

import (
	"fmt"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// Layout says how a date and time lie in registers: "cp56time2a", "unix", "unix_ms", or what each
// register holds, as in "year/month day/hour minute/second" (high byte / low byte) and "year month day
// hour minute second ms". "bcd " before it says that all are decimal digits. A part is year, month, day,
// hour, minute, second, ms, weekday (not looked at) or -.
//
// A year below 70 is of this century, one below 1000 counts from 1900.
type Layout struct {
	text  string
	kind  layoutKind
	bcd   bool
	parts []layoutPart
	words int
}

type layoutKind uint8

const (
	noLayout layoutKind = iota
	byParts
	cp56     // IEC 60870-5-4, 7 octets and one that is not used: highest first, or as sent with order DCBA
	unixS    // 32 bits
	unixMS   // 64 bits
	maxYears = 69
)

type layoutPart struct {
	what layoutWhat
	word int
	half int // 0: the whole register, 1: its high byte, 2: its low byte
}

type layoutWhat uint8

const (
	ignored layoutWhat = iota
	theYear
	theMonth
	theDay
	theHour
	theMinute
	theSecond
	theMS
)

var layoutNames = map[string]layoutWhat{"-": ignored, "weekday": ignored, "year": theYear, "month": theMonth, "day": theDay, "hour": theHour, "minute": theMinute, "second": theSecond, "ms": theMS}

// UnmarshalText reads a layout.
func (l *Layout) UnmarshalText(b []byte) error {
	*l = Layout{text: string(b)}
	switch l.text {
	case "cp56time2a":
		l.kind, l.words = cp56, 4
		return nil
	case "unix":
		l.kind, l.words = unixS, 2
		return nil
	case "unix_ms":
		l.kind, l.words = unixMS, 4
		return nil
	}
	rest, bcd := strings.CutPrefix(l.text, "bcd ")
	l.kind, l.bcd = byParts, bcd
	seen := map[layoutWhat]bool{}
	add := func(name string, half int) error {
		w, known := layoutNames[name]
		if !known {
			return fmt.Errorf("%w: layout %q: %q is no part of a time; use cp56time2a, unix, unix_ms, or year, month, day, hour, minute, second, ms, weekday, -", faultline.ErrInvalid, l.text, name)
		}
		if w != ignored && seen[w] {
			return fmt.Errorf("%w: layout %q: %s is there twice", faultline.ErrInvalid, l.text, name)
		}
		seen[w] = true
		l.parts = append(l.parts, layoutPart{w, l.words, half})
		return nil
	}
	for register := range strings.FieldsSeq(rest) {
		high, low, halves := strings.Cut(register, "/")
		half := 0
		if halves {
			half = 1
		}
		if err := add(high, half); err != nil {
			return err
		}
		if halves {
			if err := add(low, 2); err != nil {
				return err
			}
		}
		l.words++
	}
	for name, w := range layoutNames {
		if (w == theYear || w == theMonth || w == theDay) && !seen[w] {
			return fmt.Errorf("%w: layout %q: it has no %s", faultline.ErrInvalid, l.text, name)
		}
	}
	if l.words > 16 {
		return fmt.Errorf("%w: layout %q: %d registers are more than a time has", faultline.ErrInvalid, l.text, l.words)
	}
	return nil
}

// MarshalText writes it as it was read.
func (l Layout) MarshalText() ([]byte, error) { return []byte(l.text), nil }

func (l Layout) String() string { return l.text }

// IsZero tells whether no layout was given.
func (l Layout) IsZero() bool { return l.kind == noLayout }

// Registers is how many registers a time has.
func (l *Layout) Registers() int { return l.words }

// IsNumber tells whether the registers are one number, in the order that the device's numbers have.
func (l *Layout) IsNumber() bool { return l.kind == unixS || l.kind == unixMS }

// Time reads registers, highest first, as a clock in the zone shows them. A device that says that its
// time is invalid, and registers that were never set, are bad:not_available.
func (l *Layout) Time(words []uint16, zone *time.Location) (time.Time, faultline.Quality) {
	if len(words) != l.words || l.words == 0 {
		return time.Time{}, faultline.BadDecode
	}
	var zeros, ones = true, true
	raw := uint64(0)
	for _, w := range words {
		zeros, ones = zeros && w == 0, ones && w == 0xFFFF
		raw = raw<<16 | uint64(w)
	}
	if zeros || ones {
		return time.Time{}, faultline.BadNotAvailable
	}
	var v [theMS + 1]int
	switch l.kind {
	case unixS:
		return time.Unix(int64(raw), 0).UTC(), faultline.Good
	case unixMS:
		t := time.UnixMilli(int64(raw)).UTC()
		if raw >= 1<<62 || t.Year() > 9999 {
			return time.Time{}, faultline.BadDecode
		}
		return t, faultline.Good
	case cp56:
		if raw>>23&1 != 0 {
			return time.Time{}, faultline.BadNotAvailable // the bit IV
		}
		v[theMS] = int(raw & 0xFFFF)
		v[theMinute], v[theHour], v[theDay] = int(raw>>16&0x3F), int(raw>>24&0x1F), int(raw>>32&0x1F)
		v[theMonth], v[theYear] = int(raw>>40&0xF), int(raw>>48&0x7F)
		v[theSecond], v[theMS] = v[theMS]/1000, v[theMS]%1000
	default:
		for _, p := range l.parts {
			n, ok := p.read(words, l.bcd)
			if !ok && p.what != ignored {
				return time.Time{}, faultline.BadDecode
			}
			v[p.what] = n
		}
	}
	switch y := v[theYear]; {
	case y <= maxYears:
		v[theYear] += 2000
	case y < 1000:
		v[theYear] += 1900
	}
	t := time.Date(v[theYear], time.Month(v[theMonth]), v[theDay], v[theHour], v[theMinute], v[theSecond], v[theMS]*1e6, zone)
	if v[theYear] > 9999 || v[theMonth] < 1 || v[theMonth] > 12 || v[theDay] < 1 || v[theHour] > 23 || v[theMinute] > 59 || v[theSecond] > 59 || v[theMS] > 999 || t.Day() != v[theDay] {
		return time.Time{}, faultline.BadDecode
	}
	return t.UTC(), faultline.Good
}

// Words is the inverse of Time: what a clock in the zone shows at t, cut to what the layout holds.
func (l *Layout) Words(t time.Time, zone *time.Location) ([]uint16, error) {
	out := make([]uint16, l.words)
	t = t.In(zone)
	whole := func(raw uint64) {
		for i := range out {
			out[i] = uint16(raw >> (16 * (len(out) - 1 - i)))
		}
	}
	switch l.kind {
	case unixS:
		whole(uint64(t.Unix()))
		if s := t.Unix(); s <= 0 || s >= 1<<32-1 {
			return nil, fmt.Errorf("%w: %v does not fit into 32 bits of seconds", faultline.ErrInvalid, t)
		}
		return out, nil
	case unixMS:
		whole(uint64(t.UnixMilli()))
		if t.UnixMilli() <= 0 {
			return nil, fmt.Errorf("%w: %v is before 1970", faultline.ErrInvalid, t)
		}
		return out, nil
	case cp56:
		if t.Year() < 1970 || t.Year() > 2069 {
			return nil, fmt.Errorf("%w: %v is not of the years 1970 to 2069", faultline.ErrInvalid, t)
		}
		raw := uint64(t.Second()*1000+t.Nanosecond()/1e6) | uint64(t.Minute())<<16 | uint64(t.Hour())<<24 | uint64(t.Day())<<32 | uint64(t.Month())<<40 | uint64(t.Year()%100)<<48
		raw |= uint64((int(t.Weekday())+6)%7+1) << 37
		if t.IsDST() {
			raw |= 1 << 31
		}
		whole(raw)
		return out, nil
	}
	v := [...]int{theYear: t.Year(), theMonth: int(t.Month()), theDay: t.Day(), theHour: t.Hour(), theMinute: t.Minute(), theSecond: t.Second(), theMS: t.Nanosecond() / 1e6}
	for _, p := range l.parts {
		if p.what == ignored {
			continue
		}
		n := v[p.what]
		if p.what == theYear && p.half != 0 {
			if n < 1970 || n > 2069 {
				return nil, fmt.Errorf("%w: %v is not of the years 1970 to 2069", faultline.ErrInvalid, t)
			}
			n %= 100
		}
		p.write(out, n, l.bcd)
	}
	return out, nil
}

func (p *layoutPart) read(words []uint16, bcd bool) (int, bool) {
	w := words[p.word]
	switch p.half {
	case 1:
		w >>= 8
	case 2:
		w &= 0xFF
	}
	if !bcd {
		return int(w), true
	}
	n := 0
	for shift := 12; shift >= 0; shift -= 4 {
		d := int(w >> shift & 0xF)
		if d > 9 {
			return 0, false
		}
		n = 10*n + d
	}
	return n, true
}

func (p *layoutPart) write(words []uint16, n int, bcd bool) {
	w := uint16(n)
	if bcd {
		w = uint16(n/1000%10<<12 | n/100%10<<8 | n/10%10<<4 | n%10)
	}
	if p.half == 1 {
		w <<= 8
	}
	words[p.word] |= w
}
