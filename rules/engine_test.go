package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// hall is a real stream and a real store with a pump, for engines that run.
type hall struct {
	t     *testing.T
	hub   *bus.Hub
	store *store.Store
	out   *bus.Publisher
	at    time.Time // event time of the last frame
}

func newHall(t *testing.T) *hall {
	t.Helper()
	server, err := bus.StartServer(bus.ServerConfig{Dir: t.TempDir(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	conn, err := server.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	h := &hall{t: t, at: time.Now().Add(-30 * time.Second)}
	if h.hub, err = conn.OpenHub(t.Context(), bus.HubConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if h.out, err = h.hub.Publisher(t.Context(), "plant", "gw1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.out.Close() })
	if h.store, err = store.Open(t.Context(), store.Config{URL: "sqlite:" + t.TempDir() + "/rules.db"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.store.Close() })
	for _, p := range profilePositions(t) {
		if p.Kind == "centrifugal_pump" {
			p.ID = "P-101"
			if err := h.store.PutPosition(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

// run starts an engine; the function it gives stops it and waits.
func (h *hall) run(s Store, change func(*Options)) (stop func()) {
	h.t.Helper()
	o := Options{Source: h.hub, Store: s, Set: loadLibrary(h.t), Owner: "one", Publish: h.hub.Conn().PublishEvent,
		LeaseTTL: 2 * time.Second, Registry: prometheus.NewPedanticRegistry()}
	if change != nil {
		change(&o)
	}
	e, err := New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				h.t.Errorf("the engine ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			h.t.Error("the engine does not end")
		}
	}
	h.t.Cleanup(stop)
	return stop
}

// seconds publishes a frame for each of n seconds of event time.
func (h *hall) seconds(n int, vibration float64) {
	h.t.Helper()
	for range n {
		h.at = h.at.Add(time.Second)
		err := h.out.Publish(h.t.Context(), faultline.Frame{Kind: "centrifugal_pump", Site: "plant", Position: "P-101", Gateway: "gw1", Time: h.at,
			Samples: []faultline.Sample{{Point: "vibration_de", Quality: faultline.Good, Value: faultline.Float(vibration)}}}, bus.Meta{Profile: "p@1"})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *hall) eventually(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 15 s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (h *hall) ticketCount() int {
	h.t.Helper()
	_, n, err := h.store.Tickets(h.t.Context(), store.TicketFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *hall) alarm() faultline.Alarm {
	a, err := h.store.Alarm(h.t.Context(), "plant/P-101/pump-vibration-de")
	if err != nil && !errors.Is(err, faultline.ErrNotFound) {
		h.t.Fatal(err)
	}
	return a
}

// The whole way over real parts: frames in the stream, an alarm and a ticket with evidence in the store,
// an event for the pages, an acknowledgement, a restart in the middle of the alarm, its end.
func TestEngine(t *testing.T) {
	h := newHall(t)
	var mu sync.Mutex
	heard := map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	subscribed := make(chan struct{})
	wait.Go(func() {
		close(subscribed)
		_ = h.hub.Conn().SubscribeEvents(ctx, func(e faultline.Event) {
			mu.Lock()
			defer mu.Unlock()
			heard[e.Topic] = true
		})
	})
	defer wait.Wait()
	defer cancel()
	<-subscribed
	stop := h.run(SQL(h.store), nil)
	h.seconds(5, 2)
	h.seconds(5, 12)
	h.eventually("the ticket", func() bool { return h.ticketCount() == 1 })
	tickets, _, err := h.store.Tickets(t.Context(), store.TicketFilter{})
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := h.store.Evidence(t.Context(), tickets[0].ID)
	if err != nil || len(evidence) != 1 || len(evidence[0].Samples) != 9 || evidence[0].Samples[8].At != h.at.Add(-time.Second).UTC() {
		t.Fatalf("evidence: %v %+v", err, evidence)
	}
	if a := h.alarm(); a.Ticket != tickets[0].ID || a.State(time.Now()) != faultline.AlarmUnacked || a.Severity != faultline.SeverityCritical {
		t.Errorf("alarm: %+v", a)
	}
	h.eventually("events", func() bool { mu.Lock(); defer mu.Unlock(); return heard["alarm"] && heard["ticket"] })

	r, err := h.hub.Send(t.Context(), faultline.Command{ID: "c1", Verb: faultline.VerbAcknowledge, Site: "plant", Position: "P-101", Rule: "pump-vibration-de", By: "anna"})
	if err != nil || !r.OK {
		t.Fatalf("acknowledging: %v %+v", err, r)
	}
	if a := h.alarm(); a.State(time.Now()) != faultline.AlarmAcked || a.AckedBy != "anna" {
		t.Errorf("after acknowledging: %+v", a)
	}
	if r, err := h.hub.Send(t.Context(), faultline.Command{ID: "c2", Verb: faultline.VerbAcknowledge, Site: "plant", Position: "nowhere", Rule: "x", By: "anna"}); err != nil || r.OK || !strings.Contains(r.Message, "no position nowhere") {
		t.Errorf("acknowledging nothing: %v %+v", err, r)
	}
	stop()
	if places, err := h.store.Places(t.Context()); err != nil || len(places) != 1 || places[0].Role != "rules" || places[0].Place.Sequence < 10 {
		t.Errorf("the place that trimming goes by: %v %+v", err, places)
	}
	h.seconds(5, 12) // while it is away
	h.run(SQL(h.store), nil)
	h.seconds(40, 2)
	h.eventually("the end of the alarm", func() bool { return !h.alarm().Active })
	if a := h.alarm(); a.Count != 1 || a.State(time.Now()) != faultline.AlarmNormal {
		t.Errorf("after the restart: %+v", a)
	}
	if n := h.ticketCount(); n != 1 {
		t.Errorf("%d tickets for one fault", n)
	}
	r, err = h.hub.Send(t.Context(), faultline.Command{ID: "c3", Verb: faultline.VerbTestAlarm, Site: "plant", Position: "P-101", By: "anna"})
	if err != nil || !r.OK || r.Message != "test ticket T-000002 opened" {
		t.Errorf("test alarm: %v %+v", err, r)
	}
}

// Two engines: one works, the other waits, and takes over when the first one's lease runs out.
func TestTakeover(t *testing.T) {
	h := newHall(t)
	dead := &deadStore{Store: SQL(h.store)}
	h.run(dead, nil)
	h.seconds(5, 12)
	h.eventually("the ticket", func() bool { return h.ticketCount() == 1 })
	h.run(SQL(h.store), func(o *Options) { o.Owner = "two" })
	dead.cut() // as if its network were gone: it neither renews nor writes nor releases
	h.seconds(40, 2)
	h.eventually("the other to go on", func() bool { a := h.alarm(); return a.Count == 1 && !a.Active })
	if n := h.ticketCount(); n != 1 {
		t.Errorf("%d tickets for one fault", n)
	}
}

// deadStore is a store that can be cut off.
type deadStore struct {
	Store
	mu  sync.Mutex
	off bool
}

func (s *deadStore) cut() { s.mu.Lock(); defer s.mu.Unlock(); s.off = true }

func (s *deadStore) gone() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return errors.New("the store cannot be reached")
	}
	return nil
}

func (s *deadStore) Lease(ctx context.Context, p int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	if err := s.gone(); err != nil {
		return nil, err
	}
	l, err := s.Store.Lease(ctx, p, owner, ttl, now)
	return &deadLease{l, s}, err
}

type deadLease struct {
	Lease
	s *deadStore
}

func (l *deadLease) Renew(ctx context.Context, ttl time.Duration, now time.Time) error {
	if err := l.s.gone(); err != nil {
		return err
	}
	return l.Lease.Renew(ctx, ttl, now)
}

func (l *deadLease) Release(ctx context.Context) error {
	if err := l.s.gone(); err != nil {
		return err
	}
	return l.Lease.Release(ctx)
}

func (l *deadLease) SaveUnits(ctx context.Context, units []Unit, drop []string, place faultline.Place) error {
	if err := l.s.gone(); err != nil {
		return err
	}
	return l.Lease.SaveUnits(ctx, units, drop, place)
}

func (l *deadLease) Effects(ctx context.Context, fn func(Tx) error) error {
	if err := l.s.gone(); err != nil {
		return err
	}
	return l.Lease.Effects(ctx, fn)
}

// flaky fails every other transaction, before or after it is committed.
type flaky struct {
	Lease
	n int
}

func (l *flaky) Effects(ctx context.Context, fn func(Tx) error) error {
	l.n++
	switch l.n % 3 {
	case 1:
		return errors.New("before the commit")
	case 2:
		if err := l.Lease.Effects(ctx, fn); err != nil {
			return err
		}
		return errors.New("after the commit, the answer was lost")
	}
	return l.Lease.Effects(ctx, fn)
}

// A transaction whose outcome is unknown is repeated, and its effects are there once.
func TestLostAnswerOfACommit(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityB)
	p.worker.lease = &flaky{Lease: p.lease}
	p.values["P-101"]["vibration_de"] = "12"
	for range 6 {
		p.second()
	}
	tickets := p.tickets()
	if len(tickets) != 1 || tickets[0].Count != 1 {
		t.Errorf("tickets: %s", brief(tickets))
	}
}

// A batch whose effects were not written leaves state that must not be saved; a new owner is fenced off
// from nothing and goes on from what was written.
func TestFencedInTheMiddle(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityB)
	p.values["P-101"]["vibration_de"] = "2"
	p.second()
	old := p.worker
	if _, err := SQL(p.store).Lease(t.Context(), 0, "test", time.Minute, p.now); err != nil { // the same owner, started again
		t.Fatal(err)
	}
	var failed error
	p.values["P-101"]["vibration_de"] = "12"
	for range 6 {
		n := len(p.log)
		p.worker = nil
		p.now = p.now.Add(time.Second)
		p.frame(&p.positions[0], p.now)
		if failed = old.handle(t.Context(), p.log[n:]); failed != nil {
			break
		}
	}
	if !errors.Is(failed, faultline.ErrFenced) || !old.broken {
		t.Fatalf("the old owner could write: %v, broken %v", failed, old.broken)
	}
	if err := old.saver.all(t.Context()); !errors.Is(err, faultline.ErrFenced) {
		t.Errorf("the old owner could save: %v", err)
	}
	if n := len(p.tickets()); n != 0 {
		t.Fatalf("%d tickets from the old owner", n)
	}
	p.start()
	p.second()
	if tickets := p.tickets(); len(tickets) != 1 {
		t.Errorf("the new owner forgot the fault: %s", brief(tickets))
	}
}

// An effect that the store refuses for good is left out; the others of its batch are not.
func TestPoisonedEffect(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityB)
	p.position("P-102", "centrifugal_pump", faultline.CriticalityB)
	i := p.worker.units["plant/P-101"].find("pump-vibration-de")
	own := *i.rule
	own.FailureMode = "" // makes an invalid key
	i.rule = &own
	p.values["P-101"]["vibration_de"], p.values["P-102"]["vibration_de"] = "12", "12"
	for range 6 {
		p.second()
	}
	if tickets := p.tickets(); len(tickets) != 1 || tickets[0].Position != "P-102" {
		t.Errorf("tickets: %s", brief(tickets))
	}
	if n := testutil.ToFloat64(p.worker.engine.metrics.refused); n != 1 {
		t.Errorf("%v effects counted as refused", n)
	}
}

// The alarm of a rule that was removed is cleared and says why.
func TestRemovedRule(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityB)
	p.values["P-101"]["vibration_de"] = "12"
	for range 6 {
		p.second()
	}
	p.stop()
	set, err := Load(p.set, File{"own.yaml", []byte("rules:\n  - {id: pump-vibration-de, disabled: true}\n")})
	if err != nil {
		t.Fatal(err)
	}
	p.set = set
	p.second()
	p.second()
	a, err := p.store.Alarm(t.Context(), "plant/P-101/pump-vibration-de")
	if err != nil || a.Active {
		t.Fatalf("%v %+v", err, a)
	}
	if tickets := p.tickets(); len(tickets) != 1 || tickets[0].RecoveredAt.IsZero() {
		t.Errorf("tickets: %s", brief(tickets))
	}
	p.restart()
	p.second()
	events, err := p.store.AlarmEvents(t.Context(), a.ID, 10)
	if err != nil || len(events) != 2 {
		t.Errorf("%v %+v", err, events)
	}
}

// An edit of a rule leaves its active alarm alone where it still holds, and judges it anew where not.
func TestEditedRule(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityB)
	p.values["P-101"]["vibration_de"] = "8"
	for range 6 {
		p.second()
	}
	for _, c := range []struct {
		high   float64
		active bool
	}{{7.5, true}, {9, false}} {
		p.stop()
		set, err := Load(loadLibrary(t), File{"own.yaml", fmt.Appendf(nil, `
rules:
  - {id: pump-vibration-de, version: 2, title: Vibration, kind: threshold, asset_kind: centrifugal_pump, point: vibration_de,
     limits: {high: %v}, failure_mode: bearing_damage, family: bearing}
`, c.high)})
		if err != nil {
			t.Fatal(err)
		}
		p.set = set
		p.second()
		p.second()
		a, err := p.store.Alarm(t.Context(), "plant/P-101/pump-vibration-de")
		if err != nil || a.Active != c.active || a.Count != 1 {
			t.Errorf("limit %v: %v %+v", c.high, err, a)
		}
	}
}

// Where the end of a stream was lost, new messages get the sequences of lost ones: they are not taken
// for ones that were seen.
func TestLostEndOfStream(t *testing.T) {
	p := newPlant(t, loadLibrary(t))
	p.position("P-101", "centrifugal_pump", faultline.CriticalityB)
	p.values["P-101"]["vibration_de"] = "2"
	for range 10 {
		p.second()
	}
	w := p.worker
	cut := len(p.log) - 9
	lost := &bus.PlaceLostError{From: w.place, Stream: p.stream, First: 1, Last: uint64(cut)}
	if from := w.resume(lost); from != (faultline.Place{Stream: p.stream, Sequence: uint64(cut)}) {
		t.Fatalf("resumes at %+v", from)
	}
	p.log = p.log[:cut]
	w.place = p.log[cut-1].Place
	p.values["P-101"]["vibration_de"] = "12"
	for range 5 {
		p.second()
	}
	if tickets := p.tickets(); len(tickets) != 1 {
		t.Errorf("tickets: %s", brief(tickets))
	}
	// A stream that was made anew is read from its beginning, and nothing in it was seen.
	if from := w.resume(&bus.PlaceLostError{From: w.place, Stream: "s2", First: 1, Last: 3}); from != (faultline.Place{Stream: "s2"}) {
		t.Errorf("a new stream is resumed at %+v", from)
	}
	if u := w.units["plant/P-101"]; u.seen(faultline.Place{Stream: "s2", Sequence: 1}) {
		t.Error("a message of a new stream counts as seen")
	}
}

func TestMetricNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	if _, err := newMetrics(r); err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	r = prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{m.frames.WithLabelValues("judged"), m.transitions.WithLabelValues("raised"), m.tickets.WithLabelValues("opened"),
		m.commands.WithLabelValues("done"), m.retries.WithLabelValues("save"), m.evaluations, m.replayed, m.refused, m.batch, m.lag, m.partitions, m.units, m.saved, m.savedBytes, m.lost} {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := r.Gather()
	if err != nil || len(families) != 15 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", err, problems)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "faultline_rules_") {
			t.Errorf("%s", f.GetName())
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{Owner: "x"}); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("without a source: %v", err)
	}
	p := newPlant(t, loadLibrary(t))
	if _, err := New(Options{Source: source{p}, Store: SQL(p.store), Set: p.set}); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("without an owner: %v", err)
	}
}
