package rules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
)

// Which rules are in force at a place of the stream is part of what alarms depend on, so it comes from the
// stream: the owner of a partition puts in a command that names the version of every rule, and the units go
// over to them when they read it. Bodies are read from the store, where a version never changes.
//
// The book notes these commands with their places. A unit that was saved at a place has the rules that the
// book says for it, so each goes on as it would have without the restart.

// bookUnit is the unit that holds the book of a partition.
const bookUnit = "rules"

type book struct {
	entries []entryOfBook // in the order of the stream; the first holds for all that is before it too
	changed bool          // since it was saved
}

type entryOfBook struct {
	Place    faultline.Place `json:"place"`
	Versions map[string]int  `json:"versions"`

	set *Set
}

// at gives what is in force at a place.
func (b *book) at(p faultline.Place) *Set {
	for _, e := range slices.Backward(b.entries) {
		if e.Place.Stream != p.Stream || e.Place.Sequence <= p.Sequence {
			return e.set
		}
	}
	return b.entries[0].set
}

// add notes an entry; false if it is there already.
func (b *book) add(e entryOfBook) bool {
	if slices.ContainsFunc(b.entries, func(o entryOfBook) bool { return o.Place == e.Place }) {
		return false
	}
	b.entries = append(b.entries, e)
	b.changed = true
	return true
}

// trim forgets what only places before least need.
func (b *book) trim(least faultline.Place) {
	for len(b.entries) > 1 && b.entries[1].Place.Stream == least.Stream && b.entries[1].Place.Sequence <= least.Sequence {
		b.entries = slices.Delete(b.entries, 0, 1)
		b.changed = true
	}
}

func (b *book) unit(at faultline.Place) (Unit, error) {
	state, err := json.Marshal(b.entries)
	if err != nil {
		return Unit{}, fmt.Errorf("save which rules are in force: %w", err)
	}
	return Unit{ID: bookUnit, Place: at, State: state}, nil
}

func readBook(state []byte) (*book, error) {
	b := &book{}
	if err := json.Unmarshal(state, &b.entries); err != nil || len(b.entries) == 0 {
		return nil, fmt.Errorf("%w: which rules were in force cannot be read: %w", faultline.ErrInvalid, errors.Join(err))
	}
	return b, nil
}

// open makes or restores the book. A new one is saved before any message is judged by it, so that a replay
// begins with the same rules.
func (w *worker) open(ctx context.Context, saved *Unit) error {
	if w.engine.Documents == nil {
		w.book = &book{entries: []entryOfBook{{set: w.world.set}}}
		return nil
	}
	if saved != nil {
		var err error
		if w.book, err = readBook(saved.State); err != nil {
			w.log.Error("the rules that are live now are taken", "error", err)
			saved = nil
		}
	}
	if saved == nil {
		w.book = &book{entries: []entryOfBook{{Place: w.place, Versions: w.world.versions}}}
		u, err := w.book.unit(w.place)
		if err == nil {
			err = w.lease.SaveUnits(ctx, []Unit{u}, nil, faultline.Place{})
		}
		if err != nil {
			return err
		}
	}
	for i := range w.book.entries {
		e := &w.book.entries[i]
		var err error
		if e.set, err = w.engine.setOf(ctx, e.Versions); err != nil {
			return err
		}
	}
	w.inForce(w.book.entries[len(w.book.entries)-1].Versions)
	return nil
}

// inForce tells the one who orders which rules the newest message left in force.
func (w *worker) inForce(versions map[string]int) { w.versions.Store(&versions) }

// readRules reads the rules that a batch's commands name, before anything of it is judged. It tries again
// for as long as the store may come back.
func (w *worker) readRules(ctx context.Context, messages []faultline.Message) error {
	w.coming = w.coming[:0]
	if w.engine.Documents == nil {
		return nil
	}
	for i := range messages {
		m := &messages[i]
		if m.Kind != faultline.KindCommand || !bytes.Contains(m.Payload, []byte(`"versions"`)) {
			continue
		}
		var c faultline.Command
		if err := json.Unmarshal(m.Payload, &c); err != nil || c.Verb != faultline.VerbRules {
			continue
		}
		e := entryOfBook{Place: m.Place, Versions: c.Versions}
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			var err error
			if e.set, err = w.engine.setOf(ctx, c.Versions); err == nil {
				break
			}
			w.engine.metrics.retries.WithLabelValues("rules").Inc()
			w.log.Warn("reading the rules failed; trying again", "error", err, "in", wait)
			if !pause(ctx, wait) {
				return ctx.Err()
			}
		}
		w.coming = append(w.coming, e)
	}
	return nil
}

// turnTo lets the units that have not seen the command yet go over to its rules.
func (w *worker) turnTo(m *faultline.Message) {
	i := slices.IndexFunc(w.coming, func(e entryOfBook) bool { return e.Place == m.Place })
	if i < 0 {
		return // of an engine without documents
	}
	e := w.coming[i]
	if w.book.add(e) {
		w.log.Info("other rules are in force", "rules", len(e.set.rules), "from", m.Place.Sequence)
	}
	for _, u := range w.order {
		if u.seen(m.Place) {
			continue
		}
		u.place = m.Place
		for _, a := range u.reseat(e.set) {
			w.effects = append(w.effects, w.orphan(a))
		}
		u.noteDown(m.Place)
	}
	w.link()
	w.inForce(w.book.entries[len(w.book.entries)-1].Versions)
	w.engine.metrics.commands.WithLabelValues("done").Inc()
}

// reseat goes over to other rules. A rule of the same version goes on as it is; one that was edited keeps
// its alarm, its delays and, if its kind's state still has the same form, what it knew. It gives the alarms
// of rules that are no more.
func (u *unit) reseat(set *Set) (orphans []faultline.Alarm) {
	attached, _ := set.attach(u.position)
	was := map[string]*instance{}
	for _, r := range u.rules {
		was[r.name] = r
	}
	same := len(attached) == len(u.rules)
	for i := range attached {
		a := &attached[i]
		r := was[a.name]
		if r == nil || r.rule.ID != a.rule.ID || r.rule.Version != a.rule.Version {
			same = false
		}
		if r == nil {
			continue
		}
		if r.rule.ID == a.rule.ID && r.rule.Version == a.rule.Version {
			a.kind, a.watch = r.kind, r.watch
		} else if r.shape() == a.shape() {
			if err := a.kind.Restore(r.kind.Snapshot(nil)); err != nil {
				continue // it begins anew
			}
		}
	}
	if same {
		return nil
	}
	n := unitOf(u.position, attached)
	for _, r := range n.rules {
		if old := was[r.name]; old != nil {
			r.machine, r.alarm, r.waits = old.machine, old.alarm, old.waits
			delete(was, r.name)
			if r.waits != nil {
				n.waiting++
			}
		}
	}
	for name, p := range n.points {
		if old := u.points[name]; old != nil {
			if len(p.rules) > 0 {
				p.ring = old.ring
			}
			if p.memory != nil && old.memory != nil {
				p.memory = old.memory
			}
		}
	}
	for _, r := range u.rules { // in their order
		if was[r.name] != nil && r.alarm != nil && (r.alarm.Active || r.alarm.Latched) {
			orphans = append(orphans, *r.alarm)
		}
	}
	u.rules, u.points, u.asset, u.ticking, u.framed, u.silences, u.waiting = n.rules, n.points, n.asset, n.ticking, n.framed, n.silences, n.waiting
	return orphans
}

// order puts the live rules into the partition's stream when the stream has others, until ctx ends.
func (e *Engine) order(ctx context.Context, w *worker) {
	if e.Documents == nil {
		return
	}
	var ordered map[string]int
	var at time.Time
	for pause(ctx, followEvery) {
		has, live := w.versions.Load(), e.world.Load().versions
		if has == nil || maps.Equal(*has, live) || maps.Equal(ordered, live) && time.Since(at) < orderAgain {
			continue
		}
		now := time.Now().UTC()
		h := fnv.New64a()
		_, _ = h.Write([]byte(setKey(live)))
		c := faultline.Command{ID: fmt.Sprintf("rules-%d-%x-%d", w.partition, h.Sum64(), now.UnixNano()), Verb: faultline.VerbRules, At: now, By: e.Owner, Versions: live}
		if err := e.Source.Order(ctx, w.partition, c); err != nil {
			if ctx.Err() == nil {
				e.metrics.retries.WithLabelValues("order").Inc()
			}
			continue
		}
		ordered, at = live, now
	}
}

// How often it is looked whether other rules are live, and how long a partition may take to go over to
// them before it is told again.
const (
	followEvery = time.Second
	orderAgain  = 30 * time.Second
)

// follow looks at the equipment and rules anew as soon as other rules are live, until ctx ends.
func (e *Engine) follow(ctx context.Context) {
	if e.Documents == nil {
		return
	}
	for pause(ctx, followEvery) {
		live, err := e.Documents.LiveVersions(ctx, faultline.DocumentRules)
		if err == nil && !maps.Equal(live, e.world.Load().versions) {
			err = e.look(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.metrics.retries.WithLabelValues("refresh").Inc()
			e.log.Warn("reading the rules failed", "error", err)
		}
	}
}
