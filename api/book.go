package api

import (
	"context"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// bookTime is how old the copy of sites and positions may be: pages need all of them at once, and
// they change seldom.
const bookTime = 2 * time.Second

// book is a short-lived copy of what the store holds about sites, positions and contracts.
type book struct {
	store Store
	now   func() time.Time

	mu      sync.Mutex
	read    time.Time
	content contents
	ruled   time.Time
}

// rulesTime is how old its copy of which rules watch what may be: there are many, and they change seldom.
const rulesTime = 30 * time.Second

type contents struct {
	sites     []faultline.Site
	positions []faultline.Position
	contracts []faultline.Contract
	site      map[string]*faultline.Site
	position  map[place]*faultline.Position
	families  map[place]map[string]string // of the rules that watch a position
}

// open gives the copy, read anew where it is too old. Its content must not be changed.
func (b *book) open(ctx context.Context) (contents, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); b.read.IsZero() || now.Sub(b.read) >= bookTime {
		c := contents{site: map[string]*faultline.Site{}, position: map[place]*faultline.Position{}}
		var err error
		if c.sites, err = b.store.Sites(ctx); err != nil {
			return contents{}, err
		}
		if c.positions, err = b.store.Positions(ctx); err != nil {
			return contents{}, err
		}
		if c.contracts, err = b.store.Contracts(ctx); err != nil {
			return contents{}, err
		}
		for i := range c.sites {
			c.site[c.sites[i].ID] = &c.sites[i]
		}
		for i := range c.positions {
			c.position[place{c.positions[i].Site, c.positions[i].ID}] = &c.positions[i]
		}
		c.families = b.content.families
		if b.ruled.IsZero() || now.Sub(b.ruled) >= rulesTime {
			if c.families, err = b.rules(ctx); err != nil {
				return contents{}, err
			}
			b.ruled = now
		}
		b.content, b.read = c, now
	}
	return b.content, nil
}

// rules reads the family of every rule at every position.
func (b *book) rules(ctx context.Context) (map[place]map[string]string, error) {
	all, err := b.store.RuleInstances(ctx, "", "")
	if err != nil {
		return nil, err
	}
	out := map[place]map[string]string{}
	for i := range all {
		k := place{all[i].Site, all[i].Position}
		if out[k] == nil {
			out[k] = map[string]string{}
		}
		out[k][all[i].Rule] = all[i].Family
	}
	return out, nil
}

func (b *book) positions(ctx context.Context) ([]faultline.Position, error) {
	c, err := b.open(ctx)
	return c.positions, err
}

// coverage of a position's asset at a moment.
func (c *contents) coverage(p *faultline.Position, at time.Time) faultline.Coverage {
	customer := p.Asset.Customer
	if s := c.site[p.Site]; customer == "" && s != nil {
		customer = s.Customer
	}
	return faultline.CoverageAt(p, customer, c.contracts, faultline.DefaultTerms, at)
}
