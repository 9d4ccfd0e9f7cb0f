package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// Player plays messages to rules by hand: the same worker, desk and SQL store as in production, but no
// goroutine and no clock. Rule tests and back-tests are played. Its store lies in a temporary directory.
// It is not safe for concurrent use; Close it.
type Player struct {
	// Raised, if set, hears of every activation with its evidence, after it is in the store. The alarm
	// names its ticket.
	Raised func(faultline.Alarm, *faultline.Evidence)

	dir     string
	store   *store.Store
	worker  *worker
	place   faultline.Place
	answers map[string]faultline.CommandResult
	latest  *unit // of the last Frame or Tick
}

// Stage is the equipment that a Player plays on.
type Stage struct {
	Sites     []faultline.Site // those of positions that are not listed are added
	Positions []faultline.Position
	Contracts []faultline.Contract
}

// NewPlayer makes a player of the rules in set, whose first message will not be before start.
func NewPlayer(ctx context.Context, set *Set, stage Stage, start time.Time) (*Player, error) {
	p, err := newPlayer(ctx, set, stage, start)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare rules for playing: %w", err), p.Close())
	}
	return p, nil
}

func newPlayer(ctx context.Context, set *Set, stage Stage, start time.Time) (p *Player, err error) {
	p = &Player{place: faultline.Place{Stream: "play"}, answers: map[string]faultline.CommandResult{}}
	if p.dir, err = os.MkdirTemp("", "faultline-play-"); err != nil {
		return p, err
	}
	if p.store, err = store.Open(ctx, store.Config{URL: "sqlite:" + filepath.Join(p.dir, "play.db")}); err != nil {
		return p, err
	}
	known := map[string]bool{}
	for _, s := range stage.Sites {
		known[s.ID] = true
		if err := p.store.PutSite(ctx, s); err != nil {
			return p, err
		}
	}
	for _, pos := range stage.Positions {
		if !known[pos.Site] {
			known[pos.Site] = true
			if err := p.store.PutSite(ctx, faultline.Site{ID: pos.Site, Name: pos.Site}); err != nil {
				return p, err
			}
		}
		if err := p.store.PutPosition(ctx, pos); err != nil {
			return p, err
		}
	}
	for _, c := range stage.Contracts {
		if err := p.store.PutContract(ctx, c); err != nil {
			return p, err
		}
	}
	e, err := New(Options{Source: playSource{p}, Store: SQL(p.store), Set: set, Owner: "player"})
	if err != nil {
		return p, err
	}
	if err := e.look(ctx); err != nil {
		return p, err
	}
	lease, err := e.Store.Lease(ctx, 0, "player", 24*time.Hour, start)
	if err != nil {
		return p, err
	}
	w, _ := e.current()
	p.worker = newWorker(e, 0, lease, w)
	if _, _, err := p.worker.load(ctx); err != nil {
		return p, err
	}
	p.worker.saver = newSaver(p.worker, nil)
	p.worker.now = start
	return p, nil
}

// Close forgets everything that was played.
func (p *Player) Close() error {
	var errs []error
	if p.store != nil {
		if p.worker != nil && p.worker.saver != nil {
			p.worker.saver.wait()
		}
		errs = append(errs, p.store.Close())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("end playing: %w", err)
	}
	return nil
}

// Store is where alarms and tickets are found. People's part in a ticket's life is played on it.
func (p *Player) Store() *store.Store { return p.store }

// Play shows the messages, whose StoredAt must be set, and carries out what follows. It gives them
// their places.
func (p *Player) Play(ctx context.Context, messages ...faultline.Message) error {
	if len(messages) == 0 {
		return nil
	}
	for i := range messages {
		p.place.Sequence++
		messages[i].Place = p.place
	}
	if err := p.worker.handle(ctx, messages); err != nil {
		return fmt.Errorf("play %d messages: %w", len(messages), err)
	}
	p.raised()
	for _, c := range p.worker.shares.take() { // which the owner of a partition puts into its stream
		payload, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("play: %w", err)
		}
		if err := p.Play(ctx, faultline.Message{Kind: faultline.KindCommand, Payload: payload, StoredAt: p.worker.now}); err != nil {
			return err
		}
	}
	return nil
}

// Answer gives what became of a command that was played.
func (p *Player) Answer(id string) (faultline.CommandResult, bool) {
	r, ok := p.answers[id]
	return r, ok
}

// Frame shows one frame of a position without its detour over the wire, which is what makes a year of
// data short: the position's rules only, its gateway being taken as alive. Its time is the hub's too.
// It says whether anything followed.
func (p *Player) Frame(ctx context.Context, f *faultline.Frame) (bool, error) {
	u, err := p.unit(f.Site, f.Position)
	if err != nil {
		return false, err
	}
	p.place.Sequence++
	p.worker.now = f.Time
	p.worker.effects, _ = u.frame(faultline.FrameID{Gateway: f.Gateway, Epoch: "play", Sequence: p.place.Sequence}, f, f.Time, p.worker.effects[:0])
	return p.settle(ctx)
}

// Tick lets a position's clock go on to at without data.
func (p *Player) Tick(ctx context.Context, site, position string, at time.Time) (bool, error) {
	u, err := p.unit(site, position)
	if err != nil {
		return false, err
	}
	p.worker.now = at
	p.worker.effects = u.tick(at, at, p.worker.effects[:0])
	return p.settle(ctx)
}

// Ticks tells whether some rule of a position wants Tick.
func (p *Player) Ticks(site, position string) bool {
	u, err := p.unit(site, position)
	return err == nil && len(u.ticking) > 0
}

func (p *Player) unit(site, position string) (*unit, error) {
	if u := p.latest; u != nil && u.position.ID == position && u.position.Site == site {
		return u, nil
	}
	u := p.worker.units[unitID(site, position)]
	if u == nil {
		return nil, fmt.Errorf("%w: %s/%s is not on the stage", faultline.ErrNotFound, site, position)
	}
	p.latest = u
	return u, nil
}

// settle carries out the effects that Frame and Tick had.
func (p *Player) settle(ctx context.Context) (bool, error) {
	w := p.worker
	if len(w.effects) == 0 {
		return false, nil
	}
	w.answers = w.answers[:0]
	out, err := w.commit(ctx)
	if err != nil {
		return false, fmt.Errorf("play: %w", err)
	}
	w.told(ctx, out)
	p.raised()
	return true, nil
}

func (p *Player) raised() {
	if p.Raised == nil {
		return
	}
	for i := range p.worker.effects {
		e := &p.worker.effects[i]
		if e.evidence == nil || e.event.Transition != faultline.TransitionRaised {
			continue
		}
		a := e.alarm
		if e.rule != nil && e.rule.alarm != nil {
			a.Ticket = e.rule.alarm.Ticket
		}
		p.Raised(a, e.evidence)
	}
}

// playSource answers what a worker asks of a bus.
type playSource struct{ p *Player }

func (playSource) Partition(string) int { return 0 }
func (playSource) Partitions() int      { return 1 }
func (playSource) Consume(context.Context, int, faultline.Place, func(context.Context, []faultline.Message) error) error {
	return nil
}
func (playSource) Tick(context.Context, int, time.Time) error          { return nil }
func (playSource) Order(context.Context, int, faultline.Command) error { return nil }
func (s playSource) Answer(_ context.Context, r faultline.CommandResult) error {
	s.p.answers[r.ID] = r
	return nil
}

// Only gives the set with just the rules of these ids, and all plans. An unknown id is an error that
// wraps faultline.ErrNotFound and names it.
func (s *Set) Only(ids ...string) (*Set, error) {
	only := &Set{plans: s.plans}
	var unknown []string
	for _, id := range ids {
		if !slices.ContainsFunc(s.rules, func(r *Rule) bool { return r.ID == id }) {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%w: no rule %s", faultline.ErrNotFound, strings.Join(unknown, ", "))
	}
	for _, r := range s.rules {
		if slices.Contains(ids, r.ID) {
			only.rules = append(only.rules, r)
		}
	}
	return only, nil
}

// Watched lists the points of a position whose samples the rules must see, in the position's order: all
// of them where a rule judges the asset as a whole.
func (s *Set) Watched(p *faultline.Position) []string {
	attached, _ := s.attach(p)
	var names []string
	for i := range p.Points {
		name := p.Points[i].Name
		if slices.ContainsFunc(attached, func(a attachment) bool { return a.rule.of.Asset || slices.Contains(a.watch, name) }) {
			names = append(names, name)
		}
	}
	return names
}
