package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
)

func (s *Server) listAlarms(c *call) (any, error) {
	limit, offset, err := c.paging()
	if err != nil {
		return nil, err
	}
	open, err := c.boolean("open")
	if err != nil {
		return nil, err
	}
	rows, total, err := s.alarmsIn(c, store.AlarmFilter{Site: c.Query("site"), Position: c.Query("position"), OnlyOpen: open != nil && *open, Limit: limit, Offset: offset}, c.Query("state"))
	if err != nil {
		return nil, err
	}
	out := make([]Alarm, len(rows))
	for i := range rows {
		out[i] = Alarm{rows[i], rows[i].State(c.now)}
	}
	return cut(out, total, limit, offset), nil
}

// alarm finds the alarm that the path names.
func (s *Server) alarm(c *call) (faultline.Alarm, error) {
	return c.store.Alarm(c.Request.Context(), faultline.AlarmID(c.Param("site"), c.Param("position"), c.Param("rule")))
}

func (s *Server) getAlarm(c *call) (any, error) {
	a, err := s.alarm(c)
	if err != nil {
		return nil, err
	}
	return Alarm{a, a.State(c.now)}, nil
}

func (s *Server) listAlarmEvents(c *call) (any, error) {
	limit, err := c.integer("limit", 100, 1, pageLimit)
	if err != nil {
		return nil, err
	}
	a, err := s.alarm(c)
	if err != nil {
		return nil, err
	}
	events, err := c.store.AlarmEvents(c.Request.Context(), a.ID, limit)
	if err != nil {
		return nil, err
	}
	return whole(events), nil
}

// send puts a command into the stream and tells what became of it. What rules refuse is a refusal.
func (s *Server) send(c *call, cmd faultline.Command) (Result, error) {
	ctx := c.Request.Context()
	if cmd.ID == "" {
		cmd.ID = rand.Text()
	}
	c.note(commandWords(&cmd))
	r, err := s.commands.Send(ctx, cmd)
	switch {
	case errors.Is(err, bus.ErrPending):
		return Result{ID: cmd.ID, Pending: true, Message: "taken; it will be carried out as soon as the rules role reads it"}, nil
	case err != nil:
		return Result{}, fmt.Errorf("send command %s for %s/%s: %w", cmd.Verb, cmd.Site, cmd.Position, err)
	case !r.OK:
		return Result{}, fmt.Errorf("%w: %s", faultline.ErrRefused, r.Message)
	}
	if r.Message == "" {
		r.Message = "done"
	}
	return Result{ID: cmd.ID, Message: r.Message}, nil
}

// commandWords says for the audit what was asked of rules.
func commandWords(cmd *faultline.Command) string {
	words := []string{cmd.Verb, strings.Trim(cmd.Site+"/"+cmd.Position+"/"+cmd.Rule, "/")}
	if cmd.Plan != "" {
		words = append(words, "plan "+cmd.Plan)
	}
	if !cmd.Until.IsZero() {
		words = append(words, "until "+cmd.Until.UTC().Format(time.RFC3339))
	}
	if cmd.Reason != "" {
		words = append(words, "because: "+short(cmd.Reason))
	}
	return strings.Join(words, " ")
}

// pending answers 202 for what is still to come.
func pending(r Result) any {
	if r.Pending {
		return answer{http.StatusAccepted, r}
	}
	return r
}

func (s *Server) acknowledge(c *call, reason string) (Result, error) {
	if err := checkText("reason", reason, 0, maxText); err != nil {
		return Result{}, err
	}
	a, err := s.alarm(c)
	if err != nil {
		return Result{}, err
	}
	if a.Acked && a.Count > 0 {
		return Result{Message: "acknowledged already by " + a.AckedBy}, nil
	}
	return s.send(c, faultline.Command{Verb: faultline.VerbAcknowledge, At: c.now, By: c.by, Site: a.Site, Position: a.Position, Rule: a.Rule, Reason: reason})
}

func (s *Server) postAcknowledge(c *call) (any, error) {
	var req Acknowledge
	if err := c.readJSON(&req); err != nil {
		return nil, err
	}
	r, err := s.acknowledge(c, req.Reason)
	return pending(r), err
}

func (s *Server) testAlarm(c *call, reason string) (Result, error) {
	if err := checkText("reason", reason, 0, maxText); err != nil {
		return Result{}, err
	}
	p, err := s.position(c)
	if err != nil {
		return Result{}, err
	}
	return s.send(c, faultline.Command{Verb: faultline.VerbTestAlarm, At: c.now, By: c.by, Site: p.Site, Position: p.ID, Reason: reason})
}

func (s *Server) postTestAlarm(c *call) (any, error) {
	var req TestAlarm
	if err := c.readJSON(&req); err != nil {
		return nil, err
	}
	r, err := s.testAlarm(c, req.Reason)
	return pending(r), err
}
