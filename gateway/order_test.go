package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// fakeWriter takes every write and remembers it.
type fakeWriter struct {
	mu    sync.Mutex
	wrote []string
	back  faultline.Sample
	sent  bool
	err   error
}

func (w *fakeWriter) WritePoint(_ context.Context, position string, pt *profile.Point, v faultline.Value) (old, back faultline.Sample, sent bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrote = append(w.wrote, position+" "+pt.Name+" "+v.String())
	old = faultline.Sample{Point: pt.Name, Value: faultline.Float(6.8), Quality: faultline.Good}
	if w.back.Point == "" && w.err == nil {
		return old, faultline.Sample{Point: pt.Name, Value: v, Quality: faultline.Good}, true, nil
	}
	return old, w.back, w.sent, w.err
}

// ordered is a gateway with a compressor whose load pressure may be written from 5.5 on, and whose run
// command wants four eyes; and a vibration sensor that publishes.
func ordered(t *testing.T) (*Gateway, *fakeWriter) {
	t.Helper()
	set, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	low := 5.5
	g, err := New(Options{Profiles: set, Sink: new(store), Config: Config{ID: "gw", Site: "s", MQTT: MQTT{Listen: "127.0.0.1:0", Users: []User{{Name: "u", Secret: Secret{Value: "x"}}}}, Devices: []Device{
		{Position: "C-1", Profile: "sim-compressor", Address: "tcp://127.0.0.1:1", Writes: []AllowedWrite{{Point: "load_pressure", Min: &low}, {Point: "run_command", FourEyes: true}}},
		{Position: "C-2", Profile: "sim-compressor", Address: "tcp://127.0.0.1:2"},
		{Position: "V-1", Profile: "sim-vibration"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w := &fakeWriter{}
	g.orders.writers["C-1"], g.orders.writers["C-2"] = w, w
	return g, w
}

func order(position, point, value string) faultline.WriteOrder {
	return faultline.WriteOrder{ID: "o1", Position: position, Point: point, Value: json.RawMessage(value), By: "anna"}
}

// both takes an order through its two steps.
func both(g *Gateway, o faultline.WriteOrder) faultline.WriteAnswer {
	a := g.Order(context.Background(), o)
	if a.Ready == "" {
		return a
	}
	o.Commit = a.Ready
	return g.Order(context.Background(), o)
}

// The gateway itself decides what may be written, whatever the hub thinks.
func TestOrdersAreCheckedAtTheGateway(t *testing.T) {
	g, w := ordered(t)
	approved := order("C-1", "run_command", "false")
	approved.Approved = "ben"
	himself := approved
	himself.Approved = "anna"
	for _, c := range []struct {
		order faultline.WriteOrder
		want  string // "": written
	}{
		{order("C-1", "load_pressure", "6.2"), ""},
		{order("C-1", "load_pressure", "5.5"), ""},
		{order("C-1", "load_pressure", "5.2"), "5.5 to 7"}, // the profile would allow it
		{order("C-1", "load_pressure", "7.01"), "5.5 to 7"},
		{order("C-1", "load_pressure", "1e400"), "a float is wanted"},
		{order("C-1", "load_pressure", "true"), "a float is wanted"},
		{order("C-1", "load_pressure", `"6"`), "a float is wanted"},
		{order("C-1", "load_pressure", "6 7"), "a float is wanted"},
		{order("C-1", "unload_pressure", "7"), "does not allow"},
		{order("C-1", "nothing", "7"), "no point"},
		{order("C-2", "load_pressure", "6.2"), "does not allow"}, // off unless given
		{order("C-9", "load_pressure", "6.2"), "reads no position"},
		{order("V-1", "velocity_x", "6.2"), "cannot be written"},
		{order("C-1", "run_command", "false"), "second person"},
		{himself, "second person"},
		{approved, ""},
	} {
		before := len(w.wrote)
		a := both(g, c.order)
		if c.want == "" {
			if a.Status != faultline.WriteWritten || len(w.wrote) != before+1 {
				t.Errorf("%s %s %s: %+v", c.order.Position, c.order.Point, c.order.Value, a)
			}
			continue
		}
		if a.Status != faultline.WriteFailed || !strings.Contains(a.Message, c.want) || !strings.HasPrefix(a.Message, "not written: ") || len(w.wrote) != before {
			t.Errorf("%s %s %s: %+v, want %q", c.order.Position, c.order.Point, c.order.Value, a, c.want)
		}
	}
}

// An order is carried out once, as it was announced, and not later than a few seconds after that.
func TestOrdersAreCarriedOutOnceAndNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := ordered(t)
		o := order("C-1", "load_pressure", "6.2")
		first := g.Order(t.Context(), o)
		if first.Ready == "" || first.Status != "" || len(w.wrote) != 0 {
			t.Fatalf("%+v, wrote %v", first, w.wrote)
		}
		o.Commit = first.Ready
		if a := g.Order(t.Context(), o); a.Status != faultline.WriteWritten || string(a.Old) != "6.8" || string(a.ReadBack) != "6.2" {
			t.Errorf("%+v", a)
		}
		for name, change := range map[string]func(*faultline.WriteOrder){
			"again":         func(o *faultline.WriteOrder) { o.Commit = first.Ready },
			"invented":      func(o *faultline.WriteOrder) { o.Commit = "ABCDEF" },
			"another value": func(o *faultline.WriteOrder) { o.Value = json.RawMessage("6.9") },
			"another asker": func(o *faultline.WriteOrder) { o.By = "eve" },
			"late":          func(*faultline.WriteOrder) { time.Sleep(orderWord + time.Millisecond) },
		} {
			o := order("C-1", "load_pressure", "6.2")
			o.Commit = g.Order(t.Context(), o).Ready
			change(&o)
			if a := g.Order(t.Context(), o); a.Status != faultline.WriteFailed || len(w.wrote) != 1 {
				t.Errorf("%s: %+v, wrote %v", name, a, w.wrote)
			}
		}
		o.Commit = ""
		for range mostOrders + 1 {
			g.Order(t.Context(), o)
		}
		if a := g.Order(t.Context(), o); a.Ready != "" || !strings.Contains(a.Message, "too many") {
			t.Errorf("%+v", a)
		}
		time.Sleep(2 * orderWord)
		if a := g.Order(t.Context(), o); a.Ready == "" {
			t.Errorf("words that are out of date still count: %+v", a)
		}
	})
}

func TestOutcome(t *testing.T) {
	sample := func(v float64) faultline.Sample {
		return faultline.Sample{Point: "p", Value: faultline.Float(v), Quality: faultline.Good}
	}
	bad := faultline.Sample{Point: "p", Quality: faultline.BadTimeout}
	lost := errors.New("lost")
	for _, c := range []struct {
		back faultline.Sample
		sent bool
		err  error
		want faultline.WriteStatus
	}{
		{sample(6.2), true, nil, faultline.WriteWritten},
		{sample(6.8), true, nil, faultline.WriteDiffers},
		{bad, true, nil, faultline.WriteUnknown},
		{faultline.Sample{}, false, lost, faultline.WriteFailed},
		{faultline.Sample{}, false, nil, faultline.WriteFailed},
		{faultline.Sample{}, true, lost, faultline.WriteUnknown},
		{sample(6.8), true, lost, faultline.WriteUnknown}, // read before the device got to it?
		{bad, true, lost, faultline.WriteUnknown},
	} {
		if got, why := outcome(faultline.Float(6.2), c.back, c.sent, c.err); got != c.want || why == "" {
			t.Errorf("%+v: %s %q", c, got, why)
		}
	}
}

func TestWritesInTheConfiguration(t *testing.T) {
	set, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	v := func(f float64) *float64 { return &f }
	for _, c := range []struct {
		writes []AllowedWrite
		eyes   bool
		want   string
	}{
		{[]AllowedWrite{{Point: "load_pressure", Min: v(6), Max: v(6.5)}, {Point: "run_command"}}, true, ""},
		{nil, true, "nothing to approve"},
		{[]AllowedWrite{{Point: "load_presure"}}, false, "no point"},
		{[]AllowedWrite{{Point: "unload_pressure"}}, false, "does not mark"},
		{[]AllowedWrite{{Point: "load_pressure", Min: v(7.5)}}, false, "nothing is left"},
		{[]AllowedWrite{{Point: "load_pressure", Min: v(7), Max: v(6)}}, false, "must be above min"},
		{[]AllowedWrite{{Point: "load_pressure"}, {Point: "load_pressure"}}, false, "twice"},
		{[]AllowedWrite{{Point: "run_command", Max: v(1)}}, false, "no limits"},
	} {
		var list problemList
		k := Config{ID: "gw", Site: "s", Devices: []Device{{Position: "C-1", Profile: "sim-compressor", Address: "tcp://127.0.0.1:1", Writes: c.writes, FourEyes: c.eyes}}}
		k.Validate(&list, "", set)
		got := errors.Join(list...)
		if (got == nil) != (c.want == "") || got != nil && (len(list) != 1 || !strings.Contains(got.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.writes, got, c.want)
		}
	}
	p, _ := set.Get("sim-compressor")
	d := Device{FourEyes: true, Writes: []AllowedWrite{{Point: "load_pressure", Min: v(1), Max: v(6.5)}}}
	w := d.Writable(p)["load_pressure"]
	if *w.Min != 5 || *w.Max != 6.5 || !w.FourEyes || len(d.Writable(p)) != 1 {
		t.Errorf("%+v: limits only narrow", w)
	}
}
