// Command firmware-sim runs simulated equipment: Modbus TCP devices that listen and MQTT
// devices that publish, with faults by flag, by script and over HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline/firmware-sim/equipment"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "firmware-sim:", err)
		os.Exit(1)
	}
}

type options struct {
	equipment.Config
	http    string
	tables  bool
	verbose bool
}

// repeated is a flag that may be given several times.
type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, ", ") }
func (r *repeated) Set(v string) error { *r = append(*r, v); return nil }

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var faults repeated
	f := flag.NewFlagSet("firmware-sim", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Int64Var(&o.Seed, "seed", 1, "same seed, same values")
	script := f.String("script", "", "YAML timeline of faults")
	f.Var(&faults, "fault", `fault to inject, such as "device=P-101 fault=bearing_wear at=10s ramp=20s"; may be repeated`)
	f.StringVar(&o.Host, "listen", "127.0.0.1", "host the Modbus devices listen on, each on a free port; or host:port for consecutive ports")
	f.StringVar(&o.http, "http", "", "address of the control interface, such as 127.0.0.1:8099; it has no authentication")
	f.StringVar(&o.MQTT.URL, "mqtt", "", "broker the MQTT devices publish to, such as tcp://127.0.0.1:1883")
	f.StringVar(&o.MQTT.Username, "mqtt-user", "", "user name at the broker; the password is read from FIRMWARE_SIM_MQTT_PASSWORD")
	devices := f.String("devices", "", "devices to run, by name from the default fleet or as name:kind, separated by commas")
	replay := f.String("replay", "", "CSV file whose rows one device, and no other, tells one after the other")
	every := f.Duration("replay-every", time.Second, "time between rows of -replay; with -speed, of physics")
	as := f.String("replay-as", "modbus", "how -replay speaks: modbus or mqtt")
	f.Float64Var(&o.Speed, "speed", 1, "seconds of physics per second")
	f.StringVar(&o.Site, "site", "demo", "first level of MQTT topics")
	f.BoolVar(&o.tables, "tables", false, "print the register maps, payloads and effects of faults as Markdown, and end")
	f.BoolVar(&o.verbose, "v", false, "log what happens")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.MQTT.Password = os.Getenv("FIRMWARE_SIM_MQTT_PASSWORD")
	if *script != "" {
		text, err := os.ReadFile(*script)
		if err != nil {
			return o, fmt.Errorf("script: %w", err)
		}
		if o.Script, err = equipment.ParseScript(*script, text); err != nil {
			return o, err
		}
	}
	var errs []error
	for _, text := range faults {
		e, err := equipment.ParseEvent(text)
		if err != nil {
			errs = append(errs, err)
		}
		o.Script = append(o.Script, e)
	}
	var err error
	switch {
	case *replay == "":
		o.Devices, err = choose(*devices)
	case *devices != "":
		err = errors.New("-replay makes a device of its own: leave -devices out")
	default:
		o.Devices, err = recorded(*replay, *as, *every)
	}
	if err != nil {
		errs = append(errs, err)
	}
	if err := place(&o); err != nil {
		errs = append(errs, err)
	}
	return o, errors.Join(errs...)
}

// choose picks devices from the default fleet by name, or makes them from name:kind.
func choose(list string) ([]equipment.DeviceConfig, error) {
	fleet := equipment.Default()
	if list == "" {
		return fleet, nil
	}
	var chosen []equipment.DeviceConfig
	for _, item := range strings.Split(list, ",") {
		name, kind, made := strings.Cut(strings.TrimSpace(item), ":")
		if made {
			chosen = append(chosen, equipment.DeviceConfig{Name: name, Kind: kind})
			continue
		}
		i := slices.IndexFunc(fleet, func(d equipment.DeviceConfig) bool { return d.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("devices: %q is not in the default fleet; write %s:KIND with one of %s", name, name, strings.Join(equipment.Kinds(), ", "))
		}
		chosen = append(chosen, fleet[i])
	}
	return chosen, nil
}

// recorded makes the device that replays a file; it is named for it.
func recorded(path, as string, every time.Duration) ([]equipment.DeviceConfig, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	r, err := equipment.ParseRecording(path, text)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	r.Every = every
	switch as {
	case "modbus":
		r.Protocol = equipment.ProtocolModbus
	case "mqtt":
		r.Protocol = equipment.ProtocolMQTT
	default:
		return nil, fmt.Errorf("-replay-as %s: use modbus or mqtt", as)
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return []equipment.DeviceConfig{{Name: name, Replay: r}}, nil
}

// place gives Modbus devices consecutive ports where -listen has a port.
func place(o *options) error {
	host, first, err := net.SplitHostPort(o.Host)
	if err != nil {
		return nil // a host alone
	}
	port, err := net.LookupPort("tcp", first)
	if err != nil {
		return fmt.Errorf("listen %s: %w", o.Host, err)
	}
	o.Host = host
	if port == 0 {
		return nil
	}
	for i := range o.Devices {
		d := &o.Devices[i]
		if d.Kind == "ups" || d.Kind == "vibration" || d.Replay != nil && d.Replay.Protocol == equipment.ProtocolMQTT {
			continue
		}
		o.Devices[i].Listen = net.JoinHostPort(host, fmt.Sprint(port))
		port++
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.tables {
		fmt.Fprint(stdout, equipment.Tables())
		return nil
	}
	if o.verbose {
		o.Log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	plant, err := equipment.New(o.Config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var control *http.Server
	served := make(chan error, 1)
	if o.http != "" {
		ln, err := net.Listen("tcp", o.http)
		if err != nil {
			return fmt.Errorf("control interface: %w", err)
		}
		o.http = ln.Addr().String()
		control = &http.Server{Handler: plant.Handler(), ReadHeaderTimeout: 5 * time.Second}
		go func() {
			err := control.Serve(ln)
			cancel()
			served <- err
		}()
	}
	ended := make(chan error, 1)
	go func() { ended <- plant.Run(ctx) }()
	select {
	case <-plant.Ready():
		show(stdout, plant, o)
		err = <-ended
	case err = <-ended:
	}
	if control != nil {
		control.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("control interface: %w", e))
		}
	}
	if err == nil {
		c := plant.Counters()
		fmt.Fprintf(stdout, "\n%d values read in %d answers, %d messages published\n", c.Points, c.Reads, c.Published)
	}
	return err
}

func show(w io.Writer, p *equipment.Plant, o options) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tKIND\tSPEAKS\tWHERE\tSERIAL")
	for _, d := range p.Devices() {
		where := fmt.Sprintf("%s unit %d", d.Address, d.Unit)
		if d.Protocol == equipment.ProtocolMQTT {
			where = d.Topic
			if o.MQTT.URL == "" {
				where += " (no broker: give one with -mqtt)"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", d.Name, d.Kind, d.Protocol, where, d.Serial)
	}
	t.Flush()
	if o.http != "" {
		fmt.Fprintf(w, "\ncontrol interface: http://%s/devices /faults /counters\n", o.http)
	}
}
