// Package rules decides what is wrong: it reads the stream of frames, heartbeats, ticks and commands
// in order, shows every sample to the rules of its position, turns their verdicts into alarms and
// alarms into tickets with evidence.
//
// # What a crash at each point leaves
//
// The state of a position or gateway (a unit) is a function of the messages up to its place. Effects
// (alarm transitions and what follows from them) of a batch are one transaction.
//
//   - Before the transaction: nothing was written; the batch is read again.
//   - After it, before the units are saved: the batch is read again; its transitions are in the store
//     already, unique on (alarm, event time, transition), and are skipped with all that followed.
//   - Between two units' saving: each goes on from its own place and skips what it has seen.
//   - After the commit, before pages were told or a command answered: pages look at the store again
//     when they reconnect; who sent the command gets no answer and looks at the alarm.
//
// So a restart neither repeats nor forgets, at whatever moment, and a replay of the same stream gives
// the same alarms. Another owner of the partition fences this one's writes (faultline.ErrFenced).
package rules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Options of an engine. Source, Store and Set are needed.
type Options struct {
	Source Source
	Store  Store
	Set    *Set
	// Documents are the rules as people edit them; Set seeds them, with SetTests beside the shipped tests,
	// and gives their plans. nil: the rules are those of Set.
	Documents Documents
	SetTests  []File
	// Publish tells pages that something changed, after it is in the store; may be nil. It must not block.
	Publish func(faultline.Event) error
	// Owner names this process in leases. A process that takes over the work of one that crashed, and
	// is sure that it is gone, uses the same name and need not wait for LeaseTTL.
	Owner     string
	Terms     []faultline.WarrantyTerm // default faultline.DefaultTerms
	Statutory []faultline.StatutoryTerm

	// Mine, if set, tells whether this process should work on a partition now; others live too. The lease
	// decides who does.
	Mine func(partition int) bool

	LeaseTTL     time.Duration // default 5 s: a dead owner is replaced within 10 s
	SaveEvery    time.Duration // how old a saved unit may be; default 10 s
	SaveBytes    int           // per second, at most; default 5 MB
	RefreshEvery time.Duration // how often positions and contracts are looked at again; default 15 s

	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Engine is the rules role.
type Engine struct {
	Options
	metrics *metrics
	world   atomic.Pointer[world]
	log     *slog.Logger

	shelfMu sync.Mutex
	shelf   shelf

	looking sync.Mutex // one look at a time
	mu      sync.Mutex
	lag     map[int]time.Time // partition → when the latest message was stored
	version chan struct{}     // closed when the positions have changed
}

// New makes an engine; Run runs it.
func New(o Options) (*Engine, error) {
	switch {
	case o.Source == nil, o.Store == nil, o.Set == nil:
		return nil, fmt.Errorf("%w: rules need a source, a store and a set of rules", faultline.ErrInvalid)
	case o.Owner == "":
		return nil, fmt.Errorf("%w: rules need an owner for their leases", faultline.ErrInvalid)
	}
	if o.Terms == nil {
		o.Terms = faultline.DefaultTerms
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.LeaseTTL, 5*time.Second)
	def(&o.SaveEvery, 10*time.Second)
	def(&o.RefreshEvery, 15*time.Second)
	if o.SaveBytes <= 0 {
		o.SaveBytes = 5 << 20
	}
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, err
	}
	e := &Engine{Options: o, metrics: m, lag: map[int]time.Time{}, version: make(chan struct{}), shelf: shelf{rules: map[string]*Rule{}, sets: map[string]*Set{}}}
	if e.log = o.Log; e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.log = e.log.With("component", "rules")
	return e, nil
}

// Run works on every partition whose lease it can get, until ctx ends; then it saves its state and
// gives the leases back. It returns nil when ctx ended.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for p := range e.Source.Partitions() {
		g.Go(func() error { e.partition(ctx, p); return nil })
	}
	g.Go(func() error { e.refresh(ctx); return nil })
	g.Go(func() error { e.follow(ctx); return nil })
	return g.Wait()
}

// start seeds the rules and reads the equipment for the first time.
func (e *Engine) start(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(wait*2, 5*time.Second) {
		var err error
		if e.Documents != nil {
			err = e.seed(ctx, time.Now())
		}
		if err == nil {
			err = e.look(ctx)
		}
		if err == nil || permanent(err) {
			return err
		}
		e.log.Warn("reading the equipment failed; trying again", "error", err, "in", wait)
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// look reads the equipment and the live rules. If they have changed it lists the rules anew, and restarts
// the workers if it is the equipment that has.
func (e *Engine) look(ctx context.Context) error {
	e.looking.Lock()
	defer e.looking.Unlock()
	set, versions := e.Set, map[string]int(nil)
	if e.Documents != nil {
		var err error
		if versions, err = e.Documents.LiveVersions(ctx, faultline.DocumentRules); err != nil {
			return err
		}
		if set, err = e.setOf(ctx, versions); err != nil {
			return err
		}
	}
	next, err := readWorld(ctx, e.Store, set, e.Terms, e.Statutory)
	if err != nil {
		return err
	}
	next.versions = versions
	last := e.world.Load()
	changed := last == nil
	if !changed {
		if changed, err = differ(last.positions, next.positions); err != nil {
			return err
		}
	}
	edited := last != nil && !maps.Equal(last.versions, versions)
	if changed || edited {
		if err := e.Store.ReplaceRuleInstances(ctx, set.Instances(next.positions)); err != nil {
			return fmt.Errorf("list the rules of %d positions: %w", len(next.positions), err)
		}
		for _, m := range set.Misfits(next.positions) {
			e.log.Warn("rule without effect", "why", m)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.world.Store(next)
	if changed {
		close(e.version)
		e.version = make(chan struct{})
	}
	return nil
}

func differ(a, b []faultline.Position) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("compare positions: %w", err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		return false, fmt.Errorf("compare positions: %w", err)
	}
	return !bytes.Equal(x, y), nil
}

func (e *Engine) refresh(ctx context.Context) {
	for pause(ctx, e.RefreshEvery) {
		if err := e.look(ctx); err != nil && ctx.Err() == nil {
			e.metrics.retries.WithLabelValues("refresh").Inc()
			e.log.Warn("reading the equipment failed", "error", err)
		}
	}
}

// current gives the world with a channel that is closed when it is out of date.
func (e *Engine) current() (*world, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.world.Load(), e.version
}

// partition holds the lease of a partition, again and again, and works on it meanwhile.
func (e *Engine) partition(ctx context.Context, p int) {
	wait := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		err := e.tenure(ctx, p)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil: // the equipment changed
			wait = 0
			continue
		case errors.Is(err, faultline.ErrConflict), errors.Is(err, errNotMine): // another owner has it, or should
			pause(ctx, e.LeaseTTL/3)
			continue
		}
		if time.Since(began) > time.Minute {
			wait = 0
		}
		wait = min(max(2*wait, 250*time.Millisecond), 10*time.Second)
		e.metrics.retries.WithLabelValues("worker").Inc()
		e.log.Warn("work on a partition stopped; beginning again", "partition", p, "error", err, "in", wait)
		pause(ctx, wait)
	}
}

// tenure is the time that a lease is held: nil when it ended because the equipment changed.
func (e *Engine) tenure(ctx context.Context, p int) error {
	if !e.mine(p) {
		return errNotMine
	}
	lease, err := e.Store.Lease(ctx, p, e.Owner, e.LeaseTTL, time.Now())
	if err != nil {
		return err
	}
	e.metrics.partitions.Inc()
	defer e.metrics.partitions.Dec()
	defer func() {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), 2*time.Second, errors.New("giving the lease back took too long"))
		defer cancel()
		if err := lease.Release(ctx); err != nil {
			e.log.Warn("giving a lease back failed; it runs out by itself", "partition", p, "error", err)
		}
	}()
	world, stale := e.current()
	w := newWorker(e, p, lease, world)
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error { return w.run(inner) })
	g.Go(func() error { return e.renew(inner, p, lease) })
	g.Go(func() error { e.tick(inner, p); return nil })
	g.Go(func() error { e.order(inner, w); return nil })
	g.Go(func() error { e.share(inner, w); return nil })
	g.Go(func() error {
		select {
		case <-stale:
			return errStale
		case <-inner.Done():
			return nil
		}
	})
	if err := g.Wait(); err != nil && !errors.Is(err, errStale) {
		return err
	}
	return nil
}

var errStale = errors.New("the equipment changed")

var errNotMine = errors.New("the partition is another process' share")

func (e *Engine) mine(p int) bool { return e.Mine == nil || e.Mine(p) }

// renew keeps the lease until ctx ends; the error says that it is lost, or so long unrenewed that it
// may be.
func (e *Engine) renew(ctx context.Context, p int, lease Lease) error {
	until := time.Now().Add(e.LeaseTTL)
	for pause(ctx, e.LeaseTTL/3) {
		if !e.mine(p) {
			return errNotMine
		}
		now := time.Now()
		err := lease.Renew(ctx, e.LeaseTTL, now)
		switch {
		case err == nil:
			until = now.Add(e.LeaseTTL)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, faultline.ErrFenced) || now.After(until):
			return err
		}
	}
	return nil
}

// tick puts one tick a second into the stream.
func (e *Engine) tick(ctx context.Context, p int) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if err := e.Source.Tick(ctx, p, now); err != nil && ctx.Err() == nil {
				e.metrics.retries.WithLabelValues("tick").Inc()
			}
		}
	}
}

// reached notes how far a partition is, for the lag.
func (e *Engine) reached(p int, stored time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lag[p] = stored
	oldest := stored
	for _, t := range e.lag {
		if t.Before(oldest) {
			oldest = t
		}
	}
	e.metrics.lag.Set(time.Since(oldest).Seconds())
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
