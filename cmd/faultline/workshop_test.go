package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/rules"
)

// Documents as they are seeded: every one can be read again, and its tests pass in the workshop; an edit
// that breaks what a test says is found, with its line.
func TestWorkshop(t *testing.T) {
	set, err := rules.Library()
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + t.TempDir() + "/w.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	w := &workshop{base: set, profiles: profiles, store: s}
	tests, err := rules.LibraryTests()
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := set.Documents(tests...)
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for name, body := range bodies {
		sum, err := w.Check(name, body)
		if err != nil || sum.Title == "" || sum.Kind == "" {
			t.Fatalf("%s: %v %+v", name, err, sum)
		}
		if sum.Tests > 0 {
			tested++
		}
	}
	if len(bodies) != len(set.Rules()) || tested < len(bodies)/2 {
		t.Errorf("%d documents of %d rules, %d with tests", len(bodies), len(set.Rules()), tested)
	}
	const name = "pump-vibration-de"
	got, err := w.Test(t.Context(), name, bodies[name])
	if err != nil || got.Failed > 0 || got.Passed != 1 || len(got.Problems) > 0 {
		t.Errorf("%v %+v", err, got)
	}
	edited := strings.Replace(bodies[name], "high: 7.1", "high: 9", 1)
	if edited == bodies[name] {
		t.Fatal("the limit stands elsewhere by now")
	}
	if got, err = w.Test(t.Context(), name, edited); err != nil || got.Failed != 1 || len(got.Problems) == 0 || !strings.HasPrefix(got.Problems[0], "line ") {
		t.Errorf("%v %+v", err, got)
	}
	untested, _, _ := strings.Cut(bodies[name], "tests:")
	if got, err = w.Test(t.Context(), name, untested); err != nil || got.Passed != 0 || len(got.Problems) != 1 {
		t.Errorf("%v %+v", err, got)
	}
	for _, wrong := range []string{"", "rules: [", "rules: [{id: other}]", bodies["pump-vibration-nde"], untested + "plans: [{id: x}]\n", untested + "more: 1\n"} {
		if _, err := w.Check(name, wrong); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%.40q: %v", wrong, err)
		}
	}
}
