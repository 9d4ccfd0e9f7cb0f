package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules/inspect"
	"github.com/faultline-iot/faultline/rules/kind"
)

// Rule is one rule as its author writes it: what is bad, for how long, and what people should do
// about it. It applies to every position of its asset kind that has its point.
type Rule struct {
	ID        string   `yaml:"id"`
	Version   int      `yaml:"version"` // from 1; raise it with every edit
	Title     string   `yaml:"title"`
	Kind      string   `yaml:"kind"`       // a kind.Type's name
	AssetKind string   `yaml:"asset_kind"` // such as pump; "*" for all equipment; "gateway" for gateways
	Positions []string `yaml:"positions"`  // empty: all; else "P-101" or "site/P-101"

	Labels map[string]string `yaml:"labels"` // only where the position has all of these; "*" is any value

	Point    string `yaml:"point"`    // empty: the asset as a whole; "*": each point, as a rule of its own
	Disabled bool   `yaml:"disabled"` // switches a rule of the library off

	kind.Settings `yaml:",inline"`

	OnDelay  time.Duration `yaml:"on_delay"`  // how long it must be bad before the alarm
	OffDelay time.Duration `yaml:"off_delay"` // how long it must be well before the alarm clears

	// Latching keeps the alarm, once its condition is normal again, until a person resets it.
	Latching bool `yaml:"latching"`

	FailureMode string         `yaml:"failure_mode"` // what broke, as statistics count it
	Family      string         `yaml:"family"`       // failure modes that one fault shows at once share a family
	Urgency     int            `yaml:"urgency"`      // 1 to 3; 0: from the severity
	JoinWithin  *time.Duration `yaml:"join_within"`  // joins a ticket of another family this soon after its last alarm; default 30m, 0 for silence
	Plan        string         `yaml:"plan"`         // of meter rules: the inspection plan that it drives; of life rules: whose lead time counts
	Suggest     string         `yaml:"suggest"`      // "remote" or "on_site"
	Check       []string       `yaml:"check"`        // what to check, in order

	Overrides []Override `yaml:"overrides"` // where it is different

	of     *kind.Type
	source string // as it was written, on its own
}

// file is what a rule file holds.
type file struct {
	Rules []*Rule         `yaml:"rules"`
	Plans []*inspect.Plan `yaml:"plans"`
	Tests any             `yaml:"tests"` // a file may hold the tests of its rules; package story reads them
}

// JoinWithin where the rule says none.
const joinWithin = 30 * time.Minute

// The asset kinds that are none: every kind of equipment, and the gateways themselves.
const (
	AnyKind     = "*"
	GatewayKind = "gateway"
)

// longest delay that a rule may have: an alarm that is later is none.
const longest = 24 * time.Hour

// validate reports everything that is wrong with the rule standing at path.
func (r *Rule) validate(p *document.Problems, path string, plans map[string]*inspect.Plan) {
	report := func(field, format string, args ...any) { p.Add(path+"."+field, format, args...) }
	name := func(field, s string) {
		if s == "" {
			report(field, "is missing")
		} else if err := faultline.CheckName(field, s); err != nil {
			report(field, "%s", plain(err))
		}
	}
	name("id", r.ID)
	if r.Disabled {
		return
	}
	if strings.TrimSpace(r.Title) == "" {
		report("title", "is missing")
	}
	if r.Version < 1 {
		report("version", "must be 1 or more")
	}
	if r.AssetKind != AnyKind {
		name("asset_kind", r.AssetKind)
	}
	if r.Point != "" && r.Point != "*" {
		if err := faultline.CheckPoint(r.Point); err != nil {
			report("point", "%s", plain(err))
		}
	}
	for i, pos := range r.Positions {
		for _, part := range strings.SplitN(pos, "/", 2) {
			if err := faultline.CheckName("position", part); err != nil {
				report(fmt.Sprintf("positions[%d]", i), "%s", plain(err))
				break
			}
		}
	}
	for key, value := range r.Labels {
		if err := faultline.CheckName("label", key); err != nil {
			report("labels", "%s", plain(err))
		}
		if strings.TrimSpace(value) == "" {
			report("labels", "%s is empty: use \"*\" for any value", key)
		}
	}
	name("failure_mode", r.FailureMode)
	name("family", r.Family)
	for _, d := range []struct {
		field string
		d     time.Duration
	}{{"on_delay", r.OnDelay}, {"off_delay", r.OffDelay}, {"join_within", r.joinWithin()}} {
		if d.d < 0 || d.d > longest {
			report(d.field, "%v: use 0s to %v", d.d, longest)
		}
	}
	if r.Urgency < 0 || r.Urgency > 3 {
		report("urgency", "%d: use 1 (no effect yet), 2 (degraded) or 3 (production stopped or may stop)", r.Urgency)
	}
	if r.Suggest != "" && r.Suggest != "remote" && r.Suggest != "on_site" {
		report("suggest", "%q: use remote or on_site", r.Suggest)
	}
	r.validateKind(report, plans)
	r.validateOverrides(p, path, plans)
}

func (r *Rule) validateKind(report func(field, format string, args ...any), plans map[string]*inspect.Plan) {
	if r.of = kind.Find(r.Kind); r.of == nil {
		names := make([]string, len(kind.Types))
		for i := range kind.Types {
			names[i] = kind.Types[i].Name
		}
		if r.Kind == "" {
			report("kind", "is missing: use %s", strings.Join(names, ", "))
		} else {
			report("kind", "%q: use %s", r.Kind, strings.Join(names, ", "))
		}
		return
	}
	for _, field := range r.of.Unused(&r.Settings) {
		report(field, "is not used by a %s rule", r.Kind)
	}
	if r.Point == "" && !r.of.Asset && r.of.Fit == nil && r.Kind != "meter" {
		report("point", "is missing: a %s rule watches a point", r.Kind)
	}
	if r.AssetKind == GatewayKind && (r.Kind != "silence" || r.Point != "") && !slices.ContainsFunc(faultline.GatewayPoints, func(p faultline.Point) bool { return p.Name == r.Point }) {
		report("kind", "of a gateway there are its silence, without a point, and the points buffer_used, buffer_disk and config_state")
	}
	if r.AssetKind == GatewayKind && r.Kind == "peer" {
		report("kind", "gateways are not compared")
	}
	switch {
	case r.Kind == "life" && r.Plan != "" && plans[r.Plan] == nil:
		report("plan", "there is no plan %q", r.Plan)
	case r.Kind != "meter" && r.Kind != "life" && r.Plan != "":
		report("plan", "is not used by a %s rule: plans go with meter and life rules", r.Kind)
	case r.Kind == "meter" && r.Plan == "":
		report("plan", "is missing: which inspection plan does it drive?")
	case r.Kind == "meter":
		plan := plans[r.Plan]
		if plan == nil {
			report("plan", "there is no plan %q", r.Plan)
			return
		}
		if r.Point != "" && r.Point != plan.Meter {
			report("point", "%s, but plan %s counts %s: leave it out", r.Point, plan.ID, plan.Meter)
		}
		if r.Every != 0 {
			report("every", "stands in plan %s: leave it out", plan.ID)
		}
		if r.AssetKind != plan.AssetKind {
			report("asset_kind", "%s, but plan %s is for %s", r.AssetKind, plan.ID, plan.AssetKind)
		}
		r.Point, r.Every = plan.Meter, plan.Every
	}
	if r.of.Fit != nil && r.Point == "*" {
		report("point", "an expression names its points itself")
	}
	if gated := r.While != "" || len(r.Hours) > 0 || r.Inhibit != 0; gated && (r.Kind == "meter" || r.AssetKind == GatewayKind) {
		report("while", "conditions go with neither meters nor gateways")
	}
	r.of.Check(&r.Settings, report)
	r.Gate.Check(report)
}

func (r *Rule) joinWithin() time.Duration {
	switch {
	case r.JoinWithin != nil:
		return *r.JoinWithin
	case r.Kind == "silence":
		return 0
	}
	return joinWithin
}

// urgency of a finding: the rule's, or the severity's (advisory 1, warning 2, critical 3).
func (r *Rule) urgency(s faultline.Severity) int {
	if r.Urgency != 0 {
		return r.Urgency
	}
	return min(max(int(s), 1), 3)
}

// wants tells whether the rule is meant for the position.
func (r *Rule) wants(p *faultline.Position) bool {
	if r.Disabled || r.AssetKind != p.Kind && (r.AssetKind != AnyKind || p.Kind == GatewayKind) {
		return false
	}
	for key, value := range r.Labels {
		if is, has := p.Labels[key]; !has || value != is && value != "*" {
			return false
		}
	}
	if len(r.Positions) == 0 {
		return true
	}
	for _, want := range r.Positions {
		if want == p.ID || want == p.Site+"/"+p.ID {
			return true
		}
	}
	return false
}

// plain is an error's text without the "invalid: " that every such error begins with.
func plain(err error) string {
	return strings.TrimPrefix(err.Error(), faultline.ErrInvalid.Error()+": ")
}
