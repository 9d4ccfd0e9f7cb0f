package bus

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

func TestPartitionsAreFixed(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	c := connectTo(t, s)
	if _, err := c.OpenHub(t.Context(), HubConfig{}); !errors.Is(err, faultline.ErrNotFound) {
		t.Fatalf("a hub that is not there: %v", err)
	}
	h := openHub(t, c, HubConfig{Partitions: 4})
	if _, err := c.OpenHub(t.Context(), HubConfig{Partitions: 5}); !errors.Is(err, faultline.ErrConflict) || !strings.Contains(err.Error(), "created with 4 partitions, not 5") {
		t.Fatalf("another number: %v", err)
	}
	again, err := c.OpenHub(t.Context(), HubConfig{})
	if err != nil || again.Partitions() != 4 {
		t.Fatalf("%+v, %v", again, err)
	}
	for p := range 4 {
		if again.Stream(p) != h.Stream(p) || h.Stream(p) == "" {
			t.Errorf("partition %d: %q, then %q", p, h.Stream(p), again.Stream(p))
		}
	}
	// Part of the stored format: a site must never move.
	for site, want := range map[string]int{"plant-1": 20, "plant-3": 26, "A": 12, "": 5} {
		if got := partitionOf(site, 32); got != want {
			t.Errorf("site %q is in partition %d, not %d", site, got, want)
		}
	}
}

func TestHubLimitsCanChange(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	c := connectTo(t, s)
	openHub(t, c, HubConfig{MaxBytes: 1 << 20})
	h := openHub(t, c, HubConfig{MaxBytes: 2 << 20})
	if st, err := h.State(t.Context(), 0); err != nil || st.MaxBytes != 2<<20 {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, ServerConfig{Dir: dir})
	if _, err := StartServer(ServerConfig{Dir: dir}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
	s.Close()
	startServer(t, ServerConfig{Dir: dir})
}

func TestListenAddress(t *testing.T) {
	for _, a := range []string{"nonsense", "host:port", "127.0.0.1:70000"} {
		if _, err := StartServer(ServerConfig{Dir: t.TempDir(), Listen: a}); err == nil || !strings.Contains(err.Error(), a) {
			t.Errorf("%s: %v", a, err)
		}
	}
	s := startServer(t, ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Token: "right"})
	if _, err := Dial(t.Context(), s.URL(), DialOptions{Token: "wrong"}); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestTrim(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 20)
	ms := consume(t, h, 0, faultline.Place{}, 20)
	if err := h.Trim(t.Context(), 0, ms[9].Place.Sequence); err != nil {
		t.Fatal(err)
	}
	if err := h.Trim(t.Context(), 0, ms[4].Place.Sequence); err != nil { // trimmed before: nothing to do
		t.Fatal(err)
	}
	if err := h.Trim(t.Context(), 0, 1000); !errors.Is(err, faultline.ErrInvalid) {
		t.Fatal(err)
	}
	st, err := h.State(t.Context(), 0)
	if err != nil || st.First != ms[10].Place.Sequence || st.Messages != 10 {
		t.Fatalf("%+v, %v", st, err)
	}

	// A place before the first is an error that names the gap; the one at its edge is not.
	for _, from := range []faultline.Place{{}, ms[3].Place} {
		err := h.Consume(t.Context(), 0, from, nil)
		lost, ok := errors.AsType[*PlaceLostError](err)
		if !ok || !errors.Is(err, ErrPlaceLost) || lost.First != st.First || lost.From.Sequence != from.Sequence {
			t.Fatalf("%v: %v", from, err)
		}
		complete(t, consume(t, h, 0, lost.Resume(), 10), p.Epoch(), 11, 20)
	}
	complete(t, consume(t, h, 0, ms[9].Place, 10), p.Epoch(), 11, 20)

	// Another stream, or a place beyond the end, is lost too.
	for _, from := range []faultline.Place{{Stream: "FL-HUB-0-gone", Sequence: 15}, {Stream: h.Stream(0), Sequence: 500}} {
		if err := h.Consume(t.Context(), 0, from, nil); !errors.Is(err, ErrPlaceLost) {
			t.Fatalf("%v: %v", from, err)
		}
	}
}

// What happens to the sequence when everything of a gateway was trimmed.
func TestTrimmedGatewayBeginsAnEpoch(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 5)
	trim := func() uint64 {
		t.Helper()
		st, err := h.State(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Trim(t.Context(), 0, st.Last); err != nil {
			t.Fatal(err)
		}
		return st.Last
	}
	last := trim()
	// The living publisher, whose claim is gone too, goes on in its epoch.
	publish(t, p, 6, 8)
	complete(t, consume(t, h, 0, faultline.Place{Stream: h.Stream(0), Sequence: last}, 3), p.Epoch(), 6, 8)
	// The next publisher resumes what is there …
	q := openPublisher(t, hubPublisher(h))
	if q.Epoch() != p.Epoch() || q.Last() != 8 {
		t.Fatalf("resumed %s/%d, not %s/8", q.Epoch(), q.Last(), p.Epoch())
	}
	// … and where nothing is, must not use a sequence twice.
	last = trim()
	r := openPublisher(t, hubPublisher(h))
	publish(t, r, 1, 1)
	complete(t, consume(t, h, 0, faultline.Place{Stream: h.Stream(0), Sequence: last}, 1), r.Epoch(), 1, 1)
	if r.Epoch() == p.Epoch() {
		t.Fatal("an epoch was used again from 1")
	}
}

// A heartbeat alone keeps the sequence.
func TestHeartbeatKeepsSequence(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 5)
	st, err := h.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "plant-3", Gateway: "gw1", At: at}); err != nil {
		t.Fatal(err)
	}
	if err := h.Trim(t.Context(), 0, st.Last); err != nil {
		t.Fatal(err)
	}
	if q := openPublisher(t, hubPublisher(h)); q.Epoch() != p.Epoch() || q.Last() != 5 {
		t.Fatalf("resumed %s/%d, not %s/5", q.Epoch(), q.Last(), p.Epoch())
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := startServer(t, ServerConfig{Dir: t.TempDir(), Registry: reg})
	h := openHub(t, connectTo(t, s), HubConfig{})
	connectTo(t, s) // shares the registry
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 3)
	consume(t, h, 0, faultline.Place{}, 3)
	if _, err := h.State(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(p.conn.m.frames); n != 3 {
		t.Errorf("%v frames published", n)
	}
	if n := testutil.ToFloat64(p.conn.m.consumed.WithLabelValues("frame")); n != 3 {
		t.Errorf("%v frames consumed", n)
	}
	if n, err := testutil.GatherAndCount(reg, "faultline_bus_stream_bytes"); err != nil || n != 1 {
		t.Errorf("%d gauges, %v", n, err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
