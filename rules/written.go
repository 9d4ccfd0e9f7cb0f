package rules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
)

// Rules as people edit them: one document for each rule, named for it. Its body is a rule file with this
// one rule and, under tests, the tests that must pass before it goes live. The plans that meter rules
// drive stand in files.

// SeedHand is by whom documents are that came from the shipped rules and the configuration's files.
const SeedHand = "files"

// Written reads the body of a rule's document, over the plans of base. The rule gets the document's
// version. The error lists every mistake with its line.
func Written(base *Set, name string, version int, body string) (*Rule, error) {
	set, err := Load(&Set{plans: base.plans}, File{Name: name, Data: []byte(body)})
	if err != nil {
		return nil, err
	}
	var extra struct {
		Plans []any `yaml:"plans"`
		Rules []any `yaml:"rules"`
		Tests []any `yaml:"tests"`
	}
	if _, err := document.Decode(name, []byte(body), &extra); err != nil {
		return nil, err
	}
	switch {
	case len(set.rules) != 1:
		return nil, fmt.Errorf("%w: %s: write one rule in the document of a rule, not %d", faultline.ErrInvalid, name, len(set.rules))
	case set.rules[0].ID != name:
		return nil, fmt.Errorf("%w: %s: the rule's id is %q: it must be the document's name", faultline.ErrInvalid, name, set.rules[0].ID)
	case len(extra.Plans) > 0:
		return nil, fmt.Errorf("%w: %s: inspection plans stand in files, not in the document of a rule", faultline.ErrInvalid, name)
	}
	r := set.rules[0]
	r.Version = version
	for i := range r.Overrides {
		if o := &r.Overrides[i]; o.rule != nil {
			o.rule.Version = version
		}
	}
	return r, nil
}

// With gives the set with a rule in the place of the one of its id, or beside the others.
func (s *Set) With(r *Rule) *Set {
	next := &Set{plans: s.plans, rules: slices.Clone(s.rules)}
	i, found := slices.BinarySearchFunc(next.rules, r.ID, func(o *Rule, id string) int { return strings.Compare(o.ID, id) })
	if found {
		next.rules[i] = r
	} else {
		next.rules = slices.Insert(next.rules, i, r)
	}
	return next
}

// Documents gives the rules of a set as bodies of documents, by id. A test of the files that is of one
// rule alone goes with that rule.
func (s *Set) Documents(tests ...File) (map[string]string, error) {
	of := map[string][]string{} // tests by rule
	for _, f := range tests {
		var content struct {
			Tests []struct {
				Rules []string `yaml:"rules"`
			} `yaml:"tests"`
		}
		_, _ = document.Decode(f.Name, f.Data, &content) // most of it is not asked for: only which rules a test is of
		items, err := document.Items(f.Data, "tests")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		for i, t := range content.Tests {
			if len(t.Rules) == 1 && i < len(items) {
				of[t.Rules[0]] = append(of[t.Rules[0]], strings.TrimPrefix(items[i], "tests:\n"))
			}
		}
	}
	bodies := map[string]string{}
	for _, r := range s.rules {
		if r.source == "" {
			continue
		}
		bodies[r.ID] = r.source
		if len(of[r.ID]) > 0 {
			bodies[r.ID] += "tests:\n" + strings.Join(of[r.ID], "")
		}
	}
	return bodies, nil
}

// seed brings the documents of the set into the store. A document that people have edited stays as it
// is; one that is in no file any more and that only files have written is retired.
func (e *Engine) seed(ctx context.Context, now time.Time) error {
	tests, err := LibraryTests()
	if err != nil {
		return err
	}
	bodies, err := e.Set.Documents(append(tests, e.SetTests...)...)
	if err != nil {
		return err
	}
	live, err := e.Documents.LiveRevisions(ctx, faultline.DocumentRules)
	if err != nil {
		return err
	}
	is := map[string]string{}
	for i := range live {
		is[live[i].Name] = live[i].Body
	}
	var list []faultline.Revision
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		if bodies[name] != is[name] {
			list = append(list, faultline.Revision{Kind: faultline.DocumentRules, Name: name, By: SeedHand, At: now.UTC(), Note: "as shipped or configured", Body: bodies[name]})
		}
	}
	if len(list) > 0 {
		are, seeded, err := e.Documents.SeedRevisions(ctx, list)
		if err != nil {
			return err
		}
		e.log.Info("rules from files", "new", len(seeded))
		for i := range are {
			if are[i].Body != list[i].Body {
				e.log.Warn("a rule was edited by people: the one in the files is left out", "rule", are[i].Name, "version", are[i].Version, "state", are[i].State, "by", are[i].By)
			}
		}
	}
	for _, r := range live {
		if _, listed := bodies[r.Name]; listed || r.By != SeedHand {
			continue
		}
		event := faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: r.Version, State: faultline.RevisionRetired, By: SeedHand, At: now.UTC(), Note: "no file has it any more"}
		if _, err := e.Documents.MoveRevision(ctx, event, r.Version); err != nil && !errors.Is(err, faultline.ErrConflict) {
			return err
		}
	}
	return nil
}

// shelf keeps rules that were read, and sets of them: versions never change.
type shelf struct {
	rules map[string]*Rule // by name@version; nil: it cannot be read
	sets  map[string]*Set  // by what is in them
}

func setKey(versions map[string]int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		b.WriteString(name + "@" + strconv.Itoa(versions[name]) + "\n")
	}
	return b.String()
}

// longestShelf is how many sets are kept: those in force, and those before and after an edit.
const longestShelf = 16

// setOf gives the set of these versions. A rule that cannot be read (by an older or newer program) or is
// not there (in a store that was restored) is left out, with a line in the log.
func (e *Engine) setOf(ctx context.Context, versions map[string]int) (*Set, error) {
	key := setKey(versions)
	e.shelfMu.Lock()
	defer e.shelfMu.Unlock()
	if s := e.shelf.sets[key]; s != nil {
		return s, nil
	}
	s := &Set{plans: e.Set.plans}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		id := name + "@" + strconv.Itoa(versions[name])
		r, known := e.shelf.rules[id]
		if !known {
			doc, err := e.Documents.Revision(ctx, faultline.DocumentRules, name, versions[name])
			if err == nil {
				r, err = Written(e.Set, name, doc.Version, doc.Body)
			} else if !errors.Is(err, faultline.ErrNotFound) {
				return nil, fmt.Errorf("read the rules: %w", err)
			}
			if err != nil {
				e.log.Error("a rule cannot be used", "rule", name, "version", versions[name], "error", err)
			}
			e.shelf.rules[id] = r
		}
		if r != nil {
			s.rules = append(s.rules, r)
		}
	}
	slices.SortFunc(s.rules, func(a, b *Rule) int { return strings.Compare(a.ID, b.ID) })
	if len(e.shelf.sets) >= longestShelf {
		clear(e.shelf.sets)
	}
	e.shelf.sets[key] = s
	return s, nil
}
