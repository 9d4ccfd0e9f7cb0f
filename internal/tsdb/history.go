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
	MaxRows              int // rows of the answer for each point; 1000 by default
}

// PointHistory is the history of one point, oldest first; all slices have the same length. Where a
// reading was bad, Value, Min and Max are NaN and Quality says why: a gap with its reason. Booleans are
// 0 and 1; strings have no numbers and are NaN.
//
// With Step 0 these are the readings themselves. With a Step, At is the beginning of each step; floats
// have their mean, integers and booleans (counters, words, states) their last value, with minimum and
// maximum; Quality is a gap's reason where the step has no value, or uncertain where its last mark was.
type PointHistory struct {
	Point           string
	At              []time.Time
	Value, Min, Max []float64
	Quality         []faultline.Quality
	Step            time.Duration
}

// History gives the readings if there are at most MaxRows, else the server condenses them to at most
// MaxRows steps. Every point asked for is in the answer, in order, empty if it has no data.
func (c *Client) History(ctx context.Context, q HistoryQuery) ([]PointHistory, error) {
	if q.MaxRows <= 0 {
		q.MaxRows = 1000
	}
	if q.Kind == "" || q.Site == "" || q.Position == "" || len(q.Points) == 0 || len(q.Points) > 200 || !q.From.Before(q.To) || q.MaxRows < 10 || q.MaxRows > 100_000 {
		return nil, fmt.Errorf("%w: history of %q %s/%s: it needs kind, site, position, 1 to 200 points, a time span, and 10 to 100000 rows", faultline.ErrInvalid, q.Kind, q.Site, q.Position)
	}
	out, fits, err := c.rawHistory(ctx, q)
	if err == nil && !fits {
		out, err = c.stepHistory(ctx, q)
	}
	if err != nil {
		return nil, fmt.Errorf("history of %s/%s: %w", q.Site, q.Position, err)
	}
	return out, nil
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
		out[i].Point = p
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

func (c *Client) stepHistory(ctx context.Context, q HistoryQuery) ([]PointHistory, error) {
	types, err := c.fieldTypes(ctx, q.Kind, q.Points)
	if err != nil {
		return nil, err
	}
	step := stepFor(q.To.Sub(q.From), q.MaxRows)
	var sel []string
	for i, p := range q.Points {
		id := Ident(p)
		value := "last"
		switch types[p] {
		case "float":
			value = "mean"
			fallthrough
		case "integer", "boolean":
			sel = append(sel, fmt.Sprintf("%s(%s) AS v%d,min(%s) AS n%d,max(%s) AS x%d", value, id, i, id, i, id, i))
		}
		sel = append(sel, fmt.Sprintf("last(%s) AS q%d", Ident(p+QualitySuffix), i))
	}
	series, err := c.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s GROUP BY time(%dms) fill(none)", strings.Join(sel, ","), Ident(q.Kind), where(q), step.Milliseconds()), nil)
	if err != nil {
		return nil, err
	}
	out := make([]PointHistory, len(q.Points))
	for i, p := range q.Points {
		out[i].Point, out[i].Step = p, step
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
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
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
