package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api"
	"github.com/faultline-iot/faultline/gateway/provision"
	"github.com/faultline-iot/faultline/ingest"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/rules"
)

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

// recentFrames is how many of its last stored frames a gateway looks at when it starts: enough to know
// a message again that its sender repeats because the acknowledgement was lost.
const recentFrames = 2000

// startGateways starts each gateway of this process: straight to the hub where the hub is here, else
// through an edge stream of its own.
func (n *node) startGateways(ctx context.Context, fail func(error)) error {
	poll, pollCtx := n.begin(ctx, roleGateway) // ends before forwarding does
	forward, forwardCtx := n.begin(ctx, "uplink")
	var starts []func()
	for _, g := range n.localGateways() {
		var err error
		var keeper *provision.Keeper
		tell := func(s *faultline.GatewayState) {
			if keeper != nil {
				keeper.Tell(s)
			}
		}
		take := &orders{site: g.Site, id: g.ID}
		run := gatewayRun{own: g}
		if n.hub != nil {
			run.writer, err = n.hub.Publisher(ctx, g.Site, g.ID)
			run.live = func(f faultline.Frame) { _ = n.conn.PublishLive(f) } // not stored: the next one comes within a second
			run.read = func(ctx context.Context) (bus.GatewayConfig, error) { return n.conn.Config(ctx, g.Site, g.ID) }
		} else {
			run, err = n.startEdge(ctx, g, take, tell, func(what string, f func(context.Context) error) {
				starts = append(starts, func() { forward.run(forwardCtx, fail, what, f) })
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", g.ID, err)
		}
		n.writers = append(n.writers, run.writer)
		run.take = take
		if keeper, err = n.keepGateway(ctx, run); err != nil {
			return fmt.Errorf("%s: %w", g.ID, err)
		}
		if n.hub != nil {
			run.writer.TellState(func() *faultline.GatewayState { var s faultline.GatewayState; tell(&s); return &s })
		}
		for _, start := range starts { // what they tell is known now
			start()
		}
		starts = starts[:0]
		poll.run(pollCtx, fail, "gateway "+g.ID, keeper.Run)
		if n.hub != nil {
			poll.run(pollCtx, fail, "orders of "+g.ID, func(ctx context.Context) error { return take.take(ctx, n.conn) })
		}
	}
	return nil
}

func (n *node) startIngest(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, roleIngest)
	in, err := ingest.New(ingest.Config{
		Partitions: n.partitions(), Owner: n.owner(), Hub: n.hub, Store: ingest.SQL(n.store), Influx: n.influx,
		Mine:      n.share(ctx, fail, roleIngest),
		Retention: n.cfg.Influx.Retention, Tiers: n.cfg.tiers(), Log: n.log, Registry: n.registry,
	})
	if err != nil {
		return err
	}
	s.run(sctx, fail, roleIngest, in.Run)
	n.checks[roleIngest] = func(context.Context) error { return in.Ready() }
	trim := ingest.Trimmer{Hub: n.hub, Places: n.store.Places, Partitions: n.partitions(), Roles: []string{roleIngest, roleRules}, Log: n.log}
	s.run(sctx, fail, "trimmer", trim.Run)
	tiers := ingest.Condenser{Store: n.store, Influx: n.influx, Owner: n.owner(), Log: n.log, Registry: n.registry}
	s.run(sctx, fail, "tiers", tiers.Run)
	n.setupTargets(ctx, fail)
	elsewhere := map[string]bool{}
	for _, t := range n.targets { // a recorder of its own: a target that is away holds up its own events only
		for _, site := range t.Sites {
			elsewhere[site] = true
		}
		events := ingest.Recorder{Store: n.store, Influx: t.client, Target: t.Name, Takes: func(site string) bool { return slices.Contains(t.Sites, site) }, Owner: n.owner(), Log: n.log, Registry: n.registry}
		s.run(sctx, fail, "events of "+t.Name, events.Run)
	}
	events := ingest.Recorder{Store: n.store, Influx: n.influx, Takes: func(site string) bool { return !elsewhere[site] }, Owner: n.owner(), Log: n.log, Registry: n.registry}
	s.run(sctx, fail, "events", events.Run)
	sweep := ingest.Sweeper{Store: n.store, Log: n.log, Registry: n.registry}
	s.run(sctx, fail, "dead letters", sweep.Run)
	return nil
}

func (n *node) startRules(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, roleRules)
	engine, err := rules.New(rules.Options{
		Source: n.hub, Store: rules.SQL(n.store), Documents: n.store, Set: n.cfg.rules, Publish: n.conn.PublishEvent, Owner: n.owner(), Mine: n.share(ctx, fail, roleRules),
		Terms: n.cfg.warranty(), Statutory: n.cfg.Warranty.Statutory, Log: n.log, Registry: n.registry,
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
		Listen: n.cfg.API.Listen, Store: n.store, Series: n.influx, Commands: n.hub, Live: n.conn, Orders: n.conn,
		Workshop: &workshop{n.cfg.rules, n.cfg.profiles, n.store, n.influx},
		Checks:   n.checks, Replay: n.replayed, Terms: n.cfg.warranty(), Statutory: n.cfg.Warranty.Statutory, Owner: n.owner(),
		Log: n.log, Registry: n.registry, Version: buildVersion(), Demo: n.demo, Grafana: n.cfg.Grafana.URL,
	})
	if err != nil {
		return err
	}
	s.run(sctx, fail, roleAPI, n.api.Run)
	return nil
}

// startMetrics serves metrics and health of a process without the API.
func (n *node) startMetrics(ctx context.Context, fail func(error)) error {
	if n.cfg.Metrics.Listen == "" || n.has(roleAPI) {
		return nil
	}
	l, err := net.Listen("tcp", n.cfg.Metrics.Listen)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	n.metrics = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		for _, p := range n.writers {
			if s := p.Stats(); s.State != "ok" {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, s.State, s.Error)
				return
			}
		}
		for _, b := range n.buffers {
			if err := b.Ready(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, err)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s, sctx := n.begin(ctx, "metrics")
	s.run(sctx, fail, "metrics", func(context.Context) error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	s.run(sctx, fail, "metrics", func(ctx context.Context) error { <-ctx.Done(); return srv.Close() })
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
	if n.api.NeedsLogin() && n.demo {
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
