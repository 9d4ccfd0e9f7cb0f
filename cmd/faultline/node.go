package main

import (
	"context"
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
	"github.com/faultline-iot/faultline/gateway/uplink"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
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

	targets []influxTarget
	servers []stream  // embedded streams, to be watched
	conn    *bus.Conn // to the hub
	hub     *bus.Hub
	store   *store.Store
	influx  *tsdb.Router
	engine  *embedded.Engine
	api     *api.Server
	metrics string                                 // address of a process without the API; empty: none
	checks  map[string]func(context.Context) error // that /readyz asks, by part

	writers []*bus.Publisher
	buffers []*uplink.Buffer
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

// unlimited lets a stream server store what its streams' own limits allow. The server's own limit is a
// share of what is free when it starts, so a disk that has filled would keep it from opening its streams.
const unlimited = 1 << 60

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
	n.checks = map[string]func(context.Context) error{"hub": n.checkHub}
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
		{"places", n.central(), n.checkPlaces},
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
	if n.hub != nil {
		if err := n.startHub(ctx, fail); err != nil {
			return n, err
		}
	}
	for _, r := range roles {
		if n.has(r.name) {
			if err := r.start(ctx, fail); err != nil {
				return n, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	if err := n.startMetrics(ctx, fail); err != nil {
		return n, err
	}
	if n.central() {
		if err := n.startControl(ctx, fail); err != nil {
			return n, err
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
	token, err := c.secret(c.Hub.TokenFile, hubTokenEnv)
	if err != nil {
		return err
	}
	partitions := c.Hub.Partitions
	if c.Hub.URL == "" {
		srv, err := n.embeddedHub(token)
		if err != nil {
			return err
		}
		n.watch("hub", srv)
		if n.conn, err = srv.Connect("faultline"); err != nil {
			return err
		}
		partitions = max(partitions, 1)
	} else {
		o, err := n.hubDial("", "")
		if err != nil {
			return err
		}
		o.Registry = n.registry
		if n.conn, err = bus.Dial(ctx, c.Hub.URL, o); err != nil {
			return err
		}
		if partitions == 0 {
			partitions = externalPartitions
		}
	}
	n.onClose(func() error { n.conn.Close(); return nil })
	maxBytes := c.Hub.MaxBytes
	if maxBytes == 0 {
		if maxBytes, err = n.hubBytes(ctx, partitions); err != nil {
			return err
		}
	}
	n.hub, err = n.conn.OpenHub(ctx, bus.HubConfig{Partitions: partitions, Replicas: c.Hub.Replicas, MaxBytes: maxBytes, CommitInterval: 5 * time.Millisecond})
	if err != nil && strings.Contains(err.Error(), "insufficient storage") {
		err = fmt.Errorf("%w: %d partitions of %d MiB each are more than the hub may store: give it more, or set hub.max_bytes", err, partitions, maxBytes>>20)
	}
	return err
}

// Sizes of a partition's stream where the configuration says none.
const (
	largestPartition  = 8 << 30
	smallestPartition = 32 << 20
	externalPartition = 1 << 30

	externalPartitions = 32
)

// hubBytes is how large a new hub's partitions may become: half of the free disk, shared by them. A hub
// that is there keeps what it has (0).
func (n *node) hubBytes(ctx context.Context, partitions int) (int64, error) {
	if _, err := n.conn.OpenHub(ctx, bus.HubConfig{}); err == nil || !errors.Is(err, faultline.ErrNotFound) {
		return 0, nil // what is wrong with it, opening it in earnest says
	}
	if n.cfg.Hub.URL != "" {
		return externalPartition, nil
	}
	free, known := freeDisk(n.cfg.dataDir())
	if !known {
		return externalPartition, nil
	}
	each := min(free/2/int64(partitions), largestPartition)
	if each < smallestPartition {
		return 0, fmt.Errorf("only %d MiB are free in %s: a hub of %d partitions wants twice %d MiB each; free some space, or set hub.max_bytes", free>>20, n.cfg.dataDir(), partitions, smallestPartition>>20)
	}
	return each, nil
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
	target := tsdb.Config{URL: c.Influx.URL, Token: token, Database: c.Influx.Database, Org: c.Influx.Org, Retention: c.Influx.Retention, Tiers: c.tiers(), Log: n.log, Registry: n.registry}
	if n.store != nil {
		target.Stale = n.store.StaleFrom
	}
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
	main, err := tsdb.Open(ctx, target)
	if err != nil {
		return err
	}
	n.onClose(func() error { main.Close(); return nil })
	sites := map[string]*tsdb.Client{}
	n.influx = tsdb.NewRouter(main, sites)
	for _, t := range c.Influx.Targets {
		other, err := n.openTarget(ctx, target, t)
		if err != nil {
			return fmt.Errorf("target %s: %w", t.Name, err)
		}
		for _, site := range t.Sites {
			sites[site] = other
		}
		n.targets = append(n.targets, influxTarget{t, other})
	}
	return main.Setup(ctx)
}

// influxTarget is a database for the data of some sites, with its client.
type influxTarget struct {
	InfluxTarget
	client *tsdb.Client
}

// openTarget makes the client of a target, which is as the main one but for where it is.
func (n *node) openTarget(ctx context.Context, like tsdb.Config, t InfluxTarget) (c *tsdb.Client, err error) {
	like.URL, like.Org, like.Token = t.URL, t.Org, ""
	if t.Database != "" {
		like.Database = t.Database
	}
	if t.TokenFile != "" {
		if like.Token, err = n.cfg.secret(t.TokenFile, ""); err != nil {
			return nil, err
		}
	}
	like.Log, like.Registry = n.log.With("target", t.Name), nil
	if c, err = tsdb.Open(ctx, like); err != nil {
		return nil, err
	}
	n.onClose(func() error { c.Close(); return nil })
	return c, nil
}

// setupTargets makes the databases of the targets, as soon as each answers: one that is away holds nobody up.
func (n *node) setupTargets(ctx context.Context, fail func(error)) {
	s, sctx := n.begin(ctx, "targets")
	for _, t := range n.targets {
		s.run(sctx, fail, "target "+t.Name, func(ctx context.Context) error {
			for said := false; ; said = true {
				err := t.client.Setup(ctx)
				if err == nil {
					return nil
				}
				if !said {
					n.log.Warn("an InfluxDB is away: what goes there waits in the hub", "target", t.Name, "sites", t.Sites, "error", err)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(targetRetry):
				}
			}
		})
	}
}

// targetRetry is between attempts to reach a target that is away.
const targetRetry = 10 * time.Second

// seed puts what the configuration says about sites, positions and contracts into the store.
func (n *node) seed(ctx context.Context) error {
	if err := n.putRegistry(ctx, n.cfg); err != nil {
		return err
	}
	for _, p := range n.cfg.rules.Plans() {
		if err := n.store.PutPlan(ctx, p); err != nil {
			return err
		}
	}
	return n.seedGateways(ctx)
}

// putRegistry puts what a configuration says about sites, positions and contracts into the store. What people have
// imported or edited stays.
func (n *node) putRegistry(ctx context.Context, cfg *Config) error {
	for _, s := range cfg.sites() {
		if err := n.store.SeedSite(ctx, s); err != nil {
			return err
		}
	}
	for _, p := range cfg.positions() {
		if err := n.store.SeedPosition(ctx, p); err != nil {
			return err
		}
	}
	for _, k := range cfg.calendars() {
		if err := n.store.PutCalendar(ctx, k); err != nil {
			return err
		}
	}
	for _, k := range cfg.contracts(n.demo) {
		if err := n.store.SeedContract(ctx, k); err != nil {
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
