package backtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// CSV is history from a table: a column of times, then one column a point, with the points' names in
// the first line. Times are RFC 3339, "2006-01-02 15:04:05" (UTC), or Unix seconds or milliseconds.
// An empty cell is no reading; bad:timeout is a bad one with its reason; what is no number is
// bad:decode. Cells are divided by commas, or by semicolons (decimal comma then) or tabs.
type CSV struct {
	file     string
	in       *bufio.Reader
	position faultline.Position
	columns  []*faultline.Point
	comma    byte
	line     int

	day   [10]byte // the last date that was understood, and
	since int64    // its beginning in Unix seconds
	float float64  // factor of numeric times; 0: not known yet
	read  int64
	wrong int64
}

// longestLine bounds a line of a table in bytes.
const longestLine = 1 << 20

// NewCSV reads the head of a table of a position's points. Columns that are no point of the position
// are an error, so that a typing mistake is not taken for silence. A position without points gets
// those of the head, as floats without a unit.
func NewCSV(file string, r io.Reader, position *faultline.Position) (*CSV, error) {
	c := &CSV{file: file, in: bufio.NewReaderSize(r, longestLine)}
	head, err := c.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: %s is empty: the first line names the points, such as time,vibration_de", faultline.ErrInvalid, file)
		}
		return nil, err
	}
	text := strings.TrimPrefix(string(head), "\ufeff")
	c.comma = ','
	for _, other := range []byte{';', '\t'} {
		if strings.IndexByte(text, ',') < 0 && strings.IndexByte(text, other) >= 0 {
			c.comma = other
		}
	}
	names := strings.Split(text, string(c.comma))
	if len(names) < 2 || len(names) > 1000 {
		return nil, fmt.Errorf("%w: %s:1: write time and then the points' names, such as time,vibration_de", faultline.ErrInvalid, file)
	}
	guess := len(position.Points) == 0
	for i, name := range names[1:] {
		name = strings.Trim(strings.TrimSpace(name), `"`)
		if guess {
			if err := faultline.CheckPoint(name); err != nil {
				return nil, fmt.Errorf("%s:1: column %d: %w", file, i+2, err)
			}
			position.Points = append(position.Points, faultline.Point{Name: name, Type: faultline.TypeFloat})
		}
		names[i+1] = name
	}
	c.position = *position
	for i, name := range names[1:] {
		p := point(&c.position, name)
		if p == nil {
			return nil, fmt.Errorf("%w: %s:1: column %d: %s has no point %q", faultline.ErrInvalid, file, i+2, position.ID, name)
		}
		c.columns = append(c.columns, p)
	}
	return c, nil
}

// point of a position by name, or nil.
func point(p *faultline.Position, name string) *faultline.Point {
	for i := range p.Points {
		if p.Points[i].Name == name {
			return &p.Points[i]
		}
	}
	return nil
}

// next gives the next line that is not empty, without its end. It holds until the next call.
func (c *CSV) next() ([]byte, error) {
	for {
		line, err := c.in.ReadSlice('\n')
		c.line++
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("%w: %s:%d: the line is longer than %d bytes", faultline.ErrInvalid, c.file, c.line, longestLine)
		}
		c.read += int64(len(line))
		if trimmed := bytes.TrimRight(line, "\r\n"); len(trimmed) > 0 {
			return trimmed, nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read %s: %w", c.file, err)
		}
	}
}

// Read is how many bytes of the table were read so far.
func (c *CSV) Read() int64 { return c.read }

// Step is 0: the table holds readings.
func (c *CSV) Step() time.Duration { return 0 }

// Used says what was read.
func (c *CSV) Used() string {
	text := fmt.Sprintf("%s, %d lines", c.file, c.line-1)
	if c.wrong > 0 {
		text += fmt.Sprintf("; %d cells were no value of their point and count as bad readings", c.wrong)
	}
	return text
}

// Frames implements Source.
func (c *CSV) Frames(ctx context.Context, from, to time.Time, show func(*faultline.Frame) error) error {
	p := &c.position
	f := faultline.Frame{Kind: p.Kind, Site: p.Site, Position: p.ID, Gateway: p.Gateway}
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		cell, rest := c.cut(line)
		if f.Time, err = c.time(cell); err != nil {
			return fmt.Errorf("%w: %s:%d: %w", faultline.ErrInvalid, c.file, c.line, err)
		}
		if !from.IsZero() && f.Time.Before(from) || !to.IsZero() && !f.Time.Before(to) {
			continue
		}
		f.Samples = f.Samples[:0]
		for i := 0; rest != nil && i < len(c.columns); i++ {
			cell, rest = c.cut(rest)
			if len(cell) > 0 {
				f.Samples = append(f.Samples, c.sample(c.columns[i], cell))
			}
		}
		if rest != nil {
			return fmt.Errorf("%w: %s:%d: more cells than the first line has names", faultline.ErrInvalid, c.file, c.line)
		}
		if len(f.Samples) == 0 {
			continue
		}
		if err := show(&f); err != nil {
			return err
		}
	}
}

// cut takes a cell off a line; rest is nil after the last.
func (c *CSV) cut(line []byte) (cell, rest []byte) {
	if i := bytes.IndexByte(line, c.comma); i >= 0 {
		cell, rest = line[:i], line[i+1:]
	} else {
		cell = line
	}
	cell = bytes.TrimSpace(cell)
	if len(cell) >= 2 && cell[0] == '"' && cell[len(cell)-1] == '"' {
		cell = cell[1 : len(cell)-1]
	}
	return cell, rest
}

func (c *CSV) sample(p *faultline.Point, cell []byte) faultline.Sample {
	s := faultline.Sample{Point: p.Name, Quality: faultline.Good}
	switch p.Type {
	case faultline.TypeFloat, faultline.TypeInt:
		if c.comma == ';' {
			if i := bytes.IndexByte(cell, ','); i >= 0 {
				cell[i] = '.'
			}
		}
		v, err := strconv.ParseFloat(string(cell), 64)
		switch {
		case err != nil || math.IsNaN(v):
		case p.Type == faultline.TypeFloat:
			s.Value = faultline.Float(v)
		case math.Abs(v) < 1<<62:
			s.Value = faultline.Int(int64(v))
		}
	case faultline.TypeBool:
		switch string(cell) {
		case "true", "1":
			s.Value = faultline.Bool(true)
		case "false", "0":
			s.Value = faultline.Bool(false)
		}
	default:
		s.Value = faultline.String(string(cell))
	}
	if q := faultline.Quality(cell); bytes.HasPrefix(cell, []byte("bad:")) && q.Check() == nil {
		s.Quality, s.Value = q, faultline.Value{}
	} else if s.Value.Type() == faultline.NoType {
		s.Quality = faultline.BadDecode
		c.wrong++
	}
	return s
}

// time of a cell. Dates are kept from line to line: in a year of seconds they hardly ever change.
func (c *CSV) time(cell []byte) (time.Time, error) {
	if len(cell) >= 19 && (cell[10] == 'T' || cell[10] == ' ') && cell[13] == ':' && cell[16] == ':' {
		if t, ok := c.moment(cell); ok {
			return t, nil
		}
	}
	text := string(cell)
	if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) && math.Abs(v) < 1e16 {
		if c.float == 0 {
			if c.float = 1; math.Abs(v) > 1e11 { // seconds would lie beyond the year 5000
				c.float = 1e-3
			}
		}
		seconds, part := math.Modf(v * c.float)
		return time.Unix(int64(seconds), int64(math.Round(part*1e6))*1000).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time: write 2026-03-01T08:00:00Z or Unix seconds", text)
}

// moment reads "2026-03-01T08:00:00[.5][Z]".
func (c *CSV) moment(cell []byte) (time.Time, bool) {
	if !bytes.Equal(cell[:10], c.day[:]) {
		day, err := time.Parse("2006-01-02", string(cell[:10]))
		if err != nil {
			return time.Time{}, false
		}
		copy(c.day[:], cell)
		c.since = day.Unix()
	}
	two := func(i int) int64 {
		a, b := cell[i]-'0', cell[i+1]-'0'
		if a > 9 || b > 9 {
			return 99
		}
		return int64(a)*10 + int64(b)
	}
	h, m, s := two(11), two(14), two(17)
	if h > 23 || m > 59 || s > 59 {
		return time.Time{}, false
	}
	nanos, i := int64(0), 19
	if i < len(cell) && cell[i] == '.' {
		unit := int64(100_000_000)
		for i++; i < len(cell) && cell[i] >= '0' && cell[i] <= '9'; i++ {
			nanos += int64(cell[i]-'0') * unit
			unit /= 10
		}
	}
	if rest := cell[i:]; len(rest) > 1 || len(rest) == 1 && rest[0] != 'Z' {
		return time.Time{}, false
	}
	return time.Unix(c.since+h*3600+m*60+s, nanos).UTC(), true
}
