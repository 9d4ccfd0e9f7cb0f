package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

const (
	shownAssets  = 60 // on the overview
	shownTickets = 8
	pageRows     = 50
	valuesEach   = 2 * time.Second // pages fetch themselves anew for new values at most this often
)

func (s *Server) overviewPage(c *call) (any, error) {
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &f.contents)
	assets := s.assets(f, assetFilter{})
	ledger, err := s.ledger(c)
	if err != nil {
		return nil, err
	}
	desk, err := s.deskTile(c)
	if err != nil {
		return nil, err
	}
	v := console.Overview{Tickets: len(f.tickets), Hidden: max(0, len(assets)-shownAssets)}
	v.Tiles = []console.Tile{assetTile(assets), alarmTile(f), ticketTile(f), desk, s.dataTile(c.now, &ledger)}

	byNeed(f.tickets, &f.contents, c.now)
	v.Next = m.tickets(f.tickets[:min(len(f.tickets), shownTickets)])
	if s.demo {
		if v.Guide, err = s.guide(c, f); err != nil {
			return nil, err
		}
	}
	for _, a := range assets[:min(len(assets), shownAssets)] {
		i := slices.IndexFunc(v.Sites, func(g console.SiteGroup) bool { return g.ID == a.Site })
		if i < 0 {
			g := console.SiteGroup{ID: a.Site, Name: f.siteName(a.Site)}
			if site := f.site[a.Site]; site != nil {
				g.Customer = site.Customer
			}
			v.Sites = append(v.Sites, g)
			i = len(v.Sites) - 1
		}
		v.Sites[i].Assets = append(v.Sites[i].Assets, m.card(&a, s.points(&a.Position, c.now)))
	}
	// The worst asset does not decide the order of sites: pages keep still.
	slices.SortStableFunc(v.Sites, func(a, b console.SiteGroup) int { return strings.Compare(a.Name, b.Name) })
	return framed{shell: s.shell(c, "overview", "Overview", "alarm ticket inspection", valuesEach), view: v}, nil
}

// byNeed sorts tickets: priority first, then what is due next; those waiting for their closing last.
func byNeed(list []faultline.Ticket, b *contents, now time.Time) {
	due := func(t *faultline.Ticket) time.Time {
		if k := t.Clocks(b.service(t), now).Next(); !k.Due.IsZero() {
			return k.Due
		}
		return now.Add(100 * 365 * 24 * time.Hour)
	}
	slices.SortStableFunc(list, func(a, b faultline.Ticket) int {
		if ra, rb := a.Status == faultline.StatusResolved, b.Status == faultline.StatusResolved; ra != rb {
			if ra {
				return 1
			}
			return -1
		}
		if o := strings.Compare(string(a.Priority), string(b.Priority)); o != 0 {
			return o
		}
		return due(&a).Compare(due(&b))
	})
}

func assetTile(assets []Asset) console.Tile {
	t := console.Tile{Name: "Assets", Figure: strconv.Itoa(len(assets)), Href: "/assets", Tone: "normal"}
	counts := map[AssetState]int{}
	for i := range assets {
		counts[assets[i].State]++
		if assets[i].NoData && assets[i].State != AssetNoData { // both hold: it is counted by both
			counts[AssetNoData]++
		}
	}
	for _, st := range assetStates {
		if n := counts[AssetState(st)]; n > 0 {
			t.Parts = append(t.Parts, console.TilePart{Pill: console.StatePill(st), Count: n, Href: "/assets?state=" + st})
		}
	}
	switch {
	case counts[AssetCritical] > 0:
		t.Tone = "critical"
	case counts[AssetWarning]+counts[AssetNoData] > 0:
		t.Tone = "warning"
	}
	return t
}

func alarmTile(f *fleet) console.Tile {
	t := console.Tile{Name: "Open alarms", Figure: strconv.Itoa(len(f.alarms)), Href: "/alarms", Tone: "normal"}
	counts, unacked := map[faultline.Severity]int{}, 0
	for i := range f.alarms {
		a := &f.alarms[i]
		counts[a.Severity]++
		if !a.Acked {
			unacked++
		}
	}
	for _, sev := range []faultline.Severity{faultline.SeverityCritical, faultline.SeverityWarning, faultline.SeverityAdvisory} {
		if counts[sev] > 0 {
			t.Parts = append(t.Parts, console.TilePart{Pill: console.SeverityPill(sev), Count: counts[sev]})
			if t.Tone == "normal" {
				t.Tone = sev.String()
			}
		}
	}
	t.Note = console.Text("none unacknowledged")
	if unacked > 0 {
		t.Note = console.Text("%d unacknowledged", unacked)
	}
	return t
}

// ticketTile counts the open tickets by priority, test tickets left out, and names what is due next.
func ticketTile(f *fleet) console.Tile {
	t := console.Tile{Name: "Open tickets", Href: "/tickets", Tone: "normal", Note: console.Text("nothing is due")}
	counts := map[faultline.Priority]int{}
	var next time.Time
	var number string
	n, overdue := 0, 0
	for i := range f.tickets {
		k := &f.tickets[i]
		if k.Test {
			continue
		}
		n++
		counts[k.Priority]++
		switch c := k.Clocks(f.service(k), f.now).Next(); {
		case c.State == faultline.ClockOverdue:
			overdue++
		case !c.Due.IsZero() && (next.IsZero() || c.Due.Before(next)):
			next, number = c.Due, k.Number
		}
	}
	t.Figure = strconv.Itoa(n)
	for _, p := range []faultline.Priority{faultline.P1, faultline.P2, faultline.P3, faultline.P4} {
		if counts[p] > 0 {
			t.Parts = append(t.Parts, console.TilePart{Pill: console.PriorityPill(p), Count: counts[p]})
			t.Parts[len(t.Parts)-1].Text = "× " + string(p)
		}
	}
	if counts[faultline.P1] > 0 {
		t.Tone = "critical"
	} else if n > 0 {
		t.Tone = "info"
	}
	switch {
	case overdue > 0:
		t.Tone, t.Note = "critical", console.Text("%d overdue", overdue)
	case !next.IsZero():
		t.Note = console.Text("next due in %s: %s", console.Span(next.Sub(f.now)), number)
	}
	return t
}

func (s *Server) dataTile(now time.Time, l *Ledger) console.Tile {
	t := console.Tile{Name: "Data", Figure: strconv.FormatFloat(s.latest.rate(now), 'f', 0, 64), Unit: "samples/s", Href: "/data", Tone: "normal"}
	t.Note = console.Text("%d frames, none missing", l.Total.Delivered)
	if lost := l.Total.Missing + l.Total.Dropped; lost > 0 {
		t.Tone, t.Note = "critical", console.Text("%d frames missing", lost)
	} else if l.Total.Dead > 0 {
		t.Tone, t.Note = "warning", console.Text("%d dead letters", l.Total.Dead)
	}
	return t
}

// guide leads through the demonstration; what happened already is ticked off.
func (s *Server) guide(c *call, f *fleet) ([]console.Step, error) {
	no := false
	all, _, err := c.store.Tickets(c.Request.Context(), store.TicketFilter{MadeUp: &no, Limit: 200})
	if err != nil {
		return nil, err
	}
	var fault, inspection *faultline.Ticket
	test := false
	for i := range all {
		switch t := &all[i]; {
		case t.Test:
			test = true
		case t.Kind == faultline.TicketFault && (fault == nil || t.ReceivedAt.Before(fault.ReceivedAt)):
			fault = t
		case t.Kind == faultline.TicketInspection && (inspection == nil || t.ReceivedAt.Before(inspection.ReceivedAt)):
			inspection = t
		}
	}
	if fault == nil {
		return []console.Step{{Text: console.Text("Wait a moment: something is about to break, and a ticket will appear here by itself")}}, nil
	}
	href := ticketHref(fault.Number)
	alarms, err := s.alarmsOf(c, fault)
	if err != nil {
		return nil, err
	}
	acked := !slices.ContainsFunc(alarms, func(a faultline.Alarm) bool { return !a.Acked })
	past := func(list ...faultline.Status) bool { return slices.Contains(list, fault.Status) }
	ended := past(faultline.StatusResolved, faultline.StatusClosed)
	begun := ended || past(faultline.StatusInProgress, faultline.StatusWaitingCustomer, faultline.StatusWaitingParts)
	steps := []console.Step{
		{Text: console.Text("A fault has raised ticket %s: open it and look at its picture", fault.Number), Href: href, Done: begun || acked || fault.Status != faultline.StatusNew},
		{Text: console.Text("Acknowledge its alarms"), Href: href + "#do", Done: acked},
		{Text: console.Text("Tell the customer: this stops the response clock"), Href: href + "#history", Done: !fault.Clocks(faultline.DefaultService, c.now).Response.Stopped.IsZero()},
		{Text: console.Text("Triage it, then begin the repair"), Href: href + "#do", Done: begun},
		{Text: console.Text("Resolve it: say what was found, tested and told"), Href: href + "#do", Done: ended},
		{Text: console.Text("Close it, as confirmed by the customer"), Href: href + "#do", Done: past(faultline.StatusClosed)},
	}
	if inspection != nil {
		steps = append(steps, console.Step{Text: console.Text("Running hours have raised a preventive inspection: %s", inspection.Number), Href: ticketHref(inspection.Number), Done: !inspection.Status.Open() || inspection.Status == faultline.StatusResolved})
	}
	if len(f.positions) > 0 {
		p := f.positions[0]
		steps = append(steps, console.Step{Text: console.Text("Send a test alarm from an asset's page"), Href: assetHref(p.Site, p.ID) + "#test", Done: test},
			console.Step{Text: console.Text("See that no frame was lost"), Href: "/data"})
	}
	return steps, nil
}

func (s *Server) assetsPage(c *call) (any, error) {
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	filter := assetFilter{site: c.Query("site"), state: c.Query("state"), text: c.Query("text")}
	all := s.assets(f, filter)
	m := s.rows(c, &f.contents)
	at := offset(c)
	v := console.Assets{Text: filter.text, Sites: siteOptions(&f.contents, filter.site), States: options("All states", assetStates, filter.state, word), Pager: pager(c, len(all), pageRows, at, "assets")}
	for _, a := range window(all, pageRows, at) {
		v.Rows = append(v.Rows, m.card(&a, s.points(&a.Position, c.now)))
	}
	shell := s.shell(c, "assets", "Assets", "alarm ticket", 2*valuesEach)
	shell.Site = filter.site
	return framed{shell: shell, view: v}, nil
}
