package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// Tickets is the account of tickets.
type Tickets struct {
	Expected int `json:"expected"` // positions with an excursion of the signal: one each
	Raised   int `json:"raised"`   // of them, those that have one
	Doubled  int `json:"doubled"`  // tickets beyond one
	Missing  int `json:"missing"`  // neither raised nor history
	// History lists the positions whose alarms were all over when people could be told: such are history
	// and open no ticket.
	History []string `json:"history"`
	Other   int      `json:"other"` // tickets that the faults themselves caused: gateways and devices that were silent
}

// Alarms is the account of alarms.
type Alarms struct {
	Expected int `json:"expected"` // excursions of the signal
	Raised   int `json:"raised"`
	Missing  int `json:"missing"`
	Doubled  int `json:"doubled"`
}

var errNotFound = errors.New("not found")

// ask reads from the API.
func (p *plant) ask(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.at.api+"/api/v1"+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return errNotFound
	default:
		return fmt.Errorf("the API answers %s to %s", res.Status, path)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// alarmOf reads what became of a device's excursions; an alarm that never was is zero.
func (p *plant) alarmOf(ctx context.Context, d *device) (a faultline.Alarm, events []faultline.AlarmEvent, err error) {
	path := "/alarms/" + d.site + "/" + d.position + "/" + d.rule()
	if err = p.ask(ctx, path, &a); errors.Is(err, errNotFound) {
		return a, nil, nil
	} else if err != nil {
		return a, nil, err
	}
	var page struct{ Items []faultline.AlarmEvent }
	err = p.ask(ctx, path+"/events?limit=500", &page)
	return a, page.Items, err
}

// tickets reads all tickets: those of each device's signal by position, and the number of others. A ticket
// that stands for several positions, as in a storm, counts at each.
func (p *plant) tickets(ctx context.Context) (mine map[string]int, other int, err error) {
	const page = 500
	mine = map[string]int{}
	for offset := 0; ; offset += page {
		var got struct {
			Items []faultline.Ticket
			Total int
		}
		if err := p.ask(ctx, fmt.Sprintf("/tickets?limit=%d&offset=%d", page, offset), &got); err != nil {
			return nil, 0, err
		}
		for _, t := range got.Items {
			ours := false
			for _, k := range t.Keys { // site|position|rule|failure mode
				if parts := strings.Split(k, "|"); len(parts) == 4 && (parts[2] == tripRule || parts[2] == highRule) {
					mine[parts[1]]++
					ours = true
				}
			}
			if !ours {
				other++
			}
		}
		if offset+page >= got.Total {
			return mine, other, nil
		}
	}
}

// judgeDesk compares alarms and tickets with the excursions that the equipment made.
func (p *plant) judgeDesk(ctx context.Context) (t Tickets, a Alarms, problems []string, err error) {
	t.History = []string{}
	tickets, other, err := p.tickets(ctx)
	if err != nil {
		return t, a, nil, err
	}
	t.Other = other
	for _, d := range p.devices {
		d.mu.Lock()
		expected := len(d.excursions)
		d.mu.Unlock()
		alarm, events, err := p.alarmOf(ctx, d)
		if err != nil {
			return t, a, nil, err
		}
		a.Expected += expected
		a.Raised += alarm.Count
		a.Missing += max(0, expected-alarm.Count)
		a.Doubled += max(0, alarm.Count-expected)
		if alarm.Count != expected {
			problems = append(problems, fmt.Sprintf("%s: %d alarms for %d excursions of the signal: %s", d.position, alarm.Count, expected, life(events)))
		}
		mine := tickets[d.position]
		if expected == 0 {
			t.Doubled += mine
			continue
		}
		t.Expected++
		t.Doubled += max(0, mine-1)
		if mine > 1 {
			problems = append(problems, fmt.Sprintf("%s: %d tickets for one fault", d.position, mine))
		}
		switch why, ok := history(d, events); {
		case mine > 0:
			t.Raised++
		case ok:
			t.History = append(t.History, d.position+": "+why)
		default:
			t.Missing++
			problems = append(problems, fmt.Sprintf("%s: no ticket: %s; its alarm: %s", d.position, why, life(events)))
		}
	}
	return t, a, problems, nil
}

// history tells whether all alarms of a device were kept from people until they were over, and why.
func history(d *device, events []faultline.AlarmEvent) (why string, ok bool) {
	for i := len(events) - 1; i >= 0; i-- { // oldest first
		e := events[i]
		if e.Transition != faultline.TransitionRaised {
			continue
		}
		switch late := e.StoredAt.Sub(e.At); {
		case d.highHigh:
			return "it passed its high-high limit, which always makes one", false
		case late > faultline.LateAfter:
			why = fmt.Sprintf("raised %s late, and over by then", late.Round(time.Second))
		case suppressed(events, i):
			why = "raised while its gateway was silent, and over before it was back"
		default:
			return fmt.Sprintf("its alarm of %s was neither late nor suppressed", e.At.UTC().Format(time.TimeOnly)), false
		}
	}
	if why == "" {
		return "it has no alarm", false
	}
	return why, true
}

// suppressed tells whether the alarm was suppressed when it was raised, from what came last before or
// first after.
func suppressed(events []faultline.AlarmEvent, raised int) bool {
	for i := raised - 1; i >= 0; i-- { // newer ones
		switch events[i].Transition {
		case faultline.TransitionReleased:
			return true
		case faultline.TransitionSuppressed:
			return false
		}
	}
	for i := raised + 1; i < len(events); i++ { // older ones
		switch events[i].Transition {
		case faultline.TransitionReleased:
			return false
		case faultline.TransitionSuppressed:
			return true
		}
	}
	return false
}

// life tells an alarm's history, oldest first.
func life(events []faultline.AlarmEvent) string {
	var out []string
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		out = append(out, fmt.Sprintf("%s %s (stored %s)", e.At.UTC().Format(time.TimeOnly), e.Transition, e.StoredAt.UTC().Format(time.TimeOnly)))
	}
	return strings.Join(out, ", ")
}
