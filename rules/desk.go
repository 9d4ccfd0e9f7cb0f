package rules

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/inspect"
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
	testRule  = "test-alarm"
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
	case e.rule.rule.Plan != "":
		if e.event.Transition == faultline.TransitionRaised {
			return d.due(e, a)
		}
		return nil
	}
	switch e.event.Transition {
	case faultline.TransitionRaised:
		return d.raised(e, a)
	case faultline.TransitionRose:
		return d.rose(e, a)
	case faultline.TransitionCleared:
		return d.returned(a, e.event.At)
	case faultline.TransitionChattering:
		return d.note(a, "alarm "+a.Rule+" chatters: "+e.event.Why)
	}
	return nil
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

// draft fills what a machine knows of a fault.
func (d *desk) draft(e *effect, a *faultline.Alarm, urgency int) faultline.Ticket {
	p := e.unit.position
	t := faultline.Ticket{
		Kind: faultline.TicketFault, Maintenance: faultline.Corrective, Status: faultline.StatusNew,
		Site: a.Site, Position: a.Position, Serial: p.Asset.Serial, Urgency: urgency,
		Priority: faultline.PriorityOf(d.criticality(e.unit), urgency), Rule: a.Rule, RuleVersion: a.RuleVersion,
		Title: a.Position + ": " + a.Title, Text: sentence(a.Why), EventAt: a.RaisedAt, ReceivedAt: d.now, LastAlarmAt: a.RaisedAt,
		Count: 1, Coverage: d.world.coverage(p, d.now),
	}
	if e.unit.gateway {
		t.Position, t.Title = "", "Gateway "+a.Position+": "+a.Title
	}
	if e.rule == nil {
		return t
	}
	r := e.rule.rule
	t.FailureMode, t.Family, t.Suggest = r.FailureMode, r.Family, r.Suggest
	if t.Suggest == "" {
		t.Suggest = "remote"
	}
	if len(r.Check) > 0 {
		t.Text += "\nTo check:\n"
		for i, c := range r.Check {
			t.Text += fmt.Sprintf("%d. %s\n", i+1, c)
		}
	}
	return t
}

// criticality of the asset; a gateway is as critical as the most critical asset behind it.
func (d *desk) criticality(u *unit) faultline.Criticality {
	if u.gateway {
		return d.world.behind(u.position.Site, u.position.ID)
	}
	return u.position.Asset.Criticality
}

func (d *desk) create(e *effect, a *faultline.Alarm, t *faultline.Ticket, what string) error {
	if err := d.tx.CreateTicket(t); err != nil {
		return err
	}
	a.Ticket = t.ID
	d.out.counts[what]++
	if err := d.history(t, faultline.EventOpened, "", string(t.Status), t.Text); err != nil {
		return err
	}
	d.tell("ticket", t.ID, t.Site, t.Position, t.Number+" opened: "+t.Title)
	return d.prove(e, t)
}

// prove adds the alarm's evidence to the ticket.
func (d *desk) prove(e *effect, t *faultline.Ticket) error {
	if e.evidence == nil {
		return nil
	}
	ev := *e.evidence
	ev.Ticket = t.ID
	return d.tx.PutEvidence(ev)
}

func (d *desk) repeat(e *effect, a *faultline.Alarm, t *faultline.Ticket, urgency int) error {
	d.again(a, t)
	rise := d.raisePriority(e, t, urgency)
	text := ""
	if rise == "" && d.mayComment(t) {
		text = fmt.Sprintf("alarm %s again, %d times so far: %s", a.Rule, a.Count, a.Why)
	}
	d.out.counts["repeated"]++
	return d.update(t, faultline.EventRepeated, text, rise)
}

func (d *desk) join(e *effect, a *faultline.Alarm, t *faultline.Ticket, key string, urgency int, text string) error {
	t.Keys = append(t.Keys, key)
	d.again(a, t)
	rise := d.raisePriority(e, t, urgency)
	d.out.counts["joined"]++
	if err := d.update(t, faultline.EventJoined, text, rise); err != nil {
		return err
	}
	return d.prove(e, t)
}

func (d *desk) reopen(e *effect, a *faultline.Alarm, t *faultline.Ticket, urgency int) error {
	d.again(a, t)
	t.Status, t.ResolvedAt = faultline.StatusInProgress, time.Time{}
	rise := d.raisePriority(e, t, urgency)
	d.out.counts["reopened"]++
	if err := d.history(t, faultline.EventMoved, string(faultline.StatusResolved), string(faultline.StatusInProgress),
		"reopened: the fault came back: "+a.Why); err != nil {
		return err
	}
	if err := d.update(t, faultline.EventRepeated, "", rise); err != nil {
		return err
	}
	return d.prove(e, t)
}

// letGo takes the key off a ticket that was resolved too long ago to be reopened.
func (d *desk) letGo(t *faultline.Ticket, key string) error {
	kept := t.Keys[:0:0]
	for _, k := range t.Keys {
		if k != key {
			kept = append(kept, k)
		}
	}
	t.Keys = kept
	return d.update(t, faultline.EventComment, "the fault came back more than 72 h after this was resolved: it gets a new ticket", "")
}

// again counts one more alarm.
func (d *desk) again(a *faultline.Alarm, t *faultline.Ticket) {
	t.Count++
	t.RecoveredAt = time.Time{}
	if a.RaisedAt.After(t.LastAlarmAt) {
		t.LastAlarmAt = a.RaisedAt
	}
	a.Ticket = t.ID
}

// raisePriority gives the ticket the higher urgency and priority, and says so.
func (d *desk) raisePriority(e *effect, t *faultline.Ticket, urgency int) string {
	p := faultline.PriorityOf(d.criticality(e.unit), urgency)
	if urgency > t.Urgency {
		t.Urgency = urgency
	}
	if p >= t.Priority { // "P1" < "P2"
		return ""
	}
	from := t.Priority
	t.Priority = p
	return fmt.Sprintf("%s → %s: %s", from, p, e.alarm.Why)
}

// mayComment tells whether a repeat may be told of, at most hourly, and notes that it is.
func (d *desk) mayComment(t *faultline.Ticket) bool {
	if !t.CommentedAt.IsZero() && d.now.Sub(t.CommentedAt) < commentEvery {
		return false
	}
	t.CommentedAt = d.now
	return true
}

// update writes a changed ticket with a line of history (none if text is empty) and one for a rise of
// its priority (none if rise is empty).
func (d *desk) update(t *faultline.Ticket, kind, text, rise string) error {
	if err := d.tx.UpdateTicket(t); err != nil {
		return err
	}
	if text != "" {
		if err := d.history(t, kind, "", "", text); err != nil {
			return err
		}
	}
	if rise != "" {
		if err := d.history(t, faultline.EventPriority, "", string(t.Priority), rise); err != nil {
			return err
		}
	}
	d.tell("ticket", t.ID, t.Site, t.Position, t.Number+" "+kind)
	return nil
}

func (d *desk) history(t *faultline.Ticket, kind, from, to, text string) error {
	return d.tx.AddTicketEvent(faultline.TicketEvent{Ticket: t.ID, At: d.now, By: machineName, Kind: kind, From: from, To: to, Text: text})
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
	rise := d.raisePriority(e, &t, e.rule.rule.urgency(a.Severity))
	return d.update(&t, faultline.EventComment, "alarm "+a.Rule+" rose to "+a.Severity.String()+": "+a.Why, rise)
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
		if id != a.ID && known && other.Active {
			return nil
		}
	}
	t.RecoveredAt = at
	text := ""
	if d.mayComment(&t) {
		text = "the condition is normal again; alarm " + a.Rule + " cleared"
	}
	return d.update(&t, faultline.EventRecovered, text, "")
}

// note adds a comment to the alarm's ticket.
func (d *desk) note(a *faultline.Alarm, text string) error {
	t, ok, err := d.standing(a)
	if err != nil || !ok {
		return err
	}
	return d.update(&t, faultline.EventComment, text, "")
}

// storm puts the alarm into the site's storm ticket, which the first one opens.
func (d *desk) storm(e *effect, a *faultline.Alarm, key string, urgency, n int) error {
	stormKey, err := faultline.FaultKey(a.Site, "site", stormRule, stormRule)
	if err != nil {
		return err
	}
	t, found, err := d.tx.TicketByKey(stormKey)
	if err != nil {
		return err
	}
	if found && t.Status == faultline.StatusResolved {
		if err := d.letGo(&t, stormKey); err != nil {
			return err
		}
		found = false
	}
	if found {
		return d.join(e, a, &t, key, urgency, "alarm "+a.Rule+" of "+a.Position+" joined the storm: "+a.Why)
	}
	t = d.draft(e, a, urgency)
	t.Position, t.Serial, t.Rule, t.FailureMode, t.Family = "", "", stormRule, stormRule, stormRule
	t.Coverage = faultline.Coverage{State: faultline.CoverageUnknown, Term: "several assets"}
	t.Keys, t.Title = []string{stormKey, key}, "Many faults at once at "+a.Site
	t.Text = fmt.Sprintf("%d tickets were opened at %s within %v: what follows is gathered here. Look for a common cause: power, network, cooling.\nThe first: %s: %s",
		n, a.Site, stormWindow, a.Position, sentence(a.Why))
	return d.create(e, a, &t, "storm")
}

// test opens a marked ticket.
func (d *desk) test(e *effect, a *faultline.Alarm) error {
	if e.event.Transition != faultline.TransitionRaised {
		return nil
	}
	key, err := faultline.FaultKey(a.Site, a.Position, testRule, strings.ReplaceAll(e.command.ID, "|", "-"))
	if err != nil {
		return err
	}
	t := d.draft(e, a, 1)
	t.Keys, t.Test, t.FailureMode, t.Family, t.Suggest = []string{key}, true, "test", "test", "remote"
	if err := d.create(e, a, &t, "test"); err != nil {
		return err
	}
	d.out.replies[e.command.ID] = "test ticket " + t.Number + " opened"
	return nil
}

// due opens an inspection and its ticket, once a cycle.
func (d *desk) due(e *effect, a *faultline.Alarm) error {
	plan, ok := d.world.set.plan(e.rule.rule.Plan)
	if !ok {
		return fmt.Errorf("%w: rule %s drives plan %s, which does not exist", faultline.ErrInvalid, a.Rule, e.rule.rule.Plan)
	}
	i, t, err := inspect.Due(plan, a.Site, a.Position, e.cycle, e.meter, a.RaisedAt, sentence(a.Why))
	if err != nil {
		return err
	}
	if open, found, err := d.tx.Inspection(a.Site, a.Position, plan.ID); err != nil {
		return err
	} else if found {
		a.Ticket = open.Ticket
		return nil
	}
	p := e.unit.position
	t.Serial, t.Rule, t.RuleVersion = p.Asset.Serial, a.Rule, a.RuleVersion
	t.FailureMode, t.Family = e.rule.rule.FailureMode, e.rule.rule.Family
	t.Urgency = e.rule.rule.urgency(a.Severity)
	t.Priority = faultline.PriorityOf(p.Asset.Criticality, t.Urgency)
	t.ReceivedAt, t.LastAlarmAt, t.Late = d.now, a.RaisedAt, e.late
	t.Coverage = d.world.coverage(p, d.now)
	switch err := d.create(e, a, &t, "inspection"); {
	case errors.Is(err, faultline.ErrConflict): // the ticket of this cycle is there
		return nil
	case err != nil:
		return err
	}
	i.Ticket = t.ID
	if err := d.tx.PutInspection(i); err != nil {
		return err
	}
	d.tell("inspection", plan.ID, a.Site, a.Position, t.Title)
	return nil
}

// serviced ends the open inspection of the cycle.
func (d *desk) serviced(e *effect) error {
	i, found, err := d.tx.Inspection(e.alarm.Site, e.alarm.Position, e.command.Plan)
	if err != nil {
		return fmt.Errorf("inspection %s of %s/%s: %w", e.command.Plan, e.alarm.Site, e.alarm.Position, err)
	}
	if !found || i.Cycle != e.cycle {
		return nil
	}
	i.Status, i.DoneAt = faultline.InspectionDone, d.now
	if err := d.tx.PutInspection(i); err != nil {
		return fmt.Errorf("inspection %s of %s/%s: %w", i.Plan, i.Site, i.Position, err)
	}
	d.tell("inspection", i.Plan, i.Site, i.Position, "done")
	return nil
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
