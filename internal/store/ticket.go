package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// Tickets are numbered without gaps: the number is counted in the transaction that adds the ticket.

func ticketNumber(n int64) string { return fmt.Sprintf("T-%06d", n) }

// parseNumber reads "T-000042" as people type it; false if s is no number.
func parseNumber(s string) (int64, bool) {
	if len(s) < 3 || (s[0] != 'T' && s[0] != 't') || s[1] != '-' || s[2] < '0' || s[2] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s[2:], 10, 64)
	return n, err == nil
}

// newID makes a random identity in the form of a UUID version 4.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func ticketRank(t *faultline.Ticket) int {
	switch {
	case !t.Status.Open():
		return endedRank
	case t.Status == faultline.StatusResolved:
		return 6
	}
	if i := slices.Index([]faultline.Priority{faultline.P1, faultline.P2, faultline.P3, faultline.P4}, t.Priority); i >= 0 {
		return i + 1
	}
	return 5
}

// maxSearch is the length of a search text in bytes: PostgreSQL indexes no more than 2,700.
const maxSearch = 1000

// searchText is what a ticket is found by: its number, position, site, serial, rule, failure mode,
// assignee and title, in lower case. A very long title loses its end.
func searchText(t *faultline.Ticket) string {
	s := foldText(strings.Join([]string{t.Number, t.Position, t.Site, t.Serial, t.Rule, t.FailureMode, t.Assignee, t.Title}, " "))
	if len(s) > maxSearch {
		s = strings.ToValidUTF8(s[:maxSearch], "")
	}
	return s
}

func foldText(s string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", " "))
}

func checkTicket(t *faultline.Ticket) error {
	if err := identity("ticket", "site", t.Site, "kind", string(t.Kind), "status", string(t.Status)); err != nil {
		return err
	}
	for _, k := range t.Keys {
		if err := identity("ticket", "key", k); err != nil {
			return err
		}
	}
	return nil
}

// insertTicket numbers and adds a ticket with its keys.
func (c conn) insertTicket(ctx context.Context, t *faultline.Ticket) error {
	if err := checkTicket(t); err != nil {
		return err
	}
	return c.atomically(ctx, func() error {
		var n int64
		if err := c.row(ctx, `UPDATE counter SET value = value + 1 WHERE name = 'ticket' RETURNING value`).Scan(&n); err != nil {
			return fmt.Errorf("next number: %w", err)
		}
		t.Number = ticketNumber(n)
		if err := c.syncKeys(ctx, n, t); err != nil {
			return err
		}
		doc, err := encode(t)
		if err != nil {
			return err
		}
		_, err = c.exec(ctx, `INSERT INTO ticket (n, id, kind, status, rank, site, position, test, made_up, received_at, version, search, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, n, t.ID, string(t.Kind), string(t.Status), ticketRank(t), t.Site, t.Position,
			flag(t.Test), flag(t.MadeUp), nanos(t.ReceivedAt), t.Version, searchText(t), doc)
		return err
	})
}

// updateTicket writes a ticket that was read at t.Version, and raises it.
func (c conn) updateTicket(ctx context.Context, t *faultline.Ticket) error {
	if err := checkTicket(t); err != nil {
		return err
	}
	next := *t
	next.Version++
	doc, err := encode(&next)
	if err != nil {
		return err
	}
	err = c.atomically(ctx, func() error {
		var n int64
		err := c.row(ctx, `UPDATE ticket SET kind = ?, status = ?, rank = ?, site = ?, position = ?, test = ?, made_up = ?,
			received_at = ?, version = ?, search = ?, doc = ? WHERE id = ? AND version = ? RETURNING n`,
			string(t.Kind), string(t.Status), ticketRank(t), t.Site, t.Position, flag(t.Test), flag(t.MadeUp),
			nanos(t.ReceivedAt), next.Version, searchText(t), doc, t.ID, t.Version).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return c.ticketConflict(ctx, t.ID, t.Version)
		}
		if err != nil {
			return err
		}
		if t.Number != ticketNumber(n) {
			return fmt.Errorf("%w: the number of ticket %s cannot become %q", faultline.ErrInvalid, ticketNumber(n), t.Number)
		}
		return c.syncKeys(ctx, n, t)
	})
	if err == nil {
		t.Version = next.Version
	}
	return err
}

// ticketConflict says who changed a ticket that is not at the expected version any more.
func (c conn) ticketConflict(ctx context.Context, id string, version int) error {
	t, found, err := one[faultline.Ticket](ctx, c, `SELECT doc FROM ticket WHERE id = ?`, id)
	if err != nil {
		return err
	}
	if !found {
		return faultline.ErrNotFound
	}
	e, found, err := one[faultline.TicketEvent](ctx, c, `SELECT doc FROM ticket_event WHERE ticket = ? ORDER BY id DESC LIMIT 1`, id)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: ticket %s is at version %d, not %d", faultline.ErrConflict, t.Number, t.Version, version)
	}
	return fmt.Errorf("%w: ticket %s is at version %d, not %d: %s changed it at %s (%s)",
		faultline.ErrConflict, t.Number, t.Version, version, e.By, e.At.UTC().Format(time.RFC3339), e.Kind)
}

// syncKeys makes ticket n hold exactly its keys, open or not as it is. An open key that another open
// ticket holds is faultline.ErrConflict. Keys go in order, so that two writers cannot deadlock.
func (c conn) syncKeys(ctx context.Context, n int64, t *faultline.Ticket) error {
	have := map[string]int64{}
	err := c.each(ctx, func(rows *sql.Rows) error {
		var key string
		var open int64
		err := rows.Scan(&key, &open)
		have[key] = open
		return err
	}, `SELECT key, open FROM ticket_key WHERE ticket = ?`, n)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	keys := slices.Sorted(slices.Values(t.Keys))
	open := flag(t.Status.Open())
	for _, key := range slices.Compact(keys) {
		was, found := have[key]
		delete(have, key)
		if found && was == open {
			continue
		}
		if found {
			if _, err := c.exec(ctx, `DELETE FROM ticket_key WHERE ticket = ? AND key = ?`, n, key); err != nil {
				return fmt.Errorf("key %q: %w", key, err)
			}
		}
		added, err := c.exec(ctx, `INSERT INTO ticket_key (key, ticket, open) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, key, n, open)
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		if added == 0 {
			var holder int64
			if err := c.row(ctx, `SELECT ticket FROM ticket_key WHERE key = ? AND open = 1`, key).Scan(&holder); err != nil {
				return fmt.Errorf("%w: key %q is open already", faultline.ErrConflict, key)
			}
			return fmt.Errorf("%w: key %q is open in ticket %s", faultline.ErrConflict, key, ticketNumber(holder))
		}
	}
	for key := range have {
		if _, err := c.exec(ctx, `DELETE FROM ticket_key WHERE ticket = ? AND key = ?`, n, key); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

func (c conn) addTicketEvent(ctx context.Context, e *faultline.TicketEvent) error {
	if err := identity("ticket event", "ticket", e.Ticket); err != nil {
		return err
	}
	doc, err := encode(e)
	if err == nil {
		_, err = c.exec(ctx, `INSERT INTO ticket_event (ticket, at, digest, doc) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			e.Ticket, nanos(e.At), digest(strconv.FormatInt(nanos(e.At), 10), e.By, e.Kind, e.From, e.To, e.Text), doc)
	}
	if err != nil {
		return fmt.Errorf("add event %s of ticket %s: %w", e.Kind, e.Ticket, err)
	}
	return nil
}

func (c conn) putEvidence(ctx context.Context, e *faultline.Evidence) error {
	if err := identity("evidence", "ticket", e.Ticket); err != nil {
		return err
	}
	doc, err := encode(e)
	if err == nil {
		_, err = c.exec(ctx, `INSERT INTO evidence (ticket, alarm, at, point, doc) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			e.Ticket, e.Alarm, nanos(e.At), e.Point, doc)
	}
	if err != nil {
		return fmt.Errorf("put evidence of ticket %s: %w", e.Ticket, err)
	}
	return nil
}
