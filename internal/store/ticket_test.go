package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testCreateTicket(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	first := create(t, s, l, "a", "b", "a")
	equal(t, "first", []any{first.Number, first.Version, len(first.ID)}, []any{"T-000001", 1, 36})
	inTx(t, s, l, func(tx *Tx) error {
		k := aTicket("c", "b")
		before := k
		wantErr(t, tx.CreateTicket(&k), faultline.ErrConflict, `"b"`, "T-000001")
		equal(t, "refused ticket", k, before)
		_, found, err := tx.TicketByKey("c") // the refused one's
		must(t, err)
		equal(t, "c found", found, false)
		k.Keys = []string{"c"}
		return tx.CreateTicket(&k)
	})
	second, err := s.Ticket(ctx, "T-000002")
	must(t, err)
	equal(t, "keys", second.Keys, []string{"c"})
	inTx(t, s, l, func(tx *Tx) error {
		got, found, err := tx.TicketByKey("a")
		must(t, err)
		equal(t, "found", found, true)
		equal(t, "by key", got, first)
		got, found, err = tx.LastTicketByKey("b")
		must(t, err)
		equal(t, "found", found, true)
		equal(t, "last by key", got, first)
		_, found, err = tx.LastTicketByKey("never")
		must(t, err)
		equal(t, "found", found, false)

		for _, change := range []func(*faultline.Ticket){
			func(k *faultline.Ticket) { k.Site = "" }, func(k *faultline.Ticket) { k.Kind = "" },
			func(k *faultline.Ticket) { k.Status = "" }, func(k *faultline.Ticket) { k.Keys = []string{""} },
		} {
			k := aTicket()
			change(&k)
			wantErr(t, tx.CreateTicket(&k), faultline.ErrInvalid)
		}
		return nil
	})
	_, err = s.Ticket(ctx, "T-000003")
	wantErr(t, err, faultline.ErrNotFound, "T-000003")
	_, err = s.Ticket(ctx, "T-99999999999999999999999")
	wantErr(t, err, faultline.ErrNotFound)
}

func testOneKey(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	won := 0
	for _, err := range together(24, func(i int) error {
		return s.Tx(ctx, l, func(tx *Tx) error {
			k := aTicket("site|P-1|hot|bearing", fmt.Sprint("own-", i))
			return tx.CreateTicket(&k)
		})
	}) {
		if err == nil {
			won++
		} else {
			wantErr(t, err, faultline.ErrConflict)
		}
	}
	equal(t, "winners", won, 1)
	got, total, err := s.Tickets(ctx, TicketFilter{})
	must(t, err)
	equal(t, "tickets", total, 1)
	equal(t, "number", got[0].Number, "T-000001")
}

func testKeyOrder(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	for _, err := range together(16, func(i int) error {
		keys := []string{"a", "b", "c", "d"}
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		return s.Tx(ctx, l, func(tx *Tx) error {
			k := aTicket(keys...)
			return tx.CreateTicket(&k)
		})
	}) {
		if err != nil {
			wantErr(t, err, faultline.ErrConflict) // and never a deadlock
		}
	}
}

func testNumbers(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	undo := errors.New("undo")
	want := 0
	for i, err := range together(40, func(i int) error {
		return s.Tx(ctx, l, func(tx *Tx) error {
			k := aTicket(fmt.Sprint("key-", i))
			if err := tx.CreateTicket(&k); err != nil {
				return err
			}
			if i%3 == 0 {
				return undo
			}
			return nil
		})
	}) {
		if i%3 == 0 {
			wantErr(t, err, undo)
			continue
		}
		must(t, err)
		want++
	}
	got, _, err := s.Tickets(ctx, TicketFilter{})
	must(t, err)
	var numbers, wanted []string
	for i, k := range got {
		numbers = append(numbers, k.Number)
		wanted = append(wanted, ticketNumber(int64(i+1)))
	}
	slices.Sort(numbers)
	equal(t, "numbers", numbers, wanted)
	equal(t, "count", len(numbers), want)
}

func testUpdateTicket(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	one, two := create(t, s, l, "a"), create(t, s, l, "b")
	stale := one
	inTx(t, s, l, func(tx *Tx) error {
		one.Keys, one.Count, one.Priority = []string{"a", "c"}, 2, faultline.P1
		must(t, tx.UpdateTicket(&one))
		equal(t, "version", one.Version, 2)
		got, found, err := tx.TicketByKey("c")
		must(t, err)
		equal(t, "found", found, true)
		equal(t, "ticket", got, one)

		wantErr(t, tx.UpdateTicket(&stale), faultline.ErrConflict, "T-000001", "version 2, not 1")
		unknown := stale
		unknown.ID = "unknown"
		wantErr(t, tx.UpdateTicket(&unknown), faultline.ErrNotFound)
		renamed := one
		renamed.Number = "T-000009"
		wantErr(t, tx.UpdateTicket(&renamed), faultline.ErrInvalid, "T-000009")

		greedy := two
		greedy.Keys, greedy.Title = []string{"b", "c", "d"}, "greedy"
		before := greedy
		wantErr(t, tx.UpdateTicket(&greedy), faultline.ErrConflict, `"c"`, "T-000001")
		equal(t, "refused ticket", greedy, before)
		_, found, err = tx.TicketByKey("d")
		must(t, err)
		equal(t, "d found", found, false)
		open, err := tx.OpenTickets("plant", "P-1")
		must(t, err)
		equal(t, "open", open, []faultline.Ticket{one, two})
		return nil
	})

	// An ended ticket gives its keys free and stays findable by them.
	inTx(t, s, l, func(tx *Tx) error {
		one.Status = faultline.StatusClosed
		must(t, tx.UpdateTicket(&one))
		_, found, err := tx.TicketByKey("a")
		must(t, err)
		equal(t, "found", found, false)
		last, found, err := tx.LastTicketByKey("a")
		must(t, err)
		equal(t, "found", found, true)
		equal(t, "last", last, one)
		two.Keys = []string{"a"} // and drops b
		must(t, tx.UpdateTicket(&two))
		last, _, err = tx.LastTicketByKey("a")
		must(t, err)
		equal(t, "last", last.Number, two.Number)
		_, found, err = tx.LastTicketByKey("b")
		must(t, err)
		equal(t, "b found", found, false)
		back := one
		back.Status = faultline.StatusInProgress
		wantErr(t, tx.UpdateTicket(&back), faultline.ErrConflict, `"a"`)
		open, err := tx.OpenTickets("plant", "P-1")
		must(t, err)
		equal(t, "open", open, []faultline.Ticket{two})
		open, err = tx.OpenTickets("plant", "")
		must(t, err)
		equal(t, "open at no position", open, []faultline.Ticket{})
		return nil
	})
	got, err := s.Ticket(ctx, one.ID)
	must(t, err)
	equal(t, "closed one", got, one)

	for i, k := range []faultline.Ticket{{Kind: faultline.TicketManual}, {Test: true}, {MadeUp: true}, {Site: "other"}, {ReceivedAt: t0.Add(-1)}} {
		ticket := aTicket()
		ticket.Test, ticket.MadeUp = k.Test, k.MadeUp
		if k.Kind != "" {
			ticket.Kind = k.Kind
		}
		if k.Site != "" {
			ticket.Site = k.Site
		}
		if !k.ReceivedAt.IsZero() {
			ticket.ReceivedAt = k.ReceivedAt
		}
		ticket.Title = fmt.Sprint("not counted ", i)
		inTx(t, s, l, func(tx *Tx) error { return tx.CreateTicket(&ticket) })
	}
	inTx(t, s, l, func(tx *Tx) error {
		n, err := tx.CountTicketsSince("plant", t0)
		equal(t, "tickets since", n, 2)
		return err
	})
}

func testChangeTicket(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	ticket := create(t, s, l, "a")
	triage := func(k *faultline.Ticket) ([]faultline.TicketEvent, error) {
		if err := k.CheckMove(faultline.StatusTriaged); err != nil {
			return nil, err
		}
		k.Status, k.ID, k.Number, k.Version = faultline.StatusTriaged, "forged", "T-666666", 99
		return []faultline.TicketEvent{{At: t0.Add(time.Minute), By: "anna", Kind: faultline.EventMoved, From: "new", To: "triaged"}}, nil
	}
	got, err := s.ChangeTicket(ctx, ticket.Number, 1, triage)
	must(t, err)
	ticket.Status, ticket.Version = faultline.StatusTriaged, 2
	ticket.Course = []faultline.Turn{{At: t0.Add(time.Minute), Kind: faultline.EventMoved, From: "new", To: "triaged"}} // what the clocks go by
	equal(t, "changed", got, ticket)
	got, err = s.Ticket(ctx, ticket.ID)
	must(t, err)
	equal(t, "stored", got, ticket)
	events, err := s.TicketEvents(ctx, ticket.ID)
	must(t, err)
	equal(t, "event", events, []faultline.TicketEvent{{Ticket: ticket.ID, At: t0.Add(time.Minute), By: "anna", Kind: faultline.EventMoved, From: "new", To: "triaged"}})

	_, err = s.ChangeTicket(ctx, ticket.ID, 1, triage)
	wantErr(t, err, faultline.ErrConflict, "anna", "2026-03-01T12:01:00Z", "T-000001")
	_, err = s.ChangeTicket(ctx, ticket.ID, 0, triage)
	wantErr(t, err, faultline.ErrRefused, "allowed")
	_, err = s.ChangeTicket(ctx, "T-000007", 0, triage)
	wantErr(t, err, faultline.ErrNotFound, "T-000007")
	got, err = s.Ticket(ctx, ticket.ID)
	must(t, err)
	equal(t, "after refusals", got, ticket)

	other := create(t, s, l, "b")
	_, err = s.ChangeTicket(ctx, other.ID, 0, func(k *faultline.Ticket) ([]faultline.TicketEvent, error) {
		k.Keys = append(k.Keys, "a")
		return []faultline.TicketEvent{{At: t0, By: "bo", Kind: faultline.EventJoined}}, nil
	})
	wantErr(t, err, faultline.ErrConflict, `"a"`)
	events, err = s.TicketEvents(ctx, other.ID)
	must(t, err)
	equal(t, "events of a refused change", events, []faultline.TicketEvent{})
}

func testChangeTicketRace(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	ticket := create(t, s, l)
	change := func(expect int) func(int) error {
		return func(i int) error {
			_, err := s.ChangeTicket(ctx, ticket.ID, expect, func(k *faultline.Ticket) ([]faultline.TicketEvent, error) {
				k.Count++
				return []faultline.TicketEvent{{At: t0, By: fmt.Sprint("person ", i), Kind: faultline.EventComment}}, nil
			})
			return err
		}
	}
	won := 0
	for _, err := range together(16, change(1)) {
		if err == nil {
			won++
		} else {
			wantErr(t, err, faultline.ErrConflict, "person")
		}
	}
	equal(t, "winners", won, 1)
	for _, err := range together(16, change(0)) {
		must(t, err)
	}
	got, err := s.Ticket(ctx, ticket.ID)
	must(t, err)
	equal(t, "count and version", []int{got.Count, got.Version}, []int{17, 18})
}
