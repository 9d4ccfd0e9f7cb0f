package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

const (
	improveEvery = time.Hour
	improveDays  = 90                  // whose verdicts count
	improveTime  = 30 * 24 * time.Hour // until it should be done
)

// Nobody asks for what is here, so there is no caller's view: no handler belongs here.

// improve opens a ticket for each rule that has fallen below the bar, while none is open for it. Once that
// has ended, only tickets received since then count.
func (s *Server) improve(ctx context.Context, now time.Time) error {
	b, err := s.book.open(ctx)
	if err != nil {
		return err
	}
	last, err := improvements(ctx, s.unscoped, nil)
	if err != nil {
		return err
	}
	f := store.FigureFilter{From: now.AddDate(0, 0, -improveDays), To: now}
	tickets, err := s.unscoped.Faults(ctx, f)
	if err != nil {
		return err
	}
	tickets = slices.DeleteFunc(tickets, func(t faultline.Ticket) bool {
		work, known := last[t.Rule]
		return known && (work.Status.Open() || t.ReceivedAt.Before(work.ClosedAt))
	})
	list, err := scores(ctx, s.unscoped, &b, tickets, f)
	if err != nil {
		return err
	}
	below := map[string][]faultline.Score{} // a rule may serve several kinds of asset
	for _, score := range list {
		if score.Propose != "" {
			below[score.Rule] = append(below[score.Rule], score)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(below)) {
		if err := s.openImprovement(ctx, &b, rule, below[rule], tickets, now); err != nil {
			return fmt.Errorf("open an improvement of rule %s: %w", rule, err)
		}
	}
	return nil
}

func (s *Server) openImprovement(ctx context.Context, b *contents, rule string, below []faultline.Score, tickets []faultline.Ticket, now time.Time) error {
	key, err := faultline.ImprovementKey(rule)
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "What technicians said of the rule's tickets in the last %d days is below the bar.\n", improveDays)
	sites := map[string]int{}
	for i := range below {
		score := &below[i]
		fmt.Fprintf(&text, "\nOn %s: %s\n", score.AssetKind, score.Propose)
		for _, change := range score.Changes {
			fmt.Fprintf(&text, "- %s\n", change)
		}
		var verdicts []string
		for _, t := range ticketsOf(score, b, tickets) {
			if v := t.Verdict(); v != "" {
				verdicts = append(verdicts, t.Number+" "+strings.ReplaceAll(v, "_", " "))
				sites[t.Site]++
			}
		}
		fmt.Fprintf(&text, "Verdicts: %s.\n", strings.Join(verdicts, ", "))
	}
	text.WriteString("\nEdit the rule, try it on the past, and enable it; then close this ticket. Verdicts on tickets from then on count for the new version.")
	site := slices.MaxFunc(slices.Sorted(maps.Keys(sites)), func(a, b string) int { return sites[a] - sites[b] })
	t := faultline.Ticket{
		Kind: faultline.TicketImprovement, Status: faultline.StatusNew, Keys: []string{key}, Site: site, Rule: rule, Title: "Rule " + rule + " falls below the bar", Text: text.String(),
		Urgency: 1, Impact: faultline.CriticalityC, Priority: faultline.PriorityOf(faultline.CriticalityC, 1), Suggest: "remote", EventAt: now, ReceivedAt: now, Due: now.Add(improveTime), Count: 1,
		Coverage: faultline.Coverage{State: faultline.CoverageUnknown, Term: "no asset named"},
	}
	made, err := s.unscoped.AddTicket(ctx, t, []faultline.TicketEvent{{At: now, By: faultline.DeskName, Kind: faultline.EventOpened, To: string(faultline.StatusNew), Text: t.Text}}, nil)
	switch {
	case errors.Is(err, faultline.ErrConflict): // one was opened meanwhile
		return nil
	case err != nil:
		return err
	}
	s.log.Info("a rule falls below the bar", "rule", rule, "ticket", made.Number)
	return s.live.PublishEvent(faultline.Event{Topic: "ticket", ID: made.ID, Site: made.Site, At: now, Text: made.Number + " opened: " + made.Title})
}
