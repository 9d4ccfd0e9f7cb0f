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
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// DialOptions configures a connection to a remote server.
type DialOptions struct {
	Name  string // shown at the server
	Token string
	TLS   *tls.Config // for tls:// and wss://; nil takes the system's roots
	// Certificates, if set, are asked for at every connection: who we are and whom we trust. They may change.
	Certificates Certificates
	// Site and Gateway, if set, say that this is a gateway's connection: it listens to its own answers only.
	Site, Gateway string
	MaxRate       int64 // bytes a second that are sent at most, on the wire; 0 = no limit
	Log           *slog.Logger
	Registry      prometheus.Registerer // may be nil
}

// Conn is a connection to a bus. It reconnects by itself, for ever. Safe for concurrent use.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger
	m   *metrics

	mu   sync.Mutex
	up   context.Context // ends when the connection is lost; another begins at once
	down context.CancelFunc
	back chan struct{} // closed while the connection is up
	done bool

	liveMu sync.Mutex           // apart, as it is held while publishing
	live   map[string]*liveSlot // by subject; nil after Close

	rate     int64    // 0 = no limit
	liveRate *limiter // of live frames; nil = no limit
}

// Certificates give the certificate to show, which may be empty, and the authorities to trust, nil for the
// system's. They are asked at every connection, so that they may be replaced meanwhile; *pki.Source is one.
type Certificates interface {
	Certificate() (tls.Certificate, error)
	Authorities() (*x509.CertPool, error)
}

// batchBytes is how large a batch may be so that its acknowledgement comes in time.
func (c *Conn) batchBytes() int {
	if c.rate == 0 {
		return maxBatchBytes
	}
	return int(min(max(2*c.rate, 8<<10), maxBatchBytes))
}

// Dial connects to a server at nats://, tls://, ws:// or wss:// (compressed); several addresses of one
// cluster are separated by commas. It tries once, until ctx ends or for 5 s.
func Dial(ctx context.Context, url string, o DialOptions) (*Conn, error) {
	if url == "" {
		return nil, errors.New("dial bus: no address")
	}
	timeout := 5 * time.Second
	if d, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(d))
	}
	opts := []nats.Option{nats.Timeout(timeout)}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	if o.Certificates != nil {
		opts = append(opts, nats.ClientTLSConfig(o.Certificates.Certificate, o.Certificates.Authorities))
	}
	if o.Gateway != "" {
		opts = append(opts, nats.CustomInboxPrefix(inbox(o.Site, o.Gateway)))
	}
	if o.MaxRate > 0 {
		opts = append(opts, nats.SetCustomDialer(&limitedDialer{Dialer: net.Dialer{Timeout: timeout}, l: &limiter{rate: o.MaxRate}}))
	}
	if strings.Contains(url, "ws://") || strings.Contains(url, "wss://") {
		opts = append(opts, nats.Compression(true))
	}
	type result struct {
		c   *Conn
		err error
	}
	made := make(chan result, 1)
	go func() {
		c, err := connect(url, o, opts...)
		made <- result{c, err}
	}()
	select {
	case r := <-made:
		return r.c, r.err
	case <-ctx.Done():
		if r := <-made; r.c != nil { // at most the time-out away
			r.c.Close()
		}
		return nil, fmt.Errorf("dial bus: %w", context.Cause(ctx))
	}
}

func connect(url string, o DialOptions, extra ...nats.Option) (*Conn, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, err
	}
	c := &Conn{log: o.Log.With("component", "bus"), m: m, live: map[string]*liveSlot{}, rate: o.MaxRate}
	if o.MaxRate > 0 {
		c.liveRate = &limiter{rate: max(o.MaxRate/4, 1)}
	}
	c.up, c.down = context.WithCancel(context.Background())
	c.back = make(chan struct{})
	close(c.back)
	opts := append([]nats.Option{
		nats.Name(o.Name), nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond), nats.ReconnectJitter(200*time.Millisecond, 500*time.Millisecond),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		// Nothing waits in the client while it is disconnected: every message has an owner who sends it again.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.disconnected(err) }),
		nats.ReconnectHandler(func(*nats.Conn) { c.reconnected() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				c.log.Warn("the bus refuses what this connection may not do", "error", err)
				return
			}
			c.log.Debug("bus connection", "error", err)
		}),
	}, extra...)
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	if c.nc, err = nats.Connect(url, opts...); err != nil {
		return nil, fmt.Errorf("dial bus %s: %w", redact(url), err)
	}
	if c.js, err = jetstream.New(c.nc); err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("dial bus %s: %w", redact(url), err)
	}
	return c, nil
}

// redact hides what a careless address says before its "@".
func redact(url string) string {
	if i := strings.LastIndexByte(url, '@'); i >= 0 {
		return "…" + url[i:]
	}
	return url
}

func (c *Conn) disconnected(err error) {
	c.mu.Lock()
	c.down()
	c.up, c.down = context.WithCancel(context.Background())
	select {
	case <-c.back:
		c.back = make(chan struct{})
	default: // it was not up
	}
	quiet := c.done
	c.mu.Unlock()
	if !quiet {
		c.log.Warn("bus connection lost", "error", err)
	}
}

func (c *Conn) reconnected() {
	c.mu.Lock()
	select {
	case <-c.back:
	default:
		close(c.back)
	}
	c.mu.Unlock()
	c.log.Info("bus reconnected")
}

// pause waits before the next try: while the connection is lost until it is back, else longer each time.
func (c *Conn) pause(ctx context.Context, attempt int) error {
	c.mu.Lock()
	back := c.back
	c.mu.Unlock()
	select {
	case <-back:
		return pause(ctx, attempt)
	default:
	}
	t := time.NewTimer(longPause)
	defer t.Stop()
	select {
	case <-back:
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// uptime ends when the connection is lost.
func (c *Conn) uptime() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up
}

// Connected tells whether the connection is up now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Close sends what is waiting and closes the connection. Publishers are closed before it by their owners.
func (c *Conn) Close() {
	c.mu.Lock()
	c.done = true
	c.mu.Unlock()
	c.liveMu.Lock()
	for _, s := range c.live {
		if s.timer != nil {
			s.timer.Stop()
		}
	}
	c.live = nil
	c.liveMu.Unlock()
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(time.Second) // only live frames and events wait here, and they prove nothing
	}
	c.nc.Close()
}

var errDisconnected = errors.New("bus connection lost while waiting for an answer")

// answerTime bounds one exchange with the server. A slow SD card may take seconds to sync.
const answerTime = 10 * time.Second

// request sends msg and waits for the answer, until the connection is lost or answerTime has passed.
func (c *Conn) request(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	wait := answerTime
	if c.rate > 0 { // what was sent before it may still be on its way
		wait += time.Duration(int64(c.batchBytes()+len(msg.Data)) * int64(time.Second) / c.rate)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(c.uptime(), func() { stop(errDisconnected) })()
	r, err := c.nc.RequestMsgWithContext(ctx, msg)
	if err != nil && errors.Is(context.Cause(ctx), errDisconnected) {
		err = errDisconnected
	}
	return r, err
}

// token makes n random letters and digits that may be part of a name.
func token(n int) string { return strings.ToLower(rand.Text())[:n] }
