package tsdb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

const (
	fieldsOfQuery    = 40      // points condensed by one query
	positionsOfQuery = 20      // and positions
	linesOfWrite     = 5000    // lines of one write to a tier
	bytesOfWrite     = 4 << 20 // and bytes
)

// Condense makes the tiers' points of a site for [from, to), which must be whole hours, from the
// readings that InfluxDB holds, and tells how many it wrote. Condensing again makes the same points from
// the same readings: what a crash leaves is right as far as it goes, and repeating it completes it.
// Readings that have expired cannot be condensed: the caller asks for nothing before Whole.
func (c *Client) Condense(ctx context.Context, site string, from, to time.Time) (points int, err error) {
	if len(c.cfg.Tiers) == 0 {
		return 0, nil
	}
	kinds, err := c.showFields(ctx, "", "")
	if err != nil {
		return 0, fmt.Errorf("condense %s: %w", site, err)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if strings.HasPrefix(kind, Reserved) {
			continue
		}
		positions, err := c.positionsOf(ctx, kind, site)
		if err != nil {
			return points, fmt.Errorf("condense %s: %w", site, err)
		}
		// A query touches as much as twenty positions have in an hour, or fewer in more hours.
		span := time.Duration(max(1, positionsOfQuery/max(1, len(positions)))) * time.Hour
		for group := range slices.Chunk(positions, positionsOfQuery) {
			for at := from; at.Before(to); at = at.Add(span) {
				end := at.Add(span)
				if end.After(to) {
					end = to
				}
				n, err := c.condense(ctx, kind, kinds[kind], site, group, at, end)
				points += n
				if err != nil {
					return points, fmt.Errorf("condense %s of %s: %w", kind, site, err)
				}
			}
		}
	}
	return points, nil
}

// positionsOf lists the positions of a kind at a site that ever had readings.
func (c *Client) positionsOf(ctx context.Context, kind, site string) ([]string, error) {
	series, err := c.Query(ctx, fmt.Sprintf(`SHOW TAG VALUES FROM %s WITH KEY = "position" WHERE "site" = %s`, Ident(kind), Literal(site)), nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range series {
		for _, row := range s.Rows {
			if name, ok := row[len(row)-1].(string); ok && name != "" {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// condense does one kind's positions in a time that one query can bear.
func (c *Client) condense(ctx context.Context, kind string, types map[string]string, site string, positions []string, from, to time.Time) (points int, err error) {
	names := map[string]bool{} // points, also those that only have marks
	for f := range types {
		if f = strings.TrimSuffix(f, QualitySuffix); isPoint(f) {
			names[f] = true
		}
	}
	which := make([]string, len(positions))
	for i, p := range positions {
		which[i] = `"position" = ` + Literal(p)
	}
	cond := fmt.Sprintf(`"site" = %s AND (%s) AND time >= %s AND time < %s`, Literal(site), strings.Join(which, " OR "), Time(from), Time(to))
	finest := c.cfg.Tiers[0]
	for part := range slices.Chunk(slices.Sorted(maps.Keys(names)), fieldsOfQuery) {
		q := condenser{kind: kind, points: part, types: types}
		for _, t := range c.cfg.Tiers {
			q.tiers = append(q.tiers, &rollup{step: t.Step, sums: make([]sum, len(part)), w: &tierWriter{c: c, ctx: ctx, policy: t.Name}})
		}
		text := fmt.Sprintf("SELECT %s FROM %s WHERE %s GROUP BY time(%dms), * fill(none)", q.selection(), Ident(kind), cond, finest.Step.Milliseconds())
		err := c.stream(ctx, "", text, q.series)
		if err == nil {
			err = q.flush()
		}
		for _, t := range q.tiers {
			points += t.w.written
		}
		if err != nil {
			return points, err
		}
	}
	return points, nil
}

// condenser makes a query for the finest tier's steps, and lines of its answer for all tiers.
type condenser struct {
	kind   string
	points []string
	types  map[string]string // by field
	tiers  []*rollup         // the finest first
	head   string            // measurement and tags of the series that is being read
	row    []sum             // of one step
}

// rollup gathers a tier's current step.
type rollup struct {
	step time.Duration
	at   time.Time
	head string
	any  bool
	sums []sum // by point
	w    *tierWriter
}

// sum is what a step knows of a point.
type sum struct {
	n              int64
	mean           float64
	min, max, last any
	mark           string
}

// selection asks for what a sum holds.
func (q *condenser) selection() string {
	var sel []string
	for i, p := range q.points {
		calls := map[string][]string{
			"float": {"count", "last", "mean", "min", "max"}, "integer": {"count", "last", "mean", "min", "max"},
			"boolean": {"count", "last", "min", "max"}, "string": {"count", "last"},
		}[q.types[p]]
		for _, call := range calls {
			sel = append(sel, fmt.Sprintf("%s(%s) AS %s%d", call, Ident(p), call, i))
		}
		if _, marked := q.types[p+QualitySuffix]; marked {
			sel = append(sel, fmt.Sprintf("last(%s) AS mark%d", Ident(p+QualitySuffix), i))
		}
	}
	return strings.Join(sel, ",")
}

// series takes rows of one series, oldest first; a series may come in several pieces.
func (q *condenser) series(s Series) error {
	q.head = string(appendHead(nil, q.kind, s.Tags))
	column := make(map[string]int, len(s.Columns))
	for i, name := range s.Columns {
		column[name] = i
	}
	if q.row == nil {
		q.row = make([]sum, len(q.points))
	}
	for _, row := range s.Rows {
		at, ok := row[0].(time.Time)
		if !ok {
			return fmt.Errorf("a row without a time: %v", row[0])
		}
		cell := func(name string, i int) any {
			if n, there := column[name+strconv.Itoa(i)]; there {
				return row[n]
			}
			return nil
		}
		for i := range q.points {
			v := sum{last: cell("last", i), min: cell("min", i), max: cell("max", i)}
			v.mark, _ = cell("mark", i).(string)
			if v.last != nil {
				v.n, _ = cell("count", i).(int64)
				v.mean, _ = toFloat(cell("mean", i))
			}
			q.row[i] = v
		}
		for _, t := range q.tiers {
			if err := t.add(q, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// add puts the row into the tier's step, and writes the step before if this is another.
func (t *rollup) add(q *condenser, at time.Time) error {
	at = floor(at, t.step)
	if t.head != q.head || !t.at.Equal(at) {
		if err := t.flush(q); err != nil {
			return err
		}
		t.head, t.at = q.head, at
	}
	for i := range q.row {
		t.sums[i].add(&q.row[i], q.types[q.points[i]])
	}
	t.any = true
	return nil
}

func (s *sum) add(o *sum, typ string) {
	if o.mark != "" {
		s.mark = o.mark
	}
	if o.last == nil {
		return
	}
	if s.last == nil {
		mark := s.mark
		*s, s.mark = *o, mark
		return
	}
	s.last = o.last
	if less(o.min, s.min, typ) {
		s.min = o.min
	}
	if less(s.max, o.max, typ) {
		s.max = o.max
	}
	s.mean += (o.mean - s.mean) * float64(o.n) / float64(max(s.n+o.n, 1))
	s.n += o.n
}

// less compares integers exactly, which floats cannot above 2^53.
func less(a, b any, typ string) bool {
	if typ == "integer" {
		x, isX := a.(int64)
		y, isY := b.(int64)
		if isX && isY {
			return x < y
		}
	}
	x, isX := toFloat(a)
	y, isY := toFloat(b)
	return isX && isY && x < y
}

// flush writes the step that was gathered, and begins anew.
func (t *rollup) flush(q *condenser) error {
	if !t.any {
		return nil
	}
	t.any = false
	line := append(t.w.line[:0], t.head...)
	sep := byte(' ')
	for i, p := range q.points {
		s := &t.sums[i]
		typ := q.types[p]
		if s.last != nil {
			for _, k := range keptOf(typ) {
				line = append(append(append(append(line, sep), p...), k.suffix...), '=')
				line = appendTyped(line, k.typ, s.of(k.call))
				sep = ','
			}
		}
		// With a value, a bad mark was another reading's.
		if s.mark != "" && (s.last == nil || faultline.Quality(s.mark).IsUncertain()) {
			line = append(append(append(append(line, sep), p...), QualitySuffix...), '=')
			line = appendTyped(line, "string", s.mark)
			sep = ','
		}
		*s = sum{}
	}
	t.w.line = line
	if sep == ' ' {
		return nil
	}
	return t.w.add(strconv.AppendInt(append(line, ' '), t.at.UnixNano(), 10))
}

// of gives the result of a call.
func (s *sum) of(call string) any {
	switch call {
	case "mean":
		return s.mean
	case "min":
		return s.min
	case "max":
		return s.max
	case "count":
		return s.n
	}
	return s.last
}

// flush writes what is left of all tiers.
func (q *condenser) flush() error {
	for _, t := range q.tiers {
		if err := t.flush(q); err != nil {
			return err
		}
		if err := t.w.flush(); err != nil {
			return fmt.Errorf("tier of %v: %w", t.step, err)
		}
	}
	return nil
}

// tierWriter gathers lines for a tier.
type tierWriter struct {
	c       *Client
	ctx     context.Context // of the one Condense that it lives in
	policy  string
	buf     []byte
	line    []byte // the last, to be used again
	n       int
	written int
}

func (w *tierWriter) add(line []byte) error {
	w.buf = append(append(w.buf, line...), '\n')
	if w.n++; w.n < linesOfWrite && len(w.buf) < bytesOfWrite {
		return nil
	}
	return w.flush()
}

// flush writes what was gathered. What a tier refuses for being older than it keeps is no error.
func (w *tierWriter) flush() error {
	if w.n == 0 {
		return nil
	}
	err := w.c.WriteIn(w.ctx, w.policy, w.buf[:len(w.buf)-1])
	if err != nil && !IsExpired(err) {
		return err
	}
	w.written += w.n
	w.buf, w.n = w.buf[:0], 0
	return nil
}
