package rules

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
)

// Over a real stream: the owner of the partition puts each window into it once, and all assets are judged by that. An
// engine with an empty store that reads the same stream finds the same, and puts nothing in again.
func TestPeersOverTheHub(t *testing.T) {
	h := newHall(t)
	set, err := Load(nil, File{"peers.yaml", []byte(peerRules)})
	if err != nil {
		t.Fatal(err)
	}
	like, err := h.store.Positions(t.Context())
	if err != nil || len(like) == 0 {
		t.Fatal(err)
	}
	pumps := map[string]float64{"P-101": 67, "P-102": 66, "P-103": 81, "P-104": 68.5, "P-105": 67}
	stage := func(s *store.Store) {
		t.Helper()
		for id := range pumps {
			p := like[0]
			p.ID = id
			if err := s.PutPosition(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	stage(h.store)
	alarm := func(s *store.Store) faultline.Alarm {
		a, _ := s.Alarm(t.Context(), "plant/P-103/bearing-peers") // not there: it was never raised
		return a
	}
	with := func(o *Options) { o.Set = set }
	stop := h.run(SQL(h.store), with)
	begin := h.at.Truncate(time.Minute).Add(-3 * time.Minute) // of two windows and a little
	for at := begin; at.Before(begin.Add(130 * time.Second)); at = at.Add(2 * time.Second) {
		for id, heat := range pumps {
			if err := h.out.Publish(t.Context(), faultline.Frame{Kind: "centrifugal_pump", Site: "plant", Position: id, Gateway: "gw1", Time: at, Samples: []faultline.Sample{
				{Point: "bearing_temperature_de", Quality: faultline.Good, Value: faultline.Float(heat)}, {Point: "motor_power", Quality: faultline.Good, Value: faultline.Float(20)},
				{Point: "running", Quality: faultline.Good, Value: faultline.Bool(true)}}}, bus.Meta{Profile: "p@1"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.eventually("the hot one's alarm", func() bool { return alarm(h.store).Count == 1 })
	stop()
	first := alarm(h.store)

	again, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "again.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	stage(again)
	stop = h.run(SQL(again), with)
	h.eventually("the same of the engine that reads it again", func() bool { return alarm(again).Count == 1 })
	last := h.last()
	h.eventually("a few ticks more", func() bool { return h.last() >= last+4 })
	stop()
	if second := alarm(again); !second.RaisedAt.Equal(first.RaisedAt) || second.Why != first.Why || !second.StoredAt.Equal(first.StoredAt) {
		t.Errorf("first %+v\nagain %+v", first, second)
	}
	windows := map[int64]int{}
	for _, m := range h.messages() {
		var c faultline.Command
		if m.Kind == faultline.KindCommand && json.Unmarshal(m.Payload, &c) == nil && c.Peers != nil {
			windows[c.Peers.Window]++
			if len(c.Peers.Means) != len(pumps) {
				t.Errorf("a window of %d assets: %+v", len(c.Peers.Means), c.Peers)
			}
		}
	}
	for window, n := range windows {
		if n != 1 {
			t.Errorf("window %d stands in the stream %d times", window, n)
		}
	}
	if len(windows) == 0 {
		t.Error("no window is in the stream")
	}
}

// messages are all of the stream.
func (h *hall) messages() (list []faultline.Message) {
	h.t.Helper()
	last := h.last()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	_ = h.hub.Consume(ctx, 0, faultline.Place{}, func(_ context.Context, batch []faultline.Message) error { // ends with its context
		for _, m := range batch {
			m.Payload = slices.Clone(m.Payload)
			list = append(list, m)
		}
		if n := len(list); n > 0 && list[n-1].Place.Sequence >= last {
			cancel()
		}
		return nil
	})
	return list
}

// last is the sequence of the stream's last message.
func (h *hall) last() uint64 {
	h.t.Helper()
	state, err := h.hub.State(h.t.Context(), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return state.Last
}
