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
	ruled   time.Time
}

// rulesTime is how old its copy of which rules watch what may be: there are many, and they change seldom.
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
	families  map[place]map[string]string // of the rules that watch a position
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
