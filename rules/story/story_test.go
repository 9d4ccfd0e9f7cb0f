package story

import (
	"fmt"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules"
)

// env has one profile, tank, with a level and a mode, and rules for it.
var env = Env{
	Rules: func(files []string) (*rules.Set, error) {
		return rules.Load(nil, rules.File{Name: "tank.rules.yaml", Data: []byte(`
rules:
  - {id: level, title: Level low, kind: threshold, asset_kind: tank, point: level, limits: {low: 20}, on_delay: 2s, off_delay: 3s, failure_mode: empty, family: supply}
  - {id: dry, title: Pump runs dry, kind: state, asset_kind: tank, point: mode, is: [dry], severity: critical, failure_mode: dry, family: pump}
  - {id: silent, title: Silent, kind: silence, asset_kind: tank, after: 10s, failure_mode: silent, family: communication}
  - {id: other, title: Other, kind: threshold, asset_kind: boiler, point: level, limits: {low: 20}, failure_mode: empty, family: supply}
`)})
	},
	Profile: func(files []string, name string) (string, []faultline.Point, error) {
		if name != "tank" {
			return "", nil, fmt.Errorf("there is no profile %q", name)
		}
		return "tank", []faultline.Point{{Name: "level", Type: faultline.TypeFloat, Unit: "%"}, {Name: "mode", Type: faultline.TypeInt, Texts: map[int64]string{0: "idle", 2: "dry"}}}, nil
	},
}

func TestLoadErrors(t *testing.T) {
	for text, want := range map[string]string{
		`tests: []`:          "own.test.yaml:1: tests: is missing",
		`tests: [{name: a}]`: "assets: is missing",
		`test: []`:           "unknown key",
		`tests: [{name: a, assets: [{position: T-1, profile: tonk}], expect: [{alarms: []}]}]`:                                                                              "there is no profile \"tonk\"",
		`tests: [{name: a, rules: [none], assets: [{position: T-1, profile: tank}], expect: [{alarms: []}]}]`:                                                               "no rule none",
		`tests: [{name: a, rules: [other], assets: [{position: T-1, profile: tank}], expect: [{alarms: []}]}]`:                                                              "rule other applies to none of the assets",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}]}]`:                                                                                                      "expects nothing cannot fail",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], expect: [{at: 1s}]}]`:                                                                                  "expects nothing",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], series: {flow: "1"}, expect: [{alarms: []}]}]`:                                                         "T-1 has no point \"flow\": it has level, mode",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], series: {T-2.level: "1"}, expect: [{alarms: []}]}]`:                                                    "names no point of an asset",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], series: {mode: wet}, expect: [{alarms: []}]}]`:                                                         "\"wet\" is no value of mode, which is of type int (dry, idle)",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], series: {gw-1: "1"}, expect: [{alarms: []}]}]`:                                                         "is a gateway: write up and _ only",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], expect: [{alarms: [{rule: level, state: BAD}]}]}]`:                                                     "\"BAD\": use NORM",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], expect: [{alarms: [{rule: level, position: T-9}]}]}]`:                                                  "there is no T-9",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], do: [{verb: close}], expect: [{alarms: []}]}]`:                                                         "ticket: is missing",
		`tests: [{name: a, every: 1ms, assets: [{position: T-1, profile: tank}], expect: [{at: -1s, alarms: []}]}]`:                                                         "use 10ms to",
		`tests: [{name: a, assets: [{position: T-1, profile: tank}], expect: [{alarms: []}]}, {name: a, assets: [{position: T-1, profile: tank}], expect: [{alarms: []}]}]`: "\"a\" is there already",
	} {
		_, err := Load("own.test.yaml", []byte(text), env)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

const people = `
tests:
  - name: people
    rules: [level, dry]
    assets: [{position: T-1, profile: tank}, {position: T-2, profile: tank, site: far, gateway: gw-2, criticality: C}]
    series:
      T-1.level: 50x10 10x5 50x25 10x5 50
      T-1.mode: idlex20 dry
      T-2.mode: idle
    do:
      - {at: 5s, verb: ack, position: T-1, rule: level, refused: true}
      - {at: 13s, verb: ack, position: T-1, rule: level}
      - {at: 22s, verb: test_alarm, position: T-2}
      - {at: 23s, verb: close, ticket: 2}
      - {at: 25s, verb: cancel, ticket: 1, reason: wont_fix}
    expect:
      - {at: 14s, alarms: [{position: T-1, rule: level, state: ACKED, count: 1}], tickets: [{position: T-1, alarms: [level], count: 1, recovered: false}]}
      - at: 22s
        alarms: [{position: T-1, rule: dry, severity: critical}]
        tickets: [{priority: P1, alarms: [T-1/level, dry]}, {position: T-2, rule: test-alarm}]
      - {at: 30s, tickets: [{status: cancelled}, {status: closed}]}
      - {at: 44s, alarms: [{position: T-1, rule: dry}, {position: T-1, rule: level, state: UNACK, count: 2}], tickets: [{status: cancelled}, {status: closed}]}
`

func TestPeople(t *testing.T) {
	s, err := Load("people", []byte(people), env)
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := s.Run(t.Context(), nil, func(r Result) { results = append(results, r) }); err != nil {
		t.Error(err)
	}
	if len(results) != 1 || !results[0].OK {
		t.Errorf("results: %+v", results)
	}
	if got := fmt.Sprint(s.Rules()); got != "[dry level]" {
		t.Errorf("rules with an alarm: %s", got)
	}
}

// Each of these edits makes one thing wrong that the story must tell.
func TestDifferences(t *testing.T) {
	for _, c := range [][3]string{
		{"refused: true", "refused: false", "acknowledge was refused: there is nothing to acknowledge"},
		{"13s, verb: ack, position: T-1, rule: level", "13s, verb: ack, position: T-1, rule: level, refused: true", "want acknowledge refused, but: acknowledged"},
		{"state: ACKED", "state: UNACK", "want UNACK, got ACKED"},
		{"count: 1}]", "count: 2}]", "want 2, got 1"},
		{"severity: critical", "severity: warning", "want warning, got critical"},
		{"priority: P1", "priority: P3", "want P3, got P1"},
		{"alarms: [T-1/level, dry]", "alarms: [level]", "want level, got T-1/dry, T-1/level"},
		{"ticket: 1, reason", "ticket: 3, reason", "there are 2 tickets only"},
		{"recovered: false", "recovered: true", "want true, got false"},
		{"rule: test-alarm", "rule: none", "want none, got test-alarm"},
		{"[{position: T-1, rule: dry}, {", "[{", "alarm T-1/dry is not expected, but it is UNACK critical"},
		{", {position: T-2, rule: test-alarm}", "", "want 1, got 2"},
	} {
		text := strings.Replace(people, c[0], c[1], 1)
		if text == people {
			t.Fatalf("%s is not in the story", c[0])
		}
		s, err := Load("people", []byte(text), env)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: got %v, want %s", c[1], err, c[2])
		}
	}
}

// Shelving ends by itself.
func TestShelving(t *testing.T) {
	s, err := Load("shelving", []byte(`
tests:
  - name: shelved
    rules: [level]
    assets: [{position: T-1, profile: tank}]
    series: {level: 50x10 10}
    do:
      - {at: 5s, verb: shelve, rule: level, for: 1m, reason: the tank is cleaned}
    expect:
      - {at: 30s, alarms: [{rule: level, state: SHLVD}], tickets: []}
      - {at: 70s, alarms: [{rule: level, state: UNACK}], tickets: [{alarms: [level]}]}
`), env)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
}

// A year is played in longer steps.
func TestYear(t *testing.T) {
	s, err := Load("year", []byte(`
tests:
  - name: a year of hours
    every: 1h
    rules: [level]
    assets: [{position: T-1, profile: tank}]
    series: {level: "60x4380h 60-0.1x1000"}
    expect:
      - {at: 4780h, alarms: []}
      - {at: 4790h, alarms: [{rule: level, state: UNACK}]}
      - {at: 8760h, tickets: [{count: 1}]}
`), env)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
}
