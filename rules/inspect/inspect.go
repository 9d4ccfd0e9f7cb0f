// Package inspect owns the periodic system check: the plans that say what is to be done at an asset
// and when, and the occurrences that fall due. It is pure: package rules carries out what it says.
package inspect

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
)

// Plan is an inspection plan as its author writes it. A meter rule that names it decides when it
// falls due.
type Plan struct {
	ID        string        `yaml:"id"`
	Title     string        `yaml:"title"`
	AssetKind string        `yaml:"asset_kind"`
	Meter     string        `yaml:"meter"`   // the point that counts
	Every     float64       `yaml:"every"`   // in the meter's unit
	Unit      string        `yaml:"unit"`    // of the meter, as people read it
	Window    time.Duration `yaml:"window"`  // time for the work from falling due; default 14 days
	Lead      time.Duration `yaml:"lead"`    // that the work needs to be prepared; as the window if left out
	Minutes   int           `yaml:"minutes"` // that the work takes, for planning; 0: unknown
	Jobs      []string      `yaml:"jobs"`
}

// Window of a plan that names none.
const Window = 14 * 24 * time.Hour

// Validate reports everything that is wrong with the plan standing at path.
func (p *Plan) Validate(problems *document.Problems, path string) {
	report := func(field, format string, args ...any) { problems.Add(path+"."+field, format, args...) }
	for _, n := range []struct{ field, s string }{{"id", p.ID}, {"asset_kind", p.AssetKind}} {
		if n.s == "" {
			report(n.field, "is missing")
		} else if err := faultline.CheckName(n.field, n.s); err != nil {
			report(n.field, "%s", strings.TrimPrefix(err.Error(), "invalid: "))
		}
	}
	if strings.TrimSpace(p.Title) == "" {
		report("title", "is missing")
	}
	if err := faultline.CheckPoint(p.Meter); err != nil {
		report("meter", "%s", strings.TrimPrefix(err.Error(), "invalid: "))
	}
	if !(p.Every > 0) || math.IsInf(p.Every, 0) {
		report("every", "must be a positive number in the meter's unit")
	}
	if p.Window < 0 {
		report("window", "must not be negative")
	}
	if p.Lead < 0 {
		report("lead", "must not be negative")
	}
	if p.Minutes < 0 {
		report("minutes", "must not be negative")
	}
	if len(p.Jobs) == 0 {
		report("jobs", "is missing: what is to be done?")
	}
	for i, j := range p.Jobs {
		if strings.TrimSpace(j) == "" {
			report(fmt.Sprintf("jobs[%d]", i), "is empty")
		}
	}
}

// Domain gives the plan as the rest of the product knows it.
func (p *Plan) Domain() faultline.Plan {
	window := p.Window
	if window == 0 {
		window = Window
	}
	lead := p.Lead
	if lead == 0 {
		lead = window
	}
	return faultline.Plan{
		ID: p.ID, Title: p.Title, AssetKind: p.AssetKind, Meter: p.Meter, Every: p.Every, Unit: p.Unit,
		Window: window, Lead: lead, Jobs: p.Jobs,
	}
}

// Due makes the occurrence of a plan that fell due at a meter reading, and the ticket for it. The
// ticket has no number, coverage or priority yet: those are the desk's.
func Due(plan *faultline.Plan, site, position string, cycle int, reading float64, at time.Time, why string) (faultline.Inspection, faultline.Ticket, error) {
	key, err := faultline.InspectionKey(site, position, plan.ID, cycle)
	if err != nil {
		return faultline.Inspection{}, faultline.Ticket{}, fmt.Errorf("inspection %s of %s/%s: %w", plan.ID, site, position, err)
	}
	i := faultline.Inspection{
		Site: site, Position: position, Plan: plan.ID, Cycle: cycle, Status: faultline.InspectionDue,
		DueAt: at, Until: at.Add(plan.Window), Reading: reading,
	}
	var text strings.Builder
	text.WriteString(strings.TrimSuffix(why, "."))
	text.WriteString(".\nTo be done until " + i.Until.UTC().Format("2006-01-02") + ":\n")
	for n, job := range plan.Jobs {
		text.WriteString(strconv.Itoa(n+1) + ". " + job + "\n")
	}
	t := faultline.Ticket{
		Kind: faultline.TicketInspection, Maintenance: faultline.Predetermined, Status: faultline.StatusNew,
		Site: site, Position: position, Plan: plan.ID, Cycle: cycle, Keys: []string{key},
		Title: position + ": " + plan.Title, Text: text.String(), Suggest: "on_site",
		EventAt: at, Count: 1, Urgency: 1,
	}
	return i, t, nil
}
