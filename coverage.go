package faultline

import "time"

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
}

// Contract is a service contract for a customer's sites.
type Contract struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Customer string    `json:"customer"`
	Sites    []string  `json:"sites,omitempty"` // empty: all of the customer's
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Version  int       `json:"version"`
	MadeUp   bool      `json:"made_up,omitempty"`
}

// Covers tells whether the contract is in force for the site at the moment.
func (c *Contract) Covers(site, customer string, at time.Time) bool {
	if at.Before(c.From) || !at.Before(c.Until) || customer == "" || customer != c.Customer {
		return false
	}
	if len(c.Sites) == 0 {
		return true
	}
	for _, s := range c.Sites {
		if s == site {
			return true
		}
	}
	return false
}

// WarrantyTerm is the product default: months from the first known of its bases.
type WarrantyTerm struct {
	ProductKind string `json:"product_kind"`
	Months      int    `json:"months"`
	Basis       string `json:"basis"` // "purchase", "delivery" or "commissioning"
}

// DefaultTerms are the plan's: electronics 12 months from purchase, durable industrial equipment
// 36 months from commissioning, consumables 3 months from purchase.
var DefaultTerms = []WarrantyTerm{
	{"electronics", 12, "purchase"},
	{"industrial", 36, "commissioning"},
	{"consumable", 3, "purchase"},
}

// CoverageAt decides by contract first, then by the product's default term.
func CoverageAt(p *Position, customer string, contracts []Contract, terms []WarrantyTerm, at time.Time) Coverage {
	for i := range contracts {
		if c := &contracts[i]; c.Covers(p.Site, customer, at) {
			return Coverage{State: InContract, Term: "contract " + c.ID + " (" + c.Name + ")", Until: c.Until}
		}
	}
	for _, t := range terms {
		if t.ProductKind != p.Asset.ProductKind {
			continue
		}
		var from time.Time
		switch t.Basis {
		case "purchase":
			from = p.Asset.Purchased
		case "delivery":
			from = p.Asset.Delivered
		case "commissioning":
			from = p.Asset.Commissioned
		}
		if from.IsZero() {
			return Coverage{State: CoverageUnknown, Term: "date of " + t.Basis + " is missing"}
		}
		c := Coverage{State: InWarranty, Term: "product term " + t.ProductKind, Until: AddMonths(from, t.Months)}
		if !at.Before(c.Until) {
			c.State = OutOfCoverage
		}
		return c
	}
	return Coverage{State: CoverageUnknown, Term: "no product kind, no contract"}
}

// AddMonths adds months and clamps to the month's end: 31 January + 1 month is the last of February.
func AddMonths(t time.Time, months int) time.Time {
	y, m, d := t.Date()
	last := time.Date(y, m+time.Month(months)+1, 0, 0, 0, 0, 0, t.Location()).Day()
	h, mi, s := t.Clock()
	return time.Date(y, m+time.Month(months), min(d, last), h, mi, s, t.Nanosecond(), t.Location())
}
