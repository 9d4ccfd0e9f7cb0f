package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/faultline-iot/faultline/gateway"
)

// latencyResult is what bench latency measures. Its times are from a register's change at the equipment until a
// ticket about it was read over the API; "after the poll" they begin when the device answered with the new value.
type latencyResult struct {
	Changes   int     `json:"changes"`
	PeriodS   float64 `json:"period_s"`
	TargetS   float64 `json:"target_p99_s"` // the period and latencyOver
	Met       bool    `json:"met"`
	P50S      float64 `json:"p50_s"`
	P99S      float64 `json:"p99_s"`
	MaxS      float64 `json:"max_s"`
	PollP50S  float64 `json:"after_poll_p50_s"`
	PollP99S  float64 `json:"after_poll_p99_s"`
	PollMaxS  float64 `json:"after_poll_max_s"`
	Samples   float64 `json:"samples_per_s"` // of the other devices, counted at the equipment
	Frames    float64 `json:"frames_per_s"`  // that the hub was given meanwhile, of all
	Rules     int     `json:"rules"`         // that judge them, on single points
	SecondsS  float64 `json:"seconds_s"`
	Tickets   int     `json:"tickets"`
	AskEveryS float64 `json:"ask_every_s"` // the API is asked for the ticket this often
}

const (
	latencyOver     = 200 * time.Millisecond // of the target, over the poll period
	latencyAskEvery = 3 * time.Millisecond
	latencyPatience = 30 * time.Second // for one ticket
	latencyValues   = 50               // of a device of the load
)

// benchLatency runs a site's gateway and a centre, each with the roles and parts that they have in an
// installation, over TCP, and changes one register after another.
func benchLatency(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	samples := fs.Int("samples", 10_000, "a second of other devices, which rules judge too")
	changes := fs.Int("changes", 200, "of a register, one after another, each of a device of its own")
	period := fs.Duration("period", time.Second, "between polls")
	dir := fs.String("data", "", "`DIR` for streams and databases; default a temporary one")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	load := int(float64(*samples) * period.Seconds() / latencyValues)
	if *samples < 0 || *changes < 1 || *period < 10*time.Millisecond || load+*changes > gateway.MaxDevices {
		return fmt.Errorf("use at least 1 change and a period of at least 10ms, with at most %d devices in all: one for each change and each %d values of the load", gateway.MaxDevices, latencyValues)
	}
	b := latencyBench{
		latencyResult: latencyResult{Changes: *changes, PeriodS: period.Seconds(), TargetS: (*period + latencyOver).Seconds(), Rules: load*latencyValues + *changes, AskEveryS: latencyAskEvery.Seconds()},
		period:        *period, load: load, dir: *dir,
	}
	if b.dir == "" {
		var err error
		if b.dir, err = os.MkdirTemp("", "faultline-bench-"); err != nil {
			return fmt.Errorf("make a data directory: %w", err)
		}
		defer os.RemoveAll(b.dir)
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, b.latencyResult)
	}
	b.show(out)
	return nil
}

type latencyBench struct {
	latencyResult
	period time.Duration
	load   int // devices
	dir    string

	probes []*latencyProbe
	centre *node
}

func (b *latencyBench) show(out io.Writer) {
	ms := func(s float64) time.Duration {
		return time.Duration(s * float64(time.Second)).Round(100 * time.Microsecond)
	}
	fmt.Fprintf(out, "%d changes of a register, polled each %v, beside %.0f samples/s of other devices; %d rules\n", b.Changes, b.period, b.Samples, b.Rules)
	fmt.Fprintf(out, "  until the ticket was read over the API: p50 %v, p99 %v, at most %v; target: p99 under %v\n", ms(b.P50S), ms(b.P99S), ms(b.MaxS), ms(b.TargetS))
	fmt.Fprintf(out, "  of this after the poll that read it: p50 %v, p99 %v, at most %v\n", ms(b.PollP50S), ms(b.PollP99S), ms(b.PollMaxS))
	fmt.Fprintf(out, "  %d tickets; the hub was given %.0f frames/s over %.1f s\n", b.Tickets, b.Frames, b.SecondsS)
}

// latencyProbe is a device with one value, which changes when it is told to.
type latencyProbe struct {
	mu      sync.Mutex
	value   float32
	changed time.Time
	read    time.Time // when it first answered with the new value
}

const (
	probeRest  = 1
	probeLimit = 100
	probeFault = 200
)

func (p *latencyProbe) change() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.value, p.changed = probeFault, time.Now()
}

// answer gives the value for a poll.
func (p *latencyProbe) answer() float32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.value == probeFault && p.read.IsZero() {
		p.read = time.Now()
	}
	return p.value
}

// took gives the times from the change and from the poll until now.
func (p *latencyProbe) took(now time.Time) (all, afterPoll time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.changed), now.Sub(p.read)
}

func (b *latencyBench) run(ctx context.Context) (err error) {
	e := &equipmentProcess{} // of the load
	if b.load > 0 {
		if e, err = startEquipment(ctx, "-devices", strconv.Itoa(b.load), "-period", b.period.String()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.end()) }()
	}
	var probes []string
	for i := range b.Changes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("bench device %d: %w", i, err)
		}
		defer l.Close()
		p := &latencyProbe{value: probeRest}
		b.probes = append(b.probes, p)
		probes = append(probes, l.Addr().String())
		go (&benchDevice{value: p.answer}).listen(l) // ends with the process
	}
	centre, site, err := b.configure(e.addresses, probes)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log := slog.New(slog.DiscardHandler)
	if b.centre, err = startNode(ctx, centre, nodeOptions{Roles: []string{roleIngest, roleRules, roleAPI}, Log: log}, cancel); err != nil {
		return fmt.Errorf("the centre: %w", err)
	}
	defer func() { err = errors.Join(err, b.centre.stop()) }()
	edge, err := startNode(ctx, site, nodeOptions{Roles: []string{roleGateway}, Log: log}, cancel)
	if err != nil {
		return fmt.Errorf("the gateway: %w", err)
	}
	defer func() { err = errors.Join(err, edge.stop()) }()
	return b.measure(ctx, e)
}

// measure changes one register after another, each at a random moment of the period.
func (b *latencyBench) measure(ctx context.Context, e *equipmentProcess) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	if b.load > 0 {
		if _, err := e.ask("count"); err != nil {
			return err
		}
	}
	frames, err := b.delivered(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	var all, afterPoll []time.Duration
	for i, p := range b.probes {
		if err := wait(ctx, rand.N(b.period)); err != nil {
			return err
		}
		p.change()
		if err := b.await(ctx, probeName(i)); err != nil {
			return err
		}
		whole, later := p.took(time.Now())
		all, afterPoll = append(all, whole), append(afterPoll, later)
	}
	b.SecondsS = time.Since(began).Seconds()
	if b.load > 0 {
		if _, err := e.ask("rest"); err != nil {
			return err
		}
		r, err := e.ask("report")
		if err != nil {
			return err
		}
		b.Samples = float64(r.Points) / b.SecondsS
	}
	after, err := b.delivered(ctx)
	if err != nil {
		return err
	}
	b.Frames = float64(after-frames) / b.SecondsS
	slices.Sort(all)
	slices.Sort(afterPoll)
	b.P50S, b.P99S, b.MaxS = quantile(all, 0.5).Seconds(), quantile(all, 0.99).Seconds(), quantile(all, 1).Seconds()
	b.PollP50S, b.PollP99S, b.PollMaxS = quantile(afterPoll, 0.5).Seconds(), quantile(afterPoll, 0.99).Seconds(), quantile(afterPoll, 1).Seconds()
	b.Met = b.P99S < b.TargetS
	b.Tickets, err = b.tickets(ctx, "")
	return err
}

// settle waits until every device has delivered and a few polls more have passed.
func (b *latencyBench) settle(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; {
		n, err := b.delivered(ctx)
		if err != nil {
			return err
		}
		if n >= uint64(3*(b.load+b.Changes)) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the hub was given only %d frames in a minute", n)
		}
		if err := wait(ctx, b.period/4); err != nil {
			return err
		}
	}
}

// delivered counts the frames that the centre has dealt with.
func (b *latencyBench) delivered(ctx context.Context) (n uint64, err error) {
	rows, err := b.centre.store.LedgerRows(ctx)
	for i := range rows {
		n += rows[i].Delivered
	}
	return n, err
}

// await asks the API until it tells of a ticket at the position.
func (b *latencyBench) await(ctx context.Context, position string) error {
	for deadline := time.Now().Add(latencyPatience); ; {
		n, err := b.tickets(ctx, position)
		if err != nil || n > 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no ticket for %s within %v of the change", position, latencyPatience)
		}
		if err := wait(ctx, latencyAskEvery); err != nil {
			return err
		}
	}
}

// tickets counts those of a position, or of all.
func (b *latencyBench) tickets(ctx context.Context, position string) (int, error) {
	body, err := get(ctx, http.DefaultClient, b.centre.api.URL()+"/api/v1/tickets?limit=1&position="+url.QueryEscape(position))
	if err != nil {
		return 0, err
	}
	var page struct {
		Total int `json:"total"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return 0, fmt.Errorf("read the list of tickets: %w", err)
	}
	return page.Total, nil
}

func probeName(i int) string { return fmt.Sprintf("P-%d", i) }

// configure writes the files of an installation with a centre and a site, and reads them as run does. The
// probes are as critical as can be: tickets of P1 are each told alone, however many there are.
func (b *latencyBench) configure(load, probes []string) (centre, site *Config, err error) {
	hub, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	value := func(name string, address int) string {
		return fmt.Sprintf("  - {name: %s, type: float, register: {table: holding, address: %d, data: float32}}\n", name, address)
	}
	device := "name: bench-load\nversion: \"1\"\nkind: bench_load\nsource: faultline bench latency\npoints:\n"
	for i := range latencyValues {
		device += value(fmt.Sprintf("v%d", i), 2*i)
	}
	plant := "profiles: [load.profile.yaml, probe.profile.yaml]\nrules: {files: [bench.rules.yaml]}\ngateways:\n  - id: gw-bench\n    site: bench\n    devices:\n"
	for i, a := range load {
		plant += fmt.Sprintf("      - {position: L-%d, profile: bench-load, address: %q, period: %v}\n", i, "tcp://"+a, b.period)
	}
	assets := "assets:\n"
	for i, a := range probes {
		plant += fmt.Sprintf("      - {position: %s, profile: bench-probe, address: %q, period: %v}\n", probeName(i), "tcp://"+a, b.period)
		assets += fmt.Sprintf("  - {position: %s, criticality: A}\n", probeName(i))
	}
	plant += assets
	files := map[string]string{
		"load.profile.yaml":  device,
		"probe.profile.yaml": "name: bench-probe\nversion: \"1\"\nkind: bench_probe\nsource: faultline bench latency\npoints:\n" + value("value", 0),
		"bench.rules.yaml": fmt.Sprintf("rules:\n  - {id: bench-limit, title: Beyond its limit, kind: threshold, asset_kind: bench_probe, point: value, limits: {high_high: %d}, failure_mode: bench, family: bench}\n", probeLimit) +
			"  - {id: bench-load, title: Beyond its limit, kind: threshold, asset_kind: bench_load, point: \"*\", limits: {high: 1e9}, failure_mode: bench, family: bench}\n",
		"hub.token":   "bench",
		"centre.yaml": fmt.Sprintf("data: centre\nhub: {listen: %q, token_file: hub.token, max_bytes: %d}\napi: {listen: \"127.0.0.1:0\"}\n", hub, benchHubBytes) + plant,
		"site.yaml":   fmt.Sprintf("data: site\nhub: {url: \"nats://%s\", token_file: hub.token}\n", hub) + plant,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			return nil, nil, fmt.Errorf("write the configuration: %w", err)
		}
	}
	if centre, err = LoadConfig(filepath.Join(b.dir, "centre.yaml")); err != nil {
		return nil, nil, err
	}
	site, err = LoadConfig(filepath.Join(b.dir, "site.yaml"))
	return centre, site, err
}

// benchHubBytes is the hub's limit: some minutes of the load.
const benchHubBytes = 1 << 30
