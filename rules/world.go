package rules

import (
	"context"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// world is what the rules know of the equipment at a moment. It does not change.
type world struct {
	set       *Set
	versions  map[string]int // of the set's rules; nil without documents
	positions []faultline.Position
	sites     map[string]faultline.Site
	contracts []faultline.Contract
	terms     []faultline.WarrantyTerm
	statutory []faultline.StatutoryTerm
}

func readWorld(ctx context.Context, s Store, set *Set, terms []faultline.WarrantyTerm, statutory []faultline.StatutoryTerm) (*world, error) {
	w := &world{set: set, sites: map[string]faultline.Site{}, terms: terms, statutory: statutory}
	var err error
	if w.positions, err = s.Positions(ctx); err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	sites, err := s.Sites(ctx)
	if err != nil {
		return nil, fmt.Errorf("read sites: %w", err)
	}
	for _, site := range sites {
		w.sites[site.ID] = site
	}
	if w.contracts, err = s.Contracts(ctx); err != nil {
		return nil, fmt.Errorf("read contracts: %w", err)
	}
	return w, nil
}

// cover notes on a ticket who pays for it, and the contract that its clocks go by. The customer is the
// asset's own, or its site's.
func (w *world) cover(t *faultline.Ticket, p *faultline.Position, at time.Time) {
	facts := faultline.CoverageFacts{Position: p, Customer: p.Asset.Customer, Region: w.sites[p.Site].Region, Contracts: w.contracts, Terms: w.terms, Statutory: w.statutory}
	if facts.Customer == "" {
		facts.Customer = w.sites[p.Site].Customer
	}
	t.Coverage = facts.At(at)
	if c := faultline.ContractFor(w.contracts, p.Site, facts.Customer, at); c != nil {
		t.Contract, t.ContractVersion = c.ID, c.Version
	}
}

// behind gives the criticality of the most critical asset that a gateway reads.
func (w *world) behind(site, gateway string) faultline.Criticality {
	most := faultline.CriticalityC
	for i := range w.positions {
		p := &w.positions[i]
		if p.Site == site && p.Gateway == gateway && p.Asset.Criticality.Impact() > most.Impact() {
			most = p.Asset.Criticality
		}
	}
	return most
}
