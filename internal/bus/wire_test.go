package bus

import (
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
)

// pumpFrame is the n-th frame of a pump with twelve points that move as a pump's do.
func pumpFrame(r *rand.Rand, n int) faultline.Frame {
	f := faultline.Frame{Kind: "centrifugal_pump", Site: "plant-3", Gateway: "gw1", Position: "P-101", Time: at.Add(time.Duration(n)*time.Second + time.Duration(r.IntN(5_000_000)))}
	for i, p := range []string{"flow", "suction_pressure", "discharge_pressure", "motor_current", "motor_power", "speed", "vibration_de", "vibration_nde", "bearing_temperature_de", "bearing_temperature_nde"} {
		f.Samples = append(f.Samples, faultline.Sample{Point: p, Value: faultline.Float(math.Round((float64(i*10)+r.NormFloat64())*100) / 100), Quality: faultline.Good})
	}
	return faultline.Frame{Kind: f.Kind, Site: f.Site, Gateway: f.Gateway, Position: f.Position, Time: f.Time, Samples: append(f.Samples,
		faultline.Sample{Point: "running_hours", Value: faultline.Int(int64(12000 + n/3600)), Quality: faultline.Good},
		faultline.Sample{Point: "status_word", Value: faultline.Int(5), Quality: faultline.Good})}
}

// BenchmarkUplinkBytes tells how many bytes a frame costs on the uplink, plain and over the compressed
// WebSocket, with a backlog and with one frame at a time.
func BenchmarkUplinkBytes(b *testing.B) {
	for _, kind := range []struct{ name, listen string }{{"tcp", "127.0.0.1:0"}, {"websocket", "ws://127.0.0.1:0"}} {
		for _, load := range []string{"backlog", "single"} {
			b.Run(kind.name+"/"+load, func(b *testing.B) {
				s, err := StartServer(ServerConfig{Dir: b.TempDir(), Listen: kind.listen, MaxStore: 1 << 30})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				w := &wire{}
				c, err := w.dial(s.URL())
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				h, err := c.OpenHub(b.Context(), HubConfig{Partitions: 1})
				if err != nil {
					b.Fatal(err)
				}
				p, err := h.Publisher(b.Context(), "plant-3", "gw1")
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
				r := rand.New(rand.NewPCG(1, 2))
				start, n := w.sent.Load(), 0
				for b.Loop() {
					size := 1
					if load == "backlog" {
						size = 1000
					}
					done := make(chan error, size)
					for range size {
						n++
						f := pumpFrame(r, n)
						go func() { done <- p.Publish(b.Context(), f, Meta{Profile: "sim-pump@3"}) }()
					}
					for range size {
						if err := <-done; err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(w.sent.Load()-start)/float64(n), "bytes/frame")
			})
		}
	}
}

// wire counts what a client sends.
type wire struct{ sent atomic.Int64 }

func (w *wire) dial(url string) (*Conn, error) {
	opts := []nats.Option{nats.SetCustomDialer(w)}
	if strings.HasPrefix(url, "ws://") {
		opts = append(opts, nats.Compression(true))
	}
	return connect(url, DialOptions{}, opts...)
}

// Dial implements the client's dialer.
func (w *wire) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return &countedConn{c, &w.sent}, err
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

// Write counts.
func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}
