package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

// spans that forms offer, the shortest first. Those over a day are for whole assets out of service.
var spans = []struct {
	value string
	d     time.Duration
}{
	{"30m", 30 * time.Minute}, {"1h", time.Hour}, {"4h", 4 * time.Hour}, {"8h", 8 * time.Hour}, {"24h", 24 * time.Hour},
	{"3d", 3 * 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}, {"31d", 31 * 24 * time.Hour},
}

const usualSpan = "1h"

// spanOptions are those up to the longest one.
func spanOptions(longest time.Duration) []console.Option {
	var out []console.Option
	for _, s := range spans {
		if s.d <= longest {
			out = append(out, console.Option{Value: s.value, Text: console.Span(s.d), Chosen: s.value == usualSpan})
		}
	}
	return out
}

// spanEnd is when a span that begins now ends. It stays within the limits of the domain although the
// stream's clock may be a little behind.
func spanEnd(value string, now time.Time) time.Time {
	for _, s := range spans {
		if s.value == value {
			return now.Add(s.d - 5*time.Second).Truncate(time.Minute)
		}
	}
	return time.Time{}
}

func alarmHref(site, position, rule string) string {
	return "/alarms/" + strings.Join([]string{site, position, rule}, "/")
}

// verbForm carries out one verb of an alarm's life, as a form of a page asks for it.
func (s *Server) verbForm(path string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		r, err := s.liveVerb(c, path, strings.TrimSpace(c.PostForm("reason")), spanEnd(c.PostForm("for"), c.now))
		back := c.PostForm("back")
		if back == "" { // the page of what it is about
			back = strings.TrimSuffix(c.Request.URL.EscapedPath(), "/"+path)
		}
		return s.did(c, back, r, err)
	}
}

func (s *Server) alarmsPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	all, at, state := c.Query("all") != "", offset(c), c.Query("state")
	if !slices.Contains(alarmStates, state) {
		state = ""
	}
	list, total, err := s.alarmsIn(c, store.AlarmFilter{Site: c.Query("site"), OnlyOpen: !all && state == "", Limit: pageRows, Offset: at}, state)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b, ticketsOfAlarms(list)...)
	shell := s.shell(c, "alarms", "Alarms", "alarm ticket", 0)
	v := console.Alarms{All: all, Sites: siteOptions(&b, c.Query("site")), States: options("Any state", alarmStates, state, word), Rows: m.alarms(list, shell.Href), Pager: pager(c, total, pageRows, at, "alarms")}
	return framed{shell: shell, view: v}, nil
}

const shownTransitions = 200

func (s *Server) alarmPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	a, err := s.alarm(c)
	if err != nil {
		return nil, err
	}
	events, err := c.store.AlarmEvents(c.Request.Context(), a.ID, shownTransitions)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b, a.Ticket)
	shell := s.shell(c, "alarms", a.Title, "alarm ticket", 0)
	v := console.Alarm{Row: m.alarm(&a, shell.Href), Facts: m.alarmFacts(&a), Cut: len(events) == shownTransitions}
	for i := range events {
		e := &events[i]
		v.History = append(v.History, console.TransitionRow{At: m.At(e.At), Transition: console.Transition(e.Transition), Severity: severityOf(e.Severity), By: e.By, Why: e.Why, Stored: m.At(lateStored(e))})
	}
	return framed{shell: shell, view: v}, nil
}

// severityOf is empty where a transition has none.
func severityOf(s faultline.Severity) console.Pill {
	if s == faultline.SeverityNone {
		return console.Pill{}
	}
	return console.SeverityPill(s)
}

// lateStored is when the hub knew, if that was more than a minute after it happened.
func lateStored(e *faultline.AlarmEvent) time.Time {
	if e.StoredAt.Sub(e.At) <= time.Minute {
		return time.Time{}
	}
	return e.StoredAt
}

func (m *rows) alarmFacts(a *faultline.Alarm) []console.Fact {
	asset, ticket := m.asset(a.Site, a.Position), m.ticketLink(a.Ticket)
	facts := []console.Fact{
		{Name: "Asset", Text: asset.Text, Href: asset.Href}, fact("Site", m.siteName(a.Site)), fact("Rule", console.Text("%s, version %d", a.Rule, a.RuleVersion)),
		{Name: "Ticket", Text: ticket.Text, Href: ticket.Href}, fact("Times raised", strconv.Itoa(a.Count)), m.when("Condition began", a.BeganAt), m.when("Raised", a.RaisedAt), m.when("Back to normal", a.ClearedAt), m.when("Acknowledged", a.AckedAt),
	}
	yes := func(b bool, name, text string) {
		if b {
			facts = append(facts, fact(name, console.Text(text)))
		}
	}
	condition := "normal"
	if a.Active {
		condition = "active"
	}
	facts = append(facts, fact("Condition", console.Word(condition)))
	yes(a.Latched, "Latched", "stays until a person resets it")
	if !a.ShelvedUntil.IsZero() {
		facts = append(facts, fact("Shelved", console.Text("until %s by %s: %s", m.At(a.ShelvedUntil).Clock, a.ShelvedBy, a.ShelvedWhy)))
	}
	if a.SuppressedBy != "" {
		facts = append(facts, fact("Suppressed", console.Text("while %s is down", a.SuppressedBy)))
	}
	if a.OutOfService != "" {
		facts = append(facts, fact("Out of service", console.Text("until %s by %s", m.At(a.OutOfServiceUntil).Clock, a.OutOfService)))
	}
	return facts
}

// reason says in a few words why an alarm is in its state.
func (m *rows) reason(a *faultline.Alarm) string {
	switch a.State(m.Now) {
	case faultline.AlarmOutOfService:
		if a.OutOfServiceUntil.IsZero() {
			return console.Text("by %s", a.OutOfService)
		}
		return console.Text("until %s by %s", m.At(a.OutOfServiceUntil).Clock, a.OutOfService)
	case faultline.AlarmSuppressed:
		return console.Text("while %s is down", a.SuppressedBy)
	case faultline.AlarmShelved:
		return console.Text("until %s by %s: %s", m.At(a.ShelvedUntil).Clock, a.ShelvedBy, a.ShelvedWhy)
	case faultline.AlarmAcked, faultline.AlarmUnacked:
		switch {
		case a.Latched && !a.Active:
			return console.Text("back to normal, latched until it is reset")
		case a.Acked && a.AckedBy != "":
			return console.Text("by %s", a.AckedBy)
		}
	}
	return ""
}

// deeds are what may be done about an alarm as it stands.
func (m *rows) deeds(a *faultline.Alarm, r *console.AlarmRow) {
	href := alarmHref(a.Site, a.Position, a.Rule)
	switch a.State(m.Now) {
	case faultline.AlarmUnacked, faultline.AlarmReturned:
		r.Acknowledge = href + "/acknowledge"
	}
	deed := func(may bool, path, name string) {
		if may {
			r.Deeds = append(r.Deeds, console.Deed{Action: href + "/" + path, Name: name})
		}
	}
	shelved := m.Now.Before(a.ShelvedUntil)
	deed(shelved, "unshelve", "Unshelve")
	deed(a.OutOfService != "", "return", "Return to service")
	deed(a.Latched && !a.Active, "reset", "Reset")
	if !shelved && a.OutOfService == "" {
		r.Quiet, r.Spans = href, spanOptions(faultline.LongestShelf)
	}
}
