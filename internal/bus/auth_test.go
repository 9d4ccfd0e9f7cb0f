package bus

import (
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/pki"
)

// town is a hub that knows its clients by their certificates.
type town struct {
	t         *testing.T
	dir       string
	authority *pki.Authority
	server    *Server
	hub       *Hub // in the process
}

func identify(c *x509.Certificate) (Peer, error) {
	id, err := pki.Identify(c)
	switch {
	case err != nil:
		return Peer{}, err
	case id.Role == pki.RoleGateway:
		return Peer{Site: id.Site, Gateway: id.Name}, nil
	case id.Role == pki.RoleCentral:
		return Peer{}, nil
	}
	return Peer{}, faultline.ErrRefused
}

func newTown(t *testing.T, listen string) *town {
	w := &town{t: t, dir: t.TempDir()}
	var err error
	if w.authority, err = pki.NewAuthority(w.dir, false, time.Now()); err != nil {
		t.Fatal(err)
	}
	src := w.certificate(pki.Identity{Role: pki.RoleHub, Name: "hub"}, "127.0.0.1")
	w.server = startServer(t, ServerConfig{Dir: t.TempDir(), Listen: listen, TLS: src.Server(), Identify: identify, Partitions: 2, Token: "inside"})
	w.hub = openHub(t, connectTo(t, w.server), HubConfig{Partitions: 2})
	serve(t, w.hub)
	return w
}

// serve answers gateways until the test ends.
func serve(t *testing.T, h *Hub) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- h.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (w *town) certificate(id pki.Identity, hosts ...string) *pki.Source {
	w.t.Helper()
	p, err := w.authority.Issue(id, hosts, 0, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := pki.Load(pki.Files{CA: filepath.Join(w.dir, pki.AuthorityFile), Cert: p.Cert, Key: p.Key}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *town) dial(id pki.Identity) (*Conn, error) {
	o := DialOptions{Name: id.Name, Certificates: w.certificate(id, "127.0.0.1"), Log: testLog(w.t)}
	if id.Role == pki.RoleGateway {
		o.Site, o.Gateway = id.Site, id.Name
	}
	c, err := Dial(w.t.Context(), w.server.URL(), o)
	if err == nil {
		w.t.Cleanup(c.Close)
	}
	return c, err
}

// A gateway's certificate lets it forward what is its own, pass on its live frames, read its configuration and
// answer what it is asked, and nothing else.
func TestGatewayMayUseItsOwnOnly(t *testing.T) {
	for name, listen := range map[string]string{"tls": "127.0.0.1:0", "wss": "ws://127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, listen)
			c, err := w.dial(pki.Identity{Role: pki.RoleGateway, Name: "gw1", Site: "plant-3"})
			if err != nil {
				t.Fatal(err)
			}
			var refused atomic.Int32
			c.nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				if errors.Is(err, nats.ErrPermissionViolation) {
					refused.Add(1)
				}
			})
			h, err := c.AskHub(t.Context(), "plant-3", "gw1")
			if err != nil {
				t.Fatal(err)
			}
			e := openEdge(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), EdgeConfig{})
			p := openPublisher(t, e.Publisher)
			stop := forward(t, e, h)
			publish(t, p, 1, 1200)
			part := w.hub.Partition("plant-3")
			complete(t, consume(t, w.hub, part, faultline.Place{}, 1200), p.Epoch(), 1, 1200)
			stop()
			stop = forward(t, e, h) // it asks where it stands, and sends nothing twice
			publish(t, p, 1201, 1201)
			complete(t, consume(t, w.hub, part, faultline.Place{}, 1201), p.Epoch(), 1, 1201)
			stop()
			if refused.Load() != 0 {
				t.Fatalf("%d refusals of what it needs", refused.Load())
			}
			live := make(chan faultline.Frame, 10)
			go func() { _ = w.hub.conn.SubscribeLive(t.Context(), func(f faultline.Frame) { live <- f }) }()
			eventually(t, "a live frame", func() bool {
				if err := c.PublishLive(numbered(7)); err != nil {
					t.Fatal(err)
				}
				return len(live) > 0
			})

			// Its configuration is there for it to read.
			if _, err := c.Config(t.Context(), "plant-3", "gw1"); !errors.Is(err, faultline.ErrNotFound) {
				t.Errorf("without any configuration: %v", err)
			}
			for version := 1; version <= 2; version++ {
				want := GatewayConfig{Version: version, Body: "gateways: []"}
				if err := w.hub.PutConfig(t.Context(), "plant-3", "gw1", want); err != nil {
					t.Fatal(err)
				}
				if got, err := c.Config(t.Context(), "plant-3", "gw1"); err != nil || got != want {
					t.Errorf("%+v (%v), want %+v", got, err, want)
				}
			}
			if refused.Load() != 0 {
				t.Fatalf("%d refusals of what it needs", refused.Load())
			}

			// Requests that are its own reach it, and its answers the asker.
			sub, err := c.nc.Subscribe(orderSubject("plant-3", "gw1"), func(m *nats.Msg) { _ = m.Respond([]byte("done")) })
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = sub.Unsubscribe() }()
			if err := c.nc.Flush(); err != nil {
				t.Fatal(err)
			}
			if m, err := w.hub.conn.nc.Request(orderSubject("plant-3", "gw1"), nil, 10*time.Second); err != nil || string(m.Data) != "done" {
				t.Errorf("%v", err)
			}

			heard := make(chan *nats.Msg, 10)
			all, err := w.hub.conn.nc.ChanSubscribe(">", heard)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = all.Unsubscribe() }()
			if err := w.hub.conn.nc.Flush(); err != nil {
				t.Fatal(err)
			}
			for len(heard) > 0 {
				<-heard
			}
			refused.Store(0)
			stream := w.hub.Stream(part)
			others := []string{
				"f.0.plant-3.gw2.P-1", "h.1.south.gw1", "w.0.plant-3.gw2", "live.plant-3.gw2.P-1", "c.0", "event", "result.x", "hub.ask.plant-3.gw2",
				"f." + string(rune('0'+1-part)) + ".plant-3.gw1.P-1", // another partition
				"$JS.API.STREAM.MSG.GET." + stream, "$JS.API.STREAM.PURGE." + stream, "$JS.API.STREAM.DELETE." + stream, "$JS.API.STREAM.LIST",
				"$JS.API.CONSUMER.CREATE." + stream, "$JS.API.STREAM.CREATE.X", "$KV." + configBucket + ".plant-3.gw1",
				"$JS.API.DIRECT.GET.KV_" + configBucket + ".$KV." + configBucket + ".south.gw1", "_INBOX.south.gw9.x", "ctl.south.gw9", "ctl.plant-3.gw1",
			}
			for _, s := range others {
				if err := c.nc.Publish(s, []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are refused", func() bool { return int(refused.Load()) == len(others) })
			for _, s := range []string{">", "f.>", "_INBOX.>", "_INBOX.plant-3.gw2.>", "live.>", "w.plant-3.gw1", "ctl.plant-3.gw2", "ctl.>", "event", "$SYS.>"} {
				if _, err := c.nc.Subscribe(s, func(*nats.Msg) { t.Errorf("heard %s", s) }); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are refused", func() bool { return int(refused.Load()) == len(others)+10 })
			if err := w.hub.conn.nc.Flush(); err != nil {
				t.Fatal(err)
			}
			for len(heard) > 0 {
				if m := <-heard; strings.HasPrefix(m.Subject, "f.") || strings.HasPrefix(m.Subject, "live.plant-3.gw2") {
					t.Errorf("%s came through", m.Subject)
				}
			}

			// Of the centre: everything. A broker's certificate, none, and a token without one: nothing.
			if centre, err := w.dial(pki.Identity{Role: pki.RoleCentral, Name: "rules-1"}); err != nil {
				t.Error(err)
			} else {
				openHub(t, centre, HubConfig{Partitions: 2})
			}
			if _, err := w.dial(pki.Identity{Role: pki.RoleBroker, Name: "x"}); err == nil {
				t.Error("a broker's certificate connected")
			}
			nobody, err := pki.Load(pki.Files{CA: filepath.Join(w.dir, pki.AuthorityFile)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Dial(t.Context(), w.server.URL(), DialOptions{Certificates: nobody, Token: "inside"}); err == nil {
				t.Error("connected without a certificate")
			}
		})
	}
}

// A live frame on a subject that is not its gateway's is dropped.
func TestLiveFrameOfAnother(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir()})
	c, watch := connectTo(t, s), connectTo(t, s)
	got := make(chan faultline.Frame, 10)
	go func() { _ = watch.SubscribeLive(t.Context(), func(f faultline.Frame) { got <- f }) }()
	f := numbered(1)
	data, err := AppendFrame(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the honest one", func() bool {
		for _, subject := range []string{"live.plant-3.gw2.P-101", "live.plant-4.gw1.P-101", "live.plant-3.gw1.P-102", "live." + f.Site + "." + f.Gateway + "." + f.Position} {
			if err := c.nc.Publish(subject, data); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return len(got) > 0
	})
	if err := watch.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestLimiter(t *testing.T) {
	l := &limiter{rate: 1000}
	now := time.Unix(1000, 0)
	if d := l.reserve(250, now); d != 0 { // the burst
		t.Error(d)
	}
	if d := l.reserve(500, now); d != 500*time.Millisecond {
		t.Error(d)
	}
	if d := l.reserve(100, now.Add(time.Second)); d != 0 {
		t.Error(d)
	}
	live := &limiter{rate: 100}
	n := 0
	for i := range 1000 { // 10 s
		if live.allow(50, now.Add(time.Duration(i)*10*time.Millisecond)) {
			n++
		}
	}
	if n < 20 || n > 21 {
		t.Errorf("%d of 50 bytes in 10 s at 100 a second", n)
	}
}

// A limited connection sends what it is given, in pieces, and a Write that waits ends with Close.
func TestLimitedConn(t *testing.T) {
	a, b := net.Pipe()
	got := make(chan int, 1)
	go func() {
		n, buf := 0, make([]byte, 4096)
		for {
			m, err := b.Read(buf)
			n += m
			if err != nil {
				got <- n
				return
			}
		}
	}()
	c := &limitedConn{Conn: a, l: &limiter{rate: 1 << 20}, closed: make(chan struct{})}
	if n, err := c.Write(make([]byte, 300<<10)); n != 300<<10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	slow := &limitedConn{Conn: a, l: &limiter{rate: 1}, closed: make(chan struct{})}
	done := make(chan error, 1)
	go func() { _, err := slow.Write(make([]byte, 1<<20)); done <- err }()
	slow.Close()
	if err := <-done; err == nil {
		t.Error("a closed connection took it all")
	}
	if n := <-got; n < 300<<10 || n > 300<<10+512 {
		t.Errorf("%d bytes came", n)
	}
}

// A slow uplink is slow, but nothing fails and nothing is sent twice.
func TestForwardAtALimitedRate(t *testing.T) {
	s := startServer(t, ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	h := openHub(t, connectTo(t, s), HubConfig{Partitions: 1})
	serve(t, h)
	c, err := Dial(t.Context(), s.URL(), DialOptions{MaxRate: 256 << 10, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	slow, err := c.AskHub(t.Context(), "plant-3", "gw1")
	if err != nil {
		t.Fatal(err)
	}
	e := openEdge(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	publish(t, p, 1, 1500)
	stop := forward(t, e, slow)
	complete(t, consume(t, h, 0, faultline.Place{}, 1500), p.Epoch(), 1, 1500)
	eventually(t, "counted", func() bool { return e.Uplink().Frames == 1500 })
	stop()
	if u := e.Uplink(); u.Skipped != 0 {
		t.Errorf("%+v", u)
	}
	if st := c.nc.Stats(); st.Reconnects != 0 {
		t.Errorf("%d reconnects", st.Reconnects)
	}
}
