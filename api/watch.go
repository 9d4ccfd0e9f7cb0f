package api

import (
	"context"
	"fmt"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

const (
	watchEvery = time.Minute
	watchPage  = 500
)

// watch tells what the clocks of the open tickets have come to. What a look that was cut short had told is in the
// tickets, and is not told again.
func (s *Server) watch(ctx context.Context, now time.Time) error {
	b, err := s.book.open(ctx)
	if err != nil {
		return err
	}
	yes := true
	var due []string
	for offset := 0; ; offset += watchPage { // first all are read: a change moves a ticket in the list
		list, total, err := s.unscoped.Tickets(ctx, store.TicketFilter{Open: &yes, Limit: watchPage, Offset: offset})
		if err != nil {
			return err
		}
		for i := range list {
			t := &list[i]
			if !t.Test && !t.MadeUp && len(t.Watch(t.Clocks(b.service(t), now), now)) > 0 {
				due = append(due, t.ID)
			}
		}
		if offset+len(list) >= total || len(list) == 0 {
			break
		}
	}
	for _, id := range due {
		if err := s.warn(ctx, &b, id, now); err != nil {
			return err
		}
	}
	return nil
}

// warn adds to one ticket what Watch gives, looked at once more in the transaction.
func (s *Server) warn(ctx context.Context, b *contents, id string, now time.Time) error {
	var told []faultline.TicketEvent
	t, err := s.unscoped.ChangeTicket(ctx, id, 0, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		told = t.Watch(t.Clocks(b.service(t), now), now)
		for _, e := range told {
			if e.Kind == faultline.EventMoved {
				t.Status, t.ClosedAt = faultline.Status(e.To), now
			}
		}
		return told, nil
	})
	if err != nil {
		return fmt.Errorf("watch ticket %s: %w", id, err)
	}
	for _, e := range told {
		s.metrics.watched.WithLabelValues(e.Kind).Inc()
		s.log.Info("ticket clock", "ticket", t.Number, "priority", t.Priority, "event", e.Kind, "clock", e.From)
		if err := s.live.PublishEvent(faultline.Event{Topic: "ticket", ID: t.ID, Site: t.Site, Position: t.Position, At: now, Text: t.Number + ": " + e.Text}); err != nil {
			s.log.Warn("event not published", "ticket", t.Number, "error", err)
		}
	}
	return nil
}
