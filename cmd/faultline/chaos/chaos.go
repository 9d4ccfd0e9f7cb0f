// Package chaos breaks an installation while it works, and accounts for every sample afterwards. It starts
// real processes (gateways, hub, ingest, rules, api, InfluxDB, PostgreSQL) on equipment of its own, injects
// faults at random moments, lets everything recover, and compares what the equipment knows with what
// InfluxDB, the ledger, the alarms and the tickets say. docs/chaos.md says what is counted, and why no loss
// can hide.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// ErrBroken says that something was lost, doubled or made up, or that alarms or tickets differ.
var ErrBroken = errors.New("the promise does not hold")

// Options of a run.
type Options struct {
	Program []string // command line of faultline, to which "run …" is added
	Env     []string // for it, beside the environment
	For     time.Duration
	Samples int // at least so many are sent, even if that takes longer
	Only    []string
	Whole   bool // the centre as one process on SQLite, also where PostgreSQL is there
	None    bool // inject nothing: the reference
	Seed    uint64
	Dir     string // for data and logs; made by the caller
	Influxd string // program of a real InfluxDB 1.8 for the cluster; "": looked for
	Modbus  int    // devices per gateway
	MQTT    int
	Period  time.Duration // of a reading
	Version string
	Out     io.Writer
}

func (o *Options) defaults() {
	if o.Modbus == 0 && o.MQTT == 0 {
		o.Modbus, o.MQTT = 9, 3
	}
	if o.Period == 0 {
		o.Period = 500 * time.Millisecond
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
}

// run is one run.
type run struct {
	opt   Options
	can   *abilities
	start time.Time
	say   func(format string, args ...any)

	mu     sync.Mutex
	report Report
	counts map[string]int
}

// Run breaks an installation and gives the account. The error is ErrBroken if the account is not
// balanced; any other says that there is none.
func Run(ctx context.Context, opt Options) (*Report, error) {
	opt.defaults()
	var mu sync.Mutex
	r := &run{opt: opt, start: time.Now(), counts: map[string]int{}}
	r.say = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(opt.Out, "%7.1fs  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
	}
	want, err := chosen(opt.Only)
	if err != nil {
		return nil, err
	}
	if opt.None {
		want = nil
	}
	r.can = probe(ctx, opt.Dir)
	r.report = Report{Seed: opt.Seed, Version: opt.Version, Started: r.start.UTC(), How: r.how()}
	stages := r.stages(want)
	r.impossible(want, stages)
	if len(want) > 0 && len(stages) == 0 {
		return nil, fmt.Errorf("none of the faults asked for is possible on this machine: %s", r.report.NotPossible[0].Why)
	}
	for i, s := range stages {
		if err := r.stage(ctx, s, want, rand.New(rand.NewPCG(opt.Seed, uint64(i)))); err != nil {
			return nil, fmt.Errorf("%s: %w", s.lay.name, err)
		}
	}
	return r.finish()
}

// stage of a run: an installation, and its share of the time and the samples.
type stage struct {
	lay     layout
	for_    time.Duration
	samples int
}

// stages are the installations that the faults need.
func (r *run) stages(want []kind) []stage {
	apart := r.can.postgres == nil && !r.opt.Whole
	first := layout{name: "one hub", nodes: 1, apart: true}
	if !apart {
		first = layout{name: "one hub in the centre's process", nodes: 0}
	}
	three := layout{name: "a cluster of three nodes", nodes: 3, apart: apart, influxd: r.influxd()}
	needed := func(l layout) bool {
		return slices.ContainsFunc(want, func(k kind) bool {
			return k.possible(l, r.can) == "" && (l.nodes < 2 || k.name == "kill-node") && (!l.limit || k.name == "limit")
		})
	}
	one, many := needed(first) || r.opt.None, needed(three)
	little := first
	little.name, little.limit = "a small disk limit at the edge", true
	var last []stage
	if needed(little) {
		last = []stage{{lay: little}}
	}
	whole := stage{for_: r.opt.For, samples: r.opt.Samples}
	switch {
	case one && many:
		return append([]stage{{first, whole.for_ * 3 / 4, whole.samples * 3 / 4}, {three, whole.for_ / 4, whole.samples / 4}}, last...)
	case one:
		whole.lay = first
	case many:
		whole.lay = three
	default:
		return last
	}
	return append([]stage{whole}, last...)
}

func (r *run) influxd() string {
	if r.opt.Influxd != "" {
		return r.opt.Influxd
	}
	p, _ := exec.LookPath("influxd")
	return p
}

// how says by what means faults are injected here.
func (r *run) how() map[string]string {
	how := map[string]string{"clock": "an offset that the gateway adds to its wall clock, read from a file (FAULTLINE_TEST_CLOCK); the monotonic clock is the machine's"}
	if r.can.network == nil {
		how["network"] = "a router of our own between two TUN devices in two network namespaces, which drops IP packets"
	} else {
		how["network"] = "a TCP proxy that ends connections"
	}
	if r.can.disk == nil {
		how["disk"] = fmt.Sprintf("ext4 file systems of %d MiB in a file, filled until nothing can be allocated", diskSize>>20)
	}
	if r.can.power == nil {
		how["power"] = "the shutdown ioctl of such a file system (EXT4_IOC_SHUTDOWN, no log flush), then kill -9 and a new mount; shown on a test file system to lose unsynced bytes and no synced ones"
	}
	return how
}

// impossible says aloud which faults cannot be injected here.
func (r *run) impossible(want []kind, stages []stage) {
	for _, k := range want {
		why := ""
		for _, s := range stages {
			if why = k.possible(s.lay, r.can); why == "" {
				break
			}
		}
		if why == "" && len(stages) > 0 {
			continue
		}
		if why == "" {
			why = k.possible(layout{nodes: 1, apart: true}, r.can)
		}
		r.report.NotPossible = append(r.report.NotPossible, NotPossible{k.name, why})
		r.say("%-12s not possible: %s", k.name, why)
	}
}

// stage runs one installation from its start to its account.
func (r *run) stage(ctx context.Context, s stage, want []kind, rng *rand.Rand) error {
	began := time.Now()
	var usable []kind
	for _, k := range want {
		if k.possible(s.lay, r.can) == "" && s.lay.limit == (k.name == "limit") {
			usable = append(usable, k)
		}
	}
	opt := r.opt
	opt.For = s.for_
	if s.lay.limit {
		opt.Period = min(opt.Period, 100*time.Millisecond)
		opt.Modbus = max(opt.Modbus, 60)
	}
	dir := filepath.Join(r.opt.Dir, fmt.Sprintf("stage-%d", len(r.report.Stages)+1))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r.say("%s: starting", s.lay.name)
	p, err := startPlant(ctx, &opt, s.lay, r.can, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	r.say("%s: %d devices are read through %d gateways; faults for %s", s.lay.name, len(p.devices), len(p.gateways), s.for_.Round(time.Second))
	if s.lay.limit {
		err = r.once(ctx, p, usable[0], rng)
	} else {
		err = r.breakIt(ctx, p, s, usable, rng)
	}
	if err != nil {
		return err
	}
	r.say("%s: no more faults; waiting until everything has arrived", s.lay.name)
	if err := r.settle(ctx, p); err != nil {
		return err
	}
	return r.judge(ctx, p, s, time.Since(began))
}

// breakIt injects faults, in two lanes that overlap, until the time is over and enough was sent.
func (r *run) breakIt(ctx context.Context, p *plant, s stage, usable []kind, rng *rand.Rand) error {
	lanes, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for _, l := range []lane{edge, centre} {
		var mine []kind
		for _, k := range usable {
			if k.lane == l {
				mine = append(mine, k)
			}
		}
		if len(mine) == 0 {
			continue
		}
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		wg.Go(func() {
			if err := r.faults(lanes, p, mine, own); err != nil {
				stop(err)
			}
		})
	}
	err := r.watch(lanes, p, s)
	stop(nil)
	wg.Wait()
	if cause := context.Cause(lanes); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// watch waits for the end of the stage and says how far it is.
func (r *run) watch(ctx context.Context, p *plant, s stage) error {
	began := time.Now()
	for last := time.Now(); ; {
		sent := p.sent()
		if time.Since(began) >= s.for_ && sent >= s.samples {
			return nil
		}
		if time.Since(last) >= 15*time.Second {
			last = time.Now()
			r.mu.Lock()
			n := len(r.report.Log)
			r.mu.Unlock()
			r.say("… %d samples sent, %d faults, %s to go", sent, n, max(0, s.for_-time.Since(began)).Round(time.Second))
		}
		if pause(ctx, time.Second); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// faults injects the kinds of a lane, each once in a random order, again and again.
func (r *run) faults(ctx context.Context, p *plant, mine []kind, rng *rand.Rand) error {
	for {
		for _, i := range rng.Perm(len(mine)) {
			if pause(ctx, between(rng, 3*time.Second, 12*time.Second)); ctx.Err() != nil {
				return nil
			}
			if err := r.once(ctx, p, mine[i], rng); err != nil {
				return err
			}
		}
	}
}

// once injects one fault, until it is healed.
func (r *run) once(ctx context.Context, p *plant, k kind, rng *rand.Rand) error {
	began := time.Now()
	what, err := k.inject(ctx, p, rng)
	if err != nil {
		return fmt.Errorf("inject %s: %w", k.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[k.name]++
	r.report.Log = append(r.report.Log, Injection{At: began.UTC(), Kind: k.name, What: what, Seconds: time.Since(began).Seconds()})
	r.say("%-12s %s", k.name, what)
	return nil
}

// sent is how many samples are proven to be taken so far.
func (p *plant) sent() (n int) {
	for _, d := range p.devices {
		n += d.proven()
	}
	return n * samplesPerReading
}
