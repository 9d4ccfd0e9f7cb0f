package api

import (
	"html/template"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/chart"
	"github.com/faultline-iot/faultline/internal/store"
)

func (s *Server) ticketsPage(c *call) (any, error) {
	ctx := c.Request.Context()
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	at := offset(c)
	f := store.TicketFilter{Site: c.Query("site"), Text: c.Query("text"), Limit: pageRows, Offset: at}
	show, origin, kind, st := c.Query("show"), c.Query("origin"), c.Query("kind"), c.Query("status")
	yes, no := true, false
	switch show {
	case "all":
	case "ended":
		f.Open = &no
	default:
		show = "open"
		if st == "" { // a status says itself whether it is open
			f.Open = &yes
		}
	}
	switch origin {
	case "real":
		f.MadeUp, f.Test = &no, &no
	case "made_up":
		f.MadeUp = &yes
	case "test":
		f.Test = &yes
	}
	if slices.Contains(ticketKinds, kind) {
		f.Kind = []faultline.TicketKind{faultline.TicketKind(kind)}
	}
	if slices.Contains(statuses, st) {
		f.Status = []faultline.Status{faultline.Status(st)}
	}
	list, total, err := c.store.Tickets(ctx, f)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	names := map[string]string{"open": "Open", "ended": "Ended", "all": "All", "real": "Real", "made_up": "Made-up history", "test": "Test alarms"}
	name := func(v string) string { return console.Text(names[v]) }
	v := console.Tickets{
		Text: f.Text, Sites: siteOptions(&b, f.Site), Kinds: options("All kinds", ticketKinds, kind, word), Statuses: options("Any status", statuses, st, word),
		Shown: options("", []string{"open", "ended", "all"}, show, name)[1:], Origin: options("Any origin", []string{"real", "made_up", "test"}, origin, name),
		Rows: m.tickets(list), Pager: pager(c, total, pageRows, at, "tickets"),
	}
	return framed{shell: s.shell(c, "tickets", "Tickets", "ticket", 0), view: v}, nil
}

func (s *Server) ticketPage(c *call) (any, error) {
	return s.showTicket(c, console.Entered{}, console.Notice{}, http.StatusOK)
}

// showTicket makes the page of a ticket, with what was entered into a form that was refused.
func (s *Server) showTicket(c *call, entered console.Entered, notice console.Notice, code int) (any, error) {
	ctx := c.Request.Context()
	t, err := s.ticket(c)
	if err != nil {
		return nil, err
	}
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	events, err := c.store.TicketEvents(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	evidence, err := c.store.Evidence(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	alarms, err := s.alarmsOf(c, &t)
	if err != nil {
		return nil, err
	}
	rules, err := c.store.RuleInstances(ctx, t.Site, t.Position)
	if err != nil {
		return nil, err
	}
	plans, err := c.store.Plans(ctx)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	v := console.Ticket{
		Row: m.ticket(&t), Dashboard: s.dashboard(b.position[place{t.Site, t.Position}], t.ReceivedAt), Action: ticketHref(t.Number), Version: t.Version, Why: t.Text, Reasons: faultline.CancelReasons,
		Verdicts: verdictOptions(&t, entered.Verdict), Fault: t.Kind == faultline.TicketFault, NeedsNormal: !normal(&t, alarms), Coverage: t.Coverage, CoveragePill: console.CoveragePill(t.Coverage), Until: m.At(t.Coverage.Until),
		Stages: stages(&t), Moves: moveForms(&t), Facts: m.ticketFacts(&t), Alarms: m.alarms(alarms, ticketHref(t.Number)), Resolution: m.resolutionFacts(&t),
		CommentKinds: options("", commentKinds, entered.CommentKind, word)[1:],
	}
	for i := range evidence {
		v.Evidence = append(v.Evidence, m.evidence(&t, &evidence[i], i+1))
	}
	if len(v.Evidence) > 0 && v.Evidence[0].Why != "" { // its sentence is the page's
		v.Why, v.Text = v.Evidence[0].Why, t.Text
		v.Evidence[0].Why = ""
	}
	for _, r := range rules {
		if r.Rule == t.Rule {
			v.Check = r.Check
		}
	}
	for _, p := range plans {
		if p.ID == t.Plan {
			v.Jobs = p.Jobs
		}
	}
	v.Text = withoutRepeats(v.Text, v.Why, slices.Concat(v.Check, v.Jobs))
	for i := range alarms {
		if !alarms[i].Acked {
			v.Unacked++
		}
	}
	k := t.Clocks(b.service(&t), c.now)
	for _, d := range []*console.Due{m.Due("First response", k.Response), m.Due("Solution or diagnosis", k.Answer), m.Due("Promised solution", k.Promise), m.Due("Next update to the customer", k.Update)} {
		if d != nil {
			v.Clocks = append(v.Clocks, d)
		}
	}
	for _, p := range k.Promises {
		v.Promises = append(v.Promises, console.PromiseRow{Told: m.At(p.ToldAt), Expected: m.At(p.Expected), Text: p.Text, Broken: p.Broken})
	}
	if v.Amend, err = s.amendView(c, &b, &t, entered); err != nil {
		return nil, err
	}
	for i := len(events) - 1; i >= 0; i-- {
		v.History = append(v.History, m.history(&events[i]))
	}
	v.Entered, v.Missing = known(&t, entered), t.Gate(faultline.Resolution{}, true)

	shell := s.shell(c, "tickets", t.Number+" "+t.Title, "ticket alarm inspection", 0)
	shell.Href, shell.Notice = ticketHref(t.Number), notice
	return framed{shell: shell, view: v, code: code}, nil
}

// withoutRepeats leaves out of a ticket's text the lines that the page shows already: why it was raised,
// and what to check.
func withoutRepeats(text, why string, check []string) string {
	plain := func(s string) string {
		s = strings.TrimLeft(s, "0123456789. -\t")
		return strings.ToLower(strings.TrimSpace(strings.TrimRight(s, ". ")))
	}
	var left []string
	for _, line := range strings.Split(text, "\n") {
		p := plain(line)
		repeated := p == plain(why) || len(check) > 0 && p == "to check:" || slices.ContainsFunc(check, func(c string) bool { return plain(c) == p })
		if !repeated {
			left = append(left, line)
		}
	}
	return strings.TrimSpace(strings.Join(left, "\n"))
}

// known fills the form in with what is known already.
func known(t *faultline.Ticket, e console.Entered) console.Entered {
	if e.To != string(faultline.StatusResolved) {
		e.FailureMode = t.FailureMode
		if t.Rule != "" {
			e.Detection = "rule " + t.Rule
		}
	}
	if r := &t.Resolution; e.To == "" && r.Outcome != faultline.OutcomeSolved { // what a report of ours said already
		e.Mechanism, e.Cause = r.Mechanism, r.Cause
	}
	return e
}

// stages of the usual way, and where the ticket stands.
func stages(t *faultline.Ticket) []console.Stage {
	way := []faultline.Status{faultline.StatusNew, faultline.StatusTriaged, faultline.StatusInProgress, faultline.StatusResolved, faultline.StatusClosed}
	switch t.Status {
	case faultline.StatusScheduled:
		way = slices.Insert(way, 2, t.Status)
	case faultline.StatusWaitingParts, faultline.StatusWaitingCustomer:
		at := 3
		if i := slices.Index(way, t.WaitingFrom); i >= 0 {
			at = i + 1
		}
		way = slices.Insert(way, at, t.Status)
	case faultline.StatusCancelled:
		way = []faultline.Status{faultline.StatusNew, faultline.StatusCancelled}
	}
	here := slices.Index(way, t.Status)
	out := make([]console.Stage, len(way))
	for i, st := range way {
		out[i] = console.Stage{Text: console.Word(st), Done: i < here, Current: i == here}
	}
	return out
}

// moveForms are the allowed moves, the usual next one first.
func moveForms(t *faultline.Ticket) []console.MoveForm {
	verbs := map[faultline.Status]string{
		faultline.StatusTriaged: "Triage", faultline.StatusScheduled: "Schedule a visit", faultline.StatusInProgress: "Begin the repair", faultline.StatusWaitingCustomer: "Wait for the customer",
		faultline.StatusWaitingParts: "Wait for parts", faultline.StatusResolved: "Resolve", faultline.StatusClosed: "Close, confirmed by the customer", faultline.StatusCancelled: "Cancel",
	}
	usual := map[faultline.Status]faultline.Status{
		faultline.StatusNew: faultline.StatusTriaged, faultline.StatusTriaged: faultline.StatusInProgress, faultline.StatusScheduled: faultline.StatusInProgress, faultline.StatusInProgress: faultline.StatusResolved,
		faultline.StatusWaitingCustomer: faultline.StatusInProgress, faultline.StatusWaitingParts: faultline.StatusInProgress, faultline.StatusResolved: faultline.StatusClosed,
	}
	if t.Kind == faultline.TicketInspection {
		verbs[faultline.StatusInProgress] = "Begin the work"
	}
	next := usual[t.Status]
	if t.Status == faultline.StatusWaitingCustomer && t.WaitingFrom != "" {
		next = t.WaitingFrom
	}
	var out []console.MoveForm
	for _, to := range t.Moves() {
		f := console.MoveForm{To: string(to), Verb: verbs[to], Main: to == next, Resolve: to == faultline.StatusResolved, Cancel: to == faultline.StatusCancelled}
		switch {
		case t.Reports(to):
			f.Report, f.Verb = true, "Not solved yet: report and plan on"
		case t.Status == faultline.StatusResolved && to == faultline.StatusInProgress:
			f.Verb, f.Hint = "Reopen", "why"
		case t.Status == faultline.StatusWaitingCustomer || t.Status == faultline.StatusWaitingParts:
			if to == faultline.StatusInProgress {
				f.Verb = "Go on"
			}
		case to == faultline.StatusTriaged:
			f.Hint = "who takes it, remote or on site, likely cause"
		case to == faultline.StatusScheduled:
			f.Hint = "when and who"
		case to == faultline.StatusWaitingParts:
			f.Hint, f.Promise = "which parts", t.HasClocks()
		case to == faultline.StatusWaitingCustomer:
			f.Hint = "what for"
		case to == faultline.StatusInProgress:
			f.Hint = "note"
		}
		if f.Verb == "" {
			f.Verb = console.Word(to)
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b console.MoveForm) int {
		rank := func(f console.MoveForm) int {
			switch {
			case f.Main:
				return 0
			case f.Cancel:
				return 2
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	return out
}

func (m *rows) ticketFacts(t *faultline.Ticket) []console.Fact {
	asset := m.asset(t.Site, t.Position)
	began := "Raised"
	if t.Kind == faultline.TicketInspection {
		began = "Due since"
	}
	facts := []console.Fact{
		{Name: "Asset", Text: asset.Text, Href: asset.Href}, fact("Site", m.siteName(t.Site)), fact("Serial number", t.Serial), fact("Kind", console.Word(t.Kind)), fact("Maintenance", console.Word(t.Maintenance)),
		fact("Suggested", console.Word(t.Suggest)), fact("Failure mode", console.Word(t.FailureMode)), m.when(began, t.EventAt), m.when("Received", t.ReceivedAt),
	}
	if t.Rule != "" {
		facts = append(facts, fact("Rule", console.Text("%s, version %d", t.Rule, t.RuleVersion)))
	}
	if t.Plan != "" {
		facts = append(facts, fact("Plan", console.Text("%s, cycle %d", t.Plan, t.Cycle)))
	}
	if !t.RecoveredAt.IsZero() {
		facts = append(facts, m.when("Back to normal", t.RecoveredAt))
	}
	if t.Assignee != "" {
		facts = append(facts, fact("Assigned to", t.Assignee))
	}
	if t.Earlier != "" {
		facts = append(facts, console.Fact{Name: "Same fault before", Text: t.Earlier, Href: ticketHref(t.Earlier)})
	}
	if t.CancelReason != "" {
		facts = append(facts, fact("Cancelled", console.Word(t.CancelReason)))
	}
	return facts
}

func (m *rows) resolutionFacts(t *faultline.Ticket) []console.Fact {
	r := &t.Resolution
	var out []console.Fact
	for _, f := range []console.Fact{
		fact("Outcome", console.Word(r.Outcome)), fact("Its alarm was", console.Verdict(r.Verdict)), fact("Failure mode", console.Word(r.FailureMode)), fact("Found by", r.Detection), fact("Mechanism", r.Mechanism), fact("Cause", r.Cause),
		fact("Functional test", r.FunctionalTest), fact("Though not normal", r.NormalReason), fact("Words for the customer", r.Words),
		fact("Next plan", r.NextPlan), fact("Who", r.Owner), fact("Until", day(r.NextAt, m.Location)),
	} {
		if f.Text != "" {
			out = append(out, f)
		}
	}
	return out
}

func (m *rows) evidence(t *faultline.Ticket, e *faultline.Evidence, n int) console.EvidenceView {
	picture := chart.FromEvidence(e, m.Location)
	picture.Height = 220
	v := console.EvidenceView{Why: e.Why, Rule: e.Rule, Version: e.RuleVersion, At: m.At(e.At), Began: m.At(e.BeganAt), SVG: template.HTML(picture.SVG()), File: pictureURL(t.Number, n)} // chart escapes all text
	point := &faultline.Point{Name: e.Point, Unit: e.Unit}
	if p := m.position[place{t.Site, t.Position}]; p != nil {
		if known := findPoint(p, e.Point); known != nil {
			point = known
		}
	}
	v.Point = titleOf(point)
	v.Moment = map[string]string{"meter": console.Text("due since"), "test": console.Text("test")}[e.Kind]
	if v.Moment == "" {
		v.Moment = console.Text("raised")
	}
	v.Caption = console.Text("Samples up to the moment that raised it")
	if n := len(e.Samples); n > 0 && e.Samples[n-1].At.After(e.At) {
		v.Caption = console.Text("Samples up to the moment that raised it, and after it")
	}
	marked := false
	for _, sample := range slices.Backward(e.Samples) {
		row := console.SampleRow{At: sample.At.In(m.Location).Format("15:04:05.000"), Value: sample.Text, Quality: console.QualityPill(sample.Quality)}
		switch {
		case sample.Value != nil:
			row.Value = showValue(point, typed(point, *sample.Value))
			v.Good++
		case sample.Text != "":
			v.Good++
		default:
			row.Value = "–"
			v.Bad++
		}
		if !marked && !sample.At.After(e.At) {
			row.Mark, marked = v.Moment, true
		}
		v.Samples = append(v.Samples, row)
	}
	return v
}

// typed gives a number of evidence the type that its point has.
func typed(p *faultline.Point, v float64) faultline.Value {
	switch {
	case p.Type == faultline.TypeInt && v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return faultline.Int(int64(v))
	case p.Type == faultline.TypeBool:
		return faultline.Bool(v != 0)
	}
	return faultline.Float(v)
}

// moved is one end of a change as people read it.
func (m *rows) moved(kind, v string) string {
	if at, err := time.Parse(time.RFC3339, v); err == nil && (kind == faultline.EventPromise || kind == faultline.EventReceived) {
		return m.At(at).Clock
	}
	if kind == faultline.EventAssigned || kind == faultline.EventContract {
		return v
	}
	return console.Word(v)
}

func (m *rows) history(e *faultline.TicketEvent) console.HistoryRow {
	r := console.HistoryRow{At: m.At(e.At), By: e.By, Kind: console.Word(e.Kind), Text: e.Text}
	if e.From != "" || e.To != "" {
		r.Move = strings.TrimSpace(m.moved(e.Kind, e.From) + " → " + m.moved(e.Kind, e.To))
	}
	switch e.Kind {
	case faultline.EventResponse, faultline.EventPromise, faultline.EventSolution, faultline.EventDiagnosis:
		r.Tone = "customer"
	case faultline.EventRecovered:
		r.Tone = "good"
	case faultline.EventOpened, faultline.EventRepeated, faultline.EventJoined:
		r.Tone = "hot"
	}
	return r
}
