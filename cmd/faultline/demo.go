package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/internal/store"
)

// demo runs the whole product in this process with simulated equipment and tells what happens.
func demo(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	data := fs.String("data", "", "`DIR` to keep the data in, so that a second run goes on where this one stops; empty: a temporary one")
	listen := fs.String("listen", "127.0.0.1:8080", "`ADDRESS` of the console; one that other machines reach prints a login link")
	length := fs.Duration("for", 0, "end by itself after this `TIME`, such as 90s; 0: run until Ctrl-C")
	report := fs.String("report", "", "`FILE` to write a JSON report of what happened to")
	seed := fs.Int64("seed", 1, "seed of the simulated equipment: the same seed gives the same plant")
	history := fs.Bool("history", true, "fill in 30 days of made-up history")
	faults := fs.Bool("faults", true, "let things break by the script; without, use the address that -sim serves")
	simHTTP := fs.String("sim", "127.0.0.1:0", "`ADDRESS` where faults can be injected and cleared by hand over HTTP")
	showGrafana := fs.Bool("grafana", false, "print how a Grafana reads this, with a command for a container")
	verbose := fs.Bool("v", false, "show logs")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	chosen := false
	fs.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "listen" })
	d := &demonstration{started: time.Now(), length: *length, report: *report, history: *history, grafana: *showGrafana, log: slog.New(slog.DiscardHandler)}
	d.story = &story{out: out, since: d.started}
	if *verbose {
		d.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if *length < 0 {
		return fmt.Errorf("-for %s: use a time above zero", *length)
	}
	if *report != "" { // better said now than after the run
		f, err := os.OpenFile(*report, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("the report cannot be written: %w", err)
		}
		f.Close()
	}
	if !chosen {
		*listen = freeOr(*listen)
	}
	var err error
	if d.dir = *data; d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "faultline-demo-"); err != nil {
			return fmt.Errorf("make a data directory: %w", err)
		}
		defer os.RemoveAll(d.dir)
		d.story.say("data in %s (temporary: -data DIR keeps it)", d.dir)
	} else {
		if d.dir, err = filepath.Abs(d.dir); err != nil {
			return err
		}
		d.story.say("data in %s", d.dir)
	}
	script := demoScript
	if !*faults {
		script = nil
	}
	return d.run(ctx, *listen, *simHTTP, *seed, script)
}

// tellGrafana says where a Grafana finds the readings, and how to run one with the dashboards.
func (d *demonstration) tellGrafana(database string) {
	url, token := d.node.engine.URL(), d.node.engine.Token()
	d.story.say("Grafana: data source InfluxDB, language InfluxQL, URL %s, database %s, basic authentication with user faultline and password %s", url, database, token)
	d.story.say("dashboards: faultline dashboards -console %s, or from the root of the project", d.node.api.URL())
	d.story.say("  docker run --rm --network host -e INFLUX_URL=%s -e INFLUX_TOKEN=%s -e PROMETHEUS_URL=http://127.0.0.1:9090 -v $PWD/deploy/grafana/provisioning:/etc/grafana/provisioning:ro -v $PWD/deploy/grafana/dashboards:/etc/grafana/dashboards:ro grafana/grafana:12.1.0", url, token)
}

// freeOr gives the address, or any free port where the default one is taken.
func freeOr(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return addr
}

// demonstration is one run of the demo.
type demonstration struct {
	started time.Time
	length  time.Duration
	report  string
	dir     string
	history bool
	grafana bool
	log     *slog.Logger
	story   *story

	plant    *equipment.Plant
	node     *node
	baseline baseline
	madeUp   madeUp
	fresh    bool // the data directory was empty
}

func (d *demonstration) run(ctx context.Context, listen, simHTTP string, seed int64, script []equipment.Event) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var aside sync.WaitGroup // what runs beside the node
	asideCtx, stopAside := context.WithCancel(context.WithoutCancel(ctx))
	defer func() { stopAside(); aside.Wait() }()

	plantCtx, stopPlant := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPlant()
	plantDone := make(chan error, 1)
	if err := d.startPlant(plantCtx, seed, script, plantDone); err != nil {
		return err
	}
	defer func() { stopPlant(); <-plantDone }()

	cfg, broker, err := demoConfig(d.dir, listen, d.plant, d.started)
	if err != nil {
		return err
	}
	d.node, err = startNode(ctx, cfg, nodeOptions{Roles: allRoles, Demo: true, Log: d.log}, func(err error) { cancel(err) })
	if err != nil {
		return err
	}
	defer d.node.stop()
	d.plant.SetBroker(broker)
	if d.grafana {
		d.tellGrafana(cfg.Influx.Database)
	}
	if d.baseline, err = d.takeBaseline(ctx); err != nil {
		return err
	}
	control, err := serveControl(asideCtx, &aside, d.plant, simHTTP)
	if err != nil {
		return err
	}
	d.introduce(control)
	aside.Go(func() {
		if err := d.node.conn.SubscribeEvents(asideCtx, d.tell); err != nil && asideCtx.Err() == nil {
			d.story.say("events cannot be told: %v", err)
		}
	})
	aside.Go(func() { d.watch(asideCtx) })
	if d.history {
		aside.Go(func() {
			if err := d.makeHistory(asideCtx); err != nil && asideCtx.Err() == nil {
				d.story.say("the made-up history failed: %v", err)
			}
		})
	}

	timer := make(<-chan time.Time)
	if d.length > 0 {
		timer = time.After(time.Until(d.started.Add(d.length)))
	}
	select {
	case <-timer:
	case <-ctx.Done():
	case err := <-plantDone:
		plantDone <- nil
		return fmt.Errorf("simulated equipment: %w", err)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	stopAside()
	aside.Wait()
	return d.finish(context.WithoutCancel(ctx), stopPlant)
}

// finish stops the equipment and the gateway, lets the rest catch up, counts, and stops everything.
func (d *demonstration) finish(ctx context.Context, stopPlant func()) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	stopped := time.Now()
	d.node.stopStage(roleGateway)
	stopPlant()
	caught := d.catchUp(ctx)
	r, err := d.count(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("count what happened: %w", err), d.node.stop())
	}
	if !caught {
		d.story.say("ingest had not caught up when counting; the next run on the same data goes on with it")
	}
	if d.report != "" {
		if err := d.write(ctx, r); err != nil {
			return errors.Join(err, d.node.stop())
		}
		d.story.say("report written to %s", d.report)
	}
	d.summary(r)
	err = d.node.stop()
	d.story.say("stopped in %s", time.Since(stopped).Round(100*time.Millisecond))
	return err
}

// startPlant starts the simulated equipment and waits until it listens.
func (d *demonstration) startPlant(ctx context.Context, seed int64, script []equipment.Event, done chan<- error) error {
	var err error
	d.plant, err = equipment.New(equipment.Config{Seed: seed, Site: demoSite, Script: script, Log: d.log.With("component", "firmware-sim")})
	if err != nil {
		return fmt.Errorf("simulated equipment: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		err := d.plant.Run(ctx)
		ended <- err
		done <- err
	}()
	select {
	case <-d.plant.Ready():
		return nil
	case err := <-ended:
		return fmt.Errorf("simulated equipment: %w", err)
	}
}

// introduce says what was found and where to look.
func (d *demonstration) introduce(control string) {
	for _, e := range d.plant.Devices() {
		where := "MQTT " + e.Topic
		if e.Protocol == equipment.ProtocolModbus {
			where = "Modbus TCP " + e.Address
		}
		d.story.say("found %-7s %-11s %s", e.Name, e.Kind, where)
	}
	d.node.introduce(d.story.say)
	d.story.say("break something yourself: curl -X POST -H 'Content-Type: application/json' -d '{\"device\":\"P-102\",\"fault\":\"bearing_wear\",\"ramp\":\"20s\"}' http://%s/faults", control)
}

// tell turns an event of the product into a line of the story.
func (d *demonstration) tell(e faultline.Event) {
	switch e.Topic {
	case "alarm":
		d.story.say("alarm   %-7s %s", e.Position, e.Text)
	case "ticket":
		t, err := d.node.store.Ticket(context.Background(), e.ID)
		switch {
		case err != nil:
		case d.story.first("ticket " + t.ID):
			d.story.say("TICKET  %-7s %s (%s, %s) %s", t.Position, t.Number, t.Priority, t.Kind, t.Title)
			d.story.say("                see %s/tickets/%s", d.node.api.URL(), t.Number)
		case d.story.first(fmt.Sprint("priority ", t.ID, t.Priority)) && t.Count > 1:
			d.story.say("ticket  %-7s %s stands for %d alarms, priority %s", t.Position, t.Number, t.Count, t.Priority)
		case !t.RecoveredAt.IsZero() && d.story.first(fmt.Sprint("recovered ", t.ID, t.RecoveredAt)):
			d.story.say("ticket  %-7s %s: the condition is normal again; people close it", t.Position, t.Number)
		case t.Status != faultline.StatusNew && d.story.first(fmt.Sprint("status ", t.ID, t.Version)):
			d.story.say("ticket  %-7s %s is %s", t.Position, t.Number, strings.ReplaceAll(string(t.Status), "_", " "))
		}
	}
}

// watch says which faults took effect, and now and then how much data flows.
func (d *demonstration) watch(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	before, at, wait := d.gatewaySamples(), time.Now(), 5*time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, i := range d.plant.Injected() {
			what := string(i.Fault)
			if i.Point != "" {
				what += " (" + i.Point + ")"
			}
			if d.story.first(fmt.Sprint("fault", i.Device, what, i.At)) {
				d.story.say("FAULT   %-7s %s injected%s", i.Device, what, over(i.Ramp))
			}
			if !i.Cleared.IsZero() && d.story.first(fmt.Sprint("cleared", i.Device, what, i.At)) {
				d.story.say("repair  %-7s %s ended", i.Device, what)
			}
		}
		if now := time.Now(); now.Sub(at) >= wait {
			s := d.gatewaySamples()
			d.story.say("data    %.0f samples/s from %d devices (%d bad so far)", float64(s.total()-before.total())/now.Sub(at).Seconds(), len(d.plant.Devices()), s.Bad)
			before, at, wait = s, now, 30*time.Second
		}
	}
}

func over(ramp time.Duration) string {
	if ramp == 0 {
		return ""
	}
	return ", growing over " + ramp.String()
}

// story prints what happens, each line with the seconds since the start.
type story struct {
	mu    sync.Mutex
	out   io.Writer
	since time.Time
	said  map[string]bool
}

func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.since).Seconds(), printable(fmt.Sprintf(format, args...)))
}

// first tells whether key is new.
func (s *story) first(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said[key] {
		return false
	}
	if s.said == nil {
		s.said = map[string]bool{}
	}
	s.said[key] = true
	return true
}

// openTickets lists the tickets of this run: machine-made, neither test nor made up.
func (d *demonstration) ticketsOfRun(ctx context.Context) ([]faultline.Ticket, error) {
	no := false
	all, _, err := d.node.store.Tickets(ctx, store.TicketFilter{MadeUp: &no, Test: &no, Limit: 1000})
	if err != nil {
		return nil, err
	}
	var out []faultline.Ticket
	for _, t := range all {
		if !t.ReceivedAt.Before(d.started) {
			out = append(out, t)
		}
	}
	return out, nil
}
