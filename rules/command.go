package rules

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// commandMessage carries out a command. Its answer is sent after the commit of the batch; for one
// that the unit has seen already nobody waits.
func (w *worker) commandMessage(m *faultline.Message) {
	var c faultline.Command
	if err := json.Unmarshal(m.Payload, &c); err != nil {
		w.engine.metrics.commands.WithLabelValues("refused").Inc()
		return
	}
	if c.Verb == faultline.VerbRules {
		w.turnTo(m)
		return
	}
	if c.Verb == faultline.VerbPeers {
		w.compare(m, &c)
		return
	}
	u := w.units[unitID(c.Site, c.Position)]
	if u == nil {
		u = w.units[gatewayUnitID(c.Site, c.Position)]
	}
	r := faultline.CommandResult{ID: c.ID}
	switch {
	case u == nil:
		r.Message = fmt.Sprintf("there is no position %s at site %s", c.Position, c.Site)
	case u.seen(m.Place):
		return
	default:
		u.place = m.Place
		r.Message, r.OK = w.command(u, &c)
	}
	outcome := "refused"
	if r.OK {
		outcome = "done"
	}
	w.engine.metrics.commands.WithLabelValues(outcome).Inc()
	w.answers = append(w.answers, r)
}

func (w *worker) command(u *unit, c *faultline.Command) (message string, ok bool) {
	switch c.Verb {
	case faultline.VerbAcknowledge:
		return w.acknowledge(u, c)
	case faultline.VerbTestAlarm:
		return w.testAlarm(u, c)
	case faultline.VerbServiced:
		return w.serviced(u, c)
	case faultline.VerbShelve:
		return w.shelve(u, c)
	case faultline.VerbUnshelve:
		return w.unshelve(u, c)
	case faultline.VerbOutOfService:
		return w.outOfService(u, c)
	case faultline.VerbReturn:
		return w.returnToService(u, c)
	case faultline.VerbReset:
		return w.reset(u, c)
	}
	return fmt.Sprintf("unknown command %q: use %s", c.Verb, strings.Join([]string{
		faultline.VerbAcknowledge, faultline.VerbShelve, faultline.VerbUnshelve, faultline.VerbOutOfService, faultline.VerbReturn,
		faultline.VerbReset, faultline.VerbTestAlarm, faultline.VerbServiced}, ", ")), false
}

func (w *worker) acknowledge(u *unit, c *faultline.Command) (string, bool) {
	r := u.find(c.Rule)
	switch {
	case r == nil:
		return fmt.Sprintf("no rule %q watches %s", c.Rule, c.Position), false
	case r.alarm == nil:
		return "there is nothing to acknowledge: the alarm was never raised", false
	}
	a := r.alarm
	if state := a.State(w.now); a.Acked {
		return fmt.Sprintf("there is nothing to acknowledge: the alarm is %s", state), false
	}
	a.Acked, a.AckedAt, a.AckedBy = true, w.now.UTC(), c.By
	w.effects = append(w.effects, effect{unit: u, rule: r, alarm: *a, command: c, event: faultline.AlarmEvent{
		Alarm: a.ID, At: w.now.UTC(), StoredAt: w.now.UTC(), Transition: faultline.TransitionAcknowledged,
		Severity: a.Severity, Why: c.Reason, By: c.By,
	}})
	return "acknowledged: the alarm is " + string(a.State(w.now)), true
}

// testAlarm raises an alarm that is over at once, with a marked ticket: it proves the way to the people.
func (w *worker) testAlarm(u *unit, c *faultline.Command) (string, bool) {
	if strings.TrimSpace(c.ID) == "" {
		return "a test alarm needs an id", false
	}
	now := w.now.UTC()
	a := faultline.Alarm{
		ID: faultline.AlarmID(u.position.Site, u.position.ID, testRule), Site: u.position.Site, Position: u.position.ID, Rule: testRule,
		RuleVersion: 1, Title: "Test alarm", Acked: true, Severity: faultline.SeverityAdvisory, RaisedAt: now, StoredAt: now,
		ClearedAt: now, AckedAt: now, AckedBy: c.By, Count: 1,
		Why: "test alarm asked for by " + c.By,
	}
	if c.Reason != "" {
		a.Why += ": " + c.Reason
	}
	e := effect{unit: u, alarm: a, command: c, event: faultline.AlarmEvent{
		Alarm: a.ID, At: now, StoredAt: now, Transition: faultline.TransitionRaised, Severity: a.Severity, Why: a.Why, By: c.By,
	}, evidence: &faultline.Evidence{Alarm: a.ID, At: now, Rule: testRule, RuleVersion: 1, Kind: "test", Why: a.Why, Samples: []faultline.EvidenceSample{}}}
	if p := u.shown(); p != nil {
		e.evidence.Point, e.evidence.Unit, e.evidence.Samples = p.Name, p.Unit, u.points[p.Name].ring.samples()
	}
	cleared := e
	cleared.event.Transition, cleared.evidence = faultline.TransitionCleared, nil
	w.effects = append(w.effects, e, cleared)
	return "test alarm raised", true
}

// serviced makes the meter's reading its new zero.
func (w *worker) serviced(u *unit, c *faultline.Command) (string, bool) {
	for _, r := range u.rules {
		m, isMeter := r.kind.(*kind.Meter)
		if !isMeter || r.rule.Plan != c.Plan {
			continue
		}
		cycle, ok := m.Serviced()
		if !ok {
			return fmt.Sprintf("the meter %s of %s was never read: its service cannot be noted yet", r.point.Name, c.Position), false
		}
		reading, _ := m.Reading()
		w.effects = append(w.effects, effect{unit: u, rule: r, command: c, cycle: cycle, meter: reading,
			alarm: faultline.Alarm{Site: u.position.Site, Position: u.position.ID},
			event: faultline.AlarmEvent{Alarm: faultline.AlarmID(u.position.Site, u.position.ID, r.name), At: w.now.UTC(), StoredAt: w.now.UTC()}})
		return fmt.Sprintf("service %d of plan %s is noted", cycle, c.Plan), true
	}
	return fmt.Sprintf("no plan %q at %s", c.Plan, c.Position), false
}
