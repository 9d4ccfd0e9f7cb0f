// Package story is the language in which people test rules: series of readings in short notation, what
// people do meanwhile, and the alarms and tickets that are expected at times. A story is played to the real
// engine, desk and store (rules.Player); docs/testing-rules.md explains the language.
package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules"
)

// Env is what a story needs from outside. Names of files are as the story's author wrote them.
type Env struct {
	// Rules gives the shipped rules with those of the files over them.
	Rules func(files []string) (*rules.Set, error)
	// Profile gives the asset kind and points of a device profile, from the files or the shipped ones.
	Profile func(files []string, name string) (kind string, points []faultline.Point, err error)
}

// Story is a file of tests, ready to be played.
type Story struct {
	doc   *document.Document
	tests []*test
	set   *rules.Set
}

type file struct {
	RuleFiles []string `yaml:"rule_files"` // beside this file; the shipped rules are there anyway
	Profiles  []string `yaml:"profiles"`   // files of device profiles beside this file
	Tests     []*test  `yaml:"tests"`
	Rules     []any    `yaml:"rules"` // rules that the tests are of may stand in the same file
}

// test is one story: equipment, what it reads, what people do, what must come of it.
type test struct {
	Name   string            `yaml:"name"`
	Rules  []string          `yaml:"rules"` // only these are in force; empty: all
	Start  time.Time         `yaml:"start"` // default 2026-03-02T08:00:00Z, a Monday
	Every  time.Duration     `yaml:"every"` // interval of readings; default 1s
	Assets []*asset          `yaml:"assets"`
	Series map[string]string `yaml:"series"` // "P-101.flow", or "flow" if there is one asset; "gw-1" is a gateway
	Do     []*action         `yaml:"do"`
	Expect []*expectation    `yaml:"expect"`

	path      string
	set       *rules.Set
	positions []faultline.Position
	points    [][]watched          // by position
	gateways  map[string]*notation // those that are not always up
	states    map[string][]watched // what gateways say of themselves
}

type asset struct {
	Position    string `yaml:"position"`
	Profile     string `yaml:"profile"`     // name of a device profile
	Site        string `yaml:"site"`        // default plant-1
	Gateway     string `yaml:"gateway"`     // default gw-1
	Criticality string `yaml:"criticality"` // default B
	Parent      string `yaml:"parent"`
	Serial      string `yaml:"serial"`
}

// watched is a point with its series.
type watched struct {
	point  *faultline.Point
	series *notation
}

// action is what a person does.
type action struct {
	At       time.Duration `yaml:"at"`
	Verb     string        `yaml:"verb"` // of faultline.Command, or ack, resolve, close, cancel
	Position string        `yaml:"position"`
	Rule     string        `yaml:"rule"`
	Plan     string        `yaml:"plan"`
	Ticket   int           `yaml:"ticket"` // the first is 1
	For      time.Duration `yaml:"for"`    // of commands that end by themselves: shelve, out_of_service
	By       string        `yaml:"by"`     // default anna
	Reason   string        `yaml:"reason"`
	Refused  bool          `yaml:"refused"` // it must be refused
}

type expectation struct {
	At      time.Duration `yaml:"at"`
	Alarms  []*alarmWant  `yaml:"alarms"`  // all that are not normal; left out: not looked at
	Tickets []*ticketWant `yaml:"tickets"` // all so far, in their order; left out: not looked at
}

// longest test, and longest interval.
const (
	longestTest = 10 * 366 * 24 * time.Hour
	longestStep = 24 * time.Hour
)

// Load reads a file of tests with all that it names. The error lists every mistake with its line.
func Load(name string, data []byte, env Env) (*Story, error) {
	var f file
	doc, err := document.Decode(name, data, &f)
	if err != nil && len(f.Tests) == 0 {
		return nil, err
	}
	s, p := &Story{doc: doc, tests: f.Tests}, doc.Problems()
	if s.set, err = env.Rules(f.RuleFiles); err != nil {
		p.Add("rule_files", "%s", err)
		return nil, p.Err()
	}
	if len(f.Rules) > 0 {
		if s.set, err = rules.Load(s.set, rules.File{Name: name, Data: data}); err != nil {
			return nil, err
		}
	}
	if len(f.Tests) == 0 {
		p.Add("tests", "is missing: write at least one test")
	}
	names := map[string]bool{}
	for i, t := range f.Tests {
		path := fmt.Sprintf("tests[%d]", i)
		if t == nil {
			p.Add(path, "is empty")
			continue
		}
		t.path = path
		if t.Name == "" {
			p.Add(path+".name", "is missing")
		} else if names[t.Name] {
			p.Add(path+".name", "%q is there already", t.Name)
		}
		names[t.Name] = true
		t.prepare(p, s.set, func(profile string) (string, []faultline.Point, error) { return env.Profile(f.Profiles, profile) })
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Rules lists the ids of rules that some test expects an alarm of that is not normal.
func (s *Story) Rules() []string {
	var ids []string
	for _, t := range s.tests {
		for _, e := range t.Expect {
			for _, a := range e.Alarms {
				if a.State != string(faultline.AlarmNormal) {
					ids = append(ids, a.Rule)
				}
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// prepare checks a test and finds what it names.
func (t *test) prepare(p *document.Problems, set *rules.Set, profile func(string) (string, []faultline.Point, error)) {
	if t.Start.IsZero() {
		t.Start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	}
	if t.Every == 0 {
		t.Every = time.Second
	}
	if t.Every < 10*time.Millisecond || t.Every > longestStep {
		p.Add(t.path+".every", "%v: use 10ms to %v", t.Every, longestStep)
		t.Every = time.Second
	}
	t.prepareAssets(p, profile)
	t.prepareRules(p, set)
	t.prepareSeries(p)
	for i, a := range t.Do {
		t.prepareAction(p, fmt.Sprintf("%s.do[%d]", t.path, i), a)
	}
	if len(t.Expect) == 0 {
		p.Add(t.path+".expect", "is missing: a test that expects nothing cannot fail")
	}
	for i, e := range t.Expect {
		t.prepareExpectation(p, fmt.Sprintf("%s.expect[%d]", t.path, i), e)
	}
}

func (t *test) prepareAssets(p *document.Problems, profile func(string) (string, []faultline.Point, error)) {
	if len(t.Assets) == 0 {
		p.Add(t.path+".assets", "is missing: what is watched?")
	}
	for i, a := range t.Assets {
		at := fmt.Sprintf("%s.assets[%d]", t.path, i)
		if a == nil {
			p.Add(at, "is empty")
			continue
		}
		set := func(s *string, otherwise string) {
			if *s == "" {
				*s = otherwise
			}
		}
		set(&a.Site, "plant-1")
		set(&a.Gateway, "gw-1")
		set(&a.Criticality, "B")
		for _, n := range []struct{ field, what, s string }{{"position", "position", a.Position}, {"site", "site", a.Site}, {"gateway", "gateway", a.Gateway}} {
			if err := faultline.CheckName(n.what, n.s); err != nil {
				p.Add(at+"."+n.field, "%s", err)
			}
		}
		if !slices.Contains([]string{"A", "B", "C"}, a.Criticality) {
			p.Add(at+".criticality", "%q: use A, B or C", a.Criticality)
		}
		if slices.ContainsFunc(t.positions, func(o faultline.Position) bool { return o.ID == a.Position }) {
			p.Add(at+".position", "%s is there already", a.Position)
		}
		kind, points, err := profile(a.Profile)
		if err != nil {
			p.Add(at+".profile", "%s", err)
		}
		t.positions = append(t.positions, faultline.Position{
			Site: a.Site, ID: a.Position, Kind: kind, Gateway: a.Gateway, Profile: a.Profile, Parent: a.Parent, Points: points,
			Asset: faultline.Asset{Serial: a.Serial, Criticality: faultline.Criticality(a.Criticality)},
		})
	}
	t.points = make([][]watched, len(t.positions))
}

func (t *test) prepareRules(p *document.Problems, set *rules.Set) {
	t.set = set
	if len(t.Rules) == 0 {
		return
	}
	only, err := set.Only(t.Rules...)
	if err != nil {
		p.Add(t.path+".rules", "%s", strings.TrimPrefix(err.Error(), "not found: "))
		return
	}
	t.set = only
	used := only.Instances(t.positions)
	for i, r := range only.Rules() {
		if !slices.ContainsFunc(used, func(u faultline.RuleInstance) bool {
			return u.Rule == r.ID || r.Point == "*" && strings.HasPrefix(u.Rule, r.ID+"-")
		}) {
			p.Add(fmt.Sprintf("%s.rules[%d]", t.path, i), "rule %s applies to none of the assets", r.ID)
		}
	}
}

func (t *test) prepareSeries(p *document.Problems) {
	t.gateways, t.states = map[string]*notation{}, map[string][]watched{}
	for name, text := range t.Series {
		at := t.path + ".series." + name
		n, err := parseNotation(text, t.Every)
		if err != nil {
			p.Add(at, "%s", err)
			continue
		}
		position, point, dotted := strings.Cut(name, ".")
		if !dotted && slices.ContainsFunc(t.positions, func(o faultline.Position) bool { return o.Gateway == name }) {
			for _, s := range n.segments {
				if !s.none && s.text != "up" {
					p.Add(at, "is a gateway: write up and _ only, such as upx30 _x20 up")
					break
				}
			}
			t.gateways[name] = n
			continue
		}
		if dotted && slices.ContainsFunc(t.positions, func(o faultline.Position) bool { return o.Gateway == position }) {
			j := slices.IndexFunc(faultline.GatewayPoints, func(o faultline.Point) bool { return o.Name == point })
			if j < 0 {
				p.Add(at, "a gateway has no point %q: it has %s", point, pointNames(&faultline.Position{Points: faultline.GatewayPoints}))
				continue
			}
			t.states[position] = append(t.states[position], watched{&faultline.GatewayPoints[j], n})
			continue
		}
		if !dotted && len(t.positions) == 1 {
			position, point = t.positions[0].ID, name
		}
		i := slices.IndexFunc(t.positions, func(o faultline.Position) bool { return o.ID == position })
		if i < 0 || point == "" {
			p.Add(at, "names no point of an asset: write position.point, such as P-101.flow, or a gateway")
			continue
		}
		j := slices.IndexFunc(t.positions[i].Points, func(o faultline.Point) bool { return o.Name == point })
		if j < 0 {
			p.Add(at, "%s has no point %q: it has %s", position, point, pointNames(&t.positions[i]))
			continue
		}
		w := watched{&t.positions[i].Points[j], n}
		for k := range n.segments {
			if _, _, err := n.segments[k].sample(w.point, n.segments[k].base); err != nil {
				p.Add(at, "%s", err)
				break
			}
		}
		t.points[i] = append(t.points[i], w)
	}
	for _, list := range t.points { // a map has no order; frames have one
		slices.SortFunc(list, func(a, b watched) int { return strings.Compare(a.point.Name, b.point.Name) })
	}
}

func pointNames(p *faultline.Position) string {
	var names []string
	for i := range p.Points {
		names = append(names, p.Points[i].Name)
	}
	return strings.Join(names, ", ")
}

func (t *test) prepareAction(p *document.Problems, at string, a *action) {
	if a == nil {
		p.Add(at, "is empty")
		return
	}
	t.moment(p, at, a.At)
	if a.By == "" {
		a.By = "anna"
	}
	if a.Position == "" && len(t.positions) == 1 {
		a.Position = t.positions[0].ID
	}
	switch a.Verb {
	case "":
		p.Add(at+".verb", "is missing: use ack, shelve, serviced, test_alarm, resolve, close or cancel")
	case "ack":
		a.Verb = faultline.VerbAcknowledge
	case "resolve", "close", "cancel":
		if a.Ticket < 1 {
			p.Add(at+".ticket", "is missing: which one? The first is 1")
		}
		return
	}
	if a.Position == "" {
		p.Add(at+".position", "is missing")
	}
}

func (t *test) prepareExpectation(p *document.Problems, at string, e *expectation) {
	if e == nil {
		p.Add(at, "is empty")
		return
	}
	t.moment(p, at, e.At)
	if e.Alarms == nil && e.Tickets == nil {
		p.Add(at, "expects nothing: write alarms or tickets, [] if there must be none")
	}
	for i, a := range e.Alarms {
		where := fmt.Sprintf("%s.alarms[%d]", at, i)
		if a == nil {
			p.Add(where, "is empty")
			continue
		}
		a.prepare(p, where, t.positions)
	}
	for i, k := range e.Tickets {
		if k == nil {
			p.Add(fmt.Sprintf("%s.tickets[%d]", at, i), "is empty: write at least its status")
		}
	}
}

func (t *test) moment(p *document.Problems, at string, d time.Duration) {
	if d < 0 || d > longestTest {
		p.Add(at+".at", "%v: use 0s to %v from the beginning", d, longestTest)
	}
}

// ends is when the last thing happens that the test speaks of.
func (t *test) ends() time.Duration {
	end := time.Duration(0)
	for _, a := range t.Do {
		end = max(end, a.At)
	}
	for _, e := range t.Expect {
		end = max(end, e.At)
	}
	return end
}
