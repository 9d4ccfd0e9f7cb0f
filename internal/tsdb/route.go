package tsdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// Router is the clients of several databases: the data of a site are in one of them. It writes and asks each site's data where they
// are; whatever is not about a site is asked of the main one, which is the embedded Client.
type Router struct {
	*Client
	sites map[string]*Client
}

// NewRouter makes a router; a site without a client of its own is the main one's.
func NewRouter(main *Client, sites map[string]*Client) *Router { return &Router{main, sites} }

// For gives the client of a site.
func (r *Router) For(site string) *Client {
	if c := r.sites[site]; c != nil {
		return c
	}
	return r.Client
}

// Write stores lines as Client.Write does, each in the database of its site.
func (r *Router) Write(ctx context.Context, lines []byte) error { return r.WriteIn(ctx, "", lines) }

// WriteIn stores lines as Client.WriteIn does, each in the database of its site. Where one database fails, the others have
// theirs all the same. What is to be tried again goes before what is refused for good.
func (r *Router) WriteIn(ctx context.Context, policy string, lines []byte) error {
	if len(r.sites) == 0 {
		return r.Client.WriteIn(ctx, policy, lines)
	}
	of := map[*Client][]byte{}
	var order []*Client
	for line := range bytes.Lines(lines) {
		c := r.For(siteOf(line))
		if _, is := of[c]; !is {
			order = append(order, c)
		}
		of[c] = append(of[c], line...)
	}
	var failed, refused error
	for _, c := range order {
		err := c.WriteIn(ctx, policy, bytes.TrimSuffix(of[c], []byte("\n")))
		switch {
		case err == nil:
		case IsPermanent(err):
			refused = errors.Join(refused, err)
		default:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", c.base.Host, err))
		}
	}
	if failed != nil {
		return failed
	}
	return refused
}

// siteOf gives the tag site of a line, whose names need no escapes; "" if it has none.
func siteOf(line []byte) string {
	tags, _, _ := bytes.Cut(line, []byte(" "))
	_, after, found := bytes.Cut(tags, []byte(",site="))
	if !found {
		return ""
	}
	site, _, _ := bytes.Cut(after, []byte(","))
	return string(site)
}

// History asks the site's database; see Client.History.
func (r *Router) History(ctx context.Context, q HistoryQuery) ([]PointHistory, error) {
	return r.For(q.Site).History(ctx, q)
}

// Latest asks the site's database; see Client.Latest.
func (r *Router) Latest(ctx context.Context, kind, site, position string) (faultline.Frame, error) {
	return r.For(site).Latest(ctx, kind, site, position)
}

// MadeUpUntil asks the site's database; see Client.MadeUpUntil.
func (r *Router) MadeUpUntil(ctx context.Context, kind, site, position string) (time.Time, error) {
	return r.For(site).MadeUpUntil(ctx, kind, site, position)
}

// Times asks the site's database; see Client.Times.
func (r *Router) Times(ctx context.Context, kind, site, position string, from, to time.Time) (map[int64]bool, error) {
	return r.For(site).Times(ctx, kind, site, position, from, to)
}

// Condense works in the site's database; see Client.Condense.
func (r *Router) Condense(ctx context.Context, site string, from, to time.Time) (int, error) {
	return r.For(site).Condense(ctx, site, from, to)
}

// Uncondensed asks the site's database; see Client.Uncondensed.
func (r *Router) Uncondensed(ctx context.Context, site string, now time.Time) (from, to time.Time, err error) {
	return r.For(site).Uncondensed(ctx, site, now)
}

// ShowTiers writes the measurement TierList into every database; see Client.ShowTiers. One that is away keeps nothing
// from the others.
func (r *Router) ShowTiers(ctx context.Context, now time.Time) error {
	err := r.Client.ShowTiers(ctx, now)
	shown := map[*Client]bool{}
	for _, c := range r.sites {
		if !shown[c] {
			shown[c] = true
			err = errors.Join(err, c.ShowTiers(ctx, now))
		}
	}
	return err
}
