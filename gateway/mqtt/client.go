package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/faultline-iot/faultline"
)

var errDisconnected = errors.New("disconnected")

// ClientConfig of a subscription to a broker. ClientID is stable: the broker keeps what arrives while
// the gateway is away under it.
type ClientConfig struct {
	Config
	URL      string // tcp://host:1883, ssl://host:8883, ws:// or wss://
	ClientID string
	Username string
	Password string
	TLS      *tls.Config
}

const (
	connectTimeout = 10 * time.Second
	keepAlive      = 30 * time.Second
	retryFirst     = 500 * time.Millisecond
	retryMost      = 15 * time.Second
	queued         = 64  // messages waiting for one worker; more hold up the connection
	workers        = 8   // devices are spread over them, each in order
	quiesce        = 100 // ms that a disconnect gives to acknowledgements under way
)

// Client receives from a broker, with manual acknowledgement after storing. Connecting again and
// subscribing again are done here and not by the library, which restores no subscriptions of a lost
// session and backs off for minutes.
type Client struct {
	cfg  ClientConfig
	recv *receiver
}

// NewClient checks the configuration; it connects to nothing.
func NewClient(cfg ClientConfig) (*Client, error) {
	cfg.fill("broker", cfg.URL)
	recv, err := newReceiver(cfg.Config)
	if err != nil {
		return nil, err
	}
	if cfg.URL == "" || cfg.ClientID == "" || len(recv.routes) == 0 {
		return nil, fmt.Errorf("%w: an MQTT client needs a URL, a client id and devices", faultline.ErrInvalid)
	}
	return &Client{cfg: cfg, recv: recv}, nil
}

// Run receives until ctx ends, through any number of lost connections.
func (c *Client) Run(ctx context.Context, emit Emit) error {
	c.recv.emit = emit
	if c.cfg.Recent != nil {
		frames, err := c.cfg.Recent(ctx)
		if err != nil {
			return fmt.Errorf("read the last stored frames: %w", err)
		}
		c.recv.rebuild(frames)
	}
	up, told := false, false
	for wait := retryFirst; ctx.Err() == nil; {
		err := c.session(ctx, func() {
			up, told, wait = true, false, retryFirst
			c.cfg.Log.Info("subscribed at the broker")
		})
		if ctx.Err() != nil {
			return nil
		}
		if up {
			c.cfg.Metrics.lost.Inc()
		}
		if !told {
			c.cfg.Log.Warn("no connection to the broker", "error", err)
			for _, d := range c.recv.devices() {
				c.recv.lost(ctx, d, err, nil)
			}
			told = true
		}
		up = false
		if pause(ctx, wait) != nil {
			return nil
		}
		wait = min(2*wait, retryMost)
	}
	return nil
}

// session is one connection, from dialling to its end. Messages are stored by workers that it waits for.
func (c *Client) session(ctx context.Context, subscribed func()) error {
	run := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	w := newPool(run, ctx, cancel, c.recv)
	defer w.wait()
	defer cancel(nil) // before waiting
	client := paho.NewClient(c.options(w, cancel))
	defer client.Disconnect(quiesce)
	defer cancel(nil) // before disconnecting, which waits for handlers
	if err := done(ctx, client.Connect()); err != nil {
		return fmt.Errorf("connect to %s: %w", c.cfg.URL, err)
	}
	filters := map[string]byte{}
	for _, t := range c.recv.topics() {
		filters[t] = 1
	}
	token := client.SubscribeMultiple(filters, nil) // to the default handler, which is there before the session is
	if err := done(ctx, token); err != nil {
		return fmt.Errorf("subscribe at %s: %w", c.cfg.URL, err)
	}
	for topic, granted := range token.(*paho.SubscribeToken).Result() {
		if granted > 2 {
			return fmt.Errorf("subscribe at %s: the broker refuses topic %s", c.cfg.URL, topic)
		}
	}
	subscribed()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (c *Client) options(w *pool, cancel context.CancelCauseFunc) *paho.ClientOptions {
	o := paho.NewClientOptions().AddBroker(c.cfg.URL).SetClientID(c.cfg.ClientID).
		SetUsername(c.cfg.Username).SetPassword(c.cfg.Password).
		SetCleanSession(false).SetAutoAckDisabled(true).SetOrderMatters(true).
		SetAutoReconnect(false).SetConnectRetry(false).
		SetConnectTimeout(connectTimeout).SetWriteTimeout(connectTimeout).
		SetKeepAlive(keepAlive).SetPingTimeout(connectTimeout)
	if c.cfg.TLS != nil {
		o.SetTLSConfig(c.cfg.TLS)
	}
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { w.take(m) })
	o.SetConnectionLostHandler(func(_ paho.Client, err error) { cancel(fmt.Errorf("%w: %w", errDisconnected, err)) })
	return o
}

// done waits for a token or ctx.
func done(ctx context.Context, t paho.Token) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.Done():
		return t.Error()
	}
}
