package tsdb

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// HistoryQuery asks for points of one position in [From, To).
type HistoryQuery struct {
	Kind, Site, Position string
	Points               []string
	From, To             time.Time
	MaxRows              int  // rows of the answer for each point; 1000 by default
	Bare                 bool // Min and Max are not wanted: a tier's points are read faster without, and have their Value there
}

// PointHistory is the history of one point, oldest first; all slices have the same length. Where a
// reading was bad, Value, Min and Max are NaN and Quality says why: a gap with its reason. Booleans are
// 0 and 1; strings have no numbers and are NaN.
//
// With Step 0 these are the readings themselves. With a Step, At is the beginning of each step; floats
// have their mean, integers and booleans (counters, words, states) their last value, with minimum and
// maximum; Quality is a gap's reason where the step has no value, or uncertain where its last mark was.
// A mean made from a tier is the mean of its minutes' or hours' means.
type PointHistory struct {
	Point           string
	At              []time.Time
	Value, Min, Max []float64
	Quality         []faultline.Quality
	Step            time.Duration
	Tier            string // the coarsest that was read: Policy (the readings), Minutes or Hours
}

// History gives the readings if there are at most MaxRows and they are still kept, else at most
// MaxRows steps, condensed by the server: from the coarsest tier that is fine enough for the step, and
// that still has the beginning of the span. What is not in the tiers yet (Config.Stale) is made from the
// readings. Every point asked for is in the answer, in order, empty if it has no data.
func (c *Client) History(ctx context.Context, q HistoryQuery) ([]PointHistory, error) {
	if q.MaxRows <= 0 {
		q.MaxRows = 1000
	}
	if q.Kind == "" || q.Site == "" || q.Position == "" || len(q.Points) == 0 || len(q.Points) > 200 || !q.From.Before(q.To) || q.MaxRows < 10 || q.MaxRows > 100_000 {
		return nil, fmt.Errorf("%w: history of %q %s/%s: it needs kind, site, position, 1 to 200 points, a time span, and 10 to 100000 rows", faultline.ErrInvalid, q.Kind, q.Site, q.Position)
	}
	out, err := c.history(ctx, q, time.Now())
	if err != nil {
		return nil, fmt.Errorf("history of %s/%s: %w", q.Site, q.Position, err)
	}
	return out, nil
}

func (c *Client) history(ctx context.Context, q HistoryQuery, now time.Time) ([]PointHistory, error) {
	whole := c.cfg.Retention <= 0 || q.From.After(now.Add(-c.cfg.Retention)) // the readings reach back far enough
	if whole || len(c.cfg.Tiers) == 0 {
		if out, fits, err := c.rawHistory(ctx, q); err != nil || fits {
			return out, err
		}
	}
	step := stepFor(q.To.Sub(q.From), q.MaxRows)
	tier := c.tierFor(step, q.From, whole, now)
	if tier == nil {
		return c.stepHistory(ctx, Policy, step, q)
	}
	step = max(step, tier.Step)
	from, err := c.freshFrom(ctx, q, step, now)
	if err != nil {
		return nil, err
	}
	old, tail := q, q
	old.To, tail.From = from, from
	switch {
	case !from.After(q.From):
		return c.stepHistory(ctx, Policy, step, q)
	case !from.Before(q.To):
		return c.tierHistory(ctx, tier, step, q)
	}
	out, err := c.tierHistory(ctx, tier, step, old)
	if err != nil {
		return nil, err
	}
	rest, err := c.stepHistory(ctx, Policy, step, tail)
	if err != nil {
		return nil, err
	}
	for i := range out {
		o, r := &out[i], &rest[i]
		o.At, o.Quality = append(o.At, r.At...), append(o.Quality, r.Quality...)
		o.Value, o.Min, o.Max = append(o.Value, r.Value...), append(o.Min, r.Min...), append(o.Max, r.Max...)
	}
	return out, nil
}

// tierFor chooses the coarsest tier that is as fine as the step and reaches back far enough; nil is the
// readings. Where they are gone, the finest tier that reaches back will do, and at last the one that
// is kept for longest.
func (c *Client) tierFor(step time.Duration, from time.Time, whole bool, now time.Time) (best *Tier) {
	for i := range c.cfg.Tiers {
		t := &c.cfg.Tiers[i]
		switch {
		case !t.Keeps(from, now) && (whole || i < len(c.cfg.Tiers)-1):
		case t.Step <= step, best == nil && !whole:
			best = t
		}
	}
	return best
}

// freshFrom is where the readings must be asked because the tiers may not have them yet: a step's
// beginning, or To if there is none.
func (c *Client) freshFrom(ctx context.Context, q HistoryQuery, step time.Duration, now time.Time) (time.Time, error) {
	if c.cfg.Stale == nil {
		return q.To, nil
	}
	stale, any, err := c.cfg.Stale(ctx, q.Site, q.From, q.To)
	if err != nil || !any {
		return q.To, err
	}
	if c.cfg.Retention > 0 { // what is older cannot be made any more
		if oldest := now.Add(-c.cfg.Retention); stale.Before(oldest) {
			stale = oldest.Add(step)
		}
	}
	return floor(stale, step), nil
}

// floor is the beginning of the step that t is in, as GROUP BY time has it.
func floor(t time.Time, step time.Duration) time.Time {
	ns := t.UnixNano()
	return time.Unix(0, ns-((ns%int64(step))+int64(step))%int64(step)).UTC()
}

func (c *Client) rawHistory(ctx context.Context, q HistoryQuery) (_ []PointHistory, fits bool, _ error) {
	var sel strings.Builder
	for i, p := range q.Points {
		if i > 0 {
			sel.WriteByte(',')
		}
		fmt.Fprintf(&sel, "%s AS v%d,%s AS q%d", Ident(p), i, Ident(p+QualitySuffix), i)
	}
	series, err := c.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY time LIMIT %d", sel.String(), Ident(q.Kind), where(q), q.MaxRows+1), nil)
	if err != nil {
		return nil, false, err
	}
	out := make([]PointHistory, len(q.Points))
	for i, p := range q.Points {
		out[i].Point, out[i].Tier = p, Policy
	}
	for _, s := range series {
		if len(s.Rows) > q.MaxRows {
			return nil, false, nil
		}
		for _, row := range s.Rows {
			at, _ := row[0].(time.Time)
			for i := range q.Points {
				v, mark := row[1+2*i], row[2+2*i]
				if v == nil && mark == nil {
					continue // another frame's row
				}
				f, ok := toFloat(v)
				if !ok {
					f = math.NaN()
				}
				h := &out[i]
				h.At, h.Value = append(h.At, at), append(h.Value, f)
				h.Quality = append(h.Quality, quality(v != nil, mark))
			}
		}
	}
	for i := range out {
		out[i].Min, out[i].Max = out[i].Value, out[i].Value
	}
	return out, true, nil
}

// stepHistory lets the server condense a retention policy's points to steps.
func (c *Client) stepHistory(ctx context.Context, policy string, step time.Duration, q HistoryQuery) ([]PointHistory, error) {
	types, err := c.fieldTypes(ctx, policy, q.Kind, q.Points)
	if err != nil {
		return nil, err
	}
	low, high := "", ""
	if policy != Policy {
		low, high = minSuffix, maxSuffix
	}
	var sel []string
	for i, p := range q.Points {
		value := "last"
		switch types[p] {
		case "float":
			value = "mean"
			fallthrough
		case "integer", "boolean":
			sel = append(sel, fmt.Sprintf("%s(%s) AS v%d,min(%s) AS n%d,max(%s) AS x%d", value, Ident(p), i, Ident(p+low), i, Ident(p+high), i))
		}
		sel = append(sel, fmt.Sprintf("last(%s) AS q%d", Ident(p+QualitySuffix), i))
	}
	series, err := c.QueryIn(ctx, policy, fmt.Sprintf("SELECT %s FROM %s WHERE %s GROUP BY time(%dms) fill(none)", strings.Join(sel, ","), Ident(q.Kind), where(q), step.Milliseconds()), nil)
	if err != nil {
		return nil, err
	}
	out := make([]PointHistory, len(q.Points))
	for i, p := range q.Points {
		out[i].Point, out[i].Step, out[i].Tier = p, step, policy
	}
	for _, s := range series {
		column := make(map[string]int, len(s.Columns))
		for i, name := range s.Columns {
			column[name] = i
		}
		for _, row := range s.Rows {
			at, _ := row[0].(time.Time)
			get := func(prefix string, i int) any {
				if j, ok := column[fmt.Sprint(prefix, i)]; ok {
					return row[j]
				}
				return nil
			}
			for i := range q.Points {
				v, ok := toFloat(get("v", i))
				mark := get("q", i)
				if !ok && mark == nil {
					continue
				}
				low, high := math.NaN(), math.NaN()
				if ok {
					low, _ = toFloat(get("n", i))
					high, _ = toFloat(get("x", i))
				} else {
					v = math.NaN()
				}
				h := &out[i]
				h.At, h.Value, h.Min, h.Max = append(h.At, at), append(h.Value, v), append(h.Min, low), append(h.Max, high)
				h.Quality = append(h.Quality, quality(ok, mark))
			}
		}
	}
	return out, nil
}

// tierHistory reads a tier: point by point where the steps are its own, which takes a server a fraction of the time.
func (c *Client) tierHistory(ctx context.Context, t *Tier, step time.Duration, q HistoryQuery) ([]PointHistory, error) {
	if step != t.Step {
		return c.stepHistory(ctx, t.Name, step, q)
	}
	types, err := c.fieldTypes(ctx, t.Name, q.Kind, q.Points)
	if err != nil {
		return nil, err
	}
	out, merges := make([]PointHistory, len(q.Points)), make([]merge, len(q.Points))
	var sel []string
	column := func(field string) int {
		sel = append(sel, Ident(field))
		return len(sel) // the time is first
	}
	for i, p := range q.Points {
		out[i].Point, out[i].Step, out[i].Tier = p, step, t.Name
		m := merge{to: &out[i], mean: types[p] == "float", mark: column(p + QualitySuffix)}
		switch types[p] {
		case "float", "integer", "boolean":
			m.value = column(p)
			if m.low, m.high = m.value, m.value; !q.Bare {
				m.low, m.high = column(p+minSuffix), column(p+maxSuffix)
			}
		}
		merges[i] = m
	}
	series, err := c.QueryIn(ctx, t.Name, fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(sel, ","), Ident(q.Kind), where(q)), nil)
	if err != nil {
		return nil, err
	}
	for _, s := range series {
		for _, row := range s.Rows {
			at, _ := row[0].(time.Time)
			at = floor(at, step)
			for i := range merges {
				merges[i].row(at, row)
			}
		}
	}
	return out, nil
}

// merge gathers a point's rows of a tier: a step has several where its gateway changed or late readings came,
// and what stands for them is what a server's GROUP BY time gives.
type merge struct {
	to                     *PointHistory
	mean                   bool // else the last value
	value, low, high, mark int  // columns; 0: none
	n                      int  // values of the last step
	last                   any  // mark of the same
}

func (m *merge) row(at time.Time, row []any) {
	h := m.to
	var v float64
	ok := false
	if m.value > 0 {
		v, ok = toFloat(row[m.value])
	}
	mark := row[m.mark]
	if !ok && mark == nil {
		return // another frame's row
	}
	k := len(h.At) - 1
	if k < 0 || !h.At[k].Equal(at) {
		m.n, m.last, k = 0, nil, k+1
		nan := math.NaN()
		h.At, h.Value, h.Min, h.Max, h.Quality = append(h.At, at), append(h.Value, nan), append(h.Min, nan), append(h.Max, nan), append(h.Quality, "")
	}
	if mark != nil {
		m.last = mark
	}
	if ok {
		m.n++
		low, high := v, v
		if f, ok := toFloat(row[m.low]); ok {
			low = f
		}
		if f, ok := toFloat(row[m.high]); ok {
			high = f
		}
		switch {
		case m.n == 1:
			h.Value[k], h.Min[k], h.Max[k] = v, low, high
		case m.mean:
			v = h.Value[k] + (v-h.Value[k])/float64(m.n)
			fallthrough
		default:
			h.Value[k], h.Min[k], h.Max[k] = v, min(h.Min[k], low), max(h.Max[k], high)
		}
	}
	h.Quality[k] = quality(m.n > 0, m.last)
}

// where selects the position's rows in the time span.
func where(q HistoryQuery) string {
	return fmt.Sprintf(`"site" = %s AND "position" = %s AND time >= %s AND time < %s`, Literal(q.Site), Literal(q.Position), Time(q.From), Time(q.To))
}

// quality of a value with its mark: a mark without a value is the reason of a gap; with a value, only
// an uncertain mark is the value's (in a step, a bad mark was another reading's).
func quality(hasValue bool, mark any) faultline.Quality {
	q, _ := mark.(string)
	switch {
	case !hasValue && q == "":
		return faultline.BadMissing
	case !hasValue || faultline.Quality(q).IsUncertain():
		return faultline.Quality(q)
	}
	return faultline.Good
}

// steps are spans that people read easily.
var steps = []time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
}

// stepFor gives the smallest step that makes at most rows of the span, even if it begins in mid-step.
func stepFor(span time.Duration, rows int) time.Duration {
	need := span/time.Duration(rows-2) + 1
	for _, s := range steps {
		if s >= need {
			return s
		}
	}
	week := steps[len(steps)-1]
	return (need + week - 1) / week * week
}
