package tsdb

import (
	"context"
	"fmt"
	"time"
)

// Times gives the times, in nanoseconds, at which InfluxDB has readings of a position in [from, to);
// made-up history is left out.
func (c *Client) Times(ctx context.Context, kind, site, position string, from, to time.Time) (map[int64]bool, error) {
	times := map[int64]bool{}
	cond := where(HistoryQuery{Site: site, Position: position, From: from, To: to})
	err := c.stream(ctx, "", fmt.Sprintf(`SELECT * FROM %s WHERE %s AND "origin" != %s`, Ident(kind), cond, Literal(Demo)), func(s Series) error {
		for _, row := range s.Rows {
			if at, ok := row[0].(time.Time); ok {
				times[at.UnixNano()] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("times of %s/%s: %w", site, position, err)
	}
	return times, nil
}
