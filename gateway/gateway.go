// Package gateway is the edge role: it reads the equipment of a site through drivers, gives every
// reading its final time and quality, and hands it to the edge stream. A dead device, a broken bus or a
// full stream is seen in the data and stops nothing else.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/modbus"
	"github.com/faultline-iot/faultline/gateway/mqtt"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Sink stores. Publish blocks until the frame is safe on disk, which is the drivers' back-pressure;
// Heartbeat likewise. Both are safe for concurrent use and return early only when ctx ends or the sink
// cannot be used any more; the frame is not kept. faultline.ErrInvalid means that this frame will never be taken.
// *bus.Publisher is one.
type Sink interface {
	Publish(ctx context.Context, f faultline.Frame, m bus.Meta) error
	Heartbeat(ctx context.Context, h faultline.Heartbeat) error
}

// Emit stores a frame and returns nil when it is safe. It may be called from several goroutines, for
// one position from one at a time. The frame's samples belong to the callee until it returns.
type Emit = func(ctx context.Context, f faultline.Frame, m bus.Meta) error

// Driver reads equipment and emits. Run returns nil when ctx has ended, and an error when it cannot go
// on; it may be called again afterwards. It waits for every goroutine that it started.
type Driver interface {
	Run(ctx context.Context, emit Emit) error
}

// Options of a gateway.
type Options struct {
	Config   Config
	Profiles *profile.Set
	Sink     Sink
	Live     func(faultline.Frame) // told of every frame when it is read, those of health among them, before it is stored; must not block, keep or change it
	// Recent gives the last stored frames of this gateway, oldest first, some thousand at most; nil if
	// there are none. Times go on after them, and redeliveries of them are known.
	Recent  func(context.Context) ([]faultline.Frame, error)
	Version string // of the program, for heartbeats
	// HubTime says that a hub elsewhere will tell what time it is there (Gateway.HubTime). Until it has, and after
	// a jump of this machine's clock, that clock is not taken at its word.
	HubTime bool
	// HealthEvery is how often the health of every device is stored as a frame of faultline.HealthKind;
	// default 10 s, negative never.
	HealthEvery time.Duration
	// ClockError is added to the wall clock, for those who test what a wrong clock does; nil adds nothing.
	ClockError func() time.Duration
	Log        *slog.Logger
	Registry   prometheus.Registerer
}

// Gateway reads the equipment of one configuration. Create with New and call Run once.
type Gateway struct {
	opt     Options
	log     *slog.Logger
	clock   *clock
	metrics *metrics
	health  map[string]*health
	reports map[string]*reports   // nil where every sample is stored
	rolled  map[string]*rollovers // nil where no counter rolls over
	order   []string              // positions as configured
	dated   map[string]bool       // of positions: frames bear the device's own time
	drivers []driver
	orders  *orders // to write

	mqttMetrics *mqtt.Metrics // of all MQTT sources

	mu        sync.Mutex
	listening chan struct{} // closed once address is set; nil without a listener
	address   string
}

type driver struct {
	name string
	Driver
}

const (
	heartbeatEvery = time.Second
	restartFirst   = time.Second
	restartMost    = 30 * time.Second
)

// New checks the configuration and reads secrets; it connects to nothing.
func New(opt Options) (*Gateway, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	var list problemList
	opt.Config.Validate(&list, "", opt.Profiles)
	if len(list) > 0 {
		return nil, fmt.Errorf("%w: gateway: %w", faultline.ErrInvalid, errors.Join(list...))
	}
	if opt.Sink == nil || opt.Profiles == nil {
		return nil, fmt.Errorf("%w: a gateway needs a sink and profiles", faultline.ErrInvalid)
	}
	g := &Gateway{opt: opt, log: opt.Log.With("component", "gateway", "gateway", opt.Config.ID), clock: newClock(), health: map[string]*health{}, reports: map[string]*reports{}, rolled: map[string]*rollovers{}, dated: map[string]bool{}, orders: newOrders()}
	g.clock.hub = opt.HubTime
	g.clock.wrong = opt.ClockError
	g.metrics = newMetrics(opt.Registry, g.clock.uncertain)
	for i := range opt.Config.Devices {
		d := &opt.Config.Devices[i]
		p, err := d.Points(opt.Profiles)
		if err != nil {
			return nil, err
		}
		source := d.Address
		if p.UsesMQTT() {
			source = "mqtt:" + opt.Config.topic(d)
		}
		g.order = append(g.order, d.Position)
		g.orders.add(d, p)
		g.dated[d.Position] = p.MQTT.Time != ""
		g.reports[d.Position] = newReports(p)
		g.rolled[d.Position] = newRollovers(p)
		g.health[d.Position] = &health{h: DeviceHealth{Position: d.Position, Profile: p.ID(), Source: source, Reasons: map[string]uint64{}}}
		g.metrics.up.WithLabelValues(d.Position).Set(0)
	}
	if err := g.build(); err != nil {
		return nil, err
	}
	return g, nil
}

type problemList []error

func (l *problemList) Add(path, format string, args ...any) {
	*l = append(*l, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// Run reads until ctx ends; then it returns nil. It fails only if another gateway took this one's
// place (faultline.ErrFenced) or the last stored frames cannot be read.
func (g *Gateway) Run(ctx context.Context) error {
	if g.opt.Recent != nil {
		frames, err := g.opt.Recent(ctx)
		if err != nil {
			return fmt.Errorf("read the last stored frames of gateway %s: %w", g.opt.Config.ID, err)
		}
		g.clock.resume(frames, func(position string) bool { return g.dated[position] })
		for i := range frames {
			g.rolled[frames[i].Position].resume(&frames[i])
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.heartbeats(ctx) })
	if g.opt.HealthEvery >= 0 {
		group.Go(func() error { return g.tellHealth(ctx) })
	}
	for _, d := range g.drivers {
		group.Go(func() error { return g.keep(ctx, d) })
	}
	return group.Wait()
}

// keep runs a driver and starts it again after it failed.
func (g *Gateway) keep(ctx context.Context, d driver) error {
	for wait := restartFirst; ; wait = min(2*wait, restartMost) {
		began := time.Now()
		err := d.Run(ctx, g.emit)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, faultline.ErrFenced):
			return fmt.Errorf("driver %s: %w", d.name, err)
		case time.Since(began) > 2*restartMost:
			wait = restartFirst
		}
		g.metrics.restarts.Inc()
		g.log.Error("a driver failed and will be started again", "driver", d.name, "error", err, "in", wait)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// emit completes a frame and stores it.
func (g *Gateway) emit(ctx context.Context, f faultline.Frame, m bus.Meta) error {
	f.Site, f.Gateway = g.opt.Config.Site, g.opt.Config.ID
	g.rolled[f.Position].apply(f.Samples)
	if g.opt.Live != nil {
		g.opt.Live(f)
	}
	began := time.Now()
	r, stored := g.reports[f.Position], f
	stored.Samples = r.worth(f.Time, f.Samples)
	if err := g.opt.Sink.Publish(ctx, stored, m); err != nil {
		return err
	}
	r.stored(f.Time, stored.Samples)
	g.metrics.store.Observe(time.Since(began).Seconds())
	g.metrics.frames.Inc()
	if h := g.health[f.Position]; h != nil {
		good, uncertain, bad := h.frame(&f)
		g.metrics.samples.WithLabelValues("good").Add(float64(good))
		g.metrics.samples.WithLabelValues("uncertain").Add(float64(uncertain))
		g.metrics.samples.WithLabelValues("bad").Add(float64(bad))
	}
	return nil
}

// heartbeats says each second that the gateway is alive.
func (g *Gateway) heartbeats(ctx context.Context) error {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for failed := false; ; {
		at, _ := g.clock.Stamp("")
		err := g.opt.Sink.Heartbeat(ctx, faultline.Heartbeat{Site: g.opt.Config.Site, Gateway: g.opt.Config.ID, At: at, Version: g.opt.Version})
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, faultline.ErrFenced):
			return fmt.Errorf("heartbeat of gateway %s: %w", g.opt.Config.ID, err)
		case err != nil && !failed:
			g.log.Error("heartbeats fail", "error", err)
		case err == nil && failed:
			g.log.Info("heartbeats work again")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// HubTime tells the gateway what time it was at the hub at the local moment at. at carries a monotonic reading.
func (g *Gateway) HubTime(hub, at time.Time) { g.clock.hubTime(hub, at) }

// Health tells how every device does, in the configuration's order.
func (g *Gateway) Health() []DeviceHealth {
	out := make([]DeviceHealth, 0, len(g.order))
	for _, p := range g.order {
		out = append(out, g.health[p].snapshot())
	}
	return out
}

// MQTTAddress waits until the built-in listener listens and gives its address.
func (g *Gateway) MQTTAddress(ctx context.Context) (string, error) {
	if g.listening == nil {
		return "", fmt.Errorf("gateway %s has no MQTT listener: %w", g.opt.Config.ID, faultline.ErrNotFound)
	}
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the MQTT listener: %w", context.Cause(ctx))
	case <-g.listening:
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.address, nil
	}
}

// ReadOnce reads a polled device once, over a connection of its own: what a person wants to see before
// the configuration is used. The frame has no site and no gateway. An error that comes with samples
// says what ended the reading early.
func ReadOnce(ctx context.Context, d Device, p *profile.Profile) (faultline.Frame, error) {
	f := faultline.Frame{Kind: p.Kind, Position: d.Position}
	if !p.UsesModbus() {
		return f, fmt.Errorf("%w: profile %s publishes over MQTT and cannot be asked", faultline.ErrRefused, p.Name)
	}
	link, err := d.modbusLink()
	if err != nil {
		return f, err
	}
	samples, err := modbus.Once(ctx, d.Address, link, d.modbus(p))
	f.Time, f.Samples = time.Now().UTC(), samples
	return f, err
}

func (d *Device) modbus(p *profile.Profile) modbus.Device {
	unit := uint8(1)
	if d.Unit != nil {
		unit = uint8(*d.Unit)
	}
	return modbus.Device{Position: d.Position, Unit: unit, Period: d.Period, Timeout: d.Timeout, Pause: d.Pause, Profile: p}
}

func (d *Device) modbusLink() (modbus.Link, error) {
	l := modbus.Link{Connections: d.Connections, Pipeline: d.Pipeline, ConnectPause: d.ConnectPause}
	var err error
	if l.TLS, err = d.TLS.load(); err != nil {
		return l, fmt.Errorf("TLS of %s: %w", d.Address, err)
	}
	return l, nil
}
