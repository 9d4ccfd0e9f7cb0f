package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// profilesCommand lists the device profiles, or shows one as YAML with all that it takes over from
// others: a register list to read, or to begin one's own with.
func profilesCommand(_ context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	config := fs.String("config", "", "also the profiles of this configuration")
	kind := fs.String("kind", "", "only those of this kind, such as power_meter")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	set, err := profile.Library()
	if err != nil {
		return err
	}
	if *config != "" {
		cfg, err := LoadConfig(*config)
		if err != nil {
			return err
		}
		set = cfg.profiles
	}
	if fs.NArg() == 1 {
		p, err := set.Get(fs.Arg(0))
		if err != nil {
			return err
		}
		_, err = out.Write(p.YAML())
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PROFILE\tKIND\tPOINTS\tOVER\tMANUFACTURER AND MODEL")
	for _, name := range set.Names() {
		p, err := set.Get(name)
		if err != nil {
			return err
		}
		if *kind != "" && p.Kind != *kind {
			continue
		}
		over := "Modbus"
		if p.UsesMQTT() {
			over = "MQTT"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s %s\n", p.ID(), p.Kind, len(p.Points), over, p.Manufacturer, p.Model)
	}
	return w.Flush()
}
