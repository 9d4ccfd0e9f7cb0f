package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// FigureFilter chooses what figures are made of: a time, and one site or ("") all.
type FigureFilter struct {
	Sites    []string // any of them; none: all
	Site     string
	From, To time.Time // From is in, To is not
	MadeUp   bool      // of demonstration history instead of what really happened
}

// AlarmHistory lists the transitions in a time, the oldest first, with all alarms of the site: what
// faultline.AlarmFigures and faultline.Scores are made of.
func (s *Store) AlarmHistory(ctx context.Context, f FigureFilter) ([]faultline.Alarm, []faultline.AlarmEvent, error) {
	all, _, err := s.Alarms(ctx, AlarmFilter{Sites: f.Sites, Site: f.Site})
	if err != nil {
		return nil, nil, err
	}
	alarms, known := make([]faultline.Alarm, 0, len(all)), map[string]bool{}
	for i := range all {
		if all[i].MadeUp == f.MadeUp {
			alarms = append(alarms, all[i])
			known[all[i].ID] = true
		}
	}
	found, err := list[faultline.AlarmEvent](ctx, s.reader(), alarmHistorySQL, nanos(f.From), nanos(f.To))
	if err != nil {
		return nil, nil, fmt.Errorf("history of alarms: %w", err)
	}
	events := make([]faultline.AlarmEvent, 0, len(found))
	for _, e := range found {
		if known[e.Alarm] {
			events = append(events, e)
		}
	}
	return alarms, events, nil
}

const alarmHistorySQL = `SELECT doc FROM alarm_event WHERE at >= ? AND at < ? ORDER BY at, id`

// Faults lists the fault tickets received in a time, the oldest first, without test tickets.
func (s *Store) Faults(ctx context.Context, f FigureFilter) ([]faultline.Ticket, error) {
	return s.received(ctx, f, faultline.TicketFault)
}

// Received lists the tickets of every kind received in a time, the oldest first, without test tickets.
func (s *Store) Received(ctx context.Context, f FigureFilter) ([]faultline.Ticket, error) {
	return s.received(ctx, f, "")
}

func (s *Store) received(ctx context.Context, f FigureFilter, kind faultline.TicketKind) ([]faultline.Ticket, error) {
	var w where
	in(&w, "site", f.Sites)
	if f.Site != "" {
		w.add("site = ?", f.Site)
	}
	w.add("received_at >= ?", nanos(f.From))
	w.add("received_at < ?", nanos(f.To))
	if kind != "" {
		w.add("kind = ?", string(kind))
	}
	w.add("test = 0")
	w.add("made_up = ?", flag(f.MadeUp))
	tickets, err := list[faultline.Ticket](ctx, s.reader(), `SELECT doc FROM ticket`+w.String()+` ORDER BY received_at, n`, w.args...)
	if err != nil {
		return nil, fmt.Errorf("tickets received at %s: %w", cmp.Or(f.Site, "all sites"), err)
	}
	return tickets, nil
}
