package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// applyCommand makes what a file says about gateways, sites, positions and contracts the version in force.
func applyCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	file := fs.String("config", "", "the configuration `FILE` (required)")
	do := applyTask(fs)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *file == "" {
		fmt.Fprintln(fs.Output(), "faultline apply: -config FILE is needed")
		return errUsage
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return err
	}
	name, err := filepath.Abs(*file) // the process that runs stands elsewhere
	if err != nil {
		return err
	}
	if err := fs.Set("config", name); err != nil {
		return err
	}
	handed := []string{"-config", name}
	if fs.Lookup("dry-run").Value.String() == "true" {
		handed = append(handed, "-dry-run")
	}
	return doTask(ctx, cfg, "apply", handed, do, out, fs.Output())
}

func applyTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	dry := fs.Bool("dry-run", false, "show what would change, and change nothing")
	return func(ctx context.Context, n *node, out, _ io.Writer) error {
		cfg, err := LoadConfig(fs.Lookup("config").Value.String())
		if err != nil {
			return err
		}
		return n.apply(ctx, cfg, *dry, out)
	}
}

func (n *node) apply(ctx context.Context, cfg *Config, dry bool, out io.Writer) error {
	docs, err := cfg.gatewayDocuments()
	if err != nil {
		return err
	}
	if !dry { // before the gateways read them: rules and ingest know a position when its first frame comes
		if err := n.putRegistry(ctx, cfg); err != nil {
			return err
		}
	}
	changed := 0
	for _, g := range cfg.Gateways {
		live, err := n.store.Revision(ctx, faultline.DocumentGateway, g.ID, 0)
		if err != nil && !errors.Is(err, faultline.ErrNotFound) {
			return err
		}
		if live.Body == docs[g.ID] {
			continue
		}
		changed++
		fmt.Fprintf(out, "gateway %s, against version %d%s:\n%s", g.ID, live.Version, by(live), lineDiff(live.Body, docs[g.ID]))
		if dry {
			continue
		}
		r, err := n.writeGateway(ctx, g.ID, docs[g.ID])
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "gateway %s: version %d is in force; the gateway takes it over within a minute or two, and reports\n", g.ID, r.Version)
	}
	switch {
	case changed == 0:
		fmt.Fprintln(out, "every gateway's configuration is as the file says")
	case dry:
		fmt.Fprintf(out, "%d gateways would change; nothing was changed\n", changed)
	}
	return nil
}

func by(r faultline.Revision) string {
	if r.By == "" {
		return ""
	}
	return " by " + r.By
}

// writeGateway makes a new version live.
func (n *node) writeGateway(ctx context.Context, id, body string) (faultline.Revision, error) {
	newest := 0
	all, err := n.store.Revisions(ctx, faultline.DocumentGateway, id)
	if err != nil {
		return faultline.Revision{}, err
	}
	if len(all) > 0 {
		newest = all[0].Version
	}
	now := time.Now().UTC()
	r, err := n.store.AddRevision(ctx, faultline.Revision{Kind: faultline.DocumentGateway, Name: id, By: byFile, At: now, Note: "faultline apply", Body: body}, newest)
	if err != nil {
		return r, err
	}
	return n.store.MoveRevision(ctx, faultline.RevisionEvent{Kind: r.Kind, Name: id, Version: r.Version, State: faultline.RevisionLive, By: byFile, At: now}, -1)
}

// lineDiff shows lines that were removed and added, with two lines around them.
func lineDiff(was, is string) string {
	a, b := lines(was), lines(is)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out strings.Builder
	write := func(mark string, list []string) {
		for _, l := range list {
			out.WriteString(mark + l + "\n")
		}
	}
	const around = 2
	write("   ", a[max(head-around, 0):head])
	write(" - ", a[head:len(a)-tail])
	write(" + ", b[head:len(b)-tail])
	write("   ", a[len(a)-tail:min(len(a), len(a)-tail+around)])
	return out.String()
}

func lines(s string) []string {
	if s = strings.TrimRight(s, "\n"); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
