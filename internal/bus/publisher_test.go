package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

func TestSecondPublisherFencesTheFirst(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		h := openHub(t, connect("first"), HubConfig{})
		p := openPublisher(t, hubPublisher(h))
		publish(t, p, 1, 10)
		q := openPublisher(t, hubPublisher(openHub(t, connect("second"), HubConfig{})))
		if q.Epoch() != p.Epoch() || q.Last() != 10 {
			t.Fatalf("the second resumed at %s/%d", q.Epoch(), q.Last())
		}
		for range 2 { // also afterwards
			err := p.Publish(t.Context(), numbered(99), Meta{})
			if !errors.Is(err, faultline.ErrFenced) || !strings.Contains(err.Error(), "another publisher took over gateway gw1") {
				t.Fatal(err)
			}
		}
		if s := p.Stats(); s.State != "fenced" || s.Error == "" {
			t.Errorf("%+v", s)
		}
		if err := p.Close(); !errors.Is(err, faultline.ErrFenced) {
			t.Errorf("close: %v", err)
		}
		publish(t, q, 11, 12)
		complete(t, consume(t, h, 0, faultline.Place{}, 12), q.Epoch(), 1, 12)
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if err := q.Publish(t.Context(), numbered(99), Meta{}); !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

// A batch of two publishers at once: the older one's is refused whole even if it is on its way already.
func TestFencedBatchStoresNothing(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 1)
	old := p.w.claim
	openPublisher(t, hubPublisher(h))
	recs := []record{
		{subject: p.w.subj.frames + ".P-101", header: []string{headerID, "gw1/x/2"}, data: []byte("a"), seq: 2},
		{subject: p.w.subj.frames + ".P-101", header: []string{headerID, "gw1/x/3"}, data: []byte("b"), seq: 3},
	}
	before, err := h.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		if _, err := h.conn.batch(t.Context(), token(10), recs[:n], fence(p.w.subj.claims, old)); classify(err) != faultClaim {
			t.Fatalf("%d messages: %v", n, err)
		}
	}
	if after, err := h.State(t.Context(), 0); err != nil || after.Last != before.Last {
		t.Fatalf("stored: %+v, %+v, %v", before, after, err)
	}
}

// The acknowledgement is lost; the same batch is sent again.
func TestRepeatedBatchDoesNotDouble(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		h := openHub(t, connect("hub"), HubConfig{})
		p := openPublisher(t, hubPublisher(h))
		publish(t, p, 1, 1)
		var recs []record
		for n := uint64(2); n <= 21; n++ {
			f := numbered(int(n))
			data, err := AppendFrame(nil, &f)
			if err != nil {
				t.Fatal(err)
			}
			id := formatID(faultline.FrameID{Gateway: "gw1", Epoch: p.epoch, Sequence: n})
			recs = append(recs, record{subject: p.w.subj.frames + ".P-101", header: []string{headerID, id, headerProfile, "pump@1"}, data: data, seq: n})
		}
		// Half of it was stored by the first attempt, and the answer to that was lost.
		condition := fence(p.w.subj.claims, p.w.claim)
		if _, err := h.conn.batch(t.Context(), token(10), recs[:10], condition); err != nil {
			t.Fatal(err)
		}
		// By message ids alone: the repeated ones are rejected, the others are stored.
		if _, err := h.conn.batch(t.Context(), token(10), recs[5:15], condition); err != nil {
			t.Fatal(err)
		}
		// By what the hub names as its last.
		p.w.claim = 1 << 40 // as if the claim were not the newest known: ask
		if err := p.w.store(t.Context(), p.epoch, recs); err != nil {
			t.Fatal(err)
		}
		complete(t, consume(t, h, 0, faultline.Place{}, 21), p.epoch, 1, 21)
		if st, err := h.State(t.Context(), 0); err != nil || st.Messages > 21+2 { // and the claims
			t.Fatalf("%+v, %v", st, err)
		}
	})
}

func TestFullHubRefuses(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{MaxBytes: 20 << 10})
	p := openPublisher(t, hubPublisher(h))
	n := 0
	for full := false; !full; {
		n++
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := p.Publish(ctx, numbered(n), Meta{Profile: "pump@1"})
		cancel()
		if full = err != nil; full && (!errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded)) {
			t.Fatal(err)
		}
		if n > 500 {
			t.Fatal("the hub takes everything")
		}
	}
	if s := p.Stats(); s.State != "full" || !strings.Contains(s.Error, ErrFull.Error()) {
		t.Fatalf("%+v", s)
	}
	// Given up before it was sent: not stored, and says so.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, numbered(-1), Meta{}); errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	// Blocked, and released by trimming.
	done := make(chan error, 1)
	go func() { done <- p.Publish(t.Context(), numbered(n+1), Meta{Profile: "pump@1"}) }()
	ms := consume(t, h, 0, faultline.Place{}, n-1)
	complete(t, ms, p.Epoch(), 1, uint64(n-1))
	place := ms[len(ms)-1].Place
	if err := h.Trim(t.Context(), 0, place.Sequence-5); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	complete(t, consume(t, h, 0, place, 2), p.Epoch(), uint64(n), uint64(n+1))
	if s := p.Stats(); s.State != "ok" {
		t.Fatalf("%+v", s)
	}
}

// TestFullInTheMiddleOfFew: of a few frames that are stored in turn the hub has room for the first. When it has room
// again, long after it has forgotten their message ids, each is stored once.
func TestFullInTheMiddleOfFew(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{MaxBytes: 20 << 10, Duplicates: 100 * time.Millisecond})
	p := openPublisher(t, hubPublisher(h))
	rec := func(seq uint64, bytes int) record {
		id := formatID(faultline.FrameID{Gateway: "gw1", Epoch: p.epoch, Sequence: seq})
		return record{subject: p.w.subj.frames + ".P-101", header: []string{headerID, id}, data: make([]byte, bytes), seq: seq}
	}
	if err := p.w.store(t.Context(), p.epoch, []record{rec(1, 12<<10)}); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() { stored <- p.w.store(t.Context(), p.epoch, []record{rec(2, 100), rec(3, 12<<10), rec(4, 100)}) }()
	for p.Stats().State != "full" {
		select {
		case err := <-stored:
			t.Fatalf("the hub takes everything: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	select { // its memory of ids is over
	case err := <-stored:
		t.Fatal(err)
	case <-time.After(300 * time.Millisecond):
	}
	ms := consume(t, h, 0, faultline.Place{}, 2)
	if ms[1].ID.Sequence != 2 {
		t.Fatalf("the last stored one is %+v", ms[1].ID)
	}
	if err := h.Trim(t.Context(), 0, ms[0].Place.Sequence); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	for i, m := range consume(t, h, 0, ms[0].Place, 3) {
		if m.ID.Sequence != uint64(2+i) {
			t.Errorf("frame %d in the place of %d", m.ID.Sequence, 2+i)
		}
	}
	if st, err := h.State(t.Context(), 0); err != nil || st.Messages > 3+20 { // and claims
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestPublishRefused(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	other := numbered(1)
	other.Gateway = "gw2"
	big := numbered(2)
	for i := range 20 {
		big.Samples = append(big.Samples, good("t"+string(rune('a'+i)), faultline.String(strings.Repeat("x", 60<<10))))
	}
	for name, f := range map[string]faultline.Frame{"another gateway": other, "too large": big, "empty": {Site: "plant-3", Gateway: "gw1"}} {
		if err := p.Publish(t.Context(), f, Meta{}); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "x", Gateway: "gw1"}); !errors.Is(err, faultline.ErrInvalid) {
		t.Error(err)
	}
	publish(t, p, 1, 1) // none of them took a sequence
	complete(t, consume(t, h, 0, faultline.Place{}, 1), p.Epoch(), 1, 1)
	if _, err := h.Publisher(t.Context(), "a site", "gw1"); !errors.Is(err, faultline.ErrInvalid) {
		t.Error(err)
	}
}

// A message that another program wrote into the stream stops nobody.
func TestAlienMessagesAreSkipped(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 2)
	for _, subject := range []string{"f.0.plant-3.gw1.P-101", "f.0.x", "h.0.plant-3.gw1", "c.0"} {
		if _, err := h.conn.js.Publish(t.Context(), subject, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, p, 3, 4)
	ms := consume(t, h, 0, faultline.Place{}, 4)
	complete(t, ms, p.Epoch(), 1, 4)
	if len(ms) != 4 {
		t.Errorf("%d messages", len(ms))
	}
	if q := openPublisher(t, hubPublisher(h)); q.Last() != 4 || q.Epoch() != p.Epoch() {
		t.Errorf("resumed at %s/%d", q.Epoch(), q.Last())
	}
}

func TestPublishIntoMissingHub(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	c := connectTo(t, s)
	h := openHub(t, c, HubConfig{})
	if err := c.js.DeleteStream(t.Context(), h.Stream(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Publisher(t.Context(), "plant-3", "gw1"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatal(err)
	}
	// A hub made anew has another name, and an epoch of its own.
	h2 := openHub(t, c, HubConfig{})
	if h2.Stream(0) == h.Stream(0) {
		t.Fatal("the name was used again")
	}
}

func BenchmarkPublish(b *testing.B) {
	_, p := benchmarkHub(b)
	f := benchmarkFrame()
	b.ReportAllocs()
	b.SetParallelism(1000) // so many devices wait for their commit at once
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.Publish(b.Context(), f, Meta{Profile: "pump@1"}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	st := p.Stats()
	b.ReportMetric(float64(st.Frames)/float64(st.Batches), "frames/batch")
}
