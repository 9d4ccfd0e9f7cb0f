package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// shelve keeps one alarm from people for a while.
func (w *worker) shelve(u *unit, c *faultline.Command) (string, bool) {
	r, until, refusal := w.asked(u, c, faultline.LongestShelf)
	if refusal != "" {
		return refusal, false
	}
	if r == nil {
		return "shelving needs the rule whose alarm it is", false
	}
	a := u.alarm(r)
	a.ShelvedUntil, a.ShelvedBy, a.ShelvedWhy = until, c.By, c.Reason
	w.effects = append(w.effects, u.lifeEvent(r, faultline.TransitionShelved, "until "+minute(until)+": "+c.Reason, c.By, w.now))
	return "shelved until " + minute(until), true
}

func (w *worker) unshelve(u *unit, c *faultline.Command) (string, bool) {
	r := u.find(c.Rule)
	if r == nil || r.alarm == nil || r.alarm.ShelvedUntil.IsZero() {
		return fmt.Sprintf("there is no shelved alarm of rule %q at %s", c.Rule, c.Position), false
	}
	w.effects = u.unshelve(r, c.Reason, c.By, w.now, w.effects)
	w.effects = u.report(w.now, w.effects)
	return "no longer shelved: the alarm is " + stateWords[r.alarm.State(w.now)], true
}

// stateWords are what people call an alarm's states in a sentence.
var stateWords = map[faultline.AlarmState]string{
	faultline.AlarmNormal: "normal", faultline.AlarmUnacked: "active and not acknowledged", faultline.AlarmAcked: "active and acknowledged",
	faultline.AlarmReturned: "back to normal and not acknowledged", faultline.AlarmShelved: "shelved",
	faultline.AlarmSuppressed: "suppressed", faultline.AlarmOutOfService: "out of service",
}

// outOfService keeps one alarm, or all of a position, from people while somebody works on it.
func (w *worker) outOfService(u *unit, c *faultline.Command) (string, bool) {
	only, until, refusal := w.asked(u, c, faultline.LongestOutOfService)
	if refusal != "" {
		return refusal, false
	}
	who := c.By + ": " + c.Reason
	n := 0
	shown := only == nil && len(u.rules) > 0 && !slices.ContainsFunc(u.rules, func(r *instance) bool { return r.alarm != nil })
	for i, r := range u.rules {
		// A position that never had an alarm shows it by that of its first rule.
		if only != nil && r != only || only == nil && r.alarm == nil && !(shown && i == 0) {
			continue
		}
		a := u.alarm(r)
		a.OutOfService, a.OutOfServiceUntil = who, until
		w.effects = append(w.effects, u.lifeEvent(r, faultline.TransitionOutOfService, "until "+minute(until)+": "+c.Reason, c.By, w.now))
		n++
	}
	if shown {
		n = 0
	}
	if only == nil {
		u.life.Out, u.life.OutUntil = who, until
		return fmt.Sprintf("%s is out of service until %s, with %d alarms that it had", c.Position, minute(until), n), true
	}
	return "out of service until " + minute(until), true
}

func (w *worker) returnToService(u *unit, c *faultline.Command) (string, bool) {
	n := 0
	for _, r := range u.rules {
		if c.Rule != "" && r.name != c.Rule || r.alarm == nil || r.alarm.OutOfService == "" {
			continue
		}
		w.effects = u.inService(r, c.Reason, c.By, w.now, w.effects)
		n++
	}
	all := c.Rule == "" && u.life.Out != ""
	if n == 0 && !all {
		return fmt.Sprintf("nothing of %s is out of service", strings.TrimSpace(c.Position+" "+c.Rule)), false
	}
	if all {
		u.life.Out, u.life.OutUntil = "", time.Time{}
	}
	w.effects = u.report(w.now, w.effects)
	return "back in service", true
}

// reset ends the latch of an alarm.
func (w *worker) reset(u *unit, c *faultline.Command) (string, bool) {
	r := u.find(c.Rule)
	switch {
	case r == nil:
		return fmt.Sprintf("no rule %q watches %s", c.Rule, c.Position), false
	case r.alarm == nil || !r.alarm.Latched:
		return "there is nothing to reset: the alarm is not latched", false
	}
	r.alarm.Latched = false
	w.effects = append(w.effects, u.lifeEvent(r, faultline.TransitionReset, c.Reason, c.By, w.now))
	return "reset: the alarm is " + string(r.alarm.State(w.now)), true
}

// asked checks what shelving and taking out of service have in common. No rule is the whole position.
func (w *worker) asked(u *unit, c *faultline.Command, longest time.Duration) (r *instance, until time.Time, refusal string) {
	if c.Rule != "" {
		if r = u.find(c.Rule); r == nil {
			return nil, until, fmt.Sprintf("no rule %q watches %s", c.Rule, c.Position)
		}
	}
	switch {
	case strings.TrimSpace(c.By) == "":
		return nil, until, "it must be known who asks for it"
	case strings.TrimSpace(c.Reason) == "":
		return nil, until, "give a reason"
	case !c.Until.After(w.now):
		return nil, until, "give a time in the future at which it ends"
	case c.Until.Sub(w.now) > longest:
		return nil, until, fmt.Sprintf("until %s is too long: at most %v from now", minute(c.Until), longest)
	}
	return r, c.Until.UTC(), ""
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// muted notes in the standing ticket what an alarm did while it was kept from people.
func (d *desk) muted(e *effect, a *faultline.Alarm) error {
	t, ok, err := d.standing(a)
	if err != nil || !ok {
		return err
	}
	switch e.event.Transition {
	case faultline.TransitionRaised:
		t.RecoveredAt = time.Time{}
	case faultline.TransitionRose:
		return d.update(&t, faultline.EventComment, "alarm "+a.Rule+" rose to "+a.Severity.String()+" while it is "+hidden(a)+": "+a.Why, rise{})
	default:
		return nil
	}
	text := ""
	if d.mayComment(&t) {
		text = "alarm " + a.Rule + " came again while it is " + hidden(a) + ": " + a.Why
	}
	return d.update(&t, faultline.EventComment, text, rise{})
}

// hidden says why an alarm is kept from people.
func hidden(a *faultline.Alarm) string {
	switch {
	case a.OutOfService != "":
		return "out of service (" + a.OutOfService + ")"
	case a.SuppressedBy != "":
		return "suppressed (" + a.SuppressedBy + " is down)"
	case !a.ShelvedUntil.IsZero():
		return "shelved until " + minute(a.ShelvedUntil)
	}
	return "waiting for the end of a backlog"
}

// lived does what follows from transitions that people, time or other equipment brought about.
func (d *desk) lived(e *effect, a *faultline.Alarm) error {
	by, why := e.event.By, e.event.Why
	if why != "" {
		why = ": " + why
	}
	if by == "" {
		by = machineName
	}
	switch e.event.Transition {
	case faultline.TransitionReported:
		return d.reported(e, a)
	case faultline.TransitionShelved:
		return d.note(a, "alarm "+a.Rule+" was shelved by "+by+" "+strings.TrimPrefix(why, ": "))
	case faultline.TransitionUnshelved:
		return d.note(a, "alarm "+a.Rule+" is no longer shelved"+why)
	case faultline.TransitionOutOfService:
		return d.note(a, "alarm "+a.Rule+" was taken out of service by "+by+" "+strings.TrimPrefix(why, ": "))
	case faultline.TransitionReturned:
		return d.note(a, "alarm "+a.Rule+" is back in service"+why)
	case faultline.TransitionReset:
		return d.returned(a, e.event.At)
	}
	return nil
}

// reported tells of an alarm that was kept from people until now.
func (d *desk) reported(e *effect, a *faultline.Alarm) error {
	if e.rise {
		t, ok, err := d.standing(a)
		if err != nil {
			return err
		}
		if ok && t.Status != faultline.StatusResolved {
			return d.rose(e, a)
		}
	}
	if err := d.raised(e, a); err != nil || a.Active || a.Latched {
		return err
	}
	return d.returned(a, a.ClearedAt)
}
