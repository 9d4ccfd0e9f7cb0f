package faultline

import (
	"fmt"
	"strings"
	"time"
)

// CoverageState says who pays.
type CoverageState string

// The states of coverage. Unknown where a date is missing: never guessed.
const (
	InWarranty         CoverageState = "in_warranty"
	InContract         CoverageState = "in_contract"
	StatutoryToConfirm CoverageState = "statutory_to_confirm"
	OutOfCoverage      CoverageState = "out"
	CoverageUnknown    CoverageState = "unknown"
)

// Coverage of an asset at a moment, naming the deciding term.
type Coverage struct {
	State CoverageState `json:"state"`
	Term  string        `json:"term,omitempty"`
	Until time.Time     `json:"until,omitzero"`
	// Statutory is when the region's statutory term ends, where that is later: a person confirms it.
	Statutory time.Time `json:"statutory_until,omitzero"`
	// HoursLeft of a term that ends by running hours too; only where HasHours.
	HoursLeft float64 `json:"hours_left,omitempty"`
	HasHours  bool    `json:"has_hours,omitempty"`
}

// Start bases of a warranty term: which of an asset's dates it runs from.
const (
	FromPurchase      = "purchase"
	FromDelivery      = "delivery"
	FromCommissioning = "commissioning"
	FromAcceptance    = "acceptance"
)

// Bases lists the start bases.
var Bases = []string{FromPurchase, FromDelivery, FromCommissioning, FromAcceptance}

// Period is so many months from one of an asset's dates.
type Period struct {
	From   string `json:"from" yaml:"from"`
	Months int    `json:"months" yaml:"months"`
}

// WarrantyTerm ends with the first of its periods and, if it has Hours, with these running hours: "12
// months from commissioning, at most 18 from delivery, at most 8,000 h".
type WarrantyTerm struct {
	ProductKind string   `json:"product_kind,omitempty" yaml:"product_kind"`
	Periods     []Period `json:"periods" yaml:"periods"`
	Hours       float64  `json:"hours,omitempty" yaml:"hours"`
}

// DefaultTerms are the plan's: electronics 12 months from purchase, durable industrial equipment
// 36 months from commissioning, consumables 3 months from purchase.
var DefaultTerms = []WarrantyTerm{
	{ProductKind: "electronics", Periods: []Period{{FromPurchase, 12}}},
	{ProductKind: "industrial", Periods: []Period{{FromCommissioning, 36}}},
	{ProductKind: "consumable", Periods: []Period{{FromPurchase, 3}}},
}

// Check says what is wrong with a term.
func (w *WarrantyTerm) Check() (problems []string) {
	if len(w.Periods) == 0 && w.Hours <= 0 {
		problems = append(problems, "a term needs periods or hours")
	}
	for i, p := range w.Periods {
		if (&Asset{}).date(p.From) == nil {
			problems = append(problems, fmt.Sprintf("periods[%d].from: %q: use %s", i, p.From, strings.Join(Bases, ", ")))
		}
		if p.Months < 1 || p.Months > 1200 {
			problems = append(problems, fmt.Sprintf("periods[%d].months: %d: use 1 to 1200", i, p.Months))
		}
	}
	if w.Hours < 0 {
		problems = append(problems, "hours: cannot be negative")
	}
	return problems
}

// StatutoryTerm is a region's minimum, whatever was agreed. It decides nothing by itself: a person
// confirms that it applies.
type StatutoryTerm struct {
	Region      string `json:"region" yaml:"region"`
	ProductKind string `json:"product_kind,omitempty" yaml:"product_kind"` // empty: all
	Period      `yaml:",inline"`
}

// date gives where the asset keeps that date, nil if there is no such basis.
func (a *Asset) date(basis string) *time.Time {
	switch basis {
	case FromPurchase:
		return &a.Purchased
	case FromDelivery:
		return &a.Delivered
	case FromCommissioning:
		return &a.Commissioned
	case FromAcceptance:
		return &a.Accepted
	}
	return nil
}

// CoverageFacts are what coverage is decided from.
type CoverageFacts struct {
	Position  *Position
	Customer  string // of the asset or, where it says none, of the site
	Region    string // of the site
	Contracts []Contract
	Terms     []WarrantyTerm
	Statutory []StatutoryTerm
	Hours     *float64 // running hours of the asset; nil if not known
}

// At decides: a term agreed for this serial number first, then a contract in force, then the product's
// default term. The first that covers wins; where none does, a longer statutory term of the region is
// shown for a person to confirm.
func (f *CoverageFacts) At(at time.Time) Coverage {
	a := &f.Position.Asset
	own := f.own(at)
	if own.State == InWarranty && a.Warranty != nil {
		return f.statutory(own, at)
	}
	for i := range f.Contracts {
		if c := &f.Contracts[i]; c.Covers(f.Position.Site, f.Customer, at) {
			return Coverage{State: InContract, Term: "contract " + c.ID + " (" + c.Name + ")", Until: c.Until}
		}
	}
	return f.statutory(own, at)
}

// own is what the serial's own term says or, without one, the product's default.
func (f *CoverageFacts) own(at time.Time) Coverage {
	a := &f.Position.Asset
	if a.Warranty != nil {
		return f.term(a.Warranty, "term of serial "+a.Serial, at)
	}
	for i := range f.Terms {
		if t := &f.Terms[i]; t.ProductKind == a.ProductKind && t.ProductKind != "" {
			return f.term(t, "product term "+t.ProductKind, at)
		}
	}
	return Coverage{State: CoverageUnknown, Term: "no product kind, no contract"}
}

// term decides by one term. One end that has passed is enough to be out; to be in, all must be known.
func (f *CoverageFacts) term(t *WarrantyTerm, name string, at time.Time) Coverage {
	c := Coverage{State: InWarranty, Term: name}
	missing := ""
	for _, p := range t.Periods {
		from := *f.Position.Asset.date(p.From)
		if from.IsZero() {
			missing = "date of " + p.From + " is missing"
			continue
		}
		if end := AddMonths(from, p.Months); c.Until.IsZero() || end.Before(c.Until) {
			c.Until, c.Term = end, fmt.Sprintf("%s: %d months from %s", name, p.Months, p.From)
		}
	}
	if !c.Until.IsZero() && !at.Before(c.Until) {
		c.State = OutOfCoverage
		return c
	}
	if t.Hours > 0 {
		if f.Hours == nil {
			missing = "running hours are not known"
		} else if c.HoursLeft, c.HasHours = t.Hours-*f.Hours, true; c.HoursLeft <= 0 {
			c.State, c.Term, c.HoursLeft, c.Until = OutOfCoverage, fmt.Sprintf("%s: %g running hours", name, t.Hours), 0, time.Time{}
			return c
		}
	}
	if missing != "" {
		return Coverage{State: CoverageUnknown, Term: name + ": " + missing}
	}
	return c
}

// statutory adds the region's term where it is the longer one.
func (f *CoverageFacts) statutory(c Coverage, at time.Time) Coverage {
	a := &f.Position.Asset
	for i := range f.Statutory {
		s := &f.Statutory[i]
		if s.Region != f.Region || f.Region == "" || s.ProductKind != "" && s.ProductKind != a.ProductKind {
			continue
		}
		from := a.date(s.From)
		if from == nil || from.IsZero() {
			continue // what is not known is not guessed, and covers nothing
		}
		if end := AddMonths(*from, s.Months); end.After(c.Statutory) && end.After(c.Until) {
			c.Statutory = end
		}
	}
	if c.State != OutOfCoverage && c.State != CoverageUnknown || !at.Before(c.Statutory) {
		return c
	}
	if k := a.Statutory; k != nil && k.Confirmed {
		return Coverage{State: InWarranty, Term: "statutory term of " + f.Region + ", confirmed by " + k.By, Until: c.Statutory, Statutory: c.Statutory}
	} else if k != nil {
		c.Statutory = time.Time{} // a person said that it does not apply
		return c
	}
	c.State, c.Term = StatutoryToConfirm, c.Term+"; statutory term of "+f.Region+" is longer: to be confirmed"
	return c
}

// Part is what was built into an asset later. Its coverage is its own.
type Part struct {
	ID        string       `json:"id"`
	Site      string       `json:"site"`
	Position  string       `json:"position"`
	Asset     string       `json:"asset,omitempty"` // serial number of the asset that it was built into
	Name      string       `json:"name"`
	Serial    string       `json:"serial,omitempty"`
	Installed time.Time    `json:"installed"`
	Ticket    string       `json:"ticket,omitempty"`
	Term      WarrantyTerm `json:"term"` // its periods run from Installed, whatever their basis
}

// CoverageAt gives the part's own coverage.
func (p *Part) CoverageAt(at time.Time) Coverage {
	if p.Installed.IsZero() || len(p.Term.Periods) == 0 {
		return Coverage{State: CoverageUnknown, Term: "part " + p.Name + ": no term or no date of installation"}
	}
	c := Coverage{State: InWarranty}
	for _, m := range p.Term.Periods {
		if end := AddMonths(p.Installed, m.Months); c.Until.IsZero() || end.Before(c.Until) {
			c.Until, c.Term = end, fmt.Sprintf("part %s: %d months from installation", p.Name, m.Months)
		}
	}
	if !at.Before(c.Until) {
		c.State = OutOfCoverage
	}
	return c
}

// AddMonths adds months and clamps to the month's end: 31 January + 1 month is the last of February.
func AddMonths(t time.Time, months int) time.Time {
	y, m, d := t.Date()
	last := time.Date(y, m+time.Month(months)+1, 0, 0, 0, 0, 0, t.Location()).Day()
	h, mi, s := t.Clock()
	return time.Date(y, m+time.Month(months), min(d, last), h, mi, s, t.Nanosecond(), t.Location())
}
