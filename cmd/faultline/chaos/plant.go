package chaos

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// layout says what an installation consists of.
type layout struct {
	name    string
	nodes   int    // of a NATS cluster; 1: one hub process; 0: the hub is in the centre's process
	apart   bool   // ingest, rules and api are processes of their own, on PostgreSQL
	limit   bool   // gateways may keep little, and read fast; the signal is at rest
	influxd string // program of a real InfluxDB 1.8; "": our engine
}

type site struct{ id, site string }

// plant is an installation under test: equipment, gateways, hub, centre, InfluxDB, SQL.
type plant struct {
	opt      *Options
	lay      layout
	dir      string
	pgDir    string
	at       addresses
	gateways []site
	devices  []*device

	net   *network // nil where there are no namespaces
	proxy *proxy   // of the uplink, then
	disks map[string]*disk
	parts map[string]*part
	order []string // of parts, as started

	modbus []*modbusDevice
	mqtt   []*mqttDevice
	talk   sync.WaitGroup // MQTT devices
	hush   context.CancelFunc
}

// startPlant builds and starts an installation and waits until every device is read.
func startPlant(ctx context.Context, opt *Options, lay layout, can *abilities, dir string) (p *plant, err error) {
	p = &plant{opt: opt, lay: lay, dir: dir, disks: map[string]*disk{}, parts: map[string]*part{}, gateways: []site{{"gw-1", "site-1"}, {"gw-2", "site-2"}}}
	p.at.mqtt, p.at.modbus = map[string]string{}, map[string]string{}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil { // PostgreSQL's user must get through
		return p, err
	}
	if can.network == nil {
		if p.net, err = newNetwork(ctx); err != nil {
			return p, fmt.Errorf("network: %w", err)
		}
	}
	if can.disk == nil {
		for _, name := range []string{"gw-1", "gw-2", "hub", "influx"} {
			if p.disks[name], err = newDisk(ctx, dir, name+"-disk"); err != nil {
				delete(p.disks, name)
				return p, fmt.Errorf("disk of %s: %w", name, err)
			}
		}
	}
	if err := p.equip(ctx); err != nil {
		return p, err
	}
	if err := p.writeProfiles(); err != nil {
		return p, err
	}
	if err := p.compose(ctx); err != nil {
		return p, err
	}
	for _, name := range p.order {
		part := p.parts[name]
		if err := part.start(); err != nil {
			return p, err
		}
		if !part.runs(ctx) {
			return p, fmt.Errorf("start %s: %w", name, context.Cause(ctx))
		}
		pause(ctx, 300*time.Millisecond) // what others stand on first
	}
	p.speak(ctx)
	return p, p.wait(ctx, 2*time.Minute)
}

// data is where a part keeps what it keeps: on its disk, if there are disks.
func (p *plant) data(name string) string {
	if d := p.disks[name]; d != nil {
		return filepath.Join(d.dir, "data")
	}
	return filepath.Join(p.dir, name+"-data")
}

// equip makes the devices.
func (p *plant) equip(ctx context.Context) error {
	host := "127.0.0.1"
	if p.net != nil {
		host = p.net.field
	}
	// First excursions are spread over the run, so that tickets are opened amid every fault.
	spread := uint32(max(p.opt.For.Seconds()/2/p.opt.Period.Seconds(), 60))
	total := uint32(len(p.gateways) * (p.opt.Modbus + p.opt.MQTT))
	for _, g := range p.gateways {
		for i := range p.opt.Modbus + p.opt.MQTT {
			k := uint32(len(p.devices))
			d := &device{site: g.site, gateway: g.id, position: fmt.Sprintf("%s-%02d", strings.ToUpper(g.id), i+1), highHigh: k%2 == 0, first: 20 + k*spread/total}
			if p.lay.limit {
				d.first = never // what is dropped has no alarm
			}
			p.devices = append(p.devices, d)
			if i < p.opt.Modbus {
				m, err := serveModbus(ctx, d, host)
				if err != nil {
					return err
				}
				p.modbus = append(p.modbus, m)
				p.at.modbus[d.position] = m.listener.Addr().String()
				continue
			}
			p.mqtt = append(p.mqtt, &mqttDevice{device: d, user: mqttUser, password: password, topic: "chaos/" + d.position, every: p.opt.Period})
		}
		if p.net != nil {
			p.at.mqtt[g.id] = net.JoinHostPort(p.net.site, strconv.Itoa(1883+len(p.at.mqtt)))
		} else {
			p.at.mqtt[g.id] = free(host)
		}
	}
	for _, m := range p.mqtt {
		m.address = p.at.mqtt[m.gateway]
	}
	return nil
}

// speak lets the MQTT devices begin.
func (p *plant) speak(ctx context.Context) {
	ctx, p.hush = context.WithCancel(context.WithoutCancel(ctx))
	for _, m := range p.mqtt {
		p.talk.Go(func() { m.run(ctx) })
	}
}

// offline ends the equipment: it makes no further reading.
func (p *plant) offline() {
	for _, m := range p.modbus {
		m.stop()
	}
	if p.hush != nil {
		p.hush()
		p.talk.Wait()
	}
}

// compose decides where everything listens and which processes there are.
func (p *plant) compose(ctx context.Context) error {
	hubHost := "127.0.0.1"
	if p.net != nil {
		hubHost = p.net.hub
	}
	p.at.api = free("127.0.0.1")
	token := "FAULTLINE_HUB_TOKEN=" + hubToken
	if err := p.composeHub(hubHost, token); err != nil {
		return err
	}
	if p.lay.apart {
		bin, err := findPostgres()
		if err != nil {
			return err
		}
		pg, dir, address, err := newPostgres(ctx, bin)
		p.pgDir = dir
		if err != nil {
			return err
		}
		p.at.store = address
		pg.log = filepath.Join(p.dir, "logs", "postgres.log")
		p.add(pg)
		p.composeInflux()
	} else {
		p.at.influxHere = free("127.0.0.1")
	}
	central := func(name, roles, data string) error {
		file, err := p.writeConfig(name, data, true)
		if err == nil {
			p.run(name, false, []string{token, "FAULTLINE_INFLUX_TOKEN=" + influxToken}, "run", "-config", file, "-roles", roles)
		}
		return err
	}
	if p.lay.apart {
		for _, r := range []string{"ingest", "rules", "api"} {
			if err := central(r, r, filepath.Join(p.dir, r+"-data")); err != nil {
				return err
			}
		}
	} else if err := central("centre", "ingest,rules,api", p.data("hub")); err != nil {
		return err
	}
	for _, g := range p.gateways {
		file, err := p.writeConfig(g.id, p.data(g.id), false)
		if err != nil {
			return err
		}
		env := []string{token, "FAULTLINE_CHAOS_PASSWORD=" + password, "FAULTLINE_TEST_CLOCK=" + p.clockFile(g.id)}
		p.run(g.id, true, env, "run", "-config", file, "-roles", "gateway", "-gateway", g.id)
	}
	return nil
}

func (p *plant) clockFile(gateway string) string { return filepath.Join(p.dir, gateway+".clock") }

func (p *plant) composeHub(host, token string) error {
	var err error
	uplink := func(address string) error { // as gateways see it
		if p.net == nil {
			if p.proxy, err = newProxy(address); err != nil {
				return err
			}
			address = p.proxy.address()
		}
		p.at.hub = "nats://" + address
		return nil
	}
	switch p.lay.nodes {
	case 0:
		p.at.hubListen = free(host)
		return uplink(p.at.hubListen)
	case 1:
		address := free(host)
		p.at.centreHub = "nats://" + address
		p.run("hub", false, []string{token}, "chaos", "-part", "hub", "-dir", p.data("hub"), "-listen", address)
		return uplink(address)
	}
	var clients, routes []string
	for range p.lay.nodes {
		clients, routes = append(clients, free(host)), append(routes, free("127.0.0.1"))
	}
	for i := range p.lay.nodes {
		name := fmt.Sprintf("node-%d", i+1)
		p.run(name, false, []string{token}, "chaos", "-part", "hub", "-name", name, "-dir", filepath.Join(p.dir, name+"-data"),
			"-listen", clients[i], "-cluster", routes[i], "-routes", strings.Join(routes, ","))
	}
	p.at.centreHub = "nats://" + strings.Join(clients, ",nats://")
	p.at.hub = p.at.centreHub
	return nil
}

func (p *plant) composeInflux() {
	address := free("127.0.0.1")
	p.at.influx = "http://" + address
	data := p.data("influx")
	if p.lay.influxd == "" {
		p.run("influx", false, []string{"FAULTLINE_INFLUX_TOKEN=" + influxToken}, "chaos", "-part", "influx", "-dir", data, "-listen", address)
		return
	}
	file := filepath.Join(p.dir, "influxd.conf")
	text := fmt.Sprintf("reporting-disabled = true\nbind-address = %q\n[meta]\n  dir = %q\n[data]\n  dir = %q\n  wal-dir = %q\n  index-version = \"tsi1\"\n[http]\n  bind-address = %q\n  log-enabled = false\n[monitor]\n  store-enabled = false\n",
		free("127.0.0.1"), filepath.Join(data, "meta"), filepath.Join(data, "data"), filepath.Join(data, "wal"), address)
	_ = os.WriteFile(file, []byte(text), 0o600) // a server without it does not start, which is said
	p.add(&part{name: "influx", command: []string{p.lay.influxd, "run", "-config", file}, log: filepath.Join(p.dir, "logs", "influx.log")})
}

func (p *plant) add(q *part) {
	p.parts[q.name] = q
	p.order = append(p.order, q.name)
}

// run adds a process of our own program.
func (p *plant) run(name string, atSite bool, env []string, args ...string) {
	start := func(c *exec.Cmd) error { return c.Start() }
	if atSite && p.net != nil {
		start = func(c *exec.Cmd) error { return p.net.inside(c.Start) }
	}
	p.add(&part{name: name, command: append(slices.Clone(p.opt.Program), args...), launch: start, env: append(slices.Clone(p.opt.Env), env...), log: filepath.Join(p.dir, "logs", name+".log")})
}

// wait waits until every device is read and the centre answers.
func (p *plant) wait(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not all of it worked within %s", most))
	defer cancel()
	var missing string
	for ctx.Err() == nil {
		if missing = p.unread(); missing == "" {
			res, err := http.Get("http://" + p.at.api + "/readyz")
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return nil
				}
			}
			missing = "the centre"
		}
		pause(ctx, 200*time.Millisecond)
	}
	var logs strings.Builder
	for _, name := range p.order {
		fmt.Fprintf(&logs, "\n--- %s\n%s", name, tail(p.parts[name].log, 6))
	}
	return fmt.Errorf("%w: still waiting for %s%s", context.Cause(ctx), missing, logs.String())
}

func (p *plant) unread() string {
	for _, d := range p.devices {
		if d.proven() == 0 {
			return d.position
		}
	}
	return ""
}

// stop ends all parts, in the order of the way of the data, and gives back what was built.
func (p *plant) stop() {
	p.offline()
	for _, name := range slices.Backward(p.order) {
		p.parts[name].end()
	}
	if p.proxy != nil {
		p.proxy.close()
	}
	for _, d := range p.disks {
		d.close()
	}
	if p.net != nil {
		p.net.close()
	}
	if p.pgDir != "" {
		_ = os.RemoveAll(p.pgDir)
	}
}

// free finds an address that nobody listens on.
func free(host string) string {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return net.JoinHostPort(host, "0")
	}
	defer l.Close()
	return l.Addr().String()
}
