package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// Writer is a driver that can write. WritePoint writes and reads back; it may be called from several
// goroutines while Run runs, and returns by the end of ctx. sent tells whether the equipment may have
// written: where it is false, nothing was.
type Writer interface {
	WritePoint(ctx context.Context, position string, pt *profile.Point, v faultline.Value) (old, back faultline.Sample, sent bool, err error)
}

// AllowedWrite lets one point of a device be written. Its limits narrow those of the profile.
type AllowedWrite struct {
	Point    string   `yaml:"point"`
	Min      *float64 `yaml:"min,omitempty"`
	Max      *float64 `yaml:"max,omitempty"`
	FourEyes bool     `yaml:"four_eyes,omitempty"` // a second person must approve
}

const (
	orderWord  = 5 * time.Second  // how long a word of the first step is good
	orderTime  = 15 * time.Second // of carrying one out
	mostOrders = 64               // words that are out at once
)

// Writable gives the points of a device that may be written, with how far: those that its profile marks
// and its configuration allows.
func (d *Device) Writable(p *profile.Profile) map[string]faultline.Writable {
	out := map[string]faultline.Writable{}
	for _, a := range d.Writes {
		i := slices.IndexFunc(p.Points, func(pt profile.Point) bool { return pt.Name == a.Point })
		if i < 0 || p.Points[i].Write == nil {
			continue // Validate has said so
		}
		w := p.Points[i].Write.Domain()
		if a.Min != nil && (w.Min == nil || *a.Min > *w.Min) {
			w.Min = a.Min
		}
		if a.Max != nil && (w.Max == nil || *a.Max < *w.Max) {
			w.Max = a.Max
		}
		w.FourEyes = d.FourEyes || a.FourEyes
		out[a.Point] = w
	}
	return out
}

// checkWrites adds what is wrong with what a device lets be written.
func (d *Device) checkWrites(to Problems, field func(string) string, p *profile.Profile) {
	if d.FourEyes && len(d.Writes) == 0 {
		to.Add(field("four_eyes"), "there is nothing to approve: writes is empty")
	}
	seen := map[string]bool{}
	for i := range d.Writes {
		a := &d.Writes[i]
		at := func(f string) string { return field(fmt.Sprintf("writes[%d].%s", i, f)) }
		if seen[a.Point] {
			to.Add(at("point"), "%q is listed twice", a.Point)
		}
		seen[a.Point] = true
		profile.CheckLimits(to.Add, field(fmt.Sprintf("writes[%d]", i)), a.Min, a.Max, 0, nil)
		if p == nil {
			continue
		}
		k := slices.IndexFunc(p.Points, func(pt profile.Point) bool { return pt.Name == a.Point })
		switch {
		case k < 0:
			to.Add(at("point"), "profile %s has no point %q", p.Name, a.Point)
		case p.Points[k].Write == nil:
			to.Add(at("point"), "profile %s does not mark %s as writable (write: {…})", p.Name, a.Point)
		case p.Points[k].Type == faultline.TypeBool && (a.Min != nil || a.Max != nil):
			to.Add(at("point"), "a bool has no limits")
		default:
			w := d.Writable(p)[a.Point]
			if inverted := a.Min != nil && a.Max != nil && *a.Min >= *a.Max; !inverted && w.Min != nil && w.Max != nil && *w.Min > *w.Max {
				to.Add(at("min"), "nothing is left of the profile's %s", p.Points[k].Write.Domain())
			}
		}
	}
}

// orders is what a gateway lets be written, and the words that are out.
type orders struct {
	writable map[string]map[string]faultline.Writable // by position and point
	points   map[string]map[string]*profile.Point
	writers  map[string]Writer
	mqtt     map[string]bool

	mu    sync.Mutex
	words map[string]word
}

type word struct {
	order faultline.WriteOrder
	at    time.Time // with the monotonic clock
}

func newOrders() *orders {
	return &orders{writable: map[string]map[string]faultline.Writable{}, points: map[string]map[string]*profile.Point{}, writers: map[string]Writer{}, mqtt: map[string]bool{}, words: map[string]word{}}
}

// add a device.
func (o *orders) add(d *Device, p *profile.Profile) {
	o.writable[d.Position] = d.Writable(p)
	o.mqtt[d.Position] = p.UsesMQTT()
	o.points[d.Position] = map[string]*profile.Point{}
	for i := range p.Points {
		o.points[d.Position][p.Points[i].Name] = &p.Points[i]
	}
}

// check decides by this gateway's own configuration whether an order may be carried out.
func (o *orders) check(order *faultline.WriteOrder) (faultline.Value, error) {
	points, known := o.points[order.Position]
	pt := points[order.Point]
	switch {
	case !known:
		return faultline.Value{}, fmt.Errorf("%w: this gateway reads no position %q", faultline.ErrNotFound, order.Position)
	case o.mqtt[order.Position]:
		return faultline.Value{}, fmt.Errorf("%w: %s publishes over MQTT: it cannot be written", faultline.ErrRefused, order.Position)
	case pt == nil:
		return faultline.Value{}, fmt.Errorf("%w: %s has no point %q", faultline.ErrNotFound, order.Position, order.Point)
	}
	w, allowed := o.writable[order.Position][order.Point]
	if !allowed {
		return faultline.Value{}, fmt.Errorf("%w: the configuration of this gateway does not allow to write %s of %s", faultline.ErrRefused, order.Point, order.Position)
	}
	if w.FourEyes && (order.Approved == "" || order.Approved == order.By) {
		return faultline.Value{}, fmt.Errorf("%w: %s of %s wants the approval of a second person", faultline.ErrRefused, order.Point, order.Position)
	}
	v, err := faultline.ParseValue(pt.Type, order.Value)
	if err == nil {
		err = w.Check(pt.Type, v)
	}
	return v, err
}

// hand out a word for an order, good once and for a short while.
func (o *orders) hand(order faultline.WriteOrder, now time.Time) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for w := range o.words {
		if now.Sub(o.words[w].at) > orderWord {
			delete(o.words, w)
		}
	}
	if len(o.words) >= mostOrders {
		return "", fmt.Errorf("%w: too many writes at once", faultline.ErrRefused)
	}
	w := rand.Text()
	o.words[w] = word{order, now}
	return w, nil
}

// take back the word that an order brings, which must be the order that it was handed out for.
func (o *orders) take(order *faultline.WriteOrder, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, out := o.words[order.Commit]
	delete(o.words, order.Commit)
	same := w.order.ID == order.ID && w.order.Position == order.Position && w.order.Point == order.Point && string(w.order.Value) == string(order.Value) && w.order.By == order.By && w.order.Approved == order.Approved
	switch {
	case !out:
		return fmt.Errorf("%w: this order was carried out already, or never announced", faultline.ErrRefused)
	case !same:
		return fmt.Errorf("%w: this is not the order that was announced", faultline.ErrRefused)
	case now.Sub(w.at) > orderWord:
		return fmt.Errorf("%w: the order came more than %v after it was announced", faultline.ErrRefused, orderWord)
	}
	return nil
}

// Order carries out a step of an order to write. Its own configuration decides what may be written, and
// how far, whatever the hub has checked. It is carried out at most once, and never later than a few
// seconds after the gateway was asked whether it can.
func (g *Gateway) Order(ctx context.Context, order faultline.WriteOrder) faultline.WriteAnswer {
	answer := faultline.WriteAnswer{ID: order.ID, Status: faultline.WriteFailed}
	v, err := g.orders.check(&order)
	writer := g.orders.writers[order.Position]
	if err == nil && writer == nil {
		err = fmt.Errorf("%w: the driver of %s cannot write", faultline.ErrRefused, order.Position)
	}
	if err == nil && order.Commit == "" {
		if answer.Ready, err = g.orders.hand(order, time.Now()); err == nil {
			answer.Status = ""
			return answer
		}
	}
	if err == nil {
		err = g.orders.take(&order, time.Now())
	}
	if err != nil {
		answer.Message = "not written: " + err.Error()
		g.metrics.writes.WithLabelValues(string(answer.Status)).Inc()
		g.log.Warn("a write was refused", "position", order.Position, "point", order.Point, "by", order.By, "id", order.ID, "error", err)
		return answer
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	old, back, sent, err := writer.WritePoint(ctx, order.Position, g.orders.points[order.Position][order.Point], v)
	answer.Old, answer.ReadBack = raw(old), raw(back)
	answer.Status, answer.Message = outcome(v, back, sent, err)
	g.metrics.writes.WithLabelValues(string(answer.Status)).Inc()
	g.log.Info("write", "position", order.Position, "point", order.Point, "value", v.String(), "by", order.By, "approved", order.Approved, "id", order.ID, "status", answer.Status, "old", old.Value.String(), "read_back", back.Value.String(), "error", err)
	return answer
}

// outcome says what became of a write.
func outcome(v faultline.Value, back faultline.Sample, sent bool, err error) (faultline.WriteStatus, string) {
	switch {
	case !sent && err == nil:
		err = errors.New("the driver did not say why")
		fallthrough
	case !sent:
		return faultline.WriteFailed, "not written: " + err.Error()
	case err == nil && back.Quality.Usable() && alike(v, back.Value):
		return faultline.WriteWritten, "written, and read back as " + back.Value.String()
	case err == nil && back.Quality.Usable():
		return faultline.WriteDiffers, "the device took " + v.String() + ", but reads back as " + back.Value.String()
	case err == nil:
		return faultline.WriteUnknown, "the device took " + v.String() + ", but reads back as " + string(back.Quality) + ": look at the equipment"
	case back.Quality.Usable() && back.Point != "":
		return faultline.WriteUnknown, "the device did not confirm and reads as " + back.Value.String() + " now: look at the equipment (" + err.Error() + ")"
	}
	return faultline.WriteUnknown, "it is not known whether it was written: look at the equipment (" + err.Error() + ")"
}

func raw(s faultline.Sample) json.RawMessage {
	if s.Point == "" || s.Value.Type() == faultline.NoType {
		return nil
	}
	b, err := json.Marshal(s.Value.Any())
	if err != nil { // a finite number or a bool
		return nil
	}
	return b
}

func alike(a, b faultline.Value) bool {
	x, number := a.Number()
	y, too := b.Number()
	if !number || !too || a.Type() != faultline.TypeFloat {
		return a == b
	}
	return x == y || abs(x-y) <= 1e-3*max(abs(x), abs(y), 1) // the registers' resolution
}

func abs(v float64) float64 { return max(v, -v) }
