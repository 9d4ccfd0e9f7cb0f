package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// kind is a kind of fault. A fault is injected, lasts, and is healed again; inject returns what it did.
type kind struct {
	name  string
	about string
	lane  lane
	// possible says why it cannot be injected into this installation, or "".
	possible func(l layout, can *abilities) string
	inject   func(ctx context.Context, p *plant, r *rand.Rand) (string, error)
}

// lane is where a fault is. Faults of one lane never overlap, those of two often do.
type lane int

const (
	edge lane = iota
	centre
)

// abilities say what this machine cannot do; nil means that it can.
type abilities struct {
	network, disk, power, postgres error
}

func probe(ctx context.Context, dir string) *abilities {
	a := &abilities{}
	if n, err := newNetwork(ctx); err != nil {
		a.network = err
	} else {
		n.close()
	}
	if d, err := newDisk(ctx, dir, "disk-test"); err != nil {
		a.disk, a.power = err, err
	} else {
		d.close()
		a.power = tryPower(ctx, dir)
	}
	_, a.postgres = findPostgres()
	return a
}

// kinds are all there are.
var kinds = []kind{
	{"kill-gateway", "kill -9 of a gateway", edge, always, killOne("gw-1", "gw-2")},
	{"kill-hub", "kill -9 of the hub", centre, onlyWith(one), killOne("hub")},
	{"kill-ingest", "kill -9 of ingest", centre, onlyWith(apart), killOne("ingest")},
	{"kill-rules", "kill -9 of rules", centre, onlyWith(apart), killOne("rules")},
	{"kill-api", "kill -9 of the API", centre, onlyWith(apart), killOne("api")},
	{"kill-influx", "kill -9 of InfluxDB", centre, onlyWith(apart), killOne("influx")},
	{"kill-centre", "kill -9 of ingest, rules and API in one process", centre, onlyWith(whole), killOne("centre")},
	{"kill-node", "kill -9 of the nodes of a NATS cluster in turn", centre, onlyWith(cluster), killNodes},
	{"cut", "the network between gateways and hub is cut", edge, always, cut},
	{"loss", "30 % of the packets between gateways and hub are lost", edge, packets, loss},
	{"stop-influx", "InfluxDB is stopped", centre, onlyWith(apart), stopInflux},
	{"hang-influx", "InfluxDB takes connections and does not answer", centre, onlyWith(apart), hangInflux},
	{"disk-edge", "the disk of a gateway is full", edge, onDisk(always), fillDisk("gw-1", "gw-2")},
	{"disk-hub", "the disk of the hub is full", centre, onDisk(onlyWith(oneDisk)), fillHub},
	{"power-edge", "loss of power at a gateway: unsynced writes are gone", edge, onPower(always), losePower("gw-1", "gw-2")},
	{"power-hub", "loss of power at the hub", centre, onPower(onlyWith(oneDisk)), powerHub},
	{"power-influx", "loss of power at InfluxDB", centre, onPower(onlyWith(engine)), losePower("influx")},
	{"limit", "the hub is away until the disk limit of the gateways has dropped frames", edge, onlyWith(small), reachLimit},
	{"clock", "a gateway's clock jumps: backwards, forwards, to 1970", edge, always, jump},
}

type condition struct {
	holds func(layout) bool
	why   string
}

var (
	one     = condition{func(l layout) bool { return l.nodes == 1 }, "the hub is not a single process of its own"}
	oneDisk = condition{func(l layout) bool { return l.nodes < 2 }, "a cluster goes on without a node, so its disk is no fault of the hub's"}
	apart   = condition{func(l layout) bool { return l.apart }, "the centre is one process"}
	engine  = condition{func(l layout) bool { return l.apart && l.influxd == "" }, "InfluxDB is not our engine in a process of its own; InfluxDB 1.8 as released does not open an index whose manifest lost its power"}
	whole   = condition{func(l layout) bool { return !l.apart }, "the centre's roles are processes of their own"}
	small   = condition{func(l layout) bool { return l.limit }, "it has an installation of its own, with a small limit"}
	cluster = condition{func(l layout) bool { return l.nodes > 1 }, "there is no cluster"}
)

func always(layout, *abilities) string { return "" }

func onlyWith(c condition) func(layout, *abilities) string {
	return func(l layout, _ *abilities) string {
		if c.holds(l) {
			return ""
		}
		return c.why
	}
}

func packets(_ layout, can *abilities) string {
	if can.network != nil {
		return can.network.Error()
	}
	return ""
}

func onDisk(f func(layout, *abilities) string) func(layout, *abilities) string {
	return func(l layout, can *abilities) string {
		if can.disk != nil {
			return can.disk.Error()
		}
		return f(l, can)
	}
}

func onPower(f func(layout, *abilities) string) func(layout, *abilities) string {
	return func(l layout, can *abilities) string {
		if can.power != nil {
			return can.power.Error()
		}
		return f(l, can)
	}
}

// chosen picks the kinds that the words of -only name: whole names, or their first part, such as kill.
func chosen(only []string) ([]kind, error) {
	if len(only) == 0 {
		return kinds, nil
	}
	var out []kind
	for _, w := range only {
		found := false
		for _, k := range kinds {
			if group, _, _ := strings.Cut(k.name, "-"); k.name != w && group != w {
				continue
			}
			found = true
			if !slices.ContainsFunc(out, func(o kind) bool { return o.name == k.name }) {
				out = append(out, k)
			}
		}
		if !found {
			names := make([]string, len(kinds))
			for i, k := range kinds {
				names[i] = k.name
			}
			return nil, fmt.Errorf("no kind of fault %q: use %s, or their first words", w, strings.Join(names, ", "))
		}
	}
	return out, nil
}

func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

func pick(r *rand.Rand, names []string) string { return names[r.IntN(len(names))] }

func killOne(names ...string) func(context.Context, *plant, *rand.Rand) (string, error) {
	return func(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
		name, off := pick(r, names), between(r, 0, 6*time.Second)
		if r.IntN(6) == 0 {
			off = between(r, 10*time.Second, 25*time.Second)
		}
		p.parts[name].hold(os.Kill)
		pause(ctx, off)
		p.parts[name].release()
		return fmt.Sprintf("%s, away for %s", name, off.Round(100*time.Millisecond)), nil
	}
}

func killNodes(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	first := r.IntN(p.lay.nodes)
	for i := range p.lay.nodes {
		n := p.parts[fmt.Sprintf("node-%d", (first+i)%p.lay.nodes+1)]
		n.hold(os.Kill)
		pause(ctx, between(r, time.Second, 6*time.Second))
		n.release()
		pause(ctx, between(r, 3*time.Second, 8*time.Second)) // it catches up meanwhile
	}
	return "each in turn", nil
}

func cut(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	off := between(r, 2*time.Second, 20*time.Second)
	if r.IntN(3) == 0 {
		off = between(r, 65*time.Second, 100*time.Second) // what comes then is late to the rules
	}
	off = min(off, p.opt.For/4)
	p.cut(true)
	defer p.cut(false)
	pause(ctx, off)
	return off.Round(100 * time.Millisecond).String(), nil
}

// reachLimit cuts the network until the gateways have read about half as much again as they may keep.
func reachLimit(ctx context.Context, p *plant, _ *rand.Rand) (string, error) {
	const frame = 1000 // bytes of a reading in the stream, about
	want := limitBytes / frame * 3 / 2
	served := func() (least int) {
		n := map[string]int{}
		for _, d := range p.devices {
			n[d.gateway] += d.proven()
		}
		return min(n[p.gateways[0].id], n[p.gateways[1].id])
	}
	began, before := time.Now(), served()
	p.cut(true)
	defer p.cut(false)
	for ctx.Err() == nil && served()-before < want && time.Since(began) < limitMost {
		pause(ctx, time.Second)
	}
	return fmt.Sprintf("away for %s", time.Since(began).Round(time.Second)), nil
}

const (
	limitBytes = 16 << 20
	limitMost  = 8 * time.Minute
)

// cut stops every packet between gateways and hub, or lets them pass again.
func (p *plant) cut(off bool) {
	switch {
	case p.net == nil:
		p.proxy.cut(off)
	case off:
		p.net.loss.Store(1000)
	default:
		p.net.loss.Store(0)
	}
}

func loss(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	for_ := min(between(r, 15*time.Second, 40*time.Second), p.opt.For/4)
	passed, dropped := p.net.passed.Load(), p.net.dropped.Load()
	p.net.loss.Store(300)
	defer p.net.loss.Store(0)
	pause(ctx, for_)
	passed, dropped = p.net.passed.Load()-passed, p.net.dropped.Load()-dropped
	return fmt.Sprintf("for %s: %d of %d packets", for_.Round(time.Second), dropped, passed+dropped), nil
}

func stopInflux(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	off := min(between(r, 5*time.Second, 40*time.Second), p.opt.For/4)
	p.parts["influx"].hold(os.Interrupt)
	pause(ctx, off)
	p.parts["influx"].release()
	return off.Round(100 * time.Millisecond).String(), nil
}

func hangInflux(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	off := min(between(r, 5*time.Second, 30*time.Second), p.opt.For/4)
	p.parts["influx"].signal(sigStop)
	pause(ctx, off)
	p.parts["influx"].signal(sigCont)
	return off.Round(100 * time.Millisecond).String(), nil
}

// hubPart is the process that the hub is in.
func (p *plant) hubPart() string {
	if p.lay.nodes == 0 {
		return "centre"
	}
	return "hub"
}

func fillDisk(names ...string) func(context.Context, *plant, *rand.Rand) (string, error) {
	return func(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
		name := pick(r, names)
		return p.fill(ctx, p.disks[name], name, r)
	}
}

func fillHub(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	return p.fill(ctx, p.disks["hub"], p.hubPart(), r)
}

// fill leaves a part without space for a while. Its process ends with it and is started, in vain, until
// there is space again.
func (p *plant) fill(ctx context.Context, d *disk, name string, r *rand.Rand) (string, error) {
	for_ := between(r, 5*time.Second, 20*time.Second)
	before, _ := p.parts[name].ended()
	if err := d.fill(); err != nil {
		return "", err
	}
	pause(ctx, for_)
	if err := d.free(); err != nil {
		return "", err
	}
	after, _ := p.parts[name].ended()
	return fmt.Sprintf("%s, full for %s, %d starts", name, for_.Round(100*time.Millisecond), after-before), nil
}

func losePower(names ...string) func(context.Context, *plant, *rand.Rand) (string, error) {
	return func(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
		name := pick(r, names)
		return p.losePower(ctx, p.disks[name], name, r)
	}
}

func powerHub(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	return p.losePower(ctx, p.disks["hub"], p.hubPart(), r)
}

// losePower drops what the part's disk has not synced, in the middle of its work, and ends it.
func (p *plant) losePower(ctx context.Context, d *disk, name string, r *rand.Rand) (string, error) {
	off := between(r, 500*time.Millisecond, 8*time.Second)
	if err := d.powerOff(); err != nil {
		return "", err
	}
	p.parts[name].hold(os.Kill)
	defer p.parts[name].release()
	pause(ctx, off)
	return fmt.Sprintf("%s, off for %s", name, off.Round(100*time.Millisecond)), d.powerOn(context.WithoutCancel(ctx))
}

// jump sets a gateway's clock wrong for a while, which is two jumps.
func jump(ctx context.Context, p *plant, r *rand.Rand) (string, error) {
	g := p.gateways[r.IntN(len(p.gateways))].id
	by := []string{"-1h", "10m", "-90s", "1970", "-30s", "45s"}[r.IntN(6)]
	for_ := min(between(r, 3*time.Second, 20*time.Second), p.opt.For/4)
	if err := os.WriteFile(p.clockFile(g), []byte(by), 0o600); err != nil {
		return "", err
	}
	pause(ctx, for_)
	return fmt.Sprintf("%s by %s for %s", g, by, for_.Round(100*time.Millisecond)), os.WriteFile(p.clockFile(g), []byte("0s"), 0o600)
}

// Kinds names the kinds of fault.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}
