package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/inspect"
)

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
	t.Impact = p.Asset.Criticality
	t.Priority = faultline.PriorityOf(t.Impact, t.Urgency)
	t.ReceivedAt, t.LastAlarmAt, t.Late = d.now, a.RaisedAt, e.late
	d.world.cover(&t, p, d.now)
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
