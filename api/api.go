// Package api is the api role: REST, live events and the web console over what the other roles store.
// It writes tickets by people's hands and publishes their commands; alarms are only ever written by
// rules.
package api

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/secret"
)

// Options of the api role.
type Options struct {
	// Listen is host:port; "" is 127.0.0.1:0, and port 0 takes any. Beyond loopback a login is wanted.
	Listen string
	// Hosts are further names that the server is reached by, as through a proxy; they want a login too.
	Hosts []string
	// TLS makes the listener speak HTTPS; nil speaks HTTP.
	TLS *tls.Config

	Store    Store
	Series   Series
	Commands Commands
	Live     Live
	Workshop Workshop // of rules; nil: they cannot be edited here
	// Terms of warranty by product kind, and what regions set as a minimum; nil: the plan's, and none.
	Terms     []faultline.WarrantyTerm
	Statutory []faultline.StatutoryTerm
	// Replay writes dead letters again and forgets those that are taken: it gives the ids of these, and
	// why others are refused still. nil: not here.
	Replay func(context.Context, []faultline.DeadLetter) (written []int64, refused map[int64]string, err error)
	// Orders has gateways write; nil: nothing is ever written.
	Orders Orders
	// Checks are further parts that /readyz asks, by name, such as "bus" or "ingest".
	Checks map[string]func(context.Context) error

	Log      *slog.Logger         // nil logs nothing
	Registry *prometheus.Registry // gets the room's metrics; all of it is served at /metrics. nil makes one

	Grafana string // URL of a Grafana with the dashboards of package grafana, to link to; "": none

	Owner    string // of this process among several: random if left out
	Version  string
	Demo     bool           // show what to try next
	Location *time.Location // of the times on pages; nil is the machine's
}

// Server is the api role.
type Server struct {
	unscoped Store // past every scope and audit: for work of nobody's and for who may itself. Handlers have call.store
	series   Series
	commands Commands
	live     Live
	workshop Workshop
	grafana  string // without a slash at its end
	replay   func(context.Context, []faultline.DeadLetter) ([]int64, map[int64]string, error)
	orders   Orders
	checks   map[string]func(context.Context) error
	log      *slog.Logger
	metrics  *metrics
	scrape   http.Handler
	version  string
	demo     bool
	location *time.Location
	now      func() time.Time
	owner    string // of this process's claims

	listener net.Listener
	loopback bool
	tls      bool
	hosts    []string
	origin   *http.CrossOriginProtection
	logins   *logins

	book     *book
	latest   *latest
	audience *audience
	notices  notices
	tiles    deskTiles
	attempts attempts
	throttle *throttle
	hashing  hashing
	decoy    func() string // a hash of no password, for names that there are not
	drawn    drawn
	past     past

	backtests *backtests
	console   *console.Console
	menus     map[faultline.Role][]console.NavItem
	document  map[string]any
	handler   http.Handler
}

// New listens, but does not answer before Run. The caller must call Run or Close.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Series == nil || o.Commands == nil || o.Live == nil {
		return nil, errors.New("api: Store, Series, Commands and Live are needed")
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Owner == "" {
		o.Owner = "api-" + rand.Text()
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	s := &Server{
		unscoped: o.Store, series: o.Series, commands: o.Commands, live: o.Live, orders: o.Orders, replay: o.Replay, workshop: o.Workshop, grafana: strings.TrimSuffix(o.Grafana, "/"), backtests: newBacktests(), log: o.Log.With("component", "api"),
		owner: o.Owner, version: o.Version, demo: o.Demo, location: o.Location, now: time.Now, tls: o.TLS != nil, hosts: o.Hosts,
		origin: http.NewCrossOriginProtection(), logins: newLogins(), throttle: newThrottle(), hashing: make(hashing, hashesAtOnce), decoy: sync.OnceValue(func() string { return secret.Hash(secret.New()) }), latest: newLatest(), audience: &audience{readers: map[*reader]bool{}},
		scrape: promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}),
	}
	if o.Terms == nil {
		o.Terms = faultline.DefaultTerms
	}
	s.book = &book{store: o.Store, terms: o.Terms, statutory: o.Statutory, now: func() time.Time { return s.now() }}
	s.checks = map[string]func(context.Context) error{"store": o.Store.Ping, "influx": o.Series.Ping}
	for name, check := range o.Checks {
		s.checks[name] = check
	}
	var err error
	if s.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, fmt.Errorf("api: register metrics: %w", err)
	}
	if s.console, err = console.New(o.Location); err != nil {
		return nil, err
	}
	routes := s.apiRoutes()
	s.document = openAPI(routes, s.version)
	pages := s.pageRoutes()
	s.menus = menus(pages)
	s.handler = s.router(append(routes, pages...))

	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s is in use by another program: choose another address with -listen, or api.listen in the configuration; port 0 takes any that is free", o.Listen)
		}
		return nil, fmt.Errorf("api: listen on %s: %w", o.Listen, err)
	}
	if a, ok := s.listener.Addr().(*net.TCPAddr); ok {
		s.loopback = a.IP.IsLoopback()
	}
	if err := s.checkAdmin(); err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	if o.TLS != nil {
		s.listener = tls.NewListener(s.listener, o.TLS)
	}
	return s, nil
}

// URL is where the server is reached, without a slash at its end. A listener on all addresses is
// named by the machine's address that leads out, if there is one.
func (s *Server) URL() string {
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	host, port := "127.0.0.1", ""
	if a, ok := s.listener.Addr().(*net.TCPAddr); ok {
		port = strconv.Itoa(a.Port)
		host = a.IP.String()
		if a.IP.IsUnspecified() {
			host = outward()
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// outward is the first address of this machine that others may reach.
func outward() string {
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
				return n.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// NeedsLogin tells whether others may reach the listener, so that everybody logs in.
func (s *Server) NeedsLogin() bool { return !s.loopback }

// checkAdmin refuses a listener that others reach while nobody could give rights there: whoever came first would be let in
// by nobody's decision. A demonstration has its one-time link instead.
func (s *Server) checkAdmin() error {
	if s.loopback || s.demo {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	if has, err := s.unscoped.HasAdmin(ctx); err != nil || has {
		return err
	}
	return fmt.Errorf("%s is reached from other machines, and there is no admin yet: make one first with faultline user add NAME -role admin -config FILE, or keep api.listen on 127.0.0.1", s.listener.Addr())
}

// Close stops listening; it is for servers that are never Run.
func (s *Server) Close() error { return s.listener.Close() }

// Run answers until ctx ends, then lets running requests finish for up to three seconds.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	defer s.backtests.stop()
	wg.Go(func() { s.runSeed(background) })
	for _, h := range s.chores() {
		wg.Go(func() { h.run(background, s) })
	}
	wg.Go(func() { s.runWrites(background) })
	wg.Go(func() {
		s.subscribe(background, "live", func(ctx context.Context) error {
			return s.live.SubscribeLive(ctx, s.takeFrame)
		})
	})
	wg.Go(func() {
		s.subscribe(background, "events", func(ctx context.Context) error {
			return s.live.SubscribeEvents(ctx, s.audience.event)
		})
	})

	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return background }, // ends open streams
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	wg.Go(func() { failed <- server.Serve(s.listener) })
	s.log.Info("listening", "url", s.URL(), "login", s.NeedsLogin())

	select {
	case err := <-failed:
		return fmt.Errorf("api: serve %s: %w", s.URL(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		return errors.Join(fmt.Errorf("api: shut down: %w", err), server.Close())
	}
	return nil
}

// subscribe keeps a subscription up until ctx ends.
func (s *Server) subscribe(ctx context.Context, what string, run func(context.Context) error) {
	wait := 100 * time.Millisecond
	for {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait = 100 * time.Millisecond
		}
		s.log.Warn("subscription ended; subscribing again", "what", what, "error", err)
		s.audience.missed()
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

func (s *Server) takeFrame(f faultline.Frame) {
	s.metrics.frames.Inc()
	if f.Kind == faultline.HealthKind {
		s.latest.takeHealth(&f)
		s.audience.heard(f.Site, f.Position)
		return
	}
	s.latest.take(&f)
	s.latest.count(len(f.Samples), s.now())
	s.audience.heard(f.Site, f.Position)
}
