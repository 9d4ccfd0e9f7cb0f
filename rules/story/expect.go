package story

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/rules"
)

// alarmWant is what an alarm must be; what is left out is not looked at.
type alarmWant struct {
	Rule       string `yaml:"rule"`
	Position   string `yaml:"position"` // may be left out if there is one asset
	State      string `yaml:"state"`    // left out: any but NORM
	Severity   string `yaml:"severity"`
	Why        string `yaml:"why"`   // words that its sentence contains
	Count      int    `yaml:"count"` // activations so far
	Chattering bool   `yaml:"chattering"`
}

// ticketWant is what a ticket must be; what is left out is not looked at.
type ticketWant struct {
	Position  string   `yaml:"position"`
	Status    string   `yaml:"status"`
	Priority  string   `yaml:"priority"`
	Kind      string   `yaml:"kind"`
	Rule      string   `yaml:"rule"`   // that opened it
	Plan      string   `yaml:"plan"`   // of inspections
	Alarms    []string `yaml:"alarms"` // rules whose alarms it stands for, as RULE or POSITION/RULE
	Title     string   `yaml:"title"`  // words that it contains
	Text      string   `yaml:"text"`   // words that it contains
	Suggest   string   `yaml:"suggest"`
	Count     int      `yaml:"count"` // alarms, repeats included
	Recovered *bool    `yaml:"recovered"`
}

func (a *alarmWant) prepare(p *document.Problems, at string, positions []faultline.Position) {
	if a.Rule == "" {
		p.Add(at+".rule", "is missing")
	}
	if a.Position == "" && len(positions) == 1 {
		a.Position = positions[0].ID
	}
	if a.Position == "" {
		p.Add(at+".position", "is missing: there are several assets")
	} else if !slices.ContainsFunc(positions, func(o faultline.Position) bool { return o.ID == a.Position || o.Gateway == a.Position }) {
		p.Add(at+".position", "there is no %s", a.Position)
	}
	states := []string{"", "NORM", "UNACK", "ACKED", "RTNUN", "SHLVD", "DSUPR", "OOSRV"}
	if !slices.Contains(states, a.State) {
		p.Add(at+".state", "%q: use %s", a.State, strings.Join(states[1:], ", "))
	}
	var s faultline.Severity
	if a.Severity != "" && s.UnmarshalText([]byte(a.Severity)) != nil {
		p.Add(at+".severity", "%q: use advisory, warning or critical", a.Severity)
	}
}

// check holds an expectation against what is there, and adds what differs to the problems.
func (e *expectation) check(ctx context.Context, p *document.Problems, at string, player *rules.Player, now time.Time) error {
	if e.Alarms != nil {
		alarms, _, err := player.Store().Alarms(ctx, store.AlarmFilter{})
		if err != nil {
			return err
		}
		e.checkAlarms(p, at, alarms, now)
	}
	if e.Tickets != nil {
		tickets, err := ticketsOf(ctx, player)
		if err != nil {
			return err
		}
		e.checkTickets(p, at, tickets)
	}
	return nil
}

// ticketsOf lists all tickets in the order of their numbers.
func ticketsOf(ctx context.Context, player *rules.Player) ([]faultline.Ticket, error) {
	tickets, _, err := player.Store().Tickets(ctx, store.TicketFilter{})
	slices.SortFunc(tickets, func(a, b faultline.Ticket) int { return strings.Compare(a.Number, b.Number) })
	return tickets, err
}

func (e *expectation) checkAlarms(p *document.Problems, at string, alarms []faultline.Alarm, now time.Time) {
	expected := map[string]bool{}
	for i, want := range e.Alarms {
		path := fmt.Sprintf("%s.alarms[%d]", at, i)
		name := want.Position + "/" + want.Rule
		expected[name] = true
		j := slices.IndexFunc(alarms, func(a faultline.Alarm) bool { return a.Position == want.Position && a.Rule == want.Rule })
		if j < 0 {
			if want.State != string(faultline.AlarmNormal) {
				p.Add(path, "at %v: alarm %s: want %s, got none: it was never raised", e.At, name, orElse(want.State, "one"))
			}
			continue
		}
		a := &alarms[j]
		d := differ{p, path, fmt.Sprintf("at %v: alarm %s", e.At, name)}
		state := a.State(now)
		switch {
		case want.State == "" && state == faultline.AlarmNormal:
			d.add("state", "one that is not normal", string(state))
		case want.State != "" && want.State != string(state):
			d.add("state", want.State, fmt.Sprintf("%s (%s)", state, a.Why))
		}
		d.text("severity", want.Severity, a.Severity.String())
		d.contains("why", want.Why, a.Why)
		d.count("count", want.Count, a.Count)
		if want.Chattering && !a.Chattering {
			d.add("chattering", "true", "false")
		}
	}
	for i := range alarms {
		a := &alarms[i]
		if state := a.State(now); state != faultline.AlarmNormal && !expected[a.Position+"/"+a.Rule] {
			p.Add(at+".alarms", "at %v: alarm %s/%s is not expected, but it is %s %s: %s", e.At, a.Position, a.Rule, state, a.Severity, a.Why)
		}
	}
}

func (e *expectation) checkTickets(p *document.Problems, at string, tickets []faultline.Ticket) {
	if len(tickets) != len(e.Tickets) {
		var list strings.Builder
		for i := range tickets {
			t := &tickets[i]
			fmt.Fprintf(&list, "\n      %s %s %s %s, alarms %s", t.Number, t.Status, t.Priority, t.Title, strings.Join(alarmsOf(t), ", "))
		}
		p.Add(at+".tickets", "at %v: want %d, got %d%s", e.At, len(e.Tickets), len(tickets), list.String())
	}
	for i := range min(len(tickets), len(e.Tickets)) {
		t, want := &tickets[i], e.Tickets[i]
		d := differ{p, fmt.Sprintf("%s.tickets[%d]", at, i), fmt.Sprintf("at %v: ticket %d", e.At, i+1)}
		d.text("position", want.Position, t.Position)
		d.text("status", want.Status, string(t.Status))
		d.text("priority", want.Priority, string(t.Priority))
		d.text("kind", want.Kind, string(t.Kind))
		d.text("rule", want.Rule, t.Rule)
		d.text("plan", want.Plan, t.Plan)
		d.text("suggest", want.Suggest, t.Suggest)
		d.contains("title", want.Title, t.Title)
		d.contains("text", want.Text, t.Text)
		d.count("count", want.Count, t.Count)
		if want.Recovered != nil && *want.Recovered == t.RecoveredAt.IsZero() {
			d.add("recovered", fmt.Sprint(*want.Recovered), fmt.Sprint(!*want.Recovered))
		}
		if want.Alarms != nil {
			d.alarms(want.Alarms, alarmsOf(t))
		}
	}
}

// alarmsOf lists the alarms that a fault ticket stands for as POSITION/RULE.
func alarmsOf(t *faultline.Ticket) []string {
	var list []string
	for _, key := range t.Keys {
		if parts := strings.Split(key, "|"); len(parts) == 4 && t.Kind == faultline.TicketFault {
			list = append(list, parts[1]+"/"+parts[2])
		}
	}
	slices.Sort(list)
	return list
}

// differ adds differences of one thing.
type differ struct {
	p          *document.Problems
	path, what string
}

func (d *differ) add(field, want, got string) {
	d.p.Add(d.path+"."+field, "%s: want %s, got %s", d.what, want, got)
}

func (d *differ) text(field, want, got string) {
	if want != "" && want != got {
		d.add(field, want, orElse(got, "none"))
	}
}

func (d *differ) contains(field, want, got string) {
	if want != "" && !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")) {
		d.add(field, fmt.Sprintf("words %q", want), fmt.Sprintf("%q", got))
	}
}

func (d *differ) count(field string, want, got int) {
	if want != 0 && want != got {
		d.add(field, fmt.Sprint(want), fmt.Sprint(got))
	}
}

// alarms compares the alarms of a ticket in any order.
func (d *differ) alarms(want, got []string) {
	rest := slices.Clone(got)
	var missing []string
	for _, w := range want {
		i := slices.IndexFunc(rest, func(g string) bool { return g == w || strings.HasSuffix(g, "/"+w) })
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if len(missing)+len(rest) > 0 {
		d.add("alarms", strings.Join(want, ", "), orElse(strings.Join(got, ", "), "none"))
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
