package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// fakeWorkshop takes every body that says so.
type fakeWorkshop struct {
	release chan struct{} // back-tests wait for it
}

func (fakeWorkshop) Check(name, body string) (RuleSummary, error) {
	if !strings.Contains(body, "rules:") {
		return RuleSummary{}, invalid("%s:1: no rule\n%s:2: no title", name, name)
	}
	return RuleSummary{Title: "Title of " + name, Kind: "threshold", AssetKind: "*", FailureMode: "bearing_damage", ISO14224: "VIB vibration", Tests: strings.Count(body, "test")}, nil
}

func (w fakeWorkshop) Test(_ context.Context, _, body string) (RuleTests, error) {
	if strings.Contains(body, "wrong") {
		return RuleTests{Failed: 1, Tests: []RuleTest{{"a limit", false}}, Problems: []string{"line 9: no alarm <b>"}}, nil
	}
	return RuleTests{Passed: 1, Tests: []RuleTest{{"a limit", true}}}, nil
}

func (w fakeWorkshop) Backtest(ctx context.Context, _, body string, p faultline.Position, from, to time.Time, progress func(float64)) (BacktestReport, error) {
	progress(0.5)
	select {
	case <-w.release:
	case <-ctx.Done():
		return BacktestReport{}, ctx.Err()
	}
	return BacktestReport{Used: "readings as they were", First: from, Last: to, Samples: 7, Tickets: 1, Notes: []string{"a note"},
		Alarms:   []BacktestAlarm{{RaisedAt: from, Severity: faultline.SeverityWarning, Why: "hot <i>", Ticket: "T-000001", Both: true, Picture: true}},
		Were:     []BacktestAlarm{{RaisedAt: from, Both: true}, {RaisedAt: to, Why: "missed"}},
		Pictures: map[int][]byte{0: []byte("<svg/>")}}, nil
}

// The life of a rule's version over the API: written, tested, in force, rolled back; and what is refused.
func TestRuleDocuments(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Workshop = fakeWorkshop{} })
	f.populate(t)
	const path = "/api/v1/rule-documents/hot"
	refuse := func(method, path, body string, code int, words string) {
		t.Helper()
		if a := f.do(method, path, body); a.code != code || !strings.Contains(a.body, words) {
			t.Errorf("%s %s: %d %s, want %d with %q", method, path, a.code, a.body, code, words)
		}
	}
	refuse("GET", path, "", 404, "hot")
	refuse("POST", path+"/versions", `{"body":"nothing","newest":0}`, 400, "no title")
	refuse("POST", path+"%20x/versions", `{"body":"rules: test","newest":0}`, 400, "rule")
	v := decode[faultline.Revision](t, f.do("POST", path+"/versions", `{"body":"rules:\n test 1\n","note":"first","newest":0}`))
	if v.Version != 1 || v.State != faultline.RevisionDraft || v.By != "local" || v.Note != "first" {
		t.Errorf("%+v", v)
	}
	refuse("POST", path+"/versions", `{"body":"rules:\n test 2\n","newest":0}`, 409, "version 1 by local")
	refuse("POST", path+"/versions", `{"body":"rules:\n test 1\n","newest":1}`, 400, "nothing was changed")
	refuse("POST", path+"/versions/1/live", `{}`, 422, "tests must pass first")
	refuse("POST", path+"/versions/0/live", `{}`, 404, "version")
	tested := decode[RuleTested](t, f.do("POST", path+"/versions/1/test", ""))
	if tested.Version.State != faultline.RevisionTested || tested.Tests.Passed != 1 {
		t.Errorf("%+v", tested)
	}
	refuse("POST", path+"/versions/1/live", `{"live":4}`, 409, "no version is live")
	if v := decode[faultline.Revision](t, f.do("POST", path+"/versions/1/live", `{"live":0,"note":"go"}`)); v.State != faultline.RevisionLive {
		t.Errorf("%+v", v)
	}
	decode[faultline.Revision](t, f.do("POST", path+"/versions", `{"body":"rules:\n wrong test 2\n","newest":1}`))
	if tested := decode[RuleTested](t, f.do("POST", path+"/versions/2/test", "")); tested.Version.State != faultline.RevisionDraft || tested.Tests.Failed != 1 {
		t.Errorf("a draft whose test fails: %+v", tested)
	}
	d := decode[Diff](t, f.get(path+"/versions/2/diff"))
	if d.From != 1 || d.To != 2 || d.Added != 1 || d.Removed != 1 || len(d.Lines) != 3 {
		t.Errorf("%+v", d)
	}
	decode[faultline.Revision](t, f.do("POST", path+"/versions", `{"body":"rules:\n test 3\n","newest":2}`))
	decode[RuleTested](t, f.do("POST", path+"/versions/3/test", ""))
	decode[faultline.Revision](t, f.do("POST", path+"/versions/3/live", `{"live":1}`))
	decode[faultline.Revision](t, f.do("POST", path+"/versions/1/live", `{"live":3,"note":"3 was worse"}`)) // back
	doc := decode[RuleDocument](t, f.get(path))
	if doc.Live != 1 || doc.Newest != 3 || doc.Summary == nil || doc.Summary.Title != "Title of hot" || len(doc.History) != 10 || doc.History[0].Note != "3 was worse" {
		t.Errorf("%+v", doc)
	}
	decode[faultline.Revision](t, f.do("POST", path+"/versions/1/retire", `{"live":1}`))
	list := decode[Page[RuleDocument]](t, f.get("/api/v1/rule-documents"))
	if len(list.Items) != 1 || list.Items[0].Live != 0 {
		t.Errorf("%+v", list)
	}

	none := newFixture(t)
	if a := none.do("POST", path+"/versions", `{"body":"rules: test","newest":0}`); a.code != http.StatusNotImplemented {
		t.Errorf("without a workshop: %d %s", a.code, a.body)
	}
}

// The same on pages, up to the back-test with its pictures.
func TestRulePages(t *testing.T) {
	release := make(chan struct{})
	f := newFixture(t, func(o *Options) { o.Workshop = fakeWorkshop{release} })
	f.populate(t)
	page := func(path string, words ...string) string {
		t.Helper()
		a := f.get(path)
		for _, w := range words {
			if a.code != 200 || !strings.Contains(a.body, w) {
				t.Errorf("%s: %d, does not say %q", path, a.code, w)
			}
		}
		for _, bad := range []string{" style=", "<no value>", "%!", "<i>", "<b>"} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
		return a.body
	}
	page("/rules", "There are no rules yet")
	if a := f.get("/rules/new?name=hot"); a.code != http.StatusSeeOther || a.header.Get("Location") != "/rules/hot" {
		t.Errorf("a new rule: %d %s", a.code, a.header.Get("Location"))
	}
	page("/rules/hot", "Write it", "id: hot")
	a := f.form("/rules/hot", "newest=0&body="+url.QueryEscape("nothing <b>"))
	if a.code != 400 || !strings.Contains(a.body, "no title") || !strings.Contains(a.body, "nothing &lt;b&gt;") {
		t.Errorf("a mistake: %d", a.code)
	}
	follow := func(a answered, want string) {
		t.Helper()
		to, _, _ := strings.Cut(a.header.Get("Location"), "?")
		if a.code != http.StatusSeeOther || to != want {
			t.Errorf("%d to %q, want %q", a.code, to, want)
		}
	}
	follow(f.form("/rules/hot", "newest=0&note=why&body="+url.QueryEscape("rules:\r\n test\r\n")), "/rules/hot/1")
	page("/rules/hot/1", "Play them", "A draft can be enabled when its tests have passed", "Title of hot")
	if a := f.form("/rules/hot/1/test", "x=1"); a.code != 200 || !strings.Contains(a.body, "Passed") || !strings.Contains(a.body, "Enable") {
		t.Errorf("tests: %d", a.code)
	}
	follow(f.form("/rules/hot/1/live", "live=0&note=go"), "/rules/hot/1")
	follow(f.form("/rules/hot", "newest=1&body="+url.QueryEscape("rules:\n wrong test\n")), "/rules/hot/2")
	page("/rules/hot/2", "What it changes against version 1", "1 line new, 1 line gone")
	if a := f.form("/rules/hot/2/test", "x=1"); a.code != 200 || !strings.Contains(a.body, "Failed") || !strings.Contains(a.body, "line 9: no alarm &lt;b&gt;") {
		t.Errorf("tests that fail: %d", a.code)
	}
	page("/rules", "Title of hot", "ISO 14224: VIB vibration", "version 2")

	started := f.form("/rules/hot/2/backtest", "asset=plant-3/P-101&days=7")
	at := started.header.Get("Location")
	if started.code != http.StatusSeeOther || !strings.HasPrefix(at, "/backtests/") {
		t.Fatalf("back-test: %d %q", started.code, at)
	}
	if a := f.form("/rules/hot/2/backtest", "asset=plant-3/P-101&days=7"); a.code != http.StatusSeeOther || strings.HasPrefix(a.header.Get("Location"), "/backtests/") {
		t.Errorf("a second back-test at once: %d %q", a.code, a.header.Get("Location"))
	}
	page(at, "<progress")
	close(release)
	f.backtests.run.Wait()
	page(at, "hot &lt;i&gt;", "Was raised", "Only really", "readings as they were", "a note")
	if a := f.get("/api/v1" + at + "/pictures/1"); a.code != 200 || a.body != "<svg/>" {
		t.Errorf("picture: %d %s", a.code, a.body)
	}
	if a := f.get("/api/v1" + at + "/pictures/2"); a.code != 404 {
		t.Errorf("a picture that is not there: %d", a.code)
	}
	report := decode[Backtest](t, f.get("/api/v1"+at))
	if !report.Done || report.Report == nil || report.Report.Samples != 7 || report.Version != 2 {
		t.Errorf("%+v", report)
	}
}

func TestDiff(t *testing.T) {
	show := func(d Diff) string {
		var b strings.Builder
		for _, l := range d.Lines {
			b.WriteString(l.Op + l.Text + "|")
		}
		return b.String()
	}
	for _, c := range []struct{ old, new, want string }{
		{"", "a\nb\n", "+a|+b|"},
		{"a\nb\n", "a\nb\n", " a| b|"},
		{"a\nb\nc\n", "a\nc\nd\n", " a|-b| c|+d|"},
		{"a\n", "", "-a|"},
		{"x\na\ny\n", "a\n", "-x| a|-y|"},
	} {
		if got := show(diff(c.old, c.new, 1, 2)); got != c.want {
			t.Errorf("%q to %q: %s, want %s", c.old, c.new, got, c.want)
		}
	}
	long := strings.Repeat("a\nb\n", 2000)
	if d := diff("x\n"+long+"y\n", "z\n"+strings.ReplaceAll(long, "a", "c")+"q\n", 1, 2); d.Added != 4002 || d.Removed != 4002 {
		t.Errorf("%d added, %d removed", d.Added, d.Removed)
	}
}
