package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// When what was written is read back: devices need a while to take it over.
var readBackAfter = []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond}

// WritePoint writes a value to a point of a position and reads it back until it reads as the value, or for
// about a second. A bit within a register is written by reading the register, changing the bit and
// writing all of it: what the device itself changes in the register in between is lost.
//
// old is what it read as before, back what it read as in the end. sent tells whether the device may have
// written: where it is false, nothing was. An error with sent means that the device did not confirm; back
// then tells what is there, if it could be read.
func (b *Bus) WritePoint(ctx context.Context, position string, pt *profile.Point, v faultline.Value) (old, back faultline.Sample, sent bool, err error) {
	var p *profile.Profile
	for _, u := range b.units {
		if u.Position == position {
			p = u.Profile
		}
	}
	switch {
	case p == nil:
		return old, back, false, fmt.Errorf("position %s is not on bus %s: %w", position, b.address, faultline.ErrNotFound)
	case pt.Write == nil || pt.Register == nil:
		return old, back, false, fmt.Errorf("%w: profile %s does not say that %s may be written", faultline.ErrRefused, p.Name, pt.Name)
	}
	var now []byte
	var want Written
	as := func(s faultline.Sample) bool { // by what the registers hold: numbers are rounded to it
		if s.Quality.IsBad() {
			return false
		}
		w, err := Encode(p, pt, s.Value, now)
		return err == nil && slices.Equal(w.Words, want.Words)
	}
	began := time.Now()
	err = b.Do(ctx, position, func(a *Access) (err error) {
		if now, err = a.Span(pt); err != nil {
			return fmt.Errorf("read %s before writing it: %w", pt.Name, err)
		}
		if f := newField(p, pt); f.table.Bits() {
			old, now = f.decodeBit(now[0]&1 != 0), nil
		} else {
			old = f.decode(now)
		}
		if want, err = Encode(p, pt, v, now); err != nil {
			return err
		}
		sent = true
		if err = a.Write(want, pt.Write.Multiple); err != nil {
			sent = !isException(err) // by which the device says that it has not
			return fmt.Errorf("write %s: %w", pt.Name, err)
		}
		began = time.Now()
		back, err = a.Sample(pt)
		return err
	})
	if !sent {
		return old, back, false, err
	}
	// Each further look is a turn of its own: the bus reads others meanwhile.
	for _, after := range readBackAfter {
		if err == nil && as(back) {
			return old, back, true, nil
		}
		if perr := pause(ctx, time.Until(began.Add(after))); perr != nil {
			break
		}
		var again faultline.Sample
		if e := b.Do(ctx, position, func(a *Access) (err error) { again, err = a.Sample(pt); return err }); e == nil {
			back = again
			if as(back) {
				return old, back, true, nil // whatever became of the answer
			}
			if err != nil && !errors.Is(err, errUnconfirmed) {
				err = fmt.Errorf("%w: %w", errUnconfirmed, err)
			}
		}
	}
	return old, back, true, err
}

var errUnconfirmed = errors.New("the device did not confirm the write")
