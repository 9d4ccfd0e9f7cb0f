package api

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "play the desk's model test with this seed only")
	modelRuns  = flag.Int("model.runs", 3, "sequences of the desk's model test")
	modelSteps = flag.Int("model.steps", 90, "operations in a sequence of the desk's model test")
)

// TestDeskModel plays random sequences of what several agents and the machine do to tickets, over HTTP, and compares
// each step with a model of domain.md §4 that shares no code with the product.
func TestDeskModel(t *testing.T) {
	testDeskModel(t, func(t testing.TB) *store.Store {
		s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "m.db")})
		must(t, err)
		return s
	})
}

func testDeskModel(t *testing.T, open func(testing.TB) *store.Store) {
	for run := range *modelRuns {
		seed := uint64(run + 1)
		if *modelSeed != 0 {
			seed = *modelSeed
		}
		steps := someSteps(seed, *modelSteps)
		err := playDesk(t, open(t), steps)
		if err != nil {
			for size := len(steps) / 2; size > 0; size /= 2 { // shrink: leave out what it fails without
				for at := 0; at+size <= len(steps); {
					fewer := slices.Concat(steps[:at], steps[at+size:])
					if e := playDesk(t, open(t), fewer); e != nil {
						steps, err = fewer, e
					} else {
						at += size
					}
				}
			}
			t.Fatalf("seed %d (-model.seed=%d): %v\nafter only:\n%s", seed, seed, err, strings.Join(stepLines(steps), "\n"))
		}
		if *modelSeed != 0 {
			return
		}
	}
}

// step is one operation, or several at the same moment on the same ticket. What it does to which ticket is drawn
// beforehand, so that a sequence stays the same when others are left out.
type step struct {
	Ticket int           // of those that are open, or of all
	After  time.Duration // since the step before
	Ops    []operation
}

type operation struct {
	What  string // open, move, tell, assign, priority, contract, raise, clear, watch
	Agent int
	To    string // status, kind of comment, contract or assignee
	N     int    // what else is to be drawn
	Stale bool   // comes with the version before
}

func stepLines(steps []step) []string {
	lines := make([]string, len(steps))
	for i, s := range steps {
		lines[i] = fmt.Sprintf("%3d  +%-8s ticket %d %+v", i, s.After, s.Ticket, s.Ops)
	}
	return lines
}

func someSteps(seed uint64, n int) []step {
	r := rand.New(rand.NewPCG(seed, 5))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	one := func() operation {
		o := operation{Agent: r.IntN(3), N: r.IntN(1 << 16), Stale: r.IntN(8) == 0}
		switch k := r.IntN(100); {
		case k < 45:
			o.What, o.To = "move", pick("new", "triaged", "scheduled", "in_progress", "in_progress", "waiting_customer", "waiting_parts", "resolved", "resolved", "triaged", "closed", "cancelled")
		case k < 65:
			o.What, o.To = "tell", pick("comment", "response", "promise", "diagnosis_sent", "solution_sent")
		case k < 73:
			o.What, o.To = "assign", pick("anna", "ben", "carl")
		case k < 83:
			o.What = "priority"
		case k < 87:
			o.What, o.To = "contract", pick("office", "parts")
		case k < 92:
			o.What = "raise"
		case k < 96:
			o.What = "clear"
		case k < 98:
			o.What = "watch"
		default:
			o.What = "open"
		}
		return o
	}
	steps := make([]step, n)
	for i := range steps {
		s := step{Ticket: r.IntN(1 << 16), After: time.Duration(1+r.IntN(300)) * time.Minute}
		if r.IntN(25) == 0 {
			s.After = time.Duration(1+r.IntN(9)) * 24 * time.Hour
		}
		s.Ops = []operation{one()}
		if first := s.Ops[0]; r.IntN(4) == 0 && agents(first.What) {
			for range 1 + r.IntN(2) {
				if o := one(); agents(o.What) {
					s.Ops = append(s.Ops, o)
				}
			}
		}
		steps[i] = s
	}
	return steps
}

func agents(what string) bool {
	return slices.Contains([]string{"move", "tell", "assign", "priority", "contract"}, what)
}

// desk is a product that a sequence is played to, and its model.
type modelDesk struct {
	*fixture
	t       testing.TB
	who     []as
	lease   store.Lease
	now     time.Time
	tickets []*deskModel
	seen    map[string][]faultline.TicketEvent
	audited int64 // changes by people
}

func playDesk(t testing.TB, s *store.Store, steps []step) error {
	d := &modelDesk{t: t, now: noon, seen: map[string][]faultline.TicketEvent{}}
	d.fixture = newFixture(t, func(o *Options) { o.Store = s })
	_ = d.store.Close()
	d.store = s
	defer func() { _ = s.Close() }()
	d.fixture.now = func() time.Time { return d.now }
	d.book.now = d.fixture.now
	ctx := t.Context()
	for _, err := range []error{
		s.PutSite(ctx, faultline.Site{ID: "plant", Name: "Plant"}),
		s.PutPosition(ctx, faultline.Position{Site: "plant", ID: "P-1", Name: "Pump", Kind: "centrifugal_pump", Gateway: "g", Asset: faultline.Asset{Criticality: "B"}}),
		s.PutCalendar(ctx, faultline.Calendar{ID: "office", Zone: "UTC", Week: officeWeek, Exceptions: map[string][]faultline.Interval{"2026-03-18": nil}}),
		s.PutContract(ctx, faultline.Contract{ID: "office", Name: "Office", Customer: "x", Version: 1, From: noon.AddDate(-1, 0, 0), Until: noon.AddDate(2, 0, 0), Calendar: "office"}),
		s.PutContract(ctx, faultline.Contract{ID: "parts", Name: "Parts", Customer: "x", Version: 1, From: noon.AddDate(-1, 0, 0), Until: noon.AddDate(2, 0, 0), PauseForParts: true}),
	} {
		must(t, err)
	}
	for _, name := range []string{"anna", "ben", "carl"} {
		d.who = append(d.who, d.login(t, name, faultline.RoleAgent))
	}
	lease, err := s.Acquire(ctx, "rules", 0, "model", 10*365*24*time.Hour, noon)
	must(t, err)
	d.lease = lease
	if err := d.opened(operation{}); err != nil {
		return err
	}
	for i, st := range steps {
		d.now = d.now.Add(st.After)
		for n, name := range []string{"anna", "ben", "carl"} { // a login ends when it is not used
			d.who[n] = d.session(t, name, d.now)
		}
		if err := d.step(&st); err != nil {
			return fmt.Errorf("step %d at %s: %w", i, d.now.Format(time.RFC3339), err)
		}
		if err := d.look(); err != nil {
			return fmt.Errorf("after step %d at %s: %w", i, d.now.Format(time.RFC3339), err)
		}
	}
	people := int64(0)
	_, err = s.VerifyAudit(ctx, faultline.AuditHead{}, func(e faultline.AuditEntry) error {
		if e.Change == "change ticket" || e.Change == "add ticket" {
			people++
		}
		return nil
	})
	if err == nil && people != d.audited {
		err = fmt.Errorf("%d changes of tickets in the audit, %d were made", people, d.audited)
	}
	return err
}

var officeWeek = func() (week [7][]faultline.Interval) {
	for d := 1; d <= 5; d++ {
		week[d] = []faultline.Interval{{From: 8 * 60, To: 12 * 60}, {From: 13 * 60, To: 17 * 60}}
	}
	return week
}()

// opened is a manual ticket of an agent's.
func (d *modelDesk) opened(o operation) error {
	impact, urgency := 1+o.N%3, 1+o.N/3%3
	a := d.do(http.MethodPost, base+"/tickets", fmt.Sprintf(`{"site":"plant","title":"Noise","impact":%q,"urgency":%d}`, string("CBA"[impact-1]), urgency), d.who[o.Agent])
	var t Ticket
	if err := json.Unmarshal([]byte(a.body), &t); err != nil || a.code >= 300 {
		return fmt.Errorf("open: %d %s", a.code, a.body)
	}
	d.audited++
	d.add(&t.Ticket, false)
	return nil
}

func (d *modelDesk) add(t *faultline.Ticket, machine bool) {
	m := &deskModel{number: t.Number, id: t.ID, status: "new", machine: machine, bad: machine, impact: t.Impact.Impact(), urgency: t.Urgency, received: d.now, version: 1, starts: []time.Time{d.now}}
	m.raised = []modelPriority{{d.now, m.priority()}}
	d.tickets = append(d.tickets, m)
}

func (d *modelDesk) step(st *step) error {
	m := d.tickets[st.Ticket%len(d.tickets)]
	if o := st.Ops[0]; !agents(o.What) {
		switch o.What {
		case "open":
			return d.opened(o)
		case "raise":
			return d.raise(o)
		case "clear":
			return d.clear()
		}
		return d.watched()
	}
	version := m.version
	answers := make([]answered, len(st.Ops))
	var wg sync.WaitGroup
	for i, o := range st.Ops {
		path, body := d.request(m, o, version-map[bool]int{true: 1}[o.Stale && version > 1])
		wg.Go(func() { answers[i] = d.do(http.MethodPost, path, body, d.who[o.Agent]) })
	}
	wg.Wait()
	won := -1
	for i, o := range st.Ops {
		a, may, stale := answers[i], m.may(o), o.Stale && version > 1
		switch {
		case a.code == http.StatusOK && (!may || stale):
			return fmt.Errorf("%+v was done: %s is %s (from %q)", o, m.number, m.status, m.from)
		case a.code == http.StatusOK && won >= 0:
			return fmt.Errorf("%+v and %+v were both done to version %d", st.Ops[won], o, version)
		case a.code == http.StatusOK:
			won = i
		case a.code == http.StatusConflict:
			if !strings.Contains(a.body, m.number) || !strings.Contains(a.body, fmt.Sprintf("not %d", version-map[bool]int{true: 1}[stale])) || !strings.Contains(a.body, " changed it at ") {
				return fmt.Errorf("%+v: conflict without who and when: %s", o, a.body)
			}
		case a.code == http.StatusUnprocessableEntity || a.code == http.StatusBadRequest:
			if may && len(st.Ops) == 1 && !stale {
				return fmt.Errorf("%+v is refused, but allowed: %s is %s (from %q): %s", o, m.number, m.status, m.from, a.body)
			}
		default:
			return fmt.Errorf("%+v: %d %s", o, a.code, a.body)
		}
	}
	if won < 0 {
		for _, o := range st.Ops {
			if m.may(o) && !(o.Stale && version > 1) {
				return fmt.Errorf("nobody got through with version %d, though %+v is allowed: %+v", version, o, answers)
			}
		}
		return nil
	}
	d.audited++
	m.do(st.Ops[won], d.now)
	return nil
}

// request of an operation.
func (d *modelDesk) request(m *deskModel, o operation, version int) (path, body string) {
	path = base + "/tickets/" + m.number
	eta := d.now.Add(time.Duration(1+o.N%200) * time.Hour)
	v := map[string]any{"version": version}
	switch o.What {
	case "move":
		path += "/move"
		v["to"] = o.To
		switch {
		case o.To == "resolved" && o.N%3 != 0:
			r := faultline.Resolution{Outcome: "solved", FailureMode: "wear", Detection: "seen", Mechanism: "wear", Cause: "age", FunctionalTest: "ran", Words: "Done.", Verdict: faultline.VerdictTrue}
			if o.N%2 == 0 {
				r.NormalReason = "the sensor is faulty"
			}
			v["resolution"] = r
		case o.To == "triaged":
			v["resolution"] = faultline.Resolution{Outcome: "partial", Cause: "seal", Words: "It runs at half load.", NextPlan: "seal", Owner: "anna", NextAt: eta}
		case o.To == "waiting_parts":
			v["expected_solution_at"] = eta
		case o.To == "cancelled":
			v["reason"] = "withdrawn"
		}
	case "tell":
		path += "/comments"
		v["kind"], v["text"] = o.To, "words"
		if o.To == "promise" || o.To == "diagnosis_sent" {
			v["expected_solution_at"] = eta
		}
	default:
		path += "/amend"
		v["reason"] = "so it is"
		switch o.What {
		case "assign":
			v["assignee"] = o.To
		case "priority":
			v["impact"], v["urgency"] = string("CBA"[o.N%3]), 1+o.N/3%3
		case "contract":
			v["contract"] = o.To
		}
	}
	b, _ := json.Marshal(v)
	return path, string(b)
}

const modelKey = "plant|P-1|hot|wear"

// raise is what the machine does when its alarm is raised: one fault, one ticket.
func (d *modelDesk) raise(o operation) error {
	var made *faultline.Ticket
	err := d.store.Tx(d.t.Context(), d.lease, func(tx *store.Tx) error {
		t, open, err := tx.TicketByKey(modelKey)
		if err != nil {
			return err
		}
		if open {
			t.Count++
			if t.Status == faultline.StatusResolved {
				e := faultline.TicketEvent{Ticket: t.ID, At: d.now, By: "rules", Kind: faultline.EventMoved, From: "resolved", To: "in_progress"}
				t.Status, t.ResolvedAt, t.Resolution = faultline.StatusInProgress, time.Time{}, faultline.Resolution{}
				t.Note(e)
				if err := tx.AddTicketEvent(e); err != nil {
					return err
				}
			}
			err = tx.UpdateTicket(&t)
		} else {
			t = faultline.Ticket{Kind: faultline.TicketFault, Status: faultline.StatusNew, Site: "plant", Position: "P-1", Rule: "hot", FailureMode: "wear", Keys: []string{modelKey}, Title: "Hot",
				Impact: "B", Urgency: 1 + o.N%3, Priority: faultline.PriorityOf("B", 1+o.N%3), EventAt: d.now, ReceivedAt: d.now, Count: 1}
			if err = tx.CreateTicket(&t); err == nil {
				err = tx.AddTicketEvent(faultline.TicketEvent{Ticket: t.ID, At: d.now, By: "rules", Kind: faultline.EventOpened, To: "new"})
			}
			made = &t
		}
		if err != nil {
			return err
		}
		return tx.PutAlarm(faultline.Alarm{ID: faultline.AlarmID("plant", "P-1", "hot"), Site: "plant", Position: "P-1", Rule: "hot", Active: true, Severity: faultline.SeverityWarning, RaisedAt: d.now, Count: 1, Ticket: t.ID})
	})
	if err != nil {
		return fmt.Errorf("raise: %w", err)
	}
	for _, m := range d.tickets {
		if m.machine && m.open() && made == nil {
			m.version++
			m.bad = true
			if m.status == "resolved" {
				m.goTo("in_progress", d.now)
			}
			return nil
		}
	}
	if made == nil {
		return errors.New("the machine found an open ticket of its key, but there is none")
	}
	for _, m := range d.tickets {
		if m.machine && m.open() {
			return fmt.Errorf("a second open ticket of one key beside %s", m.number)
		}
	}
	d.add(made, true)
	return nil
}

func (d *modelDesk) clear() error {
	err := d.store.Tx(d.t.Context(), d.lease, func(tx *store.Tx) error {
		a, found, err := tx.Alarm(faultline.AlarmID("plant", "P-1", "hot"))
		if err != nil || !found {
			return err
		}
		a.Active, a.ClearedAt = false, d.now
		return tx.PutAlarm(a)
	})
	for _, m := range d.tickets {
		m.bad = false
	}
	return err
}

// watched is the desk's look at the clocks: it tells of them, and closes what the customer was silent about for 7 days.
func (d *modelDesk) watched() error {
	if err := d.watch(d.t.Context(), d.now); err != nil {
		return err
	}
	for _, m := range d.tickets {
		if m.status == "resolved" && d.now.Sub(m.resolved) >= 7*24*time.Hour {
			was := m.resolved
			m.goTo("closed", d.now)
			m.resolved = was
		}
		t, err := d.store.Ticket(d.t.Context(), m.id)
		if err != nil {
			return err
		}
		if t.Version < m.version {
			return fmt.Errorf("%s went back from version %d to %d", m.number, m.version, t.Version)
		}
		m.version = t.Version
	}
	return nil
}

// look compares all tickets with the model.
func (d *modelDesk) look() error {
	open := 0
	for _, m := range d.tickets {
		t, err := d.store.Ticket(d.t.Context(), m.id)
		if err != nil {
			return err
		}
		got := []any{string(t.Status), string(t.WaitingFrom), string(t.Priority), t.Assignee, t.Contract, t.Version, t.ResolvedAt.Equal(m.resolved), t.ClosedAt.Equal(m.ended), t.ReceivedAt.Equal(m.received)}
		want := []any{m.status, m.from, fmt.Sprint("P", m.priority()), m.assignee, m.contract, m.version, true, true, true}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%s is %v, want %v", m.number, got, want)
		}
		if solved := t.Resolution.Outcome == faultline.OutcomeSolved; solved != !m.resolved.IsZero() {
			return fmt.Errorf("%s is %s with outcome %q", m.number, m.status, t.Resolution.Outcome)
		}
		if m.machine && m.open() {
			open++
		}
		if err := d.history(m, &t); err != nil {
			return fmt.Errorf("%s: %w", m.number, err)
		}
	}
	if open > 1 {
		return fmt.Errorf("%d open tickets of one key", open)
	}
	return nil
}

// history only grows, tells a way that leads to the status, and gives the clocks again.
func (d *modelDesk) history(m *deskModel, t *faultline.Ticket) error {
	events, err := d.store.TicketEvents(d.t.Context(), m.id)
	if err != nil {
		return err
	}
	before := d.seen[m.id]
	if len(events) < len(before) || len(before) > 0 && !reflect.DeepEqual(events[:len(before)], before) {
		return fmt.Errorf("the history was changed: %+v, was %+v", events, before)
	}
	d.seen[m.id] = events
	status := "new"
	again := *t
	again.Course = nil
	for _, e := range events {
		if e.Kind == faultline.EventMoved {
			if e.From != status {
				return fmt.Errorf("the history moves from %s while it is %s", e.From, status)
			}
			status = e.To
		}
		again.Note(e)
	}
	if status != m.status {
		return fmt.Errorf("the history ends at %s, the ticket is %s", status, m.status)
	}
	b, err := d.book.open(d.t.Context())
	if err != nil {
		return err
	}
	terms := b.service(t)
	clocks := t.Clocks(terms, d.now)
	if other := again.Clocks(terms, d.now); !reflect.DeepEqual(clocks, other) {
		return fmt.Errorf("clocks %+v, from the history %+v", clocks, other)
	}
	response, responded, answer, answered := m.clocks(d.now)
	for _, c := range []struct {
		name          string
		got, want     time.Time
		gotAt, wantAt time.Time
	}{{"response", clocks.Response.Due, response, clocks.Response.Stopped, responded}, {"answer", clocks.Answer.Due, answer, clocks.Answer.Stopped, answered}} {
		if !c.got.Equal(c.want) || !c.gotAt.Equal(c.wantAt) {
			return fmt.Errorf("%s due %s, stopped %s; the model has %s and %s", c.name, c.got.Format(time.RFC3339), c.gotAt.Format(time.RFC3339), c.want.Format(time.RFC3339), c.wantAt.Format(time.RFC3339))
		}
	}
	if len(clocks.Earlier) != len(m.starts)-1 {
		return fmt.Errorf("%d earlier cycles, want %d", len(clocks.Earlier), len(m.starts)-1)
	}
	return nil
}
