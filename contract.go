package faultline

import (
	"slices"
	"time"
)

// Contract is a version of a service contract for a customer's sites. Zero targets are the defaults.
type Contract struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Customer string    `json:"customer"`
	Sites    []string  `json:"sites,omitempty"` // empty: all of the customer's
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Version  int       `json:"version"`
	MadeUp   bool      `json:"made_up,omitempty"`

	Targets       Targets `json:"targets,omitzero"`
	Calendar      string  `json:"calendar,omitempty"` // id of a Calendar; empty: round the clock
	PauseForParts bool    `json:"pause_for_parts,omitempty"`
	Language      string  `json:"language,omitempty"` // of reports: "en" or "zh"; empty: en
}

// Covers tells whether the contract is in force for the site at the moment.
func (c *Contract) Covers(site, customer string, at time.Time) bool {
	if at.Before(c.From) || !at.Before(c.Until) || customer == "" || customer != c.Customer {
		return false
	}
	return len(c.Sites) == 0 || slices.Contains(c.Sites, site)
}

// Terms are what the clocks of its tickets run by. calendar is the one that it names.
func (c *Contract) Terms(calendar *Calendar) ServiceTerms {
	g := c.Targets
	for _, f := range []struct {
		have *time.Duration
		want time.Duration
	}{{&g.ResponseP1, DefaultTargets.ResponseP1}, {&g.Response, DefaultTargets.Response}, {&g.Answer, DefaultTargets.Answer}, {&g.UpdateP1, DefaultTargets.UpdateP1}} {
		if *f.have == 0 {
			*f.have = f.want
		}
	}
	return ServiceTerms{Targets: g, Calendar: calendar, PauseForParts: c.PauseForParts}
}

// ContractFor is the one that a ticket received at that time pins; nil if none is in force.
func ContractFor(contracts []Contract, site, customer string, at time.Time) *Contract {
	for i := range contracts {
		if contracts[i].Covers(site, customer, at) {
			return &contracts[i]
		}
	}
	return nil
}
