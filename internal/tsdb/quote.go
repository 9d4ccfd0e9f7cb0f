package tsdb

import (
	"strings"
	"time"
)

// All text that becomes part of InfluxQL passes through Ident or Literal. InfluxQL knows three escapes,
// in both kinds of quotes: \\ \n and the quote itself. A raw newline is an error and is escaped. A
// carriage return (which its scanner takes for a newline) and NUL (which ends the text for it) cannot be
// said at all: they become U+FFFD, which no name of ours holds, so that the query finds nothing.

// Ident quotes s as an identifier: a measurement, tag, field, database or policy.
func Ident(s string) string { return quote(s, '"') }

// Literal quotes s as a string.
func Literal(s string) string { return quote(s, '\'') }

// Time writes t as a literal with its nanoseconds.
func Time(t time.Time) string { return "'" + t.UTC().Format("2006-01-02T15:04:05.999999999Z") + "'" }

func quote(s string, q byte) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte(q)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\', q:
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case 0, '\r':
			b.WriteRune('\uFFFD')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(q)
	return b.String()
}
