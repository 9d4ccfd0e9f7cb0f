package faultline

import (
	"strings"
	"testing"
	"time"
)

func TestCoverage(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	hours := func(h float64) *float64 { return &h }
	installed := Asset{Customer: "acme", ProductKind: "industrial", Commissioned: day("2024-01-31")}
	with := func(change func(*Asset)) Asset { a := installed; change(&a); return a }
	contract := Contract{ID: "C-1", Name: "Gold", Customer: "acme", From: day("2026-01-01"), Until: day("2026-07-01")}
	// 12 months from commissioning, at most 18 from delivery, at most 8,000 h.
	several := &WarrantyTerm{Periods: []Period{{FromCommissioning, 12}, {FromDelivery, 18}}, Hours: 8000}
	serial := func(change func(*Asset)) Asset {
		return with(func(a *Asset) {
			a.Warranty, a.Serial, a.Delivered = several, "S-1", day("2023-12-15")
			if change != nil {
				change(a)
			}
		})
	}
	eu := []StatutoryTerm{{Region: "EU", ProductKind: "electronics", Period: Period{FromDelivery, 24}}}
	device := Asset{ProductKind: "electronics", Purchased: day("2025-01-10"), Delivered: day("2025-01-20")}
	for _, c := range []struct {
		name      string
		asset     Asset
		contracts []Contract
		region    string
		hours     *float64
		at        string
		want      CoverageState
		term      string // part of what it names
		until     string
	}{
		{"contract before the product's term", installed, []Contract{contract}, "", nil, "2026-06-30", InContract, "contract C-1", "2026-07-01"},
		{"a contract's last day is out", installed, []Contract{contract}, "", nil, "2026-07-01", InWarranty, "product term industrial: 36 months from commissioning", "2027-01-31"},
		{"warranty", installed, nil, "", nil, "2027-01-30", InWarranty, "industrial", "2027-01-31"},
		{"warranty over", installed, nil, "", nil, "2027-01-31", OutOfCoverage, "industrial", "2027-01-31"},
		{"contract after the warranty", installed, []Contract{{ID: "C-2", Customer: "acme", From: day("2027-01-01"), Until: day("2028-01-01")}}, "", nil, "2027-06-01", InContract, "C-2", "2028-01-01"},
		{"no date", Asset{ProductKind: "electronics"}, nil, "", nil, "2026-01-01", CoverageUnknown, "date of purchase is missing", ""},
		{"nothing known", Asset{}, []Contract{contract}, "", nil, "2026-02-01", CoverageUnknown, "no product kind", ""},

		{"several bases: commissioning comes first", serial(nil), nil, "", hours(100), "2025-01-30", InWarranty, "term of serial S-1: 12 months from commissioning", "2025-01-31"},
		{"several bases: over", serial(nil), nil, "", hours(100), "2025-01-31", OutOfCoverage, "12 months from commissioning", "2025-01-31"},
		{"several bases: late commissioning", serial(func(a *Asset) { a.Commissioned = day("2025-03-01") }), nil, "", hours(100), "2025-06-14", InWarranty, "18 months from delivery", "2025-06-15"},
		{"several bases: late commissioning, over", serial(func(a *Asset) { a.Commissioned = day("2025-03-01") }), nil, "", hours(100), "2025-06-15", OutOfCoverage, "18 months from delivery", "2025-06-15"},
		{"one date missing: not guessed", serial(func(a *Asset) { a.Commissioned = time.Time{} }), nil, "", hours(100), "2025-01-01", CoverageUnknown, "date of commissioning is missing", ""},
		{"one date missing, but out by the other", serial(func(a *Asset) { a.Commissioned = time.Time{} }), nil, "", hours(100), "2025-06-15", OutOfCoverage, "18 months from delivery", "2025-06-15"},
		{"hours reached first", serial(nil), nil, "", hours(8000), "2024-06-01", OutOfCoverage, "8000 running hours", ""},
		{"hours left", serial(nil), nil, "", hours(7999), "2024-06-01", InWarranty, "S-1", "2025-01-31"},
		{"hours not known", serial(nil), nil, "", nil, "2024-06-01", CoverageUnknown, "running hours are not known", ""},
		{"hours not known, but out by date", serial(nil), nil, "", nil, "2025-02-01", OutOfCoverage, "12 months", "2025-01-31"},
		{"the serial's term before a contract", serial(nil), []Contract{{ID: "C-3", Customer: "acme", From: day("2024-01-01"), Until: day("2030-01-01")}}, "", hours(1), "2024-06-01", InWarranty, "serial S-1", "2025-01-31"},
		{"the serial's term over: contract", serial(nil), []Contract{{ID: "C-3", Customer: "acme", From: day("2024-01-01"), Until: day("2030-01-01")}}, "", hours(1), "2025-06-01", InContract, "C-3", "2030-01-01"},
		{"the serial's term replaces the product's", serial(nil), nil, "", hours(1), "2025-06-01", OutOfCoverage, "serial S-1", "2025-01-31"},

		{"statutory: within the agreed term", device, nil, "EU", nil, "2025-06-01", InWarranty, "product term electronics", "2026-01-10"},
		{"statutory: longer, to be confirmed", device, nil, "EU", nil, "2026-06-01", StatutoryToConfirm, "statutory term of EU", "2026-01-10"},
		{"statutory: another region", device, nil, "CN", nil, "2026-06-01", OutOfCoverage, "electronics", "2026-01-10"},
		{"statutory: over too", device, nil, "EU", nil, "2027-01-20", OutOfCoverage, "electronics", "2026-01-10"},
		{"statutory: confirmed", func() Asset { a := device; a.Statutory = &Confirmation{Confirmed: true, By: "anna"}; return a }(), nil, "EU", nil, "2026-06-01", InWarranty, "confirmed by anna", "2027-01-20"},
		{"statutory: denied", func() Asset { a := device; a.Statutory = &Confirmation{By: "anna"}; return a }(), nil, "EU", nil, "2026-06-01", OutOfCoverage, "electronics", "2026-01-10"},
		{"statutory: its date is missing", Asset{ProductKind: "electronics", Purchased: day("2025-01-10")}, nil, "EU", nil, "2026-06-01", OutOfCoverage, "electronics", "2026-01-10"},
	} {
		p := Position{Site: "north", Asset: c.asset}
		facts := CoverageFacts{Position: &p, Customer: c.asset.Customer, Region: c.region, Contracts: c.contracts, Terms: DefaultTerms, Statutory: eu, Hours: c.hours}
		got := facts.At(day(c.at))
		until := ""
		if !got.Until.IsZero() {
			until = got.Until.Format(time.DateOnly)
		}
		if got.State != c.want || !strings.Contains(got.Term, c.term) || until != c.until {
			t.Errorf("%s: %+v, want %s, %q, until %s", c.name, got, c.want, c.term, c.until)
		}
	}
}

func TestPartCoverage(t *testing.T) {
	at := time.Date(2026, 8, 31, 0, 0, 0, 0, time.UTC)
	p := Part{Name: "bearing", Installed: at, Term: WarrantyTerm{Periods: []Period{{FromPurchase, 6}}}}
	end := time.Date(2027, 2, 28, 0, 0, 0, 0, time.UTC)
	if c := p.CoverageAt(end.Add(-time.Second)); c.State != InWarranty || !c.Until.Equal(end) {
		t.Errorf("%+v", c)
	}
	if c := p.CoverageAt(end); c.State != OutOfCoverage {
		t.Errorf("%+v", c)
	}
	p.Installed = time.Time{}
	if c := p.CoverageAt(end); c.State != CoverageUnknown {
		t.Errorf("%+v", c)
	}
}

func TestWarrantyTermCheck(t *testing.T) {
	bad := WarrantyTerm{Periods: []Period{{"birthday", 12}, {FromPurchase, 0}}, Hours: -1}
	if got := bad.Check(); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if got := (&WarrantyTerm{}).Check(); len(got) != 1 {
		t.Errorf("%q", got)
	}
	for i := range DefaultTerms {
		if got := DefaultTerms[i].Check(); got != nil {
			t.Errorf("%s: %q", DefaultTerms[i].ProductKind, got)
		}
	}
}

func TestContractTerms(t *testing.T) {
	c := Contract{ID: "C", Customer: "acme", Sites: []string{"north"}, From: t0, Until: t0.Add(time.Hour), Targets: Targets{Response: 8 * time.Hour, AnswerP1: 4 * time.Hour}}
	terms := c.Terms(nil)
	if want := (Targets{time.Hour, 8 * time.Hour, 4 * time.Hour, 48 * time.Hour, time.Hour}); terms.Targets != want {
		t.Errorf("%+v, want %+v", terms.Targets, want)
	}
	for site, want := range map[string]bool{"north": true, "south": false} {
		if got := ContractFor([]Contract{c}, site, "acme", t0); (got != nil) != want {
			t.Errorf("%s: %v", site, got)
		}
	}
}
