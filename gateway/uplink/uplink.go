// Package uplink carries a gateway's frames from its edge stream to the hub, for as long as it takes.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Waits between tries. A hub that was replaced, or a link that is cut, is tried again soon; a gateway
// whose name another one uses waits long, as each try takes the name from the other.
const (
	firstWait  = 200 * time.Millisecond
	longWait   = 15 * time.Second
	fencedWait = time.Minute

	timeEvery    = time.Minute     // between questions for the hub's time
	measureEvery = 5 * time.Second // while nothing is forwarded
)

// Options of an uplink.
type Options struct {
	Edge          *bus.Edge
	Site, Gateway string // whose edge it is
	// HubTime, if set, is told what time it is at the hub, on connecting and every minute.
	HubTime func(hub, at time.Time)
	// Dial connects to the hub; called again after a failure. The uplink closes the connection.
	Dial func(ctx context.Context) (*bus.Conn, error)
	// Serve, if not nil, runs beside forwarding on each connection, until its ctx ends: what the hub asks.
	Serve    func(ctx context.Context, c *bus.Conn) error
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Uplink forwards one edge stream.
type Uplink struct {
	o   Options
	log *slog.Logger
	m   *metrics

	mu  sync.Mutex
	hub *bus.Conn // while connected
}

// New makes an uplink; Run runs it.
func New(o Options) (*Uplink, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	u := &Uplink{o: o, log: o.Log.With("component", "uplink")}
	var err error
	u.m, err = newMetrics(o.Registry, u)
	return u, err
}

// State tells how forwarding is.
func (u *Uplink) State() bus.UplinkState { return u.o.Edge.Uplink() }

// PublishLive passes a position's newest frame on to the hub, beside the durable frames and ahead of a
// backlog. Without a connection it does nothing.
func (u *Uplink) PublishLive(f faultline.Frame) {
	u.mu.Lock()
	hub := u.hub
	u.mu.Unlock()
	if hub == nil {
		return
	}
	if err := hub.PublishLive(f); err != nil {
		u.log.Debug("live frame", "error", err)
	}
}

// Config reads the configuration that the hub has for the gateway; it fails while there is no connection.
func (u *Uplink) Config(ctx context.Context) (bus.GatewayConfig, error) {
	u.mu.Lock()
	hub := u.hub
	u.mu.Unlock()
	if hub == nil {
		return bus.GatewayConfig{}, errors.New("no connection to the hub")
	}
	return hub.Config(ctx, u.o.Site, u.o.Gateway)
}

// Run connects and forwards until ctx ends, and tries again for ever; then it returns nil.
func (u *Uplink) Run(ctx context.Context) error {
	var measuring sync.WaitGroup
	defer measuring.Wait()
	measured, stop := context.WithCancel(ctx)
	defer stop()
	measuring.Go(func() { u.measure(measured) })
	wait, failing := firstWait, ""
	for {
		began := time.Now()
		err := u.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if text := err.Error(); text != failing {
			u.log.Warn("uplink interrupted", "error", err)
			failing = text
		}
		u.m.interruptions.Inc()
		switch {
		case errors.Is(err, faultline.ErrFenced):
			wait = fencedWait
		case time.Since(began) > longWait: // it worked for a while
			wait, failing = firstWait, ""
		default:
			wait = min(2*wait, longWait)
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// measure keeps backlog and lag true while nothing is forwarded.
func (u *Uplink) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		if u.State().State != "ok" {
			if err := u.o.Edge.MeasureBacklog(ctx); err != nil && ctx.Err() == nil {
				u.log.Debug("backlog not measured", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once connects and forwards until that fails or ctx ends. It never returns nil before ctx ends.
func (u *Uplink) once(ctx context.Context) error {
	conn, err := u.o.Dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to hub: %w", err)
	}
	defer conn.Close()
	open, cancel := context.WithTimeout(ctx, 15*time.Second)
	hub, err := conn.AskHub(open, u.o.Site, u.o.Gateway)
	cancel()
	if err != nil {
		return err
	}
	u.connected(conn)
	defer u.connected(nil)
	var asking sync.WaitGroup
	defer asking.Wait()
	asks, stop := context.WithCancel(ctx)
	defer stop()
	asking.Go(func() { u.askTime(asks, conn) })
	if u.o.Serve != nil {
		asking.Go(func() {
			if err := u.o.Serve(asks, conn); err != nil && asks.Err() == nil {
				u.log.Warn("what the hub asks is not served", "error", err)
			}
		})
	}
	return u.o.Edge.Forward(ctx, hub)
}

// askTime asks what time it is at the hub, again and again.
func (u *Uplink) askTime(ctx context.Context, conn *bus.Conn) {
	if u.o.HubTime == nil {
		return
	}
	tick := time.NewTicker(timeEvery)
	defer tick.Stop()
	for {
		hub, at, err := conn.AskTime(ctx, u.o.Site, u.o.Gateway)
		if err == nil {
			u.o.HubTime(hub, at)
		} else if ctx.Err() == nil {
			u.log.Debug("time of the hub", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (u *Uplink) connected(c *bus.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hub = c
}
