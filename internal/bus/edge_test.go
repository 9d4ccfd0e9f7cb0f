package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func openEdge(t *testing.T, c *Conn, cfg EdgeConfig) *Edge {
	t.Helper()
	cfg.Site, cfg.Gateway = "plant-3", "gw1"
	if cfg.CommitInterval == 0 {
		cfg.CommitInterval = 2 * time.Millisecond
	}
	e, err := c.OpenEdge(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// forward runs Forward until stop is called.
func forward(t *testing.T, e *Edge, h *Hub) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Forward(ctx, h) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestForward(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		edge := startServer(t, ServerConfig{Dir: t.TempDir()})
		e := openEdge(t, connectTo(t, edge), EdgeConfig{})
		h := openHub(t, connect("hub"), HubConfig{Partitions: 2})
		part := h.Partition("plant-3")
		p := openPublisher(t, e.Publisher)
		publish(t, p, 1, 1500) // more than a batch waits
		stop := forward(t, e, h)
		publish(t, p, 1501, 1600)
		if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "plant-3", Gateway: "gw1", At: at}); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(t.Context(), numbered(1601), Meta{Profile: "pump@1", Possibly: true}); err != nil {
			t.Fatal(err)
		}
		ms := consume(t, h, part, faultline.Place{}, 1601)
		complete(t, ms, p.Epoch(), 1, 1601)
		if m := ms[len(ms)-1]; !m.Possibly || m.Dropped != 0 || m.Place.Stream != h.Stream(part) {
			t.Errorf("%+v", m)
		}
		if m := ms[len(ms)-2]; m.Kind != faultline.KindHeartbeat || m.ID.Sequence != 1600 {
			t.Errorf("%+v", m)
		}
		eventually(t, "counted", func() bool { return e.Uplink().Frames == 1601 })
		if u := e.Uplink(); u.State != "ok" || u.Last.Sequence != 1601 || u.Dropped != 0 || u.Skipped != 0 || u.Backlog != 0 {
			t.Errorf("%+v", u)
		}
		stop()
		// Again: nothing is sent twice.
		stop = forward(t, e, h)
		publish(t, p, 1602, 1602)
		complete(t, consume(t, h, part, faultline.Place{}, 1602), p.Epoch(), 1, 1602)
		eventually(t, "counted", func() bool { return e.Uplink().Frames == 1602 })
		stop()
		// While nothing is forwarded, the edge stream tells what waits.
		publish(t, p, 1603, 1607)
		eventually(t, "backlog", func() bool {
			if err := e.MeasureBacklog(t.Context()); err != nil {
				t.Error(err)
			}
			return e.Uplink().Backlog == 5 && e.Uplink().Lag > 0
		})
		if st, err := e.State(t.Context()); err != nil || st.First != 1 || st.Messages < 4 { // kept after forwarding
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// The hub is stopped and started again, over and over, while the edge publishes and forwards.
func TestForwardThroughHubRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, ServerConfig{Dir: dir, Listen: "127.0.0.1:0"})
	x := startProxy(t, s.URL())
	c, err := Dial(t.Context(), x.url(), DialOptions{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	h := openHub(t, c, HubConfig{})
	edge := startServer(t, ServerConfig{Dir: t.TempDir()})
	e := openEdge(t, connectTo(t, edge), EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	defer forward(t, e, h)()
	n := 0
	for round := range 4 {
		publish(t, p, n+1, n+1000)
		n += 1000
		at := uint64(n - 700)
		eventually(t, "forwarded in part", func() bool { return e.Uplink().Last.Sequence >= at })
		if round%2 == 0 {
			x.cut()
			continue
		}
		s.Close()
		s = startServer(t, ServerConfig{Dir: dir, Listen: "127.0.0.1:0"})
		x.to(s.URL())
		x.cut()
	}
	ms := consume(t, h, 0, faultline.Place{}, n)
	complete(t, ms, p.Epoch(), 1, uint64(n))
	if u := e.Uplink(); u.Dropped != 0 {
		t.Errorf("%+v", u)
	}
}

// A hub restored from an older backup, or lost, is filled again from what the edge still has.
func TestForwardFillsARestoredHub(t *testing.T) {
	edge := startServer(t, ServerConfig{Dir: t.TempDir()})
	e := openEdge(t, connectTo(t, edge), EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	publish(t, p, 1, 30)
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	c := connectTo(t, s)
	h := openHub(t, c, HubConfig{})
	stop := forward(t, e, h)
	complete(t, consume(t, h, 0, faultline.Place{}, 30), p.Epoch(), 1, 30)

	stop()

	// Restored to where 12 frames were there: a stream of another name, its last frame names where to go on.
	h2 := restoredHub(t, c, h, 12)
	stopped := make(chan error, 1)
	go func() { stopped <- e.Forward(t.Context(), h2) }()
	publish(t, p, 31, 31)
	complete(t, consume(t, h2, 0, faultline.Place{}, 31), p.Epoch(), 1, 31)

	// Lost altogether, while forwarding: Forward says so, and the new hub gets everything.
	if err := c.js.DeleteStream(t.Context(), h2.Stream(0)); err != nil {
		t.Fatal(err)
	}
	h3 := openHub(t, c, HubConfig{})
	publish(t, p, 32, 32)
	if err := <-stopped; !errors.Is(err, errOtherStream) {
		t.Fatal(err)
	}
	stop = forward(t, e, h3)
	complete(t, consume(t, h3, 0, faultline.Place{}, 32), p.Epoch(), 1, 32)
	stop()
	if u := e.Uplink(); u.Dropped != 0 {
		t.Errorf("%+v", u)
	}
}

// A hub whose stream lost its end, and with it all that it had of a gateway, gets everything again, although the stream
// has the name that it had.
func TestForwardFillsAHubThatLostItsEnd(t *testing.T) {
	edge := startServer(t, ServerConfig{Dir: t.TempDir()})
	e := openEdge(t, connectTo(t, edge), EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	dir, older := t.TempDir(), t.TempDir()
	s := startServer(t, ServerConfig{Dir: dir})
	c := connectTo(t, s)
	name := openHub(t, c, HubConfig{}).Stream(0)
	c.Close()
	s.Close()
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 1, 30)
	s = startServer(t, ServerConfig{Dir: dir})
	h := openHub(t, connectTo(t, s), HubConfig{})
	stop := forward(t, e, h)
	complete(t, consume(t, h, 0, faultline.Place{}, 30), p.Epoch(), 1, 30)
	stop()
	publish(t, p, 31, 40)
	s = startServer(t, ServerConfig{Dir: older})
	h = openHub(t, connectTo(t, s), HubConfig{})
	if h.Stream(0) != name {
		t.Fatalf("the older copy has the stream %s, not %s", h.Stream(0), name)
	}
	if err := h.Renew(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop = forward(t, e, h)
	complete(t, consume(t, h, 0, faultline.Place{}, 40), p.Epoch(), 1, 40)
	stop()
	direct := openPublisher(t, hubPublisher(h))
	if incarnation := h.incarn[0]; !strings.HasPrefix(direct.Epoch(), incarnation) || strings.HasSuffix(name, incarnation) {
		t.Errorf("a publisher of the renewed stream goes on in the epoch %s of %s", direct.Epoch(), name)
	}
}

// restoredHub replaces the hub's stream by one of another name with its first n frames.
func restoredHub(t *testing.T, c *Conn, h *Hub, n int) *Hub {
	t.Helper()
	ms := frames(consume(t, h, 0, faultline.Place{}, n))[:n]
	if err := c.js.DeleteStream(t.Context(), h.Stream(0)); err != nil {
		t.Fatal(err)
	}
	h2 := openHub(t, c, HubConfig{})
	for _, m := range ms {
		r := record{subject: "f.0.plant-3.gw1." + m.Position, header: []string{headerID, formatID(m.ID), headerProfile, m.Profile}, data: m.Payload}
		if _, err := c.one(t.Context(), r.message()); err != nil {
			t.Fatal(err)
		}
	}
	return h2
}

// What the edge's limit drops is declared to the hub with the frame after it.
func TestForwardDeclaresWhatTheEdgeDropped(t *testing.T) {
	edge := startServer(t, ServerConfig{Dir: t.TempDir()})
	e := openEdge(t, connectTo(t, edge), EdgeConfig{MaxBytes: 20 << 10})
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, e.Publisher)
	stop := forward(t, e, h)
	publish(t, p, 1, 10)
	consume(t, h, 0, faultline.Place{}, 10)
	stop()
	publish(t, p, 11, 400)
	st, err := e.State(t.Context())
	if err != nil || st.First < 100 || st.Bytes > 20<<10 {
		t.Fatalf("%+v, %v", st, err)
	}
	stop = forward(t, e, h)
	eventually(t, "forwarded", func() bool { return e.Uplink().Last.Sequence == 400 })
	stop()
	u := e.Uplink()
	ms := frames(consume(t, h, 0, faultline.Place{}, int(u.Frames)))
	next, dropped := uint64(1), uint64(0)
	for _, m := range ms {
		if m.ID.Sequence != next+m.Dropped {
			t.Fatalf("frame %d with %d dropped before it came, %d was next", m.ID.Sequence, m.Dropped, next)
		}
		next = m.ID.Sequence + 1
		dropped += m.Dropped
	}
	if next != 401 || dropped == 0 || dropped != u.Dropped || uint64(len(ms))+dropped != 400 {
		t.Fatalf("%d frames, %d dropped, to %d; %+v", len(ms), dropped, next-1, u)
	}
}

// The hub has trimmed all that it had of the gateway: forwarding goes on where the edge's consumer stands.
func TestForwardToATrimmedHub(t *testing.T) {
	edge := startServer(t, ServerConfig{Dir: t.TempDir()})
	e := openEdge(t, connectTo(t, edge), EdgeConfig{})
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, e.Publisher)
	publish(t, p, 1, 20)
	stop := forward(t, e, h)
	eventually(t, "forwarded", func() bool { return e.Uplink().Frames == 20 })
	stop()
	st, err := h.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Trim(t.Context(), 0, st.Last); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 21, 30)
	stop = forward(t, e, h)
	ms := consume(t, h, 0, faultline.Place{Stream: h.Stream(0), Sequence: st.Last}, 10)
	stop()
	complete(t, ms, p.Epoch(), 21, 30)
	if u := e.Uplink(); u.Dropped != 0 || u.Frames != 30 {
		t.Errorf("%+v", u)
	}
}

func TestEdgeResumes(t *testing.T) {
	edge := startServer(t, ServerConfig{Dir: t.TempDir()})
	c := connectTo(t, edge)
	e := openEdge(t, c, EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	again := openPublisher(t, openEdge(t, c, EdgeConfig{}).Publisher) // only claims are there: the epoch stays
	if p.Epoch() != again.Epoch() || again.Last() != 0 {
		t.Fatalf("%s/%d, then %s/%d", p.Epoch(), p.Last(), again.Epoch(), again.Last())
	}
	publish(t, again, 1, 3)
	p = openPublisher(t, openEdge(t, c, EdgeConfig{MaxAge: time.Hour, MaxBytes: 1 << 20}).Publisher)
	if p.Epoch() != again.Epoch() || p.Last() != 3 {
		t.Fatalf("%s/%d, then %s/%d", again.Epoch(), again.Last(), p.Epoch(), p.Last())
	}
	// All aged away: the last sequence is unknown, so a new epoch.
	stream, err := c.js.Stream(t.Context(), e.stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	q := openPublisher(t, e.Publisher)
	if q.Epoch() == p.Epoch() || q.Last() != 0 {
		t.Fatalf("%s/%d, then %s/%d", p.Epoch(), p.Last(), q.Epoch(), q.Last())
	}
	if _, err := c.OpenEdge(t.Context(), EdgeConfig{Site: "a.b", Gateway: "g"}); !errors.Is(err, faultline.ErrInvalid) {
		t.Error(err)
	}
}

// Two forwarders for one gateway: the older one ends, and says why.
func TestForwardIsFenced(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	done := make(chan error, 1)
	var edges [2]*Edge
	var ps [2]*Publisher
	for i := range edges {
		edges[i] = openEdge(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), EdgeConfig{})
		ps[i] = openPublisher(t, edges[i].Publisher)
	}
	go func() { done <- edges[0].Forward(t.Context(), h) }()
	publish(t, ps[0], 1, 1)
	eventually(t, "forwarded", func() bool { return edges[0].Uplink().Frames == 1 })
	stop := forward(t, edges[1], h)
	publish(t, ps[1], 2, 2)
	eventually(t, "forwarded", func() bool { return edges[1].Uplink().Frames == 1 })
	publish(t, ps[0], 3, 3)
	if err := <-done; !errors.Is(err, faultline.ErrFenced) {
		t.Fatal(err)
	}
	if u := edges[0].Uplink(); u.State != "fenced" || u.Error == "" {
		t.Errorf("%+v", u)
	}
	stop()
	var ids []string
	for _, m := range frames(consume(t, h, 0, faultline.Place{}, 2)) {
		ids = append(ids, formatID(m.ID))
	}
	if want := fmt.Sprint([]string{"gw1/" + ps[0].Epoch() + "/1", "gw1/" + ps[1].Epoch() + "/1"}); fmt.Sprint(ids) != want {
		t.Errorf("%v, want %s", ids, want)
	}
}
