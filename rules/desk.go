package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// desk turns effects into rows: the alarm with its history and, in the same transaction, the ticket
// that it opens, joins, repeats or leaves. It is made anew for each attempt at a transaction.
//
// One fault is one ticket (domain.md §4). An alarm that is raised goes to, in this order:
//
//  1. the open ticket that holds its key: it repeats; or, if that was resolved less than reopenWithin
//     ago, it is reopened;
//  2. nowhere, if people ended the last ticket of its key as false_alarm or wont_fix less than
//     reopenWithin ago and it is not more urgent now: what people decided is respected;
//  3. an open fault ticket of its position with the same family, or with an alarm a short while ago;
//  4. the site's storm ticket, if it would be one more than stormTickets within stormWindow, and is not P1;
//  5. a new ticket, which names the last one of its key.
type desk struct {
	tx    Tx
	world *world
	now   time.Time // hub time
	out   outcome
}

// outcome is what is to be told after the commit.
type outcome struct {
	events  []faultline.Event
	tickets map[string]string // alarm → ticket that stands for it
	replies map[string]string // command → what was done
	counts  map[string]int    // what became of alarms, for the metrics
	skipped int               // effects that were there already
}

// Limits of grouping.
const (
	reopenWithin = 72 * time.Hour
	stormTickets = 10
	stormWindow  = 10 * time.Minute
	commentEvery = time.Hour
)

// by whom machine entries are.
const machineName = "rules"

// Rules that are not in any file.
const (
	testRule  = faultline.TestAlarmRule
	stormRule = "storm"
)

// blind are the families of failures that hide an asset rather than show its state. Nothing joins them,
// and they join nothing, for being near in time: a dead sensor is a job of its own.
var blind = map[string]bool{"communication": true, "instrument": true}

func newDesk(tx Tx, w *world) *desk {
	return &desk{tx: tx, world: w, out: outcome{tickets: map[string]string{}, replies: map[string]string{}, counts: map[string]int{}}}
}

// carry carries out one effect; one that was carried out before does nothing.
func (d *desk) carry(e *effect) error {
	d.now = e.event.StoredAt
	if e.forecast != nil {
		return d.tx.AddForecast(*e.forecast)
	}
	if e.event.Transition == "" { // a service: no transition of its own
		return d.serviced(e)
	}
	added, err := d.tx.AddAlarmEvent(e.event)
	if err != nil {
		return fmt.Errorf("alarm %s %s: %w", e.event.Alarm, e.event.Transition, err)
	}
	if !added {
		d.out.skipped++
		return nil
	}
	a := e.alarm
	before, known, err := d.tx.Alarm(a.ID)
	if err != nil {
		return fmt.Errorf("alarm %s: %w", a.ID, err)
	}
	if known {
		a.Ticket = before.Ticket
	}
	if err := d.follow(e, &a); err != nil {
		return fmt.Errorf("alarm %s %s: %w", a.ID, e.event.Transition, err)
	}
	if err := d.tx.PutAlarm(a); err != nil {
		return fmt.Errorf("alarm %s: %w", a.ID, err)
	}
	d.out.tickets[a.ID] = a.Ticket
	d.tell("alarm", a.ID, a.Site, a.Position, e.event.Transition+": "+a.Title)
	return nil
}

// follow does what follows from a transition for tickets.
func (d *desk) follow(e *effect, a *faultline.Alarm) error {
	switch {
	case e.rule == nil && e.command != nil:
		return d.test(e, a)
	case e.rule == nil:
		return d.returned(a, e.event.At) // an orphan was cleared
	case e.event.Transition == faultline.TransitionChangePoint:
		return nil
	case e.rule.rule.Kind == "meter":
		if !e.quiet && (e.event.Transition == faultline.TransitionRaised || e.event.Transition == faultline.TransitionReported) {
			return d.due(e, a)
		}
		return nil
	case e.quiet:
		return d.muted(e, a)
	}
	switch e.event.Transition {
	case faultline.TransitionRaised:
		return d.raised(e, a)
	case faultline.TransitionRose:
		return d.rose(e, a)
	case faultline.TransitionCleared:
		if a.Latched {
			return d.note(a, "alarm "+a.Rule+": "+e.event.Why)
		}
		return d.returned(a, e.event.At)
	case faultline.TransitionChattering:
		return d.note(a, "alarm "+a.Rule+" chatters: "+e.event.Why)
	}
	return d.lived(e, a)
}

func (d *desk) raised(e *effect, a *faultline.Alarm) error {
	r := e.rule.rule
	key, err := faultline.FaultKey(a.Site, a.Position, a.Rule, r.FailureMode)
	if err != nil {
		return err
	}
	urgency := r.urgency(a.Severity)
	open, found, err := d.tx.TicketByKey(key)
	if err != nil {
		return err
	}
	earlier := ""
	if found {
		if open.Status != faultline.StatusResolved {
			return d.repeat(e, a, &open, urgency)
		}
		if d.now.Sub(open.ResolvedAt) <= reopenWithin {
			return d.reopen(e, a, &open, urgency)
		}
		if err := d.letGo(&open, key); err != nil {
			return err
		}
		earlier = open.Number
	} else {
		last, known, err := d.tx.LastTicketByKey(key)
		if err != nil {
			return err
		}
		if known {
			earlier = last.Number
			if d.decided(&last, urgency) {
				a.Ticket = last.ID
				d.out.counts["respected"]++
				return nil
			}
		}
	}
	t, found, err := d.related(e, a)
	if err != nil {
		return err
	}
	if found {
		return d.join(e, a, t, key, urgency, "alarm "+a.Rule+" joined: "+a.Why)
	}
	return d.open(e, a, key, urgency, earlier)
}

// decided tells whether people said of this very fault, a short while ago, that nothing is to be done.
func (d *desk) decided(last *faultline.Ticket, urgency int) bool {
	if last.Status != faultline.StatusCancelled || last.CancelReason != faultline.CancelFalseAlarm && last.CancelReason != faultline.CancelWontFix {
		return false
	}
	ended := last.ClosedAt
	if ended.IsZero() {
		ended = last.LastAlarmAt
	}
	return d.now.Sub(ended) <= reopenWithin && urgency <= last.Urgency
}

// related finds the open fault ticket of the position that the alarm belongs to: of its family, or else
// with an alarm a short while ago; the one with the latest alarm.
func (d *desk) related(e *effect, a *faultline.Alarm) (*faultline.Ticket, bool, error) {
	if e.unit.gateway {
		return nil, false, nil // OpenTickets("") has the tickets of all of the site's gateways
	}
	tickets, err := d.tx.OpenTickets(a.Site, a.Position)
	if err != nil {
		return nil, false, err
	}
	r := e.rule.rule
	var best *faultline.Ticket
	bestFamily := false
	for i := range tickets {
		t := &tickets[i]
		if t.Kind != faultline.TicketFault || t.Test || t.MadeUp || t.Status == faultline.StatusResolved {
			continue
		}
		family := t.Family == r.Family
		near := a.RaisedAt.Sub(t.LastAlarmAt).Abs() <= r.joinWithin() && r.joinWithin() > 0 &&
			!blind[t.Family] && !blind[r.Family]
		if !family && !near || bestFamily && !family {
			continue
		}
		if best == nil || family && !bestFamily || t.LastAlarmAt.After(best.LastAlarmAt) {
			best, bestFamily = t, family
		}
	}
	return best, best != nil, nil
}

func (d *desk) open(e *effect, a *faultline.Alarm, key string, urgency int, earlier string) error {
	t := d.draft(e, a, urgency)
	t.Keys, t.Earlier, t.Late = []string{key}, earlier, e.late
	if t.Priority != faultline.P1 {
		n, err := d.tx.CountTicketsSince(a.Site, d.now.Add(-stormWindow))
		if err != nil {
			return err
		}
		if n >= stormTickets { // this would be one more
			return d.storm(e, a, key, urgency, n)
		}
	}
	return d.create(e, a, &t, "opened")
}

// standing gives the open ticket that stands for an alarm.
func (d *desk) standing(a *faultline.Alarm) (faultline.Ticket, bool, error) {
	// The key ends with the failure mode, which an edit of the rule may have changed since.
	if a.Ticket == "" {
		return faultline.Ticket{}, false, nil
	}
	for _, position := range []string{a.Position, ""} {
		tickets, err := d.tx.OpenTickets(a.Site, position)
		if err != nil {
			return faultline.Ticket{}, false, err
		}
		for _, t := range tickets {
			if t.ID == a.Ticket {
				return t, true, nil
			}
		}
	}
	return faultline.Ticket{}, false, nil
}

func (d *desk) rose(e *effect, a *faultline.Alarm) error {
	t, ok, err := d.standing(a)
	if err != nil || !ok {
		return err
	}
	rose := d.raisePriority(e, &t, e.rule.rule.urgency(a.Severity))
	return d.update(&t, faultline.EventComment, "alarm "+a.Rule+" rose to "+a.Severity.String()+": "+a.Why, rose)
}

// returned stamps the ticket when the last of its alarms is normal again.
func (d *desk) returned(a *faultline.Alarm, at time.Time) error {
	t, ok, err := d.standing(a)
	if err != nil || !ok {
		return err
	}
	for _, key := range t.Keys {
		parts := strings.Split(key, "|")
		if len(parts) != 4 {
			continue
		}
		id := faultline.AlarmID(parts[0], parts[1], parts[2])
		other, known, err := d.tx.Alarm(id)
		if err != nil {
			return err
		}
		if id != a.ID && known && (other.Active || other.Latched) {
			return nil
		}
	}
	t.RecoveredAt = at
	text := ""
	if d.mayComment(&t) {
		text = "the condition is normal again; alarm " + a.Rule + " cleared"
	}
	return d.update(&t, faultline.EventRecovered, text, rise{})
}

// note adds a comment to the alarm's ticket.
func (d *desk) note(a *faultline.Alarm, text string) error {
	t, ok, err := d.standing(a)
	if err != nil || !ok {
		return err
	}
	return d.update(&t, faultline.EventComment, text, rise{})
}

func (d *desk) tell(topic, id, site, position, text string) {
	d.out.events = append(d.out.events, faultline.Event{Topic: topic, ID: id, Site: site, Position: position, At: d.now, Text: text})
}

// sentence makes a clause one: a capital first, a full stop last.
func sentence(clause string) string {
	if clause == "" {
		return ""
	}
	if c := clause[0]; c >= 'a' && c <= 'z' {
		clause = string(c-'a'+'A') + clause[1:]
	}
	return strings.TrimSuffix(clause, ".") + "."
}
