package rules

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// worker works on one partition while its lease is held. All but the saver runs in the goroutine
// that consumes.
type worker struct {
	engine    *Engine
	partition int
	lease     Lease
	world     *world
	log       *slog.Logger

	units    map[string]*unit   // by id
	behind   map[string][]*unit // by id of their gateway's unit
	gateways []*unit
	order    []*unit // all, in the order of saving
	families []*unit // all, what others depend on first
	orphans  []faultline.Alarm
	place    faultline.Place // everything up to here was dealt with and is in the store
	now      time.Time       // hub time: never goes back

	book     *book
	coming   []entryOfBook // of the batch
	versions atomic.Pointer[map[string]int]

	peers  []*peerGroup
	shares shares

	decoder bus.Decoder
	frame   faultline.Frame
	effects []effect
	answers []faultline.CommandResult
	broken  bool // the units are ahead of the store: they must not be saved

	saver *saver
}

func newWorker(e *Engine, partition int, lease Lease, w *world) *worker {
	return &worker{
		engine: e, partition: partition, lease: lease, world: w, log: e.log.With("partition", partition),
		units: map[string]*unit{}, behind: map[string][]*unit{},
	}
}

// partitionUnit is the unit that is no position's: its place is what all units had dealt with when it
// was saved. A unit that was never saved begins there.
const partitionUnit = "partition"

// run restores the units and consumes until ctx ends, the lease is lost or the store refuses; then it
// saves what it may.
func (w *worker) run(ctx context.Context) error {
	from, drop, err := w.load(ctx)
	if err != nil {
		return err
	}
	w.saver = newSaver(w, drop)
	defer func() { w.engine.metrics.units.Sub(float64(len(w.order))) }()
	w.engine.metrics.units.Add(float64(len(w.order)))
	w.log.Info("working on a partition", "units", len(w.order), "from", from.Sequence)
	err = w.consume(ctx, from)
	w.saver.wait()
	if w.broken || errors.Is(err, faultline.ErrFenced) {
		return err
	}
	last, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 3*time.Second, errors.New("saving the state of rules took too long"))
	defer cancel()
	if saveErr := w.saver.all(last); saveErr != nil {
		return errors.Join(err, saveErr)
	}
	return err
}

func (w *worker) consume(ctx context.Context, from faultline.Place) error {
	for {
		err := w.engine.Source.Consume(ctx, w.partition, from, w.handle)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var lost *bus.PlaceLostError
		if !errors.As(err, &lost) {
			return err
		}
		w.engine.metrics.lost.Inc()
		w.log.Error("messages that the rules had not seen are gone from the stream; going on after them", "error", err)
		from = w.resume(lost)
	}
}

// resume gives the place to go on from after a loss. Where the end of the stream was lost, its
// sequences are given to new messages: the units must not take those for ones that they have seen.
func (w *worker) resume(lost *bus.PlaceLostError) faultline.Place {
	if lost.From.Stream != lost.Stream || lost.From.Sequence <= lost.Last {
		return lost.Resume()
	}
	end := faultline.Place{Stream: lost.Stream, Sequence: lost.Last}
	for _, u := range w.order {
		if u.seen(end) {
			u.place = end
		}
	}
	return end
}

// load makes the units and restores what was saved of them. It gives the place to begin after and the
// saved units that are no more.
func (w *worker) load(ctx context.Context) (from faultline.Place, drop []string, err error) {
	saved, err := w.lease.Units(ctx)
	if err != nil {
		return from, nil, fmt.Errorf("read the units of partition %d: %w", w.partition, err)
	}
	byID := map[string]*Unit{}
	for i := range saved {
		byID[saved[i].ID] = &saved[i]
	}
	if u := byID[partitionUnit]; u != nil {
		w.place = u.Place
		delete(byID, partitionUnit)
	}
	book := byID[bookUnit]
	delete(byID, bookUnit)
	if err := w.open(ctx, book); err != nil {
		return from, nil, fmt.Errorf("which rules are in force in partition %d: %w", w.partition, err)
	}
	positions := slices.Concat(w.world.positions, gateways(w.world.positions))
	for i := range positions {
		if p := &positions[i]; w.engine.Source.Partition(p.Site) == w.partition {
			w.add(p, byID)
		}
	}
	for id := range byID {
		if site, gateway, ok := parseGatewayUnitID(id); ok && w.engine.Source.Partition(site) == w.partition {
			p := gatewayPosition(site, gateway) // one that was only ever heard of
			w.add(&p, byID)
			continue
		}
		drop = append(drop, id)
	}
	w.link()
	from = w.place
	for _, u := range w.order {
		switch {
		case u.place == from:
		case u.place.Stream != from.Stream: // from before the hub was restored, or never saved
			from = faultline.Place{}
		case u.place.Sequence < from.Sequence:
			from = u.place
		}
	}
	return from, drop, nil
}

// add makes a unit. One that was never saved begins where the partition stands: what came before was
// not for it.
func (w *worker) add(p *faultline.Position, saved map[string]*Unit) *unit {
	id := positionUnitID(p)
	if w.units[id] != nil {
		return w.units[id]
	}
	s := saved[id]
	place := w.place
	if s != nil {
		place = s.Place
	}
	set := w.book.at(place)
	u, _ := newUnit(set, p)
	u.place, u.saved = w.place, w.place
	if s != nil {
		delete(saved, id)
		orphans, err := u.restore(s.State)
		if err != nil {
			w.log.Error("the saved state of a unit is of no use; its rules begin anew", "unit", u.id, "error", err)
			u, _ = newUnit(set, p)
			orphans = nil
		}
		u.place, u.saved = s.Place, s.Place
		w.orphans = append(w.orphans, orphans...)
	}
	w.units[u.id] = u
	w.order = append(w.order, u)
	if u.gateway {
		w.gateways = append(w.gateways, u)
		slices.SortFunc(w.gateways, func(a, b *unit) int { return cmp.Compare(a.id, b.id) })
	} else {
		g := gatewayUnitID(p.Site, p.Gateway)
		w.behind[g] = append(w.behind[g], u)
	}
	return u
}

// handle deals with a batch: all of its messages, then their effects in one transaction, then the
// world outside is told.
func (w *worker) handle(ctx context.Context, messages []faultline.Message) error {
	if len(messages) == 0 {
		return nil
	}
	began := time.Now()
	if err := w.readRules(ctx, messages); err != nil {
		return err
	}
	w.effects, w.answers = w.effects[:0], w.answers[:0]
	for i := range messages {
		w.message(&messages[i])
	}
	out, err := w.commit(ctx)
	if err != nil {
		w.broken = true
		return err
	}
	w.place = messages[len(messages)-1].Place
	w.told(ctx, out)
	w.saver.some(ctx)
	w.engine.metrics.batch.Observe(time.Since(began).Seconds())
	w.engine.reached(w.partition, w.now)
	return nil
}

// message shows one message to the units that it concerns and that have not seen it.
func (w *worker) message(m *faultline.Message) {
	if m.StoredAt.After(w.now) {
		w.now = m.StoredAt
	}
	w.orphaned()
	switch m.Kind {
	case faultline.KindFrame:
		w.frameMessage(m)
	case faultline.KindHeartbeat:
		w.heartbeat(m)
	case faultline.KindTick:
		for _, u := range w.gateways {
			if !u.seen(m.Place) {
				u.place = m.Place
				w.effects = u.tick(w.now, w.now, w.effects)
				w.effects = u.expire(w.now, w.effects)
				u.noteDown(m.Place)
			}
		}
		w.lives(m.Place)
		w.gatherPeers()
	case faultline.KindCommand:
		w.commandMessage(m)
	}
}

func (w *worker) frameMessage(m *faultline.Message) {
	frames := w.engine.metrics.frames
	w.sign(m)
	if bytes.HasPrefix(m.Payload, []byte(faultline.HealthKind+",")) {
		frames.WithLabelValues("health").Inc() // of the device that reads, not of the equipment
		return
	}
	u := w.units[unitID(m.Site, m.Position)]
	if u == nil {
		frames.WithLabelValues("unknown_position").Inc()
		return
	}
	if u.seen(m.Place) {
		return
	}
	u.place = m.Place
	if err := w.decoder.Decode(m.Payload, &w.frame); err != nil {
		frames.WithLabelValues("undecodable").Inc() // ingest keeps it as a dead letter
		return
	}
	var fate frameFate
	w.effects, fate = u.frame(m.ID, &w.frame, w.now, w.effects)
	u.noteDown(m.Place)
	frames.WithLabelValues([...]string{"judged", "duplicate", "old", "ahead"}[fate]).Inc()
	if ahead := fate == frameAhead; ahead != u.ahead && fate != frameDuplicate {
		u.ahead = ahead
		w.sayAhead(u, m.ID.Gateway)
	}
	if fate == frameJudged {
		w.engine.metrics.evaluations.Add(float64(u.evaluations(&w.frame)))
	}
}

// sayAhead names who gives frames of the future, once, and that he does no more.
func (w *worker) sayAhead(u *unit, gateway string) {
	log := w.log.With("site", u.position.Site, "position", u.position.ID, "gateway", gateway)
	if !u.ahead {
		log.Info("the clock of frames is believable again: they are judged")
		return
	}
	log.Warn("frames are not judged: their time is too far after the hub's; set the clock of the gateway or of the device that stamps them", "frame", w.frame.Time, "hub", w.now, "most", faultline.MaxAhead)
}

// evaluations counts how often rules were shown a sample of the frame.
func (u *unit) evaluations(f *faultline.Frame) int {
	n := len(u.asset)
	for i := range f.Samples {
		if p := u.points[f.Samples[i].Point]; p != nil {
			n += len(p.rules)
		}
	}
	return n
}

// sign notes that a message's gateway is alive. A gateway that is heard for the first time gets its
// unit now.
func (w *worker) sign(m *faultline.Message) *unit {
	if m.ID.Gateway == "" {
		return nil
	}
	g := w.units[gatewayUnitID(m.Site, m.ID.Gateway)]
	if g == nil {
		if faultline.CheckName("gateway", m.ID.Gateway) != nil || faultline.CheckName("site", m.Site) != nil {
			return nil
		}
		p := gatewayPosition(m.Site, m.ID.Gateway)
		g = w.add(&p, nil)
		w.link()
		w.engine.metrics.units.Inc()
	}
	if !g.seen(m.Place) {
		g.place = m.Place
		w.effects = g.heard(w.now, w.effects)
		g.noteDown(m.Place)
	}
	return g
}

func (w *worker) heartbeat(m *faultline.Message) {
	fresh := w.freshFor(m)
	g := w.sign(m)
	if fresh {
		w.gatewayState(g, m)
	}
	var h faultline.Heartbeat
	if err := json.Unmarshal(m.Payload, &h); err != nil || g == nil || h.At.IsZero() {
		return
	}
	clock := h.At
	if clock.Sub(w.now) > faultline.MaxAhead { // as with frames; equipment that cannot be judged is silent
		clock = w.now
	}
	for _, u := range w.behind[g.id] {
		if !u.seen(m.Place) {
			u.place = m.Place
			w.effects = u.suppress(u.suppressor(m.Place), w.now, w.effects)
			w.effects = u.tick(clock, w.now, w.effects)
			u.noteDown(m.Place)
		}
	}
}

// orphaned clears the alarms of rules that are no more.
func (w *worker) orphaned() {
	for _, a := range w.orphans {
		w.effects = append(w.effects, w.orphan(a))
	}
	w.orphans = nil
}

// orphan ends the alarm of a rule that is no more.
func (w *worker) orphan(a faultline.Alarm) effect {
	a.Active, a.Latched, a.ClearedAt = false, false, w.now.UTC()
	return effect{alarm: a, event: faultline.AlarmEvent{
		Alarm: a.ID, At: w.now.UTC(), StoredAt: w.now.UTC(), Transition: faultline.TransitionCleared, Severity: a.Severity,
		Why: "the rule was removed or no longer fits the position",
	}}
}
