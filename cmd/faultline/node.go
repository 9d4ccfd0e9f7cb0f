package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/ingest"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
	"github.com/faultline-iot/faultline/rules"
)

// The roles of the one binary.
const (
	roleGateway = "gateway"
	roleIngest  = "ingest"
	roleRules   = "rules"
	roleAPI     = "api"
)

var allRoles = []string{roleGateway, roleIngest, roleRules, roleAPI}

// node is the running roles of one process and the parts that they stand on. Parts are closed in the
// opposite order of their opening.
type node struct {
	cfg      *Config
	log      *slog.Logger
	registry *prometheus.Registry
	roles    []string
	gateways []string // which of the configured gateways run here
	demo     bool

	servers []stream  // embedded streams, to be watched
	conn    *bus.Conn // to the hub
	hub     *bus.Hub
	store   *store.Store
	influx  *tsdb.Client
	engine  *embedded.Engine
	api     *api.Server

	writers []*bus.Publisher
	samples sampleCount

	closers []func() error
	stages  []*stage // in the order of the way of the data
}

// stage is the goroutines of one step of the way of the data, so that they can be stopped in order:
// the equipment's side first, the people's side last.
type stage struct {
	name   string
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// stream is an embedded stream server of this process.
type stream struct {
	name   string
	server *bus.Server
}

// watch has the server closed with the node and, once the roles run, watched for a disk that fails.
func (n *node) watch(name string, s *bus.Server) {
	n.servers = append(n.servers, stream{name, s})
	n.onClose(func() error { s.Close(); return nil })
}

// has tells whether the role runs in this process.
func (n *node) has(role string) bool { return slices.Contains(n.roles, role) }

// central tells whether any role but the gateway runs here.
func (n *node) central() bool { return n.has(roleIngest) || n.has(roleRules) || n.has(roleAPI) }

// nodeOptions says what to start.
type nodeOptions struct {
	Roles    []string
	Gateways []string // ids; empty: all of the configuration
	Demo     bool
	Log      *slog.Logger
}

// startNode opens every part that the roles need and starts them; the returned node must be stopped.
// fail is told of a role that ended with an error after the start.
func startNode(ctx context.Context, cfg *Config, o nodeOptions, fail func(error)) (n *node, err error) {
	n = &node{cfg: cfg, log: o.Log, roles: o.Roles, gateways: o.Gateways, demo: o.Demo, registry: prometheus.NewRegistry()}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if err := n.checkRoles(); err != nil {
		return n, err
	}
	if err := os.MkdirAll(cfg.dataDir(), 0o700); err != nil {
		return n, fmt.Errorf("make the data directory: %w", err)
	}
	steps := []struct {
		what string
		when bool
		open func(context.Context) error
	}{
		{"hub", true, n.openHub},
		{"store", n.central(), n.openStore},
		{"time series", n.has(roleIngest) || n.has(roleAPI), n.openInflux},
		{"seed the store", n.central(), n.seed},
	}
	for _, s := range steps {
		if !s.when {
			continue
		}
		if err := s.open(ctx); err != nil {
			return n, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	roles := []struct {
		name  string
		start func(ctx context.Context, fail func(error)) error
	}{{roleGateway, n.startGateways}, {roleIngest, n.startIngest}, {roleRules, n.startRules}, {roleAPI, n.startAPI}}
	for _, r := range roles {
		if n.has(r.name) {
			if err := r.start(ctx, fail); err != nil {
				return n, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	// A stream that could not write recovers only by being opened again: the process ends, says why,
	// and whoever keeps it running starts it. Nothing that it acknowledged is lost.
	disk, diskCtx := n.begin(ctx, "disk")
	for _, s := range n.servers {
		disk.run(diskCtx, fail, s.name, s.server.Run)
	}
	return n, nil
}

// dataDir is where this configuration's data lies.
func (c *Config) dataDir() string { return c.path(c.Data) }

// checkRoles refuses combinations that could not work, before anything is opened.
func (n *node) checkRoles() error {
	c := n.cfg
	embeddedStore := c.storeURL() == ""
	switch {
	case len(n.roles) == 0:
		return errors.New("no role to run")
	case n.has(roleGateway) && len(n.localGateways()) == 0 && len(n.roles) == 1:
		return errors.New("the configuration has no gateway to run here: list one under gateways")
	case !n.central() && c.Hub.URL == "":
		return errors.New("a gateway alone needs hub.url: the address of the hub that it forwards to")
	case n.central() && embeddedStore && !(n.has(roleIngest) && n.has(roleRules) && n.has(roleAPI)):
		return errors.New("SQLite serves one process: run ingest, rules and api together, or set store.url to a PostgreSQL")
	case n.central() && c.Influx.URL == "" && n.has(roleIngest) != n.has(roleAPI):
		return errors.New("the embedded InfluxDB serves one process: run ingest and api together, or set influx.url")
	case n.central() && c.Hub.URL == "" && !(n.has(roleIngest) && n.has(roleRules) && n.has(roleAPI)):
		return errors.New("the embedded hub stands in the process of ingest, rules and api: run them together, or set hub.url")
	}
	return nil
}

func (c *Config) storeURL() string {
	if c.Store.URL != "" {
		return c.Store.URL
	}
	return os.Getenv("FAULTLINE_STORE_URL")
}

// localGateways are the configured gateways that run in this process.
func (n *node) localGateways() (out []gateway.Config) {
	for _, g := range n.cfg.Gateways {
		if len(n.gateways) == 0 || slices.Contains(n.gateways, g.ID) {
			out = append(out, g)
		}
	}
	return out
}

func (n *node) onClose(f func() error) { n.closers = append(n.closers, f) }

// openHub starts the embedded hub or connects to the one that the configuration names. A gateway
// alone connects when it starts (openEdge): it works without its hub.
func (n *node) openHub(ctx context.Context) error {
	if !n.central() {
		return nil
	}
	c := n.cfg
	token, err := c.secret(c.Hub.TokenFile, "FAULTLINE_HUB_TOKEN")
	if err != nil {
		return err
	}
	partitions := c.Hub.Partitions
	if c.Hub.URL == "" {
		srv, err := bus.StartServer(bus.ServerConfig{Dir: filepath.Join(c.dataDir(), "hub"), Name: "hub", Listen: c.Hub.Listen, Token: token, Log: n.log, Registry: n.registry})
		if err != nil {
			return err
		}
		n.watch("hub", srv)
		if n.conn, err = srv.Connect("faultline"); err != nil {
			return err
		}
		partitions = max(partitions, 1)
	} else {
		if n.conn, err = bus.Dial(ctx, c.Hub.URL, bus.DialOptions{Name: "faultline", Token: token, Log: n.log, Registry: n.registry}); err != nil {
			return err
		}
		if partitions == 0 {
			partitions = 32
		}
	}
	n.onClose(func() error { n.conn.Close(); return nil })
	n.hub, err = n.conn.OpenHub(ctx, bus.HubConfig{Partitions: partitions, MaxBytes: c.Hub.MaxBytes, CommitInterval: 5 * time.Millisecond})
	return err
}

func (n *node) openStore(ctx context.Context) (err error) {
	u := n.cfg.storeURL()
	if u == "" {
		u = "sqlite:" + filepath.Join(n.cfg.dataDir(), "faultline.db")
	}
	if n.store, err = store.Open(ctx, store.Config{URL: u, Log: n.log}); err != nil {
		return err
	}
	n.onClose(n.store.Close)
	return nil
}

func (n *node) openInflux(ctx context.Context) error {
	c := n.cfg
	token, err := c.secret(c.Influx.TokenFile, "FAULTLINE_INFLUX_TOKEN")
	if err != nil {
		return err
	}
	target := tsdb.Config{URL: c.Influx.URL, Token: token, Database: c.Influx.Database, Retention: c.Influx.Retention, Log: n.log, Registry: n.registry}
	if c.Influx.URL == "" {
		listen := c.Influx.Listen
		if listen == "" {
			listen = "127.0.0.1:0"
		}
		if n.engine, err = embedded.Open(embedded.Config{Dir: filepath.Join(c.dataDir(), "influx"), Listen: listen, Token: token, Log: n.log}); err != nil {
			return err
		}
		n.onClose(n.engine.Close)
		target.URL, target.Token = n.engine.URL(), n.engine.Token()
	}
	if n.influx, err = tsdb.Open(ctx, target); err != nil {
		return err
	}
	n.onClose(func() error { n.influx.Close(); return nil })
	return n.influx.Setup(ctx)
}

// seed puts what the configuration says about sites, positions and contracts into the store.
func (n *node) seed(ctx context.Context) error {
	for _, s := range n.cfg.sites() {
		if err := n.store.PutSite(ctx, s); err != nil {
			return err
		}
	}
	for _, p := range n.cfg.positions() {
		if err := n.store.PutPosition(ctx, p); err != nil {
			return err
		}
	}
	for _, k := range n.cfg.contracts(n.demo) {
		if err := n.store.PutContract(ctx, k); err != nil {
			return err
		}
	}
	for _, p := range n.cfg.rules.Plans() {
		if err := n.store.PutPlan(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// begin makes a stage. Its context lives on after the caller's ends: stages are stopped in order.
func (n *node) begin(ctx context.Context, name string) (*stage, context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &stage{name: name, cancel: cancel}
	n.stages = append(n.stages, s)
	return s, ctx
}

// run runs f as part of the stage; an error that is not the stage's end is told to fail.
func (s *stage) run(ctx context.Context, fail func(error), what string, f func(context.Context) error) {
	s.done.Go(func() {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("%s: %w", what, err))
		}
	})
}

// end stops the stage and waits for it.
func (s *stage) end() {
	s.cancel()
	s.done.Wait()
}

// recentFrames is how many of its last stored frames a gateway looks at when it starts: enough to know
// a message again that its sender repeats because the acknowledgement was lost.
const recentFrames = 2000

// startGateways starts each gateway of this process: straight to the hub where the hub is here, else
// through an edge stream of its own.
func (n *node) startGateways(ctx context.Context, fail func(error)) error {
	poll, pollCtx := n.begin(ctx, roleGateway) // ends before forwarding does
	forward, forwardCtx := n.begin(ctx, "uplink")
	for _, g := range n.localGateways() {
		var writer *bus.Publisher
		var err error
		live := func(f faultline.Frame) { _ = n.conn.PublishLive(f) } // not stored: the next one comes within a second
		if n.hub != nil {
			writer, err = n.hub.Publisher(ctx, g.Site, g.ID)
		} else {
			writer, live, err = n.startEdge(ctx, g, func(what string, f func(context.Context) error) { forward.run(forwardCtx, fail, what, f) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", g.ID, err)
		}
		n.writers = append(n.writers, writer)
		gw, err := gateway.New(gateway.Options{
			Config: g, Profiles: n.cfg.profiles, Sink: countingSink{writer, &n.samples}, Version: buildVersion(),
			Live:     live,
			Recent:   func(ctx context.Context) ([]faultline.Frame, error) { return writer.Recent(ctx, recentFrames) },
			Log:      n.log,
			Registry: prometheus.WrapRegistererWith(prometheus.Labels{"gateway": g.ID}, n.registry),
		})
		if err != nil {
			return fmt.Errorf("%s: %w", g.ID, err)
		}
		poll.run(pollCtx, fail, "gateway "+g.ID, gw.Run)
	}
	return nil
}

func (n *node) startIngest(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, roleIngest)
	in, err := ingest.New(ingest.Config{
		Partitions: n.partitions(), Owner: n.owner(), Hub: n.hub, Store: ingest.SQL(n.store), Influx: n.influx,
		Retention: n.cfg.Influx.Retention, Log: n.log, Registry: n.registry,
	})
	if err != nil {
		return err
	}
	s.run(sctx, fail, roleIngest, in.Run)
	return nil
}

func (n *node) startRules(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, roleRules)
	engine, err := rules.New(rules.Options{
		Source: n.hub, Store: rules.SQL(n.store), Set: n.cfg.rules, Publish: n.conn.PublishEvent, Owner: n.owner(),
		Log: n.log, Registry: n.registry,
	})
	if err != nil {
		return err
	}
	s.run(sctx, fail, roleRules, engine.Run)
	return nil
}

func (n *node) startAPI(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, roleAPI)
	var err error
	n.api, err = api.New(api.Options{
		Listen: n.cfg.API.Listen, Store: n.store, Series: n.influx, Commands: n.hub, Live: n.conn,
		Checks: map[string]func(context.Context) error{"hub": n.checkHub},
		Log:    n.log, Registry: n.registry, Version: buildVersion(), Demo: n.demo,
	})
	if err != nil {
		return err
	}
	s.run(sctx, fail, roleAPI, n.api.Run)
	return nil
}

func (n *node) checkHub(context.Context) error {
	if !n.conn.Connected() {
		return errors.New("no connection to the hub")
	}
	return nil
}

// introduce says where to look, as the role api starts.
func (n *node) introduce(say func(format string, args ...any)) {
	if n.api == nil {
		return
	}
	say("console: %s", n.api.URL())
	if n.api.NeedsLogin() {
		say("log in once, within an hour, with: %s", n.api.LoginLink(time.Hour))
	}
}

func (n *node) partitions() []int {
	out := make([]int, n.hub.Partitions())
	for i := range out {
		out[i] = i
	}
	return out
}

// owner names this process in leases. SQLite lets one process in, so whoever opens it goes on at once
// with the leases of the one before.
func (n *node) owner() string {
	if n.cfg.storeURL() == "" {
		return "local"
	}
	host, _ := os.Hostname()
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), hex.EncodeToString(b))
}

// stopStage ends one stage early, as the demo does before it counts.
func (n *node) stopStage(name string) {
	for _, s := range n.stages {
		if s.name == name {
			s.end()
		}
	}
}

// stop ends the stages in the order of the way of the data, then closes the parts, last opened first.
func (n *node) stop() error {
	for _, s := range n.stages {
		s.end()
	}
	var errs []error
	for _, w := range n.writers {
		errs = append(errs, w.Close())
	}
	for _, c := range slices.Backward(n.closers) {
		errs = append(errs, c())
	}
	n.stages, n.writers, n.closers = nil, nil, nil
	return errors.Join(errs...)
}

// splitRoles reads "gateway,ingest"; empty means all.
func splitRoles(s string) ([]string, error) {
	if s == "" || s == "all" {
		return allRoles, nil
	}
	var out []string
	for r := range strings.SplitSeq(s, ",") {
		r = strings.TrimSpace(r)
		if !slices.Contains(allRoles, r) {
			return nil, fmt.Errorf("no role %q: use %s", r, strings.Join(allRoles, ", "))
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out, nil
}
