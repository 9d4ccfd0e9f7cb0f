package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func aRevision(name, body string) faultline.Revision {
	return faultline.Revision{Kind: faultline.DocumentRules, Name: name, By: "ann", At: t0, Note: "first", Body: body}
}

func move(version int, to faultline.RevisionState) faultline.RevisionEvent {
	return faultline.RevisionEvent{Kind: faultline.DocumentRules, Name: "hot", Version: version, State: to, By: "bob", At: t0.Add(time.Minute), Note: "why"}
}

func testRevisions(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.Revision(ctx, faultline.DocumentRules, "hot", 0)
	wantErr(t, err, faultline.ErrNotFound, "hot")
	full := filled[faultline.Revision]()
	full.Version, full.State = 1, faultline.RevisionDraft
	got, err := s.AddRevision(ctx, full, 0)
	must(t, err)
	equal(t, "added", got, full)
	got, err = s.Revision(ctx, full.Kind, full.Name, 1)
	must(t, err)
	equal(t, "read", got, full)

	first, err := s.AddRevision(ctx, aRevision("hot", "limit: 85\n"), 0)
	must(t, err)
	equal(t, "first", []any{first.Version, first.State}, []any{1, faultline.RevisionDraft})
	_, err = s.AddRevision(ctx, aRevision("hot", "limit: 86\n"), 0)
	wantErr(t, err, faultline.ErrConflict, "version 1 by ann")
	second, err := s.AddRevision(ctx, aRevision("hot", "limit: 90\n"), 1)
	must(t, err)
	equal(t, "second", second.Version, 2)
	for _, wrong := range []faultline.Revision{{Name: "x", By: "a", At: t0}, {Kind: "x", By: "a", At: t0}, {Kind: "x", Name: "x", At: t0}, {Kind: "x", Name: "x", By: "a"}} {
		_, err = s.AddRevision(ctx, wrong, 0)
		wantErr(t, err, faultline.ErrInvalid)
	}

	// draft → tested → live → retired, and back to the older one.
	moved, err := s.MoveRevision(ctx, move(1, faultline.RevisionTested), 0)
	must(t, err)
	equal(t, "tested", moved.State, faultline.RevisionTested)
	_, err = s.MoveRevision(ctx, move(1, faultline.RevisionLive), 2)
	wantErr(t, err, faultline.ErrConflict, "no version is live")
	_, err = s.MoveRevision(ctx, move(1, faultline.RevisionLive), 0)
	must(t, err)
	_, err = s.MoveRevision(ctx, move(1, faultline.RevisionDraft), 1)
	wantErr(t, err, faultline.ErrRefused, "retired")
	_, err = s.MoveRevision(ctx, move(2, faultline.RevisionLive), 1)
	must(t, err)
	_, err = s.MoveRevision(ctx, move(2, faultline.RevisionLive), AnyVersion) // once more says nothing new
	must(t, err)
	_, err = s.MoveRevision(ctx, move(3, faultline.RevisionLive), AnyVersion)
	wantErr(t, err, faultline.ErrNotFound, "version 3")
	live, err := s.LiveRevisions(ctx, faultline.DocumentRules)
	must(t, err)
	second.State = faultline.RevisionLive
	equal(t, "live", live, []faultline.Revision{second})
	versions, err := s.LiveVersions(ctx, faultline.DocumentRules)
	must(t, err)
	equal(t, "live versions", versions, map[string]int{"hot": 2})
	back, err := s.MoveRevision(ctx, move(1, faultline.RevisionLive), 2)
	must(t, err)
	is, err := s.Revision(ctx, faultline.DocumentRules, "hot", 0)
	must(t, err)
	equal(t, "rolled back", is, back)
	_, err = s.MoveRevision(ctx, move(1, faultline.RevisionRetired), 1)
	must(t, err)

	listed, err := s.Revisions(ctx, faultline.DocumentRules, "hot")
	must(t, err)
	first.State, second.State, first.Body, second.Body = faultline.RevisionRetired, faultline.RevisionRetired, "", ""
	equal(t, "listed", listed, []faultline.Revision{second, first})
	for _, name := range []string{"hot-b", "hot_a", "Hot"} {
		_, err = s.AddRevision(ctx, aRevision(name, ""), 0)
		must(t, err)
	}
	listed, err = s.Revisions(ctx, faultline.DocumentRules, "")
	must(t, err)
	var names []string
	for _, r := range listed {
		names = append(names, fmt.Sprint(r.Name, r.Version))
	}
	equal(t, "all", names, []string{"Hot1", "hot2", "hot1", "hot-b1", "hot_a1"})
	events, err := s.RevisionEvents(ctx, faultline.DocumentRules, "hot")
	must(t, err)
	var history []string
	for _, e := range events {
		history = append(history, fmt.Sprintf("%d %s by %s %s", e.Version, e.State, e.By, e.Note))
	}
	equal(t, "history", history, []string{"1 retired by bob why", "1 live by bob why", "2 retired by bob ", "2 live by bob why", "1 retired by bob ",
		"1 live by bob why", "1 tested by bob why", "2 draft by ann first", "1 draft by ann first"})
	equal(t, "at", events[0].At, t0.Add(time.Minute))

	for _, statement := range []string{"UPDATE revision SET body = ''", "UPDATE revision SET doc = '{}'", "UPDATE revision SET version = version + 10",
		"DELETE FROM revision", "UPDATE revision_event SET doc = '{}'", "DELETE FROM revision_event"} {
		if _, err := s.write.ExecContext(ctx, statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got error %v", statement, err)
		}
	}
}

func testSeedRevisions(t *testing.T, s *Store) {
	ctx := t.Context()
	seed := func(body string) (faultline.Revision, bool) {
		t.Helper()
		r := aRevision("hot", body)
		r.By = "file"
		is, seeded, err := s.SeedRevision(ctx, r)
		must(t, err)
		return is, seeded
	}
	check := func(what string, version int, live faultline.RevisionState, seeded bool) func(faultline.Revision, bool) {
		return func(r faultline.Revision, did bool) {
			t.Helper()
			equal(t, what, []any{r.Version, r.State, did}, []any{version, live, seeded})
		}
	}
	check("into nothing", 1, faultline.RevisionLive, true)(seed("a"))
	check("the same again", 1, faultline.RevisionLive, false)(seed("a"))
	check("a newer file", 2, faultline.RevisionLive, true)(seed("b"))
	third, err := s.AddRevision(ctx, aRevision("hot", "mine"), 2)
	must(t, err)
	check("while somebody edits", 2, faultline.RevisionLive, false)(seed("c"))
	_, err = s.MoveRevision(ctx, move(third.Version, faultline.RevisionLive), 2)
	must(t, err)
	is, seeded := seed("c")
	check("over an edit", 3, faultline.RevisionLive, false)(is, seeded)
	equal(t, "what is live", is.Body, "mine")
	_, err = s.MoveRevision(ctx, move(3, faultline.RevisionRetired), 3)
	must(t, err)
	check("over what was switched off", 3, faultline.RevisionRetired, false)(seed("c"))
	_, _, err = s.SeedRevision(ctx, faultline.Revision{Kind: "x", Name: "y", At: t0})
	wantErr(t, err, faultline.ErrInvalid, "by")
}

// testRevisionRace: of writers who saw the same, one wins; of versions that become live at once one is.
func testRevisionRace(t *testing.T, s *Store) {
	ctx := t.Context()
	one := func(what string, errs []error) {
		t.Helper()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, faultline.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
		}
		equal(t, what+": winners", won, 1)
	}
	one("first version", together(8, func(i int) error {
		_, err := s.AddRevision(ctx, aRevision("hot", fmt.Sprint(i)), 0)
		return err
	}))
	for i := range 7 {
		_, err := s.AddRevision(ctx, aRevision("hot", fmt.Sprint(i)), i+1)
		must(t, err)
	}
	one("live", together(8, func(i int) error {
		_, err := s.MoveRevision(ctx, move(i+1, faultline.RevisionLive), 0)
		return err
	}))
	live, err := s.LiveRevisions(ctx, faultline.DocumentRules)
	must(t, err)
	equal(t, "live", len(live), 1)
}
