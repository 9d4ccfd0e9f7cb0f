package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// lay puts three more dead letters there: one of the plant that is taken, one that is refused still, and one of
// the clinic.
func (f *fixture) lay(t *testing.T) {
	t.Helper()
	f.inTx(t, func(tx *store.Tx) error {
		return tx.AddDeadLetters([]faultline.DeadLetter{
			{At: noon, Site: "plant-3", Gateway: "gw-1", Epoch: "A", Sequence: 2, Line: "pump v=1 2", Reason: "field type conflict"},
			{At: noon, Site: "plant-3", Gateway: "gw-1", Epoch: "A", Sequence: 3, Line: "pump v=1 3", Reason: "field type conflict"},
			{At: noon, Site: "clinic", Gateway: "gw-2", Epoch: "A", Sequence: 4, Line: "ups v=1 4", Reason: "field type conflict"},
		})
	})
}

func TestDeadLettersAreReplayedAndDroppedWithinScopeAndAudited(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.lay(t)
	plant, all := f.login(t, "eve", faultline.RoleEngineer, "plant-3"), f.login(t, "root", faultline.RoleAdmin)
	viewer := f.login(t, "vic", faultline.RoleViewer)
	const letters = base + "/dead-letters"
	groups := decode[DeadGroups](t, f.do(http.MethodGet, letters+"/groups", "", plant)).Items
	if len(groups) != 2 || len(decode[DeadGroups](t, f.do(http.MethodGet, letters+"/groups", "", all)).Items) != 3 {
		t.Fatalf("groups of the plant: %+v", groups)
	}
	group := ""
	for _, g := range groups {
		if g.Reason == "field type conflict" && g.Count == 2 && g.Kept == 2 {
			group = g.ID
		}
	}
	theirs := decode[Page[faultline.DeadLetter]](t, f.do(http.MethodGet, letters+"?site=clinic", "", all)).Items
	if len(theirs) != 1 {
		t.Fatalf("of the clinic: %+v", theirs)
	}
	foreign := `{"group":"` + theirs[0].Group + `"}`
	for _, verb := range []string{"/replay", "/drop"} {
		if a := f.do(http.MethodPost, letters+verb, foreign, plant); a.code != http.StatusNotFound {
			t.Errorf("%s at another site: %d %s", verb, a.code, a.body)
		}
		if a := f.do(http.MethodPost, letters+verb, foreign, viewer); a.code != http.StatusForbidden {
			t.Errorf("%s as a viewer: %d", verb, a.code)
		}
		for _, bad := range []string{`{}`, `{"group":"x","ids":[1]}`, `{"ids":[` + strings.Repeat("1,", 100) + `1]}`} {
			if a := f.do(http.MethodPost, letters+verb, bad, plant); a.code != http.StatusBadRequest {
				t.Errorf("%s %s: %d", verb, bad, a.code)
			}
		}
	}
	done := decode[Replayed](t, f.do(http.MethodPost, letters+"/replay", `{"group":"`+group+`"}`, plant))
	if done.Written != 1 || len(done.Refused) != 1 || done.Refused[0].Reason != "field type conflict" {
		t.Errorf("replayed: %+v", done)
	}
	if d := decode[Dropped](t, f.do(http.MethodPost, letters+"/drop", `{"group":"`+group+`"}`, plant)); d.Dropped != 1 {
		t.Errorf("dropped: %+v", d)
	}
	left, total, err := f.store.DeadLetters(t.Context(), 0, 0)
	if err != nil || total != 2 || left[0].Site != "clinic" {
		t.Errorf("left %+v: %v", left, err)
	}
	for text, want := range map[string]string{"/replay": "1 written, 1 refused still", "/drop": "1 dead letters of plant-3/gw-1"} {
		entries, _, err := f.store.AuditEntries(t.Context(), store.AuditFilter{By: "eve", Outcome: faultline.OutcomeDone, Text: text})
		if err != nil || len(entries) != 1 || !strings.Contains(entries[0].Detail, want) || !strings.Contains(entries[0].Detail, group) {
			t.Errorf("audit of %s: %+v %v", text, entries, err)
		}
	}
}

func TestDeadLettersOnTheirPage(t *testing.T) {
	away := false
	var f *fixture
	f = newFixture(t, func(o *Options) {
		o.Replay = func(ctx context.Context, letters []faultline.DeadLetter) ([]int64, map[int64]string, error) {
			if away {
				return nil, nil, errors.New("connection refused")
			}
			return f.replayed(ctx, letters)
		}
	})
	f.populate(t)
	f.lay(t)
	page := f.get(deadHref).body
	for _, want := range []string{"field type conflict", "cannot be parsed", "Replay", "Drop", "pump v=1 2"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	all, _, err := f.store.FindDeadLetters(t.Context(), store.DeadLetterFilter{Site: "clinic"})
	must(t, err)
	if body := f.get(deadHref + "?group=" + all[0].Group).body; !strings.Contains(body, "ups v=1 4") || strings.Contains(body, "pump v=1 2") {
		t.Error("a group does not show its letters alone")
	}
	press := func(verb, group string) string {
		a := f.form(deadHref+"/"+verb, url.Values{"group": {group}}.Encode())
		if a.code != http.StatusSeeOther {
			t.Fatalf("%s: %d %s", verb, a.code, a.body)
		}
		return f.get(a.header.Get("Location")).body
	}
	away = true
	if body := press("replay", all[0].Group); !strings.Contains(body, "0 of 1 dead letters were written") {
		t.Error("InfluxDB away is not said")
	}
	away = false
	if body := press("replay", all[0].Group); !strings.Contains(body, "1 written") || strings.Contains(body, "ups v=1 4") {
		t.Error("replaying is not said, or did not happen")
	}
	if body := press("drop", all[0].Group); !strings.Contains(body, "They are gone already") {
		t.Error("what is gone is not said")
	}
	viewer := f.login(t, "vic", faultline.RoleViewer)
	if body := f.do(http.MethodGet, deadHref, "", viewer).body; !strings.Contains(body, "cannot be parsed") || strings.Contains(body, "dead-letters/drop") {
		t.Error("a viewer sees no letters, or buttons that are not theirs")
	}
}
