package api

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

const (
	newestLetters = 5   // on the page of all data
	shownGroups   = 200 // of dead letters
	deadHref      = "/data/dead-letters"
)

func (s *Server) deadLettersPage(c *call) (any, error) {
	ctx := c.Request.Context()
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	groups, dropped, err := c.store.DeadGroups(ctx, shownGroups)
	if err != nil {
		return nil, err
	}
	at := offset(c)
	letters, total, err := c.store.FindDeadLetters(ctx, store.DeadLetterFilter{Group: c.Query("group"), Limit: pageRows, Offset: at})
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	v := console.DeadLetters{May: engineer.heldBy(c.who.role), Group: c.Query("group"), Pager: pager(c, total, pageRows, at, "dead letters")}
	if dropped > 0 {
		v.Dropped = console.Group(dropped)
	}
	for i := range groups {
		g := &groups[i]
		v.Groups = append(v.Groups, console.DeadGroupRow{ID: g.ID, Href: deadHref + "?group=" + url.QueryEscape(g.ID), Site: b.siteName(g.Site), Gateway: g.Gateway, Series: g.Series, Reason: clip(g.Reason),
			Count: console.Group(g.Count), Kept: console.Group(g.Kept), First: m.At(g.FirstAt), Last: m.At(g.LastAt), Here: g.ID == v.Group})
	}
	for i := range letters {
		v.Letters = append(v.Letters, m.letter(&letters[i]))
	}
	return framed{shell: s.shell(c, "data", "Dead letters", "", 0), view: v}, nil
}

func (m *rows) letter(d *faultline.DeadLetter) console.LetterRow {
	return console.LetterRow{ID: d.ID, At: m.At(d.At), Gateway: d.Gateway, Reason: clip(d.Reason), Line: clip(d.Line), Sequence: d.Sequence}
}

// clip shortens what may be long.
func clip(s string) string {
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}

// formChoice reads which dead letters a form is about.
func formChoice(c *call) (DeadChoice, error) {
	choice := DeadChoice{Group: c.PostForm("group")}
	if v := c.PostForm("id"); v != "" {
		id, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return choice, invalid("id: %q is no number", v)
		}
		choice.IDs = []int64{id}
	}
	return choice, nil
}

func (s *Server) replayForm(c *call) (any, error) {
	choice, err := formChoice(c)
	var done Replayed
	if err == nil {
		done, err = s.replayLetters(c, choice)
	}
	if err != nil {
		return s.undone(c, err)
	}
	n := console.Notice{Text: console.Text("%d written", done.Written), Bad: len(done.Refused) > 0}
	if n.Bad {
		n.Text = console.Text("%d written, %d refused still", done.Written, len(done.Refused))
		for _, r := range done.Refused[:min(len(done.Refused), 3)] {
			n.Items = append(n.Items, clip(r.Reason))
		}
	}
	return s.back(deadHref, n), nil
}

func (s *Server) dropForm(c *call) (any, error) {
	choice, err := formChoice(c)
	var done Dropped
	if err == nil {
		done, err = s.dropLetters(c, choice)
	}
	if err != nil {
		return s.undone(c, err)
	}
	return s.back(deadHref, console.Notice{Text: console.Text("%d dropped", done.Dropped)}), nil
}

// undone leads back to the dead letters with what went wrong; one that is gone already is no fault.
func (s *Server) undone(c *call, err error) (any, error) {
	if errors.Is(err, faultline.ErrNotFound) {
		c.refusal = err
		return s.back(deadHref, console.Notice{Bad: true, Text: console.Text("They are gone already")}), nil
	}
	n, fault := c.refused(err)
	var known *status
	if errors.As(err, &known) {
		n, fault = console.Notice{Bad: true, Text: known.text}, nil
	}
	if fault != nil {
		return nil, fault
	}
	return s.back(deadHref, n), nil
}
