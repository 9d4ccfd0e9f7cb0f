package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func ref[T any](v T) *T { return &v }

func testTicketFilters(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	add := func(title string, change func(*faultline.Ticket)) {
		k := aTicket()
		k.Title = title
		change(&k)
		inTx(t, s, l, func(tx *Tx) error { return tx.CreateTicket(&k) })
	}
	add("p2", func(*faultline.Ticket) {})
	add("p1", func(k *faultline.Ticket) { k.Priority = faultline.P1 })
	add("p2 newer", func(k *faultline.Ticket) { k.ReceivedAt = t0.Add(1) })
	add("closed p1", func(k *faultline.Ticket) { k.Priority, k.Status = faultline.P1, faultline.StatusClosed })
	add("resolved", func(k *faultline.Ticket) { k.Status = faultline.StatusResolved })
	add("inspection", func(k *faultline.Ticket) { k.Kind, k.Priority = faultline.TicketInspection, faultline.P4 })
	add("test", func(k *faultline.Ticket) { k.Test, k.Priority = true, faultline.P3 })
	add("made up", func(k *faultline.Ticket) {
		k.MadeUp, k.Status = true, faultline.StatusCancelled
		k.ReceivedAt = t0.Add(time.Hour)
	})
	add("Elsewhere Öl", func(k *faultline.Ticket) {
		k.Site, k.Position, k.Serial = "site2", "C-7", "SN-99"
		k.ReceivedAt = t0.Add(-1)
	})

	for _, c := range []struct {
		filter TicketFilter
		want   []string
	}{
		{TicketFilter{}, []string{"p1", "p2 newer", "p2", "Elsewhere Öl", "test", "inspection", "resolved", "made up", "closed p1"}},
		{TicketFilter{Site: "plant", Position: "P-1", Open: ref(true)}, []string{"p1", "p2 newer", "p2", "test", "inspection", "resolved"}},
		{TicketFilter{Open: ref(false)}, []string{"made up", "closed p1"}},
		{TicketFilter{Site: "site2"}, []string{"Elsewhere Öl"}},
		{TicketFilter{Position: "C-7"}, []string{"Elsewhere Öl"}},
		{TicketFilter{Kind: []faultline.TicketKind{faultline.TicketInspection}}, []string{"inspection"}},
		{TicketFilter{Status: []faultline.Status{faultline.StatusResolved, faultline.StatusClosed}}, []string{"resolved", "closed p1"}},
		{TicketFilter{MadeUp: ref(true)}, []string{"made up"}},
		{TicketFilter{MadeUp: ref(false), Test: ref(false), Open: ref(false)}, []string{"closed p1"}},
		{TicketFilter{Test: ref(true)}, []string{"test"}},
		{TicketFilter{Text: "öL"}, []string{"Elsewhere Öl"}},
		{TicketFilter{Text: "t-000004"}, []string{"closed p1"}},
		{TicketFilter{Text: "sn-99", Site: "plant"}, nil},
		{TicketFilter{Text: "no such"}, nil},
	} {
		got, total, err := s.Tickets(ctx, c.filter)
		must(t, err)
		var titles []string
		for _, k := range got {
			titles = append(titles, k.Title)
		}
		equal(t, fmt.Sprintf("%+v", c.filter), titles, c.want)
		equal(t, "total", total, len(c.want))
	}
}

func testTicketPages(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	inTx(t, s, l, func(tx *Tx) error {
		for range 25 { // all alike: only the number orders them
			k := aTicket()
			must(t, tx.CreateTicket(&k))
		}
		return nil
	})
	var numbers []string
	for offset := 0; ; offset += 10 {
		page, total, err := s.Tickets(ctx, TicketFilter{Limit: 10, Offset: offset})
		must(t, err)
		equal(t, "total", total, 25)
		if len(page) == 0 {
			break
		}
		for _, k := range page {
			numbers = append(numbers, k.Number)
		}
	}
	var want []string
	for n := int64(25); n > 0; n-- {
		want = append(want, ticketNumber(n))
	}
	equal(t, "pages", numbers, want)
}
