package tsdb

import (
	"context"
	"fmt"
	"time"
)

// MadeUpUntil is the time of the newest made-up row of a position; the zero time if it has none. It
// is cheap then: the server finds no series of that tag and reads nothing.
func (c *Client) MadeUpUntil(ctx context.Context, kind, site, position string) (time.Time, error) {
	series, err := c.Query(ctx, fmt.Sprintf(`SELECT * FROM %s WHERE "site" = %s AND "position" = %s AND "origin" = %s ORDER BY time DESC LIMIT 1`,
		Ident(kind), Literal(site), Literal(position), Literal(Demo)), nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("made-up history of %s/%s: %w", site, position, err)
	}
	if len(series) == 0 || len(series[0].Rows) == 0 {
		return time.Time{}, nil
	}
	at, _ := series[0].Rows[0][0].(time.Time)
	return at, nil
}
