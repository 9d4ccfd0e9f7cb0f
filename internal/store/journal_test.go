package store

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testJournals(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	a := anAlarm("a")
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.PutAlarm(a))
		for i := range 3 {
			_, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: a.ID, At: t0.Add(-time.Duration(i) * time.Hour), Transition: faultline.TransitionRaised})
			must(t, err)
		}
		return nil
	})
	first, err := s.AlarmJournal(ctx, 0, 2)
	must(t, err)
	equal(t, "page", len(first), 2)
	equal(t, "in the order of writing", first[1].AlarmEvent.At, t0.Add(-time.Hour))
	equal(t, "of the alarm", first[0].Alarm.ID, a.ID)
	rest, err := s.AlarmJournal(ctx, first[1].ID, 2)
	must(t, err)
	equal(t, "rest", len(rest), 1)
	equal(t, "last", rest[0].AlarmEvent.At, t0.Add(-2*time.Hour))

	ticket := create(t, s, l, "k")
	inTx(t, s, l, func(tx *Tx) error {
		return tx.AddTicketEvent(faultline.TicketEvent{Ticket: ticket.ID, At: t0, By: "rules", Kind: faultline.EventRepeated})
	})
	lines, err := s.TicketJournal(ctx, 0, 100)
	must(t, err)
	last := lines[len(lines)-1]
	equal(t, "line", []any{last.TicketEvent.Kind, last.Ticket.Number, last.AlarmEvent}, []any{faultline.EventRepeated, ticket.Number, faultline.AlarmEvent{}})

	// One who was slower to commit is not skipped: a reader waits for it, or it comes after what was read.
	slow, begun, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		written <- s.Tx(ctx, l, func(tx *Tx) error {
			_, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: a.ID, At: t0, Transition: faultline.TransitionCleared})
			close(begun)
			<-slow
			return err
		})
	}()
	<-begun
	read := make(chan []JournalEvent, 1)
	go func() {
		news, err := s.AlarmJournal(ctx, rest[0].ID, 10)
		if err != nil {
			t.Error(err)
		}
		read <- news
	}()
	select {
	case news := <-read:
		t.Errorf("a reader did not wait for a writer: %+v", news)
	case <-time.After(50 * time.Millisecond):
	}
	close(slow)
	must(t, <-written)
	equal(t, "read after the writer", len(<-read), 1)
}
