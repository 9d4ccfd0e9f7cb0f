package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/faultline-iot/faultline"
)

// TicketFilter chooses tickets; the zero filter chooses all.
type TicketFilter struct {
	Sites          []string // any of them; none: all
	Site, Position string
	Kind           []faultline.TicketKind // any of them
	Status         []faultline.Status     // any of them
	Open           *bool
	MadeUp, Test   *bool
	Text           string // in the number, position, site, serial, rule, failure mode, assignee or title; case does not matter
	Limit, Offset  int    // no Limit: all
}

func (f *TicketFilter) where(d *dialect) *where {
	var w where
	in(&w, "site", f.Sites)
	if f.Site != "" {
		w.add("site = ?", f.Site)
	}
	if f.Position != "" {
		w.add("position = ?", f.Position)
	}
	in(&w, "kind", f.Kind)
	in(&w, "status", f.Status)
	if f.Open != nil && *f.Open {
		w.add("rank < ?", endedRank)
	} else if f.Open != nil {
		w.add("rank = ?", endedRank)
	}
	if f.MadeUp != nil {
		w.add("made_up = ?", flag(*f.MadeUp))
	}
	if f.Test != nil {
		w.add("test = ?", flag(*f.Test))
	}
	if f.Text != "" {
		w.add(d.contains+"(search, ?) > 0", foldText(f.Text))
	}
	return &w
}

func (f *TicketFilter) countQuery(d *dialect) (string, []any) {
	w := f.where(d)
	return `SELECT count(*) FROM ticket` + w.String(), w.args
}

// pageQuery finds the page in an index first, so that only the documents shown are read.
func (f *TicketFilter) pageQuery(d *dialect) (string, []any) {
	w := f.where(d)
	numbers, args := page(`SELECT n FROM ticket`+w.String()+` ORDER BY rank, received_at DESC, n DESC`, w.args, f.Limit, f.Offset)
	return `SELECT t.doc FROM (` + numbers + `) p JOIN ticket t ON t.n = p.n ORDER BY t.rank, t.received_at DESC, t.n DESC`, args
}

// Tickets lists a page of tickets and counts all that the filter chooses. Order: open ones by priority,
// then resolved ones, then ended ones; the newest first in each.
func (s *Store) Tickets(ctx context.Context, f TicketFilter) (tickets []faultline.Ticket, total int, err error) {
	c := s.reader()
	query, args := f.countQuery(s.dialect)
	if err := c.row(ctx, query, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count tickets: %w", err)
	}
	if f.Limit > 0 && f.Offset >= total {
		return []faultline.Ticket{}, total, nil
	}
	query, args = f.pageQuery(s.dialect)
	tickets, err = list[faultline.Ticket](ctx, c, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list tickets: %w", err)
	}
	return tickets, total, nil
}

// ticket gives one ticket by id or by number (T-000042), or faultline.ErrNotFound.
func (c conn) ticket(ctx context.Context, idOrNumber, lock string) (faultline.Ticket, error) {
	column, value := "id", any(idOrNumber)
	if n, ok := parseNumber(idOrNumber); ok {
		column, value = "n", n
	}
	t, found, err := one[faultline.Ticket](ctx, c, `SELECT doc FROM ticket WHERE `+column+` = ?`+lock, value)
	if err == nil && !found {
		err = faultline.ErrNotFound
	}
	if err != nil {
		return t, fmt.Errorf("ticket %s: %w", idOrNumber, err)
	}
	return t, nil
}

// Ticket gives one ticket by id or by number (T-000042), or faultline.ErrNotFound.
func (s *Store) Ticket(ctx context.Context, idOrNumber string) (faultline.Ticket, error) {
	return s.reader().ticket(ctx, idOrNumber, "")
}

const (
	ticketEventsSQL = `SELECT doc FROM ticket_event WHERE ticket = ? ORDER BY at, id`
	evidenceSQL     = `SELECT doc FROM evidence WHERE ticket = ? ORDER BY at, id`
)

// TicketEvents gives the history of the ticket with this id, the oldest first.
func (s *Store) TicketEvents(ctx context.Context, id string) ([]faultline.TicketEvent, error) {
	events, err := list[faultline.TicketEvent](ctx, s.reader(), ticketEventsSQL, id)
	if err != nil {
		return nil, fmt.Errorf("events of ticket %s: %w", id, err)
	}
	return events, nil
}

// Evidence gives the evidence of the ticket with this id, the oldest first.
func (s *Store) Evidence(ctx context.Context, ticketID string) ([]faultline.Evidence, error) {
	evidence, err := list[faultline.Evidence](ctx, s.reader(), evidenceSQL, ticketID)
	if err != nil {
		return nil, fmt.Errorf("evidence of ticket %s: %w", ticketID, err)
	}
	return evidence, nil
}

// ChangeTicket changes a ticket by a person's hand, in one transaction. expectVersion is the version
// that the person saw, 0 for any; if the ticket has moved on it fails with faultline.ErrConflict and
// says who changed it and when. change gets the present ticket, alters it and returns the lines for its
// history; an error of it changes nothing and is returned as it is. ID, Number and Version are not
// change's to alter. change must not write to the Store otherwise. It returns the ticket as stored.
func (s *Store) ChangeTicket(ctx context.Context, idOrNumber string, expectVersion int,
	change func(*faultline.Ticket) ([]faultline.TicketEvent, error)) (faultline.Ticket, error) {
	var changed faultline.Ticket
	err := s.update(ctx, "change ticket", func(c conn) error {
		t, err := c.ticket(ctx, idOrNumber, c.d.lockRow)
		if err != nil {
			return err
		}
		if expectVersion != 0 && t.Version != expectVersion {
			return c.ticketConflict(ctx, t.ID, expectVersion)
		}
		id, number, version, before := t.ID, t.Number, t.Version, copyOf(&t)
		events, err := change(&t)
		if err != nil {
			return err
		}
		t.ID, t.Number, t.Version = id, number, version
		for _, e := range events {
			t.Note(e)
		}
		if err := c.updateTicket(ctx, &t); err != nil {
			return fmt.Errorf("change ticket %s: %w", number, err)
		}
		for _, e := range events {
			e.Ticket = id
			if err := c.addTicketEvent(ctx, &e); err != nil {
				return err
			}
		}
		c.changed("ticket "+number, before, &t)
		changed = t
		return nil
	})
	if err != nil {
		return faultline.Ticket{}, err
	}
	return changed, nil
}

// AddTicket adds a ticket that no rule raised, by a person's hand or as made-up history, with its events
// and evidence, whose Ticket fields it fills. The number is counted here. A ticket whose ID exists already is returned as it is stored.
func (s *Store) AddTicket(ctx context.Context, t faultline.Ticket, events []faultline.TicketEvent, evidence []faultline.Evidence) (faultline.Ticket, error) {
	t.Version = max(t.Version, 1)
	err := s.update(ctx, "add ticket", func(c conn) error {
		if t.ID == "" {
			t.ID = newID()
		} else if was, err := c.ticket(ctx, t.ID, ""); err == nil {
			t = was
			return nil
		} else if !errors.Is(err, faultline.ErrNotFound) {
			return err
		}
		for _, e := range events {
			t.Note(e)
		}
		if err := c.insertTicket(ctx, &t); err != nil {
			return fmt.Errorf("add ticket: %w", err)
		}
		for _, e := range events {
			e.Ticket = t.ID
			if err := c.addTicketEvent(ctx, &e); err != nil {
				return err
			}
		}
		for _, e := range evidence {
			e.Ticket = t.ID
			if err := c.putEvidence(ctx, &e); err != nil {
				return err
			}
		}
		c.changed("ticket "+t.Number, nil, &t)
		return nil
	})
	if err != nil {
		return faultline.Ticket{}, err
	}
	return t, nil
}
