package api

import (
	"errors"
	"net/http"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

// clockFormat is how a form gives a moment (an input of type datetime-local), in the console's zone.
const clockFormat = "2006-01-02T15:04"

// formTime reads a moment of a form; the zero time if it is left empty.
func (s *Server) formTime(c *call, name string) (time.Time, error) {
	v := c.PostForm(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(clockFormat, v, s.location)
	if err != nil {
		return t, invalid("%s: %q is no date and time", name, v)
	}
	return t, nil
}

func (s *Server) newTicketPage(c *call) (any, error) {
	return s.showNewTicket(c, Report{Kind: faultline.TicketKind(c.Query("kind")), Site: c.Query("site"), Position: c.Query("position")}, console.Notice{}, http.StatusOK)
}

// showNewTicket shows the form of a new ticket with what was entered.
func (s *Server) showNewTicket(c *call, r Report, notice console.Notice, code int) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	v := console.NewTicket{Title: r.Title, Text: r.Text, Assignee: r.Assignee, Urgencies: console.Urgencies(r.Urgency), Received: localClock(r.ReceivedAt, s.location), Due: localClock(r.Due, s.location), Improvement: r.Kind == faultline.TicketImprovement}
	for _, p := range b.positions {
		id := p.Site + "/" + p.ID
		v.Places = append(v.Places, console.Option{Value: id, Text: p.ID + " · " + b.siteName(p.Site), Chosen: id == r.Site+"/"+r.Position})
	}
	for _, site := range b.sites {
		v.Places = append(v.Places, console.Option{Value: site.ID + "/", Text: console.Text("%s, no asset", b.siteName(site.ID)), Chosen: r.Position == "" && r.Site == site.ID})
	}
	if v.People, _, err = c.store.Assignees(c.Request.Context(), r.Site); err != nil {
		return nil, err
	}
	shell := s.shell(c, "tickets", "New ticket", "", 0)
	shell.Notice = notice
	return framed{shell: shell, view: v, code: code}, nil
}

// localClock is a moment as a form shows it; "" for the zero time.
func localClock(t time.Time, l *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(l).Format(clockFormat)
}

func (s *Server) newTicketForm(c *call) (any, error) {
	urgency, err := formInteger(c, "urgency")
	if err != nil {
		return nil, err
	}
	r := Report{Kind: faultline.TicketKind(c.PostForm("kind")), Title: c.PostForm("title"), Text: c.PostForm("text"), Urgency: urgency, Assignee: c.PostForm("assignee")}
	r.Site, r.Position = splitPlace(c.PostForm("place"))
	var times [2]time.Time
	for i, name := range []string{"received_at", "due"} {
		if times[i], err = s.formTime(c, name); err != nil {
			return nil, err
		}
	}
	r.ReceivedAt, r.Due = times[0], times[1]
	entered := r
	t, err := s.open(c, &r)
	if err != nil {
		n, fault := c.refused(err)
		if fault != nil {
			return nil, err
		}
		p, _ := problemOf(err)
		return s.showNewTicket(c, entered, n, p.Status)
	}
	return s.back(ticketHref(t.Number), console.Notice{Text: console.Text("%s opened", t.Number)}), nil
}

func splitPlace(v string) (site, position string) {
	for i := range v {
		if v[i] == '/' {
			return v[:i], v[i+1:]
		}
	}
	return v, ""
}

func (s *Server) amendForm(c *call) (any, error) {
	version, err := formInteger(c, "version")
	if err != nil {
		return nil, err
	}
	urgency, err := formInteger(c, "urgency")
	if err != nil {
		return nil, err
	}
	m := Amend{Impact: faultline.Criticality(c.PostForm("impact")), Urgency: urgency, Contract: c.PostForm("contract"), Reason: c.PostForm("reason"), Version: version}
	if m.ReceivedAt, err = s.formTime(c, "received_at"); err != nil {
		return nil, err
	}
	t, err := s.ticket(c)
	if err != nil {
		return nil, err
	}
	if localClock(m.ReceivedAt, s.location) == localClock(t.ReceivedAt, s.location) {
		m.ReceivedAt = time.Time{} // a form has no seconds: the same minute is no correction
	}
	if m.Contract == t.Contract {
		m.Contract = ""
	}
	if _, sent := c.Request.PostForm["assignee"]; sent {
		who := c.PostForm("assignee")
		m.Assignee = &who
	}
	t, err = s.amend(c, &m)
	if err != nil {
		if errors.Is(err, faultline.ErrNotFound) {
			return nil, err
		}
		return s.again(c, console.Entered{Reason: m.Reason, Amend: true}, err)
	}
	return s.back(ticketHref(t.Number), console.Notice{Text: console.Text("%s corrected", t.Number)}), nil
}

// amendView is what the form of corrections shows, to those who may correct: others need not know who works here.
func (s *Server) amendView(c *call, b *contents, t *faultline.Ticket, entered console.Entered) (*console.AmendForm, error) {
	if !t.Status.Open() || !agent.heldBy(c.who.role) {
		return nil, nil
	}
	people, _, err := c.store.Assignees(c.Request.Context(), t.Site)
	if err != nil {
		return nil, err
	}
	v := &console.AmendForm{Assignee: t.Assignee, People: people, Received: localClock(t.ReceivedAt, s.location), Urgencies: console.Urgencies(t.Urgency), Open: entered.Amend, Reason: entered.Reason}
	for _, k := range []faultline.Criticality{faultline.CriticalityA, faultline.CriticalityB, faultline.CriticalityC} {
		v.Impacts = append(v.Impacts, console.Option{Value: string(k), Text: console.Impact(k), Chosen: k == t.Impact})
	}
	for _, k := range b.contracts {
		v.Contracts = append(v.Contracts, console.Option{Value: k.ID, Text: k.ID + " · " + k.Name, Chosen: k.ID == t.Contract})
	}
	return v, nil
}
