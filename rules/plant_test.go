package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
)

// plant is equipment at one site with a stream, a real store and a worker, driven by hand second by
// second: no goroutines, no clock.
type plant struct {
	t         testing.TB
	set       *Set
	store     *store.Store
	positions []faultline.Position
	values    map[string]map[string]string // position → point → value
	silent    map[string]bool              // positions and gateways
	epoch     string
	sequence  map[string]uint64 // by gateway
	now       time.Time
	lag       time.Duration // by which frames are stored late
	behind    time.Duration // by which the equipment's clock is behind the gateway's
	stream    string
	documents bool // rules are documents of the store, seeded from set
	log       []faultline.Message

	worker  *worker
	lease   Lease
	events  []faultline.Event
	answers map[string]faultline.CommandResult
	random  *rand.Rand // restarts at random; nil: never
	batch   int        // messages in a batch, at most; 0: all that are there
}

func newPlant(t testing.TB, set *Set) *plant {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "rules.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := &plant{
		t: t, set: set, store: s, values: map[string]map[string]string{}, silent: map[string]bool{}, epoch: "e1",
		sequence: map[string]uint64{}, now: start, stream: "s1", answers: map[string]faultline.CommandResult{},
	}
	if err := s.PutSite(t.Context(), faultline.Site{ID: "plant", Name: "Plant", Customer: "acme"}); err != nil {
		t.Fatal(err)
	}
	return p
}

// position adds equipment with the points of its kind's profile.
func (p *plant) position(id, kind string, criticality faultline.Criticality) {
	p.t.Helper()
	for _, like := range profilePositions(p.t) {
		if like.Kind != kind {
			continue
		}
		like.ID, like.Asset = id, faultline.Asset{Serial: "SN-" + id, Criticality: criticality, ProductKind: "industrial", Commissioned: start.AddDate(-1, 0, 0)}
		p.positions = append(p.positions, like)
		p.values[id] = map[string]string{}
		if err := p.store.PutPosition(p.t.Context(), like); err != nil {
			p.t.Fatal(err)
		}
		p.restart()
		return
	}
	p.t.Fatalf("no profile of kind %s", kind)
}

// parent puts equipment below other equipment.
func (p *plant) parent(id, parent string) {
	p.t.Helper()
	for i := range p.positions {
		if p.positions[i].ID == id {
			p.positions[i].Parent = parent
			if err := p.store.PutPosition(p.t.Context(), p.positions[i]); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	p.restart()
}

// source answers what a worker asks of a bus.
type source struct{ p *plant }

func (s source) Partition(string) int { return 0 }
func (s source) Partitions() int      { return 1 }
func (s source) Consume(context.Context, int, faultline.Place, func(context.Context, []faultline.Message) error) error {
	return nil
}
func (s source) Tick(context.Context, int, time.Time) error { return nil }

func (s source) Order(context.Context, int, faultline.Command) error { return nil }
func (s source) Answer(_ context.Context, r faultline.CommandResult) error {
	s.p.answers[r.ID] = r
	return nil
}

// start makes a worker as a new process would: from what the store holds.
func (p *plant) start() {
	p.t.Helper()
	ctx := p.t.Context()
	e, err := New(Options{Source: source{p}, Store: SQL(p.store), Set: p.set, Owner: "test", Log: slog.New(slog.DiscardHandler),
		Publish: func(e faultline.Event) error { p.events = append(p.events, e); return nil }})
	if err != nil {
		p.t.Fatal(err)
	}
	if p.documents {
		e.Documents = p.store
		if err := e.seed(ctx, start); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := e.look(ctx); err != nil {
		p.t.Fatal(err)
	}
	if p.lease, err = e.Store.Lease(ctx, 0, "test", time.Minute, p.now); err != nil {
		p.t.Fatal(err)
	}
	w, _ := e.current()
	p.worker = newWorker(e, 0, p.lease, w)
	from, drop, err := p.worker.load(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.worker.saver = newSaver(p.worker, drop)
	p.feed(from)
}

// feed shows the worker the messages after a place, in batches.
func (p *plant) feed(from faultline.Place) {
	p.t.Helper()
	rest := p.log
	if from.Stream == p.stream {
		rest = p.log[from.Sequence:]
	}
	for len(rest) > 0 {
		n := len(rest)
		if p.batch > 0 {
			n = min(n, p.batch)
		}
		if p.random != nil {
			n = 1 + p.random.IntN(n)
		}
		if err := p.worker.handle(p.t.Context(), rest[:n]); err != nil {
			p.t.Fatalf("messages from %d: %v", rest[0].Place.Sequence, err)
		}
		rest = rest[n:]
	}
}

// pump shows the worker what is new.
func (p *plant) pump() {
	p.t.Helper()
	if p.worker == nil {
		p.start()
		return
	}
	if p.random == nil {
		p.feed(p.worker.place)
		return
	}
	switch p.random.IntN(25) {
	case 0: // crash with nothing saved
		p.worker = nil
		p.start()
	case 1: // crash after some units were saved
		p.feed(p.worker.place)
		p.saveSome()
		p.worker = nil
		p.start()
	case 2: // an orderly stop
		p.feed(p.worker.place)
		p.stop()
		p.start()
	case 3: // messages gather
	default:
		p.feed(p.worker.place)
	}
}

// saveSome saves a random choice of units, as the saver would have.
func (p *plant) saveSome() {
	p.t.Helper()
	var units []Unit
	var done []savedUnit
	for _, u := range p.worker.order {
		if p.random.IntN(2) == 0 {
			saved, err := p.worker.saver.unit(u)
			if err != nil {
				p.t.Fatal(err)
			}
			units, done = append(units, saved), append(done, savedUnit{u, saved.Place})
		}
	}
	place := p.worker.saver.least(done)
	units, _ = p.worker.saver.book(units, place)
	p.worker.book.changed = false
	if place.Sequence > 0 {
		units = append(units, Unit{ID: partitionUnit, Place: place})
	}
	if err := p.lease.SaveUnits(p.t.Context(), units, nil, faultline.Place{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) stop() {
	p.t.Helper()
	if err := p.worker.saver.all(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.worker = nil
}

// restart is an orderly stop and start.
func (p *plant) restart() {
	p.t.Helper()
	if p.worker != nil {
		p.stop()
	}
	p.start()
}

func (p *plant) append(m faultline.Message) {
	m.Place = faultline.Place{Stream: p.stream, Sequence: uint64(len(p.log) + 1)}
	m.StoredAt = p.now
	p.log = append(p.log, m)
}

// second lets one second pass: each gateway that is not silent sends a heartbeat and a frame of each of
// its positions, and the hub ticks.
func (p *plant) second() {
	p.t.Helper()
	p.now = p.now.Add(time.Second)
	event := p.now.Add(-p.lag)
	var beat []string
	for i := range p.positions {
		pos := &p.positions[i]
		if p.silent[pos.Gateway] {
			continue
		}
		if !slices.Contains(beat, pos.Gateway) {
			beat = append(beat, pos.Gateway)
			payload, err := json.Marshal(faultline.Heartbeat{Site: pos.Site, Gateway: pos.Gateway, At: event})
			if err != nil {
				p.t.Fatal(err)
			}
			p.append(faultline.Message{Kind: faultline.KindHeartbeat, Site: pos.Site, Payload: payload,
				ID: faultline.FrameID{Gateway: pos.Gateway, Epoch: p.epoch, Sequence: p.sequence[pos.Gateway]}})
		}
		if !p.silent[pos.ID] && len(p.values[pos.ID]) > 0 {
			p.frame(pos, event.Add(-p.behind))
		}
	}
	p.append(faultline.Message{Kind: faultline.KindTick, Payload: []byte("{}")})
	p.pump()
}

func (p *plant) frame(pos *faultline.Position, at time.Time) {
	p.t.Helper()
	f := faultline.Frame{Kind: pos.Kind, Site: pos.Site, Position: pos.ID, Gateway: pos.Gateway, Time: at}
	for i := range pos.Points {
		text, ok := p.values[pos.ID][pos.Points[i].Name]
		if !ok {
			continue
		}
		f.Samples = append(f.Samples, sampleOf(p.t, &pos.Points[i], text))
	}
	line, err := bus.AppendFrame(nil, &f)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sequence[pos.Gateway]++
	p.append(faultline.Message{Kind: faultline.KindFrame, Site: pos.Site, Position: pos.ID, Payload: line,
		ID: faultline.FrameID{Gateway: pos.Gateway, Epoch: p.epoch, Sequence: p.sequence[pos.Gateway]}})
}

// sampleOf reads "97.2", "true", "on_battery" or "bad:timeout".
func sampleOf(t testing.TB, point *faultline.Point, text string) faultline.Sample {
	t.Helper()
	s := faultline.Sample{Point: point.Name, Quality: faultline.Good}
	if strings.HasPrefix(text, "bad:") {
		s.Quality = faultline.Quality(text)
		return s
	}
	var err error
	switch point.Type {
	case faultline.TypeFloat:
		var v float64
		_, err = fmt.Sscan(text, &v)
		s.Value = faultline.Float(v)
	case faultline.TypeInt:
		var v int64
		_, err = fmt.Sscan(text, &v)
		s.Value = faultline.Int(v)
	case faultline.TypeBool:
		s.Value = faultline.Bool(text == "true")
	default:
		s.Value = faultline.String(text)
	}
	if err != nil {
		t.Fatalf("value %q of %s: %v", text, point.Name, err)
	}
	return s
}

// command sends one and gives its answer, if it came.
func (p *plant) command(c faultline.Command) faultline.CommandResult {
	p.t.Helper()
	c.Site, c.At = "plant", p.now
	if c.ID == "" {
		c.ID = fmt.Sprintf("c%d", len(p.log))
	}
	payload, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(faultline.Message{Kind: faultline.KindCommand, Payload: payload})
	p.now = p.now.Add(time.Millisecond)
	p.feed(p.worker.place)
	return p.answers[c.ID]
}

// account lists everything that people can see, in a form in which two runs can be compared.
func (p *plant) account() string {
	p.t.Helper()
	ctx := p.t.Context()
	var b strings.Builder
	alarms, _, err := p.store.Alarms(ctx, store.AlarmFilter{Limit: 1000})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.SortFunc(alarms, func(a, b faultline.Alarm) int { return strings.Compare(a.ID, b.ID) })
	number := map[string]string{"": ""}
	tickets := p.tickets()
	for _, t := range tickets {
		number[t.ID] = t.Number
	}
	for _, a := range alarms {
		a.Ticket = number[a.Ticket]
		fmt.Fprintf(&b, "alarm %+v\n", a)
		events, err := p.store.AlarmEvents(ctx, a.ID, 1000)
		if err != nil {
			p.t.Fatal(err)
		}
		slices.SortFunc(events, func(a, b faultline.AlarmEvent) int {
			if c := a.StoredAt.Compare(b.StoredAt); c != 0 {
				return c
			}
			return strings.Compare(a.Transition, b.Transition)
		})
		for _, e := range events {
			fmt.Fprintf(&b, "  %+v\n", e)
		}
	}
	for _, t := range tickets {
		id := t.ID
		t.ID, t.Version = "", 0
		fmt.Fprintf(&b, "ticket %+v\n", t)
		events, err := p.store.TicketEvents(ctx, id)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range events {
			e.Ticket = ""
			fmt.Fprintf(&b, "  %+v\n", e)
		}
		evidence, err := p.store.Evidence(ctx, id)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range evidence {
			e.Ticket = ""
			doc, err := json.Marshal(e)
			if err != nil {
				p.t.Fatal(err)
			}
			fmt.Fprintf(&b, "  evidence %s\n", doc)
		}
	}
	inspections, err := p.store.Inspections(ctx, store.InspectionFilter{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, i := range inspections {
		i.Ticket = number[i.Ticket]
		fmt.Fprintf(&b, "inspection %+v\n", i)
	}
	return b.String()
}

// tickets in the order of their numbers.
func (p *plant) tickets() []faultline.Ticket {
	p.t.Helper()
	list, _, err := p.store.Tickets(p.t.Context(), store.TicketFilter{Limit: 1000})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b faultline.Ticket) int { return strings.Compare(a.Number, b.Number) })
	return list
}

// inspections as "position plan cycle status".
func (p *plant) inspections() []string {
	p.t.Helper()
	list, err := p.store.Inspections(p.t.Context(), store.InspectionFilter{})
	if err != nil {
		p.t.Fatal(err)
	}
	var texts []string
	for _, i := range list {
		texts = append(texts, fmt.Sprintf("%s %s %d %s", i.Position, i.Plan, i.Cycle, i.Status))
	}
	slices.Sort(texts)
	return texts
}
