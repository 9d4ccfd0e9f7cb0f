package rules

import (
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// unit is the state of the rules on one position, or on one gateway. Everything in it is a function
// of the messages up to its place, so a unit that is restored and shown the messages after its place
// is what it would have been.
//
// A position lives in event time: its gateway's clock, as frames and heartbeats tell it. A gateway
// lives in hub time, because its own clock stands still when it is silent.
type unit struct {
	id       string
	position *faultline.Position
	gateway  bool
	place    faultline.Place // everything up to here is in it
	saved    faultline.Place // and this much of it is in the store
	savedAt  time.Time       // by the wall clock

	epoch    string // of the last frame
	sequence uint64
	frameAt  int64

	rules   []*instance
	points  map[string]*watched
	asset   []*instance // that see one usable sample of every frame
	ticking []*instance
	framed  []framedRule
	lives   []*foreteller

	silences []*instance // rules on the silence of the asset as a whole: while one is active, it is down
	life     life        // what keeps its alarms from people
	waiting  int         // alarms that people are to be told of later
	gate     *unit       // its gateway's; nil: it is one, or none is known
	parent   *unit       // of its position's parent; nil: none

	ahead   bool                    // the clock of its last frame was not believed
	state   *faultline.GatewayState // of a gateway, while its samples are judged
	changes []change                // scratch
}

// watched is a point that some rule watches, or tells of as a load.
type watched struct {
	ring   ring
	rules  []*instance // none: it is a load only, and has no ring
	memory *memory     // nil: no rule tells of its hours
}

// framedRule is a rule that judges at the end of a frame.
type framedRule struct {
	*instance
	kind    kind.Framed
	changer kind.Changer // nil: it sees no change points
}

// foreteller is a rule that forecasts, with what of it was told last.
type foreteller struct {
	*instance
	told int64  // event time of the newest forecast that was looked at
	none string // why there was none
}

// instance is one rule on one position.
type instance struct {
	attachment
	machine machine
	alarm   *faultline.Alarm // nil until it was raised for the first time
	waits   *waiting         // nil unless people are still to be told
}

// effect is something that must become true outside because of a message: an alarm's transition with
// what follows from it, or a command.
type effect struct {
	unit     *unit
	rule     *instance // nil of test alarms
	alarm    faultline.Alarm
	event    faultline.AlarmEvent
	evidence *faultline.Evidence // of raised
	late     bool                // seen in a frame that was stored long after its event
	quiet    bool                // nobody is to be told now
	rise     bool                // of reported: it was its severity that rose
	meter    float64             // of inspections: the reading
	cycle    int                 // of inspections and services
	command  *faultline.Command  // that asked for it
	forecast *faultline.Forecast // a forecast and nothing else
}

func unitID(site, position string) string { return site + "/" + position }

func gatewayUnitID(site, gateway string) string { return "gateway:" + site + "/" + gateway }

func positionUnitID(p *faultline.Position) string {
	if p.Kind == GatewayKind {
		return gatewayUnitID(p.Site, p.ID)
	}
	return unitID(p.Site, p.ID)
}

func newUnit(set *Set, p *faultline.Position) (*unit, []string) {
	attached, misfits := set.attach(p)
	return unitOf(p, attached), misfits
}

// unitOf makes a unit of rules that were found to apply to its position.
func unitOf(p *faultline.Position, attached []attachment) *unit {
	u := &unit{id: positionUnitID(p), position: p, gateway: p.Kind == GatewayKind, points: map[string]*watched{}}
	for _, a := range attached {
		i := &instance{attachment: a}
		u.rules = append(u.rules, i)
		for _, name := range a.watch {
			w := u.points[name]
			if w == nil {
				w = &watched{}
				u.points[name] = w
			}
			w.rules = append(w.rules, i)
		}
		u.remember(i)
		if framed, ok := a.kind.(kind.Framed); ok {
			changer, _ := kind.AsChanger(a.kind)
			u.framed = append(u.framed, framedRule{i, framed, changer})
		}
		if _, ok := kind.AsForecaster(a.kind); ok {
			u.lives = append(u.lives, &foreteller{instance: i})
		}
		if a.rule.of.Asset {
			u.asset = append(u.asset, i)
		}
		if a.point == nil && a.rule.Kind == "silence" {
			u.silences = append(u.silences, i)
		}
		if a.rule.of.Ticks {
			u.ticking = append(u.ticking, i)
		}
	}
	return u
}

// seen tells whether the message at p is in the state already.
func (u *unit) seen(p faultline.Place) bool {
	return u.place.Stream == p.Stream && p.Sequence <= u.place.Sequence
}

// frameFate is what became of a frame.
type frameFate int

const (
	frameJudged    frameFate = iota
	frameDuplicate           // its sequence was seen before
	frameOld                 // not after the last frame of its position in event time
	frameAhead               // so far after the hub's time that it hides all that follow, if it is believed
)

// frame shows a frame of the position to its rules. now is when the hub stored it.
func (u *unit) frame(id faultline.FrameID, f *faultline.Frame, now time.Time, out []effect) ([]effect, frameFate) {
	if id.Epoch == u.epoch && id.Sequence <= u.sequence {
		return out, frameDuplicate
	}
	u.epoch, u.sequence = id.Epoch, id.Sequence
	if f.Time.Sub(now) > faultline.MaxAhead {
		return out, frameAhead
	}
	at := f.Time.UnixNano()
	if at <= u.frameAt {
		return out, frameOld
	}
	u.frameAt = at
	late := now.Sub(f.Time) > faultline.LateAfter
	var usable *faultline.Sample
	for i := range f.Samples {
		s := &f.Samples[i]
		if usable == nil && s.Quality.Usable() {
			usable = s
		}
		w := u.points[s.Point]
		if w == nil {
			continue
		}
		if len(w.rules) > 0 {
			w.ring.push(f.Time, s)
		}
		if w.memory != nil && s.Quality.Usable() {
			if v, ok := s.Value.Number(); ok {
				w.memory.add(at, v)
			}
		}
		for _, r := range w.rules {
			out = u.judge(out, r, r.kind.Observe(f.Time, s), f.Time, now, late)
		}
	}
	if usable != nil {
		for _, r := range u.asset {
			out = u.judge(out, r, r.kind.Observe(f.Time, usable), f.Time, now, late)
		}
	}
	for _, r := range u.framed {
		before := r.changePoint()
		out = u.judge(out, r.instance, r.kind.EndFrame(f.Time), f.Time, now, late)
		if r.changePoint() > before {
			out = append(out, u.changed(r.instance, r.changer, now))
		}
	}
	for _, l := range u.lives {
		out = u.foretell(out, l, now)
	}
	if !late {
		out = u.caughtUp(now, out)
	}
	return out, frameJudged
}

func (r *framedRule) changePoint() int64 {
	if r.changer == nil {
		return 0
	}
	return r.changer.ChangePoint()
}

// changed notes a change point in the history of the rule's alarm.
func (u *unit) changed(r *instance, c kind.Changer, now time.Time) effect {
	a := u.alarm(r)
	return effect{unit: u, rule: r, alarm: *a, quiet: true, event: faultline.AlarmEvent{
		Alarm: a.ID, At: time.Unix(0, c.ChangePoint()).UTC(), StoredAt: now.UTC(), Transition: faultline.TransitionChangePoint,
		Why: "the signals went over to another level, or one of them did",
	}}
}

// foretell tells of a new forecast, and once of why there is none. After a restart it may tell of the newest
// again, which changes nothing.
func (u *unit) foretell(out []effect, l *foreteller, now time.Time) []effect {
	f, ok := kind.AsForecaster(l.kind) // a gate makes its kind anew
	if !ok || f.ForecastAt() == l.told {
		return out
	}
	said := f.Forecast()
	l.told = f.ForecastAt()
	if said.None != "" && said.None == l.none {
		return out
	}
	l.none = said.None
	said.Site, said.Position, said.Rule = u.position.Site, u.position.ID, l.name
	return append(out, effect{unit: u, rule: l.instance, forecast: &said, event: faultline.AlarmEvent{At: said.At, StoredAt: now.UTC()}})
}

var alive = faultline.Sample{Quality: faultline.Good}

// heard notes a sign of life of a gateway.
func (u *unit) heard(now time.Time, out []effect) []effect {
	for _, r := range u.asset {
		out = u.judge(out, r, r.kind.Observe(now, &alive), now, now, false)
	}
	return out
}

// tick lets the unit's clock go on to at.
func (u *unit) tick(at, now time.Time, out []effect) []effect {
	late := now.Sub(at) > faultline.LateAfter
	for _, r := range u.ticking {
		out = u.judge(out, r, r.kind.Tick(at), at, now, late)
	}
	if !late {
		out = u.caughtUp(now, out)
	}
	return out
}

// judge feeds a verdict to the alarm machine and notes what follows.
func (u *unit) judge(out []effect, r *instance, v kind.Verdict, at, now time.Time, late bool) []effect {
	if v.Judgement == kind.NoNews {
		return out
	}
	u.changes = r.machine.step(u.changes[:0], delays{r.rule.OnDelay, r.rule.OffDelay}, v, at)
	for _, c := range u.changes {
		e := u.apply(r, c, v, at, now)
		e.late = late
		u.hold(&e, now)
		out = append(out, e)
	}
	return out
}

// apply makes a change of the machine a fact of the alarm.
func (u *unit) apply(r *instance, c change, v kind.Verdict, at, now time.Time) effect {
	a := u.alarm(r)
	a.RuleVersion, a.Title = r.rule.Version, r.title()
	e := effect{unit: u, rule: r, event: faultline.AlarmEvent{
		Alarm: a.ID, At: at.UTC(), StoredAt: now.UTC(), Transition: c.transition, Severity: c.severity,
	}}
	switch c.transition {
	case faultline.TransitionRaised, faultline.TransitionRose:
		a.Severity, a.Acked = c.severity, false
		began := time.Unix(0, c.began).UTC()
		a.Why = r.kind.Explain(v, c.held) + u.course(r, v, at)
		if earlier, known := kind.Began(r.kind, v, at); known { // and the kind says for how long
			began = earlier.UTC()
		} else {
			a.Why += since(began, at)
		}
		if r.point != nil && u.state != nil {
			a.Why += u.state.Explain(r.point.Name)
		}
		e.event.Why = a.Why
		if c.transition == faultline.TransitionRose {
			break
		}
		a.Active, a.Latched, a.RaisedAt, a.StoredAt = true, false, at.UTC(), now.UTC()
		a.BeganAt = began
		a.AckedAt, a.AckedBy = time.Time{}, ""
		a.Count++
		e.evidence = u.evidence(r, a, at)
		if m, ok := r.kind.(*kind.Meter); ok {
			e.meter, _ = m.Reading()
			e.cycle = m.Cycle()
		}
	case faultline.TransitionCleared:
		a.Active, a.ClearedAt, a.Latched = false, at.UTC(), r.rule.Latching
		if a.Latched {
			e.event.Why = "the condition is normal again; the alarm is latched until a person resets it"
		}
	case faultline.TransitionChattering:
		a.Chattering = true
		e.event.Why = "raised three times in a short while: held open until it has been quiet for ten minutes"
	case faultline.TransitionSettled:
		a.Chattering = false
	}
	e.alarm = *a
	return e
}

func (i *instance) title() string {
	if i.rule.Point == "*" && i.point != nil {
		if i.point.Title != "" {
			return i.rule.Title + ": " + i.point.Title
		}
		return i.rule.Title + ": " + i.point.Name
	}
	return i.rule.Title
}

// evidence copies what the alarm rests on. A rule on the asset as a whole has no point of its own; its
// evidence is a point that people watch, where the end of the data can be seen.
func (u *unit) evidence(r *instance, a *faultline.Alarm, at time.Time) *faultline.Evidence {
	e := &faultline.Evidence{
		Alarm: a.ID, At: at.UTC(), BeganAt: a.BeganAt, Rule: a.Rule, RuleVersion: a.RuleVersion, Kind: r.rule.Kind, Why: a.Why,
		Samples: []faultline.EvidenceSample{},
	}
	point := r.point
	learner, learns := kind.AsLearner(r.kind)
	if learns {
		for i := range u.position.Points {
			if u.position.Points[i].Name == learner.Subject() {
				point = &u.position.Points[i]
			}
		}
		e.Limits, e.Parts = learner.Band(), learner.Parts()
	}
	if point == nil {
		point = u.shown()
	}
	if point != nil {
		e.Point, e.Unit = point.Name, point.Unit
		e.Samples = u.points[point.Name].ring.samples()
	}
	if f, ok := kind.AsForecaster(r.kind); ok {
		said := f.Forecast()
		said.Site, said.Position, said.Rule = a.Site, a.Position, a.Rule
		e.Forecast, e.Samples = &said, f.Past()
	}
	if r.point != nil && r.rule.of.Limits != nil {
		e.Limits = r.rule.of.Limits(&r.rule.Settings)
	}
	return e
}

// shown is the first watched point that is shown as a trend, else the first watched one.
func (u *unit) shown() *faultline.Point {
	var first *faultline.Point
	for i := range u.position.Points {
		p := &u.position.Points[i]
		if w := u.points[p.Name]; w == nil || len(w.rules) == 0 {
			continue
		}
		if p.Trend {
			return p
		}
		if first == nil {
			first = p
		}
	}
	return first
}

// find gives the rule of that name, or nil.
func (u *unit) find(name string) *instance {
	for _, r := range u.rules {
		if r.name == name {
			return r
		}
	}
	return nil
}
