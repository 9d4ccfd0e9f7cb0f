package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// edited writes a new version of a rule and makes it live.
func (p *plant) edited(name, body string) {
	p.t.Helper()
	ctx := p.t.Context()
	versions, err := p.store.Revisions(ctx, faultline.DocumentRules, name)
	if err != nil {
		p.t.Fatal(err)
	}
	newest := 0
	if len(versions) > 0 {
		newest = versions[0].Version
	}
	r, err := p.store.AddRevision(ctx, faultline.Revision{Kind: faultline.DocumentRules, Name: name, By: "anna", At: p.now, Body: body}, newest)
	if err != nil {
		p.t.Fatal(err)
	}
	p.live(name, r.Version, faultline.RevisionLive)
}

func (p *plant) live(name string, version int, to faultline.RevisionState) {
	p.t.Helper()
	_, err := p.store.MoveRevision(p.t.Context(), faultline.RevisionEvent{Kind: faultline.DocumentRules, Name: name, Version: version, State: to, By: "anna", At: p.now}, -1)
	if err != nil {
		p.t.Fatal(err)
	}
}

// ordered puts what is live into the stream, as the owner of a partition does.
func (p *plant) ordered() {
	p.t.Helper()
	versions, err := p.store.LiveVersions(p.t.Context(), faultline.DocumentRules)
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := json.Marshal(faultline.Command{ID: fmt.Sprintf("r%d", len(p.log)), Verb: faultline.VerbRules, At: p.now, By: "test", Versions: versions})
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(faultline.Message{Kind: faultline.KindCommand, Payload: payload})
}

func vibrationRule(high float64, more string) string {
	return fmt.Sprintf(`rules:
  - {id: pump-vibration-de, title: Vibration, kind: threshold, asset_kind: centrifugal_pump, point: vibration_de,
     limits: {high: %v}, dead_band: 0.5, on_delay: 3s, off_delay: 5s, failure_mode: bearing_damage, family: bearing%s}
`, high, more)
}

func withDocuments(t *testing.T) *plant {
	set, err := loadLibrary(t).Only("pump-vibration-de", "pump-suction-pressure", "pump-bearing-temperature-de", "equipment-silent", "gateway-silent")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlant(t, set)
	p.documents = true
	p.position("P-101", "centrifugal_pump", faultline.CriticalityA)
	p.position("P-102", "centrifugal_pump", faultline.CriticalityB)
	return p
}

// An edit reaches the running worker through the stream: the alarms of other rules, and of this one where
// it still holds, go on; a roll-back is another edit; a rule that is gone takes its alarm along.
func TestRuleEdits(t *testing.T) {
	p := withDocuments(t)
	active := func(rule string) bool {
		t.Helper()
		a, err := p.store.Alarm(t.Context(), "plant/P-101/"+rule)
		return err == nil && a.Active
	}
	seconds := func(n int) {
		for range n {
			p.second()
		}
	}
	p.values["P-101"]["vibration_de"] = "8"
	p.values["P-101"]["suction_pressure"] = "0.2"
	seconds(20)
	if !active("pump-vibration-de") || !active("pump-suction-pressure") {
		t.Fatal("the shipped rules raise nothing")
	}
	before := p.account()
	p.edited("pump-vibration-de", vibrationRule(7.5, ""))
	seconds(3)
	same(t, "an edit that was not ordered", p.account(), before)
	p.ordered()
	seconds(3)
	same(t, "an edit that touches no alarm", p.account(), before)
	for _, u := range p.worker.order {
		if r := u.find("pump-vibration-de"); r != nil && r.rule.Version != 2 {
			t.Errorf("%s has version %d", u.id, r.rule.Version)
		}
	}

	p.edited("pump-vibration-de", vibrationRule(9, ""))
	p.ordered()
	seconds(7)
	if active("pump-vibration-de") || !active("pump-suction-pressure") {
		t.Error("with a limit of 9 mm/s, 8 mm/s must be normal, and the pressure as it was")
	}
	p.live("pump-vibration-de", 2, faultline.RevisionLive) // back
	p.ordered()
	seconds(5)
	a, err := p.store.Alarm(t.Context(), "plant/P-101/pump-vibration-de")
	if err != nil || !a.Active || a.RuleVersion != 2 || !strings.Contains(a.Why, "7.5 mm/s") {
		t.Errorf("after the roll-back: %v %+v", err, a)
	}

	// It is not meant for P-101 any more, which ends its alarm.
	p.edited("pump-vibration-de", vibrationRule(7.5, ", positions: [P-102]"))
	p.ordered()
	seconds(1)
	if active("pump-vibration-de") {
		t.Error("the alarm of a rule that left its position is active")
	}
	events, err := p.store.AlarmEvents(t.Context(), "plant/P-101/pump-vibration-de", 1)
	if err != nil || !strings.Contains(events[0].Why, "removed") {
		t.Errorf("%v %+v", err, events)
	}
	// A new one begins, on data that is there already.
	p.edited("hot", `rules: [{id: hot, title: Hot, kind: threshold, asset_kind: "*", point: vibration_de, labels: {}, limits: {high: 3}, on_delay: 2s, failure_mode: x, family: y}]`)
	p.ordered()
	seconds(4)
	if !active("hot") {
		t.Error("a new rule raises nothing")
	}
}

// Rules change at random moments, restarts come at random moments: what people see is the same as without
// restarts, and a replay of the stream from the beginning is the same again.
func TestRuleEditsAtRandom(t *testing.T) {
	play := func(seed uint64, restarts *rand.Rand) *plant {
		p := withDocuments(t)
		p.random = restarts
		r := rand.New(rand.NewPCG(seed, 5))
		for range 40 {
			pos := []string{"P-101", "P-102"}[r.IntN(2)]
			switch r.IntN(6) {
			case 0, 1:
				p.values[pos]["vibration_de"] = []string{"2", "6", "8", "12", "bad:timeout"}[r.IntN(5)]
			case 2:
				p.values[pos]["suction_pressure"] = []string{"1.5", "0.6", "0.2"}[r.IntN(3)]
			case 3:
				p.edited("pump-vibration-de", vibrationRule([]float64{5, 7, 9}[r.IntN(3)], []string{"", "", ", positions: [P-102]", ", latching: true", ", while: vibration_de > 1"}[r.IntN(5)]))
				p.ordered()
			case 4:
				p.live("pump-suction-pressure", 1, []faultline.RevisionState{faultline.RevisionLive, faultline.RevisionRetired}[r.IntN(2)])
				p.ordered()
			case 5:
				p.edited("hot", fmt.Sprintf(`rules: [{id: hot, title: Hot, kind: expression, asset_kind: "*", expr: 'avg_over(vibration_de, "%dm") > 5', on_delay: 2s, failure_mode: x, family: y}]`, 1+r.IntN(2)))
				p.ordered()
			}
			for range 1 + r.IntN(20) {
				p.second()
			}
		}
		p.random = nil
		p.pump()
		return p
	}
	raised, removed := 0, 0
	for seed := range uint64(2) {
		straight := play(seed, nil)
		want := straight.account()
		raised += strings.Count(want, "Transition:raised")
		removed += strings.Count(want, "removed or no longer fits")
		same(t, fmt.Sprintf("seed %d with restarts", seed), play(seed, rand.New(rand.NewPCG(seed, 6))).account(), want)

		again := withDocuments(t) // the same documents, the same first book, the same stream
		for _, name := range []string{"pump-vibration-de", "pump-suction-pressure", "hot"} {
			copyDocument(t, straight, again, name)
		}
		again.log = straight.log
		again.feed(again.worker.place)
		same(t, fmt.Sprintf("seed %d replayed", seed), again.account(), want)
	}
	if raised < 15 || removed < 1 {
		t.Errorf("%d alarms, of them %d ended because their rule was gone: too few to prove much", raised, removed)
	}
}

// copyDocument gives the versions of a document to another plant, none of them live that was not seeded.
func copyDocument(t *testing.T, from, to *plant, name string) {
	t.Helper()
	versions, err := from.store.Revisions(t.Context(), faultline.DocumentRules, name)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(versions) - 1; i >= 0; i-- {
		v, err := from.store.Revision(t.Context(), faultline.DocumentRules, name, versions[i].Version)
		if err != nil {
			t.Fatal(err)
		}
		if v.By == SeedHand {
			continue
		}
		if _, err := to.store.AddRevision(t.Context(), v, v.Version-1); err != nil {
			t.Fatal(err)
		}
	}
}

// What files hold is in the store after the first start; edits of people stay, what files alone wrote
// follows the files; a document that cannot be read is left out and stops nothing.
func TestSeeding(t *testing.T) {
	h := newHall(t)
	engine := func(files ...File) *Engine {
		t.Helper()
		set, err := Load(loadLibrary(t), files...)
		if err != nil {
			t.Fatal(err)
		}
		e, err := New(Options{Source: h.hub, Store: SQL(h.store), Documents: h.store, Set: set, Owner: "one", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return e
	}
	version := func(e *Engine, name string) int { return e.world.Load().versions[name] }
	e := engine(File{"own.yaml", []byte(vibrationRule(5, ""))})
	library := loadLibrary(t)
	if got := e.world.Load().set; len(got.rules) != len(library.rules) {
		t.Errorf("%d rules are live, the library has %d", len(got.rules), len(library.rules))
	}
	for _, r := range e.world.Load().set.rules {
		doc, err := h.store.Revision(t.Context(), faultline.DocumentRules, r.ID, 0)
		if err != nil || doc.By != SeedHand {
			t.Fatalf("%s: %v %+v", r.ID, err, doc)
		}
		if r.ID != "pump-vibration-de" && !strings.Contains(doc.Body, "tests:") && library.rules != nil && len(r.Check) > 0 && r.Kind == "threshold" {
			t.Errorf("%s has no test in its document", r.ID)
		}
	}
	e = engine(File{"own.yaml", []byte(vibrationRule(6, ""))})
	if version(e, "pump-vibration-de") != 2 {
		t.Errorf("the files' new limit is version %d", version(e, "pump-vibration-de"))
	}
	e = engine(File{"own.yaml", []byte(vibrationRule(6, "") + strings.Replace(strings.TrimPrefix(vibrationRule(1, ""), "rules:\n"), "pump-vibration-de", "mine", 1))})
	if version(e, "mine") != 1 {
		t.Error("a rule of the files is not live")
	}
	r, err := h.store.AddRevision(t.Context(), faultline.Revision{Kind: faultline.DocumentRules, Name: "pump-vibration-de", By: "anna", At: time.Now(), Body: "rules: [what]"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.MoveRevision(t.Context(), faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: 3, State: faultline.RevisionLive, By: "anna", At: time.Now()}, 2); err != nil {
		t.Fatal(err)
	}
	e = engine()
	if v := version(e, "pump-vibration-de"); v != 3 {
		t.Errorf("an edit of a person became version %d", v)
	}
	if _, there := e.world.Load().versions["mine"]; there {
		t.Error("a rule that left the files is live")
	}
	if got := e.world.Load().set; len(got.rules) != len(library.rules)-1 {
		t.Errorf("%d rules with one that cannot be read, the library has %d", len(got.rules), len(library.rules))
	}
}

// Over a real stream: a version that becomes live is in force a moment later, without a restart.
func TestRuleEditInARunningEngine(t *testing.T) {
	h := newHall(t)
	stop := h.run(SQL(h.store), func(o *Options) { o.Documents = h.store })
	h.seconds(20, 6)
	h.eventually("rule instances", func() bool {
		list, err := h.store.RuleInstances(context.Background(), "plant", "P-101")
		return err == nil && len(list) > 0
	})
	r, err := h.store.AddRevision(t.Context(), faultline.Revision{Kind: faultline.DocumentRules, Name: "pump-vibration-de", By: "anna", At: time.Now(), Body: vibrationRule(5, "")}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.MoveRevision(t.Context(), faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: 2, State: faultline.RevisionLive, By: "anna", At: time.Now()}, 1); err != nil {
		t.Fatal(err)
	}
	h.eventually("the alarm of the edited rule", func() bool { h.seconds(1, 6); return h.alarm().Active })
	if a := h.alarm(); a.RuleVersion != 2 || !strings.Contains(a.Why, "5 mm/s") {
		t.Errorf("alarm: %+v", a)
	}
	list, err := h.store.RuleInstances(t.Context(), "plant", "P-101")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if i.Rule == "pump-vibration-de" && (i.Version != 2 || len(i.Limits) != 1 || i.Limits[0].Value != 5) {
			t.Errorf("people see %+v", i)
		}
	}
	stop()
	h.run(SQL(h.store), func(o *Options) { o.Documents = h.store }) // the files do not take it back
	h.seconds(10, 6)
	h.eventually("the lag", func() bool { return h.alarm().Active && h.alarm().RuleVersion == 2 })
}

func FuzzWritten(f *testing.F) {
	base := &Set{}
	f.Add("pump-vibration-de", vibrationRule(5, ""))
	f.Add("hot", `rules: [{id: hot, title: Hot, kind: expression, asset_kind: "*", labels: {line: "*"}, expr: 'avg_over(vibration_de, "2m") > 5', failure_mode: x, family: y, overrides: [{positions: [P-1], on_delay: 3s}]}]`)
	f.Add("x", "rules: [{id: x, disabled: true}]\ntests: [1]\n")
	f.Fuzz(func(t *testing.T, name, body string) {
		r, err := Written(base, name, 7, body)
		if err == nil && (r.ID != name || r.Version != 7) {
			t.Errorf("%q gives rule %q version %d", body, r.ID, r.Version)
		}
	})
}

func FuzzBook(f *testing.F) {
	b := book{entries: []entryOfBook{{Versions: map[string]int{"a": 1}}, {Place: faultline.Place{Stream: "s", Sequence: 5}, Versions: map[string]int{"a": 2}}}}
	u, err := b.unit(faultline.Place{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(u.State)
	f.Add([]byte(`[{"place":{"stream":"s"}}]`))
	f.Fuzz(func(t *testing.T, state []byte) {
		b, err := readBook(state)
		if err != nil {
			return
		}
		n := len(b.entries)
		if b.add(b.entries[0]) || len(b.entries) != n {
			t.Error("an entry that is there was added")
		}
		b.trim(b.entries[n-1].Place)
		if len(b.entries) == 0 {
			t.Error("nothing is left in force")
		}
	})
}
