package embedded

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/influxdata/influxdb/models"
	"github.com/influxdata/influxdb/query"
)

// epochs are the units of the parameter epoch.
var epochs = map[string]time.Duration{
	"u": time.Microsecond, "us": time.Microsecond, "µ": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour,
}

// prepare cuts the result to at most limit rows, marking it partial if it had more, turns times into
// numbers if epoch is given, and NaN and infinities, which JSON cannot say, into null. It gives the
// number of rows left.
func prepare(r *query.Result, epoch string, limit int) int {
	unit := epochs[epoch]
	if unit == 0 {
		unit = time.Nanosecond
	}
	rows := 0
	for i, s := range r.Series {
		cut := len(s.Values) > limit-rows
		if cut {
			s.Values, s.Partial, r.Partial = s.Values[:limit-rows], true, true
			r.Series = r.Series[:i+1]
		}
		rows += len(s.Values)
		for _, v := range s.Values {
			for j := range v {
				switch x := v[j].(type) {
				case time.Time:
					if epoch != "" {
						v[j] = x.UnixNano() / int64(unit)
					}
				case float64:
					if math.IsNaN(x) || math.IsInf(x, 0) {
						v[j] = nil
					}
				}
			}
		}
		if cut {
			break
		}
	}
	return rows
}

// merge joins r to the results before it: chunks of one statement, and of one series, become one.
func merge(rs []*query.Result, r *query.Result) []*query.Result {
	if len(rs) == 0 || rs[len(rs)-1].StatementID != r.StatementID {
		return append(rs, r)
	}
	c := rs[len(rs)-1]
	if r.Err != nil {
		rs[len(rs)-1] = r
		return rs
	}
	for len(c.Series) > 0 && len(r.Series) > 0 {
		last := c.Series[len(c.Series)-1]
		if !last.SameSeries(r.Series[0]) {
			break
		}
		last.Values = append(last.Values, r.Series[0].Values...)
		last.Partial = r.Series[0].Partial
		r.Series = r.Series[1:]
	}
	c.Series = append(c.Series, r.Series...)
	c.Messages = append(c.Messages, r.Messages...)
	c.Partial = r.Partial
	return rs
}

// writeCSV writes the results as InfluxDB does: name, tags, then the columns.
func writeCSV(w io.Writer, rs []*query.Result) error {
	c := csv.NewWriter(w)
	for _, r := range rs {
		if r.Err != nil {
			if err := c.WriteAll([][]string{{"error"}, {r.Err.Error()}}); err != nil {
				return err
			}
			continue
		}
		for i, s := range r.Series {
			if i == 0 {
				if err := c.Write(append([]string{"name", "tags"}, s.Columns...)); err != nil {
					return err
				}
			}
			tags := ""
			if len(s.Tags) > 0 {
				if k := models.NewTags(s.Tags).HashKey(); len(k) > 0 {
					tags = string(k[1:])
				}
			}
			for _, v := range s.Values {
				if err := c.Write(record(s.Name, tags, v)); err != nil {
					return err
				}
			}
		}
	}
	c.Flush()
	return c.Error()
}

func record(name, tags string, values []any) []string {
	rec := []string{name, tags}
	for _, x := range values {
		switch x := x.(type) {
		case nil:
			rec = append(rec, "")
		case time.Time:
			rec = append(rec, strconv.FormatInt(x.UnixNano(), 10))
		case float64:
			rec = append(rec, strconv.FormatFloat(x, 'f', -1, 64))
		default:
			rec = append(rec, fmt.Sprint(x))
		}
	}
	return rec
}
