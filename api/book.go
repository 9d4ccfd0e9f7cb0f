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
}

type contents struct {
	sites     []faultline.Site
	positions []faultline.Position
	contracts []faultline.Contract
	site      map[string]*faultline.Site
	position  map[place]*faultline.Position
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
		b.content, b.read = c, now
	}
	return b.content, nil
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
