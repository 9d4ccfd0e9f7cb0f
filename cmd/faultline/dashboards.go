package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/grafana"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/kind"
)

// defaultConsole is where dashboards link to unless told otherwise.
const defaultConsole = "http://localhost:8080"

// dashboardsCommand writes Grafana's dashboards: of each asset kind, and of the product.
func dashboardsCommand(_ context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	config := fs.String("config", "", "`FILE` whose profiles, rules and console address to use; default the shipped library")
	dir := fs.String("out", "deploy/grafana/dashboards", "`DIR` for the files; others in it stay")
	console := fs.String("console", "", "`URL` of Faultline's console, where links go; default api.url of the configuration, or "+defaultConsole)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	list, err := dashboards(*config, *console)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the dashboards: %w", err)
	}
	for _, d := range list {
		if err := os.WriteFile(filepath.Join(*dir, d.UID+".json"), d.JSON(), 0o644); err != nil {
			return fmt.Errorf("write a dashboard: %w", err)
		}
	}
	fmt.Fprintf(out, "wrote %d dashboards to %s\n", len(list), *dir)
	return nil
}

// dashboards makes all dashboards, for a configuration file or the shipped library.
func dashboards(config, console string) ([]*grafana.Dashboard, error) {
	var profiles *profile.Set
	var set *rules.Set
	if config != "" {
		cfg, err := LoadConfig(config)
		if err != nil {
			return nil, err
		}
		profiles, set = cfg.profiles, cfg.rules
		if console == "" {
			console = cfg.API.URL
		}
	} else {
		var err error
		if profiles, err = profile.Library(); err != nil {
			return nil, err
		}
		if set, err = rules.Library(); err != nil {
			return nil, err
		}
	}
	if console == "" {
		console = defaultConsole
	}
	kinds, err := kindsOf(profiles, set)
	if err != nil {
		return nil, err
	}
	return grafana.Dashboards(kinds, console), nil
}

// kindsOf joins the profiles of each asset kind, in order of their names, and gives their points the limits of
// rules that hold wherever such an asset stands.
func kindsOf(profiles *profile.Set, set *rules.Set) ([]grafana.Kind, error) {
	byName := map[string]*grafana.Kind{}
	var names []string
	for _, name := range profiles.Names() {
		p, err := profiles.Get(name)
		if err != nil {
			return nil, err
		}
		k := byName[p.Kind]
		if k == nil {
			k = &grafana.Kind{Name: p.Kind}
			byName[p.Kind], names = k, append(names, p.Kind)
		}
		for _, point := range p.DomainPoints() {
			if !slices.ContainsFunc(k.Points, func(g grafana.Point) bool { return g.Name == point.Name }) {
				k.Points = append(k.Points, grafana.Point{Point: point, Limits: limitsOf(set, p.Kind, point.Name)})
			}
		}
	}
	slices.Sort(names)
	out := make([]grafana.Kind, 0, len(names))
	for _, n := range names {
		out = append(out, *byName[n])
	}
	return out, nil
}

// limitsOf lists the lines that rules of the kind draw on a point, each name once.
func limitsOf(set *rules.Set, assetKind, point string) (out []faultline.Limit) {
	for _, r := range set.Rules() {
		typ := kind.Find(r.Kind)
		if r.Disabled || r.AssetKind != assetKind || r.Point != point || len(r.Positions) > 0 || len(r.Labels) > 0 || typ == nil || typ.Limits == nil {
			continue
		}
		for _, l := range typ.Limits(&r.Settings) {
			if !slices.ContainsFunc(out, func(o faultline.Limit) bool { return o.Name == l.Name }) {
				out = append(out, l)
			}
		}
	}
	return out
}
