package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
)

// What keeps an alarm from people: it is shelved, out of service, suppressed because its gateway or
// parent is down, or it comes from the backlog of an outage that is not through yet. Its condition is
// judged and its history written all the same; an alarm that is still active when the last of these has
// ended is reported then.

// life is what keeps the alarms of a whole unit from people.
type life struct {
	Suppressed string      `json:"suppressed,omitempty"` // what is down
	Out        string      `json:"out,omitempty"`        // who took all of it out of service, and why
	OutUntil   time.Time   `json:"out_until,omitzero"`
	Down       []downSince `json:"down,omitempty"` // the last changes, the oldest first
}

func (l *life) empty() bool { return l.Suppressed == "" && l.Out == "" && len(l.Down) == 0 }

// downSince is a change of whether a unit is down, at a place in the stream. Units are saved one by
// one, so after a restart one may be ahead of those that depend on it: they ask what it was at their place.
type downSince struct {
	Place faultline.Place `json:"place"`
	Down  bool            `json:"down"`
}

// downChanges is how many changes are kept: far more than fit between the savings of two units.
const downChanges = 32

// waiting is what people are still to be told.
type waiting struct {
	Evidence *faultline.Evidence `json:"evidence,omitempty"`
	Late     bool                `json:"late,omitempty"`    // came from a backlog
	Backlog  bool                `json:"backlog,omitempty"` // which is not through yet
	Rise     bool                `json:"rise,omitempty"`    // people know of the alarm, but not how severe it is
	Until    time.Time           `json:"until,omitzero"`    // hub time before which it is not told
	Patience time.Time           `json:"patience,omitzero"` // hub time at which a backlog is waited for no longer
	Meter    float64             `json:"meter,omitempty"`
	Cycle    int                 `json:"cycle,omitempty"`
}

// parentGrace is how long the silence of equipment that has a parent waits: the parent may fall silent
// a moment later, and then it is the one to be told of.
const parentGrace = 5 * time.Second

// patience is how long the end of a backlog is waited for, in hub time: the clock of a gateway may be
// wrong for good, and its faults must be told all the same.
const patience = 10 * time.Minute

// alarm gives the alarm of a rule, which begins with it.
func (u *unit) alarm(r *instance) *faultline.Alarm {
	if r.alarm == nil {
		r.alarm = &faultline.Alarm{
			ID: faultline.AlarmID(u.position.Site, u.position.ID, r.name), Site: u.position.Site, Position: u.position.ID, Rule: r.name,
			RuleVersion: r.rule.Version, Title: r.title(),
			SuppressedBy: u.life.Suppressed, OutOfService: u.life.Out, OutOfServiceUntil: u.life.OutUntil,
		}
	}
	return r.alarm
}

// hold decides whether people are told of a transition now, and if not, keeps what they will be told.
func (u *unit) hold(e *effect, now time.Time) {
	r := e.rule
	backlog := e.late && r.rule.Plan == ""
	muted := r.alarm.Muted()
	switch e.event.Transition {
	case faultline.TransitionRaised:
		graced := u.parent != nil && blind[r.rule.Family] && r.point == nil
		if r.waits != nil { // a critical one of the same backlog that was over already
			e.quiet = true
			return
		}
		if !muted && !backlog && !graced {
			return
		}
		w := &waiting{Evidence: e.evidence, Late: e.late, Backlog: backlog, Meter: e.meter, Cycle: e.cycle}
		if backlog {
			w.Patience = now.Add(patience).UTC()
		}
		if graced {
			w.Until = now.Add(parentGrace).UTC()
		}
		u.wait(r, w)
		e.quiet, e.evidence = true, nil
	case faultline.TransitionRose:
		if r.waits == nil && muted {
			u.wait(r, &waiting{Rise: true, Late: e.late})
		}
		e.quiet = r.waits != nil
	case faultline.TransitionCleared:
		if r.waits == nil {
			return
		}
		e.quiet = true
		// A fault that began and ended unseen is history, unless it tripped something in an outage.
		trip := e.alarm.Severity >= faultline.SeverityCritical || r.rule.Urgency >= 3
		if w := r.waits; w.Rise || !trip || !u.outage(r, w) {
			u.wait(r, nil)
			e.quiet = false
		}
	}
}

// outage tells whether it is an outage of the gateway, and nothing else, that keeps the alarm from people:
// its backlog, or its silence, which lasts until a backlog has begun to come.
func (u *unit) outage(r *instance, w *waiting) bool {
	if !r.alarm.Muted() {
		return w.Backlog
	}
	return u.gate != nil && r.alarm.SuppressedBy == gateName(u.gate) && r.alarm.OutOfService == "" && r.alarm.ShelvedUntil.IsZero()
}

func gateName(gate *unit) string { return "gateway " + gate.position.ID }

func (u *unit) wait(r *instance, w *waiting) {
	if (r.waits == nil) != (w == nil) {
		if w == nil {
			u.waiting--
		} else {
			u.waiting++
		}
	}
	r.waits = w
}

func (u *unit) restoreWaiting(r *instance, state []byte) error {
	u.wait(r, nil)
	if len(state) == 0 {
		return nil
	}
	w := &waiting{}
	if err := json.Unmarshal(state, w); err != nil {
		return fmt.Errorf("restore %s: what %s waits with: %w", u.id, r.name, err)
	}
	u.wait(r, w)
	return nil
}

// caughtUp notes that the gateway's backlog is through.
func (u *unit) caughtUp(now time.Time, out []effect) []effect {
	if u.waiting == 0 {
		return out
	}
	for _, r := range u.rules {
		if r.waits != nil {
			r.waits.Backlog = false
		}
	}
	return u.report(now, out)
}

// report tells people of what nothing keeps from them any more.
func (u *unit) report(now time.Time, out []effect) []effect {
	if u.waiting == 0 {
		return out
	}
	for _, r := range u.rules {
		w := r.waits
		if w == nil || w.Backlog && now.Before(w.Patience) || r.alarm.Muted() || now.Before(w.Until) {
			continue
		}
		u.wait(r, nil)
		why := "told now: it was kept back until here"
		if w.Late {
			why = "told now that the backlog of an outage is through: it began at " + cmp.Or(r.alarm.BeganAt, r.alarm.RaisedAt).Format("2006-01-02 15:04:05 UTC")
		}
		e := u.lifeEvent(r, faultline.TransitionReported, why, "", now)
		e.evidence, e.late, e.rise, e.meter, e.cycle = w.Evidence, w.Late, w.Rise, w.Meter, w.Cycle
		out = append(out, e)
	}
	return out
}

// lifeEvent makes the effect of a transition that is none of the alarm machine's, in hub time.
func (u *unit) lifeEvent(r *instance, transition, why, by string, now time.Time) effect {
	a := u.alarm(r)
	return effect{unit: u, rule: r, alarm: *a, event: faultline.AlarmEvent{
		Alarm: a.ID, At: now.UTC(), StoredAt: now.UTC(), Transition: transition, Severity: a.Severity, Why: why, By: by,
	}}
}

// suppress takes over what is down above the unit ("": nothing).
func (u *unit) suppress(by string, now time.Time, out []effect) []effect {
	if by == u.life.Suppressed {
		return out
	}
	was := u.life.Suppressed
	u.life.Suppressed = by
	for _, r := range u.rules {
		if r.alarm == nil || r.alarm.SuppressedBy == by {
			continue
		}
		first := r.alarm.SuppressedBy == ""
		r.alarm.SuppressedBy = by
		switch {
		case by == "":
			out = append(out, u.lifeEvent(r, faultline.TransitionReleased, was+" is back", "", now))
		case first:
			out = append(out, u.lifeEvent(r, faultline.TransitionSuppressed, by+" is down", "", now))
		}
	}
	return u.report(now, out)
}

// suppressor names what is down above the unit at a place of the stream.
func (u *unit) suppressor(at faultline.Place) string {
	switch {
	case u.gate != nil && u.gate.downAt(at):
		return gateName(u.gate)
	case u.parent != nil && u.parent.downAt(at):
		return u.parent.position.ID
	}
	return ""
}

// noteDown notes whether the unit is down now: its silence is an alarm, or it is below something that
// is down.
func (u *unit) noteDown(at faultline.Place) {
	down := u.life.Suppressed != ""
	for _, r := range u.silences {
		down = down || r.alarm != nil && r.alarm.Active
	}
	n := len(u.life.Down)
	if n > 0 && u.life.Down[n-1].Down == down || n == 0 && !down {
		return
	}
	if n >= downChanges {
		u.life.Down = slices.Delete(u.life.Down, 0, n-downChanges+1)
	}
	u.life.Down = append(u.life.Down, downSince{at, down})
}

func (u *unit) downAt(p faultline.Place) bool {
	for _, d := range slices.Backward(u.life.Down) {
		if d.Place.Stream != p.Stream || d.Place.Sequence <= p.Sequence {
			return d.Down
		}
	}
	return false
}

// expire ends what had an end.
func (u *unit) expire(now time.Time, out []effect) []effect {
	for _, r := range u.rules {
		a := r.alarm
		if a == nil {
			continue
		}
		if !a.ShelvedUntil.IsZero() && !now.Before(a.ShelvedUntil) {
			out = u.unshelve(r, "the time was up", "", now, out)
		}
		if a.OutOfService != "" && !now.Before(a.OutOfServiceUntil) {
			out = u.inService(r, "the time was up", "", now, out)
		}
	}
	if u.life.Out != "" && !now.Before(u.life.OutUntil) {
		u.life.Out, u.life.OutUntil = "", time.Time{}
	}
	return u.report(now, out)
}

func (u *unit) unshelve(r *instance, why, by string, now time.Time, out []effect) []effect {
	a := r.alarm
	a.ShelvedUntil, a.ShelvedBy, a.ShelvedWhy = time.Time{}, "", ""
	return append(out, u.lifeEvent(r, faultline.TransitionUnshelved, why, by, now))
}

func (u *unit) inService(r *instance, why, by string, now time.Time, out []effect) []effect {
	a := r.alarm
	a.OutOfService, a.OutOfServiceUntil = "", time.Time{}
	return append(out, u.lifeEvent(r, faultline.TransitionReturned, why, by, now))
}

// lives lets the hub's second pass for what keeps alarms from people.
func (w *worker) lives(at faultline.Place) {
	for _, u := range w.families {
		if u.gateway || u.seen(at) {
			continue
		}
		u.place = at
		w.effects = u.suppress(u.suppressor(at), w.now, w.effects)
		w.effects = u.expire(w.now, w.effects)
		u.noteDown(at)
	}
}

// link finds gateway and parent of every unit, and puts parents before their children.
func (w *worker) link() {
	depth := map[*unit]int{}
	for _, u := range w.order {
		if u.gateway {
			continue
		}
		u.gate = w.units[gatewayUnitID(u.position.Site, u.position.Gateway)]
		u.parent = nil
		if p := u.position.Parent; p != "" && p != u.position.ID {
			u.parent = w.units[unitID(u.position.Site, p)]
		}
	}
	for _, u := range w.order {
		p := u
		for depth[u] = 0; p != nil && depth[u] < len(w.order)+1; depth[u]++ {
			p = p.parent
		}
		if u.gateway {
			depth[u] = 0
		}
		if depth[u] > len(w.order) { // a circle: nobody is above anybody
			u.parent = nil
		}
	}
	first := func(a, b *unit) int { return depth[a] - depth[b] }
	w.families = slices.Clone(w.order)
	slices.SortStableFunc(w.families, first)
	for _, list := range w.behind {
		slices.SortStableFunc(list, first)
	}
	w.groupPeers()
}
