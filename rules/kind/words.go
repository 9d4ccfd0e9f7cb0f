package kind

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/faultline-iot/faultline"
)

// subject names a point inside a sentence: its title with a small first letter, unless that begins
// an abbreviation, or its name.
func subject(p *faultline.Point) string {
	if p == nil {
		return "the asset"
	}
	if p.Title == "" {
		return strings.ReplaceAll(p.Name, "_", " ")
	}
	first, n := utf8.DecodeRuneInString(p.Title)
	second, _ := utf8.DecodeRuneInString(p.Title[n:])
	if unicode.IsUpper(first) && unicode.IsLower(second) {
		return string(unicode.ToLower(first)) + p.Title[n:]
	}
	return p.Title
}

// quantity writes a value with its unit, to as many digits as a person wants to read.
func quantity(v float64, unit string) string { return withUnit(number(v), unit) }

// apart writes value and limit so that they differ on paper if they differ: 95.04 is not "95" when
// the limit is 95.
func apart(value, limit float64, unit string) (string, string) {
	v, l := number(value), number(limit)
	for digits := 2; v == l && value != limit && digits <= 9; digits++ {
		v = strconv.FormatFloat(value, 'f', digits, 64)
	}
	return withUnit(v, unit), withUnit(l, unit)
}

func withUnit(number, unit string) string {
	if unit == "" {
		return number
	}
	return number + " " + unit
}

func number(v float64) string {
	digits := 3
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e15:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1e15 || a < 1e-3:
		return strconv.FormatFloat(v, 'g', 4, 64)
	case a >= 100_000:
		digits = 0
	case a >= 10:
		digits = 1
	case a >= 1:
		digits = 2
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// lasting writes " for 10 s", or nothing for less than a second.
func lasting(d time.Duration) string {
	if d < time.Second {
		return ""
	}
	return " for " + span(d)
}

// span writes a duration for people: 45 s, 12 min, 3 h 20 min, 2 d 4 h.
func span(d time.Duration) string {
	two := func(a int64, au string, b int64, bu string) string {
		s := strconv.FormatInt(a, 10) + " " + au
		if b > 0 {
			s += " " + strconv.FormatInt(b, 10) + " " + bu
		}
		return s
	}
	sec := int64(d.Round(time.Second) / time.Second)
	switch {
	case sec < 120:
		return two(sec, "s", 0, "")
	case sec < 7200:
		return two(sec/60, "min", sec%60, "s")
	case sec < 172800:
		return two(sec/3600, "h", sec%3600/60, "min")
	}
	return two(sec/86400, "d", sec%86400/3600, "h")
}
