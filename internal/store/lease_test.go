package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testLeaseLife(t *testing.T, s *Store) {
	ctx := t.Context()
	const ttl = 10 * time.Second
	a, err := s.Acquire(ctx, "ingest", 4, "a", ttl, t0)
	must(t, err)
	equal(t, "lease", a, Lease{"ingest", 4, "a", 1, t0.Add(ttl)})
	_, err = s.Acquire(ctx, "ingest", 4, "b", ttl, t0.Add(ttl-1))
	wantErr(t, err, faultline.ErrConflict, "a holds it until 2026-03-01T12:00:10Z")
	_, err = s.Acquire(ctx, "ingest", 5, "b", ttl, t0) // another partition
	must(t, err)
	_, err = s.Acquire(ctx, "rules", 4, "b", ttl, t0) // another role
	must(t, err)

	a, err = s.Renew(ctx, a, ttl, t0.Add(5*time.Second))
	must(t, err)
	equal(t, "renewed until", a.Until, t0.Add(15*time.Second))
	_, err = s.Acquire(ctx, "ingest", 4, "b", ttl, t0.Add(14*time.Second))
	wantErr(t, err, faultline.ErrConflict)
	a, err = s.Renew(ctx, a, ttl, t0.Add(time.Minute)) // late, but nobody was faster
	must(t, err)

	b, err := s.Acquire(ctx, "ingest", 4, "b", ttl, t0.Add(time.Hour))
	must(t, err)
	equal(t, "epoch", b.Epoch, int64(2))
	_, err = s.Renew(ctx, a, ttl, t0.Add(time.Hour))
	wantErr(t, err, faultline.ErrFenced, "ingest/4")
	must(t, s.Release(ctx, a)) // lost: must not release b's
	_, err = s.Acquire(ctx, "ingest", 4, "c", ttl, t0.Add(time.Hour))
	wantErr(t, err, faultline.ErrConflict)
	must(t, s.Release(ctx, b))
	c, err := s.Acquire(ctx, "ingest", 4, "c", ttl, t0.Add(time.Hour))
	must(t, err)
	equal(t, "epoch after a release", c.Epoch, int64(3))
	again, err := s.Acquire(ctx, "ingest", 4, "c", ttl, t0.Add(time.Hour)) // a restart under the same name
	must(t, err)
	equal(t, "epoch after a restart", again.Epoch, int64(4))
	wantErr(t, s.Tx(ctx, c, func(*Tx) error { return nil }), faultline.ErrFenced)
	must(t, s.Tx(ctx, again, func(*Tx) error { return nil }))

	_, err = s.Acquire(ctx, "ingest", 4, "", ttl, t0.Add(24*time.Hour))
	wantErr(t, err, faultline.ErrInvalid, "owner")
}

func testLeaseWinner(t *testing.T, s *Store) {
	won := 0
	for _, err := range together(16, func(i int) error {
		_, err := s.Acquire(t.Context(), "rules", 0, fmt.Sprint("owner-", i), time.Minute, t0)
		return err
	}) {
		if err == nil {
			won++
		} else {
			wantErr(t, err, faultline.ErrConflict)
		}
	}
	equal(t, "winners", won, 1)
}

func testFenced(t *testing.T, s *Store) {
	ctx := t.Context()
	old := lease(t, s)
	must(t, s.SaveUnits(ctx, old, []Unit{{ID: "u", State: []byte("mine")}}))
	_, err := s.Acquire(ctx, "rules", 0, "other", time.Minute, old.Until)
	must(t, err)

	wantErr(t, s.Tx(ctx, old, func(tx *Tx) error {
		t.Error("the function of a fenced transaction ran")
		return tx.SavePlace("rules", 0, faultline.Place{Stream: "F", Sequence: 1})
	}), faultline.ErrFenced, "rules/0", "test")
	wantErr(t, s.SaveUnits(ctx, old, []Unit{{ID: "u", State: []byte("stale")}}), faultline.ErrFenced)
	wantErr(t, s.DropUnits(ctx, old, []string{"u"}), faultline.ErrFenced)
	never := old
	never.Role = "nobody"
	wantErr(t, s.Tx(ctx, never, func(*Tx) error { return nil }), faultline.ErrFenced)

	units, err := s.Units(ctx, 0)
	must(t, err)
	equal(t, "units", units, []Unit{{ID: "u", State: []byte("mine")}})
	places, err := s.Places(ctx)
	must(t, err)
	equal(t, "places", places, []SavedPlace{})
}

// Two owners steal the lease from one another all the time. Whatever the interleaving, an older epoch
// never writes after a newer one, and no write is lost.
func testFencingRace(t *testing.T, s *Store) {
	ctx := t.Context()
	const rounds = 60
	committed := make([]int, 2)
	for _, err := range together(2, func(i int) error {
		for r := range rounds {
			// Far enough ahead each time for whatever the other one holds to have run out.
			l, err := s.Acquire(ctx, "rules", 0, fmt.Sprint("owner-", i), time.Second, t0.Add(time.Duration(r)*time.Hour))
			if errors.Is(err, faultline.ErrConflict) {
				continue
			}
			if err != nil {
				return err
			}
			for range 2 {
				err := s.Tx(ctx, l, func(tx *Tx) error {
					p, err := tx.Place("rules", 0)
					if err != nil {
						return err
					}
					var last int64
					if _, err := fmt.Sscanf(p.Stream, "epoch-%d", &last); err == nil && last > l.Epoch {
						return fmt.Errorf("epoch %d writes after epoch %d", l.Epoch, last)
					}
					return tx.SavePlace("rules", 0, faultline.Place{Stream: fmt.Sprint("epoch-", l.Epoch), Sequence: p.Sequence + 1})
				})
				if err == nil {
					committed[i]++
				} else if !errors.Is(err, faultline.ErrFenced) {
					return err
				}
			}
		}
		return nil
	}) {
		must(t, err)
	}
	places, err := s.Places(ctx)
	must(t, err)
	equal(t, "writes", places[0].Place.Sequence, uint64(committed[0]+committed[1]))
	if committed[0]+committed[1] < rounds {
		t.Errorf("only %v writes of two owners in %d rounds", committed, rounds)
	}
}

func testRollback(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	oops := errors.New("oops")
	write := func(tx *Tx) {
		k := aTicket("key")
		must(t, tx.CreateTicket(&k))
		must(t, tx.PutAlarm(anAlarm("hot")))
		must(t, tx.SavePlace("rules", 0, faultline.Place{Stream: "F", Sequence: 1}))
	}
	if err := s.Tx(ctx, l, func(tx *Tx) error { write(tx); return oops }); err != oops {
		t.Fatalf("got %v, want the function's own error", err)
	}
	func() {
		defer func() { equal(t, "panic", recover(), oops) }()
		_ = s.Tx(ctx, l, func(tx *Tx) error { write(tx); panic(oops) })
	}()
	cancelled, cancel := context.WithCancel(ctx)
	err := s.Tx(cancelled, l, func(tx *Tx) error { write(tx); cancel(); return nil })
	wantErr(t, err, context.Canceled)
	wantErr(t, s.Tx(cancelled, l, func(*Tx) error { return nil }), context.Canceled)

	_, tickets, err := s.Tickets(ctx, TicketFilter{})
	must(t, err)
	_, alarms, err := s.Alarms(ctx, AlarmFilter{})
	must(t, err)
	places, err := s.Places(ctx)
	must(t, err)
	equal(t, "tickets, alarms, places", []int{tickets, alarms, len(places)}, []int{0, 0, 0})
	equal(t, "first number", create(t, s, l, "key").Number, "T-000001")
}
