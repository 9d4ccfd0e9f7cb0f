package bus

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/pki"
)

// TestMain lets the test binary stand in for nats-server, so that tests can kill a node of a cluster.
func TestMain(m *testing.M) {
	if conf := os.Getenv("BUS_NODE_CONF"); conf != "" {
		fmt.Fprintln(os.Stderr, runNode(conf))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runNode is nats-server -c FILE. It returns when it could not start.
func runNode(conf string) error {
	o, err := server.ProcessConfigFile(conf)
	if err != nil {
		return err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	s.WaitForShutdown()
	return nil
}

// cluster is three nodes as processes, configured as faultline cluster does it.
type cluster struct {
	t     *testing.T
	town  *town
	conf  Cluster
	procs []*exec.Cmd
}

// freePorts finds a port that is free with the two after it.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		var got []net.Listener
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
		port := l.Addr().(*net.TCPAddr).Port
		for i := 1; i < 3; i++ {
			if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i))); err == nil {
				got = append(got, l)
			}
		}
		for _, l := range got {
			l.Close()
		}
		if len(got) == 3 {
			return port
		}
	}
	t.Fatal("no three free ports in a row")
	return 0
}

func startCluster(t *testing.T, wss bool) *cluster {
	w := &town{t: t, dir: t.TempDir()}
	var err error
	if w.authority, err = pki.NewAuthority(w.dir, false, time.Now()); err != nil {
		t.Fatal(err)
	}
	gw := pki.Identity{Role: pki.RoleGateway, Name: "gw1", Site: "plant-3"}
	c := &cluster{t: t, town: w, conf: Cluster{
		Partitions: 2, StoreDir: t.TempDir(), Certs: w.dir, WebSocket: wss,
		Full:     []string{pki.Identity{Role: pki.RoleCentral, Name: "central"}.String()},
		Gateways: [][2]string{{gw.Site, gw.Name}}, Subject: func(string, string) string { return gw.String() },
	}}
	for _, name := range []string{"n1", "n2", "n3"} {
		c.conf.Nodes = append(c.conf.Nodes, Node{Name: name, Host: "127.0.0.1", Port: freePorts(t)})
		if _, err := w.authority.Issue(pki.Identity{Role: pki.RoleHub, Name: name}, []string{"127.0.0.1"}, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	c.procs = make([]*exec.Cmd, 3)
	for i, n := range c.conf.Nodes {
		text, err := c.conf.File(n.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.file(i), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.procs {
			c.kill(i)
		}
	})
	return c
}

func (c *cluster) file(i int) string { return filepath.Join(c.town.dir, c.conf.Nodes[i].Name+".conf") }

func (c *cluster) start(i int) {
	c.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUS_NODE_CONF="+c.file(i))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.procs[i] = cmd
}

func (c *cluster) kill(i int) {
	if p := c.procs[i]; p != nil {
		_ = p.Process.Kill()
		_ = p.Wait()
		c.procs[i] = nil
	}
}

func (c *cluster) url() (url string) {
	scheme := "tls"
	if c.conf.WebSocket {
		scheme = "wss"
	}
	for i, n := range c.conf.Nodes {
		if i > 0 {
			url += ","
		}
		url += fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
	}
	return url
}

func (c *cluster) dial(id pki.Identity) *Conn {
	c.t.Helper()
	o := DialOptions{Name: id.Name, Certificates: c.town.certificate(id), Log: testLog(c.t)}
	if id.Role == pki.RoleGateway {
		o.Site, o.Gateway = id.Site, id.Name
	}
	var conn *Conn
	eventually(c.t, "a node answers", func() (ok bool) {
		var err error
		conn, err = Dial(c.t.Context(), c.url(), o)
		return err == nil
	})
	c.t.Cleanup(conn.Close)
	return conn
}

// current tells whether every stream has a leader and two followers that hold all of it.
func (c *cluster) current(h *Hub) bool {
	for _, name := range h.streams {
		ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
		s, err := h.conn.js.Stream(ctx, name)
		cancel()
		if err != nil || s.CachedInfo().Cluster == nil || s.CachedInfo().Cluster.Leader == "" || len(s.CachedInfo().Cluster.Replicas) != 2 {
			return false
		}
		for _, r := range s.CachedInfo().Cluster.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
	}
	return true
}

// Each node of three is killed in turn, and then all of them at once, while a gateway forwards with its
// certificate and another one publishes straight to the hub: nothing is lost, nothing is there twice.
func TestClusterLosesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, true)
	central := c.dial(pki.Identity{Role: pki.RoleCentral, Name: "central"})
	var h *Hub
	var why error
	deadline := time.Now().Add(60 * time.Second)
	for h == nil && time.Now().Before(deadline) { // the nodes find each other
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if h, why = central.OpenHub(ctx, HubConfig{Partitions: 2}); why != nil {
			h = nil
		}
		cancel()
	}
	if h == nil {
		t.Fatal(why)
	}
	for p := range h.Partitions() {
		if s, err := central.js.Stream(t.Context(), h.Stream(p)); err != nil || s.CachedInfo().Config.Replicas != 3 {
			t.Fatalf("partition %d: %v", p, err)
		}
	}
	serve(t, h)

	e := openEdge(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	up := c.dial(pki.Identity{Role: pki.RoleGateway, Name: "gw1", Site: "plant-3"})
	var asked *Hub
	eventually(t, "the hub answers", func() (ok bool) {
		var err error
		asked, err = up.AskHub(t.Context(), "plant-3", "gw1")
		return err == nil
	})
	stop := forward(t, e, asked)
	direct := openPublisher(t, func(ctx context.Context) (*Publisher, error) { return h.Publisher(ctx, "plant-3", "gw2") })

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 20 {
		for _, q := range []*Publisher{p, direct} {
			wg.Go(func() {
				for n := 1 + w; ctx.Err() == nil; n += 20 {
					f := numbered(n)
					f.Gateway = q.gateway
					if err := q.Publish(t.Context(), f, Meta{Profile: "pump@1"}); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(10 * time.Millisecond) // the edge stores faster than three nodes under the race detector take it
				}
			})
		}
	}
	stored := func() uint64 { return e.Uplink().Frames }
	more := func(n uint64) {
		t.Helper()
		from, at := stored(), direct.Stats().Frames
		long := time.After(90 * time.Second)
		for stored() < from+n || direct.Stats().Frames < at+n {
			select {
			case <-long:
				t.Fatalf("%d and %d frames more in 90 s: %+v, %+v", stored()-from, direct.Stats().Frames-at, e.Uplink(), direct.Stats())
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	whole := func() {
		t.Helper()
		long := time.After(90 * time.Second)
		for !c.current(h) {
			select {
			case <-long:
				t.Fatal("the cluster is not whole within 90 s")
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	more(500)
	for i := range c.procs {
		whole()
		c.kill(i)
		more(500)
		c.start(i)
		more(100)
	}
	whole()
	for i := range c.procs {
		c.kill(i)
	}
	for i := range c.procs {
		c.start(i)
	}
	more(500)
	cancel()
	wg.Wait()
	eventually(t, "all is forwarded", func() bool { return e.Uplink().Last.Sequence == p.Last() })
	stop()

	part := h.Partition("plant-3")
	ms := consume(t, h, part, faultline.Place{}, int(p.Last()+direct.Last()))
	for _, q := range []*Publisher{p, direct} {
		next := uint64(1)
		for _, m := range frames(ms) {
			if m.ID.Gateway != q.gateway {
				continue
			}
			if m.ID.Epoch != q.Epoch() || m.ID.Sequence != next {
				t.Fatalf("%s: %+v came, %s/%d was next", q.gateway, m.ID, q.Epoch(), next)
			}
			next++
		}
		if next != q.Last()+1 {
			t.Errorf("%s: %d of %d frames", q.gateway, next-1, q.Last())
		}
	}
	t.Logf("%d and %d frames, each once", p.Last(), direct.Last())
}
