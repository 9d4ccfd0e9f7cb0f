package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// run starts the roles of a configuration and keeps them running until the process is told to end.
func run(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	file := fs.String("config", "", "the configuration `FILE` (required)")
	roleList := fs.String("roles", "all", "the roles to run here, joined by commas: "+strings.Join(allRoles, ", "))
	only := fs.String("gateway", "", "`IDS` of the gateways to run here, joined by commas; empty: all that are configured")
	verbose := fs.Bool("v", false, "log more")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *file == "" {
		fmt.Fprintln(fs.Output(), "faultline run: -config FILE is needed; faultline init makes one, examples lie under deploy/examples")
		return errUsage
	}
	roles, err := splitRoles(*roleList)
	if err != nil {
		return err
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var gateways []string
	if *only != "" {
		gateways = strings.Split(*only, ",")
		for _, id := range gateways {
			if !cfg.hasGateway(id) {
				return fmt.Errorf("no gateway %q in %s", id, *file)
			}
		}
	}
	n, err := startNode(ctx, cfg, nodeOptions{Roles: roles, Gateways: gateways, Log: log}, func(err error) { cancel(err) })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "faultline %s: running %s; data in %s\n", buildVersion(), strings.Join(roles, ", "), cfg.dataDir())
	n.introduce(func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) })
	<-ctx.Done()
	log.Info("stopping")
	stopped := time.Now()
	if err := n.stop(); err != nil {
		log.Warn("stopped with errors", "error", err)
	}
	log.Info("stopped", "took", time.Since(stopped).Round(time.Millisecond))
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (c *Config) hasGateway(id string) bool {
	for _, g := range c.Gateways {
		if g.ID == id {
			return true
		}
	}
	return false
}

// version prints what this binary is.
func version(_ context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	fmt.Fprintln(out, "faultline", buildVersion())
	return nil
}

// release is the version that deploy/build.sh gives; empty of other builds.
var release string

// buildVersion is the release, the module's version or, from a clone, its revision.
func buildVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	if v == "" || v == "(devel)" {
		return "devel"
	}
	return v
}
