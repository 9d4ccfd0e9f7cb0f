package tsdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Setup makes the database and its retention policies if they are not there, and changes a policy if
// it keeps for another time than configured. It may be called again. On 2.x, where buckets are the
// administrator's, it makes sure that readings and tiers can be asked for, and makes the tiers' buckets
// if the token allows that. 3 makes a database at the first write.
func (c *Client) Setup(ctx context.Context) error {
	if err := c.setup(ctx); err != nil {
		return fmt.Errorf("set up database %q: %w", c.cfg.Database, err)
	}
	c.made.Store(true)
	return nil
}

// policy is a retention policy as it is to be.
type policy struct {
	name      string
	retention time.Duration
	shard     time.Duration
	main      bool // the default one
}

func (c *Client) policies() []policy {
	out := []policy{{Policy, c.cfg.Retention, shard(c.cfg.Retention), true}}
	for _, t := range c.cfg.Tiers {
		out = append(out, policy{t.Name, t.Retention, tierShard(t), false})
	}
	return out
}

func (p *policy) terms() string {
	return fmt.Sprintf("DURATION %s REPLICATION 1 SHARD DURATION %s", duration(p.retention), duration(p.shard))
}

func (c *Client) setup(ctx context.Context) error {
	version, err := c.version(ctx)
	if err != nil {
		return err
	}
	db := Ident(c.cfg.Database)
	answer, err := c.Query(ctx, "SHOW RETENTION POLICIES ON "+db, nil)
	if !strings.HasPrefix(version, "1.") {
		if err == nil && len(answer) == 0 {
			err = errors.New("no such bucket, or no mapping of a database of its name to it: make both first")
		}
		if err == nil && strings.HasPrefix(version, "2.") {
			err = c.setupBuckets(ctx, known(answer))
		}
		return err
	}
	wanted := c.policies()
	var refused *Error
	if errors.As(err, &refused) && strings.Contains(refused.Message, "database not found") {
		_, err = c.Query(ctx, fmt.Sprintf("CREATE DATABASE %s WITH %s NAME %s", db, wanted[0].terms(), Ident(wanted[0].name)), nil)
		wanted = wanted[1:]
	}
	if err != nil {
		return err
	}
	have := known(answer)
	for _, p := range wanted {
		verb := "CREATE"
		if row, is := have[p.name]; is {
			text, _ := row["duration"].(string)
			kept, err := time.ParseDuration(text)
			if err == nil && kept == p.retention && (row["default"] == true || !p.main) {
				continue
			}
			verb = "ALTER"
		}
		text := fmt.Sprintf("%s RETENTION POLICY %s ON %s %s", verb, Ident(p.name), db, p.terms())
		if p.main {
			text += " DEFAULT"
		}
		if _, err := c.Query(ctx, text, nil); err != nil {
			return err
		}
	}
	return nil
}

// known gives the rows of an answer to SHOW RETENTION POLICIES by name.
func known(answer []Series) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, s := range answer {
		for _, row := range s.Rows {
			m := rowMap(s.Columns, row)
			if name, ok := m["name"].(string); ok {
				out[name] = m
			}
		}
	}
	return out
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

// tierShard keeps the number of a tier's shards small: its points are few.
func tierShard(t Tier) time.Duration {
	const day = 24 * time.Hour
	d := 28 * day
	if t.Step >= time.Hour {
		d = 182 * day
	}
	for t.Retention > 0 && d > max(t.Retention/4, time.Hour) {
		d /= 2
	}
	return max(d.Truncate(time.Hour), time.Hour)
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
