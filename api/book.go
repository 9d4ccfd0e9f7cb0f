package api

import (
	"cmp"
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
	store     Store
	now       func() time.Time
	terms     []faultline.WarrantyTerm
	statutory []faultline.StatutoryTerm

	mu      sync.Mutex
	read    time.Time
	content contents
	ruled   map[place]ruled
}

// ruled are the families of the rules that watch a position, as of a time.
type ruled struct {
	at       time.Time
	families map[string]string // by rule
}

// rulesTime is how old a copy of which rules watch a position may be: they change seldom.
const rulesTime = 30 * time.Second

type contents struct {
	sites     []faultline.Site
	positions []faultline.Position
	contracts []faultline.Contract // newest versions
	versions  map[contractVersion]*faultline.Contract
	calendars map[string]*faultline.Calendar
	terms     []faultline.WarrantyTerm
	statutory []faultline.StatutoryTerm
	site      map[string]*faultline.Site
	position  map[place]*faultline.Position
}

// index makes the sites and positions to be found.
func (c *contents) index() {
	for i := range c.sites {
		c.site[c.sites[i].ID] = &c.sites[i]
	}
	for i := range c.positions {
		c.position[place{c.positions[i].Site, c.positions[i].ID}] = &c.positions[i]
	}
}

// open gives the copy, read anew where it is too old. Its content must not be changed.
func (b *book) open(ctx context.Context) (contents, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); b.read.IsZero() || now.Sub(b.read) >= bookTime {
		c := contents{terms: b.terms, statutory: b.statutory, versions: map[contractVersion]*faultline.Contract{}, calendars: map[string]*faultline.Calendar{}, site: map[string]*faultline.Site{}, position: map[place]*faultline.Position{}}
		var err error
		if c.sites, err = b.store.Sites(ctx); err != nil {
			return contents{}, err
		}
		if c.positions, err = b.store.Positions(ctx); err != nil {
			return contents{}, err
		}
		if err = b.openContracts(ctx, &c); err != nil {
			return contents{}, err
		}
		c.index()
		b.content, b.read = c, now
	}
	return b.content, nil
}

// forget has the next who opens it read anew.
func (b *book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = time.Time{}
}

// families gives the family of every rule at a position. All rules of an installation are too many to read at once.
func (b *book) families(ctx context.Context, k place) (map[string]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if r, known := b.ruled[k]; known && now.Sub(r.at) < rulesTime {
		return r.families, nil
	}
	rules, err := b.store.RuleInstances(ctx, k.site, k.position)
	if err != nil {
		return nil, err
	}
	r := ruled{now, map[string]string{}}
	for i := range rules {
		r.families[rules[i].Rule] = rules[i].Family
	}
	if b.ruled == nil {
		b.ruled = map[place]ruled{}
	}
	b.ruled[k] = r
	return r.families, nil
}

func (b *book) positions(ctx context.Context) ([]faultline.Position, error) {
	c, err := b.open(ctx)
	return c.positions, err
}

// coverage of a position's asset at a moment.
func (c *contents) coverage(p *faultline.Position, at time.Time) faultline.Coverage {
	f := faultline.CoverageFacts{Position: p, Customer: p.Asset.Customer, Contracts: c.contracts, Terms: c.terms, Statutory: c.statutory}
	if s := c.site[p.Site]; s != nil {
		f.Customer, f.Region = cmp.Or(f.Customer, s.Customer), s.Region
	}
	return f.At(at)
}

// contractVersion names a version of a contract.
type contractVersion struct {
	id      string
	version int
}

func (b *book) openContracts(ctx context.Context, c *contents) error {
	versions, err := b.store.ContractVersions(ctx)
	if err != nil {
		return err
	}
	calendars, err := b.store.Calendars(ctx)
	if err != nil {
		return err
	}
	for i := range versions {
		v := &versions[i]
		c.versions[contractVersion{v.ID, v.Version}] = v
		if n := len(c.contracts); n > 0 && c.contracts[n-1].ID == v.ID {
			c.contracts[n-1] = *v // they come oldest first
		} else {
			c.contracts = append(c.contracts, *v)
		}
	}
	for i := range calendars {
		c.calendars[calendars[i].ID] = &calendars[i]
	}
	return nil
}

// contract gives a version of a contract, the newest for 0; nil if there is none.
func (c *contents) contract(id string, version int) *faultline.Contract {
	if version != 0 {
		return c.versions[contractVersion{id, version}]
	}
	for i := range c.contracts {
		if c.contracts[i].ID == id {
			return &c.contracts[i]
		}
	}
	return nil
}

// service gives the terms that a ticket's clocks go by: those of the contract version pinned on it.
func (c *contents) service(t *faultline.Ticket) faultline.ServiceTerms {
	if k := c.versions[contractVersion{t.Contract, t.ContractVersion}]; k != nil {
		return k.Terms(c.calendars[k.Calendar])
	}
	return faultline.DefaultService
}
