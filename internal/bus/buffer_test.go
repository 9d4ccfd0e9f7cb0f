package bus

import (
	"encoding/json"
	"testing"

	"github.com/faultline-iot/faultline"
)

// The buffer is what the hub does not have, against what is declared or what the disk has room for. The gateway's
// state goes with heartbeats, as of when they are forwarded.
func TestBuffer(t *testing.T) {
	e := openEdge(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), EdgeConfig{MaxBytes: 10 << 20})
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{Partitions: 1})
	p := openPublisher(t, e.Publisher)
	publish(t, p, 1, 2000)
	b, err := e.Buffer(t.Context(), 1<<40)
	if err != nil || b.Frames != 2000 || b.Bytes < 2000*90 || b.Limit != 10<<20 || b.DiskShort || b.Oldest <= 0 || b.Used() <= 0.01 {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err = e.Buffer(t.Context(), -1); err != nil || b.Limit != 10<<20 || b.DiskShort {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err = e.Buffer(t.Context(), 1000); err != nil || b.Limit >= 1<<20 || !b.DiskShort || b.Used() < 0.9 {
		t.Errorf("%+v, %v", b, err)
	}
	e.TellState(func() *faultline.GatewayState { return &faultline.GatewayState{BufferUsed: 42, Config: 7} })
	stop := forward(t, e, h)
	if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "plant-3", Gateway: "gw1", At: at}); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 2001, 2001)
	ms := consume(t, h, 0, faultline.Place{}, 2001)
	eventually(t, "forwarded", func() bool { return e.Uplink().Frames == 2001 })
	stop()
	if b, err = e.Buffer(t.Context(), 1<<40); err != nil || b.Frames != 0 || b.Bytes != 0 || b.Used() != 0 {
		t.Errorf("%+v, %v", b, err)
	}
	seen := 0
	for _, m := range ms {
		var s faultline.GatewayState
		if m.Kind == faultline.KindHeartbeat && json.Unmarshal(m.State, &s) == nil {
			seen++
			if s.BufferUsed != 42 || s.Config != 7 {
				t.Errorf("%+v", s)
			}
		}
	}
	if seen != 1 {
		t.Errorf("%d heartbeats with a state", seen)
	}
}
