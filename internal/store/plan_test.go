package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// seed fills a store with n tickets over 50 sites of 100 positions, one in twenty open. It writes rows
// in bulk: through CreateTicket it would take minutes.
func seed(t testing.TB, s *Store, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	kinds := []faultline.TicketKind{faultline.TicketFault, faultline.TicketFault, faultline.TicketInspection, faultline.TicketManual}
	open := []faultline.Status{faultline.StatusNew, faultline.StatusTriaged, faultline.StatusInProgress, faultline.StatusWaitingParts, faultline.StatusResolved}
	rows := make([][]any, n)
	for i := range rows {
		k := aTicket()
		k.ID, k.Number, k.Version = newID(), ticketNumber(int64(i+1)), 1
		k.Site, k.Position = fmt.Sprintf("site-%02d", random.IntN(50)), fmt.Sprintf("P-%03d", random.IntN(100))
		k.Kind, k.Status = kinds[random.IntN(len(kinds))], faultline.StatusClosed
		if random.IntN(20) == 0 {
			k.Status = open[random.IntN(len(open))]
		}
		k.Priority = faultline.Priority(fmt.Sprint("P", 1+random.IntN(4)))
		k.ReceivedAt = t0.Add(time.Duration(i) * time.Minute)
		k.Title, k.Serial = "Bearing temperature above 85 °C at the drive end", fmt.Sprint("SN", random.IntN(5000))
		k.Text = strings.Repeat("What to check: lubrication, alignment, load. ", 8)
		k.Test, k.MadeUp = random.IntN(100) == 0, random.IntN(10) == 0
		doc, err := encode(k)
		must(t, err)
		rows[i] = []any{i + 1, k.ID, string(k.Kind), string(k.Status), ticketRank(&k), k.Site, k.Position, flag(k.Test), flag(k.MadeUp),
			nanos(k.ReceivedAt), k.Version, searchText(&k), doc}
	}
	must(t, s.update(t.Context(), "seed", func(c conn) error {
		if err := c.insertMany(t.Context(), `INSERT INTO ticket (n, id, kind, status, rank, site, position, test, made_up, received_at, version, search, doc)`, "", rows); err != nil {
			return err
		}
		_, err := c.exec(t.Context(), `UPDATE counter SET value = ? WHERE name = 'ticket'`, n)
		return err
	}))
}

// listed are the lists that people open; a page of each must not get slow as tickets gather.
var listed = []struct {
	name   string
	filter TicketFilter
}{
	{"all", TicketFilter{Limit: 50}},
	{"open", TicketFilter{Open: ref(true), Limit: 50}},
	{"last page", TicketFilter{Limit: 50, Offset: 99_900}},
	{"real", TicketFilter{MadeUp: ref(false), Test: ref(false), Limit: 50}},
	{"one site", TicketFilter{Site: "site-07", Limit: 50}},
	{"one position", TicketFilter{Site: "site-07", Position: "P-011", Limit: 50}},
	{"one kind", TicketFilter{Kind: []faultline.TicketKind{faultline.TicketInspection}, Limit: 50}},
	{"two statuses", TicketFilter{Status: []faultline.Status{faultline.StatusNew, faultline.StatusTriaged}, Limit: 50}},
	{"open of a site and kind", TicketFilter{Site: "site-07", Open: ref(true), Kind: []faultline.TicketKind{faultline.TicketFault}, Limit: 50}},
	{"text", TicketFilter{Text: "sn4711", Limit: 50}},
	{"text in nearly all", TicketFilter{Text: "bearing", Limit: 50}},
}

// plan is SQLite's plan of a query, one step a line.
func plan(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	must(t, err)
	defer rows.Close()
	var steps strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps.WriteString(step + "\n")
	}
	must(t, rows.Err())
	return steps.String()
}

// Lists and the reads of a rules transaction go through indexes: no table is read whole, no list is
// sorted to show its first page.
func TestSQLitePlans(t *testing.T) {
	s := openTemp(t)
	seed(t, s, 2000)
	type query struct {
		name, sql string
		args      []any
	}
	var all []query
	for _, c := range listed {
		sql, args := c.filter.pageQuery(s.dialect)
		all = append(all, query{"page of " + c.name, sql, args})
		sql, args = c.filter.countQuery(s.dialect)
		all = append(all, query{"count of " + c.name, sql, args})
	}
	for _, f := range []AlarmFilter{{Limit: 50}, {OnlyOpen: true, Limit: 50}, {Site: "a", Limit: 50}, {Site: "a", Position: "b", OnlyOpen: true, Limit: 50}} {
		sql, args := f.query()
		all = append(all, query{fmt.Sprintf("alarms %+v", f), sql, args})
	}
	all = append(all,
		query{"open tickets of a position", openTicketsSQL, []any{"a", "b", endedRank}},
		query{"ticket by key", openByKeySQL, []any{"a"}},
		query{"last ticket by key", lastByKeySQL, []any{"a"}},
		query{"tickets since", countSinceSQL, []any{"a", 1, "fault"}},
		query{"events of an alarm", alarmEventsSQL(" WHERE alarm = ?"), []any{"a"}},
		query{"newest alarm events", alarmEventsSQL("") + " LIMIT 10", nil},
		query{"events of a ticket", ticketEventsSQL, []any{"a"}},
		query{"evidence of a ticket", evidenceSQL, []any{"a"}},
		query{"open inspection", openInspectionSQL, []any{"a", "b", "c"}},
	)
	for _, q := range all {
		steps := plan(t, s, q.sql, q.args...)
		for step := range strings.Lines(steps) {
			whole := strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "INDEX") && !strings.HasPrefix(step, "SCAN p")
			// Sorting what is on the page already, or one short history, costs nothing that grows.
			sorts := strings.Contains(step, "TEMP B-TREE FOR ORDER BY") && !strings.Contains(steps, "SCAN p") && !strings.Contains(q.name, " of a ")
			if whole || sorts {
				t.Errorf("%s: %s\nplan:\n%s", q.name, strings.TrimSpace(step), steps)
			}
		}
		if strings.HasPrefix(q.name, "page") || strings.HasPrefix(q.name, "count") {
			if !strings.Contains(steps, "COVERING INDEX") {
				t.Errorf("%s reads rows that it does not show\nplan:\n%s", q.name, steps)
			}
		}
		t.Logf("%s:\n%s", q.name, steps)
	}
}

func BenchmarkTicketList(b *testing.B) {
	s := openTemp(b)
	seed(b, s, 100_000)
	benchmarkLists(b, s)
}

func benchmarkLists(b *testing.B, s *Store) {
	for _, c := range listed {
		b.Run(strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Tickets(b.Context(), c.filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEffect is the transaction of a fault that begins: alarm, transition, ticket, event, evidence
// of 120 samples and place, on disk.
func BenchmarkEffect(b *testing.B) { benchmarkEffect(b, openTemp(b)) }

func benchmarkEffect(b *testing.B, s *Store) {
	l := lease(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Tx(b.Context(), l, func(tx *Tx) error { _, err := effect(tx); return err }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSavePlace is the smallest transaction: what ingest commits after each batch.
func BenchmarkSavePlace(b *testing.B) {
	s := openTemp(b)
	l := lease(b, s)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		if err := s.Tx(b.Context(), l, func(tx *Tx) error { return tx.SavePlace("ingest", 0, faultline.Place{Stream: "F", Sequence: i}) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSaveUnits saves 1,000 units of 1 kB.
func BenchmarkSaveUnits(b *testing.B) {
	s := openTemp(b)
	l := lease(b, s)
	units := make([]Unit, 1000)
	for i := range units {
		units[i] = Unit{ID: fmt.Sprint("unit-", i), State: make([]byte, 1000)}
	}
	b.ReportAllocs()
	b.SetBytes(1000 * 1000)
	for b.Loop() {
		if err := s.SaveUnits(b.Context(), l, units); err != nil {
			b.Fatal(err)
		}
	}
}
