package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// initCommand leads from nothing to a configuration with a first device: it asks for what it was not
// told, writes the file, reads the device once and shows the live values.
func initCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	a := answers{in: bufio.NewReader(os.Stdin), out: out}
	fs.StringVar(&a.profile, "profile", "", "`NAME` of a device profile; asked for if neither this nor -csv is given")
	fs.StringVar(&a.csv, "csv", "", "a register list `FILE` with the columns name,address,type and, where wanted, "+strings.Join([]string{"table", "unit", "scale", "offset", "order", "min", "max"}, ","))
	unit := fs.Int("unit", 1, "the device's Modbus unit id")
	fs.StringVar(&a.position, "position", "", "`TAG` of the place in the plant, such as P-101")
	fs.StringVar(&a.site, "site", "site-1", "id of the plant or building")
	fs.StringVar(&a.topic, "topic", "", "MQTT `TOPIC` of the device, for a profile that speaks MQTT; ADDRESS is then the broker's (tcp://host:1883), or the gateway listens itself")
	file := fs.String("out", "faultline.yaml", "the configuration `FILE` to write")
	force := fs.Bool("force", false, "overwrite the file if it exists")
	fs.BoolVar(&a.yes, "y", false, "take the defaults instead of asking")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	a.address, a.unit = fs.Arg(0), *unit
	if _, err := os.Stat(*file); err == nil && !*force {
		return fmt.Errorf("%s exists: name another file with -out, or overwrite it with -force", *file)
	}
	p, err := a.complete(*file)
	if err != nil {
		return err
	}
	if !p.UsesModbus() && a.address == "" {
		if err := a.makePassword(*file); err != nil {
			return err
		}
	}
	if err := os.WriteFile(*file, a.yaml(p), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return fmt.Errorf("what was written cannot be read back: %w", err)
	}
	fmt.Fprintf(out, "\nwrote %s\n", *file)
	if p.UsesModbus() {
		fmt.Fprintf(out, "reading %s …\n\n", a.address)
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		f, err := gateway.ReadOnce(ctx, cfg.Gateways[0].Devices[0], p)
		if err != nil {
			return fmt.Errorf("the device does not answer: %w\n%s is written all the same; check the address and the unit id, then: faultline check -config %s -connect", err, *file, *file)
		}
		showFrame(out, p.DomainPoints(), f)
		if bad := badOf(f); bad == len(f.Samples) {
			return fmt.Errorf("no point could be read: check the unit id (-unit) and the register list; faultline check -config %s -connect reads again", *file)
		} else if bad > 0 {
			fmt.Fprintf(out, "\n%d of %d points could not be read: their quality says why\n", bad, len(f.Samples))
		}
	}
	fmt.Fprintf(out, "\nnext: faultline run -config %s\n", *file)
	return nil
}

// answers is what init knows, by flag or by asking.
type answers struct {
	in  *bufio.Reader
	out io.Writer
	yes bool

	address, profile, csv, position, site, topic string
	unit                                         int
	made                                         string // profile file written from a register list
	password                                     string // file with the password of devices that publish
}

// complete asks for what is missing and gives the profile.
func (a *answers) complete(file string) (*profile.Profile, error) {
	lib, err := profile.Library()
	if err != nil {
		return nil, err
	}
	var p *profile.Profile
	switch {
	case a.csv != "" && a.profile != "":
		return nil, errors.New("give -profile or -csv, not both")
	case a.csv != "":
		if p, err = a.fromCSV(file); err != nil {
			return nil, err
		}
	default:
		if a.profile == "" {
			fmt.Fprintf(a.out, "device profiles: %s\n(or end here and give a register list with -csv FILE)\n", strings.Join(lib.Names(), ", "))
			if a.profile, err = a.ask("profile", ""); err != nil {
				return nil, err
			}
		}
		if p, err = lib.Get(a.profile); err != nil {
			return nil, err
		}
	}
	if p.UsesModbus() {
		if a.address == "" {
			if a.address, err = a.ask("address (host, host:port, tcp://host:port, rtuovertcp://host:port or rtu:///dev/ttyUSB0?baud=9600)", ""); err != nil {
				return nil, err
			}
		}
		if a.address, err = modbusAddress(a.address); err != nil {
			return nil, err
		}
		if a.unit < 0 || a.unit > 255 {
			return nil, fmt.Errorf("unit id %d: use 0 to 255", a.unit)
		}
	} else if a.topic == "" {
		if a.topic, err = a.ask("MQTT topic of the device (the profile's own suffix follows)", a.site+"/"+cmpOr(a.position, "DEV-1")); err != nil {
			return nil, err
		}
	}
	if a.position == "" {
		if a.position, err = a.ask("position (the tag in your plant)", "DEV-1"); err != nil {
			return nil, err
		}
	}
	if err := faultline.CheckName("position", a.position); err != nil {
		return nil, err
	}
	return p, faultline.CheckName("site", a.site)
}

// ask reads an answer from the terminal; an empty one takes the default.
func (a *answers) ask(what, preset string) (string, error) {
	if a.yes {
		if preset == "" {
			return "", fmt.Errorf("%s is needed", what)
		}
		return preset, nil
	}
	if preset != "" {
		fmt.Fprintf(a.out, "%s [%s]: ", what, preset)
	} else {
		fmt.Fprintf(a.out, "%s: ", what)
	}
	line, err := a.in.ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case line != "":
		return line, nil
	case preset != "":
		return preset, nil
	case err != nil:
		return "", fmt.Errorf("%s is needed", what)
	}
	return a.ask(what, preset)
}

// fromCSV makes a profile of a register list and writes it beside the configuration.
func (a *answers) fromCSV(file string) (*profile.Profile, error) {
	f, err := os.Open(a.csv)
	if err != nil {
		return nil, fmt.Errorf("read the register list: %w", err)
	}
	defer f.Close()
	name := nameFrom(strings.TrimSuffix(filepath.Base(a.csv), filepath.Ext(a.csv)))
	p, err := profile.FromCSV(a.csv, f, name, strings.ReplaceAll(name, "-", "_"))
	if err != nil {
		return nil, err
	}
	a.profile = p.Name
	a.made = name + ".profile.yaml"
	made := filepath.Join(filepath.Dir(file), a.made)
	if err := os.WriteFile(made, p.YAML(), 0o600); err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	fmt.Fprintf(a.out, "wrote the profile %s (%d points)\n", made, len(p.Points))
	return p, nil
}

// makePassword writes a password for devices that publish straight to the gateway, and says it.
func (a *answers) makePassword(file string) error {
	a.password = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)) + ".mqtt-password"
	full := filepath.Join(filepath.Dir(file), a.password)
	password := rand.Text()
	if err := os.WriteFile(full, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the devices' password: %w", err)
	}
	fmt.Fprintf(a.out, "\ndevices publish to 127.0.0.1:1883 as user \"devices\" with the password %s (kept in %s)\n", password, full)
	return nil
}

// nameFrom makes a valid name of any text.
func nameFrom(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(s, "-_")
	if s == "" {
		return "device"
	}
	return s[:min(len(s), 64)]
}

// modbusAddress completes "host" and "host:port" to tcp://host:port.
func modbusAddress(s string) (string, error) {
	if !strings.Contains(s, "://") {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "502")
		}
		s = "tcp://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", s, err)
	}
	if u.Scheme != "rtu" && u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "502")
	}
	return u.String(), nil
}

// yaml writes the configuration as a person would, with a word on what to change next.
func (a *answers) yaml(p *profile.Profile) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Faultline's configuration, made by faultline init. faultline check -config FILE reads it;")
	line("# docs/configuration.md explains every key.")
	line("data: faultline-data")
	line("sites:")
	line("  - {id: %s, name: %s}", a.site, strconv.Quote(a.site))
	if a.made != "" {
		line("profiles: [%s]", strconv.Quote(a.made))
	}
	line("gateways:")
	line("  - id: gw-1")
	line("    site: %s", a.site)
	switch {
	case p.UsesMQTT() && a.address != "":
		line("    mqtt:")
		line("      brokers:")
		line("        - {name: broker, url: %s}", strconv.Quote(a.address))
	case p.UsesMQTT():
		line("    mqtt:")
		line("      listen: 127.0.0.1:1883 # devices publish here; an address that they reach, with mqtt.tls beyond a private network")
		line("      users:")
		line("        - {name: devices, password_file: %s, topics: [%s]}", strconv.Quote(a.password), strconv.Quote(a.site+"/#"))
	}
	line("    devices:")
	line("      - position: %s", a.position)
	line("        profile: %s", a.profile)
	if p.UsesModbus() {
		line("        address: %s", strconv.Quote(a.address))
		line("        unit: %d", a.unit)
		line("        period: 1s")
	} else {
		line("        topic: %s", strconv.Quote(a.topic))
	}
	line("assets:")
	line("  - position: %s", a.position)
	line("    name: %s", strconv.Quote(cmpOr(p.Title, p.Kind)))
	line("    criticality: B # A stops the plant, B hinders it, C does not")
	line("api:")
	line("  listen: 127.0.0.1:8080")
	return []byte(b.String())
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func badOf(f faultline.Frame) (n int) {
	for _, s := range f.Samples {
		if s.Quality.IsBad() {
			n++
		}
	}
	return n
}

// showFrame prints the values of one reading.
func showFrame(out io.Writer, points []faultline.Point, f faultline.Frame) {
	units := map[string]faultline.Point{}
	for _, p := range points {
		units[p.Name] = p
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  POINT\tVALUE\tUNIT\tQUALITY")
	for _, s := range f.Samples {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", s.Point, printable(s.Value.String()), units[s.Point].Unit, s.Quality)
	}
	w.Flush()
}

// printable keeps what a device sent from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}
