package mqtt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Reasons of this driver.
const (
	badOversized      faultline.Quality = "bad:oversized"
	uncertainRetained faultline.Quality = "uncertain:retained" // the broker's last message, of unknown age
)

// remembered is how many of a device's last stored messages are known, to drop redeliveries.
const remembered = 1000

// receiver turns messages into frames. It is shared by all connections of a source.
type receiver struct {
	cfg        Config
	routes     map[string][]*route // by topic
	emit       Emit
	complaints *complaints
}

// route is one device's share of one topic.
type route struct {
	dev *device
	mapping
}

// device serialises what one position sends, so that a redelivery meets the memory of its first copy.
type device struct {
	Device
	mu     sync.Mutex
	recent [remembered]uint64
	next   int
	lastAt time.Time // newest device time stored
	lastOf uint64    // hash of that message
	all    []faultline.Sample
}

var seed = maphash.MakeSeed()

func newReceiver(cfg Config) (*receiver, error) {
	r := &receiver{cfg: cfg, routes: map[string][]*route{}, complaints: newComplaints(cfg.Log)}
	for _, d := range cfg.Devices {
		if d.Profile == nil || !d.Profile.UsesMQTT() {
			return nil, fmt.Errorf("%w: position %s: its profile has no MQTT points", faultline.ErrInvalid, d.Position)
		}
		if err := CheckTopic(d.Topic); err != nil {
			return nil, fmt.Errorf("position %s: %w", d.Position, err)
		}
		dev := &device{Device: d}
		for i := range d.Profile.Points {
			p := &d.Profile.Points[i]
			if p.JSON == nil {
				continue
			}
			path, err := profile.ParsePath(*p.JSON)
			if err != nil {
				return nil, fmt.Errorf("position %s: point %s: %w", d.Position, p.Name, err)
			}
			rt, err := r.route(dev, d.topic(p))
			if err != nil {
				return nil, err
			}
			rt.fields = append(rt.fields, field{p, path})
			dev.all = append(dev.all, faultline.Sample{Point: p.Name, Quality: faultline.BadNotConnected})
		}
	}
	return r, nil
}

func (r *receiver) route(dev *device, topic string) (*route, error) {
	for _, rt := range r.routes[topic] {
		if rt.dev == dev {
			return rt, nil
		}
	}
	rt := &route{dev: dev}
	var err error
	if m := dev.Profile.MQTT; m.Time != "" {
		rt.time, err = profile.ParsePath(m.Time)
	}
	if m := dev.Profile.MQTT; m.ID != "" && err == nil {
		rt.id, err = profile.ParsePath(m.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("position %s: %w", dev.Position, err)
	}
	r.routes[topic] = append(r.routes[topic], rt)
	return rt, nil
}

// CheckTopic refuses what is no plain topic: empty levels at the ends and wildcards.
func CheckTopic(topic string) error {
	if topic == "" || len(topic) > 1024 || strings.ContainsAny(topic, "+#\x00") || strings.HasPrefix(topic, "$") || strings.HasPrefix(topic, "/") || strings.HasSuffix(topic, "/") {
		return fmt.Errorf("%w: topic %q: use plain levels such as plant/U-501, without wildcards", faultline.ErrInvalid, topic)
	}
	return nil
}

// topics lists what to subscribe to, sorted.
func (r *receiver) topics() []string {
	out := make([]string, 0, len(r.routes))
	for t := range r.routes {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// packet is one message as it came.
type packet struct {
	topic     string
	user      string // who published, where that is known
	payload   []byte
	repeated  bool // flagged DUP
	retained  bool // the broker's last message, sent on subscribing
	oversized bool
}

// receive stores a message for every device that it concerns. When it returns nil, the message is safe
// (or known, or nobody's) and may be acknowledged.
func (r *receiver) receive(ctx context.Context, p packet) error {
	routes := r.routes[p.topic]
	if len(routes) == 0 {
		r.cfg.Metrics.messages.WithLabelValues("unrouted").Inc()
		r.misplaced(p.user, p.topic, "a message has the topic of no device")
		return nil
	}
	for _, rt := range routes {
		if err := r.store(ctx, rt, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *receiver) store(ctx context.Context, rt *route, p packet) error {
	d := rt.dev
	d.mu.Lock()
	defer d.mu.Unlock()
	var m message
	var err error
	result := "good"
	if p.oversized || len(p.payload) > r.cfg.MaxPayload {
		m = message{samples: rt.allBad(badOversized)}
		result, err = reasonOversized, fmt.Errorf("payload of %d bytes is longer than %d", len(p.payload), r.cfg.MaxPayload)
	} else if m, err = rt.decode(p.payload); err != nil {
		result = reasonUndecodable
	}
	at, clock := r.cfg.Stamp(d.Position)
	own := m.timed && profile.PlausibleTime(m.at, at)
	if m.timed && !own {
		m.untimed = timeImplausible
	}
	identified := own || m.hasID
	var deviceTime time.Time
	if own {
		deviceTime = m.at
	}
	hash := hashOf(d.Position, deviceTime, m.samples)
	known := (own || p.repeated || p.retained) && slices.Contains(d.recent[:], hash)
	var whole uint64
	if m.hasID && !own { // its number is not among the samples: only an equal payload is the same message
		whole = maphash.Bytes(seed, p.payload)
		known = known || slices.Contains(d.recent[:], whole)
	}
	if known {
		r.cfg.Metrics.messages.WithLabelValues("repeated").Inc()
		return nil
	}
	switch {
	case own:
		at, clock = d.place(m.at, hash), faultline.Good
	case p.retained:
		clock = uncertainRetained
	case m.untimed != "": // it may have been measured long ago
		clock = faultline.UncertainClock
	}
	if !clock.IsGood() {
		for i := range m.samples {
			if m.samples[i].Quality.IsGood() {
				m.samples[i].Quality = clock
			}
		}
	}
	f := faultline.Frame{Kind: d.Profile.Kind, Position: d.Position, Time: at, Samples: m.samples}
	if serr := r.emit(ctx, f, bus.Meta{Profile: d.Profile.ID(), Possibly: p.repeated && !identified}); serr != nil {
		if errors.Is(serr, faultline.ErrInvalid) { // a mistake of ours: redelivery would repeat it for ever
			r.cfg.Metrics.messages.WithLabelValues("refused").Inc()
			r.cfg.Log.Error("a frame was refused", "position", d.Position, "error", serr)
			return nil
		}
		return fmt.Errorf("store a message of %s: %w", d.Position, serr)
	}
	d.remember(hash)
	if whole != 0 {
		d.remember(whole)
	}
	if own && at.After(d.lastAt) {
		d.lastAt, d.lastOf = at, hash
	}
	r.cfg.Metrics.messages.WithLabelValues(result).Inc()
	r.cfg.Observe(d.Position, true, err)
	r.judge(d.Position, result, m, err)
	return nil
}

// judge counts and tells what was wrong with a stored message.
func (r *receiver) judge(position, result string, m message, err error) {
	now := time.Now()
	if err != nil {
		r.complaints.wrong(now, "position", position, result, "", "a payload is recorded as bad", "error", err)
		return
	}
	r.complaints.right(position, reasonOversized, reasonUndecodable)
	if m.untimed == "" {
		r.complaints.right(position, reasonTime)
		return
	}
	r.cfg.Metrics.untimed.WithLabelValues(m.untimed).Inc()
	args := []any{"time", m.untimed}
	if m.timed {
		args = append(args, "device_time", m.at)
	}
	r.complaints.wrong(now, "position", position, reasonTime, m.untimed, "a device's time cannot be used: its values are uncertain:clock, at the time of arrival", args...)
}

// misplaced tells of a message that is for no device that its sender may publish for. No device has it:
// it is the user's.
func (r *receiver) misplaced(user, topic, what string) {
	if len(topic) > 200 {
		topic = topic[:200]
	}
	r.complaints.wrong(time.Now(), "user", user, reasonTopic, topic, what, "topic", topic)
}

// place keeps a device's time, except that different messages of one time are told apart by a
// nanosecond: a device whose clock shows seconds may send several in one.
func (d *device) place(at time.Time, hash uint64) time.Time {
	if at.Truncate(time.Microsecond).Equal(d.lastAt.Truncate(time.Microsecond)) && hash != d.lastOf && !at.After(d.lastAt) {
		return d.lastAt.Add(time.Nanosecond)
	}
	return at
}

func (d *device) remember(hash uint64) {
	d.recent[d.next] = hash
	d.next = (d.next + 1) % len(d.recent)
}

// hashOf identifies a message by what is stored of it, so that the memory can be rebuilt from stored
// frames. at is the device's time, or zero where it gave none.
func hashOf(position string, at time.Time, samples []faultline.Sample) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var b [9]byte
	put := func(s string) {
		binary.LittleEndian.PutUint64(b[:], uint64(len(s)))
		_, _ = h.Write(b[:8]) // a hash takes all
		_, _ = h.WriteString(s)
	}
	put(position)
	if !at.IsZero() {
		binary.LittleEndian.PutUint64(b[:], uint64(at.UnixNano()))
		_, _ = h.Write(b[:8])
	}
	// The order of points is not kept by the store: sum their hashes.
	sum := h.Sum64()
	for _, s := range samples {
		h.Reset()
		put(s.Point)
		b[0] = byte(s.Value.Type())
		switch s.Value.Type() {
		case faultline.TypeFloat:
			v, _ := s.Value.Number()
			binary.LittleEndian.PutUint64(b[1:], math.Float64bits(v))
			_, _ = h.Write(b[:])
		case faultline.TypeInt, faultline.TypeBool:
			v, _ := s.Value.Int64()
			binary.LittleEndian.PutUint64(b[1:], uint64(v))
			_, _ = h.Write(b[:])
		case faultline.TypeString:
			v, _ := s.Value.Text()
			put(v)
		default:
			put(string(s.Quality))
		}
		sum += h.Sum64()
	}
	return sum
}

// rebuild fills the memory from stored frames, oldest first.
func (r *receiver) rebuild(frames []faultline.Frame) {
	byPosition := map[string]*device{}
	for _, routes := range r.routes {
		for _, rt := range routes {
			byPosition[rt.dev.Position] = rt.dev
		}
	}
	for i := range frames {
		f := &frames[i]
		if d := byPosition[f.Position]; d != nil {
			// Whether the time was the device's is not stored: remember both.
			d.remember(hashOf(f.Position, f.Time, f.Samples))
			d.remember(hashOf(f.Position, time.Time{}, f.Samples))
		}
	}
}

// lost says of a device's points that there is no connection to it, once, unless it is back by now:
// away, if not nil, tells.
func (r *receiver) lost(ctx context.Context, d *device, why error, away func(*device) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if away != nil && !away(d) {
		return
	}
	r.cfg.Observe(d.Position, false, why)
	at, _ := r.cfg.Stamp(d.Position)
	f := faultline.Frame{Kind: d.Profile.Kind, Position: d.Position, Time: at, Samples: slices.Clone(d.all)}
	if err := r.emit(ctx, f, bus.Meta{Profile: d.Profile.ID()}); err != nil && ctx.Err() == nil {
		r.cfg.Log.Error("the loss of a device could not be stored", "position", d.Position, "error", err)
	}
}

// devices lists each device once.
func (r *receiver) devices() []*device {
	var out []*device
	for _, topic := range r.topics() {
		for _, rt := range r.routes[topic] {
			if !slices.Contains(out, rt.dev) {
				out = append(out, rt.dev)
			}
		}
	}
	return out
}
