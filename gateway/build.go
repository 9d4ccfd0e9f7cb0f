package gateway

import (
	"cmp"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline/gateway/modbus"
	"github.com/faultline-iot/faultline/gateway/mqtt"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// build groups the devices into drivers: one for each Modbus bus, the MQTT listener, and each broker.
// A new kind of driver is one more line here.
func (g *Gateway) build() error {
	for _, add := range []func([]configured) error{g.addModbus, g.addListener, g.addBrokers} {
		if err := add(g.configured()); err != nil {
			return err
		}
	}
	return nil
}

// configured is a device with its profile.
type configured struct {
	*Device
	profile *profile.Profile
}

func (g *Gateway) configured() []configured {
	out := make([]configured, 0, len(g.opt.Config.Devices))
	for i := range g.opt.Config.Devices {
		d := &g.opt.Config.Devices[i]
		if p, err := d.Points(g.opt.Profiles); err == nil { // New has checked it
			out = append(out, configured{d, p})
		}
	}
	return out
}

// betweenBuses is how long after one of n buses the next one polls. All at once they would wait for one another; a few
// spread over the whole period would need many commits for their readings, each of which costs as much as many
// polls. Many fill the commits anyway: a thousand are spread over half a second, so that neither a dead device that
// is dialled nor a commit finds so many polls that queue up.
func betweenBuses(n int) time.Duration {
	return min(max(250*time.Microsecond, time.Duration(n)*time.Microsecond), 500*time.Microsecond)
}

func (g *Gateway) addModbus(devices []configured) error {
	m := modbus.NewMetrics(g.opt.Registry)
	buses := map[string]*modbus.Config{}
	var names []string
	for _, d := range devices {
		if !d.profile.UsesModbus() {
			continue
		}
		a, err := modbus.ParseAddress(d.Address)
		if err != nil {
			return fmt.Errorf("position %s: %w", d.Position, err)
		}
		c := buses[a.String()]
		if c == nil {
			link, err := d.modbusLink()
			if err != nil {
				return err
			}
			c = &modbus.Config{Address: d.Address, Link: link, Stamp: g.clock.Stamp, Observe: g.observe, Metrics: m, Log: g.opt.Log}
			buses[a.String()] = c
			names = append(names, a.String())
		}
		c.Devices = append(c.Devices, d.modbus(d.profile))
	}
	for i, name := range names {
		buses[name].Delay = time.Duration(i) * betweenBuses(len(names))
		b, err := modbus.New(*buses[name])
		if err != nil {
			return err
		}
		g.drivers = append(g.drivers, driver{name, b})
		for _, d := range buses[name].Devices {
			g.orders.writers[d.Position] = b
		}
	}
	return nil
}

func (g *Gateway) addListener(devices []configured) error {
	c := &g.opt.Config.MQTT
	if c.Listen == "" {
		return nil
	}
	lc := mqtt.ListenerConfig{Config: g.mqtt("", devices), Address: c.Listen, Listening: func(address string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.address == "" {
			close(g.listening)
		}
		g.address = address
	}}
	var err error
	if lc.TLS, err = c.TLS.load(); err != nil {
		return fmt.Errorf("TLS of mqtt.listen: %w", err)
	}
	for i := range c.Users {
		u := mqtt.User{Name: c.Users[i].Name, Topics: c.Users[i].Topics}
		if u.Password, err = c.Users[i].Secret.read(); err != nil {
			return fmt.Errorf("mqtt user %s: %w", u.Name, err)
		}
		lc.Users = append(lc.Users, u)
	}
	l, err := mqtt.NewListener(lc)
	if err != nil {
		return err
	}
	g.listening = make(chan struct{})
	g.drivers = append(g.drivers, driver{"mqtt listener " + c.Listen, l})
	return nil
}

func (g *Gateway) addBrokers(devices []configured) error {
	for i := range g.opt.Config.MQTT.Brokers {
		b := &g.opt.Config.MQTT.Brokers[i]
		mine := g.mqtt(b.Name, devices)
		if len(mine.Devices) == 0 {
			continue
		}
		cc := mqtt.ClientConfig{Config: mine, URL: b.URL, ClientID: cmp.Or(b.ClientID, "faultline-"+g.opt.Config.ID), Username: b.Username}
		var err error
		if cc.Password, err = b.Secret.read(); err != nil {
			return fmt.Errorf("broker %s: %w", b.Name, err)
		}
		if cc.TLS, err = b.TLS.load(); err != nil {
			return fmt.Errorf("TLS of broker %s: %w", b.Name, err)
		}
		client, err := mqtt.NewClient(cc)
		if err != nil {
			return err
		}
		g.drivers = append(g.drivers, driver{"mqtt broker " + b.Name, client})
	}
	return nil
}

// mqtt gathers the devices of one source.
func (g *Gateway) mqtt(source string, devices []configured) mqtt.Config {
	if g.mqttMetrics == nil {
		g.mqttMetrics = mqtt.NewMetrics(g.opt.Registry)
	}
	c := mqtt.Config{
		MaxPayload: g.opt.Config.MQTT.MaxPayload, Stamp: g.clock.Stamp, Recent: g.opt.Recent, Metrics: g.mqttMetrics, Log: g.opt.Log,
		Observe: func(position string, connected bool, err error) { g.observe(position, 0, connected, err) },
	}
	for _, d := range devices {
		if !d.profile.UsesMQTT() {
			continue
		}
		if s, err := g.opt.Config.source(d.Device); err == nil && s == source {
			c.Devices = append(c.Devices, mqtt.Device{Position: d.Position, Topic: g.opt.Config.topic(d.Device), Username: d.Username, Profile: d.profile})
		}
	}
	return c
}

// observe keeps the health of a device.
func (g *Gateway) observe(position string, took time.Duration, answered bool, err error) {
	h := g.health[position]
	if h == nil {
		return
	}
	if h.observe(took, answered, err, time.Now()) {
		up := 0.0
		if answered {
			up = 1
		}
		g.metrics.up.WithLabelValues(position).Set(up)
	}
}
