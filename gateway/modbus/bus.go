// Package modbus reads equipment over Modbus TCP, bare or in TLS, and RTU on serial lines, over
// TCP and over UDP. One Bus owns one connection
// and all the units behind it, plans the fewest reads, keeps every poll in phase, isolates units that
// are dead and addresses that are refused, and makes a sample of every point of every poll, good or
// bad with its reason.
package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Defaults of a device.
const (
	DefaultPeriod  = time.Second
	DefaultTimeout = time.Second
)

const (
	lineSilence  = 300 * time.Millisecond // between closing and opening again: late answers die out
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 10 * time.Second
	maxJobs      = 64               // that wait for a bus
	spreadMost   = 10 * time.Second // the first polls are made in at most this time
)

// Device is one unit on a bus.
type Device struct {
	Position string
	Unit     uint8
	Period   time.Duration // default DefaultPeriod
	Timeout  time.Duration // of one read; default DefaultTimeout
	Pause    time.Duration // between an answer and the next request
	Profile  *profile.Profile
}

func (d *Device) fill() {
	if d.Period <= 0 {
		d.Period = DefaultPeriod
	}
	if d.Timeout <= 0 {
		d.Timeout = DefaultTimeout
	}
}

// Emit stores a frame and returns when it is safe. The frame's samples are used again then; see gateway.Emit.
type Emit = func(context.Context, faultline.Frame, bus.Meta) error

// Stamp gives the final time of a reading made now, strictly increasing per position, and the quality
// that the clock has: good or uncertain:clock.
type Stamp = func(position string) (time.Time, faultline.Quality)

// Config of a bus. Observe is told of every poll that asked the device: how long it took, whether
// the device answered (an exception is an answer), and what ended the poll early.
type Config struct {
	Address string
	Delay   time.Duration // of its polls within their period, so that buses do not poll all at once
	Link    Link
	Devices []Device
	Stamp   Stamp
	Observe func(position string, took time.Duration, answered bool, err error)
	Metrics *Metrics
	Log     *slog.Logger
}

// Bus is one bus and all its units. Create with New, then call Run once at a time.
type Bus struct {
	cfg     Config
	address Address
	units   []*unit
	dial    func(Address, Link) line
	line    line
	isOpen  bool
	proven  bool          // an answer came on this connection
	readyAt time.Time     // when the line may be opened
	backoff time.Duration // of a line that cannot be opened
	why     error         // of the last failure to open it
	jobs    chan job      // they go ahead of polls
}

// New checks the configuration; it connects to nothing.
func New(cfg Config) (*Bus, error) {
	a, err := ParseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Stamp == nil {
		cfg.Stamp = func(string) (time.Time, faultline.Quality) { return time.Now(), faultline.Good }
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, time.Duration, bool, error) {}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	cfg.Log = cfg.Log.With("component", "modbus", "bus", a.String())
	b := &Bus{cfg: cfg, address: a, dial: newLine, jobs: make(chan job, maxJobs)}
	for _, d := range cfg.Devices {
		d.fill()
		if d.Profile == nil || !d.Profile.UsesModbus() {
			return nil, fmt.Errorf("%w: position %s: its profile has no Modbus registers", faultline.ErrInvalid, d.Position)
		}
		u := newUnit(d)
		u.between = b.between
		b.units = append(b.units, u)
	}
	if len(b.units) == 0 {
		return nil, fmt.Errorf("%w: bus %s has no devices", faultline.ErrInvalid, a)
	}
	return b, nil
}

// Run polls until ctx ends or emit fails. It returns nil when ctx ended.
func (b *Bus) Run(ctx context.Context, emit Emit) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, u := range b.units {
		u.out = make(chan reading, 1)
		g.Go(func() error { return b.store(ctx, u, emit) })
	}
	b.line = b.dial(b.address, b.cfg.Link)
	b.isOpen, b.proven, b.readyAt, b.backoff, b.why = false, false, time.Time{}, 0, nil
	g.Go(func() error {
		defer b.line.close()
		b.loop(ctx)
		return nil
	})
	return g.Wait()
}

// store hands one unit's readings to emit, in order. A frame that is no frame is a mistake of ours
// which a restart would repeat: it is counted and logged, and the rest goes on.
func (b *Bus) store(ctx context.Context, u *unit, emit Emit) error {
	meta := bus.Meta{Profile: u.Profile.ID()}
	for {
		var r reading
		select {
		case <-ctx.Done():
			return nil
		case r = <-u.out:
		}
		err := emit(ctx, faultline.Frame{Kind: u.Profile.Kind, Position: u.Position, Time: r.at, Samples: r.samples}, meta)
		switch {
		case err == nil:
			u.spend(r.samples)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, faultline.ErrInvalid):
			b.cfg.Metrics.invalid.Inc()
			b.cfg.Log.Error("a frame was refused", "position", u.Position, "error", err)
		default:
			return fmt.Errorf("store the reading of %s: %w", u.Position, err)
		}
	}
}

// loop polls whoever is due longest. Polls keep their phase: a unit is due at start + n × period,
// units spread over it. A poll that would begin more than a period late is skipped and
// counted, so that nothing is ever made up for.
func (b *Bus) loop(ctx context.Context) {
	start := time.Now()
	for i, u := range b.units {
		u.renew()
		spread := min(u.Period, spreadMost)
		u.due = start.Add((b.cfg.Delay + spread*time.Duration(i)/time.Duration(len(b.units))) % spread)
	}
	for ctx.Err() == nil {
		u := b.units[0]
		for _, v := range b.units[1:] {
			if v.due.Before(u.due) {
				u = v
			}
		}
		if b.idle(ctx, u.due) != nil {
			return
		}
		b.turn(ctx, u)
		if late := time.Since(u.due); late > u.Period {
			n := (late - 1) / u.Period
			b.cfg.Metrics.late.Add(float64(n))
			u.due = u.due.Add(n * u.Period)
		}
		u.due = u.due.Add(u.Period)
	}
}

// turn gives one unit its poll.
func (b *Bus) turn(ctx context.Context, u *unit) {
	if len(u.out) == cap(u.out) {
		b.cfg.Metrics.late.Inc() // the reading before last is not stored yet: back-pressure
		return
	}
	began := time.Now()
	switch {
	case !u.retryAt.IsZero() && began.Before(u.retryAt):
		u.allBad(u.dead)
		b.cfg.Metrics.polls.WithLabelValues("skipped").Inc()
	case b.ready(ctx) != nil:
		if ctx.Err() != nil {
			return
		}
		u.allBad(b.why)
		b.cfg.Metrics.polls.WithLabelValues("not_connected").Inc()
		b.cfg.Observe(u.Position, time.Since(began), false, b.why)
	default:
		began = time.Now() // without the wait for the line
		err := u.poll(ctx, b.line, began)
		if err != nil && b.proven && u.requests == 1 && lost(err) {
			// Closed while it was idle, as many devices do: that is no fault. Once more on a new one.
			b.reopen()
			if b.ready(ctx) == nil {
				began = time.Now()
				err = u.poll(ctx, b.line, began)
			}
		}
		if ctx.Err() != nil {
			return // cut short by the end: no verdict on the device
		}
		b.judge(u, err, time.Since(began))
	}
	at, clock := b.cfg.Stamp(u.Position)
	if !clock.IsGood() {
		for i := range u.samples {
			if u.samples[i].Quality.IsGood() {
				u.samples[i].Quality = clock
			}
		}
	}
	u.out <- reading{at, u.taken()} // has room: only this goroutine fills it
}

// judge decides what a poll's end means for the unit and for the line.
func (b *Bus) judge(u *unit, err error, took time.Duration) {
	m := b.cfg.Metrics
	m.seconds.Observe(took.Seconds())
	m.requests.Add(float64(u.requests))
	b.cfg.Observe(u.Position, took, !silent(err), err)
	if err == nil {
		m.polls.WithLabelValues("good").Inc()
	} else {
		m.polls.WithLabelValues(resultOf(err)).Inc()
	}
	if err != nil && !isException(err) {
		b.reopen()
	} else {
		b.proven = true
	}
	if !silent(err) {
		if u.dead != nil {
			u.renew()
			b.cfg.Log.Info("device answers again", "position", u.Position, "unit", u.Unit)
		}
		u.dead, u.retryAt, u.backoff = nil, time.Time{}, 0
		return
	}
	if u.dead == nil {
		b.cfg.Log.Warn("device does not answer", "position", u.Position, "unit", u.Unit, "error", err)
	}
	u.dead = err
	u.backoff = min(max(2*u.backoff, backoffFirst), backoffMost)
	u.retryAt = time.Now().Add(jittered(u.backoff))
}

// jittered is d, or up to a quarter less, so that devices that fell silent together are not tried together.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/4) }

// reopen closes the line; ready opens it again after its silence.
func (b *Bus) reopen() {
	b.line.close()
	b.isOpen, b.proven, b.readyAt = false, false, time.Now().Add(lineSilence)
	b.cfg.Metrics.reopened.Inc()
}

// ready opens the line if it is not open, after its silence and its back-off. The error is why it is
// not, and is kept in b.why.
func (b *Bus) ready(ctx context.Context) error {
	if b.isOpen {
		return nil
	}
	if wait := time.Until(b.readyAt); b.backoff > 0 && wait > 0 {
		return b.why
	} else if pause(ctx, wait) != nil {
		return ctx.Err()
	}
	if err := b.line.open(ctx); err != nil {
		if b.why == nil && ctx.Err() == nil {
			b.cfg.Log.Warn("bus cannot be reached", "error", err)
		}
		b.why = err
		b.backoff = min(max(2*b.backoff, backoffFirst), backoffMost)
		b.readyAt = time.Now().Add(jittered(b.backoff))
		return err
	}
	if b.why != nil {
		b.cfg.Log.Info("bus is reached again")
	}
	b.isOpen, b.backoff, b.why = true, 0, nil
	return nil
}
