package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// setupCommand makes what an external InfluxDB needs before the first run: database, retention policies or the tiers'
// buckets. Doing it again changes only what the configuration changed.
func setupCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) (err error) {
	file := fs.String("config", "", "the configuration `FILE` (required)")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	if fs.Arg(0) != "influx" {
		fmt.Fprintln(fs.Output(), "faultline setup: influx is what it can set up")
		return errUsage
	}
	if *file == "" {
		fmt.Fprintln(fs.Output(), "faultline setup influx: -config FILE is needed")
		return errUsage
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return err
	}
	if cfg.Influx.URL == "" {
		return errors.New("influx.url names no InfluxDB; the embedded one sets itself up")
	}
	n := &node{cfg: cfg, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, n.stop()) }()
	if err := n.openInflux(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: database %s is set up\n", cfg.Influx.URL, cfg.Influx.Database)
	for _, t := range n.targets {
		if err := t.client.Setup(ctx); err != nil {
			return fmt.Errorf("target %s: %w", t.Name, err)
		}
		fmt.Fprintf(out, "%s: target %s is set up\n", t.URL, t.Name)
	}
	return nil
}
