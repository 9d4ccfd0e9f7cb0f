package tsdb

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Uncondensed tells the time of a site's readings that are older than its oldest point of one hour:
// [from, to), of whole hours; the zero times if there are none. It is how a database that had no tiers
// gets them.
func (c *Client) Uncondensed(ctx context.Context, site string, now time.Time) (from, to time.Time, err error) {
	if len(c.cfg.Tiers) == 0 {
		return from, to, nil
	}
	raw, err := c.oldest(ctx, "", site)
	if err != nil {
		return from, to, fmt.Errorf("oldest reading of %s: %w", site, err)
	}
	if raw.IsZero() {
		return from, to, nil
	}
	have, err := c.oldest(ctx, c.cfg.Tiers[len(c.cfg.Tiers)-1].Name, site)
	if err != nil {
		return from, to, fmt.Errorf("oldest hour of %s: %w", site, err)
	}
	if have.IsZero() {
		have = now
	}
	from, to = raw.Truncate(time.Hour), have.Truncate(time.Hour)
	if whole := c.Whole(now); from.Before(whole) {
		from = whole.Truncate(time.Hour).Add(time.Hour)
	}
	if !from.Before(to) {
		return time.Time{}, time.Time{}, nil
	}
	return from, to, nil
}

// oldest is the time of a site's oldest point; single late readings and the program's own measurements
// do not count.
func (c *Client) oldest(ctx context.Context, policy, site string) (oldest time.Time, err error) {
	kinds, err := c.showFields(ctx, policy, "")
	if err != nil {
		return oldest, err
	}
	for kind := range kinds {
		if strings.HasPrefix(kind, Reserved) {
			continue
		}
		series, err := c.QueryIn(ctx, policy, fmt.Sprintf(`SELECT * FROM %s WHERE "site" = %s AND "origin" != %s ORDER BY time LIMIT 1`, Ident(kind), Literal(site), Literal(Late)), nil)
		if err != nil {
			return oldest, err
		}
		for _, s := range series {
			if at, ok := s.Rows[0][0].(time.Time); ok && (oldest.IsZero() || at.Before(oldest)) {
				oldest = at
			}
		}
	}
	return oldest, nil
}
