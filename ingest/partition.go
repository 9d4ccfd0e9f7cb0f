package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

const (
	grace    = 2 * time.Second        // for finishing what was read when the role ends
	minPause = 100 * time.Millisecond // before the first repetition of what failed
	maxPause = 15 * time.Second
	perTurn  = 500 // messages that a source hands over at once, about
)

var errEnded = errors.New("ingest was told to end")

// partition works on one partition for as long as the role runs.
type partition struct {
	n       int
	cfg     *Config
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	failing error // why nothing goes on at the moment
	since   time.Time
	reached faultline.Place
	doubt   bool // messages that were dealt with are gone: their numbers may be used again
}

// run holds sessions until ctx ends. What a session has in memory is thrown away with it: the next one
// begins with what is saved.
func (p *partition) run(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := p.session(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, errNotMine):
			attempt = 0
			sleep(ctx, p.cfg.LeaseFor/3)
		case errors.Is(err, faultline.ErrConflict):
			p.log.Debug("another owner works on the partition", "error", err)
			attempt = 0
			sleep(ctx, p.cfg.LeaseFor/3)
		default:
			if p.trouble() == nil {
				p.log.Warn("cannot go on, beginning anew", "error", err)
			}
			p.setTrouble(err)
			p.metrics.retries.WithLabelValues("session").Inc()
			if time.Since(began) > time.Minute {
				attempt = 0
			}
			sleep(ctx, pause(attempt))
		}
	}
}

// session holds the lease and works until ctx ends (nil) or something is wrong that only beginning
// anew can mend.
func (p *partition) session(ctx context.Context) error {
	if !p.mine() {
		return errNotMine
	}
	lease, err := p.cfg.Store.Lease(ctx, p.n, p.cfg.Owner, p.cfg.LeaseFor, time.Now())
	if err != nil {
		return fmt.Errorf("take the lease: %w", err)
	}
	// work outlives ctx by the grace, so that what was read is finished.
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	read, stopRead := context.WithCancelCause(ctx)
	defer stopRead(nil)

	var wg sync.WaitGroup
	defer func() {
		stopWork(errEnded)
		wg.Wait()
		release, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), grace, errEnded)
		defer cancel()
		if err := lease.Release(release); err != nil {
			p.log.Debug("lease not released", "error", err)
		}
	}()
	wg.Go(func() {
		if err := p.renew(work, lease); err != nil {
			stopRead(err)
			stopWork(err)
		}
	})
	from, err := lease.Place(ctx)
	if err != nil {
		return fmt.Errorf("read the place: %w", err)
	}
	p.setTrouble(nil)

	in := make(chan []faultline.Message, max(1, p.cfg.MaxLines/perTurn))
	f := newFlusher(p, lease, from)
	flushed := make(chan error, 1)
	wg.Go(func() {
		err := f.loop(work, in)
		if err != nil {
			stopRead(err)
		}
		flushed <- err
	})
	err = p.read(read, from, in)
	close(in)
	defer time.AfterFunc(grace, func() { stopWork(errEnded) }).Stop()
	if ferr := <-flushed; ferr != nil {
		err = ferr
	}
	f.forget()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// read consumes until ctx ends, and goes on after what is gone.
func (p *partition) read(ctx context.Context, from faultline.Place, in chan<- []faultline.Message) error {
	for {
		err := p.cfg.Hub.Consume(ctx, p.n, from, func(ctx context.Context, ms []faultline.Message) error {
			select {
			case in <- slices.Clone(ms):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		lost, ok := errors.AsType[*bus.PlaceLostError](err)
		if !ok {
			return err
		}
		// Frames that are gone show in the ledger as missing when their gateways' next ones come.
		p.metrics.lost.Inc()
		if lost.From.Stream == lost.Stream && lost.From.Sequence > lost.Last {
			p.setDoubt()
		}
		p.log.Error("messages are gone from the stream", "error", err)
		from = lost.Resume()
		sleep(ctx, minPause) // should it be lost again and again
	}
}

// errNotMine says that another process should work on the partition.
var errNotMine = errors.New("the partition is another process' share")

func (p *partition) mine() bool { return p.cfg.Mine == nil || p.cfg.Mine(p.n) }

// renew keeps the lease until ctx ends; the error says that it is lost.
func (p *partition) renew(ctx context.Context, lease Lease) error {
	t := time.NewTicker(p.cfg.LeaseFor / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			if !p.mine() {
				return errNotMine
			}
			err := lease.Renew(ctx, p.cfg.LeaseFor, now)
			if errors.Is(err, faultline.ErrFenced) {
				return fmt.Errorf("renew the lease: %w", err)
			}
			if err != nil && ctx.Err() == nil {
				p.log.Debug("lease not renewed, trying again", "error", err)
			}
		}
	}
}

// retry repeats do until it succeeds, its error is one that final accepts, or ctx ends. It tells the
// log when trouble begins and when it ends, and Ready in between.
func (p *partition) retry(ctx context.Context, what string, final func(error) bool, do func() error) error {
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || final(err) {
			if attempt > 0 {
				p.log.Info("going on", "after", what, "attempts", attempt+1)
			}
			p.setTrouble(nil)
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if attempt == 0 {
			p.log.Warn("cannot go on, trying again", "what", what, "error", err)
		}
		p.metrics.retries.WithLabelValues(what).Inc()
		p.setTrouble(fmt.Errorf("%s: %w", what, err))
		if sleep(ctx, pause(attempt)); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (p *partition) setTrouble(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && p.failing == nil {
		p.since = time.Now()
	}
	p.failing = err
}

func (p *partition) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing == nil {
		return nil
	}
	return fmt.Errorf("since %s: %w", p.since.UTC().Format(time.RFC3339), p.failing)
}

// setDoubt notes that the stream ends before our place: its writers go on after what is left of it, with
// numbers that were dealt with already. Until the role starts anew, a frame whose number is known is
// written all the same: a repeated point does no harm, a dropped one does.
func (p *partition) setDoubt() {
	p.mu.Lock()
	p.doubt = true
	p.mu.Unlock()
}

func (p *partition) doubts() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubt
}

func (p *partition) setReached(place faultline.Place) {
	p.mu.Lock()
	p.reached = place
	p.mu.Unlock()
}

// pause grows with the attempts, and varies so that partitions do not all try at once.
func pause(attempt int) time.Duration {
	d := min(minPause<<min(attempt, 10), maxPause)
	return d*3/4 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
