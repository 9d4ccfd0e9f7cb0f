package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// Workshop reads, tests and back-tests the documents of rules. It is safe for concurrent use.
type Workshop interface {
	// Check reads a document; an error that wraps faultline.ErrInvalid lists every mistake, one a line.
	Check(name, body string) (RuleSummary, error)
	// Test plays the tests that stand in the document, over the rules that are live.
	Test(ctx context.Context, name, body string) (RuleTests, error)
	// Backtest tries the rule on the past of a position; progress hears the part that is done, 0 to 1.
	Backtest(ctx context.Context, name, body string, p faultline.Position, from, to time.Time, progress func(part float64)) (BacktestReport, error)
}

type documents interface {
	Revision(ctx context.Context, kind, name string, version int) (faultline.Revision, error)
	LiveRevisions(ctx context.Context, kind string) ([]faultline.Revision, error)
	Revisions(ctx context.Context, kind, name string) ([]faultline.Revision, error)
	RevisionEvents(ctx context.Context, kind, name string) ([]faultline.RevisionEvent, error)
	AddRevision(ctx context.Context, r faultline.Revision, newest int) (faultline.Revision, error)
	MoveRevision(ctx context.Context, e faultline.RevisionEvent, live int) (faultline.Revision, error)
}

// RuleSummary is what a rule's document says, in short.
type RuleSummary struct {
	Title       string `json:"title"`
	Kind        string `json:"kind"`
	AssetKind   string `json:"asset_kind"`
	Point       string `json:"point,omitempty"`
	FailureMode string `json:"failure_mode"`
	ISO14224    string `json:"iso14224,omitempty" about:"the failure mode's term there, if our list has one"`
	Disabled    bool   `json:"disabled,omitempty"`
	Tests       int    `json:"tests"`
}

// RuleTests is what became of a rule's tests.
type RuleTests struct {
	Passed   int        `json:"passed"`
	Failed   int        `json:"failed"`
	Tests    []RuleTest `json:"tests"`
	Problems []string   `json:"problems,omitempty" about:"what is not as expected, with its line"`
}

// RuleTest is one of them.
type RuleTest struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

// RuleDocument is a rule with its versions.
type RuleDocument struct {
	Name     string                    `json:"name"`
	Live     int                       `json:"live" about:"the version in force; 0: none"`
	Newest   int                       `json:"newest"`
	Summary  *RuleSummary              `json:"summary,omitempty" about:"of the live version, or the newest if none is; left out if it cannot be read"`
	Versions []faultline.Revision      `json:"versions" about:"the newest first, without bodies"`
	History  []faultline.RevisionEvent `json:"history,omitempty" about:"the newest first"`
}

// RuleDraft is the request to write a new version of a rule.
type RuleDraft struct {
	Body   string `json:"body" about:"a rule file with this one rule, and its tests"`
	Note   string `json:"note,omitempty" about:"why"`
	Newest int    `json:"newest" about:"the newest version that the writer saw; 0: none"`
}

// RuleMove is the request to put a version in force or to take it out of force.
type RuleMove struct {
	Note string `json:"note,omitempty" about:"why"`
	Live *int   `json:"live,omitempty" about:"the version that the caller saw in force, 0 for none; left out: any"`
}

// RuleTested is a version with what became of its tests.
type RuleTested struct {
	Version faultline.Revision `json:"version"`
	Tests   RuleTests          `json:"tests"`
}

const longestNote = 500

var errNoWorkshop = &status{http.StatusNotImplemented, "rules cannot be edited here"}

// ruleRoutes are those of rules as documents.
func (s *Server) ruleRoutes() []route {
	const path = base + "/rule-documents"
	at := path + "/:document/versions/:version"
	post := func(path, summary string, request, response any, handle func(*call) (any, error)) route {
		return route{method: http.MethodPost, path: path, tag: tagPlans, summary: summary, role: engineer, whole: true, request: request, response: response, slow: true, handle: handle}
	}
	get := func(path, summary string, response any, handle func(*call) (any, error), params ...param) route {
		return route{method: http.MethodGet, path: path, tag: tagPlans, summary: summary, role: viewer, response: response, handle: handle, params: params}
	}
	return []route{
		get(path, "Rules as documents in versions", Page[RuleDocument]{}, s.listRuleDocuments),
		get(path+"/:document", "One rule with its versions and history", RuleDocument{}, s.getRuleDocument),
		get(at, "One version with its body", faultline.Revision{}, s.getRuleVersion),
		get(at+"/diff", "What a version changes", Diff{}, s.getRuleDiff, param{name: "with", about: "version to compare with; the live one unless given", kind: "integer"}),
		post(path+"/:document/versions", "Write a new version, as a draft", RuleDraft{}, faultline.Revision{}, s.postRuleDraft),
		post(at+"/test", "Play the tests of a version; a draft that passes is tested", struct{}{}, RuleTested{}, s.postRuleTest),
		post(at+"/live", "Put a tested version in force, or an older one again; it is in force a second or two later", RuleMove{}, faultline.Revision{}, s.postRuleLive),
		post(at+"/retire", "Take a version out of force, or give a draft up", RuleMove{}, faultline.Revision{}, s.postRuleRetire),
		post(at+"/backtest", "Try a version on the past of a position; its progress and report are at the address in the answer", BacktestRequest{}, Backtest{}, s.postBacktest),
		get(base+"/backtests/:backtest", "Progress or report of a back-test", Backtest{}, s.getBacktest),
		{method: http.MethodGet, path: base + "/backtests/:backtest/pictures/:n", tag: tagPlans, summary: "Picture of an alarm that would have been raised; n counts from 1", role: viewer, media: mediaSVG, handle: s.backtestPicture},
	}
}

func (s *Server) ruleDocument(c *call, name string, versions []faultline.Revision) RuleDocument {
	d := RuleDocument{Name: name, Versions: versions}
	for i := range versions {
		d.Newest = max(d.Newest, versions[i].Version)
		if versions[i].State == faultline.RevisionLive {
			d.Live = versions[i].Version
		}
	}
	shown := d.Live
	if shown == 0 {
		shown = d.Newest
	}
	if r, err := c.store.Revision(c.Request.Context(), faultline.DocumentRules, name, shown); err == nil && s.workshop != nil {
		if sum, err := s.workshop.Check(name, r.Body); err == nil {
			d.Summary = &sum
		}
	}
	return d
}

func (s *Server) ruleDocuments(c *call) ([]RuleDocument, error) {
	all, err := c.store.Revisions(c.Request.Context(), faultline.DocumentRules, "")
	if err != nil {
		return nil, err
	}
	list := []RuleDocument{}
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].Name == all[i].Name {
			j++
		}
		list = append(list, s.ruleDocument(c, all[i].Name, all[i:j]))
		i = j
	}
	return list, nil
}

func (s *Server) listRuleDocuments(c *call) (any, error) {
	list, err := s.ruleDocuments(c)
	if err != nil {
		return nil, err
	}
	return whole(list), nil
}

func (s *Server) oneRule(c *call, name string) (RuleDocument, error) {
	versions, err := c.store.Revisions(c.Request.Context(), faultline.DocumentRules, name)
	if err != nil {
		return RuleDocument{}, err
	}
	if name == "" || len(versions) == 0 {
		return RuleDocument{}, fmt.Errorf("%w: rule %s", faultline.ErrNotFound, name)
	}
	d := s.ruleDocument(c, name, versions)
	d.History, err = c.store.RevisionEvents(c.Request.Context(), faultline.DocumentRules, name)
	return d, err
}

func (s *Server) getRuleDocument(c *call) (any, error) {
	return s.oneRule(c, c.Param("document"))
}

// ruleVersion reads the version that the path names.
func (s *Server) ruleVersion(c *call) (faultline.Revision, error) {
	v, err := strconv.Atoi(c.Param("version"))
	if err != nil || v < 1 {
		return faultline.Revision{}, fmt.Errorf("%w: version %q", faultline.ErrNotFound, c.Param("version"))
	}
	return c.store.Revision(c.Request.Context(), faultline.DocumentRules, c.Param("document"), v)
}

func (s *Server) getRuleVersion(c *call) (any, error) { return s.ruleVersion(c) }

// ruleDiff compares a version with another, 0 being the live one; where none is live, with nothing.
func (s *Server) ruleDiff(c *call, r *faultline.Revision, with int) (Diff, error) {
	old, err := c.store.Revision(c.Request.Context(), faultline.DocumentRules, r.Name, with)
	if errors.Is(err, faultline.ErrNotFound) && with == 0 {
		err = nil
	}
	if err != nil {
		return Diff{}, err
	}
	return diff(old.Body, r.Body, old.Version, r.Version), nil
}

func (s *Server) getRuleDiff(c *call) (any, error) {
	with, err := c.integer("with", 0, 1, 1<<30)
	if err != nil {
		return nil, err
	}
	r, err := s.ruleVersion(c)
	if err != nil {
		return nil, err
	}
	return s.ruleDiff(c, &r, with)
}

func (s *Server) draftRule(c *call, name string, d *RuleDraft) (faultline.Revision, error) {
	if s.workshop == nil {
		return faultline.Revision{}, errNoWorkshop
	}
	if err := faultline.CheckName("rule", name); err != nil {
		return faultline.Revision{}, err
	}
	if err := checkText("note", d.Note, 0, longestNote); err != nil {
		return faultline.Revision{}, err
	}
	d.Body = strings.ReplaceAll(d.Body, "\r\n", "\n") // as forms send it
	if _, err := s.workshop.Check(name, d.Body); err != nil {
		return faultline.Revision{}, err
	}
	if was, err := c.store.Revision(c.Request.Context(), faultline.DocumentRules, name, d.Newest); d.Newest > 0 && err == nil && was.Body == d.Body {
		return faultline.Revision{}, invalid("nothing was changed: version %d says the same", d.Newest)
	}
	return c.store.AddRevision(c.Request.Context(), faultline.Revision{Kind: faultline.DocumentRules, Name: name, By: c.by, At: c.now, Note: d.Note, Body: d.Body}, d.Newest)
}

func (s *Server) postRuleDraft(c *call) (any, error) {
	var d RuleDraft
	if err := c.readJSON(&d); err != nil {
		return nil, err
	}
	return s.draftRule(c, c.Param("document"), &d)
}

// testRule plays the tests of a version. A draft whose tests pass becomes tested.
func (s *Server) testRule(c *call) (RuleTested, error) {
	if s.workshop == nil {
		return RuleTested{}, errNoWorkshop
	}
	r, err := s.ruleVersion(c)
	if err != nil {
		return RuleTested{}, err
	}
	tests, err := s.workshop.Test(c.Request.Context(), r.Name, r.Body)
	if err != nil {
		return RuleTested{}, err
	}
	if r.State == faultline.RevisionDraft && tests.Failed == 0 && tests.Passed > 0 && len(tests.Problems) == 0 {
		r, err = s.moveRule(c, &r, faultline.RevisionTested, fmt.Sprintf("%d tests passed", tests.Passed), nil)
	}
	r.Body = ""
	return RuleTested{r, tests}, err
}

func (s *Server) postRuleTest(c *call) (any, error) { return s.testRule(c) }

func (s *Server) moveRule(c *call, r *faultline.Revision, to faultline.RevisionState, note string, live *int) (faultline.Revision, error) {
	if err := checkText("note", note, 0, longestNote); err != nil {
		return *r, err
	}
	saw := store.AnyVersion
	if live != nil {
		saw = *live
	}
	moved, err := c.store.MoveRevision(c.Request.Context(), faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: r.Version, State: to, By: c.by, At: c.now, Note: note}, saw)
	if err != nil {
		return *r, err
	}
	_ = s.live.PublishEvent(faultline.Event{Topic: "rule", ID: r.Name, At: c.now, Text: fmt.Sprintf("version %d is %s", r.Version, to)}) // pages look again when they reconnect
	return moved, nil
}

// enableRule puts a version in force: one whose tests have passed, or one that was in force before.
func (s *Server) enableRule(c *call, m *RuleMove) (faultline.Revision, error) {
	r, err := s.ruleVersion(c)
	if err != nil {
		return r, err
	}
	if r.State == faultline.RevisionDraft {
		return r, fmt.Errorf("%w: version %d is a draft: its tests must pass first", faultline.ErrRefused, r.Version)
	}
	if s.workshop != nil {
		if _, err := s.workshop.Check(r.Name, r.Body); err != nil {
			return r, err
		}
	}
	return s.moveRule(c, &r, faultline.RevisionLive, m.Note, m.Live)
}

func (s *Server) retireRule(c *call, m *RuleMove) (faultline.Revision, error) {
	r, err := s.ruleVersion(c)
	if err != nil {
		return r, err
	}
	return s.moveRule(c, &r, faultline.RevisionRetired, m.Note, m.Live)
}

func (s *Server) postRuleLive(c *call) (any, error) {
	var m RuleMove
	if err := c.readJSON(&m); err != nil {
		return nil, err
	}
	return s.enableRule(c, &m)
}

func (s *Server) postRuleRetire(c *call) (any, error) {
	var m RuleMove
	if err := c.readJSON(&m); err != nil {
		return nil, err
	}
	return s.retireRule(c, &m)
}
