package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-iot/faultline/cmd/faultline/chaos"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// chaosCommand breaks an installation of its own on this machine and accounts for every sample.
func chaosCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "-part" {
		return chaosPart(ctx, fs, args, out)
	}
	o := chaos.Options{Version: buildVersion(), Out: out}
	fs.DurationVar(&o.For, "for", 10*time.Minute, "how long faults are injected")
	report := fs.String("report", "", "write the account as JSON to this `FILE`")
	only := fs.String("only", "", "only these `KINDS` of fault, joined by commas; kill, disk and power stand for all that begin so. "+strings.Join(chaos.Kinds(), ", "))
	fs.BoolVar(&o.None, "quiet", false, "inject nothing: the same run without faults, to compare with")
	fs.BoolVar(&o.Whole, "one-process", false, "the centre is one process on SQLite, as it is anyway where PostgreSQL is not installed")
	fs.IntVar(&o.Samples, "samples", 0, "go on until at least `N` samples were sent, even if that takes longer")
	fs.Uint64Var(&o.Seed, "seed", 0, "of the random order and times of the faults; 0: another one each time, which the report tells")
	keep := fs.String("keep", "", "keep configurations, data and the logs of every process in this `DIR`")
	fs.IntVar(&o.Modbus, "modbus", 9, "Modbus devices at each of the two gateways")
	fs.IntVar(&o.MQTT, "mqtt", 3, "MQTT devices at each gateway")
	fs.DurationVar(&o.Period, "period", 500*time.Millisecond, "between two readings of a device; each is 40 samples")
	fs.StringVar(&o.Influxd, "influxd", "", "`PROGRAM` of an InfluxDB 1.8 for the stage with a cluster; influxd of the path, or else the embedded engine, unless given")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `faultline chaos [-for 30m] [-report FILE] [-only KINDS]: break an installation of its own and account for every sample
  Starts an installation of its own on this machine (equipment, gateways, hub, centre, InfluxDB, SQL), breaks it
  again and again, lets it recover, and accounts for every sample, alarm and ticket. It ends with an error when
  something is missing or doubled. What is on the machine otherwise is not touched. As root on Linux it cuts
  networks, loses packets, fills disks and takes the power away; what is not possible here it says.

Flags:
`)
		fs.PrintDefaults()
	}
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o.Program = []string{self}
	if o.Dir = *keep; o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "faultline-chaos-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.Dir)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	r, err := chaos.Run(ctx, o)
	if r == nil {
		return err
	}
	r.Print(out)
	if *report != "" {
		err = errors.Join(err, r.Write(*report))
	}
	return err
}

// chaosPart runs a part that faultline otherwise has inside other processes: a hub, a node of a cluster,
// an InfluxDB.
func chaosPart(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	part := fs.String("part", "", "hub or influx")
	dir := fs.String("dir", "", "data")
	listen := fs.String("listen", "", "host:port")
	name := fs.String("name", "hub", "of the node")
	cluster := fs.String("cluster", "", "host:port for the other nodes")
	routes := fs.String("routes", "", "host:port of all nodes")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch *part {
	case "hub":
		cfg := bus.ServerConfig{Dir: *dir, Name: *name, Listen: *listen, Token: os.Getenv("FAULTLINE_HUB_TOKEN"), MaxStore: math.MaxInt64 / 4, Log: log}
		if *cluster != "" {
			cfg.Nodes = &bus.Nodes{Cluster: "chaos", Listen: *cluster, Others: strings.Split(*routes, ",")}
		}
		s, err := bus.StartServer(cfg)
		if err != nil {
			return err
		}
		defer s.Close()
		fmt.Fprintln(out, "hub at", s.URL())
		return s.Run(ctx)
	case "influx":
		e, err := embedded.Open(embedded.Config{Dir: *dir, Listen: *listen, Token: os.Getenv("FAULTLINE_INFLUX_TOKEN"), Log: log})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "InfluxDB at", e.URL())
		<-ctx.Done()
		return e.Close()
	}
	return fmt.Errorf("no part %q", *part)
}

// testClock is how wrong the wall clock of a gateway is said to be: what stands in the file that
// FAULTLINE_TEST_CLOCK names, such as -1h, or 1970 for a clock that was never set. It is nil without one.
func testClock() func() time.Duration {
	file := os.Getenv("FAULTLINE_TEST_CLOCK")
	if file == "" {
		return nil
	}
	return func() time.Duration {
		b, _ := os.ReadFile(file) // none yet: the clock is right
		if string(b) == "1970" {
			return -time.Since(time.Unix(0, 0))
		}
		d, _ := time.ParseDuration(string(b))
		return d
	}
}
