package rules

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules/inspect"
	"github.com/faultline-iot/faultline/rules/kind"
)

//go:embed library/*.yaml
var library embed.FS

// TestSuffix ends the names of files that test rules; they lie beside the rules.
const TestSuffix = ".test.yaml"

// LibraryTests gives the tests of the rules that Faultline brings along.
func LibraryTests() ([]File, error) {
	names, err := fs.Glob(library, "library/*"+TestSuffix)
	if err != nil {
		return nil, fmt.Errorf("list the tests of the rule library: %w", err)
	}
	var files []File
	for _, name := range names {
		data, err := library.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read rule library %s: %w", name, err)
		}
		files = append(files, File{path.Base(name), data})
	}
	return files, nil
}

// File is a rule file that was read.
type File struct {
	Name string // as errors name it
	Data []byte
}

// Set is rules and inspection plans that belong together. It does not change.
type Set struct {
	rules []*Rule                  // by id
	plans map[string]*inspect.Plan // by id
}

// Library gives the rules that Faultline brings along.
func Library() (*Set, error) {
	names, err := fs.Glob(library, "library/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the rule library: %w", err)
	}
	var files []File
	for _, name := range names {
		if strings.HasSuffix(name, TestSuffix) {
			continue
		}
		data, err := library.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read rule library %s: %w", name, err)
		}
		files = append(files, File{path.Base(name), data})
	}
	return Load(nil, files...)
}

// Load reads rule files. A rule or plan with the id of one in base (which may be nil) replaces it as
// a whole; two with one id in the files are an error. The error lists every mistake of every file with
// its line.
func Load(base *Set, files ...File) (*Set, error) {
	rules, plans := map[string]*Rule{}, map[string]*inspect.Plan{}
	if base != nil {
		for _, r := range base.rules {
			rules[r.ID] = r
		}
		for id, p := range base.plans {
			plans[id] = p
		}
	}
	docs, contents, broken := make([]*document.Document, len(files)), make([]file, len(files)), make([]error, len(files))
	empty := func(i int, where string) {
		if broken[i] == nil { // else it may be the decoder that gave up
			docs[i].Problems().Add(where, "is empty")
		}
	}
	planIn, ruleIn := map[string]string{}, map[string]string{}
	for i, f := range files {
		docs[i], broken[i] = document.Decode(f.Name, f.Data, &contents[i]) // its problems come with Err below
		for j, p := range contents[i].Plans {
			where := fmt.Sprintf("plans[%d]", j)
			if p == nil {
				empty(i, where)
				continue
			}
			p.Validate(docs[i].Problems(), where)
			once(docs[i], planIn, f.Name, p.ID, where)
			plans[p.ID] = p
		}
	}
	for i, f := range files {
		var sources []string
		if docs[i].Problems().Len() == 0 {
			var err error
			if sources, err = document.Items(f.Data, "rules"); err != nil {
				docs[i].Problems().Add("rules", "%s", err)
			}
		}
		for j, r := range contents[i].Rules {
			where := fmt.Sprintf("rules[%d]", j)
			if r == nil {
				empty(i, where)
				continue
			}
			if r.Version == 0 {
				r.Version = 1
			}
			if j < len(sources) {
				r.source = sources[j]
			}
			r.validate(docs[i].Problems(), where, plans)
			once(docs[i], ruleIn, f.Name, r.ID, where)
			rules[r.ID] = r
		}
	}
	var errs []error
	for _, d := range docs {
		errs = append(errs, d.Problems().Err())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Set{plans: plans}
	for _, r := range rules {
		if p := plans[r.Plan]; p != nil { // which may have replaced the one that the rule was loaded with
			own := *r
			if r.Kind == "meter" {
				own.Point, own.Every = p.Meter, p.Every
			} else if r.Lead == 0 {
				own.Lead = p.Domain().Lead
			}
			r = &own
		}
		s.rules = append(s.rules, r)
	}
	slices.SortFunc(s.rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	return s, nil
}

func once(d *document.Document, seen map[string]string, name, id, where string) {
	if id == "" {
		return
	}
	if first := seen[id]; first != "" {
		d.Problems().Add(where+".id", "%s is there already, in %s", id, first)
		return
	}
	seen[id] = name
}

// Rules lists the rules in the order of their ids. They must not be changed.
func (s *Set) Rules() []*Rule { return s.rules }

// Plans lists the inspection plans in the order of their ids.
func (s *Set) Plans() []faultline.Plan {
	list := make([]faultline.Plan, 0, len(s.plans))
	for _, p := range s.plans {
		list = append(list, p.Domain())
	}
	slices.SortFunc(list, func(a, b faultline.Plan) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// plan gives the plan of a meter rule.
func (s *Set) plan(id string) (*faultline.Plan, bool) {
	p, ok := s.plans[id]
	if !ok {
		return nil, false
	}
	d := p.Domain()
	return &d, true
}

// attachment is a rule on one point of a position.
type attachment struct {
	name  string // the rule's id, made unique for "*" rules
	rule  *Rule
	point *faultline.Point // nil: the asset
	kind  kind.Kind
	watch []string // the points whose samples it must see
}

// shape names the form of the kind's state: one that was saved in another form is of no use.
func (a *attachment) shape() string {
	s := &a.rule.Settings
	if s.Expr == "" && s.While == "" && s.Inhibit == 0 && len(s.Hours) == 0 && len(s.Points) == 0 {
		return a.rule.Kind
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, s.Expr, "\x00", s.While, "\x00", s.Hours)
	if len(s.Points) > 0 { // what was learnt is of these, in steps of this length
		_, _ = fmt.Fprint(h, "\x00", s.Points, s.Step, s.Learn)
	}
	return fmt.Sprintf("%s#%x", a.rule.Kind, h.Sum64())
}

// attach finds what applies to a position, and says what was meant to but cannot. The attachments
// keep pointers into the position.
func (s *Set) attach(p *faultline.Position) (list []attachment, misfits []string) {
	for _, r := range s.rules {
		if !r.wants(p) {
			continue
		}
		if r = r.at(p); r.Disabled {
			continue
		}
		add := func(name string, point *faultline.Point) {
			k, watch, err := r.of.Make(&r.Settings, point, p.Points)
			if errors.Is(err, kind.ErrAbsent) && len(r.Positions) == 0 {
				return // models of one kind differ in what they measure
			}
			if err != nil {
				misfits = append(misfits, fmt.Sprintf("rule %s does not fit %s/%s: %s", r.ID, p.Site, p.ID, plain(err)))
				return
			}
			if point == nil && r.of.Fit != nil {
				for i := range p.Points {
					if p.Points[i].Name == watch[0] {
						point = &p.Points[i] // evidence and pictures show the first one
						break
					}
				}
			}
			list = append(list, attachment{name, r, point, k, watch})
		}
		found := r.Point == ""
		if found {
			add(r.ID, nil)
		}
		for i := range p.Points {
			point := &p.Points[i]
			switch r.Point {
			case point.Name:
				found = true
				add(r.ID, point)
			case "*":
				found = true
				add(r.ID+"-"+strings.ReplaceAll(point.Name, "_", "-"), point)
			}
		}
		// Models of one kind differ in what they measure, so a missing point is no mistake unless the
		// rule was written for this very position.
		if !found && len(r.Positions) > 0 {
			misfits = append(misfits, fmt.Sprintf("rule %s names %s/%s, which has no point %s", r.ID, p.Site, p.ID, r.Point))
		}
	}
	return list, misfits
}

// Misfits says which rules were meant for one of the positions and cannot work there, and which name
// positions that do not exist. It is for people who check their configuration.
func (s *Set) Misfits(positions []faultline.Position) []string {
	var misfits []string
	known := map[string]bool{}
	for i := range positions {
		p := &positions[i]
		known[p.ID], known[p.Site+"/"+p.ID] = true, true
		_, m := s.attach(p)
		misfits = append(misfits, m...)
	}
	for _, r := range s.rules {
		names := slices.Clone(r.Positions)
		for i := range r.Overrides {
			names = append(names, r.Overrides[i].Positions...)
		}
		for _, want := range names {
			if !r.Disabled && !known[want] {
				misfits = append(misfits, fmt.Sprintf("rule %s names position %s, which does not exist", r.ID, want))
			}
		}
	}
	return misfits
}

// Instances lists every rule on every position, and on the gateways of the positions, as people see
// them.
func (s *Set) Instances(positions []faultline.Position) []faultline.RuleInstance {
	var list []faultline.RuleInstance
	all := slices.Concat(positions, gateways(positions))
	for i := range all {
		p := &all[i]
		attached, _ := s.attach(p)
		for _, a := range attached {
			list = append(list, a.describe(p))
		}
	}
	return list
}

func (a *attachment) describe(p *faultline.Position) faultline.RuleInstance {
	i := faultline.RuleInstance{
		Site: p.Site, Position: p.ID, Rule: a.name, Version: a.rule.Version, Title: a.rule.Title, Kind: a.rule.Kind,
		FailureMode: a.rule.FailureMode, Family: a.rule.Family, OnDelay: a.rule.OnDelay, OffDelay: a.rule.OffDelay,
		DeadBand: a.rule.DeadBand, Plan: a.rule.Plan, Check: a.rule.Check, Suggest: a.rule.Suggest,
	}
	if a.point != nil {
		i.Point, i.Unit = a.point.Name, a.point.Unit
		if a.rule.Point == "*" {
			i.Title += ": " + cmp.Or(a.point.Title, a.point.Name)
		}
	}
	if a.rule.of.Limits != nil {
		i.Limits = a.rule.of.Limits(&a.rule.Settings)
	}
	return i
}

// gateways of the positions, as positions of their own: rules for gateways attach to them.
func gateways(positions []faultline.Position) []faultline.Position {
	var list []faultline.Position
	for i := range positions {
		p := &positions[i]
		if p.Gateway == "" || slices.ContainsFunc(list, func(g faultline.Position) bool { return g.Site == p.Site && g.ID == p.Gateway }) {
			continue
		}
		list = append(list, gatewayPosition(p.Site, p.Gateway))
	}
	return list
}

func gatewayPosition(site, gateway string) faultline.Position {
	return faultline.Position{Site: site, ID: gateway, Name: "gateway " + gateway, Kind: GatewayKind, Gateway: gateway, Points: faultline.GatewayPoints}
}
