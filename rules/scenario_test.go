package rules

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// A scenario is a story in text, one step a line (see testdata/scenarios/README.md). Each is told
// five ways: straight; with every message a batch of its own; with crashes and restarts at random; then
// the whole stream is replayed onto the same store, and, where no person interfered, onto an empty one.
// All must end with the same alarms, tickets, history and evidence.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			straight := tell(t, text, nil, 0)
			want := straight.account()
			same(t, "one message a batch", tell(t, text, nil, 1).account(), want)
			for seed := range uint64(2) {
				name := fmt.Sprintf("restarts at random, seed %d", seed)
				same(t, name, tell(t, text, rand.New(rand.NewPCG(seed, 5)), 0).account(), want)
			}
			replay := func(p *plant) string {
				p.log, p.positions = straight.log, straight.positions
				if p.worker != nil {
					for _, u := range append(p.worker.order, &unit{id: partitionUnit}) {
						if err := p.store.DropUnits(t.Context(), p.lease.(*sqlLease).lease, []string{u.id}); err != nil {
							t.Fatal(err)
						}
					}
				}
				p.start()
				return p.account()
			}
			same(t, "replayed onto the same store", replay(straight), want)
			if strings.Contains(text, "\nmove ") {
				return
			}
			fresh := newPlant(t, straight.set)
			for _, pos := range straight.positions {
				if err := fresh.store.PutPosition(t.Context(), pos); err != nil {
					t.Fatal(err)
				}
			}
			same(t, "replayed onto an empty store", replay(fresh), want)
		})
	}
}

func same(t *testing.T, how, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("%s: differs\n got %.1500s\nwant %.1500s", how, a, b)
		}
	}
}

// teller carries out the steps of a scenario.
type teller struct {
	*plant
	line    int
	checked int
}

// tell tells a scenario. Expectations are checked only on a run without random restarts: with them the
// worker may lag behind in the middle of the story; the end must be the same.
func tell(t *testing.T, text string, random *rand.Rand, batch int) *plant {
	t.Helper()
	s := &teller{plant: newPlant(t, loadLibrary(t))}
	s.batch = batch
	for line := range strings.Lines(text) {
		s.line++
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			if words[0] != "position" && words[0] != "parent" {
				s.random = random
			}
			if random != nil && words[0] == "expect" {
				continue
			}
			s.step(words)
		}
	}
	s.random = nil
	s.pump()
	if random == nil && s.checked == 0 {
		t.Error("the scenario expects nothing")
	}
	return s.plant
}

func (s *teller) step(words []string) {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Fatalf("line %d: %s: %s", s.line, strings.Join(words, " "), fmt.Sprintf(format, args...))
	}
	switch words[0] {
	case "position":
		s.position(words[1], words[2], faultline.Criticality(words[3]))
	case "parent":
		s.parent(words[1], words[2])
	case "latch":
		for _, r := range s.set.rules {
			if r.ID == words[1] {
				r.Latching = true
			}
		}
	case "run":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			fail("%v", err)
		}
		s.set1(words[2:], fail)
		for range int(d / time.Second) {
			s.second()
		}
	case "skip": // everything is off for a while
		d, err := time.ParseDuration(words[1])
		if err != nil {
			fail("%v", err)
		}
		s.now = s.now.Add(d)
	case "late":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			fail("%v", err)
		}
		s.lag = d
	case "behind":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			fail("%v", err)
		}
		s.behind = d
	case "again": // the last frame once more, as a redelivery
		for i := len(s.log) - 1; i >= 0; i-- {
			if s.log[i].Kind == faultline.KindFrame {
				s.append(s.log[i])
				break
			}
		}
		s.pump()
	case "shelve", "unshelve", "out", "return", "reset":
		if s.random != nil {
			s.feed(s.worker.place)
		}
		c := faultline.Command{By: "anna", Position: words[1], Verb: map[string]string{
			"shelve": faultline.VerbShelve, "unshelve": faultline.VerbUnshelve, "out": faultline.VerbOutOfService,
			"return": faultline.VerbReturn, "reset": faultline.VerbReset}[words[0]], Reason: "because"}
		if words[2] != "all" {
			c.Rule = words[2]
		}
		if len(words) > 3 && words[3] != "refused" {
			d, err := time.ParseDuration(words[3])
			if err != nil {
				fail("%v", err)
			}
			c.Until = s.now.Add(d)
		}
		r := s.command(c)
		if refused := words[len(words)-1] == "refused"; r.OK == refused || r.Message == "" {
			fail("answered %+v", r)
		}
	case "ack", "serviced", "test":
		if s.random != nil { // people see what has been dealt with
			s.feed(s.worker.place)
		}
		c := faultline.Command{By: "anna", Position: words[1]}
		switch words[0] {
		case "ack":
			c.Verb, c.Rule = faultline.VerbAcknowledge, words[2]
		case "serviced":
			c.Verb, c.Plan = faultline.VerbServiced, words[2]
		default:
			c.Verb = faultline.VerbTestAlarm
		}
		r := s.command(c)
		if refused := words[len(words)-1] == "refused"; r.OK == refused || r.Message == "" {
			fail("answered %+v", r)
		}
	case "move":
		if s.random != nil {
			s.feed(s.worker.place)
		}
		s.move(words, fail)
	case "expect":
		s.checked++
		s.expect(words[1:], fail)
	default:
		fail("unknown step")
	}
}

// set1 takes "P-101.vibration_de=3", "P-101=silent", "gw1=back".
func (s *teller) set1(words []string, fail func(string, ...any)) {
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			fail("%q is no setting", w)
		}
		position, point, isPoint := strings.Cut(name, ".")
		if !isPoint {
			s.silent[name] = value == "silent"
			continue
		}
		if s.values[position] == nil {
			fail("no position %s", position)
		}
		if value == "gone" {
			delete(s.values[position], point)
			continue
		}
		s.values[position][point] = value
	}
}

// move is what people do to a ticket: "move 1 resolved" or "move 1 cancelled false_alarm".
func (s *teller) move(words []string, fail func(string, ...any)) {
	to := faultline.Status(words[2])
	_, err := s.store.ChangeTicket(s.t.Context(), "T-"+fmt.Sprintf("%06s", words[1]), 0, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
		t.Status = to
		switch to {
		case faultline.StatusResolved:
			t.ResolvedAt = s.now
		case faultline.StatusCancelled:
			t.CancelReason, t.ClosedAt = words[3], s.now
		case faultline.StatusClosed:
			t.ClosedAt = s.now
		}
		return []faultline.TicketEvent{{At: s.now, By: "anna", Kind: faultline.EventMoved, To: string(to)}}, nil
	})
	if err != nil {
		fail("%v", err)
	}
}

func (s *teller) expect(words []string, fail func(string, ...any)) {
	s.t.Helper()
	switch words[0] {
	case "tickets":
		if got := s.tickets(); strconv.Itoa(len(got)) != words[1] {
			fail("there are %d: %s", len(got), brief(got))
		}
	case "ticket":
		n, _ := strconv.Atoi(words[1])
		list := s.tickets()
		if n < 1 || n > len(list) {
			fail("there are %d: %s", len(list), brief(list))
		}
		s.expectTicket(&list[n-1], words[2:], fail)
	case "alarm":
		id := faultline.AlarmID("plant", words[1], words[2])
		a, err := s.store.Alarm(s.t.Context(), id)
		if words[3] == "none" {
			if err == nil {
				fail("it is %s: %s", a.State(s.now), a.Why)
			}
			return
		}
		if err != nil {
			fail("%v", err)
		}
		for _, want := range words[3:] {
			got := map[string]bool{string(a.State(s.now)): true, a.Severity.String(): true, "count:" + strconv.Itoa(a.Count): true}
			got["chattering"], got["latched"] = a.Chattering, a.Latched
			if !got[want] {
				fail("it is %s %s, count %d, chattering %v", a.State(s.now), a.Severity, a.Count, a.Chattering)
			}
		}
	case "history": // the transitions of an alarm, the oldest first
		events, err := s.store.AlarmEvents(s.t.Context(), faultline.AlarmID("plant", words[1], words[2]), 0)
		if err != nil {
			fail("%v", err)
		}
		got := ""
		for _, e := range slices.Backward(events) {
			got += " " + e.Transition
		}
		if got != " "+strings.Join(words[3:], " ") {
			fail("got%s", got)
		}
	case "why":
		a, err := s.store.Alarm(s.t.Context(), faultline.AlarmID("plant", words[1], words[2]))
		if err != nil {
			fail("%v", err)
		}
		if got := strings.Join(strings.Fields(a.Why), " "); got != strings.Join(words[3:], " ") {
			fail("got %s", got)
		}
	case "inspection":
		if got := strings.Join(s.inspections(), "; "); got != strings.Join(words[1:], " ") {
			fail("got %s", got)
		}
	default:
		fail("unknown expectation")
	}
}

func (s *teller) expectTicket(t *faultline.Ticket, words []string, fail func(string, ...any)) {
	s.t.Helper()
	got := map[string]bool{
		string(t.Status): true, string(t.Priority): true, string(t.Kind): true, "at:" + t.Position: true, "count:" + strconv.Itoa(t.Count): true,
		"keys:" + strconv.Itoa(len(t.Keys)): true, "rule:" + t.Rule: true, "recovered": !t.RecoveredAt.IsZero(), "unrecovered": t.RecoveredAt.IsZero(),
		"late": t.Late, "test": t.Test, "earlier:" + t.Earlier: true, "coverage:" + string(t.Coverage.State): true, "serial:" + t.Serial: true,
		"suggest:" + t.Suggest: true,
	}
	events, err := s.store.TicketEvents(s.t.Context(), t.ID)
	if err != nil {
		fail("%v", err)
	}
	kinds := map[string]int{}
	for _, e := range events {
		kinds[e.Kind]++
	}
	evidence, err := s.store.Evidence(s.t.Context(), t.ID)
	if err != nil {
		fail("%v", err)
	}
	got["evidence:"+strconv.Itoa(len(evidence))] = true
	for _, e := range evidence {
		tripped := len(e.Samples) == 0 // gateways and silent equipment have none of that moment
		for _, sample := range e.Samples {
			tripped = tripped || sample.At.Equal(e.At)
		}
		if !tripped && e.Kind != "silence" && e.Kind != "test" {
			fail("the evidence of %s does not hold the sample of %v that raised it", e.Alarm, e.At)
		}
	}
	for _, want := range words {
		if kind, n, ok := strings.Cut(want, "×"); ok { // "repeated×1" lines of history
			if strconv.Itoa(kinds[kind]) != n {
				fail("%d %s in %+v", kinds[kind], kind, events)
			}
			continue
		}
		if !got[want] {
			fail("%s: it is %+v with %d evidence", want, *t, len(evidence))
		}
	}
}

func brief(list []faultline.Ticket) string {
	var b strings.Builder
	for _, t := range list {
		fmt.Fprintf(&b, "\n%s %s %s %s at %v: %v", t.Number, t.Status, t.Priority, t.Title, t.EventAt, t.Keys)
	}
	return b.String()
}
