package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline/gateway/modbus"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// scan is what one run of the command looks for.
type scan struct {
	cfg      modbus.ScanConfig
	profiles []*profile.Profile // to be fitted
	shots    int
	between  time.Duration
	out      io.Writer
	entries  []string // of devices that fit
}

// scanCommand finds out what is behind an address, reading only.
func scanCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	units := fs.String("units", "", "unit `IDS` to look for, such as 1-10,20; default 1-16, on a serial bus 1-247")
	span := fs.String("range", "0-999", "addresses to search in every table, `FROM-TO`; those of known profiles are looked for besides")
	names := fs.String("profile", "", "`NAME` of a profile, or all: how well it and each order of bytes fit the live values")
	files := fs.String("profiles", "", "profile `FILES` beside the shipped ones, with commas between them")
	pause := fs.Duration("pause", 10*time.Millisecond, "rest after each answer; nobody else's polls should suffer")
	timeout := fs.Duration("timeout", 500*time.Millisecond, "wait for an answer")
	between := fs.Duration("between", 2*time.Second, "time between the three readings that profiles are judged by")
	to := fs.String("out", "", "write the entries for the configuration to this `FILE` too")
	address := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		address, args = args[0], args[1:]
	}
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	if address == "" {
		address = fs.Arg(0)
	}
	if address == "" {
		fmt.Fprintln(fs.Output(), "faultline scan: which address? Such as tcp://192.168.1.20 or rtu:///dev/ttyUSB0?baud=9600")
		return errUsage
	}
	address, err := modbusAddress(address)
	if err != nil {
		return err
	}
	s := scan{out: out, shots: 3, between: *between, cfg: modbus.ScanConfig{Address: address, Timeout: *timeout, Pause: *pause}}
	s.cfg.Say = func(what string) { fmt.Fprintln(out, "  …", what) }
	if s.cfg.Units, err = unitList(*units); err != nil {
		return err
	}
	if s.cfg.From, s.cfg.To, err = addressRange(*span); err != nil {
		return err
	}
	if err := s.choose(*names, *files); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.New("stopped; nothing was written to the device")
		}
		return err
	}
	if *to != "" && len(s.entries) > 0 {
		if err := os.WriteFile(*to, []byte(strings.Join(s.entries, "")), 0o600); err != nil {
			return fmt.Errorf("write the entries: %w", err)
		}
		fmt.Fprintf(out, "wrote %s\n", *to)
	}
	return nil
}

func (s *scan) choose(names, files string) error {
	var list []string
	if files != "" {
		list = strings.Split(files, ",")
	}
	set, err := profile.Load(list...)
	if err != nil {
		return err
	}
	for _, name := range set.Names() {
		p, err := set.Get(name)
		if err != nil {
			return err
		}
		if p.UsesModbus() && names == "all" {
			s.profiles = append(s.profiles, p)
		}
	}
	if names == "" || names == "all" {
		s.cfg.Known = s.profiles
		return nil
	}
	for name := range strings.SplitSeq(names, ",") {
		p, err := set.Get(name)
		if err != nil {
			return err
		}
		if !p.UsesModbus() {
			return fmt.Errorf("profile %s speaks MQTT: there is nothing to scan for", name)
		}
		s.profiles = append(s.profiles, p)
	}
	s.cfg.Known = s.profiles
	return nil
}

func (s *scan) run(ctx context.Context) error {
	fmt.Fprintf(s.out, "scanning %s. It only reads: one request at a time, %v rest after each answer, %v time-out.\n", s.cfg.Address, s.cfg.Pause, s.cfg.Timeout)
	fmt.Fprintf(s.out, "It asks for units, who they are, addresses %d to %d of each table", s.cfg.From, s.cfg.To)
	if len(s.profiles) > 0 {
		fmt.Fprintf(s.out, " and those of %d profiles", len(s.profiles))
	}
	fmt.Fprintln(s.out, ", and the largest read. Ctrl-C ends it.")
	sc, err := modbus.NewScanner(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer sc.Close()
	found, err := sc.Units()
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("no unit answers: check the address, on a serial bus the baud rate and parity, and -units")
	}
	for _, f := range found {
		if err := sc.Look(f); err != nil {
			return err
		}
		s.show(f)
		if len(s.profiles) > 0 {
			if err := s.fit(ctx, sc, f); err != nil {
				return err
			}
		}
	}
	if len(s.profiles) == 0 {
		fmt.Fprintln(s.out, "\nnext: -profile all says which device profile fits")
	}
	return nil
}

func (s *scan) show(f *modbus.Found) {
	fmt.Fprintf(s.out, "\nunit %d", f.Unit)
	if f.AnyUnit {
		fmt.Fprint(s.out, " (it answers to every unit id)")
	}
	fmt.Fprintf(s.out, ": %s\n", printable(f.Identity.String()))
	for _, sp := range f.Spans {
		fmt.Fprintf(s.out, "  %-8s %d–%d\n", sp.Table, sp.From, sp.To)
	}
	if len(f.Spans) == 0 {
		fmt.Fprintln(s.out, "  nothing readable in that range: try another -range")
	}
	if f.MaxRegisters > 0 {
		more := " or more"
		if f.Proven {
			more = ""
		}
		fmt.Fprintf(s.out, "  one read may have %d%s registers\n", f.MaxRegisters, more)
	}
	fmt.Fprintf(s.out, "  it answers in %v, 99 of 100 times within %v, at most %v (%d requests)\n",
		f.Latency50.Round(10*time.Microsecond), f.Latency99.Round(10*time.Microsecond), f.Most.Round(10*time.Microsecond), f.Requests)
}

// fit compares the profiles with some snapshots of the live values.
func (s *scan) fit(ctx context.Context, sc *modbus.Scanner, f *modbus.Found) error {
	var shots []modbus.Snapshot
	for i := range s.shots {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(s.between):
			}
		}
		s.cfg.Say(fmt.Sprintf("unit %d: reading %d of %d", f.Unit, i+1, s.shots))
		shot, err := sc.Snapshot(f, s.profiles)
		if err != nil {
			return err
		}
		shots = append(shots, shot)
	}
	fits := modbus.Fits(s.profiles, shots)
	if len(fits) == 0 || fits[0].Evidence == 0 {
		fmt.Fprintln(s.out, "  no profile fits: make one of the device's register list with faultline init -csv FILE")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  PROFILE\tORDER\tFITS\tREADABLE\tTELLING\tDOUBTS")
	for _, x := range fits[:min(6, len(fits))] {
		order := x.Order.String()
		if !x.Own {
			order += " (not its own)"
		}
		doubts := strings.Join(x.Doubts[:min(2, len(x.Doubts))], ", ")
		if n := len(x.Doubts) - 2; n > 0 {
			doubts += fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(w, "  %s\t%s\t%.0f %%\t%d of %d\t%d\t%s\n", x.Profile.Name, order, 100*x.Score, x.Readable, x.Points, x.Evidence, doubts)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	best := fits[0]
	if best.Score < 0.5 {
		fmt.Fprintln(s.out, "  no profile fits well: make one of the device's register list with faultline init -csv FILE")
		return nil
	}
	s.entries = append(s.entries, s.entry(f, best))
	fmt.Fprintf(s.out, "\nfor the configuration, below gateways[].devices (name the position):\n%s", s.entries[len(s.entries)-1])
	return nil
}

// entry is a device as the configuration has it.
func (s *scan) entry(f *modbus.Found, x modbus.Fit) string {
	period := max(time.Second, (10 * f.Latency99).Round(time.Second))
	note := ""
	if !x.Own {
		note = fmt.Sprintf(" # its values fit in the order %s: give a copy of the profile modbus: {order: %s}", x.Order, x.Order)
	}
	return fmt.Sprintf("      - {position: DEV-%d, profile: %s, address: %s, unit: %d, period: %v}%s\n", f.Unit, x.Profile.Name, strconv.Quote(s.cfg.Address), f.Unit, period, note)
}

// unitList reads "1-10,20".
func unitList(s string) (out []uint8, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		low, high, spans := strings.Cut(part, "-")
		if !spans {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 8)
		to, err2 := strconv.ParseUint(high, 10, 8)
		if err1 != nil || err2 != nil || from > to {
			return nil, fmt.Errorf("units %q: write such as 1-10,20, each 0 to 255", s)
		}
		for u := from; u <= to; u++ {
			out = append(out, uint8(u))
		}
	}
	return out, nil
}

func addressRange(s string) (from, to uint16, err error) {
	low, high, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(low, 10, 16)
	b, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || a > b || b == 0 {
		return 0, 0, fmt.Errorf("range %q: write FROM-TO, such as 0-999", s)
	}
	return uint16(a), uint16(b), nil
}
