package api

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

func (s *Server) moveForm(c *call) (any, error) {
	version, err := formInteger(c, "version")
	if err != nil {
		return nil, err
	}
	m := Move{To: faultline.Status(c.PostForm("to")), Text: c.PostForm("text"), Reason: c.PostForm("reason"), DuplicateOf: strings.TrimSpace(c.PostForm("duplicate_of")), Version: version}
	if m.Reason != faultline.CancelDuplicate {
		m.DuplicateOf = ""
	}
	if m.ExpectedAt, err = s.formTime(c, "expected_at"); err != nil {
		return nil, err
	}
	entered := console.Entered{To: string(m.To), Reason: m.Reason, DuplicateOf: m.DuplicateOf, Text: m.Text, Expected: c.PostForm("expected_at")}
	if m.To == faultline.StatusResolved {
		m.Resolution = &faultline.Resolution{
			Outcome: c.PostForm("outcome"), Verdict: c.PostForm("verdict"), FailureMode: c.PostForm("failure_mode"), Detection: c.PostForm("detection"), Mechanism: c.PostForm("mechanism"), Cause: c.PostForm("cause"),
			FunctionalTest: c.PostForm("functional_test"), NormalReason: c.PostForm("normal_reason"), JobsDone: c.PostForm("jobs_done") != "", Words: c.PostForm("words"),
		}
		entered.Resolution = *m.Resolution
	}
	if outcome := c.PostForm("outcome"); m.To == faultline.StatusTriaged && outcome != "" {
		entered.NextDay = c.PostForm("next_at")
		m.Resolution = &faultline.Resolution{
			Outcome: outcome, Cause: c.PostForm("cause"), Words: c.PostForm("words"), NextPlan: c.PostForm("next_plan"), Owner: c.PostForm("owner"), NextAt: endOfDay(entered.NextDay, s.location),
		}
		entered.Resolution = *m.Resolution
	}
	v, _, err := s.move(c, &m)
	if err != nil {
		return s.again(c, entered, err)
	}
	return s.back(ticketHref(v.Number), console.Notice{Text: v.Number + ": " + console.Word(v.Status), Items: v.Notes}), nil
}

// endOfDay of a date as a form gives it; zero if it is none.
func endOfDay(date string, l *time.Location) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, date, l)
	if err != nil {
		return time.Time{}
	}
	return t.AddDate(0, 0, 1).Add(-time.Second)
}

// day of a time as pages show it; "" for the zero time.
func day(t time.Time, l *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(l).Format("2 Jan 2006")
}

func (s *Server) commentForm(c *call) (any, error) {
	m := Comment{Text: c.PostForm("text"), Kind: c.PostForm("kind")}
	var err error
	if m.ExpectedAt, err = s.formTime(c, "expected_at"); err != nil {
		return nil, err
	}
	v, err := s.comment(c, &m)
	if err != nil {
		return s.again(c, console.Entered{Text: m.Text, CommentKind: m.Kind, Expected: c.PostForm("expected_at")}, err)
	}
	return s.back(ticketHref(v.Number)+"#history", console.Notice{Text: console.Text("Added: %s", console.Word(m.Kind))}), nil
}

// changedFirst reads out of a conflict who changed the ticket, when and how.
var changedFirst = regexp.MustCompile(`not \d+: (.+) changed it at (\S+) \((\w+)\)$`)

// again shows the ticket with the form as it was filled in, and why it was refused.
func (s *Server) again(c *call, entered console.Entered, err error) (any, error) {
	n, fault := c.refused(err)
	if fault != nil || errors.Is(err, faultline.ErrNotFound) {
		return nil, err
	}
	p, _ := problemOf(err)
	if first := changedFirst.FindStringSubmatch(p.Detail); first != nil && p.Status == http.StatusConflict {
		if at, err := time.Parse(time.RFC3339, first[2]); err == nil {
			m := console.Maker{Now: c.now, Location: s.location}
			n.Text = console.Text("%s changed this ticket at %s (%s): look at it again, then try again", first[1], m.At(at).Clock, console.Word(first[3]))
		}
	}
	return s.showTicket(c, entered, n, p.Status)
}
