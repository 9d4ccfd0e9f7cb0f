package bus

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

func anOrder(id string) faultline.WriteOrder {
	return faultline.WriteOrder{ID: id, Position: "C-1", Point: "load_pressure", Value: json.RawMessage("6.2"), By: "anna", Deadline: time.Now().Add(time.Minute)}
}

// taker takes orders of a gateway until the test ends.
func taker(t *testing.T, c *Conn, site string, do func(context.Context, faultline.WriteOrder) faultline.WriteAnswer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.TakeOrders(ctx, site, "gw1", do) }()
	eventually(t, "subscribed", func() bool { return c.nc.NumSubscriptions() > 0 && c.nc.Flush() == nil })
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestOrder(t *testing.T) {
	each(t, func(t *testing.T, connect func(string) *Conn) {
		// "0" is a site whose name is a partition's number: its stream stores what is on "w.0.>".
		for _, site := range []string{"plant-3", "0"} {
			hub, edge := connect("hub"), connect("gw1")
			openHub(t, hub, HubConfig{Partitions: 1})
			if a := hub.Order(t.Context(), site, "gw2", anOrder("o0")); a.Status != faultline.WriteFailed || !strings.Contains(a.Message, "cannot be reached") {
				t.Errorf("%+v", a)
			}
			if s, err := hub.js.StreamNameBySubject(t.Context(), orderSubject(site, "gw1")); !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Errorf("orders are stored in %q: %v", s, err)
			}
			var wrote atomic.Int32
			stop := taker(t, edge, site, func(_ context.Context, o faultline.WriteOrder) faultline.WriteAnswer {
				switch {
				case o.Point == "refused":
					return faultline.WriteAnswer{ID: o.ID, Status: faultline.WriteFailed, Message: "not allowed"}
				case o.Commit == "":
					return faultline.WriteAnswer{ID: o.ID, Ready: "word"}
				case o.Commit != "word":
					t.Errorf("%+v", o)
				}
				wrote.Add(1)
				return faultline.WriteAnswer{ID: o.ID, Status: faultline.WriteWritten, Old: json.RawMessage("6.8"), ReadBack: o.Value}
			})
			if a := hub.Order(t.Context(), site, "gw1", anOrder("o1")); a.Status != faultline.WriteWritten || string(a.ReadBack) != "6.2" || wrote.Load() != 1 {
				t.Errorf("%+v, wrote %d", a, wrote.Load())
			}
			refused := anOrder("o2")
			refused.Point = "refused"
			if a := hub.Order(t.Context(), site, "gw1", refused); a.Status != faultline.WriteFailed || a.Message != "not allowed" {
				t.Errorf("%+v", a)
			}
			late := anOrder("o3")
			late.Deadline = time.Now().Add(-time.Second)
			if a := hub.Order(t.Context(), site, "gw1", late); a.Status != faultline.WriteFailed || wrote.Load() != 1 {
				t.Errorf("after its deadline: %+v, wrote %d", a, wrote.Load())
			}
			if a := hub.Order(t.Context(), "bad site", "gw1", anOrder("o4")); a.Status != faultline.WriteFailed {
				t.Errorf("%+v", a)
			}
			// What is no order is left alone.
			if err := hub.nc.Publish(orderSubject(site, "gw1"), []byte(`{"id":`)); err != nil {
				t.Error(err)
			}
			stop()
			if a := hub.Order(t.Context(), site, "gw1", anOrder("o5")); a.Status != faultline.WriteFailed || wrote.Load() != 1 {
				t.Errorf("nobody takes orders: %+v", a)
			}
		}
	})
}

// A gateway that is lost between taking an order and its answer leaves an outcome that nobody knows.
func TestOrderOfUnknownOutcome(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	hub, edge := connectTo(t, s), connectTo(t, s)
	taken := make(chan struct{})
	taker(t, edge, "plant-3", func(_ context.Context, o faultline.WriteOrder) faultline.WriteAnswer {
		if o.Commit == "" {
			return faultline.WriteAnswer{ID: o.ID, Ready: "word"}
		}
		close(taken)
		edge.nc.Close() // before it could answer
		return faultline.WriteAnswer{ID: o.ID, Status: faultline.WriteWritten}
	})
	got := make(chan faultline.WriteAnswer, 1)
	o := anOrder("o1")
	go func() {
		first, err := hub.step(t.Context(), "plant-3", "gw1", o, readyTime)
		if err != nil {
			t.Error(err)
		}
		o.Commit = first.Ready
		if _, err = hub.step(t.Context(), "plant-3", "gw1", o, 300*time.Millisecond); err == nil {
			t.Error("an answer came")
		}
		got <- faultline.WriteAnswer{}
	}()
	<-taken
	<-got
	if a := hub.Order(t.Context(), "plant-3", "gw1", anOrder("o2")); a.Status != faultline.WriteFailed {
		t.Errorf("a gateway that is gone: %+v", a)
	}
}

func FuzzParseOrder(f *testing.F) {
	data, err := json.Marshal(anOrder("o1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"id":"a","value":{"x":[1,2]},"commit":"x"}`))
	f.Add([]byte(`{"id":"../x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := parseOrder(data)
		if err != nil {
			return
		}
		if faultline.CheckName("id", o.ID) != nil || len(data) > maxOrder {
			t.Errorf("%+v", o)
		}
		for _, typ := range []faultline.Type{faultline.TypeFloat, faultline.TypeInt, faultline.TypeBool} {
			if v, err := faultline.ParseValue(typ, o.Value); err == nil && v.Type() != typ {
				t.Errorf("%s as %s is %v", o.Value, typ, v)
			}
		}
	})
}
