package api

import (
	"cmp"
	"fmt"
	"strings"

	faultline "github.com/faultline-iot/faultline"
)

// open makes a ticket of a person's report.
func (s *Server) open(c *call, r *Report) (faultline.Ticket, error) {
	ctx := c.Request.Context()
	r.Kind, r.Urgency, r.ReceivedAt = cmp.Or(r.Kind, faultline.TicketManual), cmp.Or(r.Urgency, 2), r.ReceivedAt.UTC()
	if r.Kind != faultline.TicketManual && r.Kind != faultline.TicketImprovement {
		return faultline.Ticket{}, &refusal{invalid("kind: %q is not opened by hand", r.Kind), []string{string(faultline.TicketManual), string(faultline.TicketImprovement)}, nil}
	}
	if err := checkText("title", r.Title, 1, maxWord); err != nil {
		return faultline.Ticket{}, err
	}
	if err := checkText("text", r.Text, 0, maxText); err != nil {
		return faultline.Ticket{}, err
	}
	if r.Urgency < 1 || r.Urgency > 3 {
		return faultline.Ticket{}, invalid("urgency: %d: use 1 to 3", r.Urgency)
	}
	if r.ReceivedAt.IsZero() {
		r.ReceivedAt = c.now
	} else if r.ReceivedAt.After(c.now) {
		return faultline.Ticket{}, invalid("received_at: it is still to come")
	}
	b, err := s.contentsFor(c)
	if err != nil {
		return faultline.Ticket{}, err
	}
	site := b.site[r.Site]
	if site == nil {
		return faultline.Ticket{}, invalid("site: there is no site %q", r.Site)
	}
	t := faultline.Ticket{
		Kind: r.Kind, Maintenance: faultline.Corrective, Status: faultline.StatusNew, Urgency: r.Urgency, Impact: cmp.Or(r.Impact, faultline.CriticalityC), Site: r.Site, Position: r.Position,
		Title: strings.TrimSpace(r.Title), Text: strings.TrimSpace(r.Text), Assignee: strings.TrimSpace(r.Assignee), EventAt: r.ReceivedAt, ReceivedAt: r.ReceivedAt, Count: 1, Suggest: "remote", Due: r.Due.UTC(),
		Coverage: faultline.Coverage{State: faultline.CoverageUnknown, Term: "no asset named"},
	}
	if err := c.checkAssignee(r.Site, r.Assignee); err != nil {
		return faultline.Ticket{}, err
	}
	customer := site.Customer
	if r.Position != "" {
		p := b.position[place{r.Site, r.Position}]
		if p == nil {
			return t, invalid("position: site %s has no position %q", r.Site, r.Position)
		}
		t.Serial, t.Impact, t.Coverage = p.Asset.Serial, cmp.Or(r.Impact, p.Asset.Criticality, faultline.CriticalityC), b.coverage(p, r.ReceivedAt)
		customer = cmp.Or(p.Asset.Customer, customer)
	}
	if t.Impact.Impact() == 1 && t.Impact != faultline.CriticalityC {
		return t, invalid("impact: %q: use A, B or C", r.Impact)
	}
	t.Priority = faultline.PriorityOf(t.Impact, t.Urgency)
	if k := faultline.ContractFor(b.contracts, r.Site, customer, r.ReceivedAt); k != nil {
		t.Contract, t.ContractVersion = k.ID, k.Version
	}
	made, err := c.store.AddTicket(ctx, t, []faultline.TicketEvent{{At: c.now, By: c.by, Kind: faultline.EventOpened, To: string(faultline.StatusNew), Text: t.Text}}, nil)
	if err != nil {
		return made, err
	}
	s.tellChange(&made, c, "opened")
	return made, nil
}

func (s *Server) postReport(c *call) (any, error) {
	var r Report
	if err := c.readJSON(&r); err != nil {
		return nil, err
	}
	t, err := s.open(c, &r)
	if err != nil {
		return nil, err
	}
	return s.view(c, t)
}

// amend corrects a ticket.
func (s *Server) amend(c *call, m *Amend) (faultline.Ticket, error) {
	ctx := c.Request.Context()
	if err := checkText("reason", m.Reason, 0, maxText); err != nil {
		return faultline.Ticket{}, err
	}
	a := faultline.Amendment{Impact: m.Impact, Urgency: m.Urgency, ReceivedAt: m.ReceivedAt.UTC(), Assignee: m.Assignee, Reason: m.Reason}
	if m.ReceivedAt.IsZero() {
		a.ReceivedAt = m.ReceivedAt
	}
	if a.Assignee != nil {
		if err := checkText("assignee", *a.Assignee, 0, maxWord); err != nil {
			return faultline.Ticket{}, err
		}
		was, err := c.store.Ticket(ctx, c.Param("id"))
		if err == nil && strings.TrimSpace(*a.Assignee) != was.Assignee {
			err = c.checkAssignee(was.Site, *a.Assignee)
		}
		if err != nil {
			return faultline.Ticket{}, err
		}
	}
	if m.Contract != "" {
		b, err := s.contentsFor(c)
		if err != nil {
			return faultline.Ticket{}, err
		}
		if a.Contract = b.contract(m.Contract, m.ContractVersion); a.Contract == nil {
			return faultline.Ticket{}, invalid("contract: there is no %s", strings.TrimSuffix(fmt.Sprintf("%s@%d", m.Contract, m.ContractVersion), "@0"))
		}
	}
	t, err := c.store.ChangeTicket(ctx, c.Param("id"), m.Version, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		return t.Amend(a, c.by, c.now)
	})
	if err == nil {
		s.tellChange(&t, c, "corrected")
	}
	return t, err
}

func (s *Server) postAmend(c *call) (any, error) {
	var m Amend
	if err := c.readJSON(&m); err != nil {
		return nil, err
	}
	t, err := s.amend(c, &m)
	if err != nil {
		return nil, err
	}
	return s.view(c, t)
}
