package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// Orders has gateways write, at once or not at all; *bus.Conn is one. What cannot be known is
// faultline.WriteUnknown.
type Orders interface {
	Order(ctx context.Context, site, gateway string, o faultline.WriteOrder) faultline.WriteAnswer
}

// orderTime is how long a write may take before it is sent; longer than that it is not wanted any more.
const orderTime = 10 * time.Second

// AskWrite is the request to write a point.
type AskWrite struct {
	Value  json.RawMessage `json:"value" about:"number or bool"`
	Reason string          `json:"reason" about:"why; needed"`
	ID     string          `json:"id,omitempty" about:"chosen by the caller, so that a repeated request is no second write"`
}

// DecideWrite is the request to approve, refuse or withdraw a write.
type DecideWrite struct {
	Reason string `json:"reason,omitempty"`
}

// askWrite writes a point, or has the write wait for a second person.
func (s *Server) askWrite(c *call, req AskWrite) (faultline.Write, error) {
	if err := checkText("reason", req.Reason, 1, maxText); err != nil {
		return faultline.Write{}, err
	}
	p, err := s.position(c)
	if err != nil {
		return faultline.Write{}, err
	}
	point := findPoint(p, c.Param("point"))
	switch {
	case point == nil:
		return faultline.Write{}, fmt.Errorf("%w: point %s of %s/%s", faultline.ErrNotFound, quoteShort(c.Param("point")), p.Site, p.ID)
	case point.Write == nil:
		return faultline.Write{}, fmt.Errorf("%w: %s of %s may not be written: its profile must mark it, and its gateway's configuration allow it under writes", faultline.ErrRefused, point.Name, p.ID)
	}
	if s.orders == nil {
		return faultline.Write{}, fmt.Errorf("%w: nothing is written from here", faultline.ErrRefused)
	}
	v, err := faultline.ParseValue(point.Type, req.Value)
	if err == nil {
		err = point.Write.Check(point.Type, v)
	}
	if err != nil {
		return faultline.Write{}, err
	}
	if req.ID == "" {
		req.ID = rand.Text()
	} else if err := faultline.CheckName("id", req.ID); err != nil {
		return faultline.Write{}, err
	}
	w := faultline.Write{
		ID: req.ID, Site: p.Site, Position: p.ID, Point: point.Name, Gateway: p.Gateway, Value: valueJSON(v), Unit: point.Unit, Reason: req.Reason,
		Status: faultline.WriteSending, AskedBy: c.by, AskedAt: c.now, SentAt: c.now,
	}
	if point.Write.FourEyes {
		w.Status, w.FourEyes, w.SentAt, w.ExpiresAt = faultline.WritePending, true, time.Time{}, c.now.Add(faultline.ApprovalTime)
	}
	err = c.store.AddWrite(c.Request.Context(), w, req.Reason)
	if errors.Is(err, faultline.ErrConflict) { // a repeated request is answered with what became of the first
		is, gerr := c.store.Write(c.Request.Context(), w.ID)
		if gerr == nil && is.Site == w.Site && is.Position == w.Position && is.Point == w.Point && string(is.Value) == string(w.Value) && is.AskedBy == w.AskedBy {
			return is, nil
		}
		return faultline.Write{}, fmt.Errorf("%w: there is another write with the id %s", faultline.ErrConflict, w.ID)
	}
	if err != nil {
		return faultline.Write{}, err
	}
	s.tellWrite(&w)
	if w.Status == faultline.WritePending {
		return w, nil
	}
	return s.sendWrite(c, w)
}

func valueJSON(v faultline.Value) json.RawMessage {
	b, err := json.Marshal(v.Any())
	if err != nil { // a finite number or a bool
		return json.RawMessage("null")
	}
	return b
}

// sendWrite has the gateway carry out a write whose row says that it is on its way, and keeps the outcome.
// Whoever hangs up meanwhile changes nothing.
func (s *Server) sendWrite(c *call, w faultline.Write) (faultline.Write, error) {
	ctx := context.WithoutCancel(c.Request.Context())
	a := s.orders.Order(ctx, w.Site, w.Gateway, faultline.WriteOrder{ID: w.ID, Position: w.Position, Point: w.Point, Value: w.Value, By: w.AskedBy, Approved: w.DecidedBy, Deadline: s.now().Add(orderTime)})
	s.metrics.writes.WithLabelValues(string(a.Status)).Inc()
	w, err := c.store.ChangeWrite(ctx, w.ID, func(w *faultline.Write) (faultline.WriteEvent, bool, error) {
		w.Status, w.Old, w.ReadBack, w.Message, w.EndedAt = a.Status, a.Old, a.ReadBack, a.Message, s.now().UTC()
		return faultline.WriteEvent{At: w.EndedAt, By: "gateway " + w.Gateway, Text: a.Message}, true, nil
	})
	if err == nil {
		s.tellWrite(&w)
	}
	return w, err
}

// decideWrite approves, refuses or withdraws a write that waits. One that is approved is sent.
func (s *Server) decideWrite(c *call, to faultline.WriteStatus, reason string) (faultline.Write, error) {
	if err := checkText("reason", reason, 0, maxText); err != nil {
		return faultline.Write{}, err
	}
	w, err := c.store.ChangeWrite(c.Request.Context(), c.Param("id"), func(w *faultline.Write) (faultline.WriteEvent, bool, error) {
		err := w.Decide(to, c.by, c.now)
		if w.Status == faultline.WriteExpired {
			return faultline.WriteEvent{At: c.now, By: machine, Text: w.Message}, true, err
		}
		return faultline.WriteEvent{At: c.now, By: c.by, Text: reason}, false, err
	})
	if err != nil {
		return w, err
	}
	s.tellWrite(&w)
	if w.Status == faultline.WriteSending {
		return s.sendWrite(c, w)
	}
	return w, nil
}

// machine stands in histories for what happened by itself.
const machine = "faultline"

// tellWrite wakes up pages; it proves nothing.
func (s *Server) tellWrite(w *faultline.Write) {
	if err := s.live.PublishEvent(faultline.Event{Topic: "write", ID: w.ID, Site: w.Site, Position: w.Position, At: w.AskedAt, Text: w.Point + " " + string(w.Status)}); err != nil {
		s.log.Debug("event not told", "error", err)
	}
}

func (s *Server) postWrite(c *call) (any, error) {
	var req AskWrite
	if err := c.readJSON(&req); err != nil {
		return nil, err
	}
	w, err := s.askWrite(c, req)
	return waiting(w), err
}

// waiting answers 202 for a write that waits for a second person.
func waiting(w faultline.Write) any {
	if w.Status == faultline.WritePending {
		return answer{http.StatusAccepted, w}
	}
	return w
}

func (s *Server) postDecision(to faultline.WriteStatus) func(*call) (any, error) {
	return func(c *call) (any, error) {
		var req DecideWrite
		if err := c.readJSON(&req); err != nil {
			return nil, err
		}
		return s.decideWrite(c, to, req.Reason)
	}
}

func (s *Server) listWrites(c *call) (any, error) {
	limit, offset, err := c.paging()
	if err != nil {
		return nil, err
	}
	open, err := c.boolean("open")
	if err != nil {
		return nil, err
	}
	rows, total, err := c.store.Writes(c.Request.Context(), store.WriteFilter{Site: c.Query("site"), Position: c.Query("position"), OnlyOpen: open != nil && *open, Limit: limit, Offset: offset})
	if err != nil {
		return nil, err
	}
	return cut(rows, total, limit, offset), nil
}

func (s *Server) getWrite(c *call) (any, error) {
	return c.store.Write(c.Request.Context(), c.Param("id"))
}

func (s *Server) listWriteEvents(c *call) (any, error) {
	w, err := c.store.Write(c.Request.Context(), c.Param("id"))
	if err != nil {
		return nil, err
	}
	rows, err := c.store.WriteEvents(c.Request.Context(), w.ID)
	if err != nil {
		return nil, err
	}
	return whole(rows), nil
}

// typedValue makes JSON of what somebody typed into a form.
func typedValue(t faultline.Type, text string) (json.RawMessage, error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), ",", ".")
	switch t {
	case faultline.TypeBool:
		if text == "true" || text == "false" {
			return json.RawMessage(text), nil
		}
	case faultline.TypeInt:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return json.RawMessage(strconv.FormatInt(n, 10)), nil
		}
	case faultline.TypeFloat:
		if f, err := strconv.ParseFloat(text, 64); err == nil && faultline.Float(f).Type() == faultline.TypeFloat {
			return valueJSON(faultline.Float(f)), nil
		}
	}
	return nil, invalid("%q is no value of this point", text)
}
