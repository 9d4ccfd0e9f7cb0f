package api

import (
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/internal/store"
)

// Pages of assets and tickets lead to the asset's dashboard, a ticket's to its time; without a Grafana they
// say nothing of one.
func TestLinksToDashboards(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Grafana = "https://grafana.example/" })
	f.populate(t)
	tickets, _, err := f.store.Tickets(t.Context(), store.TicketFilter{})
	must(t, err)
	k := tickets[0]
	for page, want := range map[string]string{
		assetHref(k.Site, k.Position): "https://grafana.example/d/faultline-",
		ticketHref(k.Number):          "from=",
	} {
		if body := f.get(page).body; !strings.Contains(body, want) || !strings.Contains(body, "var-position="+k.Position) {
			t.Errorf("%s has no link with %s", page, want)
		}
	}
	f = newFixture(t)
	f.populate(t)
	if body := f.get(assetHref(k.Site, k.Position)).body; strings.Contains(body, "Grafana") {
		t.Error("a link to no Grafana")
	}
}
