package profile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Columns of a register list. name, address and type are needed, all others may be left out.
var Columns = []string{"name", "title", "table", "address", "type", "order", "unit", "scale", "offset", "as", "bit", "width", "length", "layout", "not_available", "min", "max", "trend"}

// MaxList is the longest register list in bytes.
const MaxList = 4 << 20

// FromCSV makes a profile from a register list with a heading line of Columns, in any order. address is
// zero-based; type is a Modbus data type such as uint16; table is holding unless given; as is the
// point's type (float, int, bool or string): without it numbers become floats. The error lists all
// that is wrong, each as "file:line: column: …".
func FromCSV(file string, r io.Reader, name, kind string) (*Profile, error) {
	cr := csv.NewReader(io.LimitReader(r, MaxList))
	cr.TrimLeadingSpace = true
	cr.Comment = '#'
	list := &rows{file: file}
	head, err := cr.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: read register list %s: %w", faultline.ErrInvalid, file, err)
	}
	columns := list.heading(head)
	if list.errs != nil {
		return nil, errors.Join(list.errs...)
	}
	p := &Profile{Name: name, Version: "1", Kind: kind, Source: "register list " + file}
	var lines []int
	for {
		row, err := cr.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			list.errs = append(list.errs, fmt.Errorf("%w: %s: %w", faultline.ErrInvalid, file, err))
			break
		}
		list.line, _ = cr.FieldPos(0)
		p.Points = append(p.Points, list.point(columns, row))
		lines = append(lines, list.line)
	}
	p.check(&listed{rows: list, lines: lines})
	if list.errs != nil {
		return nil, errors.Join(list.errs...)
	}
	return p, nil
}

// rows reads one register list and gathers what is wrong with it.
type rows struct {
	file string
	line int
	errs []error
}

func (l *rows) add(column, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%w: %s:%d: %s: %s", faultline.ErrInvalid, l.file, l.line, column, fmt.Sprintf(format, args...)))
}

func (l *rows) heading(head []string) map[string]int {
	l.line = 1
	columns := map[string]int{}
	for i, h := range head {
		h = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		if !slices.Contains(Columns, h) {
			l.add(h, "unknown column; there are: %s", strings.Join(Columns, ", "))
		}
		if _, twice := columns[h]; twice {
			l.add(h, "the column is there twice")
		}
		columns[h] = i
	}
	for _, need := range []string{"name", "address", "type"} {
		if _, has := columns[need]; !has {
			l.add(need, "the column is missing")
		}
	}
	return columns
}

func (l *rows) point(columns map[string]int, row []string) Point {
	cell := func(name string) string {
		if i, has := columns[name]; has {
			return strings.TrimSpace(row[i])
		}
		return ""
	}
	text := func(name string, to interface{ UnmarshalText([]byte) error }) {
		if s := cell(name); s != "" {
			if err := to.UnmarshalText([]byte(s)); err != nil {
				l.add(name, "%s", err)
			}
		}
	}
	whole := func(name string) int {
		s := cell(name)
		if s == "" {
			return 0
		}
		n, err := strconv.ParseInt(s, 0, 32)
		if err != nil {
			l.add(name, "%q is not a whole number", s)
		}
		return int(n)
	}
	number := func(name string) *float64 {
		s := cell(name)
		if s == "" {
			return nil
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			l.add(name, "%q is not a number", s)
			return nil
		}
		return &v
	}
	r := &Register{Table: Holding}
	text("table", &r.Table)
	text("type", &r.Data)
	text("order", &r.Order)
	text("layout", &r.Layout)
	if a := whole("address"); cell("address") == "" || a < 0 || a > 0xFFFF {
		l.add("address", "%q: use 0 to 65535", cell("address"))
	} else {
		r.Address = uint16(a)
	}
	r.Bit, r.Width, r.Length = whole("bit"), whole("width"), whole("length")
	p := Point{Name: cell("name"), Title: cell("title"), Unit: cell("unit"), Register: r, Scale: number("scale")}
	if o := number("offset"); o != nil {
		p.Offset = *o
	}
	if low, high := number("min"), number("max"); low != nil && high != nil {
		p.Range = []float64{*low, *high}
	} else if low != nil || high != nil {
		l.add("min", "give both min and max or neither")
	}
	for _, s := range strings.Fields(cell("not_available")) {
		var n Sentinel
		if err := n.UnmarshalText([]byte(s)); err != nil || !n.whole {
			l.add("not_available", "%q is not a whole number", s)
		}
		p.NotAvailable = append(p.NotAvailable, n)
	}
	if s := cell("trend"); s != "" {
		var err error
		if p.Trend, err = strconv.ParseBool(s); err != nil {
			l.add("trend", "%q: use true or false", s)
		}
	}
	switch {
	case cell("as") != "":
		text("as", &p.Type)
	case r.Data == Bool || r.Data == Bit:
		p.Type = faultline.TypeBool
	case r.Data == Text || r.Data == DateTime:
		p.Type = faultline.TypeString
	default:
		p.Type = faultline.TypeFloat
	}
	return p
}

// listed turns the paths of Profile.check into lines of the list.
type listed struct {
	*rows
	lines []int
}

func (l *listed) Add(path, format string, args ...any) {
	var i int
	column := path
	if n, err := fmt.Sscanf(path, "points[%d]", &i); err == nil && n == 1 && i < len(l.lines) {
		l.line = l.lines[i]
		if _, field, has := strings.Cut(path, "]."); has {
			column = strings.TrimPrefix(field, "register.")
		}
	} else {
		l.line = 1
	}
	l.add(column, format, args...)
}
