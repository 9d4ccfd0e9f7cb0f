package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// stream is a Source of one partition.
type stream struct {
	mu    sync.Mutex
	name  string
	first uint64 // sequence of the first message that is still there
	msgs  []faultline.Message
	more  chan struct{}
	seqs  map[string]uint64
}

func newStream() *stream {
	return &stream{name: "s-1", first: 1, more: make(chan struct{}), seqs: map[string]uint64{}}
}

func (s *stream) add(ms ...faultline.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		m.Place = faultline.Place{Stream: s.name, Sequence: s.first + uint64(len(s.msgs))}
		if m.StoredAt.IsZero() {
			m.StoredAt = time.Now().UTC()
		}
		s.msgs = append(s.msgs, m)
	}
	close(s.more)
	s.more = make(chan struct{})
}

func (s *stream) Consume(ctx context.Context, _ int, from faultline.Place, handle func(context.Context, []faultline.Message) error) error {
	reused := make([]faultline.Message, 0, 100)
	for {
		s.mu.Lock()
		if from.Stream != "" && from.Stream != s.name || from.Sequence+1 < s.first {
			defer s.mu.Unlock()
			return fmt.Errorf("consume: %w", &bus.PlaceLostError{From: from, Stream: s.name, First: s.first})
		}
		reused = append(reused[:0], s.msgs[from.Sequence+1-s.first:]...)
		more := s.more
		s.mu.Unlock()
		for part := range slices.Chunk(reused, 100) {
			if err := handle(ctx, part); err != nil {
				return err
			}
			from = part[len(part)-1].Place
			clear(part) // as a source may
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}

// frame makes the next frame of the gateway: one float point "v", which holds the sequence.
func (s *stream) frame(gateway string, at time.Time) faultline.Message {
	s.seqs[gateway]++
	return frame(gateway, s.seqs[gateway], at)
}

func frame(gateway string, seq uint64, at time.Time) faultline.Message {
	return faultline.Message{
		Kind: faultline.KindFrame, Site: "s1", Position: "P-" + gateway, ID: faultline.FrameID{Gateway: gateway, Epoch: "e1", Sequence: seq},
		Payload: []byte(fmt.Sprintf("pump,gateway=%s,position=P-%s,site=s1 v=%d,w__q=\"bad:timeout\" %d", gateway, gateway, seq, at.UnixNano())),
	}
}

func heartbeat(gateway string, seq uint64) faultline.Message {
	return faultline.Message{Kind: faultline.KindHeartbeat, Site: "s1", ID: faultline.FrameID{Gateway: gateway, Epoch: "e1", Sequence: seq}, Payload: []byte("{}")}
}

var errDown = errors.New("down")

// influx is a Writer that keeps one line for each series and time, as InfluxDB does.
type influx struct {
	mu     sync.Mutex
	points map[string]string // series and time → line
	ledger []string
	writes int
	fail   func(lines [][]byte) error
}

func newInflux() *influx { return &influx{points: map[string]string{}} }

func (w *influx) Write(ctx context.Context, body []byte) error { return w.WriteIn(ctx, "", body) }

func (w *influx) WriteIn(_ context.Context, policy string, body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	lines := bytes.Split(body, []byte("\n"))
	if w.fail != nil {
		if err := w.fail(lines); err != nil {
			return err
		}
	}
	for _, l := range lines {
		s := string(l)
		if strings.HasPrefix(s, ledgerMeasurement) {
			w.ledger = append(w.ledger, s)
			continue
		}
		f := strings.Split(s, " ")
		w.points[policy+f[0]+" "+f[len(f)-1]] = s
	}
	return nil
}

func (w *influx) set(fail func([][]byte) error) {
	w.mu.Lock()
	w.fail = fail
	w.mu.Unlock()
}

func (w *influx) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.points)
}

// refuse makes a fail function that refuses lines that hold a text, as InfluxDB refuses bad lines.
func refuse(text, why string) func([][]byte) error {
	return func(lines [][]byte) error {
		for _, l := range lines {
			if bytes.Contains(l, []byte(text)) {
				return &tsdb.Error{Op: "write", Status: 400, Message: why}
			}
		}
		return nil
	}
}

func down([][]byte) error { return errDown }

// memory is a Store.
type memory struct {
	mu       sync.Mutex
	owner    string
	epoch    int
	until    time.Time
	place    faultline.Place
	rows     map[string]faultline.LedgerRow
	dead     map[string]faultline.DeadLetter
	gateways map[string]faultline.Gateway
	saves    int
	stale    []StaleHours
	fail     error
}

func newMemory() *memory {
	return &memory{rows: map[string]faultline.LedgerRow{}, dead: map[string]faultline.DeadLetter{}, gateways: map[string]faultline.Gateway{}}
}

type held struct {
	m     *memory
	epoch int
}

func (m *memory) Lease(_ context.Context, _ int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owner != owner && now.Before(m.until) {
		return nil, fmt.Errorf("lease: %w", faultline.ErrConflict)
	}
	m.owner, m.until = owner, now.Add(ttl)
	m.epoch++
	return &held{m, m.epoch}, nil
}

// locked runs fn if the lease is held.
func (h *held) locked(fn func() error) error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if h.m.epoch != h.epoch {
		return fmt.Errorf("lease: %w", faultline.ErrFenced)
	}
	if h.m.fail != nil {
		return h.m.fail
	}
	return fn()
}

func (h *held) Renew(_ context.Context, ttl time.Duration, now time.Time) error {
	return h.locked(func() error { h.m.until = now.Add(ttl); return nil })
}

func (h *held) Release(context.Context) error {
	return h.locked(func() error { h.m.until, h.m.owner = time.Time{}, ""; return nil })
}

func (h *held) Place(context.Context) (p faultline.Place, err error) {
	err = h.locked(func() error { p = h.m.place; return nil })
	return p, err
}

func (h *held) Ledger(_ context.Context, gateway, epoch string) (r faultline.LedgerRow, found bool, err error) {
	err = h.locked(func() error {
		r, found = h.m.rows[gateway+"/"+epoch]
		r.Gaps = slices.Clone(r.Gaps)
		return nil
	})
	return r, found, err
}

func (h *held) Save(_ context.Context, e Effects) error {
	return h.locked(func() error {
		h.m.saves++
		h.m.place = e.Place
		for _, r := range e.Rows {
			r.Gaps = slices.Clone(r.Gaps)
			h.m.rows[r.Gateway+"/"+r.Epoch] = r
		}
		for _, d := range e.Dead {
			h.m.dead[fmt.Sprint(d.Gateway, "/", d.Epoch, "/", d.Sequence, "/", d.Line)] = d
		}
		h.m.stale = append(h.m.stale, e.Stale...)
		for _, g := range e.Gateways {
			h.m.gateways[g.Site+"/"+g.ID] = g
		}
		return nil
	})
}

func (m *memory) set(err error) {
	m.mu.Lock()
	m.fail = err
	m.mu.Unlock()
}

func (m *memory) row(t *testing.T, gateway string) faultline.LedgerRow {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[gateway+"/e1"]
	if !ok {
		t.Fatalf("no ledger of %s", gateway)
	}
	balanced(t, &r)
	return r
}

func (m *memory) at() faultline.Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.place
}

func (m *memory) letters() (ds []faultline.DeadLetter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.dead {
		ds = append(ds, d)
	}
	slices.SortFunc(ds, func(a, b faultline.DeadLetter) int { return int(a.Sequence) - int(b.Sequence) })
	return ds
}

// rig is a role with its surroundings.
type rig struct {
	*stream
	*influx
	*memory
	cfg  Config
	ing  *Ingest
	stop func()
}

func newRig() *rig {
	r := &rig{stream: newStream(), influx: newInflux(), memory: newMemory(), stop: func() {}}
	r.cfg = Config{Partitions: []int{0}, Hub: r.stream, Store: r.memory, Influx: r.influx, Retention: 24 * time.Hour, Owner: "me"}
	return r
}

// start runs a role, as after a start of the program, until stop.
func (r *rig) start(t *testing.T) {
	t.Helper()
	ing, err := New(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.ing = ing
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ing.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
}

// settle lets time pass in a bubble, and everybody finish what is due by then.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// get reads what mu protects.
func get[T any](mu *sync.Mutex, v *T) T {
	mu.Lock()
	defer mu.Unlock()
	return *v
}

func (w *influx) requests() int   { return get(&w.mu, &w.writes) }
func (w *influx) shown() []string { return get(&w.mu, &w.ledger) }
func (m *memory) saved() int      { return get(&m.mu, &m.saves) }
func (m *memory) holder() string  { return get(&m.mu, &m.owner) }

func (m *memory) gateway(key string) (faultline.Gateway, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.gateways[key]
	return g, ok
}

func (m *memory) has(gateway string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.rows[gateway+"/e1"]
	return ok
}

// all shows the points.
func (w *influx) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.points)
}
