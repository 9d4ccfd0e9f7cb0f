package api

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

func ruleHref(name string) string { return "/rules/" + url.PathEscape(name) }

func ruleVersionHref(name string, version int) string {
	return ruleHref(name) + "/" + strconv.Itoa(version)
}

var revisionTones = map[faultline.RevisionState]string{
	faultline.RevisionDraft: "warning", faultline.RevisionTested: "info", faultline.RevisionLive: "normal", faultline.RevisionRetired: "no_data",
}

func revisionPill(s faultline.RevisionState) console.Pill {
	return console.Pill{Tone: revisionTones[s], Text: console.Word(string(s))}
}

func (s *Server) versionRow(c *call, r *faultline.Revision) console.RuleVersionRow {
	m := console.Maker{Now: c.now, Location: s.location}
	return console.RuleVersionRow{Version: r.Version, Href: ruleVersionHref(r.Name, r.Version), By: r.By, Note: r.Note, At: m.At(r.At), State: revisionPill(r.State)}
}

func (s *Server) ruleRow(c *call, d *RuleDocument) console.RuleListRow {
	row := console.RuleListRow{Name: d.Name, Title: d.Name, Href: ruleHref(d.Name), Live: d.Live, State: console.Pill{Tone: "no_data", Text: console.Text("Not in force")}}
	if d.Live > 0 {
		row.State = revisionPill(faultline.RevisionLive)
	}
	if d.Summary != nil {
		row.Title, row.Kind, row.AssetKind, row.FailureMode, row.ISO = d.Summary.Title, d.Summary.Kind, d.Summary.AssetKind, d.Summary.FailureMode, d.Summary.ISO14224
		if row.Title == "" {
			row.Title = d.Name
		}
		if d.Summary.Disabled {
			row.State = console.Pill{Tone: "no_data", Text: console.Text("Switched off")}
		}
	}
	if len(d.Versions) > 0 && d.Versions[0].Version != d.Live {
		v := s.versionRow(c, &d.Versions[0])
		row.Newest = &v
	}
	return row
}

func (s *Server) rulesPage(c *call) (any, error) {
	list, err := s.ruleDocuments(c)
	if err != nil {
		return nil, err
	}
	var v console.Rules
	for i := range list {
		v.Rows = append(v.Rows, s.ruleRow(c, &list[i]))
	}
	return framed{shell: s.shell(c, "rules", "Rules", "rule", 0), view: v}, nil
}

// newRule is what a rule begins with that is written in the console.
const newRule = `rules:
  - id: %s
    title: What people read
    kind: threshold
    asset_kind: pump
    point: discharge_pressure
    limits: {high: 10}
    dead_band: 0.5
    on_delay: 10s
    off_delay: 60s
    failure_mode: other
    family: other
    suggest: remote
    check:
      - What to look at first.
tests:
  - name: a limit that is passed
    assets: [{position: P-1, profile: sim-pump}]
    series: {discharge_pressure: "5x20 11x20"}
    expect:
      - {at: 19s, alarms: []}
`

func (s *Server) rulePage(c *call) (any, error) {
	name := c.Param("document")
	if name == "new" && c.Query("name") != "" { // the form on the list of rules
		name = c.Query("name")
		if err := faultline.CheckName("rule", name); err != nil {
			return nil, err
		}
		return redirect(ruleHref(name)), nil
	}
	return s.showRule(c, name, nil, console.Notice{})
}

// showRule shows a rule, with what was entered if that was refused.
func (s *Server) showRule(c *call, name string, entered *RuleDraft, n console.Notice) (any, error) {
	d, err := s.oneRule(c, name)
	fresh := errors.Is(err, faultline.ErrNotFound) && faultline.CheckName("rule", name) == nil
	if err != nil && !fresh {
		return nil, err
	}
	d.Name = name
	v := console.Rule{Row: s.ruleRow(c, &d), New: fresh, NewestNumber: d.Newest, Body: fmt.Sprintf(newRule, name)}
	if !fresh {
		shown := d.Live
		if len(d.Versions) > 0 && (shown == 0 || d.Versions[0].State == faultline.RevisionDraft || d.Versions[0].State == faultline.RevisionTested) {
			shown = d.Newest
		}
		r, err := c.store.Revision(c.Request.Context(), faultline.DocumentRules, name, shown)
		if err != nil {
			return nil, err
		}
		v.Body, v.Shown = r.Body, shown
	}
	if entered != nil {
		v.Body, v.Note, v.NewestNumber = entered.Body, entered.Note, entered.Newest
	}
	for i := range d.Versions {
		v.Versions = append(v.Versions, s.versionRow(c, &d.Versions[i]))
	}
	m := console.Maker{Now: c.now, Location: s.location}
	for _, e := range d.History {
		v.History = append(v.History, console.RuleVersionRow{Version: e.Version, By: e.By, Note: e.Note, At: m.At(e.At), State: revisionPill(e.State)})
	}
	if sum := d.Summary; sum != nil {
		v.Facts = []console.Fact{{Name: "Kind", Text: console.Word(sum.Kind)}, {Name: "Equipment", Text: console.Word(sum.AssetKind)}, {Name: "Point", Text: console.Word(sum.Point)},
			{Name: "Failure mode", Text: console.Word(sum.FailureMode)}, {Name: "ISO 14224", Text: sum.ISO14224}}
	}
	f := framed{shell: console.Shell{Section: "rules", Title: v.Row.Title, Notice: n}, view: v}
	if n.Bad {
		f.code = 400
	}
	return f, nil
}

// complaint makes a notice of an error with several lines.
func complaint(c *call, err error) (console.Notice, error) {
	n, fault := c.refused(err)
	if fault != nil {
		return n, fault
	}
	if list := strings.Split(n.Text, "\n"); len(list) > 1 {
		n.Text, n.Items = console.Text("This is not a rule yet"), list
	}
	return n, nil
}

func (s *Server) ruleForm(c *call) (any, error) {
	name := c.Param("document")
	newest, err := formInteger(c, "newest")
	if err != nil {
		return nil, err
	}
	d := RuleDraft{Body: c.PostForm("body"), Note: strings.TrimSpace(c.PostForm("note")), Newest: newest}
	r, err := s.draftRule(c, name, &d)
	if err != nil {
		n, fault := complaint(c, err)
		if fault != nil {
			return nil, err
		}
		return s.showRule(c, name, &d, n)
	}
	return s.back(ruleVersionHref(name, r.Version), console.Notice{Text: console.Text("Saved as version %d, a draft", r.Version)}), nil
}

func (s *Server) ruleVersionPage(c *call) (any, error) { return s.showRuleVersion(c, nil) }

func (s *Server) showRuleVersion(c *call, tested *RuleTests) (any, error) {
	r, err := s.ruleVersion(c)
	if err != nil {
		return nil, err
	}
	d, err := s.oneRule(c, r.Name)
	if err != nil {
		return nil, err
	}
	v := console.RuleVersion{Name: r.Name, Title: r.Name, Href: ruleHref(r.Name), Row: s.versionRow(c, &r), Live: d.Live,
		MayEnable: r.State == faultline.RevisionTested || r.State == faultline.RevisionRetired && wasLive(&d, r.Version), Back: r.State == faultline.RevisionRetired, MayEnd: r.State != faultline.RevisionRetired}
	with := d.Live
	if with == r.Version || with == 0 {
		with = r.Version - 1
	}
	var changes Diff
	if with > 0 {
		if changes, err = s.ruleDiff(c, &r, with); err != nil {
			return nil, err
		}
	} else {
		changes = diff(r.Body, r.Body, 0, r.Version)
	}
	v.Compared, v.Added, v.Removed = with, changes.Added, changes.Removed
	for _, l := range changes.Lines {
		v.Lines = append(v.Lines, console.DiffRow{Class: map[string]string{"+": "new", "-": "gone"}[l.Op], Op: l.Op, Text: l.Text})
	}
	var kind string
	if s.workshop != nil {
		if sum, err := s.workshop.Check(r.Name, r.Body); err == nil {
			v.Tests, kind = sum.Tests, sum.AssetKind
			if sum.Title != "" {
				v.Title = sum.Title
			}
		}
	}
	if tested != nil {
		for _, t := range tested.Tests {
			pill := console.Pill{Tone: "normal", Text: console.Text("Passed")}
			if !t.OK {
				pill = console.Pill{Tone: "critical", Text: console.Text("Failed")}
			}
			v.Tested = append(v.Tested, console.TestRow{Name: t.Name, Pill: pill})
		}
		v.Problems = tested.Problems
	}
	content, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	for i := range content.positions {
		if p := &content.positions[i]; p.Kind == kind || kind == "*" {
			v.Assets = append(v.Assets, console.Option{Value: p.Site + "/" + p.ID, Text: strings.TrimSpace(p.ID + " " + p.Name + " (" + p.Site + ")")})
		}
	}
	for _, days := range []int{1, 7, 30, 90, 365} {
		v.Days = append(v.Days, console.Option{Value: strconv.Itoa(days), Text: console.Text("the last %d days", days), Chosen: days == 7})
	}
	return framed{shell: s.shell(c, "rules", v.Title, "", 0), view: v}, nil
}

// wasLive tells whether a version was in force once.
func wasLive(d *RuleDocument, version int) bool {
	for _, e := range d.History {
		if e.Version == version && e.State == faultline.RevisionLive {
			return true
		}
	}
	return false
}

func (s *Server) ruleTestForm(c *call) (any, error) {
	t, err := s.testRule(c)
	if err != nil {
		n, fault := complaint(c, err)
		if fault != nil {
			return nil, err
		}
		return s.back(strings.TrimSuffix(c.Request.URL.EscapedPath(), "/test"), n), nil
	}
	return s.showRuleVersion(c, &t.Tests)
}

func (s *Server) ruleMoveForm(move func(*call, *RuleMove) (faultline.Revision, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		live, err := formInteger(c, "live")
		if err != nil {
			return nil, err
		}
		r, err := move(c, &RuleMove{Note: strings.TrimSpace(c.PostForm("note")), Live: &live})
		to := ruleVersionHref(c.Param("document"), 0)
		to = strings.TrimSuffix(to, "0") + url.PathEscape(c.Param("version"))
		if err != nil {
			n, fault := complaint(c, err)
			if fault != nil {
				return nil, err
			}
			return s.back(to, n), nil
		}
		text := console.Text("Version %d is in force within two seconds", r.Version)
		if r.State == faultline.RevisionRetired {
			text = console.Text("Version %d is out of use", r.Version)
		}
		return s.back(to, console.Notice{Text: text}), nil
	}
}

func (s *Server) backtestForm(c *call) (any, error) {
	days, err := formInteger(c, "days")
	if err != nil {
		return nil, err
	}
	site, position, _ := strings.Cut(c.PostForm("asset"), "/")
	t, err := s.startBacktest(c, &BacktestRequest{Site: site, Position: position, From: c.now.AddDate(0, 0, -days)})
	if err != nil {
		n, fault := complaint(c, err)
		if fault != nil {
			return nil, err
		}
		return s.back(strings.TrimSuffix(c.Request.URL.EscapedPath(), "/backtest"), n), nil
	}
	return redirect("/backtests/" + t.ID), nil
}

func (s *Server) backtestPage(c *call) (any, error) {
	t, err := s.backtest(c)
	if err != nil {
		return nil, err
	}
	m := console.Maker{Now: c.now, Location: s.location}
	v := console.Backtest{Rule: t.Rule, Href: ruleVersionHref(t.Rule, t.Version), Asset: t.Position, AssetHref: assetHref(t.Site, t.Position), From: m.At(t.From), To: m.At(t.To),
		Done: t.Done, Percent: int(100 * t.Part), Error: t.Error}
	shell := console.Shell{Section: "rules", Title: "Back-test of " + t.Rule}
	if !t.Done {
		shell = s.shell(c, "rules", shell.Title, "backtest", time.Second)
	}
	if r := t.Report; r != nil {
		v.Used, v.Notes, v.Samples, v.Took, v.Raised, v.Were, v.Tickets = r.Used, r.Notes, r.Samples, fmt.Sprintf("%.1f s", r.Took), len(r.Alarms), len(r.Were), r.Tickets
		row := func(a *BacktestAlarm, was console.Pill) console.BacktestRow {
			lasted := console.Text("active at the end")
			if !a.Cleared.IsZero() {
				lasted = console.Span(a.Cleared.Sub(a.RaisedAt))
			}
			return console.BacktestRow{At: m.At(a.RaisedAt), Lasted: lasted, Why: a.Why, Ticket: a.Ticket, Severity: console.SeverityPill(a.Severity), Was: was}
		}
		for i := range r.Alarms {
			a := &r.Alarms[i]
			was := console.Pill{Tone: "info", Text: console.Text("New")}
			if a.Both {
				was = console.Pill{Tone: "normal", Text: console.Text("Was raised")}
			}
			b := row(a, was)
			if a.Picture {
				b.Image = base + "/backtests/" + t.ID + "/pictures/" + strconv.Itoa(i+1)
			}
			v.Rows = append(v.Rows, b)
		}
		for i := range r.Were {
			if a := &r.Were[i]; !a.Both {
				v.Missed++
				v.Rows = append(v.Rows, row(a, console.Pill{Tone: "warning", Text: console.Text("Only really")}))
			}
		}
	}
	return framed{shell: shell, view: v}, nil
}
