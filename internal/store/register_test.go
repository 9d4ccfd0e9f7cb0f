package store

import (
	"encoding/json"
	"testing"

	"github.com/faultline-iot/faultline"
)

func change(kind faultline.RegisterKind, site, id, fields string, line int) faultline.RegisterChange {
	return faultline.RegisterChange{Kind: kind, Site: site, ID: id, Fields: json.RawMessage(fields), Line: line}
}

func testRegister(t *testing.T, s *Store) {
	ctx := t.Context()
	must(t, s.PutPosition(ctx, faultline.Position{Site: "plant", ID: "P-1", Kind: "pump", Asset: faultline.Asset{Serial: "A", Model: "KX"}}))
	must(t, s.PutContract(ctx, faultline.Contract{ID: "C-1", Name: "Full", Customer: "acme", From: t0, Until: t0.AddDate(1, 0, 0), Version: 4}))
	changes := []faultline.RegisterChange{
		change(faultline.RegisterCustomers, "", "acme", `{"name":"acme","mail":"desk@example.com"}`, 2),
		change(faultline.RegisterAssets, "plant", "P-1", `{"asset":{"customer":"acme","model":null}}`, 3),
		change(faultline.RegisterContracts, "", "C-1", `{"targets":{"response":7200000000000}}`, 4),
	}
	dry, err := s.ChangeRegister(ctx, changes, "anna", "list.csv", t0, true)
	must(t, err)
	before, err := s.Register(ctx)
	must(t, err)
	equal(t, "customers after a dry run", before.Customers, []faultline.Customer{})

	as := s.As(&Trail{Entry: faultline.AuditEntry{At: t0, By: "anna", Object: "assets"}})
	got, err := as.ChangeRegister(ctx, changes, "anna", "list.csv", t0, false)
	must(t, err)
	equal(t, "what a dry run tells and what was done", dry, got)
	equal(t, "outcomes", []string{got[0].Outcome, got[1].Outcome, got[2].Outcome}, []string{faultline.RegisterAdded, faultline.RegisterChanged, faultline.RegisterChanged})
	equal(t, "fields of the asset", got[1].Fields, []faultline.FieldChange{{Name: "asset.customer", After: `"acme"`}, {Name: "asset.model", Before: `"KX"`}})
	r, err := s.Register(ctx)
	must(t, err)
	equal(t, "customers", r.Customers, []faultline.Customer{{Name: "acme", Mail: "desk@example.com"}})
	equal(t, "asset", r.Positions[0].Asset, faultline.Asset{Serial: "A", Customer: "acme"})
	equal(t, "kind", r.Positions[0].Kind, "pump")
	equal(t, "version of the contract", r.Contracts[0].Version, 5)
	versions, err := s.ContractVersions(ctx)
	must(t, err)
	equal(t, "versions", len(versions), 2) // tickets keep theirs
	entries, _, err := s.AuditEntries(ctx, AuditFilter{By: "anna"})
	must(t, err)
	objects := []string{}
	for _, e := range entries {
		objects = append(objects, e.Object)
	}
	equal(t, "audited, the newest first", objects, []string{"assets", "contract C-1", "asset plant/P-1", "customer acme"})
	equal(t, "audit of the asset", entries[2].Before+entries[2].After, `{"asset":{"serial":"A","model":"KX"}}{"asset":{"serial":"A","customer":"acme"}}`)
	_, err = s.VerifyAudit(ctx, faultline.AuditHead{}, nil)
	must(t, err)

	again, err := s.ChangeRegister(ctx, changes, "bert", "list.csv", t0, false)
	must(t, err)
	for _, o := range again {
		equal(t, "the same again: "+o.ID, o.Outcome, faultline.RegisterSame)
	}
	set, err := s.RegisterEntries(ctx)
	must(t, err)
	equal(t, "entries", len(set), 3)
	equal(t, "who and from where", []any{set[0].ID, set[0].By, set[0].Source}, []any{"P-1", "anna", "list.csv:3"})

	// One that cannot be carried out undoes all.
	_, err = s.ChangeRegister(ctx, []faultline.RegisterChange{
		change(faultline.RegisterSites, "", "new", `{"id":"new","name":"New"}`, 2),
		change(faultline.RegisterAssets, "plant", "nowhere", `{"asset":{"serial":"B"}}`, 3),
	}, "anna", "x", t0, false)
	wantErr(t, err, faultline.ErrNotFound, "nowhere")
	_, err = s.ChangeRegister(ctx, []faultline.RegisterChange{change(faultline.RegisterSites, "", "new", `{"id":7}`, 2)}, "anna", "x", t0, false)
	wantErr(t, err, faultline.ErrInvalid, "new")
	sites, err := s.Sites(ctx)
	must(t, err)
	equal(t, "sites", sites, []faultline.Site{})
}

func testRegisterSeeds(t *testing.T, s *Store) {
	ctx := t.Context()
	position := faultline.Position{Site: "plant", ID: "P-1", Kind: "pump", Profile: "pump@1", Asset: faultline.Asset{Serial: "A", Model: "KX", Customer: "acme"}}
	seed := func(version int) {
		t.Helper()
		must(t, s.SeedSite(ctx, faultline.Site{ID: "plant", Name: "Plant", Customer: "acme", Region: "EU"}))
		must(t, s.SeedPosition(ctx, position))
		must(t, s.SeedContract(ctx, faultline.Contract{ID: "C-1", Name: "Full", Customer: "acme", From: t0, Until: t0.AddDate(1, 0, 0), Version: version}))
	}
	seed(1)
	_, err := s.ChangeRegister(ctx, []faultline.RegisterChange{
		change(faultline.RegisterSites, "", "plant", `{"name":"Harbour"}`, 2),
		change(faultline.RegisterAssets, "plant", "P-1", `{"asset":{"serial":"B","model":null}}`, 3),
		change(faultline.RegisterContracts, "", "C-1", `{"name":"Fuller"}`, 4),
	}, "anna", "list.csv", t0, false)
	must(t, err)

	// The file changes, and the process starts again: what people set stays, all else follows the file.
	position.Profile, position.Asset.Customer, position.Asset.Serial = "pump@2", "acme & sons", "A2"
	seed(9)
	r, err := s.Register(ctx)
	must(t, err)
	equal(t, "site", r.Sites, []faultline.Site{{ID: "plant", Name: "Harbour", Customer: "acme", Region: "EU"}})
	want := position
	want.Asset.Serial, want.Asset.Model = "B", ""
	equal(t, "position", r.Positions, []faultline.Position{want})
	equal(t, "contract", []any{len(r.Contracts), r.Contracts[0].Name, r.Contracts[0].Version}, []any{1, "Fuller", 2})
	entries, err := s.RegisterEntries(ctx)
	must(t, err)
	equal(t, "set", string(entries[0].Fields), `{"asset":{"model":null,"serial":"B"}}`)
	equal(t, "what the configuration says now", string(entries[0].Seed), `{"asset":{"model":"KX","serial":"A2"}}`)

	// A second change of another field keeps the first, and what the configuration said of it.
	_, err = s.ChangeRegister(ctx, []faultline.RegisterChange{change(faultline.RegisterAssets, "plant", "P-1", `{"asset":{"serial":"C","customer":"beta"}}`, 2)}, "bert", "more.csv", t0, false)
	must(t, err)
	entries, err = s.RegisterEntries(ctx)
	must(t, err)
	equal(t, "set", string(entries[0].Fields), `{"asset":{"customer":"beta","model":null,"serial":"C"}}`)
	equal(t, "what the configuration says", string(entries[0].Seed), `{"asset":{"customer":"acme \u0026 sons","model":"KX","serial":"A2"}}`)
}
