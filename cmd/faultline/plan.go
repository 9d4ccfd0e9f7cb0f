package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/modbus"
)

// showPlan prints which reads each Modbus device gets and how far they fill its bus, when every answer
// takes the given time.
func showPlan(cfg *Config, answer time.Duration, out io.Writer) error {
	for _, g := range cfg.Gateways {
		var names []string
		buses := map[string][]gateway.Device{}
		for _, d := range g.Devices {
			if p, err := cfg.profiles.Get(d.Profile); err != nil || !p.UsesModbus() {
				continue
			}
			a, err := modbus.ParseAddress(d.Address)
			if err != nil {
				return err
			}
			if buses[a.String()] == nil {
				names = append(names, a.String())
			}
			buses[a.String()] = append(buses[a.String()], d)
		}
		for _, name := range names {
			if err := showBus(cfg, name, buses[name], answer, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func showBus(cfg *Config, name string, devices []gateway.Device, answer time.Duration, out io.Writer) error {
	a, err := modbus.ParseAddress(devices[0].Address)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nbus %s\n", name)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  POSITION\tUNIT\tEVERY\tREAD\tPOINTS\tWANTED\tFETCHED\tTAKES")
	load := 0.0 // of the bus: time that reads take in time that passes
	for _, d := range devices {
		p, err := d.Points(cfg.profiles)
		if err != nil {
			return err
		}
		unit := 1
		if d.Unit != nil {
			unit = *d.Unit
		}
		for _, c := range modbus.Plan(p, cmp.Or(d.Period, modbus.DefaultPeriod)) {
			var took time.Duration
			var points, wanted, fetched int
			for _, r := range c.Reads {
				t := r.Takes(a, answer)
				took += t
				points, wanted, fetched = points+len(r.Points), wanted+int(r.Wanted), fetched+int(r.Count)
				fmt.Fprintf(w, "  %s\t%d\t%v\t%s %d–%d\t%d\t%d\t%d\t%v\n", d.Position, unit, c.Every, r.Table, r.Address, int(r.Address)+int(r.Count)-1, len(r.Points), r.Wanted, r.Count, t.Round(time.Millisecond))
			}
			load += took.Seconds() / c.Every.Seconds()
			fmt.Fprintf(w, "  %s\t%d\t%v\t%d reads\t%d\t%d\t%d\t%v\n", d.Position, unit, c.Every, len(c.Reads), points, wanted, fetched, took.Round(time.Millisecond))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "  the bus is in use %.0f %% of the time, if every answer takes %v", 100*load, answer)
	if load > 1 {
		fmt.Fprint(out, ": too much. Polls will be skipped; give longer periods, or points their own with every")
	}
	fmt.Fprintln(out)
	return nil
}
