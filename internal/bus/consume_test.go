package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/faultline-iot/faultline"
)

// A consumer that is slower than the trimmer is told what it missed.
func TestConsumeNoticesTrimming(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 5000)
	st, err := h.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []faultline.Message
	err = h.Consume(t.Context(), 0, faultline.Place{}, func(ctx context.Context, ms []faultline.Message) error {
		if got == nil {
			if err := h.Trim(ctx, 0, st.Last-10); err != nil {
				return err
			}
		}
		got = append(got, ms...)
		return nil
	})
	lost, ok := errors.AsType[*PlaceLostError](err)
	if !ok || lost.First != st.Last-9 {
		t.Fatal(err)
	}
	if last := got[len(got)-1]; last.Place != lost.From || last.Place.Sequence > 4000 {
		t.Errorf("lost at %v after %v", lost.From, last.Place)
	}
	complete(t, got, p.Epoch(), 1, frames(got)[len(got)-1].ID.Sequence)
	complete(t, consume(t, h, 0, lost.Resume(), 10), p.Epoch(), 4991, 5000)
}

// A message that the store has lost in the middle, as by a flipped bit, is noticed.
func TestConsumeNoticesAHole(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	c := connectTo(t, s)
	cfg := streamConfig("FL-HUB-0-x", "hub", []string{"f.0.>", "h.0.>", "w.0.>", "c.0"}, 0, map[string]string{metaPartition: "0", metaPartitions: "1", metaIncarnation: "x"})
	cfg.DenyDelete = false
	stream, err := c.js.CreateStream(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := openHub(t, c, HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 20)
	hole := consume(t, h, 0, faultline.Place{}, 20)[9].Place
	if err := stream.DeleteMsg(t.Context(), hole.Sequence); err != nil {
		t.Fatal(err)
	}
	var got []faultline.Message
	err = h.Consume(t.Context(), 0, faultline.Place{}, func(_ context.Context, ms []faultline.Message) error {
		got = append(got, ms...)
		return nil
	})
	lost, ok := errors.AsType[*PlaceLostError](err)
	if !ok || lost.First != hole.Sequence+1 || lost.From.Sequence != hole.Sequence-1 {
		t.Fatal(err)
	}
	complete(t, got, p.Epoch(), 1, 9)
	complete(t, consume(t, h, 0, lost.Resume(), 10), p.Epoch(), 11, 20)
}

// A handler's error ends consuming, and what it was given is not counted as reached.
func TestConsumeHandlerFails(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	for _, want := range []error{errEnough, context.Canceled} {
		if err := h.Consume(ctx, 0, faultline.Place{}, func(context.Context, []faultline.Message) error { return want }); !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
	}
	if err := h.Consume(ctx, 0, faultline.Place{}, func(context.Context, []faultline.Message) error {
		cancel()
		return context.Cause(ctx)
	}); err != nil {
		t.Errorf("after the end of its context: %v", err)
	}
	// Nothing is left behind at the server.
	stream, err := h.conn.js.Stream(t.Context(), h.Stream(0))
	if err != nil || stream.CachedInfo().State.Consumers != 0 {
		t.Errorf("%+v, %v", stream.CachedInfo().State, err)
	}
}

func BenchmarkConsume(b *testing.B) {
	h, p := benchmarkHub(b)
	f := benchmarkFrame()
	data, err := AppendFrame(nil, &f)
	if err != nil {
		b.Fatal(err)
	}
	for n := uint64(0); n < uint64(b.N); n += maxBatchMessages {
		var recs []record
		for i := n + 1; i <= min(n+maxBatchMessages, uint64(b.N)); i++ {
			id := formatID(faultline.FrameID{Gateway: "gw1", Epoch: p.epoch, Sequence: i})
			recs = append(recs, record{subject: p.w.subj.frames + ".P-101", header: []string{headerID, id, headerProfile, "pump@1"}, data: data, seq: i})
		}
		if _, err := h.conn.batch(b.Context(), token(10), recs, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	left := b.N
	err = h.Consume(b.Context(), 0, faultline.Place{}, func(_ context.Context, ms []faultline.Message) error {
		if left -= len(ms); left <= 0 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		b.Fatal(err)
	}
}

func benchmarkHub(b *testing.B) (*Hub, *Publisher) {
	b.Helper()
	s, err := StartServer(ServerConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	c, err := s.Connect("bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	h, err := c.OpenHub(b.Context(), HubConfig{Partitions: 1})
	if err != nil {
		b.Fatal(err)
	}
	p, err := h.Publisher(b.Context(), "plant-3", "gw1")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return h, p
}
