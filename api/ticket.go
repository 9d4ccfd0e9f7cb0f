package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/chart"
	"github.com/faultline-iot/faultline/internal/store"
)

func (s *Server) listTickets(c *call) (any, error) {
	f, err := ticketFilter(c)
	if err != nil {
		return nil, err
	}
	rows, total, err := c.store.Tickets(c.Request.Context(), f)
	if err != nil {
		return nil, err
	}
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	out := make([]Ticket, len(rows))
	for i := range rows {
		out[i] = viewTicket(rows[i], b.service(&rows[i]), c.now)
	}
	return cut(out, total, f.Limit, f.Offset), nil
}

func ticketFilter(c *call) (f store.TicketFilter, err error) {
	if f.Limit, f.Offset, err = c.paging(); err != nil {
		return f, err
	}
	f.Site, f.Position, f.Text = c.Query("site"), c.Query("position"), c.Query("text")
	if k := c.Query("kind"); k != "" {
		f.Kind = []faultline.TicketKind{faultline.TicketKind(k)}
	}
	for _, v := range c.list("status") {
		if !slices.Contains(statuses, v) {
			return f, &refusal{invalid("parameter status: %q is no status", v), statuses, nil}
		}
		f.Status = append(f.Status, faultline.Status(v))
	}
	for _, b := range []struct {
		name string
		into **bool
	}{{"open", &f.Open}, {"made_up", &f.MadeUp}, {"test", &f.Test}} {
		if *b.into, err = c.boolean(b.name); err != nil {
			return f, err
		}
	}
	return f, nil
}

// ticket finds the ticket that the path names by id or number.
func (s *Server) ticket(c *call) (faultline.Ticket, error) {
	return c.store.Ticket(c.Request.Context(), c.Param("id"))
}

func (s *Server) getTicket(c *call) (any, error) {
	t, err := s.ticket(c)
	if err != nil {
		return nil, err
	}
	return s.view(c, t)
}

// view is the ticket with its clocks.
func (s *Server) view(c *call, t faultline.Ticket) (Ticket, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return Ticket{}, err
	}
	return viewTicket(t, b.service(&t), c.now), nil
}

func (s *Server) listTicketEvents(c *call) (any, error) {
	t, err := s.ticket(c)
	if err != nil {
		return nil, err
	}
	events, err := c.store.TicketEvents(c.Request.Context(), t.ID)
	if err != nil {
		return nil, err
	}
	return whole(events), nil
}

func (s *Server) listEvidence(c *call) (any, error) {
	t, err := s.ticket(c)
	if err != nil {
		return nil, err
	}
	evidence, err := c.store.Evidence(c.Request.Context(), t.ID)
	if err != nil {
		return nil, err
	}
	return whole(evidence), nil
}

func (s *Server) evidencePicture(c *call) (any, error) {
	width, err := c.integer("width", 0, 200, 4000)
	if err != nil {
		return nil, err
	}
	t, err := s.ticket(c)
	if err != nil {
		return nil, err
	}
	evidence, err := c.store.Evidence(c.Request.Context(), t.ID)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(c.Param("n"))
	if err != nil || n < 1 || n > len(evidence) {
		return nil, fmt.Errorf("%w: ticket %s has %d pieces of evidence", faultline.ErrNotFound, t.Number, len(evidence))
	}
	return standalone(chart.FromEvidence(&evidence[n-1], s.location), width), nil
}

// alarmsOf a ticket: those that say so.
func (s *Server) alarmsOf(c *call, t *faultline.Ticket) ([]faultline.Alarm, error) {
	if t.Site == "" {
		return nil, nil
	}
	all, _, err := c.store.Alarms(c.Request.Context(), store.AlarmFilter{Site: t.Site, Position: t.Position})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a faultline.Alarm) bool { return a.Ticket != t.ID && a.Ticket != t.Number }), nil
}

// normal tells whether the condition that raised the ticket is over.
func normal(t *faultline.Ticket, alarms []faultline.Alarm) bool {
	if t.Rule == "" || t.Test {
		return true // nothing measured raised it
	}
	if len(alarms) == 0 {
		return !t.RecoveredAt.IsZero()
	}
	return !slices.ContainsFunc(alarms, func(a faultline.Alarm) bool { return a.Active })
}

// move carries a move out: the ticket first, then what follows from it for rules.
func (s *Server) move(c *call, m *Move) (Ticket, bool, error) {
	if err := m.check(); err != nil {
		return Ticket{}, false, err
	}
	ctx := c.Request.Context()
	t, err := s.ticket(c)
	if err != nil {
		return Ticket{}, false, err
	}
	if m.To == faultline.StatusCancelled && m.Reason == faultline.CancelDuplicate {
		other, err := c.store.Ticket(ctx, m.DuplicateOf)
		switch {
		case errors.Is(err, faultline.ErrNotFound):
			return Ticket{}, false, invalid("duplicate_of: there is no ticket %q", m.DuplicateOf)
		case err != nil:
			return Ticket{}, false, err
		case other.ID == t.ID:
			return Ticket{}, false, invalid("duplicate_of: %s cannot be a duplicate of itself", t.Number)
		}
		m.DuplicateOf = other.Number
	}
	if m.Resolution != nil {
		if err := c.checkAssignee(t.Site, m.Resolution.Owner); err != nil {
			return Ticket{}, false, err
		}
	}
	alarms, err := s.alarmsOf(c, &t)
	if err != nil {
		return Ticket{}, false, err
	}
	changed, err := c.store.ChangeTicket(ctx, t.ID, m.Version, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		return m.apply(t, c.by, c.now, normal(t, alarms))
	})
	if err != nil {
		return Ticket{}, false, err
	}
	s.tellChange(&changed, c, "moved to "+string(changed.Status))
	v, err := s.view(c, changed)
	if err != nil {
		return Ticket{}, false, err
	}
	notes, isPending := s.serviced(c, &changed)
	v.Notes = notes
	return v, isPending, nil
}

// serviced tells rules that an inspection's job is done, so that its meter counts from here. It is
// sent on resolving and, should that have been lost, again on closing: the inspection then still
// stands open.
func (s *Server) serviced(c *call, t *faultline.Ticket) (notes []string, isPending bool) {
	if t.Kind != faultline.TicketInspection || t.Plan == "" || t.Status != faultline.StatusResolved && t.Status != faultline.StatusClosed {
		return nil, false
	}
	ctx := c.Request.Context()
	open := true
	left, err := c.store.Inspections(ctx, store.InspectionFilter{Site: t.Site, Position: t.Position, Open: &open})
	if err == nil && !slices.ContainsFunc(left, func(i faultline.Inspection) bool { return i.Plan == t.Plan && i.Cycle == t.Cycle }) {
		return nil, false
	}
	var r Result
	if err == nil {
		// Named for the cycle, so that resolving and closing in quick succession count as one service.
		r, err = s.send(c, faultline.Command{ID: fmt.Sprintf("serviced-%s-%d", t.ID, t.Cycle), Verb: faultline.VerbServiced, At: c.now, By: c.by, Site: t.Site, Position: t.Position, Plan: t.Plan,
			Reason: "ticket " + t.Number})
	}
	switch {
	case err != nil:
		s.log.Warn("inspection not marked as done", "ticket", t.Number, "plan", t.Plan, "error", err)
		return []string{"the inspection could not be marked as done; closing the ticket tries again"}, false
	case r.Pending:
		return []string{"the inspection will be marked as done as soon as the rules role reads it"}, true
	}
	return []string{"inspection: " + r.Message}, false
}

// tellChange wakes up the pages of others; it proves nothing, so that its loss is only counted late.
func (s *Server) tellChange(t *faultline.Ticket, c *call, what string) {
	if err := s.live.PublishEvent(faultline.Event{Topic: "ticket", ID: t.ID, Site: t.Site, Position: t.Position, At: c.now, Text: t.Number + " " + what}); err != nil {
		s.log.Warn("event not published", "ticket", t.Number, "error", err)
	}
}

func (s *Server) postMove(c *call) (any, error) {
	var m Move
	if err := c.readJSON(&m); err != nil {
		return nil, err
	}
	v, isPending, err := s.move(c, &m)
	if err != nil {
		return nil, err
	}
	if isPending {
		return answer{http.StatusAccepted, v}, nil
	}
	return v, nil
}

func (s *Server) comment(c *call, m *Comment) (Ticket, error) {
	if err := m.check(); err != nil {
		return Ticket{}, err
	}
	t, err := c.store.ChangeTicket(c.Request.Context(), c.Param("id"), m.Version, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		return m.apply(t, c.by, c.now)
	})
	if err != nil {
		return Ticket{}, err
	}
	s.tellChange(&t, c, "commented")
	return s.view(c, t)
}

func (s *Server) postComment(c *call) (any, error) {
	var m Comment
	if err := c.readJSON(&m); err != nil {
		return nil, err
	}
	return s.comment(c, &m)
}

// acknowledgeTicket acknowledges all alarms of a ticket.
func (s *Server) acknowledgeTicket(c *call, reason string) (Result, error) {
	if err := checkText("reason", reason, 0, maxText); err != nil {
		return Result{}, err
	}
	t, err := s.ticket(c)
	if err != nil {
		return Result{}, err
	}
	alarms, err := s.alarmsOf(c, &t)
	if err != nil {
		return Result{}, err
	}
	if t.Unseen() { // it stops escalation
		_, err := c.store.ChangeTicket(c.Request.Context(), t.ID, 0, func(*faultline.Ticket) ([]faultline.TicketEvent, error) {
			return []faultline.TicketEvent{{At: c.now, By: c.by, Kind: faultline.EventAcknowledged, Text: strings.TrimSpace(reason)}}, nil
		})
		var no *status
		if err != nil && !(errors.As(err, &no) && no.code == http.StatusForbidden) { // who handles alarms need not be who has the ticket
			return Result{}, err
		}
	}
	var all Result
	done := 0
	for i := range alarms {
		a := &alarms[i]
		if a.Acked {
			continue
		}
		r, err := s.send(c, faultline.Command{Verb: faultline.VerbAcknowledge, At: c.now, By: c.by, Site: a.Site, Position: a.Position, Rule: a.Rule, Reason: reason})
		if err != nil {
			return Result{}, err
		}
		all.Pending = all.Pending || r.Pending
		all.ID, all.Message = r.ID, r.Message
		done++
	}
	switch {
	case done == 0:
		all.Message = "acknowledged; no alarm was left to acknowledge"
	case done > 1 && !all.Pending:
		all.Message = fmt.Sprintf("%d alarms acknowledged", done)
	}
	return all, nil
}

func (s *Server) postAcknowledgeTicket(c *call) (any, error) {
	var req Acknowledge
	if err := c.readJSON(&req); err != nil {
		return nil, err
	}
	r, err := s.acknowledgeTicket(c, req.Reason)
	return pending(r), err
}
