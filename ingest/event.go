package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// EventRole is the name under which Recorder holds its lease and saves its places.
const EventRole = "events"

// Recorder writes what happened to alarms and tickets into the measurement faultline_events, and what was
// forecast into faultline_forecasts, from the histories in SQL. It keeps a place in each of them, so that an InfluxDB that is away
// delays events and loses none. Comments stay where they are: they are among those who work.
//
// What a crash leaves: events that were written and whose place was not saved. They are written again
// and make the same points.
type Recorder struct {
	Store    *store.Store
	Influx   Writer
	Owner    string // of the lease: one recorder writes at a time
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
	Every    time.Duration         // between looks for news; 2 s by default
	// Target, if set, names the InfluxDB: its recorder has a lease and places of its own.
	Target string
	Takes  func(site string) bool // whose events go to it; nil: all

	written *prometheus.CounterVec // outcome
}

const (
	eventsAtOnce = 1000
	eventLease   = 2 * time.Minute // longer than a write may take
)

// A history is one journal of the store, with its place: the part and name of a saved place.
var histories = []struct {
	part int
	name string
	list func(s *store.Store, ctx context.Context, after int64, limit int) ([]store.JournalEvent, error)
}{
	{0, "alarm_event", (*store.Store).AlarmJournal},
	{1, "ticket_event", (*store.Store).TicketJournal},
	{2, "forecast", (*store.Store).ForecastJournal},
}

// Run writes until ctx ends, when it returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	if r.Every <= 0 {
		r.Every = 2 * time.Second
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	log := r.Log.With("component", "events")
	r.written = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "faultline_events_total", Help: "Events of alarms and tickets dealt with: written to InfluxDB, expired or refused.",
	}, []string{"outcome"})
	if r.Registry != nil {
		err := r.Registry.Register(r.written)
		if other, is := errors.AsType[prometheus.AlreadyRegisteredError](err); is { // the recorder of another target
			r.written, err = other.ExistingCollector.(*prometheus.CounterVec), nil
		}
		if err != nil {
			return fmt.Errorf("events: register metrics: %w", err)
		}
	}
	failing := false
	for attempt := 0; ; {
		err := r.turn(ctx)
		wait := r.Every
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || errors.Is(err, faultline.ErrConflict): // another recorder is at work
			if failing {
				log.Info("events are written again")
			}
			failing, attempt = false, 0
		default:
			if !failing {
				log.Warn("events cannot be written, trying again", "error", err)
			}
			failing, wait = true, max(wait, pause(attempt))
			attempt++
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			return nil
		}
	}
}

// role names the lease and the places.
func (r *Recorder) role() string {
	if r.Target == "" {
		return EventRole
	}
	return EventRole + "-" + r.Target
}

// turn writes all that is new.
func (r *Recorder) turn(ctx context.Context) error {
	lease, err := r.Store.Acquire(ctx, r.role(), 0, r.Owner, eventLease, time.Now())
	if err != nil {
		return err
	}
	defer func() { _ = r.Store.Release(context.WithoutCancel(ctx), lease) }() // it runs out
	for i := range histories {
		h := &histories[i]
		for more := true; more; {
			if lease, err = r.Store.Renew(ctx, lease, eventLease, time.Now()); err != nil {
				return err
			}
			if more, err = r.some(ctx, lease, i); err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
		}
	}
	return nil
}

// some writes the next events of a history; more says that there may be others.
func (r *Recorder) some(ctx context.Context, lease store.Lease, n int) (more bool, err error) {
	h := &histories[n]
	var place faultline.Place
	if err := r.Store.Tx(ctx, lease, func(tx *store.Tx) (err error) {
		place, err = tx.Place(r.role(), h.part)
		return err
	}); err != nil {
		return false, err
	}
	news, err := h.list(r.Store, ctx, int64(place.Sequence), eventsAtOnce)
	if err != nil || len(news) == 0 {
		return false, err
	}
	var lines [][]byte
	for i := range news {
		if r.Takes != nil && !r.Takes(news[i].Site()) {
			continue
		}
		if f := &news[i].Forecast; f.Rule != "" {
			lines = append(lines, tsdb.AppendForecast(nil, f))
		} else if e, is := eventOf(&news[i]); is {
			lines = append(lines, tsdb.AppendEvent(nil, &e))
		}
	}
	if err := r.put(ctx, lines); err != nil {
		return false, err
	}
	place = faultline.Place{Stream: h.name, Sequence: uint64(news[len(news)-1].ID)}
	err = r.Store.Tx(ctx, lease, func(tx *store.Tx) error { return tx.SavePlace(r.role(), h.part, place) })
	return len(news) == eventsAtOnce, err
}

// put writes lines, and halves them until those are found that are refused for good: these are left
// out, since nothing that waits behind them may wait for ever.
func (r *Recorder) put(ctx context.Context, lines [][]byte) error {
	if len(lines) == 0 {
		return nil
	}
	err := r.Influx.WriteIn(ctx, tsdb.Hours, bytes.Join(lines, []byte("\n")))
	switch {
	case err == nil:
		r.written.WithLabelValues("written").Add(float64(len(lines)))
		return nil
	case !tsdb.IsPermanent(err):
		return err
	case len(lines) > 1:
		if err := r.put(ctx, lines[:len(lines)/2]); err != nil {
			return err
		}
		return r.put(ctx, lines[len(lines)/2:])
	case tsdb.IsExpired(err):
		r.written.WithLabelValues("expired").Inc()
	default:
		r.written.WithLabelValues("refused").Inc()
		r.Log.Error("an event is refused", "component", "events", "error", err, "line", string(lines[0]))
	}
	return nil
}

// eventOf makes an event of a line of history; false if it is not for InfluxDB.
func eventOf(j *store.JournalEvent) (tsdb.Event, bool) {
	if a := &j.AlarmEvent; a.Transition != "" {
		return tsdb.Event{ID: j.ID, At: a.At, Source: "alarm", Kind: a.Transition, Site: j.Alarm.Site, Position: j.Alarm.Position, Of: j.Alarm.Rule, Grade: a.Severity.String(),
			MadeUp: j.Alarm.MadeUp, Title: j.Alarm.Title, Text: a.Why, Ref: a.Alarm, By: a.By}, true
	}
	e, t := &j.TicketEvent, &j.Ticket
	if e.Kind == faultline.EventComment {
		return tsdb.Event{}, false
	}
	text := e.Text
	if e.From != "" || e.To != "" {
		text = e.From + " → " + e.To
		if e.Text != "" {
			text += ": " + e.Text
		}
	}
	return tsdb.Event{ID: j.ID, At: e.At, Source: "ticket", Kind: e.Kind, Site: t.Site, Position: t.Position, Of: string(t.Kind), Grade: string(t.Priority),
		MadeUp: t.MadeUp, Test: t.Test, Title: t.Number + " " + t.Title, Text: text, Ref: t.Number, By: e.By}, true
}
