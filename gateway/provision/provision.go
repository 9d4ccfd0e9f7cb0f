// Package provision keeps a gateway on the configuration that the hub has for it: it reads the version that
// is wanted there, goes over to it, and goes back by itself when it does not work.
package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Candidate is a configuration that was checked and can be run.
type Candidate struct {
	Positions []string // that it reads
	// Run reads equipment until ctx ends; then it returns nil. It is called again after going back to it.
	Run func(ctx context.Context) error
}

// Options of a Keeper.
type Options struct {
	File string // where the version that works is kept, with the one that was refused
	// Own is the gateway's own file's configuration: what runs until the hub has told of another.
	Own bus.GatewayConfig
	// Fresh says that Own is what the hub wants now, as where the gateway stands in the hub's process: it is
	// taken before the one that was kept, unless it was refused.
	Fresh bool
	// Read gives the version that the hub wants; faultline.ErrNotFound if it wants none. It fails while the
	// hub is away. nil: the gateway's own file is what counts.
	Read func(context.Context) (bus.GatewayConfig, error)
	// Make checks a version as a start would. It must not disturb the one that runs.
	Make func(bus.GatewayConfig) (*Candidate, error)
	// Trial is how long a new version may take until the first good sample of equipment that gave some
	// before; default 2 minutes.
	Trial time.Duration
	Every time.Duration // between looks at the hub; default 5 s
	Log   *slog.Logger
}

// Keeper runs a gateway. Create with New and call Run once.
type Keeper struct {
	o   Options
	log *slog.Logger

	checked bus.GatewayConfig // of next, which waits for its turn
	next    *Candidate

	mu      sync.Mutex
	good    map[string]time.Time // last good sample of each position, since the present run began
	heard   chan struct{}        // closed at the next good sample
	kept    kept
	version int // that runs
}

// New reads what was kept.
func New(o Options) (*Keeper, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Trial <= 0 {
		o.Trial = 2 * time.Minute
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	k := &Keeper{o: o, log: o.Log.With("component", "provision"), good: map[string]time.Time{}, heard: make(chan struct{})}
	if o.Read == nil {
		return k, nil
	}
	var err error
	if k.kept, err = load(o.File); err == nil && !k.kept.Tried { // a check may pass by now: the files of the site are there
		k.kept.Refused, k.kept.Why = bus.GatewayConfig{}, ""
	}
	return k, err
}

// Good notes that a position gave a good sample, and that it is stored.
func (k *Keeper) Good(position string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.good[position] = time.Now()
	close(k.heard)
	k.heard = make(chan struct{})
}

// Tell puts into the state which version runs, and which was refused and why.
func (k *Keeper) Tell(s *faultline.GatewayState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Config, s.Refused, s.Why = k.version, k.kept.Refused.Version, k.kept.Why
}

// running is a version at work.
type running struct {
	config bus.GatewayConfig
	*Candidate
	began  time.Time
	cancel context.CancelFunc
	ended  chan error // receives once
}

// start runs a version. Nothing else runs.
func (k *Keeper) start(ctx context.Context, d bus.GatewayConfig, c *Candidate) *running {
	k.mu.Lock()
	k.version = d.Version
	k.good = map[string]time.Time{}
	k.mu.Unlock()
	r := &running{config: d, Candidate: c, began: time.Now(), ended: make(chan error, 1)}
	ctx, r.cancel = context.WithCancel(ctx)
	go func() { r.ended <- c.Run(ctx) }()
	return r
}

// stop ends it and waits.
func (r *running) stop() error {
	r.cancel()
	return <-r.ended
}

// Run runs the gateway until ctx ends; then it returns nil. It fails as the gateway does.
func (k *Keeper) Run(ctx context.Context) error {
	now, err := k.begin(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(k.o.Every)
	defer tick.Stop()
	for {
		select {
		case err := <-now.ended:
			now.cancel()
			return err
		case <-tick.C:
		}
		if k.o.Read == nil || ctx.Err() != nil {
			continue // it ends by itself
		}
		want, err := k.o.Read(ctx)
		if err != nil {
			if !errors.Is(err, faultline.ErrNotFound) {
				k.log.Debug("the configuration at the hub was not read", "error", err)
			}
			continue
		}
		if now, err = k.follow(ctx, now, want); err != nil {
			return err
		}
	}
}

// begin starts the version that worked last, or what the gateway's own file says.
func (k *Keeper) begin(ctx context.Context) (*running, error) {
	if d := k.kept.Works; d.Version > 0 && !(k.o.Fresh && k.o.Own != k.kept.Refused) {
		c, err := k.o.Make(d)
		if err == nil {
			return k.start(ctx, d, c), nil
		}
		k.log.Error("the configuration that was kept cannot be used any more; the gateway's own file is", "version", d.Version, "error", err)
		k.refuse(d, err, false)
	}
	c, err := k.o.Make(k.o.Own)
	if err != nil {
		return nil, err
	}
	return k.start(ctx, k.o.Own, c), nil
}

// follow goes over to what the hub wants, if that is new, and gives what runs then.
func (k *Keeper) follow(ctx context.Context, now *running, want bus.GatewayConfig) (*running, error) {
	switch {
	case want == now.config:
		k.accept(want)
		return now, nil
	case want == k.kept.Refused:
		return now, nil
	case want.Body == now.config.Body: // it says the same
		now.config = want
		k.accept(want)
		return now, nil
	}
	c := k.next
	if c == nil || want != k.checked {
		var err error
		if c, err = k.o.Make(want); err != nil {
			k.refuse(want, err, false)
			return now, nil
		}
		k.checked, k.next = want, c
	}
	if len(now.Positions) > 0 && time.Since(now.began) < k.o.Trial/2 {
		return now, nil // it is not known yet which equipment answers
	}
	k.next = nil
	k.log.Info("going over to another configuration", "version", want.Version, "from", now.config.Version)
	before := k.goodSince(c.Positions, time.Now().Add(-k.o.Trial/2))
	if err := now.stop(); err != nil || ctx.Err() != nil {
		now.ended <- err
		return now, nil
	}
	next := k.start(ctx, want, c)
	err := k.try(ctx, next, before)
	switch {
	case ctx.Err() != nil: // not known whether it works: the next start tries it again
		return next, nil
	case errors.Is(err, faultline.ErrFenced): // no fault of the configuration
		return next, err
	case err == nil:
		k.log.Info("the configuration works", "version", want.Version)
		k.accept(want)
		return next, nil
	}
	_ = next.stop() // why it ended is said
	k.refuse(want, err, true)
	return k.start(ctx, now.config, now.Candidate), nil
}

// try waits until one of the positions that worked before works. Without such there is nothing to lose: then
// it must only not end at once.
func (k *Keeper) try(ctx context.Context, r *running, before []string) error {
	wait := k.o.Trial
	if len(before) == 0 {
		wait /= 60
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		k.mu.Lock()
		heard := k.heard
		k.mu.Unlock()
		if len(k.goodSince(before, r.began)) > 0 {
			return nil
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return nil
		case err := <-r.ended:
			r.ended <- err
			if err == nil {
				err = errors.New("it ended by itself")
			}
			return err
		case <-t.C:
			if len(before) == 0 {
				return nil
			}
			return fmt.Errorf("it silences the site: no good sample within %s of %s, which gave some before", k.o.Trial, some(before))
		}
	}
}

// goodSince gives those of the positions that gave a good sample since.
func (k *Keeper) goodSince(positions []string, since time.Time) (out []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range positions {
		if at, ok := k.good[p]; ok && !at.Before(since) {
			out = append(out, p)
		}
	}
	return out
}

// some names a few of many.
func some(positions []string) string {
	const most = 3
	names := slices.Sorted(slices.Values(positions))
	if len(names) <= most {
		return fmt.Sprint(names)
	}
	return fmt.Sprintf("%v and %d more", names[:most], len(names)-most)
}

// accept notes that a version works, and that nothing else is wanted.
func (k *Keeper) accept(d bus.GatewayConfig) { k.note(kept{Works: d}) }

func (k *Keeper) refuse(d bus.GatewayConfig, why error, tried bool) {
	k.log.Error("a configuration from the hub was not kept", "version", d.Version, "error", why)
	text := why.Error()
	if len(text) > maxWhy {
		text = text[:maxWhy] + " …"
	}
	works := k.kept.Works
	if works == d {
		works = bus.GatewayConfig{}
	}
	k.note(kept{Works: works, Refused: d, Why: text, Tried: tried})
}

// maxWhy bounds what goes with every heartbeat.
const maxWhy = 600

func (k *Keeper) note(n kept) {
	k.mu.Lock()
	k.version = versionOf(n, k.version)
	same := n == k.kept
	k.kept = n
	k.mu.Unlock()
	if same {
		return
	}
	if err := save(k.o.File, n); err != nil { // it works on; a start without the hub would use the version before
		k.log.Error("the configuration could not be kept on disk", "error", err)
	}
}

// versionOf is the version that runs: the one that works where nothing was refused.
func versionOf(n kept, runs int) int {
	if n.Refused.Version == 0 {
		return n.Works.Version
	}
	return runs
}
