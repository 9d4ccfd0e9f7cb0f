package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/faultline-iot/faultline"
)

// JournalEvent is one line of the histories of alarms, tickets and forecasts, with what it is about as
// that stands now.
type JournalEvent struct {
	ID          int64 // grows within its history
	Alarm       faultline.Alarm
	AlarmEvent  faultline.AlarmEvent // zero: it is a ticket's
	Ticket      faultline.Ticket
	TicketEvent faultline.TicketEvent
	Forecast    faultline.Forecast // of one without an event
}

// Site is where it happened.
func (j *JournalEvent) Site() string {
	switch {
	case j.Forecast.Rule != "":
		return j.Forecast.Site
	case j.AlarmEvent.Transition != "":
		return j.Alarm.Site
	}
	return j.Ticket.Site
}

// AlarmJournal lists the transitions of all alarms after an id, in the order of their ids, at most limit.
// No transition with a smaller id than one that was listed appears later: see settled.
func (s *Store) AlarmJournal(ctx context.Context, after int64, limit int) ([]JournalEvent, error) {
	return s.journal(ctx, "alarm_event", `SELECT e.id, a.doc, e.doc FROM alarm_event e JOIN alarm a ON a.id = e.alarm WHERE e.id > ? ORDER BY e.id LIMIT ?`,
		after, limit, func(j *JournalEvent, of, doc string) (err error) {
			if j.Alarm, err = decode[faultline.Alarm](of); err == nil {
				j.AlarmEvent, err = decode[faultline.AlarmEvent](doc)
			}
			return err
		})
}

// TicketJournal lists the lines of all tickets' histories as AlarmJournal does.
func (s *Store) TicketJournal(ctx context.Context, after int64, limit int) ([]JournalEvent, error) {
	return s.journal(ctx, "ticket_event", `SELECT e.id, t.doc, e.doc FROM ticket_event e JOIN ticket t ON t.id = e.ticket WHERE e.id > ? ORDER BY e.id LIMIT ?`,
		after, limit, func(j *JournalEvent, of, doc string) (err error) {
			if j.Ticket, err = decode[faultline.Ticket](of); err == nil {
				j.TicketEvent, err = decode[faultline.TicketEvent](doc)
			}
			return err
		})
}

func (s *Store) journal(ctx context.Context, table, query string, after int64, limit int, read func(j *JournalEvent, of, doc string) error) ([]JournalEvent, error) {
	plain := *s
	plain.trail = nil // reading is no change
	var events []JournalEvent
	err := plain.update(ctx, "journal", func(c conn) error {
		events = []JournalEvent{}
		if err := c.settled(ctx, table); err != nil {
			return err
		}
		return c.each(ctx, func(rows *sql.Rows) error {
			var j JournalEvent
			var of, doc string
			if err := rows.Scan(&j.ID, &of, &doc); err != nil {
				return err
			}
			err := read(&j, of, doc)
			events = append(events, j)
			return err
		}, query, after, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("journal of %s after %d: %w", table, after, err)
	}
	return events, nil
}

// settled waits until all who have been given an id of the table have committed or rolled back, and
// holds newcomers up until this transaction ends, so that a reader who goes by ids skips nobody who
// was slower to commit. SQLite has one writer: there ids are in the order of commits. One table
// at a time: two could be locked the other way round by a writer.
func (c conn) settled(ctx context.Context, table string) error {
	if c.d.holdTable == "" {
		return nil
	}
	_, err := c.exec(ctx, fmt.Sprintf(c.d.holdTable, table))
	return err
}
