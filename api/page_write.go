package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

// writeForms are the points of a position that may be written.
func (m *rows) writeForms(p *faultline.Position, points []Point) []console.WriteForm {
	var out []console.WriteForm
	for i := range points {
		pt := &points[i]
		w := pt.Write
		if w == nil {
			continue
		}
		f := console.WriteForm{
			Point: pt.Name, Title: titleOf(&pt.Point), Unit: pt.Unit, Limits: strings.TrimSpace(w.String()), FourEyes: w.FourEyes,
			Action: assetHref(p.Site, p.ID) + "/points/" + url.PathEscape(pt.Name) + "/write", Now: m.value(pt),
		}
		switch {
		case pt.Type == faultline.TypeBool:
			f.Choices = []console.Option{{Value: "", Text: console.Text("choose")}, {Value: "true", Text: console.Text("yes")}, {Value: "false", Text: console.Text("no")}}
		case len(w.Values) > 0:
			f.Choices = []console.Option{{Value: "", Text: console.Text("choose")}}
			for _, v := range w.Values {
				text := faultline.Float(v).String()
				if name := pt.Texts[int64(v)]; pt.Type == faultline.TypeInt && name != "" {
					text = name
				}
				f.Choices = append(f.Choices, console.Option{Value: faultline.Float(v).String(), Text: text})
			}
		}
		out = append(out, f)
	}
	return out
}

var writeTones = map[faultline.WriteStatus]string{
	faultline.WritePending: "warning", faultline.WriteSending: "info", faultline.WriteWritten: "normal", faultline.WriteDiffers: "warning",
	faultline.WriteFailed: "critical quiet", faultline.WriteUnknown: "critical", faultline.WriteRefused: "muted", faultline.WriteWithdrawn: "muted", faultline.WriteExpired: "muted",
}

var writeWords = map[faultline.WriteStatus]string{
	faultline.WritePending: "Waits for approval", faultline.WriteSending: "On its way", faultline.WriteWritten: "Written", faultline.WriteDiffers: "Reads back differently",
	faultline.WriteFailed: "Not written", faultline.WriteUnknown: "Not known", faultline.WriteRefused: "Refused", faultline.WriteWithdrawn: "Withdrawn", faultline.WriteExpired: "Expired",
}

func (m *rows) writes(list []faultline.Write, by, back string) []console.WriteRow {
	out := make([]console.WriteRow, len(list))
	for i := range list {
		w := &list[i]
		r := console.WriteRow{
			ID: w.ID, Asset: m.asset(w.Site, w.Position), Point: strings.ReplaceAll(w.Point, "_", " "), Value: withUnit(w.Value, w.Unit), Old: withUnit(w.Old, w.Unit), ReadBack: withUnit(w.ReadBack, w.Unit),
			Reason: w.Reason, Message: w.Message, Status: console.Pill{Tone: writeTones[w.Status], Text: console.Text(writeWords[w.Status])},
			By: w.AskedBy, Asked: m.At(w.AskedAt), DecidedBy: w.DecidedBy, Back: back,
		}
		if p := m.position[place{w.Site, w.Position}]; p != nil {
			if pt := findPoint(p, w.Point); pt != nil {
				r.Point = titleOf(pt)
			}
		}
		if w.Status == faultline.WritePending && m.Now.Before(w.ExpiresAt) {
			r.Until = m.At(w.ExpiresAt)
			r.Action = "/writes/" + url.PathEscape(w.ID)
			r.Mine = by == w.AskedBy
		}
		out[i] = r
	}
	return out
}

func withUnit(v json.RawMessage, unit string) string {
	switch s := string(v); s {
	case "":
		return "–"
	case "true":
		return console.Text("yes")
	case "false":
		return console.Text("no")
	default:
		return strings.TrimSpace(s + " " + unit)
	}
}

func (s *Server) writesPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	at := offset(c)
	list, total, err := c.store.Writes(c.Request.Context(), store.WriteFilter{Site: c.Query("site"), Limit: pageRows, Offset: at})
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	shell := s.shell(c, "devices", "Writes", "write", 0)
	v := console.Writes{Sites: siteOptions(&b, c.Query("site")), Rows: m.writes(list, c.by, shell.Href), Pager: pager(c, total, pageRows, at, "writes")}
	return framed{shell: shell, view: v}, nil
}

// writeForm takes a form of the asset's page.
func (s *Server) writeForm(c *call) (any, error) {
	to := assetHref(c.Param("site"), c.Param("position")) + "#setpoints"
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	var w faultline.Write
	if point := findPoint(p, c.Param("point")); point == nil {
		err = fmt.Errorf("%w: point %s", faultline.ErrNotFound, quoteShort(c.Param("point")))
	} else {
		req := AskWrite{Reason: c.PostForm("reason")}
		if req.Value, err = typedValue(point.Type, c.PostForm("value")); err == nil {
			w, err = s.askWrite(c, req)
		}
	}
	return s.didWrite(c, to, w, err)
}

// didWrite leads back with what became of a write.
func (s *Server) didWrite(c *call, to string, w faultline.Write, err error) (any, error) {
	if errors.Is(err, faultline.ErrNotFound) {
		return nil, err
	}
	if err != nil {
		n, err := c.refused(err)
		if err != nil {
			return nil, err
		}
		return s.back(to, n), nil
	}
	n := console.Notice{Text: console.Text(writeWords[w.Status]), Bad: w.Status == faultline.WriteFailed || w.Status == faultline.WriteUnknown || w.Status == faultline.WriteDiffers}
	if w.Message != "" {
		n.Items = []string{console.Field(w.Message)}
	} else if w.Status == faultline.WritePending {
		n.Items = []string{console.Text("A second person with the role engineer must approve it within %s.", console.Span(faultline.ApprovalTime))}
	}
	return s.back(to, n), nil
}

func (s *Server) decisionForm(to faultline.WriteStatus) func(*call) (any, error) {
	return func(c *call) (any, error) {
		w, err := s.decideWrite(c, to, c.PostForm("reason"))
		return s.didWrite(c, c.PostForm("back"), w, err)
	}
}
