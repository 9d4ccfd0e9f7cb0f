package tsdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CountWhere selects what is counted; the zero value selects everything.
type CountWhere struct {
	MadeUp   *bool     // only made-up history, or only what was measured
	From, To time.Time // [From, To); a zero end is open
}

// CountResult is how many values InfluxDB holds: every point's values, without quality marks.
type CountResult struct {
	Values int64
	ByKind map[string]int64 // by asset kind
}

// Count asks InfluxDB how many values it holds, apart from this program's own measurements. It reads
// everything that it counts: for reports, not for pages.
func (c *Client) Count(ctx context.Context, where CountWhere) (CountResult, error) {
	res := CountResult{ByKind: map[string]int64{}}
	kinds, err := c.showFields(ctx, "", "")
	if err != nil {
		return res, fmt.Errorf("count values: %w", err)
	}
	cond := where.condition()
	for kind, fields := range kinds {
		if strings.HasPrefix(kind, Reserved) {
			continue
		}
		var sel []string
		for f := range fields {
			if !strings.HasSuffix(f, QualitySuffix) {
				sel = append(sel, "count("+Ident(f)+")")
			}
		}
		slices.Sort(sel)
		for part := range slices.Chunk(sel, 200) {
			series, err := c.Query(ctx, "SELECT "+strings.Join(part, ",")+" FROM "+Ident(kind)+cond, nil)
			if err != nil {
				return res, fmt.Errorf("count values of %s: %w", kind, err)
			}
			for _, s := range series {
				for _, row := range s.Rows {
					for _, v := range row[1:] {
						n, _ := v.(int64)
						res.ByKind[kind] += n
						res.Values += n
					}
				}
			}
		}
	}
	return res, nil
}

func (w CountWhere) condition() string {
	var parts []string
	if w.MadeUp != nil {
		op := "!="
		if *w.MadeUp {
			op = "="
		}
		parts = append(parts, `"origin" `+op+" "+Literal(Demo))
	}
	if !w.From.IsZero() {
		parts = append(parts, "time >= "+Time(w.From))
	}
	if !w.To.IsZero() {
		parts = append(parts, "time < "+Time(w.To))
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}
