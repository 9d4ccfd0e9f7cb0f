package api

import (
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

// rows makes the rows of pages.
type rows struct {
	console.Maker
	*contents
	numbers map[string]string // of tickets, by id
}

// rows makes a maker of rows; the tickets are those that alarms and inspections on the page name.
func (s *Server) rows(c *call, b *contents, tickets ...string) *rows {
	m := &rows{console.Maker{Now: c.now, Location: s.location}, b, map[string]string{}}
	for _, id := range tickets {
		if _, ok := m.numbers[id]; ok || id == "" {
			continue
		}
		m.numbers[id] = "" // one that cannot be read is shown without its number
		if t, err := c.store.Ticket(c.Request.Context(), id); err == nil {
			m.numbers[id] = t.Number
		}
	}
	return m
}

func ticketsOfAlarms(list []faultline.Alarm) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Ticket
	}
	return out
}

func ticketsOfInspections(list []faultline.Inspection) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Ticket
	}
	return out
}

// ticketLink leads to a ticket named by its id.
func (m *rows) ticketLink(id string) console.Link {
	if number := m.numbers[id]; number != "" {
		return console.Link{Href: ticketHref(number), Text: number}
	} else if id != "" {
		return console.Link{Href: ticketHref(id), Text: console.Text("open")}
	}
	return console.Link{}
}

func (m *rows) asset(site, position string) console.Link {
	if position == "" {
		return console.Link{Text: m.siteName(site)}
	}
	l := console.Link{Href: assetHref(site, position), Text: position}
	if p := m.position[place{site, position}]; p != nil && p.Name != "" {
		l.Text += " " + p.Name
	} else if p == nil {
		l.Href = ""
	}
	return l
}

func (m *rows) alarm(a *faultline.Alarm, back string) console.AlarmRow {
	r := console.AlarmRow{
		ID: a.ID, Title: a.Title, Why: a.Why, Rule: a.Rule, State: console.AlarmPill(a, m.Now), Severity: console.SeverityPill(a.Severity),
		Asset: m.asset(a.Site, a.Position), Raised: m.At(a.RaisedAt), Cleared: m.At(a.ClearedAt), Count: a.Count, MadeUp: a.MadeUp, Chattering: a.Chattering, Back: back,
		Href: alarmHref(a.Site, a.Position, a.Rule), Reason: m.reason(a),
	}
	if r.Title == "" {
		r.Title = a.Rule
	}
	r.Ticket = m.ticketLink(a.Ticket)
	m.deeds(a, &r)
	return r
}

func (m *rows) alarms(list []faultline.Alarm, back string) []console.AlarmRow {
	out := make([]console.AlarmRow, len(list))
	for i := range list {
		out[i] = m.alarm(&list[i], back)
	}
	return out
}

func (m *rows) ticket(t *faultline.Ticket) console.TicketRow {
	r := console.TicketRow{
		Href: ticketHref(t.Number), Number: t.Number, Title: t.Title, Kind: string(t.Kind), Priority: console.PriorityPill(t.Priority), Status: console.StatusPill(t.Status),
		Asset: m.asset(t.Site, t.Position), Received: m.At(t.ReceivedAt), Count: t.Count, MadeUp: t.MadeUp, Test: t.Test, Late: t.Late,
	}
	if t.Status.Open() {
		r.Due = m.nextDue(t)
	}
	return r
}

// nextDue is the first clock that still runs.
func (m *rows) nextDue(t *faultline.Ticket) *console.Due {
	c := t.Clocks(m.service(t), m.Now)
	for _, d := range []*console.Due{m.Due("response", c.Response), m.Due("solution", c.Answer), m.Due("promise", c.Promise), m.Due("update", c.Update)} {
		if d != nil && d.Stopped == (console.Moment{}) {
			return d
		}
	}
	return nil
}

func (m *rows) tickets(list []faultline.Ticket) []console.TicketRow {
	out := make([]console.TicketRow, len(list))
	for i := range list {
		out[i] = m.ticket(&list[i])
	}
	return out
}

func (m *rows) inspection(i *faultline.Inspection, plans []faultline.Plan) console.InspectionRow {
	v := viewInspection(*i, m.Now)
	tone := map[faultline.InspectionStatus]string{faultline.InspectionDue: "warning", faultline.InspectionInProgress: "info", faultline.InspectionDone: "normal"}[i.Status]
	r := console.InspectionRow{
		Plan: i.Plan, Site: i.Site, Asset: m.asset(i.Site, i.Position), Cycle: i.Cycle, Status: console.Pill{Tone: tone, Text: console.Word(i.Status)}, Overdue: v.Overdue,
		DueAt: m.At(i.DueAt), Until: m.At(i.Until), Done: m.At(i.DoneAt), MadeUp: i.MadeUp, Reading: faultline.Float(i.Reading).String(),
	}
	for _, p := range plans {
		if p.ID == i.Plan {
			r.Plan, r.Reading = p.Title, strings.TrimSpace(r.Reading+" "+p.Unit)
		}
	}
	r.Ticket = m.ticketLink(i.Ticket)
	return r
}

func (m *rows) card(a *Asset, points []Point) console.AssetCard {
	c := console.AssetCard{
		Href: assetHref(a.Site, a.ID), ID: a.ID, Name: a.Name, Kind: a.Kind, Model: a.Asset.Model, Serial: a.Asset.Serial, Site: a.Site,
		State: console.StatePill(string(a.State)), Seen: m.At(a.LastDataAt), Alarms: a.OpenAlarms, Tickets: a.OpenTickets, Coverage: console.CoveragePill(a.Coverage),
		NoData: a.NoData && a.State != AssetNoData, Status: console.Status(a.Status, a.Why),
	}
	for i := range points {
		if p := &points[i]; p.Trend && len(c.Values) < 3 && !p.At.IsZero() {
			c.Values = append(c.Values, m.value(p))
		}
	}
	return c
}

func (m *rows) value(p *Point) console.Value {
	v := console.Value{Name: p.Name, Title: titleOf(&p.Point), Text: p.shown, Missing: p.At.IsZero() || p.Quality.IsBad(), Quality: console.QualityPill(p.Quality), Seen: m.At(p.At)}
	if v.Missing {
		v.Text = console.Text("no value")
	}
	if p.Good != nil {
		v.Good, v.GoodSeen = p.Good.shown, m.At(p.Good.At)
	}
	return v
}

// when is a fact with a time.
func (m *rows) when(name string, t time.Time) console.Fact {
	at := m.At(t)
	return console.Fact{Name: name, When: &at}
}

func fact(name, text string) console.Fact { return console.Fact{Name: name, Text: text} }
