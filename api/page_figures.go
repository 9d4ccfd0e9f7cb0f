package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

var (
	figureSpans = []string{"1", "7", "30", "90"}
	deskSpans   = []string{"7", "30", "90", "365"}
)

// figureChoice reads what a page of figures is about; what it does not know is the usual.
func (s *Server) figureChoice(c *call, b *contents, spans []string) (console.FigureChoice, store.FigureFilter) {
	days := c.Query("days")
	if !slices.Contains(spans, days) {
		days = strconv.Itoa(figureDays)
	}
	n, _ := strconv.Atoi(days)
	f := store.FigureFilter{Site: c.Query("site"), From: c.now.AddDate(0, 0, -n), To: c.now, MadeUp: c.Query("origin") == "made_up"}
	name := func(v string) string {
		if v == "1" {
			return console.Text("24 hours")
		}
		return console.Text("%s days", v)
	}
	origin := ""
	if f.MadeUp {
		origin = "made_up"
	}
	v := console.FigureChoice{Sites: siteOptions(b, f.Site), Days: options("", spans, days, name)[1:],
		Origin: options("Real", []string{"made_up"}, origin, func(string) string { return console.Text("Made-up history") }), MadeUp: f.MadeUp}
	return v, f
}

func (s *Server) figuresPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	v := console.Figures{}
	var f store.FigureFilter
	v.Choice, f = s.figureChoice(c, &b, figureSpans)
	figures, err := s.figuresOf(c, f)
	if err != nil {
		return nil, err
	}
	m, k := s.rows(c, &b), &figures.Total
	v.Tiles = figureTiles(k)
	for i := range figures.Sites {
		v.Rows = append(v.Rows, figureRow(m.siteName(figures.Sites[i].Site), &figures.Sites[i].Figures))
	}
	for i := range k.Top {
		a := &k.Top[i]
		row := console.ActorRow{Title: a.Title, Count: a.Count, Share: percent(a.Share), Standing: a.Standing, Chattering: a.Chattering, Do: a.Do}
		if site, position, rule, ok := faultline.SplitAlarmID(a.Alarm); ok {
			row.Href, row.Asset = alarmHref(site, position, rule), m.asset(site, position)
		}
		if row.Title == "" {
			row.Title = a.Alarm
		}
		v.Top = append(v.Top, row)
	}
	return framed{shell: console.Shell{Section: "figures", Title: "Figures of alarms"}, view: v}, nil
}

// verdictOptions are offered for tickets that a rule opened; nil for others.
func verdictOptions(t *faultline.Ticket, chosen string) []console.Option {
	if t.Kind != faultline.TicketFault || t.Rule == "" || t.Test {
		return nil
	}
	return options("No verdict", faultline.Verdicts, chosen, console.Verdict)
}

// percent with a digit where it is small.
func percent(share float64) string {
	if p := 100 * share; p > 0 && p < 10 {
		return fmt.Sprintf("%.1f %%", p)
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

func figureTiles(k *faultline.AlarmKPIs) []console.Tile {
	tone := func(bad bool) string {
		if bad {
			return "critical"
		}
		return "normal"
	}
	some := func(n int) string {
		if n > 0 {
			return "warning"
		}
		return "normal"
	}
	return []console.Tile{
		{Name: "Alarms a day", Figure: strconv.FormatFloat(k.PerDay, 'f', 1, 64), Tone: tone(k.PerDay > faultline.AlarmsPerDay),
			Note: console.Text("%d in all; target: at most %d a day", k.Alarms, faultline.AlarmsPerDay)},
		{Name: "Alarms in 10 minutes", Figure: strconv.FormatFloat(k.Per10Min, 'f', 2, 64), Tone: tone(k.Peak > faultline.FloodAlarms),
			Note: console.Text("at most %d in one window", k.Peak)},
		{Name: "Time in flood", Figure: percent(k.FloodShare), Tone: tone(k.FloodShare >= faultline.FloodShareTarget),
			Note: console.Text("%d of %d windows with more than %d alarms; target: under %s", k.Floods, k.Windows, faultline.FloodAlarms, percent(faultline.FloodShareTarget))},
		{Name: "Standing over 24 h", Figure: strconv.Itoa(k.Standing), Tone: some(k.Standing), Note: console.Text("active without a break")},
		{Name: "Chattering", Figure: strconv.Itoa(k.Chattering), Tone: some(k.Chattering), Note: console.Text("alarms that came again and again")},
		{Name: "Severity mix", Figure: percent(severe(k)), Unit: console.Text("critical"), Tone: "info", Parts: mixParts(k), Note: console.Text("%d more were kept from people", k.Muted)},
	}
}

// severe is the share of critical alarms.
func severe(k *faultline.AlarmKPIs) float64 {
	if k.Alarms == 0 {
		return 0
	}
	return float64(k.Mix[faultline.SeverityCritical]) / float64(k.Alarms)
}

func mixParts(k *faultline.AlarmKPIs) (out []console.TilePart) {
	for _, sev := range []faultline.Severity{faultline.SeverityCritical, faultline.SeverityWarning, faultline.SeverityAdvisory} {
		if k.Mix[sev] > 0 {
			out = append(out, console.TilePart{Pill: console.SeverityPill(sev), Count: k.Mix[sev]})
		}
	}
	return out
}

func figureRow(site string, k *faultline.AlarmKPIs) console.FigureRow {
	r := console.FigureRow{Site: site, Alarms: k.Alarms, PerDay: strconv.FormatFloat(k.PerDay, 'f', 1, 64), Peak: k.Peak, Floods: k.Floods, FloodShare: percent(k.FloodShare),
		Standing: k.Standing, Chattering: k.Chattering, Muted: k.Muted, Met: console.Pill{Tone: "normal", Text: console.Text("Met")}}
	if !k.Met {
		r.Met = console.Pill{Tone: "critical", Text: console.Text("Missed")}
	}
	var mix []string
	for _, p := range mixParts(k) {
		mix = append(mix, fmt.Sprintf("%d %s", p.Count, strings.ToLower(p.Text)))
	}
	r.Mix = strings.Join(mix, ", ")
	return r
}

func (s *Server) scorecardPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	choice, f := s.figureChoice(c, &b, figureSpans)
	f.MadeUp = false // it is left out of scorecards
	card, err := s.scorecard(c, f)
	if err != nil {
		return nil, err
	}
	documents, err := c.store.LiveRevisions(c.Request.Context(), faultline.DocumentRules)
	if err != nil {
		return nil, err
	}
	v := console.Scorecard{Choice: choice}
	v.Choice.Origin, v.Choice.MadeUp = nil, false
	for i := range card.Rules {
		row := scoreRow(&card.Rules[i])
		row.Href = documentHref(documents, row.Rule)
		v.Rows = append(v.Rows, row)
	}
	return framed{shell: console.Shell{Section: "figures", Title: "Scorecard of rules"}, view: v}, nil
}

func scoreRow(r *faultline.Score) console.ScoreRow {
	row := console.ScoreRow{Rule: r.Rule, Kind: r.AssetKind, Tickets: r.Tickets, PerMonth: strconv.FormatFloat(r.PerMonth, 'f', 1, 64), Nuisance: percent(r.Nuisance), Judged: r.Judged, Propose: r.Propose}
	for _, change := range r.Changes {
		row.Changes = append(row.Changes, change.String())
	}
	if r.Improvement != "" {
		row.Improvement = console.Link{Text: r.Improvement, Href: "/tickets/" + r.Improvement}
	}
	if r.Precision != nil {
		row.Precision = percent(*r.Precision)
	}
	if r.Lead > 0 {
		row.Lead = console.Span(r.Lead)
	}
	for _, v := range []struct {
		n    int
		name string
	}{{r.True, faultline.VerdictTrue}, {r.False, faultline.VerdictFalse}, {r.TooLate, faultline.VerdictTooLate}, {r.TooEarly, faultline.VerdictTooEarly}} {
		if v.n > 0 {
			row.Verdicts = append(row.Verdicts, fmt.Sprintf("%d × %s", v.n, strings.ToLower(console.Verdict(v.name))))
		}
	}
	return row
}

// documentHref leads to the document of a rule; a rule on each point has the point's name after that of its document.
func documentHref(documents []faultline.Revision, rule string) string {
	name := ""
	for i := range documents {
		if d := documents[i].Name; (d == rule || strings.HasPrefix(rule, d+"-")) && len(d) > len(name) {
			name = d
		}
	}
	if name == "" {
		return ""
	}
	return ruleHref(name)
}
