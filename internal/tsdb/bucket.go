package tsdb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// setupBuckets makes the buckets "database/tier" of a 2.x server that are not mapped yet. Such a
// name maps itself: the server takes what is before the slash for the database, the rest for its
// retention policy. An administrator may as well map any other bucket to database and tier.
func (c *Client) setupBuckets(ctx context.Context, have map[string]map[string]any) error {
	for _, t := range c.cfg.Tiers {
		if _, mapped := have[t.Name]; mapped {
			continue
		}
		if err := c.makeBucket(ctx, t); err != nil {
			bucket := c.policyBucket(t.Name)
			return fmt.Errorf("there is no bucket %q for the tier of %v, and it cannot be made: make it (influx bucket create -n %s -r %s), or map another bucket to database %q, retention policy %q: %w",
				bucket, t.Step, bucket, duration(t.Retention), c.cfg.Database, t.Name, err)
		}
	}
	return nil
}

func (c *Client) makeBucket(ctx context.Context, t Tier) error {
	var orgs struct {
		Orgs []struct {
			ID string `json:"id"`
		} `json:"orgs"`
	}
	q := url.Values{}
	if c.cfg.Org != "" {
		q.Set("org", c.cfg.Org)
	}
	if err := c.rest(ctx, http.MethodGet, "api/v2/orgs", q, nil, &orgs); err != nil {
		return err
	}
	if len(orgs.Orgs) != 1 {
		return fmt.Errorf("the token sees %d organizations, not one: set influx.org", len(orgs.Orgs))
	}
	rules := []map[string]any{}
	if t.Retention > 0 {
		rules = append(rules, map[string]any{"type": "expire", "everySeconds": int64(t.Retention / time.Second)})
	}
	return c.rest(ctx, http.MethodPost, "api/v2/buckets", nil, map[string]any{"orgID": orgs.Orgs[0].ID, "name": c.policyBucket(t.Name), "retentionRules": rules}, nil)
}

// rest speaks JSON with 2.x's own interface.
func (c *Client) rest(ctx context.Context, method, path string, q url.Values, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	u := c.base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Token "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &Error{Op: "setup", err: cause(ctx, err)}
	}
	defer drain(resp)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &Error{Op: "setup", Status: resp.StatusCode, Message: message(resp)}
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return &Error{Op: "setup", err: fmt.Errorf("read the answer: %w", err)}
	}
	return nil
}
