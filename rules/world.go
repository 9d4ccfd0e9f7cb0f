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
	positions []faultline.Position
	customers map[string]string // site → customer
	contracts []faultline.Contract
	terms     []faultline.WarrantyTerm
}

func readWorld(ctx context.Context, s Store, set *Set, terms []faultline.WarrantyTerm) (*world, error) {
	w := &world{set: set, customers: map[string]string{}, terms: terms}
	var err error
	if w.positions, err = s.Positions(ctx); err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	sites, err := s.Sites(ctx)
	if err != nil {
		return nil, fmt.Errorf("read sites: %w", err)
	}
	for _, site := range sites {
		w.customers[site.ID] = site.Customer
	}
	if w.contracts, err = s.Contracts(ctx); err != nil {
		return nil, fmt.Errorf("read contracts: %w", err)
	}
	return w, nil
}

// coverage of the asset at a position: its own customer's, or its site's.
func (w *world) coverage(p *faultline.Position, at time.Time) faultline.Coverage {
	customer := p.Asset.Customer
	if customer == "" {
		customer = w.customers[p.Site]
	}
	return faultline.CoverageAt(p, customer, w.contracts, w.terms, at)
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
