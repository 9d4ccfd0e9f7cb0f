package modbus

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/faultline-iot/faultline"
)

const (
	busyRetry     = 50 * time.Millisecond  // doubled each time
	busyAtMost    = 500 * time.Millisecond // of a poll, for the sake of others on the bus; or half its period
	splitsAPoll   = 16                     // extra reads that isolating refused addresses may cost one poll
	refusedFirst  = 30 * time.Second
	refusedAtMost = time.Hour
)

// unit is one device on a bus: what to read from it and what it did lately.
type unit struct {
	Device
	fields  []field
	classes []class
	plans   map[uint64]*readPlan // by the classes that they read
	plan    *readPlan            // of the poll under way
	chosen  uint64               // classes of the poll under way
	unsure  uint64               // those of them that must be asked again soon

	samples  []faultline.Sample // by field, of the poll under way; empty if it was not due
	requests int                // of the poll under way
	splits   int
	waited   time.Duration // for it to be less busy

	due     time.Time
	dead    error         // why it is left alone until retryAt
	retryAt time.Time     // zero: not in back-off
	backoff time.Duration // the last one

	between func(context.Context) error // serves what goes ahead of polls; nil outside a bus

	out   chan reading            // one reading waits while the one before is being stored
	spare chan []faultline.Sample // of a reading that was stored, for the next
}

// readPlan is the reads of one poll. It is split where the device refuses.
type readPlan struct{ blocks []planned }

// planned is a block and what is known about it.
type planned struct {
	block
	refused error // an exception that the device gave for a block that cannot be split
	again   time.Time
	wait    time.Duration
}

// reading is the outcome of one poll.
type reading struct {
	at      time.Time
	samples []faultline.Sample
}

func newUnit(d Device) *unit {
	u := &unit{Device: d, fields: fieldsOf(d.Profile), plans: map[uint64]*readPlan{}, out: make(chan reading, 1), spare: make(chan []faultline.Sample, 1)}
	u.classes = classesOf(u.fields, d.Period)
	if len(u.classes) > 0 {
		first := slices.MinFunc(u.classes, func(a, b class) int { return cmp.Compare(a.every, b.every) })
		u.Period = max(u.Period, first.every) // no polls that read nothing
	}
	return u
}

// poll reads every block that is due once. It leaves a sample of every point of them in u.samples, good or bad with its
// reason. The error is what ended the poll early; one that is no Exception means that the line must be
// closed.
func (u *unit) poll(ctx context.Context, l line, now time.Time) error {
	u.begin()
	u.requests, u.splits, u.unsure, u.waited = 0, 0, 0, 0
	at := u.due
	if at.IsZero() {
		at = now // outside a schedule
	}
	u.choose(at)
	if p, ok := l.(*pool); ok {
		var wanted []request
		for i := range u.plan.blocks {
			if b := &u.plan.blocks[i]; b.refused == nil || !now.Before(b.again) {
				wanted = append(wanted, b.request(u))
			}
		}
		p.fetch(ctx, wanted)
	}
	forget := false
	for k := 0; k < len(u.plan.blocks); k++ {
		b := &u.plan.blocks[k]
		if b.refused != nil && now.Before(b.again) {
			u.fail(b.fields, quality(b.refused))
			continue
		}
		if u.between != nil && k > 0 {
			if err := u.between(ctx); err != nil {
				return u.abort(k, err)
			}
		}
		data, err := u.read(ctx, l, b.request(u))
		var e Exception
		switch {
		case err == nil:
			u.decode(&b.block, data)
			forget = forget || b.refused != nil
			b.refused, b.wait = nil, 0
		case errors.As(err, &e) && (e == IllegalAddress || e == IllegalValue):
			if first, second, ok := b.block.split(u.fields); ok && u.splits < splitsAPoll {
				u.splits++
				u.plan.blocks = slices.Insert(u.plan.blocks, k+1, planned{block: second})
				u.plan.blocks[k] = planned{block: first}
				k--
				continue
			} else if !ok {
				b.wait = min(max(2*b.wait, refusedFirst), refusedAtMost)
				b.refused, b.again = err, now.Add(b.wait)
			}
			u.fail(b.fields, quality(err))
		case errors.As(err, &e) && (e == IllegalFunction || e == DeviceFailure):
			u.again(b.fields)
			u.fail(b.fields, quality(err)) // of this block; the others may be fine
		default:
			if isException(err) {
				if serr := l.settle(ctx); serr != nil {
					return u.abort(0, serr)
				}
			}
			if errors.Is(err, errDesync) || !l.settled() {
				k = 0 // what was read before is not to be believed either
			}
			return u.abort(k, err)
		}
	}
	if err := l.settle(ctx); err != nil {
		return u.abort(0, err)
	}
	if forget {
		clear(u.plans) // addresses that were refused are served again: back to the fewest reads
	}
	u.advance(at)
	return nil
}

// abort gives up a poll at block k. What was read before stays.
func (u *unit) abort(k int, err error) error {
	for ; k < len(u.plan.blocks); k++ {
		u.fail(u.plan.blocks[k].fields, quality(err))
	}
	return err
}

func (u *unit) fail(fields []int, q faultline.Quality) {
	for _, i := range fields {
		u.samples[i] = faultline.Sample{Point: u.fields[i].point.Name, Quality: q}
	}
}

// allBad is the reading of a unit that was not asked.
func (u *unit) allBad(err error) {
	u.begin()
	u.choose(u.due)
	for k := range u.classes {
		if u.chosen>>k&1 != 0 {
			u.fail(u.classes[k].fields, quality(err))
		}
	}
}

// read asks once, and again, each time later, while the device says that it is busy.
func (u *unit) read(ctx context.Context, l line, r request) ([]byte, error) {
	for wait := busyRetry; ; wait *= 2 {
		u.requests++
		data, err := l.read(ctx, r)
		var e Exception
		if !errors.As(err, &e) || e != DeviceBusy && e != Acknowledge || u.waited+wait > min(busyAtMost, u.Period/2) {
			return data, err
		}
		u.waited += wait
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (b *block) request(u *unit) request {
	return request{unit: u.Unit, table: b.table, address: b.address, count: b.count, timeout: u.Timeout, pause: u.Pause}
}

func (u *unit) decode(b *block, data []byte) {
	for _, i := range b.fields {
		f := &u.fields[i]
		at := int(f.address - b.address)
		if b.table.Bits() {
			u.samples[i] = f.decodeBit(data[at/8]>>(at%8)&1 != 0)
			continue
		}
		u.samples[i] = f.decode(data[2*at : 2*(at+int(f.words))])
	}
}

// silent tells whether err says that the unit does not answer, so that asking it again costs the
// others on its bus a time-out.
func silent(err error) bool {
	var e Exception
	if errors.As(err, &e) {
		return e == PathUnavailable || e == TargetSilent
	}
	return err != nil && !errors.Is(err, context.Canceled)
}

// lost tells whether the other side closed the connection.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// Once reads every point of a device once, over a connection of its own.
func Once(ctx context.Context, address string, link Link, d Device) ([]faultline.Sample, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	d.fill()
	u := newUnit(d)
	l := newLine(a, link)
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	defer l.close()
	err = u.poll(ctx, l, time.Now())
	return u.taken(), err
}
