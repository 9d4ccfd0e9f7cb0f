package api

import (
	"strconv"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

const (
	evaluatedDays    = 30
	evaluatedTickets = 1000 // newest ones read for an evaluation
)

// DeskFigures are how the desk did. Made-up history is counted apart.
type DeskFigures struct {
	Since    time.Time            `json:"since"`
	Measured faultline.Evaluation `json:"measured"`
	MadeUp   faultline.Evaluation `json:"made_up"`
	Partial  bool                 `json:"partial,omitempty"` // there are more tickets than were read
}

func (s *Server) evaluate(c *call) (DeskFigures, error) {
	ctx, now := c.Request.Context(), c.now
	e := DeskFigures{Since: now.AddDate(0, 0, -evaluatedDays)}
	no, yes := false, true
	b, err := s.contentsFor(c)
	if err != nil {
		return e, err
	}
	for _, part := range []struct {
		madeUp *bool
		to     *faultline.Evaluation
	}{{&no, &e.Measured}, {&yes, &e.MadeUp}} {
		list, total, err := c.store.Tickets(ctx, store.TicketFilter{Test: &no, MadeUp: part.madeUp, Limit: evaluatedTickets})
		if err != nil {
			return e, err
		}
		*part.to = faultline.Evaluate(list, e.Since, b.service, now)
		e.Partial = e.Partial || total > len(list)
	}
	return e, nil
}

func (s *Server) getEvaluation(c *call) (any, error) { return s.evaluate(c) }

// deskTile says how many customers were answered in time. Without tickets of its own it shows the
// made-up ones, and says so.
func deskTile(e *DeskFigures) console.Tile {
	t := console.Tile{Name: "Answered in time, 30 days", Figure: "–", Tone: "info", Note: console.Text("no ticket has been answered yet")}
	shown, made := e.Measured, false
	if shown.ResponseMet+shown.ResponseMissed == 0 {
		shown, made = e.MadeUp, true
	}
	asked := shown.ResponseMet + shown.ResponseMissed
	if asked == 0 {
		return t
	}
	t.Figure, t.Unit = strconv.Itoa(100*shown.ResponseMet/asked), "%"
	t.Note = console.Text("%d of %d; solved in %s on average", shown.ResponseMet, asked, console.Span(time.Duration(shown.MeanSolution*float64(time.Second))))
	if made {
		t.Note = console.Text("made up: %d of %d; solved in %s on average", shown.ResponseMet, asked, console.Span(time.Duration(shown.MeanSolution*float64(time.Second))))
	}
	t.Tone = "normal"
	if shown.ResponseMissed > 0 {
		t.Tone = "warning"
	}
	return t
}
