package api

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/sheet"
)

var evaluationNames = map[string]string{"site": "Site", "customer": "Customer", "product": "Product", "team": "Team", "month": "Month"}

func (s *Server) evaluationPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	q := deskQuery{by: c.Query("by")}
	if !slices.Contains(evaluationGroups, q.by) {
		q.by = evaluationGroups[0]
	}
	v := console.Evaluation{By: options("", evaluationGroups, q.by, func(g string) string { return console.Text(evaluationNames[g]) })[1:]}
	v.Choice, q.FigureFilter = s.figureChoice(c, &b, deskSpans)
	e, err := s.evaluate(c, q)
	if err != nil {
		return nil, err
	}
	v.Tiles = evaluationTiles(&e.Total)
	if e.Total.Received > 0 {
		for i := range e.Groups {
			v.Rows = append(v.Rows, evaluationView(e.Groups[i].Group, &e.Groups[i].Evaluation))
		}
		total := evaluationView(console.Text("All"), &e.Total)
		total.Total = true
		v.Rows = append(v.Rows, total)
	}
	ask := url.Values{"by": {q.by}, "days": {strconv.Itoa(int(q.To.Sub(q.From).Hours() / 24))}}
	if q.Site != "" {
		ask.Set("site", q.Site)
	}
	if q.MadeUp {
		ask.Set("made_up", "true")
	}
	for _, f := range sheet.Formats {
		ask.Set("format", f)
		v.Exports = append(v.Exports, console.Link{Href: base + "/evaluation/export?" + ask.Encode(), Text: map[string]string{sheet.CSV: console.Text("As CSV"), sheet.XLSX: console.Text("As XLSX")}[f]})
	}
	if operator.heldBy(c.who.role) {
		v.Improve = "/tickets/new?kind=" + string(faultline.TicketImprovement) + "&site=" + url.QueryEscape(q.Site)
	}
	return framed{shell: console.Shell{Section: "figures", Title: "Figures of the desk"}, view: v}, nil
}

func evaluationView(name string, e *faultline.Evaluation) console.EvaluationRow {
	of := func(n, all int) string {
		if all == 0 {
			return ""
		}
		return fmt.Sprintf("%s, %d/%d", percent(float64(n)/float64(all)), n, all)
	}
	work := e.Corrective + e.Predetermined + e.ConditionBased
	return console.EvaluationRow{Name: cmp.Or(name, "–"), Received: e.Received, Solved: e.Solved, Failures: e.Failures, Repeats: e.Repeats,
		Response: of(e.ResponseMet, e.ResponseMet+e.ResponseMissed), Answer: of(e.AnswerMet, e.AnswerMet+e.AnswerMissed), Promises: of(e.PromisesKept, e.PromisesKept+e.PromisesBroken),
		Solution: meanSpan(e.MeanSolution), Repair: meanSpan(e.MeanRepair), Between: meanSpan(e.MeanBetween), AtOnce: of(e.FirstTime, e.Fixed), Preventive: of(work-e.Corrective, work)}
}

// meanSpan of seconds; "" for none.
func meanSpan(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return console.Span(time.Duration(seconds * float64(time.Second)))
}

func evaluationTiles(e *faultline.Evaluation) []console.Tile {
	share := func(name string, s float64, note string, good func(float64) bool) console.Tile {
		t := console.Tile{Name: name, Figure: "–", Tone: "info", Note: note}
		if s >= 0 {
			t.Figure, t.Unit, t.Tone = strconv.FormatFloat(100*s, 'f', 0, 64), "%", "normal"
			if !good(s) {
				t.Tone = "warning"
			}
		}
		return t
	}
	all, any := func(s float64) bool { return s == 1 }, func(float64) bool { return true }
	span := func(name string, seconds float64, note string) console.Tile {
		return console.Tile{Name: name, Figure: cmp.Or(meanSpan(seconds), "–"), Tone: "info", Note: note}
	}
	return []console.Tile{
		share("Response in time", e.ResponseShare(), console.Text("%d of %d; %s on average", e.ResponseMet, e.ResponseMet+e.ResponseMissed, cmp.Or(meanSpan(e.MeanResponse), "–")), all),
		share("Solution or diagnosis in time", e.AnswerShare(), console.Text("%d of %d; %s of working time on average", e.AnswerMet, e.AnswerMet+e.AnswerMissed, cmp.Or(meanSpan(e.NetAnswer), "–")), all),
		share("Repeated failures", e.RepeatShare(), console.Text("%d of %d failures had been solved shortly before", e.Repeats, e.Failures), func(s float64) bool { return s < 0.1 }),
		share("Solved at once", e.FirstTimeShare(), console.Text("%d of %d failures solved without a second attempt", e.FirstTime, e.Fixed), func(s float64) bool { return s >= 0.7 }),
		share("Preventive work", e.PreventiveShare(), console.Text("%d corrective, %d by plan, %d by condition", e.Corrective, e.Predetermined, e.ConditionBased), any),
		span("Time to repair", e.MeanRepair, console.Text("between failures: %s", cmp.Or(meanSpan(e.MeanBetween), "–"))),
	}
}
