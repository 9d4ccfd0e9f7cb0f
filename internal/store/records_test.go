package store

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testRoundTrips(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	alarm, event := filled[faultline.Alarm](), filled[faultline.AlarmEvent]()
	event.Alarm = alarm.ID
	ticket, line, evidence := filled[faultline.Ticket](), filled[faultline.TicketEvent](), filled[faultline.Evidence]()
	ticket.Status = faultline.StatusNew
	inspection, ledger := filled[faultline.Inspection](), filled[faultline.LedgerRow]()
	inTx(t, s, l, func(tx *Tx) error {
		added, err := tx.AddAlarmEvent(event) // before its alarm: the order within a transaction is the caller's
		must(t, err)
		equal(t, "event added", added, true)
		must(t, tx.PutAlarm(alarm))
		must(t, tx.CreateTicket(&ticket))
		line.Ticket, evidence.Ticket = ticket.ID, ticket.ID
		must(t, tx.AddTicketEvent(line))
		must(t, tx.AddTicketEvent(line))
		must(t, tx.PutEvidence(evidence))
		must(t, tx.PutEvidence(evidence))
		must(t, tx.PutInspection(inspection))
		must(t, tx.PutInspection(inspection))
		return tx.PutLedger(ledger)
	})
	equal(t, "number", ticket.Number, "T-000001")
	equal(t, "version", ticket.Version, 1)

	gotAlarm, err := s.Alarm(ctx, alarm.ID)
	must(t, err)
	equal(t, "alarm", gotAlarm, alarm)
	events, err := s.AlarmEvents(ctx, alarm.ID, 0)
	must(t, err)
	equal(t, "alarm events", events, []faultline.AlarmEvent{event})
	for _, name := range []string{ticket.ID, "T-000001", "t-1"} {
		got, err := s.Ticket(ctx, name)
		must(t, err)
		equal(t, "ticket "+name, got, ticket)
	}
	lines, err := s.TicketEvents(ctx, ticket.ID)
	must(t, err)
	equal(t, "ticket events", lines, []faultline.TicketEvent{line})
	pictures, err := s.Evidence(ctx, ticket.ID)
	must(t, err)
	equal(t, "evidence", pictures, []faultline.Evidence{evidence})
	inspections, err := s.Inspections(ctx, InspectionFilter{})
	must(t, err)
	equal(t, "inspections", inspections, []faultline.Inspection{inspection})
	rows, err := s.LedgerRows(ctx)
	must(t, err)
	equal(t, "ledger", rows, []faultline.LedgerRow{ledger})
}

func testAwkwardText(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	for _, awkward := range []string{
		"NUL \x00 in the middle", "油泵 🔥 überhitzt\u202e", `'; DROP TABLE ticket; --`, `"%_\` + "`", "? ?? $1 :x @y", "</script>", strings.Repeat("长", 100_000),
	} {
		ticket := aTicket()
		ticket.Title, ticket.Text, ticket.Serial = awkward, awkward, awkward
		line := faultline.TicketEvent{At: t0, By: awkward, Kind: faultline.EventComment, Text: awkward}
		inTx(t, s, l, func(tx *Tx) error {
			must(t, tx.CreateTicket(&ticket))
			line.Ticket = ticket.ID
			return tx.AddTicketEvent(line)
		})
		got, err := s.Ticket(ctx, ticket.ID)
		must(t, err)
		equal(t, "ticket", got, ticket)
		lines, err := s.TicketEvents(ctx, ticket.ID)
		must(t, err)
		equal(t, "event", lines, []faultline.TicketEvent{line})
		found, _, err := s.Tickets(ctx, TicketFilter{Text: strings.ToUpper(fmt.Sprintf("%.100s", awkward))})
		must(t, err)
		if !slices.ContainsFunc(found, func(k faultline.Ticket) bool { return k.ID == ticket.ID }) {
			t.Errorf("ticket with title %.20q is not found by it", awkward)
		}
	}
	_, total, err := s.Tickets(ctx, TicketFilter{Text: "%"})
	must(t, err)
	equal(t, "tickets with a percent sign", total, 1)

	// Names are another matter: they go into keys.
	for _, bad := range []string{"a\x00b", "\xff"} {
		wantErr(t, s.PutSite(ctx, faultline.Site{ID: bad}), faultline.ErrInvalid)
		_, err := s.Ticket(ctx, bad)
		wantErr(t, err, faultline.ErrInvalid)
		_, _, err = s.Tickets(ctx, TicketFilter{Site: bad})
		wantErr(t, err, faultline.ErrInvalid)
		inTx(t, s, l, func(tx *Tx) error {
			k := aTicket(bad)
			wantErr(t, tx.CreateTicket(&k), faultline.ErrInvalid)
			k.Keys = nil
			return tx.CreateTicket(&k) // the transaction goes on
		})
	}
	inTx(t, s, l, func(tx *Tx) error {
		wantErr(t, tx.PutInspection(faultline.Inspection{Site: "a", Position: "b", Plan: "c", Reading: math.NaN()}), faultline.ErrInvalid)
		return nil
	})
}

func testTimes(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	for _, at := range []time.Time{
		{}, t0, t0.In(time.FixedZone("CST", 8*3600)), time.Unix(0, 1), time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2262, 4, 11, 23, 47, 16, 854775807, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		ticket := aTicket()
		ticket.ReceivedAt, ticket.EventAt = at, at
		inTx(t, s, l, func(tx *Tx) error { return tx.CreateTicket(&ticket) })
		got, err := s.Ticket(ctx, ticket.ID)
		must(t, err)
		equal(t, "received at", got.ReceivedAt, at.UTC())
	}
	// Two moments a nanosecond apart are two; one moment in two zones is one.
	alarm := anAlarm("hot")
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.PutAlarm(alarm))
		for i, at := range []time.Time{t0, t0.Add(1), t0.In(time.FixedZone("", -3600))} {
			added, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: alarm.ID, At: at, Transition: faultline.TransitionRaised})
			must(t, err)
			equal(t, "added", added, i < 2)
		}
		return nil
	})
}

func testAppendOnly(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	alarm := anAlarm("hot")
	ticket := create(t, s, l)
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.PutAlarm(alarm))
		_, err := tx.AddAlarmEvent(faultline.AlarmEvent{Alarm: alarm.ID, At: t0, Transition: faultline.TransitionRaised})
		must(t, err)
		must(t, tx.AddTicketEvent(faultline.TicketEvent{Ticket: ticket.ID, At: t0, Kind: faultline.EventOpened}))
		return tx.PutEvidence(faultline.Evidence{Ticket: ticket.ID, Alarm: alarm.ID, At: t0})
	})
	for _, table := range []string{"alarm_event", "ticket_event", "evidence"} {
		for _, statement := range []string{"UPDATE " + table + " SET doc = '{}'", "DELETE FROM " + table} {
			_, err := s.write.ExecContext(ctx, statement)
			if err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got error %v", statement, err)
			}
		}
	}
	// History cannot belong to nothing, and what has history cannot go.
	for _, statement := range []string{"DELETE FROM ticket", "DELETE FROM alarm"} {
		if _, err := s.write.ExecContext(ctx, statement); err == nil {
			t.Errorf("%s: went through", statement)
		}
	}
	if err := s.Tx(ctx, l, func(tx *Tx) error { return tx.AddTicketEvent(faultline.TicketEvent{Ticket: "nobody's", At: t0}) }); err == nil {
		t.Error("an event of no ticket was stored")
	}
}

func testInspections(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	first := faultline.Inspection{Site: "plant", Position: "P-1", Plan: "oil", Cycle: 1, Status: faultline.InspectionDue, DueAt: t0}
	second := first
	second.Cycle, second.DueAt = 2, t0.Add(time.Hour)
	inTx(t, s, l, func(tx *Tx) error {
		_, found, err := tx.Inspection("plant", "P-1", "oil")
		must(t, err)
		equal(t, "found before", found, false)
		must(t, tx.PutInspection(first))
		wantErr(t, tx.PutInspection(second), faultline.ErrConflict, "cycle 2")
		got, found, err := tx.Inspection("plant", "P-1", "oil") // the transaction goes on
		must(t, err)
		equal(t, "found", found, true)
		equal(t, "open one", got, first)
		first.Status, first.DoneAt = faultline.InspectionDone, t0.Add(time.Minute)
		must(t, tx.PutInspection(first))
		return tx.PutInspection(second)
	})
	got, err := s.Inspections(ctx, InspectionFilter{Site: "plant"})
	must(t, err)
	equal(t, "all", got, []faultline.Inspection{second, first})
	open := false
	got, err = s.Inspections(ctx, InspectionFilter{Position: "P-1", Open: &open})
	must(t, err)
	equal(t, "ended", got, []faultline.Inspection{first})
}

func testPlaces(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	last := faultline.Place{Stream: "F_0", Sequence: math.MaxUint64}
	inTx(t, s, l, func(tx *Tx) error {
		p, err := tx.Place("ingest", 3)
		must(t, err)
		equal(t, "no place", p, faultline.Place{})
		must(t, tx.SavePlace("ingest", 3, faultline.Place{Stream: "F_0", Sequence: 7}))
		must(t, tx.SavePlace("ingest", 3, last))
		must(t, tx.SavePlace("rules", 3, faultline.Place{Stream: "F_1", Sequence: 1}))
		p, err = tx.Place("ingest", 3)
		must(t, err)
		equal(t, "place", p, last)

		_, found, err := tx.Ledger("gw", "e1")
		must(t, err)
		equal(t, "ledger found", found, false)
		must(t, tx.PutLedger(faultline.LedgerRow{Gateway: "gw", Epoch: "e1", Last: 1}))
		must(t, tx.PutLedger(faultline.LedgerRow{Gateway: "gw", Epoch: "e1", Last: math.MaxUint64}))
		row, found, err := tx.Ledger("gw", "e1")
		must(t, err)
		equal(t, "ledger found", found, true)
		equal(t, "ledger", row.Last, uint64(math.MaxUint64))
		return nil
	})
	places, err := s.Places(ctx)
	must(t, err)
	equal(t, "places", places, []SavedPlace{{"ingest", 3, last}, {"rules", 3, faultline.Place{Stream: "F_1", Sequence: 1}}})
}

func testDeadLetters(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	letter := faultline.DeadLetter{At: t0, Site: "plant", Gateway: "gw", Epoch: "e", Sequence: math.MaxUint64,
		Line: "pump,site=plant \x00\xff\xfe 1", Reason: "not \xff UTF-8"}
	other := letter
	other.Line = ""
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.AddDeadLetter(letter))
		must(t, tx.AddDeadLetter(letter))
		return tx.AddDeadLetter(other)
	})
	got, total, err := s.DeadLetters(ctx, 1, 1)
	must(t, err)
	equal(t, "total", total, 2)
	letter.ID, letter.Group = got[0].ID, got[0].Group
	equal(t, "the older one", got, []faultline.DeadLetter{letter})
	if letter.ID == 0 {
		t.Error("no ID")
	}
	got, _, err = s.DeadLetters(ctx, 0, 0)
	must(t, err)
	equal(t, "all", len(got), 2)
	equal(t, "newest line", got[0].Line, "")

	// A device that sends a line each second that cannot be stored fills nothing.
	var many []faultline.DeadLetter
	for i := range 3 * KeptOfGroup {
		many = append(many, faultline.DeadLetter{At: t0.Add(time.Duration(i) * time.Second), Site: "plant", Gateway: "gw", Epoch: "e2", Sequence: uint64(i),
			Line: fmt.Sprintf("pump,position=P\\ 1 v=%di %d", i, i), Reason: fmt.Sprintf("unable to parse 'pump v=%d': dropped=%d", i, i)})
	}
	other = many[0]
	other.Sequence, other.Reason = 9999, "too large"
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.AddDeadLetters(many[:2*KeptOfGroup]))
		must(t, tx.AddDeadLetters(many[2*KeptOfGroup-1:])) // the first of these was there
		return tx.AddDeadLetter(other)
	})
	groups, dropped, err := s.DeadGroups(ctx, 10)
	must(t, err)
	equal(t, "groups", len(groups), 4)
	equal(t, "dropped", dropped, int64(0))
	g := groups[0]
	equal(t, "group", []any{g.Count, g.Kept, g.FirstAt, g.LastAt, g.Series, g.Reason}, []any{int64(3 * KeptOfGroup), int64(KeptOfGroup), t0, many[len(many)-1].At, `pump,position=P\ 1`, many[len(many)-1].Reason})
	got, total, err = s.FindDeadLetters(ctx, DeadLetterFilter{Group: g.ID, Gateway: "gw", Site: "plant", Limit: 1})
	must(t, err)
	equal(t, "of the group", total, KeptOfGroup)
	equal(t, "the newest", got[0].Sequence, uint64(3*KeptOfGroup-1))
	got, total, err = s.FindDeadLetters(ctx, DeadLetterFilter{IDs: []int64{got[0].ID, 1 << 40}})
	must(t, err)
	equal(t, "by id", total, 1)
	n, err := s.As(&Trail{Entry: faultline.AuditEntry{At: t0, By: "anna"}}).ForgetDeadLetters(ctx, got[0].ID, 1<<40)
	must(t, err)
	equal(t, "forgotten", n, int64(1))
	entries, _, err := s.AuditEntries(ctx, AuditFilter{})
	must(t, err)
	equal(t, "audited", []any{len(entries), entries[0].By, entries[0].Object, entries[0].Before}, []any{1, "anna", "1 dead letters", fmt.Sprintf(`{"letters":[%d,%d]}`, got[0].ID, 1<<40)})
	swept, err := s.SweepDeadLetters(ctx, t0.Add(-time.Hour), 50)
	must(t, err)
	equal(t, "beyond fifty", swept, int64(KeptOfGroup-1+3-50))
	swept, err = s.SweepDeadLetters(ctx, t0.Add(time.Hour), 50)
	must(t, err)
	equal(t, "too old", swept, int64(50))
	groups, dropped, err = s.DeadGroups(ctx, 10)
	must(t, err)
	equal(t, "groups left", len(groups), 0)
	equal(t, "dropped", dropped, int64(KeptOfGroup-1+3))
}

func testUnits(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	var units []Unit
	for i := range 450 {
		units = append(units, Unit{ID: string(rune('一' + i)), Place: faultline.Place{Stream: "F", Sequence: uint64(i) + 1<<63}, State: []byte{0, byte(i), 0xff}})
	}
	must(t, s.SaveUnits(ctx, l, units))
	units[1].State, units[1].Place.Sequence = []byte{}, 1
	must(t, s.SaveUnits(ctx, l, []Unit{{ID: units[1].ID, Place: units[1].Place}}))
	must(t, s.SaveUnits(ctx, l, nil))
	got, err := s.Units(ctx, 0)
	must(t, err)
	equal(t, "units", got, units)
	got, err = s.Units(ctx, 1)
	must(t, err)
	equal(t, "of another partition", got, []Unit{})
	must(t, s.DropUnits(ctx, l, []string{units[0].ID, "unknown"}))
	got, err = s.Units(ctx, 0)
	must(t, err)
	equal(t, "after a drop", got, units[1:])
}

func testImport(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	ticket := aTicket("old|key")
	ticket.ID, ticket.MadeUp, ticket.Status = "demo-1", true, faultline.StatusClosed
	line := faultline.TicketEvent{At: t0, Kind: faultline.EventOpened, By: "rules"}
	evidence := faultline.Evidence{Alarm: "a", At: t0, Samples: []faultline.EvidenceSample{}}
	first, err := s.AddTicket(ctx, ticket, []faultline.TicketEvent{line}, []faultline.Evidence{evidence})
	must(t, err)
	equal(t, "number", first.Number, "T-000001")
	second, err := s.AddTicket(ctx, ticket, []faultline.TicketEvent{line}, nil)
	must(t, err)
	equal(t, "imported again", second, first)
	lines, err := s.TicketEvents(ctx, "demo-1")
	must(t, err)
	line.Ticket, evidence.Ticket = "demo-1", "demo-1"
	equal(t, "events", lines, []faultline.TicketEvent{line})
	pictures, err := s.Evidence(ctx, "demo-1")
	must(t, err)
	equal(t, "evidence", pictures, []faultline.Evidence{evidence})
	equal(t, "next number", create(t, s, l, "old|key").Number, "T-000002")

	real := anAlarm("hot")
	inTx(t, s, l, func(tx *Tx) error { return tx.PutAlarm(real) })
	madeUp := faultline.Alarm{ID: real.ID, Site: "plant", MadeUp: true}
	past := faultline.AlarmEvent{At: t0.Add(-time.Hour), Transition: faultline.TransitionRaised}
	must(t, s.ImportAlarm(ctx, madeUp, []faultline.AlarmEvent{past}))
	must(t, s.ImportAlarm(ctx, madeUp, []faultline.AlarmEvent{past}))
	got, err := s.Alarm(ctx, real.ID)
	must(t, err)
	equal(t, "the real alarm", got, real)
	events, err := s.AlarmEvents(ctx, real.ID, 0)
	must(t, err)
	equal(t, "events", len(events), 1)
}
