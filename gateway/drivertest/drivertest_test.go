package drivertest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	sim "github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/modbus"
	"github.com/faultline-iot/faultline/gateway/mqtt"
	"github.com/faultline-iot/faultline/gateway/profile"
)

func TestModbusTCP(t *testing.T) { Run(t, modbusTCP) }

func TestModbusRTUOverTCP(t *testing.T) { Run(t, modbusRTU) }

func TestMQTTListener(t *testing.T) { Run(t, mqttListener) }

func TestMQTTClient(t *testing.T) { Run(t, mqttClient) }

var points = []string{"a", "b"}

func polled() *profile.Profile {
	return &profile.Profile{Name: "polled", Version: "1", Kind: "thing", Source: "test", Points: []profile.Point{
		{Name: "a", Type: faultline.TypeFloat, Register: &profile.Register{Table: profile.Holding, Address: 0, Data: profile.Uint16}},
		{Name: "b", Type: faultline.TypeInt, Register: &profile.Register{Table: profile.Holding, Address: 100, Data: profile.Uint32}},
	}}
}

func modbusDriver(t *testing.T, address string) *modbus.Bus {
	b, err := modbus.New(modbus.Config{Address: address, Devices: []modbus.Device{{Position: "X", Unit: 1, Period: 20 * time.Millisecond, Timeout: 200 * time.Millisecond, Profile: polled()}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// free gives an address that nobody listens on.
func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

type constant struct{ sim.RequestHandler }

func (constant) HandleHoldingRegisters(r *sim.HoldingRegistersRequest) ([]uint16, error) {
	return make([]uint16, r.Quantity), nil
}

func modbusTCP(t *testing.T) Equipment {
	address := free(t)
	s, err := sim.NewServer(&sim.ServerConfiguration{URL: "tcp://" + address, Timeout: time.Minute, Logger: log.New(io.Discard, "", 0)}, constant{})
	if err != nil {
		t.Fatal(err)
	}
	on := func() {
		if err := s.Start(); err != nil {
			t.Error(err)
		}
	}
	off := func() { _ = s.Stop() }
	on()
	t.Cleanup(off)
	return Equipment{Driver: modbusDriver(t, "tcp://"+address), Position: "X", Points: points, Lose: off, Restore: on}
}

// modbusRTU is a serial server whose unit answers zeros, or not at all.
func modbusRTU(t *testing.T) Equipment {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var silent atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					var q [8]byte
					if _, err := io.ReadFull(r, q[:]); err != nil {
						return
					}
					if silent.Load() {
						continue
					}
					n := 2 * int(q[5])
					b := append([]byte{q[0], q[1], byte(n)}, make([]byte, n)...)
					_, _ = c.Write(binary.LittleEndian.AppendUint16(b, crc(b)))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return Equipment{
		Driver: modbusDriver(t, "rtuovertcp://"+l.Addr().String()), Position: "X", Points: points,
		Lose: func() { silent.Store(true) }, Restore: func() { silent.Store(false) },
	}
}

// crc is written from the standard, apart from the driver's.
func crc(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		c ^= uint16(x)
		for range 8 {
			odd := c & 1
			if c >>= 1; odd == 1 {
				c ^= 0xA001
			}
		}
	}
	return c
}

func publishing() mqtt.Config {
	a, b := "a", "b"
	return mqtt.Config{Devices: []mqtt.Device{{Position: "X", Topic: "site/X", Profile: &profile.Profile{
		Name: "publishing", Version: "1", Kind: "thing", Source: "test", MQTT: profile.MQTT{ID: "n"}, Points: []profile.Point{
			{Name: "a", Type: faultline.TypeFloat, JSON: &a}, {Name: "b", Type: faultline.TypeInt, JSON: &b},
		},
	}}}}
}

// sender is a device at the byte level: it connects, publishes with QoS 1, and never waits.
type sender struct {
	mu      sync.Mutex
	address func() string
	conn    net.Conn
	gone    bool
	n       uint16
	wg      sync.WaitGroup
}

func (s *sender) produce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.address() == "" {
		return
	}
	if s.conn == nil {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			return
		}
		hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
		hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.ClientIdentifier, hello.Keepalive = "MQTT", 4, true, "device", 60
		hello.UsernameFlag, hello.Username, hello.PasswordFlag, hello.Password = true, "device", true, []byte("secret")
		if hello.Write(c) != nil {
			c.Close()
			return
		}
		s.conn = c
		s.wg.Go(func() { // answers are read and forgotten
			_, _ = io.Copy(io.Discard, c)
			s.mu.Lock()
			defer s.mu.Unlock()
			c.Close()
			if s.conn == c {
				s.conn = nil
			}
		})
	}
	s.n++
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID = "site/X", 1, s.n%1000+1
	p.Payload = fmt.Appendf(nil, `{"a": %d, "b": 1, "n": %d}`, s.n, s.n)
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = p.Write(s.conn) // a broken connection is seen by its reader
}

func (s *sender) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	if s.conn != nil {
		s.conn.Close()
	}
}

func (s *sender) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = false
}

func mqttListener(t *testing.T) Equipment {
	var at atomic.Value
	at.Store("")
	l, err := mqtt.NewListener(mqtt.ListenerConfig{
		Config: publishing(), Address: "127.0.0.1:0", Users: []mqtt.User{{Name: "device", Password: "secret"}},
		Listening: func(a string) { at.Store(a) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{address: func() string { return at.Load().(string) }}
	t.Cleanup(func() { s.lose(); s.wg.Wait() })
	return Equipment{Driver: l, Position: "X", Points: points, Produce: s.produce, Lose: s.lose, Restore: s.restore}
}

// mqttClient is behind a broker that we did not write.
func mqttClient(t *testing.T) Equipment {
	address := free(t)
	var mu sync.Mutex
	var broker *mochi.Server
	var gone *mochi.Server
	n := 0
	on := func() {
		mu.Lock()
		defer mu.Unlock()
		broker = mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: true})
		if err := broker.AddHook(new(auth.AllowHook), nil); err != nil {
			t.Error(err)
		}
		if err := broker.AddListener(listeners.NewTCP(listeners.Config{ID: "t", Address: address})); err != nil {
			t.Error(err)
		}
		if err := broker.Serve(); err != nil {
			t.Error(err)
		}
	}
	off := func() {
		mu.Lock()
		gone, broker = broker, nil
		mu.Unlock()
		if gone != nil {
			_ = gone.Close()
		}
	}
	on()
	t.Cleanup(off)
	c, err := mqtt.NewClient(mqtt.ClientConfig{Config: publishing(), URL: "tcp://" + address, ClientID: "gateway"})
	if err != nil {
		t.Fatal(err)
	}
	return Equipment{Driver: c, Position: "X", Points: points, Lose: off, Restore: on, Produce: func() {
		mu.Lock()
		defer mu.Unlock()
		if n++; broker != nil {
			_ = broker.Publish("site/X", fmt.Appendf(nil, `{"a": %d, "b": 1, "n": %d}`, n, n), false, 1)
		}
	}}
}
