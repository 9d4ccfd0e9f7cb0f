package store

import (
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

const (
	openTicketsSQL = `SELECT doc FROM ticket WHERE site = ? AND position = ? AND rank < ? ORDER BY n`
	openByKeySQL   = `SELECT t.doc FROM ticket_key k JOIN ticket t ON t.n = k.ticket WHERE k.key = ? AND k.open = 1`
	lastByKeySQL   = `SELECT t.doc FROM ticket_key k JOIN ticket t ON t.n = k.ticket WHERE k.key = ? ORDER BY k.ticket DESC LIMIT 1`
	countSinceSQL  = `SELECT count(*) FROM ticket WHERE site = ? AND received_at >= ? AND kind = ? AND test = 0 AND made_up = 0`
)

// OpenTickets lists the open tickets of exactly this position ("" for those of gateways), the oldest
// first.
func (t *Tx) OpenTickets(site, position string) ([]faultline.Ticket, error) {
	tickets, err := list[faultline.Ticket](t.ctx, t.c, openTicketsSQL, site, position, endedRank)
	if err != nil {
		return nil, fmt.Errorf("open tickets of %s/%s: %w", site, position, err)
	}
	return tickets, nil
}

// TicketByKey gives the open ticket that holds the key; false if there is none.
func (t *Tx) TicketByKey(key string) (faultline.Ticket, bool, error) {
	return t.byKey(key, openByKeySQL)
}

// LastTicketByKey gives the newest ticket of any status that holds the key; false if there is none.
func (t *Tx) LastTicketByKey(key string) (faultline.Ticket, bool, error) {
	return t.byKey(key, lastByKeySQL)
}

func (t *Tx) byKey(key, query string) (faultline.Ticket, bool, error) {
	ticket, found, err := one[faultline.Ticket](t.ctx, t.c, query, key)
	if err != nil {
		return ticket, false, fmt.Errorf("ticket of key %q: %w", key, err)
	}
	return ticket, found, nil
}

// CountTicketsSince counts the fault tickets of a site received at or after since, without test and
// made-up ones.
func (t *Tx) CountTicketsSince(site string, since time.Time) (int, error) {
	var n int
	err := t.c.row(t.ctx, countSinceSQL, site, nanos(since), string(faultline.TicketFault)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count tickets of %s: %w", site, err)
	}
	return n, nil
}

// CreateTicket adds a ticket and gives it its ID (unless it has one), its Number and Version 1. If one
// of its keys is open in another ticket, it adds nothing and fails with faultline.ErrConflict; the
// transaction may go on.
func (t *Tx) CreateTicket(ticket *faultline.Ticket) error {
	next := *ticket
	next.Version = 1
	if next.ID == "" {
		next.ID = newID()
	}
	if err := t.c.insertTicket(t.ctx, &next); err != nil {
		return fmt.Errorf("create ticket: %w", err)
	}
	*ticket = next
	return nil
}

// UpdateTicket writes a ticket that was read at ticket.Version and raises the version. It fails with
// faultline.ErrConflict if the ticket was changed since or a key is open in another ticket, and changes
// nothing then; the transaction may go on.
func (t *Tx) UpdateTicket(ticket *faultline.Ticket) error {
	if err := t.c.updateTicket(t.ctx, ticket); err != nil {
		return fmt.Errorf("update ticket %s: %w", ticket.Number, err)
	}
	return nil
}

// AddTicketEvent adds a line to a ticket's history; the same line twice is one.
func (t *Tx) AddTicketEvent(e faultline.TicketEvent) error { return t.c.addTicketEvent(t.ctx, &e) }

// PutEvidence adds evidence to a ticket; evidence of the same alarm, time and point is kept as it is.
func (t *Tx) PutEvidence(e faultline.Evidence) error { return t.c.putEvidence(t.ctx, &e) }
