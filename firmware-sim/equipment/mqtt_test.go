package equipment

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// inbox is a broker that keeps what it acknowledged.
type inbox struct {
	mochi.HookBase
	addr   string
	server *mochi.Server
	accept atomic.Int64 // publishes still to be accepted; beyond that the client is cut off unacknowledged

	mu       sync.Mutex
	messages []packets.Packet
}

func (b *inbox) ID() string { return "inbox" }
func (b *inbox) Provides(hook byte) bool {
	return slices.Contains([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish}, hook)
}
func (b *inbox) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	return string(pk.Connect.Username) == "device" && string(pk.Connect.Password) == "secret"
}
func (b *inbox) OnACLCheck(*mochi.Client, string, bool) bool { return true }
func (b *inbox) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if b.accept.Add(-1) < 0 {
		cl.Stop(io.EOF)
		return pk, packets.ErrRejectPacket
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	pk.Payload = slices.Clone(pk.Payload)
	b.messages = append(b.messages, pk)
	return pk, nil
}

func (b *inbox) payloads(topic string) (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if m.TopicName == topic {
			list = append(list, string(m.Payload))
		}
	}
	return list
}

// shut is a listener that hangs up on everybody until it is opened.
type shut struct {
	net.Listener
	open    atomic.Bool
	refused atomic.Int64
}

func (s *shut) Accept() (net.Conn, error) {
	for {
		c, err := s.Listener.Accept()
		if err != nil || s.open.Load() {
			return c, err
		}
		s.refused.Add(1)
		c.Close()
	}
}

func broker(t *testing.T, ln net.Listener) *inbox {
	t.Helper()
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	b := &inbox{addr: "tcp://" + ln.Addr().String(), server: mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})}
	b.accept.Store(1 << 40)
	if err := b.server.AddHook(b, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.server.AddListener(listeners.NewNet("t", ln)); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.server.Close() })
	return b
}

func (b *inbox) config() Broker { return Broker{URL: b.addr, Username: "device", Password: "secret"} }

var fast = []DeviceConfig{
	{Name: "U-501", Kind: "ups", Interval: 10 * time.Millisecond},
	{Name: "V-102", Kind: "vibration", Interval: 10 * time.Millisecond, Topic: "plant/hall-2/v"},
}

func TestMessagesHoldWhatIsDocumented(t *testing.T) {
	b := broker(t, nil)
	before := time.Now()
	p := running(t, Config{Seed: 1, Tick: 10 * time.Millisecond, Devices: fast, MQTT: b.config()})
	eventually(t, "messages of both", func() bool {
		return len(b.payloads("demo/U-501/telemetry")) >= 3 && len(b.payloads("plant/hall-2/v")) >= 3
	})
	for i, topic := range []string{"demo/U-501/telemetry", "plant/hall-2/v"} {
		k := p.units[i].k
		for n, text := range b.payloads(topic)[:3] {
			var m map[string]any
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if m[k.countField] != float64(n+1) || m[k.nameField] != p.Devices()[i].Serial {
				t.Errorf("%s: counter or serial of message %d: %s", k.name, n+1, text)
			}
			var at time.Time
			if k.timeMillis {
				at = time.UnixMilli(int64(m[k.timeField].(float64)))
			} else if at, _ = time.Parse(time.RFC3339Nano, m[k.timeField].(string)); at.Location() != time.UTC {
				t.Errorf("%s: device time %v is not UTC", k.name, m[k.timeField])
			}
			if at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
				t.Errorf("%s: device time %v", k.name, at)
			}
			for _, pt := range k.points {
				v := any(m)
				for part := range strings.SplitSeq(pt.Path, ".") {
					v = v.(map[string]any)[part]
				}
				switch pt.Type {
				case Number, Integer:
					f, ok := v.(float64)
					if !ok || (!pt.Counter && (f < pt.Low || f > pt.High)) {
						t.Errorf("%s %s: %v", k.name, pt.Name, v)
					}
				case Text:
					if s, ok := v.(string); !ok || s == "" || (pt.Enum != nil && s != pt.Enum[0]) {
						t.Errorf("%s %s: %v", k.name, pt.Name, v)
					}
				}
			}
		}
	}
	for _, m := range b.messages[:3] {
		if m.FixedHeader.Qos != 1 || m.FixedHeader.Retain {
			t.Errorf("QoS %d, retained %v", m.FixedHeader.Qos, m.FixedHeader.Retain)
		}
	}
}

func TestDeviceDialsUntilTheBrokerAppears(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gate := &shut{Listener: ln}
	b := broker(t, gate)
	p := running(t, Config{Tick: 10 * time.Millisecond, Devices: fast[:1]})
	if n := p.Counters().Dropped; n != 0 {
		t.Errorf("%d dropped with no broker", n)
	}
	p.SetBroker(b.config())
	eventually(t, "two attempts", func() bool { return gate.refused.Load() >= 2 })
	if c := p.Counters(); c.Published != 0 {
		t.Errorf("published %d with no broker", c.Published)
	}
	gate.open.Store(true)
	eventually(t, "messages", func() bool { return p.Counters().Published > 5 })
	if first := b.payloads("demo/U-501/telemetry")[0]; !strings.Contains(first, `"seq":1,`) {
		t.Errorf("what was measured meanwhile is lost; first: %s", first)
	}
}

func TestUnacknowledgedMessagesAreSentAgain(t *testing.T) {
	a, b := broker(t, nil), broker(t, nil)
	a.accept.Store(7)
	p := running(t, Config{Tick: 10 * time.Millisecond, Devices: fast[:1], MQTT: a.config()})
	eventually(t, "the first broker cuts it off", func() bool { return a.accept.Load() < 0 })
	p.SetBroker(b.config())
	eventually(t, "the second broker has some", func() bool { return len(b.payloads("demo/U-501/telemetry")) >= 5 })
	var seen []int
	for _, text := range append(a.payloads("demo/U-501/telemetry"), b.payloads("demo/U-501/telemetry")...) {
		var m struct{ Seq int }
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, m.Seq)
	}
	for i := 1; i < len(seen); i++ {
		if d := seen[i] - seen[i-1]; d != 1 && d != 0 {
			t.Fatalf("the counter jumps: %v", seen)
		}
	}
	if seen[0] != 1 {
		t.Errorf("begins at %d", seen[0])
	}
}

func TestWrongCredentialsPublishNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Listener: ln}
	b := broker(t, counted)
	p := running(t, Config{Tick: 10 * time.Millisecond, Devices: fast[:1], MQTT: Broker{URL: b.addr, Username: "device", Password: "guess"}})
	eventually(t, "two attempts", func() bool { return counted.n.Load() >= 2 })
	if c := p.Counters(); c.Published != 0 || c.Dials != 0 {
		t.Errorf("counted %+v", c)
	}
}

type counting struct {
	net.Listener
	n atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	c.n.Add(1)
	return conn, err
}

func TestMQTTFaults(t *testing.T) {
	b := broker(t, nil)
	p := running(t, Config{Tick: 10 * time.Millisecond, Devices: fast, MQTT: b.config()})
	last := func() string { l := b.payloads("demo/U-501/telemetry"); return append([]string{"{}"}, l...)[len(l)] }
	inject := func(e Event) {
		t.Helper()
		e.Device = "U-501"
		if _, err := p.Inject(e); err != nil {
			t.Fatal(err)
		}
	}
	clear := func(f Fault) {
		t.Helper()
		if err := p.Clear("U-501", f, ""); err != nil {
			t.Fatal(err)
		}
	}
	healthy := func() bool { return json.Valid([]byte(last())) && len(last()) > 100 && len(last()) < 2000 }
	eventually(t, "a message", healthy)

	inject(Event{Fault: SensorOpen, Point: "battery_temperature"})
	eventually(t, "null", func() bool {
		return strings.Contains(last(), `"temperature":null`) && strings.Contains(last(), `"alarms":16`)
	})
	clear(SensorOpen)
	if _, err := p.Inject(Event{Device: "V-102", Fault: SensorOpen, Point: "velocity_x"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sentinel", func() bool {
		l := b.payloads("plant/hall-2/v")
		return len(l) > 0 && strings.Contains(l[len(l)-1], `"x":-3276.8`)
	})
	inject(Event{Fault: Garbage})
	eventually(t, "no JSON", func() bool { return !json.Valid([]byte(last())) })
	clear(Garbage)
	eventually(t, "JSON again", healthy)
	inject(Event{Fault: Oversized, Severity: 0.5})
	eventually(t, "a big one", func() bool { return len(last()) > 512<<10 && json.Valid([]byte(last())) })
	clear(Oversized)
	eventually(t, "small again", healthy)
	eventually(t, "broken ones counted", func() bool { c, _ := p.DeviceCounters("U-501"); return c.Broken >= 2 })

	inject(Event{Fault: PowerDip})
	eventually(t, "on battery", func() bool { return strings.Contains(last(), `"status":"on_battery"`) })
	clear(PowerDip)

	inject(Event{Fault: Offline})
	eventually(t, "it hangs up", func() bool { _, there := b.server.Clients.Get("sim-U-501"); return !there })
	n := len(b.payloads("demo/U-501/telemetry"))
	others := len(b.payloads("plant/hall-2/v"))
	eventually(t, "the other goes on", func() bool { return len(b.payloads("plant/hall-2/v")) > others+5 })
	if m := len(b.payloads("demo/U-501/telemetry")); m != n {
		t.Errorf("off line, yet %d messages came", m-n)
	}
	clear(Offline)
	eventually(t, "it is back", func() bool { return len(b.payloads("demo/U-501/telemetry")) > n })
	eventually(t, "counters meet what the broker has", func() bool {
		c := p.Counters()
		return c.Published+c.Broken <= uint64(len(b.payloads("demo/U-501/telemetry"))+len(b.payloads("plant/hall-2/v"))) && c.Dials >= 3
	})
}

func TestABrokenMessageThatIsRefusedBlocksNothing(t *testing.T) {
	b := broker(t, nil)
	p := running(t, Config{Tick: 10 * time.Millisecond, Devices: fast[:1], MQTT: b.config()})
	eventually(t, "a message", func() bool { return p.Counters().Published > 0 })
	if _, err := p.Inject(Event{Device: "U-501", Fault: Oversized}); err != nil {
		t.Fatal(err)
	}
	b.accept.Store(0)
	eventually(t, "one given up", func() bool { return p.Counters().Dropped > 0 })
	if err := p.Clear("U-501", Oversized, ""); err != nil {
		t.Fatal(err)
	}
	b.accept.Store(1 << 40)
	n := p.Counters().Published
	eventually(t, "healthy messages again", func() bool { return p.Counters().Published > n })
}

func TestBufferIsBounded(t *testing.T) {
	s := newSender(newUnit(DeviceConfig{Name: "X", Interval: time.Second, WearRate: 1}, &upsKind, 1), slog.New(slog.DiscardHandler))
	s.u.advance(surroundings{dt: 1, ambient: 24, demand: 0.6})
	for i := range bufferedMessages + 50 {
		s.sample(time.Duration(i+1)*time.Second, time.Second, monday)
	}
	first, _ := s.head()
	if len(s.queue) != bufferedMessages || s.u.dropped.Load() != 50 || !strings.Contains(string(first.payload), `"seq":51,`) {
		t.Errorf("%d wait, %d dropped, first %s", len(s.queue), s.u.dropped.Load(), first.payload)
	}
}
