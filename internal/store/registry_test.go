package store

import (
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testRegistry(t *testing.T, s *Store) {
	ctx := t.Context()
	must(t, s.Ping(ctx))

	site := filled[faultline.Site]()
	must(t, s.PutSite(ctx, faultline.Site{ID: "z"}))
	must(t, s.PutSite(ctx, faultline.Site{ID: site.ID, Name: "old name"}))
	must(t, s.PutSite(ctx, site))
	sites, err := s.Sites(ctx)
	must(t, err)
	equal(t, "sites", sites, []faultline.Site{site, {ID: "z"}})
	wantErr(t, s.PutSite(ctx, faultline.Site{Name: "nameless"}), faultline.ErrInvalid, "id")

	position := filled[faultline.Position]()
	must(t, s.PutPosition(ctx, position))
	must(t, s.PutPosition(ctx, position))
	for _, p := range []faultline.Position{{Site: "b", ID: "P-10"}, {Site: "a", ID: "p-1"}, {Site: "a", ID: "P-2"}} {
		must(t, s.PutPosition(ctx, p))
	}
	positions, err := s.Positions(ctx)
	must(t, err)
	equal(t, "positions", positions, []faultline.Position{{Site: "a", ID: "P-2"}, {Site: "a", ID: "p-1"}, {Site: "b", ID: "P-10"}, position})
	got, err := s.Position(ctx, position.Site, position.ID)
	must(t, err)
	equal(t, "position", got, position)
	_, err = s.Position(ctx, position.Site, "nowhere")
	wantErr(t, err, faultline.ErrNotFound, "nowhere")
	wantErr(t, s.PutPosition(ctx, faultline.Position{ID: "P-1"}), faultline.ErrInvalid, "site")

	contract := filled[faultline.Contract]()
	older := contract
	older.Version, older.Name = contract.Version-1, "before the change"
	must(t, s.PutContract(ctx, contract))
	must(t, s.PutContract(ctx, older))
	contracts, err := s.Contracts(ctx)
	must(t, err)
	equal(t, "contracts", contracts, []faultline.Contract{contract})
	versions, err := s.ContractVersions(ctx)
	must(t, err)
	equal(t, "versions", versions, []faultline.Contract{older, contract})

	office := faultline.Calendar{ID: "office", Zone: "Europe/Berlin", Week: [7][]faultline.Interval{1: {{From: 480, To: 1020}}}, Exceptions: map[string][]faultline.Interval{"2026-03-09": nil}}
	must(t, s.PutCalendar(ctx, office))
	calendars, err := s.Calendars(ctx)
	must(t, err)
	if len(calendars) != 1 || calendars[0].ID != "office" || calendars[0].Between(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)) != 9*time.Hour {
		t.Errorf("calendars: %+v", calendars) // Monday 2, not Monday 9
	}
	wantErr(t, s.PutCalendar(ctx, faultline.Calendar{}), faultline.ErrInvalid, "id")

	plan := filled[faultline.Plan]()
	must(t, s.PutPlan(ctx, plan))
	plans, err := s.Plans(ctx)
	must(t, err)
	equal(t, "plans", plans, []faultline.Plan{plan})

	gateway := filled[faultline.Gateway]()
	must(t, s.TouchGateway(ctx, gateway))
	earlier := gateway
	earlier.LastSeen = gateway.LastSeen.Add(-time.Second)
	must(t, s.TouchGateway(ctx, earlier))
	gateways, err := s.Gateways(ctx)
	must(t, err)
	equal(t, "gateways after an older touch", gateways, []faultline.Gateway{gateway})
	gateway.LastSeen = gateway.LastSeen.Add(time.Nanosecond)
	must(t, s.TouchGateway(ctx, gateway))
	gateways, err = s.Gateways(ctx)
	must(t, err)
	equal(t, "gateways after a newer touch", gateways, []faultline.Gateway{gateway})
}

func testRuleInstances(t *testing.T, s *Store) {
	ctx := t.Context()
	var many []faultline.RuleInstance
	for i := range 450 { // more than one statement holds
		r := filled[faultline.RuleInstance]()
		r.Site, r.Position, r.Rule = "plant", string(rune('a'+i/100)), string(rune('一'+i))
		many = append(many, r)
	}
	must(t, s.ReplaceRuleInstances(ctx, many))
	got, err := s.RuleInstances(ctx, "", "")
	must(t, err)
	equal(t, "all", got, many)
	got, err = s.RuleInstances(ctx, "plant", "e")
	must(t, err)
	equal(t, "of one position", got, many[400:])
	got, err = s.RuleInstances(ctx, "elsewhere", "")
	must(t, err)
	equal(t, "of another site", got, []faultline.RuleInstance{})

	wantErr(t, s.ReplaceRuleInstances(ctx, []faultline.RuleInstance{many[0], many[0]}), faultline.ErrInvalid)
	got, err = s.RuleInstances(ctx, "", "")
	must(t, err)
	equal(t, "count after a refused replacement", len(got), 450)
	must(t, s.ReplaceRuleInstances(ctx, many[:1]))
	got, err = s.RuleInstances(ctx, "", "")
	must(t, err)
	equal(t, "after a replacement", got, many[:1])
}
