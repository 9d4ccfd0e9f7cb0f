package equipment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Plant is a set of running equipment. Its methods may be called from any goroutine.
type Plant struct {
	cfg     Config
	log     *slog.Logger
	units   []*unit
	servers []*server
	senders []*sender
	script  []Event // sorted by At
	clock   atomic.Int64
	climate climate
	start   time.Time
	ready   chan struct{}

	mu     sync.Mutex
	ran    bool
	broker Broker
	dial   chan struct{} // closed and replaced when broker changes
}

// New checks the configuration and the script and builds the equipment without starting it.
// The error names every mistake.
func New(cfg Config) (*Plant, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("equipment: %w", err)
	}
	p := &Plant{cfg: cfg, log: cfg.Log.With("component", "equipment"), ready: make(chan struct{}), broker: cfg.MQTT, dial: make(chan struct{})}
	for _, d := range cfg.Devices {
		k, err := d.kindOf()
		if err != nil {
			return nil, fmt.Errorf("equipment: device %q: %w", d.Name, err)
		}
		u := newUnit(d, k, cfg.Seed)
		p.units = append(p.units, u)
		if k.protocol == ProtocolModbus {
			p.servers = append(p.servers, newServer(u, p.log))
		} else {
			p.senders = append(p.senders, newSender(u, p.log))
		}
	}
	var errs []error
	for _, e := range cfg.Script {
		if err := p.check(&e); err != nil {
			errs = append(errs, e.locate(err))
		}
		p.script = append(p.script, e)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortStableFunc(p.script, func(a, b Event) int { return int(min(max(a.At-b.At, -1), 1)) })
	return p, nil
}

func (p *Plant) unit(name string) (*unit, error) {
	names := make([]string, len(p.units))
	for i, u := range p.units {
		if u.cfg.Name == name {
			return u, nil
		}
		names[i] = u.cfg.Name
	}
	return nil, fmt.Errorf("%w %q: there are %s", ErrUnknownDevice, name, strings.Join(names, ", "))
}

func (p *Plant) check(e *Event) error {
	u, err := p.unit(e.Device)
	if err != nil {
		return err
	}
	return e.check(u.k)
}

// Run listens, publishes and makes time pass until ctx ends; then it closes everything and
// returns nil. A listener that can't be opened is an error. It may be called once.
func (p *Plant) Run(ctx context.Context) error {
	p.mu.Lock()
	ran := p.ran
	p.ran = true
	p.mu.Unlock()
	if ran {
		return errors.New("equipment: run: it ran before")
	}
	now := time.Now()
	p.begin(now)
	p.step(now) // so that the first reading finds values
	for i, s := range p.servers {
		if err := s.listen(); err != nil {
			for _, opened := range p.servers[:i] {
				opened.close()
			}
			return fmt.Errorf("equipment: %w", err)
		}
	}
	close(p.ready)
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range p.servers {
		g.Go(func() error { return s.run(ctx) })
	}
	for _, s := range p.senders {
		g.Go(func() error { return s.run(ctx, p.currentBroker) })
	}
	g.Go(func() error { p.pass(ctx, now); return nil })
	return g.Wait()
}

// begin fixes where the physics starts.
func (p *Plant) begin(now time.Time) {
	p.start = p.cfg.Start
	if p.start.IsZero() {
		p.start = now
	}
	_, zone := p.start.Zone()
	p.climate = newClimate(p.cfg.Seed, zone)
}

// pass makes a tick for every Tick of real time since began. After a pause of the machine it
// catches up at most a minute: firmware does not live through its power being off.
func (p *Plant) pass(ctx context.Context, began time.Time) {
	t := time.NewTicker(p.cfg.Tick)
	defer t.Stop()
	done := 1
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			due := int(now.Sub(began) / p.cfg.Tick)
			if behind := due - done; time.Duration(behind)*p.cfg.Tick > time.Minute {
				done = due - 1
			}
			for ; done < due; done++ {
				p.step(now)
			}
		}
	}
}

// step is one tick of everything.
func (p *Plant) step(now time.Time) {
	clock := time.Duration(p.clock.Add(int64(p.cfg.Tick)))
	for len(p.script) > 0 && p.script[0].At <= clock {
		e := p.script[0]
		p.script = p.script[1:]
		if err := p.apply(e, clock, now); err != nil {
			p.log.Warn("script", "device", e.Device, "fault", e.Fault, "error", err)
		}
	}
	physics := p.start.Add(time.Duration(float64(clock) * p.cfg.Speed))
	s := surroundings{dt: p.cfg.Tick.Seconds() * p.cfg.Speed, clock: clock, now: now}
	s.ambient, s.demand = p.climate.at(float64(physics.UnixNano()) / 1e9)
	for _, u := range p.units {
		u.advance(s)
	}
	if p.currentBrokerURL() != "" {
		for _, q := range p.senders {
			q.sample(clock, p.cfg.Tick, now)
		}
	}
}

// apply carries out a checked event.
func (p *Plant) apply(e Event, clock time.Duration, now time.Time) error {
	u, err := p.unit(e.Device)
	if err != nil {
		return err
	}
	if e.Clear {
		if !u.end(e.Fault, e.Point, now) {
			return fmt.Errorf("%s on %s: %w", e.Fault, e.Device, ErrNotInjected)
		}
		p.log.Info("fault cleared", "device", e.Device, "fault", e.Fault, "point", e.Point)
		return nil
	}
	u.inject(e, clock, now)
	p.log.Info("fault injected", "device", e.Device, "fault", e.Fault, "point", e.Point, "severity", e.Severity, "ramp", e.Ramp)
	return nil
}

// Inject starts a fault now, whatever e.At says; one that is active on the same device and
// point is replaced. Errors name what is allowed.
func (p *Plant) Inject(e Event) (Injection, error) {
	u, err := p.unit(e.Device)
	if err != nil {
		return Injection{}, err
	}
	e.Clear = false
	if err := e.check(u.k); err != nil {
		return Injection{}, err
	}
	in := u.inject(e, time.Duration(p.clock.Load()), time.Now())
	p.log.Info("fault injected", "device", e.Device, "fault", e.Fault, "point", e.Point, "severity", e.Severity, "ramp", e.Ramp)
	return in, nil
}

// Clear ends a fault; point "" ends it on all points. ErrNotInjected where it is not active.
func (p *Plant) Clear(device string, f Fault, point string) error {
	e := Event{Device: device, Fault: f, Point: point, Clear: true}
	if err := p.check(&e); err != nil {
		return err
	}
	return p.apply(e, 0, time.Now())
}

// Injected lists the faults put in so far, active and cleared, oldest first.
func (p *Plant) Injected() []Injection {
	var all []Injection
	for _, u := range p.units {
		all = append(all, u.injections()...)
	}
	slices.SortStableFunc(all, func(a, b Injection) int { return a.At.Compare(b.At) })
	return all
}

// Ready closes when every Modbus device listens and Devices tells their addresses. It stays
// open if Run fails before.
func (p *Plant) Ready() <-chan struct{} { return p.ready }

// SetBroker tells MQTT devices where to publish from now on, also while they run.
func (p *Plant) SetBroker(b Broker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broker = b
	close(p.dial)
	p.dial = make(chan struct{})
}

func (p *Plant) currentBroker() (Broker, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broker, p.dial
}

func (p *Plant) currentBrokerURL() string {
	b, _ := p.currentBroker()
	return b.URL
}

// DeviceInfo is what can be told of a device from outside.
type DeviceInfo struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Model    string `json:"model"`
	Serial   string `json:"serial"`
	Protocol string `json:"protocol"`          // ProtocolModbus or ProtocolMQTT
	Address  string `json:"address,omitempty"` // Modbus: host:port, once Ready
	Unit     uint8  `json:"unit,omitempty"`    // Modbus
	Topic    string `json:"topic,omitempty"`   // MQTT
}

// Devices lists the equipment in configuration order.
func (p *Plant) Devices() []DeviceInfo {
	var list []DeviceInfo
	for _, u := range p.units {
		d := DeviceInfo{Name: u.cfg.Name, Kind: u.k.name, Model: u.k.model, Serial: u.cfg.Serial, Protocol: u.k.protocol}
		if u.k.protocol == ProtocolModbus {
			d.Unit = u.cfg.Unit
		} else {
			d.Topic = u.cfg.Topic
		}
		for _, s := range p.servers {
			if s.u == u {
				d.Address = s.address()
			}
		}
		list = append(list, d)
	}
	return list
}

// Values are the true values of a device now, by point name: what a correct reader gets
// where no sensor fault is active. An enumeration is its number.
func (p *Plant) Values(device string) (map[string]float64, error) {
	u, err := p.unit(device)
	if err != nil {
		return nil, err
	}
	return u.values(), nil
}

// joinPort is net.JoinHostPort for a host that may already be in brackets.
func joinPort(host, port string) string {
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
