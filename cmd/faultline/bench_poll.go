package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// pollResult is what bench poll measures. Values, requests and lateness are counted at the equipment.
type pollResult struct {
	Devices        int     `json:"devices"`
	Dead           int     `json:"dead"`
	Values         int     `json:"values"`
	Blocks         int     `json:"blocks"`
	Connections    int     `json:"connections"`
	PeriodS        float64 `json:"period_s"`
	LatencyS       float64 `json:"latency_s"`
	SecondsS       float64 `json:"seconds_s"`
	Points         uint64  `json:"points"` // values in answers that the equipment sent
	PointsPerS     float64 `json:"points_per_s"`
	Requests       uint64  `json:"requests"`
	Stored         uint64  `json:"stored_points"` // good samples committed at the edge meanwhile
	latenessReport         // of live devices
	CPUS           float64 `json:"cpu_s"` // of the gateway with its stream, not of the equipment
	CPUPerMillion  float64 `json:"cpu_s_per_million_points"`
	MemoryMB       float64 `json:"memory_peak_mb"`
	AllocPerPoll   float64 `json:"alloc_bytes_per_poll"` // by the same process, each second's heartbeat and all else included
	Collections    uint32  `json:"gc_cycles"`
	Commits        uint64  `json:"commits"`
	StreamBytes    uint64  `json:"stream_bytes"`

	Compare *comparison `json:"compare_dead,omitempty"`
}

// comparison is the lateness of the devices that live, with and without dead ones beside them: windows of one
// run take turns, so that whatever else runs on the machine is in both. The control, without dead ones too, shows how far two
// windows of a run differ that differ in nothing.
type comparison struct {
	Dead    int            `json:"dead"`
	Windows int            `json:"windows"` // of each
	Control latenessReport `json:"control"`
	Without latenessReport `json:"without"`
	With    latenessReport `json:"with"`
	P99     float64        `json:"p99_ratio"`         // with to without: the middle one of the turns'
	Same    float64        `json:"control_p99_ratio"` // without to control: the same
	P99s    []float64      `json:"p99_s"`             // of each window: control, without and with in turns
	Costs   [2]windowCost  `json:"costs"`             // of the gateway's process, without and with
}

// windowCost is what the gateway's process spent in windows.
type windowCost struct {
	SecondsS    float64 `json:"seconds_s"`
	CPUS        float64 `json:"cpu_s"`
	AllocatedMB float64 `json:"allocated_mb"`
	Collections uint32  `json:"gc_cycles"`
}

// benchPoll polls simulated equipment in another process and stores every value durably.
func benchPoll(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	devices := fs.Int("devices", 200, "how many, each with an address of its own")
	values := fs.Int("values", 50, "float32 values of each")
	blocks := fs.Int("blocks", 1, "scattered blocks that they are in")
	period := fs.Duration("period", time.Second, "between polls")
	latency := fs.Duration("latency", 0, "that a device takes for each answer")
	dead := fs.String("dead", "0%", "`SHARE` of devices that connect and never answer")
	compare := fs.String("compare-dead", "0%", "`SHARE` of devices that die and live again in turns: the lateness of the others is compared")
	profileTo := fs.String("cpuprofile", "", "write a CPU profile of the gateway to this `FILE`")
	allocs := fs.String("allocprofile", "", "write what the gateway allocated to this `FILE`")
	connections := fs.Int("connections", 1, "to each device at once")
	pipeline := fs.Int("pipeline", 1, "requests on their way at once on each connection")
	dur := fs.Duration("for", 20*time.Second, "how long to measure")
	dir := fs.String("data", "", "`DIR` for the edge stream; default a temporary one")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	deadDevices, err := shareOf(*devices, "dead", *dead)
	if err != nil {
		return err
	}
	mortal, err := shareOf(*devices, "compare-dead", *compare)
	if err != nil {
		return err
	}
	if deadDevices > 0 && mortal > 0 || mortal == *devices {
		return errors.New("give dead or compare-dead, and leave some alive to compare")
	}
	if *devices < 1 || *devices > gateway.MaxDevices || *values < 1 || *values > 10_000 || *blocks < 1 || *blocks > *values || *period < 10*time.Millisecond {
		return fmt.Errorf("use 1 to %d devices, 1 to 10000 values, 1 to as many blocks, and a period of at least 10ms", gateway.MaxDevices)
	}
	b := pollBench{
		pollResult: pollResult{Devices: *devices, Dead: deadDevices, Values: *values, Blocks: *blocks, Connections: *connections, PeriodS: period.Seconds(), LatencyS: latency.Seconds()},
		period:     *period, dur: *dur, dir: *dir, mortal: mortal, profile: *profileTo, allocs: *allocs, pipeline: *pipeline,
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "faultline-bench-"); err != nil {
			return fmt.Errorf("make a directory for the stream: %w", err)
		}
		defer os.RemoveAll(b.dir)
	}
	if err := b.run(ctx, *latency); err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, b.pollResult)
	}
	b.show(out)
	return nil
}

type pollBench struct {
	pollResult
	period  time.Duration
	dur     time.Duration
	dir     string
	mortal  int
	profile string
	allocs  string

	pipeline int

	costs [2]windowCost // of windows without and with dead devices
}

// shareOf reads a share such as 10%.
func shareOf(n int, name, s string) (int, error) {
	share, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(share >= 0 && share <= 100) {
		return 0, fmt.Errorf("%s %q: write a share such as 10%%", name, s)
	}
	return int(share / 100 * float64(n)), nil
}

func (b *pollBench) run(ctx context.Context, latency time.Duration) (err error) {
	e, err := startEquipment(ctx, "-devices", strconv.Itoa(b.Devices), "-dead", strconv.Itoa(b.Dead), "-mortal", strconv.Itoa(b.mortal), "-latency", latency.String(), "-period", b.period.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.end()) }()
	cfg, set, err := b.plant(e.addresses)
	if err != nil {
		return err
	}
	srv, err := bus.StartServer(bus.ServerConfig{Dir: filepath.Join(b.dir, "edge"), Name: "bench"})
	if err != nil {
		return err
	}
	defer srv.Close()
	conn, err := srv.Connect("bench")
	if err != nil {
		return err
	}
	defer conn.Close()
	edge, err := conn.OpenEdge(ctx, bus.EdgeConfig{Site: cfg.Site, Gateway: cfg.ID, CommitInterval: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	publisher, err := edge.Publisher(ctx)
	if err != nil {
		return err
	}
	defer publisher.Close()
	g, err := gateway.New(gateway.Options{Config: cfg, Profiles: set, Sink: publisher})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(running) }()
	err = b.measure(ctx, e, g, publisher)
	stop()
	return errors.Join(err, <-ended)
}

// measure lets the gateway settle, then counts.
func (b *pollBench) measure(ctx context.Context, e *equipmentProcess, g *gateway.Gateway, p *bus.Publisher) error {
	if err := wait(ctx, 3*b.period+time.Second); err != nil {
		return err
	}
	if b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return fmt.Errorf("write a profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("write a profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	stored, stats := goodSamples(g), p.Stats()
	var memory, used runtime.MemStats
	runtime.ReadMemStats(&memory)
	if b.mortal > 0 {
		if err := b.takeTurns(ctx, e, g); err != nil {
			return err
		}
	} else if err := b.window(ctx, e, b.dur, 0); err != nil {
		return err
	}
	r, err := e.ask("report")
	if err != nil {
		return err
	}
	b.Stored = goodSamples(g) - stored
	after := p.Stats()
	b.Commits, b.StreamBytes = after.Batches-stats.Batches, after.Bytes-stats.Bytes
	b.Points, b.Requests, b.latenessReport = r.Points, r.Requests, r.Without
	b.PointsPerS = float64(b.Points) / b.SecondsS
	if b.mortal > 0 {
		b.Compare = &comparison{Dead: b.mortal, Windows: turns, Control: r.Control, Without: r.Without, With: r.With, P99s: r.P99s, Costs: b.costs}
		b.Compare.P99, b.Compare.Same = middleRatio(r.P99s, 2, 1), middleRatio(r.P99s, 1, 0)
	}
	if b.Points > 0 {
		b.CPUPerMillion = b.CPUS / float64(b.Points) * 1e6
	}
	b.MemoryMB = peakMemory() / (1 << 20)
	runtime.ReadMemStats(&used)
	b.Collections = used.NumGC - memory.NumGC
	if polls := float64(r.Control.Polls + r.Without.Polls + r.With.Polls); polls > 0 {
		b.AllocPerPoll = float64(used.TotalAlloc-memory.TotalAlloc) / polls
	}
	if b.allocs == "" {
		return nil
	}
	f, err := os.Create(b.allocs)
	if err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// middleRatio of one window of each turn to another of it: a turn that something else disturbed does not count.
func middleRatio(p99s []float64, one, other int) float64 {
	var ratios []float64
	for i := 0; i+windowsPerTurn <= len(p99s); i += windowsPerTurn {
		if p99s[i+one] > 0 && p99s[i+other] > 0 { // 0: no poll came
			ratios = append(ratios, p99s[i+one]/p99s[i+other])
		}
	}
	if len(ratios) == 0 {
		return 0
	}
	slices.Sort(ratios)
	return (ratios[(len(ratios)-1)/2] + ratios[len(ratios)/2]) / 2
}

// window counts for a while. What it costs goes to the windows without dead devices, 0, or with, 1.
func (b *pollBench) window(ctx context.Context, e *equipmentProcess, d time.Duration, with int) error {
	if _, err := e.ask("count"); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, cpu := time.Now(), cpuSeconds()
	if err := wait(ctx, d); err != nil {
		return err
	}
	_, err := e.ask("rest")
	took, spent := time.Since(began).Seconds(), cpuSeconds()-cpu
	runtime.ReadMemStats(&after)
	b.SecondsS += took
	b.CPUS += spent
	c := &b.costs[with]
	c.SecondsS += took
	c.CPUS += spent
	c.AllocatedMB += float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
	c.Collections += after.NumGC - before.NumGC
	return err
}

// turns is how often devices die in a comparison. Each has a window as control, one without dead devices and one with.
const (
	turns          = 6
	windowsPerTurn = 3
)

// takeTurns counts with and without dead devices in turns. The moment in which they die is in it; that in which
// they live again is not: it waits until all are reached.
func (b *pollBench) takeTurns(ctx context.Context, e *equipmentProcess, g *gateway.Gateway) error {
	for range turns {
		for range windowsPerTurn - 1 {
			if err := b.window(ctx, e, b.dur/(windowsPerTurn*turns), 0); err != nil {
				return err
			}
		}
		if _, err := e.ask("die"); err != nil {
			return err
		}
		if err := b.window(ctx, e, b.dur/(windowsPerTurn*turns), 1); err != nil {
			return err
		}
		if _, err := e.ask("live"); err != nil {
			return err
		}
		for slices.ContainsFunc(g.Health(), func(h gateway.DeviceHealth) bool { return !h.Reachable }) {
			if err := wait(ctx, b.period/4); err != nil {
				return err
			}
		}
	}
	return nil
}

func inMS(s []float64) []float64 {
	out := make([]float64, len(s))
	for i := range s {
		out[i] = 1000 * s[i]
	}
	return out
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func goodSamples(g *gateway.Gateway) (n uint64) {
	for _, h := range g.Health() {
		n += h.Good
	}
	return n
}

// blockGap lies between two blocks: further than any plan joins.
const blockGap = 150

// plant is a gateway's configuration with one device for each address.
func (b *pollBench) plant(addresses []string) (gateway.Config, *profile.Set, error) {
	p := &profile.Profile{Name: "bench", Version: "1", Kind: "bench_device", Source: "faultline bench poll"}
	per := (b.Values + b.Blocks - 1) / b.Blocks
	for i := range b.Values {
		address := 2*i + i/per*blockGap
		if address > 65000 {
			return gateway.Config{}, nil, errors.New("so many blocks do not fit into the address space")
		}
		p.Points = append(p.Points, profile.Point{Name: fmt.Sprintf("v%d", i), Type: faultline.TypeFloat, Register: &profile.Register{Table: profile.Holding, Address: uint16(address), Data: profile.Float32}})
	}
	set := new(profile.Set)
	if err := set.Add(p); err != nil {
		return gateway.Config{}, nil, err
	}
	c := gateway.Config{ID: "bench", Site: "bench"}
	for i, a := range addresses {
		c.Devices = append(c.Devices, gateway.Device{Position: fmt.Sprintf("D-%d", i), Profile: "bench", Address: "tcp://" + a, Period: b.period, Connections: b.Connections, Pipeline: b.pipeline})
	}
	return c, set, nil
}
