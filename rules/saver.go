package rules

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-iot/faultline"
)

// saver writes the units' states, a few at a time, beside the evaluation: the oldest first, within the
// budget of bytes a second. Only what follows from committed effects is ever written.
type saver struct {
	w    *worker
	last time.Time // of the last look, by the wall clock
	next int       // in w.order
	drop []string  // saved units that are no more

	writing sync.WaitGroup
	result  chan []savedUnit // of the write that is going on; empty while it is

	bookLost atomic.Bool // a write failed that had the book in it
}

type savedUnit struct {
	unit  *unit
	place faultline.Place
}

// A crash at each point: each unit is saved with its own place, and the partition's own unit, which says where units
// begin that were never saved, after all others; so its place is never beyond what any of them still needs. The book is
// in one transaction with the units that have seen what is new in it.

// savePiece is about how many bytes of units a transaction has: whoever else writes, such as a ticket, does not wait
// for all that is due.
const savePiece = 512 << 10

func newSaver(w *worker, drop []string) *saver {
	s := &saver{w: w, last: time.Now(), drop: drop, result: make(chan []savedUnit, 1)}
	s.result <- nil
	return s
}

// some saves what is due, about once a second, unless the last write is still going on.
func (s *saver) some(ctx context.Context) {
	now := time.Now()
	if now.Sub(s.last) < time.Second {
		return
	}
	select {
	case done := <-s.result:
		s.note(done)
	default:
		return
	}
	s.last = now
	var units []Unit
	var done []savedUnit
	budget := s.w.engine.SaveBytes // what was not saved earlier is not made up for: the states are taken between two batches
	for range s.w.order {
		u := s.w.order[s.next%len(s.w.order)]
		if now.Sub(u.savedAt) < s.w.engine.SaveEvery || budget <= 0 {
			break
		}
		s.next++
		saved, err := s.unit(u)
		if err != nil {
			s.w.log.Error("a unit cannot be saved", "unit", u.id, "error", err)
			continue
		}
		u.savedAt = now
		units, done = append(units, saved), append(done, savedUnit{u, saved.Place})
		budget -= len(saved.State)
	}
	if len(units) == 0 {
		s.result <- nil
		return
	}
	place, drop := s.least(done), s.drop
	if place != (faultline.Place{}) {
		units = append(units, Unit{ID: partitionUnit, Place: place})
	}
	withBook := false
	if units, withBook = s.book(units, place); withBook {
		s.w.book.changed = false
	}
	s.writing.Go(func() {
		if err := s.write(ctx, units, drop, place, withBook); err != nil {
			if ctx.Err() == nil {
				s.w.engine.metrics.retries.WithLabelValues("save").Inc()
				s.w.log.Warn("saving the state of rules failed; a restart would read further back", "error", err)
			}
			done = nil
			if withBook {
				s.bookLost.Store(true)
			}
		}
		s.result <- done
	})
}

// unit takes the state of a unit at the worker's place: it has seen, or need not see, all up to there.
func (s *saver) unit(u *unit) (Unit, error) {
	state, err := u.snapshot()
	if err != nil {
		return Unit{}, err
	}
	u.place = s.w.place
	return Unit{ID: u.id, Place: u.place, State: state}, nil
}

// book adds the book to the units if it has changed, without what a restart after place needs no more.
func (s *saver) book(units []Unit, place faultline.Place) ([]Unit, bool) {
	b := s.w.book
	if s.w.engine.Documents == nil {
		return units, false
	}
	if place != (faultline.Place{}) {
		b.trim(place)
	}
	if !b.changed {
		return units, false
	}
	u, err := b.unit(s.w.place)
	if err != nil {
		s.w.log.Error("the rules in force cannot be saved", "error", err)
		return units, false
	}
	return append(units, u), true
}

// note takes over what a write has saved.
func (s *saver) note(done []savedUnit) {
	if s.bookLost.Swap(false) {
		s.w.book.changed = true
	}
	for _, d := range done {
		d.unit.saved = d.place
		s.drop = nil // they went with it
	}
}

// least is the place after which a restart begins once done is saved: what is before it is needed no
// more. The zero place if that cannot be said.
func (s *saver) least(done []savedUnit) faultline.Place {
	now := map[*unit]faultline.Place{}
	for _, d := range done {
		now[d.unit] = d.place
	}
	least := s.w.place
	for _, u := range s.w.order {
		p, ok := now[u]
		if !ok {
			p = u.saved
		}
		if p.Stream != least.Stream {
			return faultline.Place{}
		}
		if p.Sequence < least.Sequence {
			least = p
		}
	}
	return least
}

// write saves units, of which the partition's is the last, in pieces or whole.
func (s *saver) write(ctx context.Context, units []Unit, drop []string, place faultline.Place, whole bool) error {
	for len(units) > 0 {
		n, bytes := 0, 0
		for n < len(units) && (whole || bytes < savePiece) {
			bytes += len(units[n].State)
			n++
		}
		gone, upTo := drop, place
		if n < len(units) {
			gone, upTo = nil, faultline.Place{}
		}
		if err := s.w.lease.SaveUnits(ctx, units[:n], gone, upTo); err != nil {
			return fmt.Errorf("save %d units: %w", len(units), err)
		}
		s.w.engine.metrics.saved.Add(float64(n))
		s.w.engine.metrics.savedBytes.Add(float64(bytes))
		units = units[n:]
	}
	return nil
}

// wait waits for the write that is going on.
func (s *saver) wait() { s.writing.Wait() }

// all saves everything: on the way out.
func (s *saver) all(ctx context.Context) error {
	if s.w.place == (faultline.Place{}) {
		return nil // nothing was read
	}
	units := make([]Unit, 0, len(s.w.order)+1)
	for _, u := range s.w.order {
		saved, err := s.unit(u)
		if err != nil {
			return err
		}
		units = append(units, saved)
	}
	if s.bookLost.Swap(false) {
		s.w.book.changed = true
	}
	units, _ = s.book(units, s.w.place)
	units = append(units, Unit{ID: partitionUnit, Place: s.w.place})
	return s.write(ctx, units, s.drop, s.w.place, true)
}

// parseGatewayUnitID is the inverse of gatewayUnitID.
func parseGatewayUnitID(id string) (site, gateway string, ok bool) {
	rest, ok := strings.CutPrefix(id, "gateway:")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}
