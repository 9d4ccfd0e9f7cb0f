package store

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testAlarms(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	put := func(rule string, change func(*faultline.Alarm)) {
		a := anAlarm(rule)
		change(&a)
		inTx(t, s, l, func(tx *Tx) error { return tx.PutAlarm(a) })
	}
	put("normal", func(a *faultline.Alarm) {
		a.Active, a.Acked, a.OutOfService, a.Why = false, true, `anna: "new" bearing`, "x"
	})
	put("returned", func(a *faultline.Alarm) { a.Active, a.Severity = false, faultline.SeverityAdvisory })
	put("latched", func(a *faultline.Alarm) { a.Active, a.Acked, a.Latched = false, true, true; a.RaisedAt = t0.Add(1) })
	put("warning", func(a *faultline.Alarm) { a.Why = `says "out_of_service":"x"` })
	put("critical", func(a *faultline.Alarm) { a.Severity = faultline.SeverityCritical })
	put("elsewhere", func(a *faultline.Alarm) { a.ID, a.Site, a.RaisedAt = "x", "x", t0.Add(time.Hour) })
	put("neighbour", func(a *faultline.Alarm) { a.ID, a.Position, a.Acked, a.Active = "plant/P-2/r", "P-2", true, false })

	for _, c := range []struct {
		filter AlarmFilter
		total  int
		rules  []string
	}{
		{AlarmFilter{}, 7, []string{"critical", "elsewhere", "latched", "warning", "returned", "normal", "neighbour"}},
		{AlarmFilter{OnlyOpen: true}, 5, []string{"critical", "elsewhere", "latched", "warning", "returned"}},
		{AlarmFilter{Site: "plant", OnlyOpen: true}, 4, []string{"critical", "latched", "warning", "returned"}},
		{AlarmFilter{Site: "plant", Position: "P-2"}, 1, []string{"neighbour"}},
		{AlarmFilter{Site: "plant", Limit: 2, Offset: 1}, 6, []string{"latched", "warning"}},
		{AlarmFilter{Limit: 2, Offset: 100}, 7, nil},
		{AlarmFilter{Site: "nowhere"}, 0, nil},
		{AlarmFilter{OutOfService: true}, 1, []string{"normal"}},
	} {
		got, total, err := s.Alarms(ctx, c.filter)
		must(t, err)
		var rules []string
		for _, a := range got {
			rules = append(rules, a.Rule)
		}
		equal(t, "rules", rules, c.rules)
		equal(t, "total", total, c.total)
	}
	put("critical", func(a *faultline.Alarm) { a.Active, a.Acked, a.Count = false, true, 9 })
	a, err := s.Alarm(ctx, faultline.AlarmID("plant", "P-1", "critical"))
	must(t, err)
	equal(t, "count after the second put", a.Count, 9)
	_, total, err := s.Alarms(ctx, AlarmFilter{OnlyOpen: true})
	must(t, err)
	equal(t, "open after the second put", total, 4)
	_, err = s.Alarm(ctx, "unknown")
	wantErr(t, err, faultline.ErrNotFound, "unknown")
	inTx(t, s, l, func(tx *Tx) error {
		_, found, err := tx.Alarm("unknown")
		equal(t, "found", found, false)
		return err
	})
}

func testAlarmEvents(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	a, b := anAlarm("a"), anAlarm("b")
	add := func(tx *Tx, alarm, transition string, at time.Time) bool {
		t.Helper()
		added, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: alarm, At: at, Transition: transition})
		must(t, err)
		return added
	}
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.PutAlarm(a))
		must(t, tx.PutAlarm(b))
		equal(t, "first", add(tx, a.ID, faultline.TransitionRaised, t0), true)
		equal(t, "same in one transaction", add(tx, a.ID, faultline.TransitionRaised, t0), false)
		equal(t, "other transition", add(tx, a.ID, faultline.TransitionCleared, t0), true)
		equal(t, "other alarm", add(tx, b.ID, faultline.TransitionRaised, t0.Add(1)), true)
		return nil
	})
	inTx(t, s, l, func(tx *Tx) error {
		equal(t, "replayed", add(tx, a.ID, faultline.TransitionRaised, t0), false)
		return nil
	})
	events, err := s.AlarmEvents(ctx, a.ID, 1)
	must(t, err)
	equal(t, "newest", events, []faultline.AlarmEvent{{Alarm: a.ID, At: t0, Transition: faultline.TransitionCleared}})
	events, err = s.AlarmEvents(ctx, "", 0)
	must(t, err)
	equal(t, "of all alarms", len(events), 3)
	equal(t, "newest of all", events[0].Alarm, b.ID)
	if err := s.Tx(ctx, l, func(tx *Tx) error { add(tx, "nobody's", "raised", t0); return nil }); err == nil {
		t.Error("an event of no alarm was stored")
	}
}
