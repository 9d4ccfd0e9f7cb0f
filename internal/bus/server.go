package bus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// ErrLocked says that another process has the store directory open; test with errors.Is.
var ErrLocked = errors.New("in use by another process")

// ServerConfig configures the embedded server.
type ServerConfig struct {
	Dir  string // store directory, made if missing
	Name string // shown in logs; "faultline" if empty

	// Listen is host:port (":0" takes a free port), or "ws://host:port" for WebSocket with compression.
	// Empty: no listener, connections in the process only.
	Listen string
	Token  string      // asked from every connection if not empty
	TLS    *tls.Config // of the listener; with ClientCAs and ClientAuth for mutual authentication
	// Identify says whom a client's verified certificate was issued to, which decides what it may do. nil:
	// who has a certificate may do everything.
	Identify   func(*x509.Certificate) (Peer, error)
	Partitions int    // of the hub, for what gateways may do; 0 = not known
	Nodes      *Nodes // it is one of several; nil: it stands alone
	MaxStore   int64  // bytes on disk for all streams; 0 = three quarters of what is free
	Log        *slog.Logger
	Registry   prometheus.Registerer // of the connections made by Connect; may be nil
}

// Server is an embedded JetStream server that syncs every write before acknowledging it.
type Server struct {
	ns   *server.Server
	cfg  ServerConfig
	log  *slog.Logger
	logs *serverLog
	lock *os.File
	ws   bool
	// inside is the token of connections in the process.
	inside string
}

// StartServer starts the embedded server and returns when it is ready. The error is ErrLocked if
// another process uses the directory.
func StartServer(cfg ServerConfig) (_ *Server, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Name == "" {
		cfg.Name = "faultline"
	}
	s := &Server{cfg: cfg, log: cfg.Log.With("component", "bus.server"), inside: cfg.Token}
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("start bus in %s: %w", cfg.Dir, err)
	}
	if s.lock, err = lock(filepath.Join(cfg.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("start bus in %s: %w", cfg.Dir, err)
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()
	if s.ns, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("start bus in %s: %w", cfg.Dir, err)
	}
	s.logs = &serverLog{log: s.log, broken: make(chan struct{})}
	s.ns.SetLoggerV2(s.logs, false, false, false)
	s.ns.Start() // returns after JetStream has recovered its streams
	if !s.ns.ReadyForConnections(time.Minute) || !s.ns.JetStreamEnabled() {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		if why := s.logs.why(); why != "" {
			return nil, fmt.Errorf("start bus in %s: %s", cfg.Dir, why)
		}
		return nil, fmt.Errorf("start bus in %s: not ready within a minute", cfg.Dir)
	}
	return s, nil
}

func (s *Server) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: s.cfg.Name, StoreDir: s.cfg.Dir, JetStream: true,
		JetStreamMaxStore: s.cfg.MaxStore, JetStreamMaxMemory: 64 << 20, // consumers' state only
		SyncAlways: true, NoSigs: true, NoSystemAccount: false, DisableJetStreamBanner: true,
		Authorization: s.cfg.Token, DontListen: s.cfg.Listen == "",
		WriteDeadline: 10 * time.Second, PingInterval: 10 * time.Second, MaxPingsOut: 3,
	}
	if s.cfg.Nodes != nil {
		if err := s.cfg.Nodes.apply(o); err != nil {
			return nil, err
		}
	}
	if s.cfg.Listen == "" {
		return o, nil
	}
	if s.cfg.Identify != nil {
		s.inside, o.Authorization = rand.Text(), ""
		o.CustomClientAuthentication = &gate{inside: s.inside, token: s.cfg.Token, identify: s.cfg.Identify, partitions: s.cfg.Partitions, checked: s.cfg.TLS != nil && s.cfg.TLS.VerifyConnection != nil, refused: func(remote string, err error) {
			s.log.Warn("connection refused", "remote", remote, "error", err)
		}}
	}
	addr, ws := strings.CutPrefix(s.cfg.Listen, "ws://")
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("bus listen address %q: %w", s.cfg.Listen, err)
	}
	port, err := strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return nil, fmt.Errorf("bus listen address %q: port %q is not a number up to 65535", s.cfg.Listen, p)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s.ws = ws
	if ws {
		o.DontListen = true
		o.Websocket = server.WebsocketOpts{Host: host, Port: port, TLSConfig: s.cfg.TLS, NoTLS: s.cfg.TLS == nil, Compression: true, HandshakeTimeout: 5 * time.Second}
		return o, nil
	}
	o.Host, o.Port = host, port
	if s.cfg.TLS != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, s.cfg.TLS, 5
		o.TLSVerify = s.cfg.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	}
	return o, nil
}

// URL is where Dial reaches the server; "" if it has no listener. It holds no token.
func (s *Server) URL() string {
	switch {
	case s.cfg.Listen == "":
		return ""
	case s.ws:
		return s.ns.WebsocketURL()
	}
	u := url.URL{Scheme: "nats", Host: s.ns.Addr().String()}
	if s.cfg.TLS != nil {
		u.Scheme = "tls"
	}
	return u.String()
}

// Connect makes a connection inside the process, named for logs. The caller closes it.
func (s *Server) Connect(name string) (*Conn, error) {
	return connect("", DialOptions{Name: name, Token: s.inside, Log: s.cfg.Log, Registry: s.cfg.Registry}, nats.InProcessServer(s.ns))
}

// ErrBroken says that the server failed to write to its disk, as when that is full. What it acknowledged
// is safe, but the stream takes nothing more until the server is started again, with space.
var ErrBroken = errors.New("bus cannot store any more")

// Run watches the server until ctx ends, when it returns nil. It returns ErrBroken when a stream has
// failed to write: the caller then starts the server, or the process, again.
func (s *Server) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.logs.broken:
		s.logs.mu.Lock()
		defer s.logs.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrBroken, s.logs.cause)
	}
}

// Close stops the server after its pending writes and gives the directory free. Connections end.
func (s *Server) Close() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	s.lock.Close()
}
