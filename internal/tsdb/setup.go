package tsdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Setup makes the database and its retention policy if they are not there, and changes the policy if
// it keeps for another time than configured. It may be called again. On 2.x and 3, where buckets and
// their retention are the administrator's, it only makes sure that the database can be asked.
func (c *Client) Setup(ctx context.Context) error {
	if err := c.setup(ctx); err != nil {
		return fmt.Errorf("set up database %q: %w", c.cfg.Database, err)
	}
	c.made.Store(true)
	return nil
}

func (c *Client) setup(ctx context.Context) error {
	version, err := c.version(ctx)
	if err != nil {
		return err
	}
	db, rp := Ident(c.cfg.Database), Ident(Policy)
	policies, err := c.Query(ctx, "SHOW RETENTION POLICIES ON "+db, nil)
	if !strings.HasPrefix(version, "1.") {
		if err == nil && len(policies) == 0 {
			err = errors.New("no such bucket, or no mapping of a database of its name to it: make both first")
		}
		return err
	}
	terms := fmt.Sprintf("DURATION %s REPLICATION 1 SHARD DURATION %s", duration(c.cfg.Retention), duration(shard(c.cfg.Retention)))
	var refused *Error
	switch {
	case errors.As(err, &refused) && strings.Contains(refused.Message, "database not found"):
		_, err := c.Query(ctx, fmt.Sprintf("CREATE DATABASE %s WITH %s NAME %s", db, terms, rp), nil)
		return err
	case err != nil:
		return err
	}
	for _, s := range policies {
		for _, row := range s.Rows {
			p := rowMap(s.Columns, row)
			if p["name"] != Policy {
				continue
			}
			text, _ := p["duration"].(string)
			kept, err := time.ParseDuration(text)
			if err == nil && kept == c.cfg.Retention && p["default"] == true {
				return nil
			}
			_, err = c.Query(ctx, fmt.Sprintf("ALTER RETENTION POLICY %s ON %s %s DEFAULT", rp, db, terms), nil)
			return err
		}
	}
	_, err = c.Query(ctx, fmt.Sprintf("CREATE RETENTION POLICY %s ON %s %s DEFAULT", rp, db, terms), nil)
	return err
}

// version of the server, such as "1.8.10" or "2.7.12".
func (c *Client) version(ctx context.Context) (string, error) {
	resp, err := c.do(ctx, "ping", http.MethodGet, "ping", nil)
	if err != nil {
		return "", err
	}
	defer drain(resp)
	return strings.TrimPrefix(resp.Header.Get("X-Influxdb-Version"), "v"), nil
}

// shard chooses how much time one shard holds: expired data goes by whole shards, and each open shard
// costs memory and files.
func shard(retention time.Duration) time.Duration {
	const day = 24 * time.Hour
	switch {
	case retention == 0 || retention >= 28*day:
		return 7 * day
	case retention >= 2*day:
		return day
	}
	return time.Hour
}

func duration(d time.Duration) string {
	if d == 0 {
		return "INF"
	}
	return fmt.Sprintf("%ds", int64(d/time.Second))
}

func rowMap(columns []string, row []any) map[string]any {
	m := make(map[string]any, len(columns))
	for i, c := range columns {
		m[c] = row[i]
	}
	return m
}
