package api

import (
	"cmp"
	"context"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

const improvePage = 500

// judged is what scores are made from; *store.Store and *view are.
type judged interface {
	figures
	RuleInstances(ctx context.Context, site, position string) ([]faultline.RuleInstance, error)
	Tickets(context.Context, store.TicketFilter) ([]faultline.Ticket, int, error)
}

// assetKind tells what stands at a position; a ticket without one is about a gateway.
func (b *contents) assetKind(site, position string) string {
	if p := b.position[place{site, position}]; p != nil {
		return p.Kind
	}
	return "gateway"
}

// scores gives the scorecard of these tickets, with what to change about rules below the bar.
func scores(ctx context.Context, from judged, b *contents, tickets []faultline.Ticket, f store.FigureFilter) ([]faultline.Score, error) {
	_, events, err := from.AlarmHistory(ctx, f)
	if err != nil {
		return nil, err
	}
	list := faultline.Scores(tickets, events, b.assetKind, f.From, f.To)
	for i := range list {
		s := &list[i]
		if s.Propose == "" {
			continue
		}
		of := ticketsOf(s, b, tickets)
		last := &of[len(of)-1]
		rules, err := from.RuleInstances(ctx, last.Site, cmp.Or(last.Position, gatewayOf(last)))
		if err != nil {
			return nil, err
		}
		for j := range rules {
			if rules[j].Rule == s.Rule {
				s.Changes = s.Advise(&rules[j], of)
			}
		}
	}
	return list, nil
}

// ticketsOf are those that a score is made from.
func ticketsOf(s *faultline.Score, b *contents, tickets []faultline.Ticket) (of []faultline.Ticket) {
	for i := range tickets {
		if t := &tickets[i]; t.Rule == s.Rule && b.assetKind(t.Site, t.Position) == s.AssetKind {
			of = append(of, *t)
		}
	}
	return of
}

// gatewayOf names the gateway that a ticket is about, from its keys.
func gatewayOf(t *faultline.Ticket) string {
	for _, key := range t.Keys {
		if parts := strings.Split(key, "|"); len(parts) == 4 {
			return parts[1]
		}
	}
	return ""
}

// improvements lists the tickets about rules, by rule the newest.
func improvements(ctx context.Context, from judged, open *bool) (map[string]faultline.Ticket, error) {
	newest := map[string]faultline.Ticket{}
	for offset := 0; ; offset += improvePage {
		list, total, err := from.Tickets(ctx, store.TicketFilter{Kind: []faultline.TicketKind{faultline.TicketImprovement}, Open: open, Limit: improvePage, Offset: offset})
		if err != nil {
			return nil, err
		}
		for i := range list {
			if t := &list[i]; t.Rule != "" && !t.ReceivedAt.Before(newest[t.Rule].ReceivedAt) {
				newest[t.Rule] = *t
			}
		}
		if offset+len(list) >= total || len(list) == 0 {
			return newest, nil
		}
	}
}
