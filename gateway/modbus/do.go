package modbus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// job is work that goes ahead of polls.
type job struct {
	ctx  context.Context
	unit *unit
	work func(*Access) error
	done chan error
	once *atomic.Bool // who sets it decides: the bus that it begins, or who waits that it does not
}

// Do runs work on the bus of a position before the next read of any poll, and returns its error. work has the
// bus to itself until it returns, so a write and what it is checked by are not torn apart; every request of it
// costs the polls that time. A unit that does not answer and is left alone for a while is not asked: the error
// says since when. Do waits until Run is there or ctx ends; once work has begun it waits for its end.
//
// An error that is no Exception leaves open whether the unit has written: read it back.
func (b *Bus) Do(ctx context.Context, position string, work func(*Access) error) error {
	for _, u := range b.units {
		if u.Position != position {
			continue
		}
		j := job{ctx, u, work, make(chan error, 1), new(atomic.Bool)}
		select {
		case b.jobs <- j:
		case <-ctx.Done():
			return fmt.Errorf("wait for bus %s: %w", b.address, context.Cause(ctx))
		}
		select {
		case err := <-j.done:
			return err
		case <-ctx.Done():
			if j.once.Swap(true) {
				return <-j.done
			}
			return fmt.Errorf("wait for bus %s: %w", b.address, context.Cause(ctx))
		}
	}
	return fmt.Errorf("position %s is not on bus %s: %w", position, b.address, faultline.ErrNotFound)
}

// serve runs the jobs that wait.
func (b *Bus) serve(ctx context.Context) {
	for range len(b.jobs) {
		b.perform(ctx, <-b.jobs) // this goroutine alone takes them
	}
}

// idle waits for a time and serves meanwhile.
func (b *Bus) idle(ctx context.Context, until time.Time) error {
	wait := time.Until(until)
	if wait <= 0 {
		b.serve(ctx)
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		case j := <-b.jobs:
			b.perform(ctx, j)
		}
	}
}

func (b *Bus) perform(ctx context.Context, j job) {
	if !j.once.Swap(true) {
		j.done <- b.work(ctx, j)
	}
}

func (b *Bus) work(ctx context.Context, j job) error {
	if wait := time.Until(j.unit.retryAt); wait > 0 {
		return fmt.Errorf("%s does not answer and is asked again in %v: %w", j.unit.Position, wait.Round(time.Millisecond), j.unit.dead)
	}
	if err := b.ready(ctx); err != nil { // with the bus's context, which the connection outlives the job with
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(j.ctx, func() { cancel(context.Cause(j.ctx)) })()
	a := &Access{ctx: ctx, line: b.line, unit: j.unit}
	if p, several := b.line.(*pool); several {
		a.line = p.lines[0] // what was fetched ahead is older than the job
	}
	err := j.work(a)
	a.over = true
	if a.broken == nil {
		a.broken = a.line.settle(ctx)
		err = errors.Join(err, a.broken)
	}
	if a.broken != nil {
		b.reopen()
	}
	return err
}

// between serves what waits between two reads of a poll, if the answers so far are sure. The error means that
// the bus cannot go on.
func (b *Bus) between(ctx context.Context) error {
	if p, several := b.line.(*pool); len(b.jobs) == 0 || !b.line.settled() || several && p.err != nil {
		return nil
	}
	b.serve(ctx)
	return b.ready(ctx) // a job that failed has closed the line
}

// Access is a unit whose bus is held for a job. It is for the goroutine of the job, until that returns.
type Access struct {
	ctx    context.Context // of this one job
	line   line
	unit   *unit
	broken error // the line is not in order any more
	over   bool
}

var errOver = fmt.Errorf("%w: the job is over", faultline.ErrRefused)

// Read asks for registers, two bytes each as on the wire, or bits packed lowest first.
func (a *Access) Read(t profile.Table, address, count uint16) (data []byte, err error) {
	r := request{unit: a.unit.Unit, table: t, address: address, count: count, timeout: a.unit.Timeout, pause: a.unit.Pause}
	err = a.ask(func() error {
		got, err := a.line.read(a.ctx, r)
		data = append(data[:0], got...)
		return err
	})
	return data, err
}

// Span reads the registers of a point, those of its scale included: what Encode wants to know.
func (a *Access) Span(pt *profile.Point) ([]byte, error) {
	first, n := pt.Register.Span()
	return a.Read(pt.Register.Table, first, uint16(n))
}

// Sample reads one point of the unit's profile.
func (a *Access) Sample(pt *profile.Point) (faultline.Sample, error) {
	b, err := a.Span(pt)
	if err != nil {
		return faultline.Sample{Point: pt.Name, Quality: quality(err)}, err
	}
	f := newField(a.unit.Profile, pt)
	if f.table.Bits() {
		return f.decodeBit(b[0]&1 != 0), nil
	}
	return f.decode(b), nil
}

// Write writes; several asks for the function that writes many even for one register or bit, which some
// devices know alone. A device that has accepted the write and needs long for it is no error.
func (a *Access) Write(w Written, several bool) error {
	pdu, err := commandOf(w, several)
	if err != nil {
		return err
	}
	l, can := a.line.(writer)
	if !can {
		return errNoRaw
	}
	c := command{unit: a.unit.Unit, pdu: pdu, timeout: a.unit.Timeout, pause: a.unit.Pause}
	err = a.ask(func() error { return l.write(a.ctx, c) })
	var e Exception
	if errors.As(err, &e) && e == Acknowledge {
		return nil
	}
	return err
}

// ask does one request, and again while the device is busy.
func (a *Access) ask(f func() error) error {
	switch {
	case a.over:
		return errOver
	case a.broken != nil:
		return a.broken
	}
	for wait := busyRetry; ; wait *= 2 {
		err := f()
		var e Exception
		switch isException := errors.As(err, &e); {
		case err == nil:
			return nil
		case !isException:
			a.broken = err
			return err
		case e != DeviceBusy || wait > busyAtMost:
			return err
		}
		if err := pause(a.ctx, wait); err != nil {
			return err
		}
	}
}
