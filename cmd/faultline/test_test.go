package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/rules"
	stories "github.com/faultline-iot/faultline/rules/story"
)

// Every shipped rule has a test that expects its alarm, and all of them hold.
func TestRuleLibrary(t *testing.T) {
	files, err := rules.LibraryTests()
	if err != nil {
		t.Fatal(err)
	}
	var tested []string
	for _, f := range files {
		s, err := stories.Load(f.Name, f.Data, storyEnv("."))
		if err != nil {
			t.Error(err)
			continue
		}
		tested = append(tested, s.Rules()...)
		if err := s.Run(t.Context(), nil, nil); err != nil {
			t.Error(err)
		}
	}
	set, err := rules.Library()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules() {
		if !slices.ContainsFunc(tested, func(id string) bool { return id == r.ID || r.Point == "*" && strings.HasPrefix(id, r.ID+"-") }) {
			t.Errorf("no test expects an alarm of the shipped rule %s: write one into rules/library", r.ID)
		}
	}
}

// The tests that lie beside the examples, and the one in the documentation, hold.
func TestRuleTestExamples(t *testing.T) {
	files, err := filepath.Glob("../../deploy/examples/*" + rules.TestSuffix)
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	doc, err := os.ReadFile("../../docs/testing-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, block := range strings.Split(string(doc), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		if !strings.HasPrefix(text, "tests:") && !strings.Contains(text, "\ntests:") {
			t.Errorf("block %d of the documentation is no test: %s", i, text)
			continue
		}
		name := filepath.Join(t.TempDir(), "documented.test.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
		n++
	}
	if n == 0 {
		t.Error("the documentation shows no test")
	}
	var out bytes.Buffer
	if err := dispatch(t.Context(), append([]string{"test"}, files...), &out, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// What differs is told with file and line, and the command fails.
func TestRuleTestFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "own.test.yaml")
	if err := os.WriteFile(name, []byte(`tests:
  - name: too early
    rules: [pump-vibration-de]
    assets: [{position: P-101, profile: sim-pump}]
    series: {vibration_de: "2x10 8"}
    expect:
      - at: 12s
        alarms:
          - rule: pump-vibration-de
            state: UNACK
      - {at: 13s, alarms: [], tickets: []}
  - name: right
    rules: [pump-vibration-de]
    assets: [{position: P-101, profile: sim-pump}]
    series: {vibration_de: "2x10 8"}
    expect: [{at: 12s, alarms: []}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := dispatch(context.Background(), []string{"test", "-v", name}, &out, &out)
	if err == nil || err.Error() != "1 of 2 tests failed, 0 files could not be read" {
		t.Errorf("the command gave %v", err)
	}
	for _, want := range []string{
		"FAIL  " + name + ": too early", "ok    " + name + ": right",
		name + ":9: at 12s: alarm P-101/pump-vibration-de: want UNACK, got none: it was never raised",
		name + ":11: at 13s: alarm P-101/pump-vibration-de is not expected, but it is UNACK warning: vibration, drive end 8 mm/s above its high limit of 7.1 mm/s for 3 s",
		name + ":11: at 13s: want 0, got 1",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not said: %s\n%s", want, out.String())
		}
	}
	if err := dispatch(context.Background(), []string{"test", "-run", "nothing like it", name}, &out, &out); err == nil || err.Error() != "no test was played" {
		t.Errorf("playing nothing gave %v", err)
	}
}
