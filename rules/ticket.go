package rules

import (
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// draft fills what a machine knows of a fault.
func (d *desk) draft(e *effect, a *faultline.Alarm, urgency int) faultline.Ticket {
	p := e.unit.position
	t := faultline.Ticket{
		Kind: faultline.TicketFault, Maintenance: faultline.Corrective, Status: faultline.StatusNew,
		Site: a.Site, Position: a.Position, Serial: p.Asset.Serial, Urgency: urgency, Impact: d.criticality(e.unit),
		Priority: faultline.PriorityOf(d.criticality(e.unit), urgency), Rule: a.Rule, RuleVersion: a.RuleVersion,
		Title: a.Position + ": " + a.Title, Text: sentence(a.Why), EventAt: a.RaisedAt, ReceivedAt: d.now, LastAlarmAt: a.RaisedAt,
		Count: 1,
	}
	d.world.cover(&t, p, d.now)
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
	if r.Kind == "life" { // nothing has failed yet
		t.Kind, t.Maintenance = faultline.TicketInspection, faultline.ConditionBased
		if plan, ok := d.world.set.plan(r.Plan); ok {
			t.Text += "\nThe jobs of the plan " + plan.Title + ":\n" + jobs(plan)
		}
	}
	return t
}

// jobs of a plan, as a list.
func jobs(p *faultline.Plan) string {
	text := ""
	for i, j := range p.Jobs {
		text += fmt.Sprintf("%d. %s\n", i+1, j)
	}
	return text
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
	rose := d.raisePriority(e, t, urgency)
	text := ""
	if rose == (rise{}) && d.mayComment(t) {
		text = fmt.Sprintf("alarm %s again, %d times so far: %s", a.Rule, a.Count, a.Why)
	}
	d.out.counts["repeated"]++
	return d.update(t, faultline.EventRepeated, text, rose)
}

func (d *desk) join(e *effect, a *faultline.Alarm, t *faultline.Ticket, key string, urgency int, text string) error {
	t.Keys = append(t.Keys, key)
	d.again(a, t)
	rose := d.raisePriority(e, t, urgency)
	d.out.counts["joined"]++
	if err := d.update(t, faultline.EventJoined, text, rose); err != nil {
		return err
	}
	return d.prove(e, t)
}

func (d *desk) reopen(e *effect, a *faultline.Alarm, t *faultline.Ticket, urgency int) error {
	d.again(a, t)
	t.Status, t.ResolvedAt, t.Resolution = faultline.StatusInProgress, time.Time{}, faultline.Resolution{} // through the gate again; the history keeps what was said
	rose := d.raisePriority(e, t, urgency)
	d.out.counts["reopened"]++
	if err := d.history(t, faultline.EventMoved, string(faultline.StatusResolved), string(faultline.StatusInProgress),
		"reopened: the fault came back: "+a.Why); err != nil {
		return err
	}
	if err := d.update(t, faultline.EventRepeated, "", rose); err != nil {
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
	return d.update(t, faultline.EventComment, "the fault came back more than 72 h after this was resolved: it gets a new ticket", rise{})
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
func (d *desk) raisePriority(e *effect, t *faultline.Ticket, urgency int) rise {
	impact := t.Impact // which a person may have corrected
	if impact == "" {
		impact = d.criticality(e.unit)
	}
	p := faultline.PriorityOf(impact, max(urgency, t.Urgency))
	if urgency > t.Urgency {
		t.Urgency = urgency
	}
	if p >= t.Priority { // "P1" < "P2"
		return rise{}
	}
	from := t.Priority
	t.Priority = p
	return rise{from, fmt.Sprintf("%s → %s: %s", from, p, e.alarm.Why)}
}

// mayComment tells whether a repeat may be told of, at most hourly, and notes that it is.
func (d *desk) mayComment(t *faultline.Ticket) bool {
	if !t.CommentedAt.IsZero() && d.now.Sub(t.CommentedAt) < commentEvery {
		return false
	}
	t.CommentedAt = d.now
	return true
}

// rise of a ticket's priority; the zero rise is none.
type rise struct {
	from faultline.Priority
	text string
}

// update writes a changed ticket with a line of history (none if text is empty) and one for a rise of
// its priority, if there is one.
func (d *desk) update(t *faultline.Ticket, kind, text string, r rise) error {
	if text != "" {
		if err := d.history(t, kind, "", "", text); err != nil {
			return err
		}
	}
	if r != (rise{}) {
		if err := d.history(t, faultline.EventPriority, string(r.from), string(t.Priority), r.text); err != nil {
			return err
		}
	}
	if err := d.tx.UpdateTicket(t); err != nil {
		return err
	}
	d.tell("ticket", t.ID, t.Site, t.Position, t.Number+" "+kind)
	return nil
}

// history adds a line; what the ticket's clocks go by is noted on it too, so it is to be written afterwards.
func (d *desk) history(t *faultline.Ticket, kind, from, to, text string) error {
	e := faultline.TicketEvent{Ticket: t.ID, At: d.now, By: machineName, Kind: kind, From: from, To: to, Text: text}
	t.Note(e)
	return d.tx.AddTicketEvent(e)
}
