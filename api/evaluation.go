package api

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/sheet"
	"github.com/faultline-iot/faultline/internal/store"
)

// evaluationGroups are what an evaluation can be grouped by.
var evaluationGroups = []string{"site", "customer", "product", "team", "month"}

// DeskFigures are how the desk did in a time: in total and by group.
type DeskFigures struct {
	From   time.Time                   `json:"from"`
	To     time.Time                   `json:"to"`
	By     string                      `json:"by" about:"what groups are: site, customer, product (model, or the asset kind where it is not known), team, or month of receiving"`
	MadeUp bool                        `json:"made_up,omitempty" about:"of demonstration history instead of what happened"`
	Total  faultline.Evaluation        `json:"total"`
	Groups []faultline.EvaluationGroup `json:"groups"`
}

// deskQuery is what an evaluation is asked about.
type deskQuery struct {
	store.FigureFilter
	by string
}

// deskQuery reads by, site, from, to, days and made_up.
func (c *call) deskQuery() (q deskQuery, err error) {
	if q.FigureFilter, err = c.figureFilter(); err != nil {
		return q, err
	}
	if q.To, err = c.moment("to", c.now); err != nil {
		return q, err
	}
	days := q.FigureFilter.From.Sub(c.now)
	if q.From, err = c.moment("from", q.To.Add(days)); err != nil {
		return q, err
	}
	if !q.From.Before(q.To) || q.To.Sub(q.From) > 10*longestDays*24*time.Hour {
		return q, invalid("from and to: from must come first, and at most ten years before to")
	}
	q.by = cmp.Or(c.Query("by"), evaluationGroups[0])
	return q, nil
}

func (s *Server) evaluate(c *call, q deskQuery) (DeskFigures, error) {
	ctx := c.Request.Context()
	e := DeskFigures{From: q.From, To: q.To, By: q.by, MadeUp: q.MadeUp}
	b, err := s.contentsFor(c)
	if err != nil {
		return e, err
	}
	early := q.FigureFilter
	early.From = q.From.Add(-faultline.RepeatWithin)
	tickets, err := c.store.Received(ctx, early)
	if err != nil {
		return e, err
	}
	g, err := s.grouping(c, &b, q)
	if err != nil {
		return e, err
	}
	e.Total, e.Groups = faultline.Evaluate(tickets, g.of, faultline.EvaluationFacts{From: q.From, To: q.To, Now: c.now, Terms: b.service, Positions: g.positions})
	if e.Groups == nil {
		e.Groups = []faultline.EvaluationGroup{}
	}
	return e, nil
}

// grouping says which group a ticket is of, and how many positions each has.
type grouping struct {
	of    func(*faultline.Ticket) string
	count map[string]int // "" is all
	same  bool           // every group is about all positions
}

func (g *grouping) positions(group string) int {
	if g.same {
		group = ""
	}
	return g.count[group]
}

func (s *Server) grouping(c *call, b *contents, q deskQuery) (*grouping, error) {
	g := &grouping{count: map[string]int{}}
	site := func(id string) string { return b.siteName(id) }
	customer := func(id string, p *faultline.Position) string {
		name := ""
		if p != nil {
			name = p.Asset.Customer
		}
		if k := b.site[id]; k != nil {
			name = cmp.Or(name, k.Customer)
		}
		return cmp.Or(name, "not known")
	}
	product := func(p *faultline.Position) string {
		if p == nil {
			return "no asset"
		}
		return cmp.Or(strings.TrimSpace(p.Asset.Manufacturer+" "+p.Asset.Model), p.Kind)
	}
	at := func(t *faultline.Ticket) *faultline.Position { return b.position[place{t.Site, t.Position}] }
	name := func(*faultline.Position) string { return "" }
	switch q.by {
	case "site":
		g.of = func(t *faultline.Ticket) string { return site(t.Site) }
		name = func(p *faultline.Position) string { return site(p.Site) }
	case "customer":
		g.of = func(t *faultline.Ticket) string { return customer(t.Site, at(t)) }
		name = func(p *faultline.Position) string { return customer(p.Site, p) }
	case "product":
		g.of = func(t *faultline.Ticket) string { return product(at(t)) }
		name = product
	case "team":
		teams, err := c.store.Teams(c.Request.Context())
		if err != nil {
			return nil, err
		}
		g.of = func(t *faultline.Ticket) string { return teamOf(teams, t.Assignee) }
		g.same = true
	default: // the time between failures of a month is not that of the whole time
		g.of = func(t *faultline.Ticket) string { return t.ReceivedAt.In(s.location).Format("2006-01") }
		name = nil
	}
	for i := range b.positions {
		p := &b.positions[i]
		if q.Site != "" && p.Site != q.Site {
			continue
		}
		g.count[""]++
		if name != nil && !g.same {
			g.count[name(p)]++
		}
	}
	return g, nil
}

// teamOf is the team that a ticket is assigned to, or that whoever has it is in.
func teamOf(teams []faultline.Team, assignee string) string {
	if assignee == "" {
		return "nobody"
	}
	for i := range teams {
		if teams[i].ID == assignee || slices.Contains(teams[i].Members, assignee) {
			return teams[i].Name
		}
	}
	return "no team"
}

func (s *Server) getEvaluation(c *call) (any, error) {
	q, err := c.deskQuery()
	if err != nil {
		return nil, err
	}
	return s.evaluate(c, q)
}

// exportEvaluation writes the groups and the total as a table.
func (s *Server) exportEvaluation(c *call) (any, error) {
	q, err := c.deskQuery()
	if err != nil {
		return nil, err
	}
	e, err := s.evaluate(c, q)
	if err != nil {
		return nil, err
	}
	head := []any{e.By}
	for _, k := range evaluationColumns {
		head = append(head, k.name)
	}
	rows := [][]any{head}
	for i := range e.Groups {
		rows = append(rows, evaluationRow(e.Groups[i].Group, &e.Groups[i].Evaluation))
	}
	rows = append(rows, evaluationRow("total", &e.Total))
	return c.table("evaluation-"+e.From.Format(time.DateOnly)+"-"+e.To.Format(time.DateOnly), rows)
}

// table answers with a file of the format asked for.
func (c *call) table(name string, rows [][]any) (any, error) {
	format := cmp.Or(c.Query("format"), sheet.CSV)
	var b bytes.Buffer
	if err := sheet.Write(&b, format, rows); err != nil {
		return nil, err
	}
	c.Header("Content-Disposition", `attachment; filename="`+name+"."+format+`"`)
	return file{sheet.MediaType(format), b.Bytes()}, nil
}

// evaluationColumns of the exported table. Shares are empty where there is nothing to share, and times in hours.
var evaluationColumns = []struct {
	name string
	of   func(*faultline.Evaluation) any
}{
	{"received", func(e *faultline.Evaluation) any { return e.Received }},
	{"solved", func(e *faultline.Evaluation) any { return e.Solved }},
	{"response in time", func(e *faultline.Evaluation) any { return e.ResponseMet }},
	{"response too late", func(e *faultline.Evaluation) any { return e.ResponseMissed }},
	{"response share", func(e *faultline.Evaluation) any { return shareCell(e.ResponseShare()) }},
	{"solution or diagnosis in time", func(e *faultline.Evaluation) any { return e.AnswerMet }},
	{"solution or diagnosis too late", func(e *faultline.Evaluation) any { return e.AnswerMissed }},
	{"solution or diagnosis share", func(e *faultline.Evaluation) any { return shareCell(e.AnswerShare()) }},
	{"promises kept", func(e *faultline.Evaluation) any { return e.PromisesKept }},
	{"promises broken", func(e *faultline.Evaluation) any { return e.PromisesBroken }},
	{"late P1 updates", func(e *faultline.Evaluation) any { return e.LateUpdates }},
	{"mean response h", func(e *faultline.Evaluation) any { return hours(e.MeanResponse) }},
	{"mean solution h", func(e *faultline.Evaluation) any { return hours(e.MeanSolution) }},
	{"mean net solution or diagnosis h", func(e *faultline.Evaluation) any { return hours(e.NetAnswer) }},
	{"failures", func(e *faultline.Evaluation) any { return e.Failures }},
	{"repeats", func(e *faultline.Evaluation) any { return e.Repeats }},
	{"mean time to restoration h", func(e *faultline.Evaluation) any { return hours(e.MeanRepair) }},
	{"mean time between failures h", func(e *faultline.Evaluation) any { return hours(e.MeanBetween) }},
	{"failures solved", func(e *faultline.Evaluation) any { return e.Fixed }},
	{"solved at once", func(e *faultline.Evaluation) any { return e.FirstTime }},
	{"first-time fix share", func(e *faultline.Evaluation) any { return shareCell(e.FirstTimeShare()) }},
	{"corrective", func(e *faultline.Evaluation) any { return e.Corrective }},
	{"predetermined", func(e *faultline.Evaluation) any { return e.Predetermined }},
	{"condition-based", func(e *faultline.Evaluation) any { return e.ConditionBased }},
	{"preventive share", func(e *faultline.Evaluation) any { return shareCell(e.PreventiveShare()) }},
}

func evaluationRow(name string, e *faultline.Evaluation) []any {
	row := []any{name}
	for _, k := range evaluationColumns {
		row = append(row, k.of(e))
	}
	return row
}

// shareCell is a share, nil for none.
func shareCell(share float64) any {
	if share < 0 {
		return nil
	}
	return share
}

// hours of seconds, nil for none.
func hours(seconds float64) any {
	if seconds == 0 {
		return nil
	}
	return seconds / 3600
}

// deskTiles keeps what the overview says of the desk for a moment: it is worked out from all tickets of a month.
type deskTiles struct {
	mu   sync.Mutex
	tile map[string]keptTile // by the sites of who asks
}

type keptTile struct {
	console.Tile
	at time.Time
}

const tileTime = time.Minute

func (s *Server) deskTile(c *call) (console.Tile, error) {
	scope := strings.Join(c.who.sites, "\x00")
	s.tiles.mu.Lock()
	kept := s.tiles.tile[scope]
	s.tiles.mu.Unlock()
	if !kept.at.IsZero() && c.now.Sub(kept.at) < tileTime && !kept.at.After(c.now) {
		return kept.Tile, nil
	}
	q := deskQuery{store.FigureFilter{From: c.now.AddDate(0, 0, -figureDays), To: c.now.Add(1)}, "site"}
	e, err := s.evaluate(c, q)
	if err != nil {
		return kept.Tile, err
	}
	// Without tickets of its own it shows the made-up ones, and says so.
	if e.Total.ResponseShare() < 0 {
		q.MadeUp = true
		if e, err = s.evaluate(c, q); err != nil {
			return kept.Tile, err
		}
	}
	kept = keptTile{answeredTile(&e), c.now}
	s.tiles.mu.Lock()
	defer s.tiles.mu.Unlock()
	if s.tiles.tile == nil || len(s.tiles.tile) > 1000 {
		s.tiles.tile = map[string]keptTile{}
	}
	s.tiles.tile[scope] = kept
	return kept.Tile, nil
}

// answeredTile says how many customers were answered in time.
func answeredTile(e *DeskFigures) console.Tile {
	t := console.Tile{Name: "Answered in time, 30 days", Figure: "–", Tone: "info", Note: console.Text("no ticket has been answered yet")}
	k := &e.Total
	if k.ResponseShare() < 0 {
		return t
	}
	asked := k.ResponseMet + k.ResponseMissed
	t.Figure, t.Unit = strconv.Itoa(100*k.ResponseMet/asked), "%"
	span := console.Span(time.Duration(k.MeanSolution * float64(time.Second)))
	t.Note = console.Text("%d of %d; solved in %s on average", k.ResponseMet, asked, span)
	if e.MadeUp {
		t.Note = console.Text("made up: %d of %d; solved in %s on average", k.ResponseMet, asked, span)
	}
	t.Tone = "normal"
	if k.ResponseMissed > 0 {
		t.Tone = "warning"
	}
	return t
}
