package bus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// A publisher that starts again knows the last frames of its gateway, from hub and edge alike, and
// nothing of other gateways.
func TestRecent(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (own, other func(context.Context) (*Publisher, error)){
		"hub": func(t *testing.T) (own, other func(context.Context) (*Publisher, error)) {
			h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
			return hubPublisher(h), func(ctx context.Context) (*Publisher, error) { return h.Publisher(ctx, "plant-3", "gw2") }
		},
		"edge": func(t *testing.T) (own, other func(context.Context) (*Publisher, error)) {
			return openEdge(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), EdgeConfig{}).Publisher, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			own, other := open(t)
			p := openPublisher(t, own)
			if got, err := p.Recent(t.Context(), 10); err != nil || len(got) != 0 {
				t.Fatalf("of an empty stream: %d frames, %v", len(got), err)
			}
			for n := 1; n <= 700; n += 100 { // more than one fetch; in order from one to the next
				publish(t, p, n, n+99)
			}
			if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "plant-3", Gateway: "gw1", At: at}); err != nil {
				t.Fatal(err)
			}
			if other != nil {
				f := numbered(9999)
				f.Gateway = "gw2"
				if err := openPublisher(t, other).Publish(t.Context(), f, Meta{}); err != nil {
					t.Fatal(err)
				}
			}
			q := openPublisher(t, own)
			got, err := q.Recent(t.Context(), 150)
			if err != nil || len(got) != 150 {
				t.Fatalf("%d frames, %v", len(got), err)
			}
			for i, f := range got {
				n, _ := f.Samples[0].Value.Int64()
				if want := i < 50; n > 700 || (n <= 600) != want {
					t.Fatalf("frame %d of 150 is number %d", i, n)
				}
			}
			if all, err := q.Recent(t.Context(), 5000); err != nil || len(all) != 700 {
				t.Fatalf("%d frames of 700, %v", len(all), err)
			}
		})
	}
}

// An uplink that starts while a gateway reads its recent frames leaves that reader alone.
func TestUplinkLeavesOtherReaders(t *testing.T) {
	hub := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	conn := connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()}))
	e := openEdge(t, conn, EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	publish(t, p, 1, 20)
	stream, err := conn.streamOf(t.Context(), e.subj.claims)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Forward(ctx, hub) }) // ends with ctx
	consume(t, hub, 0, faultline.Place{}, 20)
	cancel()
	wg.Wait()
	if _, err := reader.Info(t.Context()); err != nil {
		t.Errorf("the reader is gone: %v", err)
	}
}

// A gateway whose claim was trimmed away goes on in its epoch, and the time of a message is found.
func TestTrimUnderPublisher(t *testing.T) {
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	if at, err := h.SequenceBefore(t.Context(), 0, time.Now()); err != nil || at != 0 {
		t.Fatalf("of an empty stream: %d, %v", at, err)
	}
	p := openPublisher(t, hubPublisher(h))
	if at, err := h.SequenceBefore(t.Context(), 0, time.Now().Add(-time.Hour)); err != nil || at != 0 {
		t.Fatalf("before an hour ago: %d, %v", at, err)
	}
	publish(t, p, 1, 50)
	all, err := h.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := h.SequenceBefore(t.Context(), 0, time.Now().Add(time.Hour)); err != nil || at != all.Last {
		t.Fatalf("before in an hour: %d of %d, %v", at, all.Last, err)
	}
	between := time.Now()
	publish(t, p, 51, 100)
	at, err := h.SequenceBefore(t.Context(), 0, between)
	if err != nil || at != all.Last {
		t.Fatalf("before the second half: %d, want %d, %v", at, all.Last, err)
	}
	if err := h.Trim(t.Context(), 0, at); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 101, 150)
	from := faultline.Place{Stream: h.Stream(0), Sequence: at}
	complete(t, consume(t, h, 0, from, 100), p.Epoch(), 51, 150)
}

// Who gives up while the batch is on its way learns its outcome, if that comes soon.
func TestPublishTellsOutcomeOfGivingUp(t *testing.T) {
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	stored, refused := 0, 0
	for n := 1; n <= 200; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n*50)*time.Microsecond)
		switch err := p.Publish(ctx, numbered(n), Meta{Profile: "pump@1"}); {
		case err == nil:
			stored++
		case errors.Is(err, ErrUnknown):
			t.Errorf("frame %d: %v", n, err)
		default:
			refused++
		}
		cancel()
	}
	if uint64(stored) != p.Last() || stored == 0 || refused == 0 {
		t.Errorf("%d stored and %d refused as told; the last sequence is %d", stored, refused, p.Last())
	}
	complete(t, consume(t, h, 0, faultline.Place{}, stored), p.Epoch(), 1, uint64(stored))
}
