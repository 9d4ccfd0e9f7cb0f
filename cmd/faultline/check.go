package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/internal/document"
)

// checkCommand reads a configuration as run would and says what it would do.
func checkCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	file := fs.String("config", "", "the configuration `FILE` (required)")
	connect := fs.Bool("connect", false, "read every Modbus device once and show what it answers")
	plan := fs.Bool("plan", false, "show which registers every Modbus device will be asked for, and how long that takes")
	answer := fs.Duration("answer", 20*time.Millisecond, "with -plan: how long a device is assumed to need for an answer; faultline scan measures it")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *file == "" {
		fmt.Fprintln(fs.Output(), "faultline check: -config FILE is needed")
		return errUsage
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		fmt.Fprintln(out, err)
		if n := countProblems(err); n != 1 {
			return fmt.Errorf("%d mistakes in %s", n, *file)
		}
		return fmt.Errorf("one mistake in %s", *file)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "POSITION\tSITE\tKIND\tPROFILE\tADDRESS\tPOINTS\tRULES")
	watched := map[string][]string{}
	for _, r := range cfg.rules.Instances(cfg.positions()) {
		watched[r.Site+"/"+r.Position] = append(watched[r.Site+"/"+r.Position], r.Rule)
	}
	for _, p := range cfg.positions() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", p.ID, p.Site, p.Kind, p.Profile, p.Address, len(p.Points), len(watched[p.Site+"/"+p.ID]))
	}
	w.Flush()
	if len(cfg.positions()) == 0 {
		fmt.Fprintln(out, "no equipment yet: list gateways and their devices, or let faultline init do it")
	}
	for _, m := range cfg.rules.Misfits(cfg.positions()) {
		fmt.Fprintln(out, "note:", m)
	}
	fmt.Fprintf(out, "%s is in order\n", *file)
	if err := compareLive(ctx, cfg, *file, out); err != nil {
		fmt.Fprintln(out, "note: not compared with what is live:", err)
	}
	if *plan {
		if err := showPlan(cfg, *answer, out); err != nil {
			return err
		}
	}
	if *connect {
		return readAll(ctx, cfg, out)
	}
	return nil
}

// compareLive shows where the gateways' versions in force say something else than the file, if the centre runs here.
func compareLive(ctx context.Context, cfg *Config, file string, out io.Writer) error {
	name, err := filepath.Abs(file) // the process that runs stands elsewhere
	if err != nil || len(cfg.Gateways) == 0 {
		return err
	}
	_, err = askRunning(ctx, cfg, "apply", []string{"-config", name, "-dry-run"}, out, io.Discard)
	return err
}

// countProblems counts the mistakes in an error of LoadConfig.
func countProblems(err error) int {
	var one *document.Errors
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		n := 0
		for _, e := range joined.Unwrap() {
			n += countProblems(e)
		}
		return n
	}
	if errors.As(err, &one) {
		return len(one.List)
	}
	return 1
}

// readAll reads every Modbus device once.
func readAll(ctx context.Context, cfg *Config, out io.Writer) error {
	var silent []string
	for _, g := range cfg.Gateways {
		for _, d := range g.Devices {
			p, err := d.Points(cfg.profiles)
			if err != nil {
				return err
			}
			if !p.UsesModbus() {
				fmt.Fprintf(out, "\n%s speaks when it wants to (MQTT): not read\n", d.Position)
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			f, err := gateway.ReadOnce(ctx, d, p)
			cancel()
			if err != nil {
				fmt.Fprintf(out, "\n%s: %v\n", d.Position, err)
				silent = append(silent, d.Position)
				continue
			}
			fmt.Fprintf(out, "\n%s at %s\n", d.Position, shownAddress(d))
			showFrame(out, p.DomainPoints(), f)
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("no answer from %s", strings.Join(silent, ", "))
	}
	return nil
}
