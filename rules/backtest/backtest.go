// Package backtest shows a rule the past: which alarms and tickets it would have raised on the history of a
// position, beside those that were.
package backtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/rules"
)

// Source gives the history of a position.
type Source interface {
	// Frames hands over the readings in [from, to) in order of time; a zero bound is none. The frame
	// is used again after show returns, and its error ends the reading.
	Frames(ctx context.Context, from, to time.Time, show func(*faultline.Frame) error) error
	// Step is the interval of condensed data; 0 of readings as they were. It holds once Frames has begun.
	Step() time.Duration
	// Used says in words what was read.
	Used() string
}

// Options of a back-test. Set, Position and Source are needed.
type Options struct {
	Set      *rules.Set // all of its rules that fit the position are tried
	Position faultline.Position
	Source   Source
	From, To time.Time
	// CloseAfter is how long after its recovery a ticket is taken as closed: nobody works on the
	// tickets of a back-test, and one that stays open would take all later faults in. Default 24 h.
	CloseAfter time.Duration
	// Pictures is how many alarms keep their evidence; default 100, negative none.
	Pictures int
	// Progress, if set, hears now and then how far it is.
	Progress func(at time.Time)
}

// Activation is one time that an alarm was raised.
type Activation struct {
	Rule     string              `json:"rule"`
	Severity faultline.Severity  `json:"severity"` // highest
	RaisedAt time.Time           `json:"raised_at"`
	Cleared  time.Time           `json:"cleared_at,omitzero"` // zero: it was active at the end
	Why      string              `json:"why"`
	Ticket   string              `json:"ticket,omitempty"` // number
	Was      bool                `json:"was"`              // an alarm of the same rule was really raised about then
	Evidence *faultline.Evidence `json:"-"`                // nil beyond Options.Pictures
}

// Report is what came of a back-test.
type Report struct {
	Site     string    `json:"site"`
	Position string    `json:"position"`
	Rules    []string  `json:"rules"`
	Used     string    `json:"used"`
	Step     float64   `json:"step_s"` // 0: readings as they were
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Frames   int64     `json:"frames"`
	Samples  int64     `json:"samples"`
	Bad      int64     `json:"bad_samples"`

	Alarms  []Activation       `json:"alarms"`  // that it would have raised, in order of time
	Tickets []faultline.Ticket `json:"tickets"` // that it would have opened, in their order
	Were    []Activation       `json:"were"`    // that were really raised; see Report.Compare
	Notes   []string           `json:"notes,omitempty"`
	Took    float64            `json:"took_s"`
}

// following is how many samples a picture goes on after its alarm.
const following = 60

// bench is a back-test that is going on.
type bench struct {
	Options
	player  *rules.Player
	report  *Report
	ticks   bool
	last    time.Time
	closeAt time.Time // when the next ticket is to be closed; zero: none is
	tickets map[string]string
	proof   map[string]*faultline.Evidence // by alarm and moment
	open    []*picture
	told    time.Time
}

type picture struct {
	evidence *faultline.Evidence
	left     int
}

// Run tries the rules on the history. Memory does not grow with its length, only with the number of
// alarms.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.CloseAfter <= 0 {
		o.CloseAfter = 24 * time.Hour
	}
	if o.Pictures == 0 {
		o.Pictures = 100
	}
	p := &o.Position
	r := &Report{Site: p.Site, Position: p.ID, Alarms: []Activation{}, Tickets: []faultline.Ticket{}, Were: []Activation{}, Rules: []string{}}
	for _, i := range o.Set.Instances([]faultline.Position{*p}) {
		if i.Position == p.ID {
			r.Rules = append(r.Rules, i.Rule)
			if i.Kind == "silence" {
				r.Notes = append(r.Notes, "rule "+i.Rule+": the gateway is taken as alive all the time, so that every gap in the data is the equipment's")
			}
			if i.Kind == "peer" {
				r.Notes = append(r.Notes, "rule "+i.Rule+": compares the asset with others, whose past is not read here, so it says nothing")
			}
		}
	}
	if len(r.Rules) == 0 {
		return nil, fmt.Errorf("%w: none of the rules applies to %s (%s)%s", faultline.ErrInvalid, p.ID, p.Kind, strings.Join(append([]string{""}, o.Set.Misfits([]faultline.Position{*p})...), "; "))
	}
	began := time.Now()
	start := o.From
	if start.IsZero() {
		start = time.Unix(0, 0).UTC()
	}
	player, err := rules.NewPlayer(ctx, o.Set, rules.Stage{Positions: []faultline.Position{*p}}, start)
	if err != nil {
		return nil, err
	}
	defer func() { _ = player.Close() }() // nothing of it is wanted any more
	b := &bench{Options: o, player: player, report: r, ticks: player.Ticks(p.Site, p.ID), tickets: map[string]string{}, proof: map[string]*faultline.Evidence{}, told: began}
	player.Raised = b.raised
	if err := o.Source.Frames(ctx, o.From, o.To, func(f *faultline.Frame) error { return b.frame(ctx, f) }); err != nil {
		return nil, fmt.Errorf("back-test of %s: %w", p.ID, err)
	}
	r.Last, r.Used, r.Step = b.last, o.Source.Used(), o.Source.Step().Seconds()
	if err := b.finish(ctx); err != nil {
		return nil, fmt.Errorf("back-test of %s: %w", p.ID, err)
	}
	r.Took = time.Since(began).Seconds()
	return r, nil
}

func (b *bench) frame(ctx context.Context, f *faultline.Frame) error {
	r := b.report
	if r.Frames == 0 {
		r.First = f.Time
		if b.ticks && b.Source.Step() > 0 {
			b.ticks = false
			r.Notes = append(r.Notes, fmt.Sprintf("only data condensed to %v is there: silence and other times without data are not judged", b.Source.Step()))
		}
	} else if b.ticks && f.Time.Sub(b.last) > time.Second {
		if err := b.gap(ctx, f.Time); err != nil {
			return err
		}
	}
	r.Frames++
	r.Samples += int64(len(f.Samples))
	for i := range f.Samples {
		if f.Samples[i].Quality.IsBad() {
			r.Bad++
		}
	}
	if f.Time.After(b.last) {
		b.last = f.Time
	}
	if len(b.open) > 0 {
		b.follow(f)
	}
	if !b.closeAt.IsZero() && !f.Time.Before(b.closeAt) {
		if err := b.close(ctx, f.Time); err != nil {
			return err
		}
	}
	happened, err := b.player.Frame(ctx, f)
	if err != nil {
		return err
	}
	if happened {
		if err := b.close(ctx, f.Time); err != nil {
			return err
		}
	}
	if b.Progress != nil && r.Frames&0xffff == 0 && time.Since(b.told) > time.Second {
		b.told = time.Now()
		b.Progress(f.Time)
	}
	return nil
}

// gap lets the clock go on where there is no data: each second for an hour, then every five.
func (b *bench) gap(ctx context.Context, until time.Time) error {
	step, begin := time.Second, b.last
	for n, at := 0, b.last.Add(step); at.Before(until); n, at = n+1, at.Add(step) {
		if at.Sub(begin) > time.Hour {
			step = 5 * time.Second
		}
		if n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := b.player.Tick(ctx, b.Position.Site, b.Position.ID, at); err != nil {
			return err
		}
	}
	return nil
}

// raised keeps the evidence of the first alarms, and the ticket of each.
func (b *bench) raised(a faultline.Alarm, e *faultline.Evidence) {
	key := moment(a.ID, e.At)
	b.tickets[key] = a.Ticket
	if len(b.proof) >= b.Pictures {
		return
	}
	own := *e
	b.proof[key] = &own
	b.open = append(b.open, &picture{&own, following})
}

func moment(alarm string, at time.Time) string { return alarm + "@" + fmt.Sprint(at.UnixNano()) }

// follow lets pictures go on a little after their alarm.
func (b *bench) follow(f *faultline.Frame) {
	b.open = slices.DeleteFunc(b.open, func(p *picture) bool {
		for i := range f.Samples {
			s := &f.Samples[i]
			if s.Point != p.evidence.Point {
				continue
			}
			sample := faultline.EvidenceSample{At: f.Time, Quality: s.Quality}
			if v, ok := s.Value.Number(); ok {
				sample.Value = &v
			}
			sample.Text, _ = s.Value.Text()
			p.evidence.Samples = append(p.evidence.Samples, sample)
			p.left--
		}
		return p.left <= 0
	})
}

// close closes the tickets that have been normal for long enough, and finds out when the next one is.
func (b *bench) close(ctx context.Context, now time.Time) error {
	b.closeAt = time.Time{}
	open := true
	tickets, _, err := b.player.Store().Tickets(ctx, store.TicketFilter{Open: &open})
	if err != nil {
		return err
	}
	for _, t := range tickets {
		if t.RecoveredAt.IsZero() {
			continue
		}
		due := t.RecoveredAt.Add(b.CloseAfter)
		if now.Before(due) {
			if b.closeAt.IsZero() || due.Before(b.closeAt) {
				b.closeAt = due
			}
			continue
		}
		if _, err := b.player.Store().ChangeTicket(ctx, t.ID, 0, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
			t.Status, t.ClosedAt = faultline.StatusClosed, due
			return nil, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// finish reads what was raised.
func (b *bench) finish(ctx context.Context) error {
	r, numbers := b.report, map[string]string{}
	tickets, _, err := b.player.Store().Tickets(ctx, store.TicketFilter{})
	if err != nil {
		return err
	}
	slices.SortFunc(tickets, func(a, b faultline.Ticket) int { return cmp.Compare(a.Number, b.Number) })
	r.Tickets = append(r.Tickets, tickets...)
	for i := range tickets {
		numbers[tickets[i].ID] = tickets[i].Number
	}
	if r.Alarms, err = Activations(ctx, b.player.Store(), b.Position.Site, b.Position.ID, nil); err != nil {
		return err
	}
	for i := range r.Alarms {
		a := &r.Alarms[i]
		key := moment(faultline.AlarmID(b.Position.Site, b.Position.ID, a.Rule), a.RaisedAt)
		a.Ticket, a.Evidence = numbers[b.tickets[key]], b.proof[key]
	}
	return nil
}

// Alarms is the part of a store that says what was raised; *store.Store has it.
type Alarms interface {
	Alarms(ctx context.Context, f store.AlarmFilter) ([]faultline.Alarm, int, error)
	AlarmEvents(ctx context.Context, alarm string, limit int) ([]faultline.AlarmEvent, error)
}

// Activations lists every time that an alarm of a position was raised, in order of time; of all rules if
// none is named.
func Activations(ctx context.Context, s Alarms, site, position string, only []string) ([]Activation, error) {
	alarms, _, err := s.Alarms(ctx, store.AlarmFilter{Site: site, Position: position})
	if err != nil {
		return nil, err
	}
	list := []Activation{}
	for _, a := range alarms {
		if only != nil && !slices.Contains(only, a.Rule) {
			continue
		}
		events, err := s.AlarmEvents(ctx, a.ID, 0)
		if err != nil {
			return nil, err
		}
		slices.Reverse(events)
		slices.SortStableFunc(events, func(a, b faultline.AlarmEvent) int { return a.At.Compare(b.At) })
		open := -1 // index in list
		for _, e := range events {
			switch e.Transition {
			case faultline.TransitionRaised:
				list = append(list, Activation{Rule: a.Rule, Severity: e.Severity, RaisedAt: e.At, Why: e.Why})
				open = len(list) - 1
			case faultline.TransitionRose:
				if open >= 0 {
					list[open].Severity, list[open].Why = e.Severity, e.Why
				}
			case faultline.TransitionCleared:
				if open >= 0 {
					list[open].Cleared = e.At
				}
				open = -1
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Activation) int {
		return cmp.Or(a.RaisedAt.Compare(b.RaisedAt), cmp.Compare(a.Rule, b.Rule))
	})
	return list, nil
}

// Compare sets what would have been raised beside what was: were that lie in the tested time are kept,
// and those of one rule that are at most near apart or overlap count as one. Near is 1 minute, or the
// step of condensed data.
func (r *Report) Compare(were []Activation) {
	near := max(time.Minute, time.Duration(r.Step*float64(time.Second)))
	r.Were = []Activation{}
	for _, w := range were {
		if w.RaisedAt.Before(r.First.Add(-near)) || w.RaisedAt.After(r.Last.Add(near)) {
			continue
		}
		for i := range r.Alarms {
			a := &r.Alarms[i]
			if a.Rule == w.Rule && !a.RaisedAt.After(end(&w, r.Last).Add(near)) && !w.RaisedAt.After(end(a, r.Last).Add(near)) {
				a.Was, w.Was = true, true
			}
		}
		r.Were = append(r.Were, w)
	}
}

// end of an activation; of one that goes on, the end of the data.
func end(a *Activation, last time.Time) time.Time {
	if a.Cleared.IsZero() {
		return last
	}
	return a.Cleared
}
