package bus

import (
	"context"
	"testing"

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
