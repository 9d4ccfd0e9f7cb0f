package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/chart"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/backtest"
	stories "github.com/faultline-iot/faultline/rules/story"
)

// workshop is where the api has rules read, tested and back-tested.
type workshop struct {
	base     *rules.Set // its plans, and its rules where the store has none
	profiles *profile.Set
	store    *store.Store
	series   *tsdb.Router
}

func (w *workshop) Check(name, body string) (api.RuleSummary, error) {
	r, err := rules.Written(w.base, name, 1, body)
	if err != nil {
		return api.RuleSummary{}, unreadable(err)
	}
	var content struct {
		Rules []any `yaml:"rules"`
		Tests []any `yaml:"tests"`
	}
	if _, err := document.Decode(name, []byte(body), &content); err != nil {
		return api.RuleSummary{}, unreadable(err)
	}
	return api.RuleSummary{Title: r.Title, Kind: r.Kind, AssetKind: r.AssetKind, Point: r.Point, FailureMode: r.FailureMode,
		ISO14224: faultline.FailureModes[r.FailureMode].ISO14224, Disabled: r.Disabled, Tests: len(content.Tests)}, nil
}

// unreadable says that it is the writer's mistake.
func unreadable(err error) error {
	if errors.Is(err, faultline.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", faultline.ErrInvalid, err)
}

// live gives the rules in force; those that cannot be read are left out.
func (w *workshop) live(ctx context.Context) (*rules.Set, error) {
	docs, err := w.store.LiveRevisions(ctx, faultline.DocumentRules)
	if err != nil || len(docs) == 0 {
		return w.base, err
	}
	set, err := w.base.Only()
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if r, err := rules.Written(w.base, d.Name, d.Version, d.Body); err == nil {
			set = set.With(r)
		}
	}
	return set, nil
}

func (w *workshop) Test(ctx context.Context, name, body string) (api.RuleTests, error) {
	out := api.RuleTests{Tests: []api.RuleTest{}}
	sum, err := w.Check(name, body)
	if err != nil {
		return out, err
	}
	if sum.Tests == 0 {
		out.Problems = []string{"the document has no tests: write at least one under tests, so that it is known what the rule must do"}
		return out, nil
	}
	set, err := w.live(ctx)
	if err != nil {
		return out, err
	}
	story, err := stories.Load(name, []byte(body), stories.Env{
		Rules: func([]string) (*rules.Set, error) { return set, nil },
		Profile: func(_ []string, name string) (string, []faultline.Point, error) {
			p, err := w.profiles.Get(name)
			if err != nil {
				return "", nil, err
			}
			return p.Kind, p.DomainPoints(), nil
		},
	})
	if err != nil {
		return out, unreadable(err)
	}
	err = story.Run(ctx, nil, func(r stories.Result) {
		out.Tests = append(out.Tests, api.RuleTest{Name: r.Name, OK: r.OK})
		if r.OK {
			out.Passed++
		} else {
			out.Failed++
		}
	})
	var different *document.Errors
	if errors.As(err, &different) {
		for _, p := range different.List {
			out.Problems = append(out.Problems, fmt.Sprintf("line %d: %s", p.Line, p.Text))
		}
		return out, nil
	}
	return out, err
}

// drawnAlarms is how many alarms of a back-test have a picture.
const drawnAlarms = 60

func (w *workshop) Backtest(ctx context.Context, name, body string, p faultline.Position, from, to time.Time, progress func(float64)) (api.BacktestReport, error) {
	r, err := rules.Written(w.base, name, 1, body)
	if err != nil {
		return api.BacktestReport{}, unreadable(err)
	}
	only, err := w.base.Only()
	if err != nil {
		return api.BacktestReport{}, err
	}
	set := only.With(r)
	condensed := to.Sub(from) > longestRaw
	points := set.Watched(&p)
	o := backtest.Options{Set: set, Position: p, From: from, To: to, Pictures: drawnAlarms,
		Source:   backtest.NewInflux(w.series, p, points[:min(len(points), 200)], condensed),
		Progress: func(at time.Time) { progress(float64(at.Sub(from)) / float64(to.Sub(from))) }}
	report, err := backtest.Run(ctx, o)
	if err != nil {
		return api.BacktestReport{}, err
	}
	were, err := backtest.Activations(ctx, w.store, p.Site, p.ID, report.Rules)
	if err != nil {
		return api.BacktestReport{}, err
	}
	report.Compare(were)
	if condensed {
		report.Notes = append(report.Notes, "more than 31 days: condensed data were taken, in which what lasts less than a minute cannot be seen")
	}
	if until, err := w.series.MadeUpUntil(ctx, p.Kind, p.Site, p.ID); err == nil && until.After(from) {
		report.Notes = append(report.Notes, "history up to "+stamp(until)+" is made up for a demonstration")
	}
	return shownReport(report), nil
}

func shownReport(r *backtest.Report) api.BacktestReport {
	out := api.BacktestReport{Used: r.Used, Notes: r.Notes, First: r.First, Last: r.Last, Samples: r.Samples, Tickets: len(r.Tickets), Took: r.Took,
		Alarms: []api.BacktestAlarm{}, Were: []api.BacktestAlarm{}, Pictures: map[int][]byte{}}
	shown := func(a *backtest.Activation) api.BacktestAlarm {
		return api.BacktestAlarm{RaisedAt: a.RaisedAt, Cleared: a.Cleared, Severity: a.Severity, Why: a.Why, Ticket: a.Ticket, Both: a.Was}
	}
	for i := range r.Alarms {
		a := shown(&r.Alarms[i])
		if e := r.Alarms[i].Evidence; e != nil && len(e.Samples) > 0 {
			c := chart.FromEvidence(e, time.UTC)
			c.Standalone, c.Width, c.Height = true, 640, 200
			a.Picture, out.Pictures[i] = true, c.SVG()
		}
		out.Alarms = append(out.Alarms, a)
	}
	for i := range r.Were {
		out.Were = append(out.Were, shown(&r.Were[i]))
	}
	slices.SortFunc(out.Were, func(a, b api.BacktestAlarm) int { return cmp.Compare(a.RaisedAt.UnixNano(), b.RaisedAt.UnixNano()) })
	return out
}
