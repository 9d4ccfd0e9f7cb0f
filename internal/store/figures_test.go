package store

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testFigures(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	here, there, madeUp := anAlarm("here"), anAlarm("there"), anAlarm("made-up")
	there.ID, there.Site, madeUp.MadeUp = "other/P-1/there", "other", true
	inTx(t, s, l, func(tx *Tx) error {
		for i, a := range []faultline.Alarm{here, there, madeUp} {
			must(t, tx.PutAlarm(a))
			for h := range 3 {
				_, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: a.ID, Transition: faultline.TransitionRaised, At: t0.Add(time.Duration(h)*time.Hour + time.Duration(i))})
				must(t, err)
			}
		}
		return nil
	})
	for _, c := range []struct {
		filter FigureFilter
		want   []string
	}{
		{FigureFilter{From: t0, To: t0.Add(2 * time.Hour)}, []string{here.ID, there.ID, here.ID, there.ID}},
		{FigureFilter{Site: "plant", From: t0, To: t0.Add(3 * time.Hour)}, []string{here.ID, here.ID, here.ID}},
		{FigureFilter{Site: "plant", From: t0.Add(1), To: t0.Add(time.Hour)}, nil},
		{FigureFilter{From: t0, To: t0.Add(time.Hour), MadeUp: true}, []string{madeUp.ID}},
		{FigureFilter{From: t0.Add(-time.Hour), To: t0}, nil},
	} {
		_, events, err := s.AlarmHistory(ctx, c.filter)
		must(t, err)
		var got []string
		for _, e := range events {
			got = append(got, e.Alarm)
		}
		equal(t, "alarms of the events", got, c.want)
	}
	for i, change := range []func(*faultline.Ticket){
		func(k *faultline.Ticket) { k.Resolution.Verdict = faultline.VerdictTrue },
		func(k *faultline.Ticket) { k.Site = "other" },
		func(k *faultline.Ticket) { k.Test = true },
		func(k *faultline.Ticket) { k.MadeUp = true },
		func(k *faultline.Ticket) { k.Kind = faultline.TicketInspection },
		func(k *faultline.Ticket) { k.ReceivedAt = t0.Add(time.Hour) },
	} {
		k := aTicket()
		k.ID, k.Keys, k.ReceivedAt = "", []string{string(rune('a' + i))}, t0
		change(&k)
		inTx(t, s, l, func(tx *Tx) error { return tx.CreateTicket(&k) })
	}
	for _, c := range []struct {
		filter FigureFilter
		n      int
	}{
		{FigureFilter{From: t0, To: t0.Add(time.Hour)}, 2},
		{FigureFilter{Site: "plant", From: t0, To: t0.Add(time.Hour)}, 1},
		{FigureFilter{Site: "plant", From: t0, To: t0.Add(2 * time.Hour)}, 2},
		{FigureFilter{Site: "plant", From: t0, To: t0.Add(time.Hour), MadeUp: true}, 1},
	} {
		faults, err := s.Faults(ctx, c.filter)
		must(t, err)
		equal(t, "faults", len(faults), c.n)
	}
}
