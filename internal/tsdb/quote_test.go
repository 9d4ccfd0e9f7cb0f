package tsdb

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/influxdata/influxql"
)

var nasty = []string{
	"", "pump", `a"b`, `a'b`, `a\`, `\"`, `\'; DROP DATABASE faultline; --`, `"; DROP DATABASE faultline; --`,
	"line\nbreak", "tab\t", "nul\x00'; DROP DATABASE x", "a.b", "select", "中文", "😀", `' OR '1'='1`, "\\\n", "\r", "/* */", "-- x", "$p", "${p}",
}

// checkQuotes parses a statement with s in every place and looks whether it came through as itself.
func checkQuotes(t *testing.T, s string) {
	t.Helper()
	want := strings.NewReplacer("\x00", "\uFFFD", "\r", "\uFFFD").Replace(s)
	text := `SELECT ` + Ident(s) + ` FROM ` + Ident(s) + ` WHERE ` + Ident(s) + ` = ` + Literal(s) + ` AND time < ` + Time(time.Unix(0, 1))
	q, err := influxql.ParseQuery(text)
	if err != nil {
		t.Fatalf("%q: %v in %s", s, err, text)
	}
	if len(q.Statements) != 1 {
		t.Fatalf("%q became %d statements", s, len(q.Statements))
	}
	sel := q.Statements[0].(*influxql.SelectStatement)
	cond := sel.Condition.(*influxql.BinaryExpr).LHS.(*influxql.BinaryExpr)
	field := sel.Fields[0].Expr.(*influxql.VarRef).Val
	source := sel.Sources[0].(*influxql.Measurement).Name
	if field != want || source != want || cond.LHS.(*influxql.VarRef).Val != want || cond.RHS.(*influxql.StringLiteral).Val != want {
		t.Errorf("%q came through as field %q, source %q, condition %s", s, field, source, cond)
	}
}

func TestQuotes(t *testing.T) {
	for _, s := range nasty {
		if s != "" { // an empty identifier is refused by InfluxQL
			checkQuotes(t, s)
		}
	}
}

func FuzzQuotes(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || !utf8.ValidString(s) { // the scanner reads runes: what is not UTF-8 becomes U+FFFD
			t.Skip()
		}
		checkQuotes(t, s)
	})
}

func TestInvalidUTF8DoesNotEscape(t *testing.T) {
	for _, s := range []string{"\xff' OR 1=1", "\xc3'; DROP DATABASE x", "\r'; DROP DATABASE x", "a\r\n' OR 1=1", "\xe2\x80'"} {
		q, err := influxql.ParseQuery(`SELECT v FROM m WHERE a = ` + Literal(s))
		if err != nil {
			continue // refused is safe
		}
		if len(q.Statements) != 1 {
			t.Errorf("%q became %d statements", s, len(q.Statements))
		}
		if _, ok := q.Statements[0].(*influxql.SelectStatement).Condition.(*influxql.BinaryExpr).RHS.(*influxql.StringLiteral); !ok {
			t.Errorf("%q left its quotes: %s", s, q)
		}
	}
}

func TestStepFor(t *testing.T) {
	for _, tc := range []struct {
		span time.Duration
		rows int
		want time.Duration
	}{
		{time.Hour, 100, time.Minute},
		{30 * 24 * time.Hour, 500, 2 * time.Hour},
		{time.Second, 100, 100 * time.Millisecond},
		{100 * 365 * 24 * time.Hour, 100, 54 * 7 * 24 * time.Hour},
	} {
		if got := stepFor(tc.span, tc.rows); got != tc.want {
			t.Errorf("stepFor(%v, %d) = %v, want %v", tc.span, tc.rows, got, tc.want)
		}
	}
}
