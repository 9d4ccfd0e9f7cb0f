package api

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

func (s *Server) assetPage(c *call) (any, error) {
	ctx := c.Request.Context()
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	a := s.asset(f, p)
	alarms, _, err := c.store.Alarms(ctx, store.AlarmFilter{Site: p.Site, Position: p.ID})
	if err != nil {
		return nil, err
	}
	alarms = slices.DeleteFunc(alarms, func(a faultline.Alarm) bool { return a.State(c.now) == faultline.AlarmNormal })
	inspections, err := c.store.Inspections(ctx, store.InspectionFilter{Site: p.Site, Position: p.ID})
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &f.contents, append(ticketsOfAlarms(alarms), ticketsOfInspections(inspections)...)...)
	v := console.Asset{
		ID: p.ID, Name: p.Name, Site: p.Site, SiteName: f.siteName(p.Site), State: console.StatePill(string(a.State)), Facts: m.assetFacts(&a),
		Coverage: a.Coverage, CoveragePill: console.CoveragePill(a.Coverage), CoverageUntil: m.At(a.Coverage.Until), TestAction: assetHref(p.Site, p.ID) + "/test-alarm",
		NoData: a.NoData && a.State != AssetNoData, Status: console.Status(a.Status, a.Why), DeviceHref: deviceHref(p.Site, p.ID), Dashboard: s.dashboard(p, time.Time{}),
		OutAction: assetHref(p.Site, p.ID) + "/out-of-service", ReturnAction: assetHref(p.Site, p.ID) + "/return", Spans: spanOptions(faultline.LongestOutOfService),
	}
	d := s.device(f, p)
	row := m.device(&d)
	v.Reading = m.healthFacts(&d, &row)[3:8]
	points := s.points(p, c.now)
	for i := range points {
		v.Values = append(v.Values, m.value(&points[i]))
	}
	shell := s.shell(c, "assets", p.ID, "alarm ticket inspection write", valuesEach)
	shell.Site, shell.Position = p.Site, p.ID
	v.Alarms = m.alarms(alarms, shell.Href)
	for i := range alarms {
		if a := &alarms[i]; a.OutOfService != "" && v.Out == "" {
			v.Out = m.reason(a)
		}
	}
	written, _, err := c.store.Writes(ctx, store.WriteFilter{Site: p.Site, Position: p.ID, Limit: 5})
	if err != nil {
		return nil, err
	}
	v.Setpoints, v.MayWrite, v.Writes = m.writeForms(p, points), s.orders != nil && engineer.heldBy(c.who.role), m.writes(written, c.by, shell.Href)
	if err := s.assetWork(c, m, p, inspections, &v); err != nil {
		return nil, err
	}

	span := c.Query("range")
	if _, ok := ranges[span]; !ok {
		span = rangeNames[0]
	}
	for _, r := range rangeNames {
		v.Ranges = append(v.Ranges, console.Option{Value: r, Text: r, Chosen: r == span})
	}
	if v.Pictures, err = s.trendPictures(c, p, span); err != nil {
		// The page is of use without its history.
		s.log.Warn("history not read", "site", p.Site, "position", p.ID, "error", err)
		v.PicturesFailed = true
	}
	if v.Forecasts, err = s.forecastViews(c, m, p); err != nil {
		return nil, err
	}
	return framed{shell: shell, view: v}, nil
}

// assetWork fills in tickets, rules and inspections of a position.
func (s *Server) assetWork(c *call, m *rows, p *faultline.Position, inspections []faultline.Inspection, v *console.Asset) error {
	ctx := c.Request.Context()
	tickets, _, err := c.store.Tickets(ctx, store.TicketFilter{Site: p.Site, Position: p.ID, Limit: 20})
	if err != nil {
		return err
	}
	v.Tickets = m.tickets(tickets)
	rules, err := c.store.RuleInstances(ctx, p.Site, p.ID)
	if err != nil {
		return err
	}
	v.Rules = ruleRows(rules)
	plans, err := c.store.Plans(ctx)
	if err != nil {
		return err
	}
	for i := range inspections {
		v.Inspections = append(v.Inspections, m.inspection(&inspections[i], plans))
	}
	return nil
}

func (m *rows) assetFacts(a *Asset) []console.Fact {
	model := strings.TrimSpace(a.Asset.Manufacturer + " " + a.Asset.Model)
	facts := []console.Fact{
		m.when("Last data", a.LastDataAt), fact("Kind", console.Word(a.Kind)), fact("Model", model), fact("Serial number", a.Asset.Serial),
		fact("Criticality", string(a.Asset.Criticality)), fact("Customer", a.Asset.Customer), fact("Gateway", a.Gateway), fact("Profile", a.Profile), fact("Address", a.Address),
	}
	if a.Parent != "" {
		facts = append(facts, console.Fact{Name: "Part of", Text: a.Parent, Href: assetHref(a.Site, a.Parent)})
	}
	if !a.Asset.Commissioned.IsZero() {
		facts = append(facts, fact("Commissioned", a.Asset.Commissioned.Format("2 Jan 2006")))
	}
	return facts
}

// ruleGroup is what rules have in common that stand in one row.
type ruleGroup struct {
	Title, ID, Kind, Mode, Delays string
	Version                       int
}

// ruleRows puts a rule that watches many points in the same way into one row.
func ruleRows(rules []faultline.RuleInstance) []console.RuleRow {
	var out []console.RuleRow
	at := map[ruleGroup]int{}
	for i := range rules {
		r := &rules[i]
		row := ruleRow(r)
		title, _, named := strings.Cut(r.Title, ": ")
		id, suffixed := strings.CutSuffix(r.Rule, "-"+strings.ReplaceAll(r.Point, "_", "-"))
		if !named || !suffixed || r.Point == "" || len(r.Limits) > 0 {
			out = append(out, row)
			continue
		}
		g := ruleGroup{Title: title, ID: id, Kind: row.Kind, Mode: row.Mode, Delays: row.Delays, Version: row.Version}
		if n, ok := at[g]; ok {
			first := &out[n]
			if first.Points == nil {
				first.Title, first.ID, first.Points = title, id, []string{first.Point}
			}
			first.Points = append(first.Points, row.Point)
			continue
		}
		at[g] = len(out)
		out = append(out, row)
	}
	return out
}

func ruleRow(r *faultline.RuleInstance) console.RuleRow {
	out := console.RuleRow{Title: r.Title, ID: r.Rule, Kind: r.Kind, Point: r.Point, Mode: r.FailureMode, Version: r.Version}
	for _, l := range r.Limits {
		out.Limits = append(out.Limits, strings.TrimSpace(fmt.Sprintf("%s %s %s", l.Name, faultline.Float(l.Value), r.Unit)))
	}
	if r.OnDelay > 0 || r.OffDelay > 0 {
		out.Delays = console.Text("on %s, off %s", r.OnDelay, r.OffDelay)
	}
	return out
}

// drawn keeps pictures for as long as they would hardly change: many browsers look at the same ones,
// and every look at a month of values costs a query.
type drawn struct {
	mu       sync.Mutex
	pictures map[drawnKey]drawnPictures
}

type drawnKey struct {
	place
	span string
}

type drawnPictures struct {
	until    time.Time
	pictures []console.Picture
}

const maxDrawn = 128

func (s *Server) trendPictures(c *call, p *faultline.Position, span string) ([]console.Picture, error) {
	now := c.now
	names := trends(p)
	if len(names) == 0 {
		return nil, nil
	}
	key := drawnKey{place{p.Site, p.ID}, span}
	s.drawn.mu.Lock()
	known, ok := s.drawn.pictures[key]
	s.drawn.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.pictures, nil
	}
	charts, err := s.pictures(c, p, names, ranges[span])
	if err != nil {
		return nil, err
	}
	out := make([]console.Picture, len(charts))
	for i, p := range charts {
		out[i] = console.Picture{Title: p.Title, SVG: template.HTML(p.SVG())} // chart escapes all text
	}
	s.drawn.mu.Lock()
	defer s.drawn.mu.Unlock()
	if s.drawn.pictures == nil || len(s.drawn.pictures) >= maxDrawn {
		s.drawn.pictures = map[drawnKey]drawnPictures{}
	}
	s.drawn.pictures[key] = drawnPictures{now.Add(min(max(ranges[span]/600, 3*time.Second), time.Minute)), out}
	return out, nil
}
