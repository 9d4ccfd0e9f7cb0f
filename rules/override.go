package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules/inspect"
	"github.com/faultline-iot/faultline/rules/kind"
)

// Override is what is different at some positions. What is left out is as in the rule; of limits and
// severities, each by itself.
type Override struct {
	Positions  []string           `yaml:"positions"` // "P-101" or "site/P-101"
	Disabled   bool               `yaml:"disabled"`
	Limits     kind.Limits        `yaml:"limits"`
	Severities kind.Severities    `yaml:"severities"`
	Severity   faultline.Severity `yaml:"severity"`
	DeadBand   *float64           `yaml:"dead_band"`
	After      *time.Duration     `yaml:"after"`
	OnDelay    *time.Duration     `yaml:"on_delay"`
	OffDelay   *time.Duration     `yaml:"off_delay"`

	rule *Rule // as it is there
}

// over gives the rule as it is with the override.
func (o *Override) over(r *Rule) *Rule {
	c := *r
	c.Overrides = nil
	c.Disabled = o.Disabled
	either(&c.Limits.LowLow, o.Limits.LowLow)
	either(&c.Limits.Low, o.Limits.Low)
	either(&c.Limits.High, o.Limits.High)
	either(&c.Limits.HighHigh, o.Limits.HighHigh)
	severity := func(to *faultline.Severity, from faultline.Severity) {
		if from != faultline.SeverityNone {
			*to = from
		}
	}
	severity(&c.Severities.LowLow, o.Severities.LowLow)
	severity(&c.Severities.Low, o.Severities.Low)
	severity(&c.Severities.High, o.Severities.High)
	severity(&c.Severities.HighHigh, o.Severities.HighHigh)
	severity(&c.Severity, o.Severity)
	set(&c.DeadBand, o.DeadBand)
	set(&c.After, o.After)
	set(&c.OnDelay, o.OnDelay)
	set(&c.OffDelay, o.OffDelay)
	return &c
}

func either(to **float64, from *float64) {
	if from != nil {
		*to = from
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// validateOverrides checks every override as the rule that it makes.
func (r *Rule) validateOverrides(p *document.Problems, path string, plans map[string]*inspect.Plan) {
	seen := map[string]bool{}
	for i := range r.Overrides {
		o := &r.Overrides[i]
		where := fmt.Sprintf("%s.overrides[%d]", path, i)
		if len(o.Positions) == 0 {
			p.Add(where+".positions", "is missing: where is the rule different?")
		}
		for _, pos := range o.Positions {
			if seen[pos] {
				p.Add(where+".positions", "%s is there already, in an override before", pos)
			}
			seen[pos] = true
		}
		o.rule = o.over(r)
		o.rule.Positions = o.Positions
		if r.Kind == "meter" {
			p.Add(where, "a meter rule has none: its interval stands in its plan")
			continue
		}
		o.rule.validate(p, where, plans)
	}
}

// at gives the rule as it is at a position.
func (r *Rule) at(p *faultline.Position) *Rule {
	for i := range r.Overrides {
		o := &r.Overrides[i]
		if o.rule != nil && (slices.Contains(o.Positions, p.ID) || slices.Contains(o.Positions, p.Site+"/"+p.ID)) {
			return o.rule
		}
	}
	return r
}
