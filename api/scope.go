package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// view is the store as one caller may see and change it. Handlers have no other: lists hold only what
// is in scope, single objects out of scope are not found (their existence is nobody's business), changes of what is
// not the caller's to change are refused, and every change is audited in its transaction. A method
// that is added to Store must be added here, with its scope, or nothing compiles.
type view struct {
	in    *store.Store // writes are audited
	who   *caller
	teams []string // of a technician
}

// Store is checked against view: what handlers use, a view must have.
var _ interface {
	registry
	plans
	alarms
	tickets
	losses
	figures
	writes
} = (*view)(nil)

// has tells whether a site is in the caller's scope. What belongs to no site belongs to the whole.
func (w *caller) has(site string) bool { return len(w.sites) == 0 || slices.Contains(w.sites, site) }

func hidden(what, name string) error {
	return fmt.Errorf("%w: %s %s", faultline.ErrNotFound, what, name)
}

// inScope drops what is at other sites.
func inScope[T any](w *caller, all []T, err error, site func(*T) string) ([]T, error) {
	if err != nil || len(w.sites) == 0 {
		return all, err
	}
	return slices.DeleteFunc(all, func(v T) bool { return !w.has(site(&v)) }), nil
}

// Sites in scope.
func (v *view) Sites(ctx context.Context) ([]faultline.Site, error) {
	all, err := v.in.Sites(ctx)
	return inScope(v.who, all, err, func(s *faultline.Site) string { return s.ID })
}

// Positions in scope.
func (v *view) Positions(ctx context.Context) ([]faultline.Position, error) {
	all, err := v.in.Positions(ctx)
	return inScope(v.who, all, err, func(p *faultline.Position) string { return p.Site })
}

// Contracts that hold for a site in scope, or for its customer.
func (v *view) Contracts(ctx context.Context) ([]faultline.Contract, error) {
	all, err := v.in.Contracts(ctx)
	return v.contracts(ctx, all, err)
}

// ContractVersions of contracts in scope.
func (v *view) ContractVersions(ctx context.Context) ([]faultline.Contract, error) {
	all, err := v.in.ContractVersions(ctx)
	return v.contracts(ctx, all, err)
}

func (v *view) contracts(ctx context.Context, all []faultline.Contract, err error) ([]faultline.Contract, error) {
	if err != nil || len(v.who.sites) == 0 {
		return all, err
	}
	sites, err := v.Sites(ctx)
	if err != nil {
		return nil, err
	}
	positions, err := v.Positions(ctx)
	if err != nil {
		return nil, err
	}
	return contractsFor(v.who, all, sites, positions), nil
}

// Calendars are working hours and holidays: they have no site.
func (v *view) Calendars(ctx context.Context) ([]faultline.Calendar, error) {
	return v.in.Calendars(ctx)
}

func contractsFor(w *caller, all []faultline.Contract, sites []faultline.Site, positions []faultline.Position) []faultline.Contract {
	customers := map[string]bool{}
	for i := range sites {
		customers[sites[i].Customer] = true
	}
	for i := range positions {
		customers[positions[i].Asset.Customer] = true
	}
	delete(customers, "")
	var out []faultline.Contract
	for _, k := range all {
		if len(k.Sites) == 0 && customers[k.Customer] || slices.ContainsFunc(k.Sites, w.has) {
			out = append(out, k)
		}
	}
	return out
}

// Gateways in scope.
func (v *view) Gateways(ctx context.Context) ([]faultline.Gateway, error) {
	all, err := v.in.Gateways(ctx)
	return inScope(v.who, all, err, func(g *faultline.Gateway) string { return g.Site })
}

// Plans are of asset kinds: they have no site.
func (v *view) Plans(ctx context.Context) ([]faultline.Plan, error) { return v.in.Plans(ctx) }

// RuleInstances in scope.
func (v *view) RuleInstances(ctx context.Context, site, position string) ([]faultline.RuleInstance, error) {
	all, err := v.in.RuleInstances(ctx, site, position)
	return inScope(v.who, all, err, func(r *faultline.RuleInstance) string { return r.Site })
}

// Forecasts in scope.
func (v *view) Forecasts(ctx context.Context, site, position string) ([]faultline.Forecast, error) {
	all, err := v.in.Forecasts(ctx, site, position)
	return inScope(v.who, all, err, func(f *faultline.Forecast) string { return f.Site })
}

// Inspections in scope.
func (v *view) Inspections(ctx context.Context, f store.InspectionFilter) ([]faultline.Inspection, error) {
	f.Sites = v.who.sites
	return v.in.Inspections(ctx, f)
}

// Alarms in scope.
func (v *view) Alarms(ctx context.Context, f store.AlarmFilter) ([]faultline.Alarm, int, error) {
	f.Sites = v.who.sites
	return v.in.Alarms(ctx, f)
}

// Alarm in scope.
func (v *view) Alarm(ctx context.Context, id string) (faultline.Alarm, error) {
	a, err := v.in.Alarm(ctx, id)
	if err == nil && !v.who.has(a.Site) {
		return faultline.Alarm{}, hidden("alarm", id)
	}
	return a, err
}

// AlarmEvents of an alarm in scope.
func (v *view) AlarmEvents(ctx context.Context, alarm string, limit int) ([]faultline.AlarmEvent, error) {
	if _, err := v.Alarm(ctx, alarm); err != nil {
		return nil, err
	}
	return v.in.AlarmEvents(ctx, alarm, limit)
}

// Tickets in scope.
func (v *view) Tickets(ctx context.Context, f store.TicketFilter) ([]faultline.Ticket, int, error) {
	f.Sites = v.who.sites
	return v.in.Tickets(ctx, f)
}

// Ticket in scope.
func (v *view) Ticket(ctx context.Context, idOrNumber string) (faultline.Ticket, error) {
	t, err := v.in.Ticket(ctx, idOrNumber)
	if err == nil && !v.who.has(t.Site) {
		return faultline.Ticket{}, hidden("ticket", idOrNumber)
	}
	return t, err
}

// TicketEvents of a ticket in scope. Comments are among those who work; a customer reads what was said to them.
func (v *view) TicketEvents(ctx context.Context, id string) ([]faultline.TicketEvent, error) {
	if _, err := v.Ticket(ctx, id); err != nil {
		return nil, err
	}
	events, err := v.in.TicketEvents(ctx, id)
	if err != nil || v.who.role != faultline.RoleCustomer {
		return events, err
	}
	return slices.DeleteFunc(events, func(e faultline.TicketEvent) bool { return e.Kind == faultline.EventComment }), nil
}

// Evidence of a ticket in scope.
func (v *view) Evidence(ctx context.Context, ticket string) ([]faultline.Evidence, error) {
	if _, err := v.Ticket(ctx, ticket); err != nil {
		return nil, err
	}
	return v.in.Evidence(ctx, ticket)
}

// AddTicket adds a ticket at a site in scope; one of no site is for those who see all.
func (v *view) AddTicket(ctx context.Context, t faultline.Ticket, events []faultline.TicketEvent, evidence []faultline.Evidence) (faultline.Ticket, error) {
	if !v.who.has(t.Site) {
		return faultline.Ticket{}, hidden("site", quoteShort(t.Site))
	}
	return v.in.AddTicket(ctx, t, events, evidence)
}

// ChangeTicket changes a ticket in scope that is the caller's to change.
func (v *view) ChangeTicket(ctx context.Context, idOrNumber string, version int, change func(*faultline.Ticket) ([]faultline.TicketEvent, error)) (faultline.Ticket, error) {
	if _, err := v.Ticket(ctx, idOrNumber); err != nil { // before a conflict could tell of it
		return faultline.Ticket{}, err
	}
	return v.in.ChangeTicket(ctx, idOrNumber, version, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		if err := v.own(t); err != nil {
			return nil, err
		}
		return change(t)
	})
}

// own refuses a technician what is not assigned to them or to a team of theirs. It looks at the ticket as it was
// before the change.
func (v *view) own(t *faultline.Ticket) error {
	switch {
	case !v.who.has(t.Site):
		return hidden("ticket", t.Number)
	case v.who.role != faultline.RoleTechnician || v.who.by == t.Assignee || t.Assignee != "" && slices.Contains(v.teams, t.Assignee):
		return nil
	}
	whose := "nobody"
	if t.Assignee != "" {
		whose = t.Assignee
	}
	return forbidden("ticket %s is assigned to %s: a technician changes only tickets that are assigned to them or their team; an agent can assign it", t.Number, whose)
}

// AlarmHistory in scope.
func (v *view) AlarmHistory(ctx context.Context, f store.FigureFilter) ([]faultline.Alarm, []faultline.AlarmEvent, error) {
	f.Sites = v.who.sites
	return v.in.AlarmHistory(ctx, f)
}

// Faults in scope.
func (v *view) Faults(ctx context.Context, f store.FigureFilter) ([]faultline.Ticket, error) {
	f.Sites = v.who.sites
	return v.in.Faults(ctx, f)
}

// Teams that serve a site in scope.
func (v *view) Teams(ctx context.Context) ([]faultline.Team, error) {
	all, err := v.in.Teams(ctx)
	if err != nil || len(v.who.sites) == 0 {
		return all, err
	}
	return slices.DeleteFunc(all, func(t faultline.Team) bool { return len(t.Sites) > 0 && !slices.ContainsFunc(t.Sites, v.who.has) }), nil
}

// Received tickets in scope.
func (v *view) Received(ctx context.Context, f store.FigureFilter) ([]faultline.Ticket, error) {
	f.Sites = v.who.sites
	return v.in.Received(ctx, f)
}

// LedgerRows in scope.
func (v *view) LedgerRows(ctx context.Context) ([]faultline.LedgerRow, error) {
	all, err := v.in.LedgerRows(ctx)
	return inScope(v.who, all, err, func(r *faultline.LedgerRow) string { return r.Site })
}

// FindDeadLetters in scope.
func (v *view) FindDeadLetters(ctx context.Context, f store.DeadLetterFilter) ([]faultline.DeadLetter, int, error) {
	f.Sites = v.who.sites
	return v.in.FindDeadLetters(ctx, f)
}

// DeadGroups in scope. What was dropped is of all sites together: nobody's who sees only some.
func (v *view) DeadGroups(ctx context.Context, limit int, _ ...string) ([]faultline.DeadGroup, int64, error) {
	groups, dropped, err := v.in.DeadGroups(ctx, limit, v.who.sites...)
	if len(v.who.sites) > 0 {
		dropped = 0
	}
	return groups, dropped, err
}

// ForgetDeadLetters of sites in scope.
func (v *view) ForgetDeadLetters(ctx context.Context, ids ...int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	letters, _, err := v.FindDeadLetters(ctx, store.DeadLetterFilter{IDs: ids})
	if err != nil {
		return 0, err
	}
	mine := make([]int64, len(letters))
	for i := range letters {
		mine[i] = letters[i].ID
	}
	return v.in.ForgetDeadLetters(ctx, mine...)
}

// AuditEntries are about all sites; only admins come here.
func (v *view) AuditEntries(ctx context.Context, f store.AuditFilter) ([]faultline.AuditEntry, int, error) {
	return v.in.AuditEntries(ctx, f)
}

// contentsFor gives the copy of the book as the caller may see it.
func (s *Server) contentsFor(c *call) (contents, error) {
	b, err := s.book.open(c.Request.Context())
	if err != nil || len(c.who.sites) == 0 {
		return b, err
	}
	n := b // contract versions and calendars are looked up by what is in scope, never listed
	n.sites, n.positions, n.site, n.position = nil, nil, map[string]*faultline.Site{}, map[place]*faultline.Position{}
	for i := range b.sites {
		if c.who.has(b.sites[i].ID) {
			n.sites = append(n.sites, b.sites[i])
		}
	}
	for i := range b.positions {
		if c.who.has(b.positions[i].Site) {
			n.positions = append(n.positions, b.positions[i])
		}
	}
	n.contracts = contractsFor(c.who, b.contracts, n.sites, n.positions)
	n.index()
	return n, nil
}

// checkScope refuses a path that names a site out of scope, whatever stands there.
func (c *call) checkScope() error {
	for _, p := range c.Params {
		if p.Key == "site" && !c.who.has(p.Value) {
			return hidden("site", quoteShort(p.Value))
		}
	}
	if c.route.whole && len(c.who.sites) > 0 {
		return forbidden("this is about all sites together; you see %s", strings.Join(c.who.sites, ", "))
	}
	return nil
}
