package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
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

func TestDeskConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`
calendars:
  - {id: office, zone: Europe/Berlin, week: {mon-thu: "08:00-12:00 13:00-17:00", fri: "08:00-14:00"}, exceptions: {"2026-12-25": closed, "2026-12-26": "09:00-12:00"}}
contracts:
  - {id: C-1, name: Full, customer: Acme, from: 2026-01-01, until: 2027-01-01, version: 2, calendar: office, answer_p1: 4h, response: 8h, pause_for_parts: true, language: zh}
warranty:
  terms: [{product_kind: chiller, periods: [{from: commissioning, months: 12}, {from: delivery, months: 18}], hours: 8000}]
  statutory: [{region: EU, from: delivery, months: 24}]
`)
	c, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	k := c.contracts(false)[0]
	if k.Version != 2 || k.Targets.AnswerP1 != 4*time.Hour || !k.PauseForParts || k.Language != "zh" || k.Calendar != "office" {
		t.Errorf("%+v", k)
	}
	cal := c.calendars()[0]
	if cal.Week[time.Friday][0] != (faultline.Interval{From: 480, To: 840}) || len(cal.Week[time.Monday]) != 2 || cal.Week[time.Sunday] != nil {
		t.Errorf("%+v", cal.Week)
	}
	if list, found := cal.Exceptions["2026-12-25"]; !found || list != nil || len(cal.Exceptions["2026-12-26"]) != 1 {
		t.Errorf("%+v", cal.Exceptions)
	}
	if w := c.warranty(); len(w) != 1 || w[0].Hours != 8000 || len(w[0].Periods) != 2 || c.Warranty.Statutory[0].Months != 24 {
		t.Errorf("%+v %+v", w, c.Warranty.Statutory)
	}

	write(`
calendars:
  - {id: a, zone: Mars, week: {mon: "08:00-12:00"}}
  - {id: b, zone: UTC, week: {monday: "08:00-12:00", tue: "8 to 12", wed-fri: "10:00-09:00"}}
contracts:
  - {id: C-1, customer: Acme, from: 2026-01-01, until: 2027-01-01, calendar: nightly, language: fr, response: -1h}
  - {id: C-1, customer: Acme, from: 2026-01-01, until: 2027-01-01}
warranty:
  terms: [{product_kind: x}, {product_kind: y, periods: [{from: birth, months: 0}]}]
  statutory: [{from: delivery, months: 24}]
`)
	_, err = LoadConfig(file)
	if err == nil {
		t.Fatal("a file of mistakes is taken")
	}
	for _, want := range []string{
		`calendars[0]: zone: "Mars" is no time zone`, `calendars[1].week.monday: use days such as`, `calendars[1].week.tue: "8 to 12": use hours`,
		`contracts[0].calendar: there is no calendar "nightly"`, `contracts[0].language: "fr": use en or zh`, `contracts[0].response: must not be negative`, `contracts[1].version: contract C-1@1 is listed twice`,
		`warranty.terms[0]: a term needs periods or hours`, `periods[0].from: "birth": use purchase`, `warranty.statutory[0].region: is missing`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
}
