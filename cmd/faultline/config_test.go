package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every YAML configuration that we ship or print must load.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../deploy/examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples %v: %v", files, err)
	}
	for _, f := range files {
		if slices.ContainsFunc([]string{".profile.yaml", ".rules.yaml", ".test.yaml"}, func(end string) bool { return strings.HasSuffix(f, end) }) {
			continue // loaded by the configurations that name them; tests are run by TestRuleTestExamples
		}
		cfg, err := LoadConfig(f)
		if err != nil {
			t.Errorf("%s:\n%v", f, err)
			continue
		}
		if len(cfg.positions()) == 0 {
			t.Errorf("%s reads nothing", f)
		}
	}
}

var fenced = regexp.MustCompile("(?s)```yaml\n(# faultline\\.yaml.*?)```")

// The configurations in the documents begin with the comment "# faultline.yaml".
func TestDocumentedConfigurations(t *testing.T) {
	files, _ := filepath.Glob("../../docs/*.md")
	files = append(files, "../../README.md")
	seen := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
			seen++
			file := filepath.Join(t.TempDir(), "faultline.yaml")
			if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadConfig(file); err != nil {
				t.Errorf("%s:\n%v", f, err)
			}
		}
	}
	if seen == 0 {
		t.Error("no configuration found in the documents")
	}
}

// A folder of bad configurations, each with the messages that it must give.
func TestBadConfigurations(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		_, err := LoadConfig(f)
		if err == nil {
			t.Errorf("%s loads", f)
			continue
		}
		want, rerr := os.ReadFile(strings.TrimSuffix(f, ".yaml") + ".txt")
		if rerr != nil {
			t.Fatal(rerr)
		}
		if got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"; got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", f, got, want)
		}
	}
}

// Ten mistakes are ten messages.
func TestTenMistakes(t *testing.T) {
	_, err := LoadConfig("testdata/bad/ten.yaml")
	if n := countProblems(err); n != 10 {
		t.Errorf("%d problems, want 10:\n%v", n, err)
	}
}
