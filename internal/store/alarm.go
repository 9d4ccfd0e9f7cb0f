package store

import (
	"context"
	"fmt"

	"github.com/faultline-iot/faultline"
)

const endedRank = 9 // of alarms and tickets that need nobody any more: they come last in lists

// alarmRank puts alarms that are active or unacknowledged first, the most severe foremost.
func alarmRank(a *faultline.Alarm) int {
	if a.Active || a.Latched || a.Count > 0 && !a.Acked {
		return int(faultline.SeverityCritical) + 1 - int(min(max(a.Severity, faultline.SeverityNone), faultline.SeverityCritical))
	}
	return endedRank
}

// Alarm gives an alarm; false if there is none.
func (t *Tx) Alarm(id string) (faultline.Alarm, bool, error) {
	a, found, err := one[faultline.Alarm](t.ctx, t.c, `SELECT doc FROM alarm WHERE id = ?`, id)
	if err != nil {
		return a, false, fmt.Errorf("alarm %s: %w", id, err)
	}
	return a, found, nil
}

// PutAlarm adds or replaces an alarm.
func (t *Tx) PutAlarm(a faultline.Alarm) error {
	_, err := t.c.saveAlarm(t.ctx, &a, `ON CONFLICT (id) DO UPDATE SET
		site = excluded.site, position = excluded.position, rank = excluded.rank, raised_at = excluded.raised_at, doc = excluded.doc`)
	return err
}

func (c conn) saveAlarm(ctx context.Context, a *faultline.Alarm, conflict string) (added bool, err error) {
	if err := identity("alarm", "id", a.ID, "site", a.Site); err != nil {
		return false, err
	}
	doc, err := encode(a)
	var n int64
	if err == nil {
		n, err = c.exec(ctx, `INSERT INTO alarm (id, site, position, rank, raised_at, doc) VALUES (?, ?, ?, ?, ?, ?) `+conflict,
			a.ID, a.Site, a.Position, alarmRank(a), nanos(a.RaisedAt), doc)
	}
	if err != nil {
		return false, fmt.Errorf("put alarm %s: %w", a.ID, err)
	}
	return n == 1, nil
}

// AddAlarmEvent adds a transition to an alarm's history. False means that (alarm, time, transition)
// is there already: the transition is replayed and its effects must be skipped. The alarm must exist
// at the latest when the transaction ends.
func (t *Tx) AddAlarmEvent(e faultline.AlarmEvent) (added bool, err error) {
	return t.c.addAlarmEvent(t.ctx, &e)
}

func (c conn) addAlarmEvent(ctx context.Context, e *faultline.AlarmEvent) (added bool, err error) {
	if err := identity("alarm event", "alarm", e.Alarm, "transition", e.Transition); err != nil {
		return false, err
	}
	doc, err := encode(e)
	var n int64
	if err == nil {
		n, err = c.exec(ctx, `INSERT INTO alarm_event (alarm, at, transition, doc) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			e.Alarm, nanos(e.At), e.Transition, doc)
	}
	if err != nil {
		return false, fmt.Errorf("add event %s of alarm %s: %w", e.Transition, e.Alarm, err)
	}
	return n == 1, nil
}

// AlarmFilter chooses alarms; the zero filter chooses all.
type AlarmFilter struct {
	Sites          []string // any of them; none: all
	Site, Position string
	OnlyOpen       bool // active, latched or not acknowledged
	OutOfService   bool // only those that somebody took out of service
	Limit, Offset  int  // no Limit: all
}

func (f *AlarmFilter) where() *where {
	var w where
	in(&w, "site", f.Sites)
	if f.Site != "" {
		w.add("site = ?", f.Site)
	}
	if f.Position != "" {
		w.add("position = ?", f.Position)
	}
	if f.OnlyOpen {
		w.add("rank < ?", endedRank)
	}
	if f.OutOfService { // few, and asked for by pages only: JSON leaves the field out if it is empty, and escapes quotes in texts
		w.add(`doc LIKE '%"out_of_service":"%'`)
	}
	return &w
}

func (f *AlarmFilter) query() (string, []any) {
	w := f.where()
	ids, args := page(`SELECT id FROM alarm`+w.String()+` ORDER BY rank, raised_at DESC, id`, w.args, f.Limit, f.Offset)
	return `SELECT a.doc FROM (` + ids + `) p JOIN alarm a ON a.id = p.id ORDER BY a.rank, a.raised_at DESC, a.id`, args
}

// Alarms lists a page of alarms, open ones first, then the most severe, then the newest, and counts
// all that the filter chooses.
func (s *Store) Alarms(ctx context.Context, f AlarmFilter) (alarms []faultline.Alarm, total int, err error) {
	c := s.reader()
	w := f.where()
	if err := c.row(ctx, `SELECT count(*) FROM alarm`+w.String(), w.args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("alarms: %w", err)
	}
	query, args := f.query()
	alarms, err = list[faultline.Alarm](ctx, c, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("alarms: %w", err)
	}
	return alarms, total, nil
}

// Alarm gives one alarm, or faultline.ErrNotFound.
func (s *Store) Alarm(ctx context.Context, id string) (faultline.Alarm, error) {
	a, found, err := one[faultline.Alarm](ctx, s.reader(), `SELECT doc FROM alarm WHERE id = ?`, id)
	if err == nil && !found {
		err = faultline.ErrNotFound
	}
	if err != nil {
		return a, fmt.Errorf("alarm %s: %w", id, err)
	}
	return a, nil
}

func alarmEventsSQL(where string) string {
	return `SELECT doc FROM alarm_event` + where + ` ORDER BY at DESC, id DESC`
}

// AlarmEvents lists the newest transitions of an alarm, or of all alarms if alarmID is "", the newest
// first. limit 0 means all.
func (s *Store) AlarmEvents(ctx context.Context, alarmID string, limit int) ([]faultline.AlarmEvent, error) {
	var w where
	if alarmID != "" {
		w.add("alarm = ?", alarmID)
	}
	query, args := page(alarmEventsSQL(w.String()), w.args, limit, 0)
	events, err := list[faultline.AlarmEvent](ctx, s.reader(), query, args...)
	if err != nil {
		return nil, fmt.Errorf("events of alarm %s: %w", alarmID, err)
	}
	return events, nil
}

// ImportAlarm adds made-up history: the alarm unless it exists already, and those of its events that
// are new.
func (s *Store) ImportAlarm(ctx context.Context, a faultline.Alarm, events []faultline.AlarmEvent) error {
	return s.update(ctx, "import alarm", func(c conn) error {
		if _, err := c.saveAlarm(ctx, &a, `ON CONFLICT DO NOTHING`); err != nil {
			return err
		}
		for _, e := range events {
			e.Alarm = a.ID
			if _, err := c.addAlarmEvent(ctx, &e); err != nil {
				return err
			}
		}
		return nil
	})
}
