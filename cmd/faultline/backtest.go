package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/backtest"
	"github.com/prometheus/client_golang/prometheus"
)

// trial is what backtest was asked for.
type trial struct {
	rule, id, asset, config, csv, profile, out string
	from, to                                   time.Time
	closeAfter                                 time.Duration
	json, raw                                  bool

	cfg      *Config // nil without -config
	set      *rules.Set
	position faultline.Position
	were     []backtest.Activation
	notes    []string
}

// longestRaw is the longest time whose readings are taken as they were, unless -raw is given.
const longestRaw = 31 * 24 * time.Hour

// backtestCommand tries rules on the past.
func backtestCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	var t trial
	fs.StringVar(&t.rule, "rule", "", "`FILE` of the rules to try; they stand over the shipped ones")
	fs.StringVar(&t.id, "id", "", "try the rule of this `ID` only; without -rule one of the configuration or a shipped one")
	fs.StringVar(&t.asset, "asset", "", "the `POSITION` whose past is taken, or SITE/POSITION (required)")
	fs.StringVar(&t.config, "config", "", "the configuration `FILE`: where history, real alarms and the asset's points are")
	fs.StringVar(&t.csv, "csv", "", "take the history from a table: `FILE` with the columns time and names of points")
	fs.StringVar(&t.profile, "profile", "", "without -config: device profile `NAME` that says units and texts of the table's points")
	fs.Func("from", "`TIME` of the beginning, such as 2026-03-01 or 2026-03-01T08:00:00Z; default: seven days before -to, or all of the table", moment(&t.from))
	fs.Func("to", "`TIME` of the end; default: now, or all of the table", moment(&t.to))
	fs.StringVar(&t.out, "out", "", "draw a picture of each alarm into this `DIRECTORY`")
	fs.DurationVar(&t.closeAfter, "close-after", 24*time.Hour, "take tickets as closed this long after their recovery")
	fs.BoolVar(&t.raw, "raw", false, "take readings as they were for more than 31 days too (slow)")
	fs.BoolVar(&t.json, "json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	switch {
	case t.asset == "":
		fmt.Fprintln(fs.Output(), "faultline backtest: -asset is needed")
		return errUsage
	case t.rule == "" && t.id == "":
		fmt.Fprintln(fs.Output(), "faultline backtest: -rule FILE or -id RULE is needed")
		return errUsage
	case t.config == "" && t.csv == "":
		fmt.Fprintln(fs.Output(), "faultline backtest: -config FILE or -csv FILE is needed: where is the history?")
		return errUsage
	}
	if err := t.prepare(); err != nil {
		return err
	}
	report, err := t.run(ctx, fs.Output())
	if err != nil {
		return err
	}
	report.Notes = append(report.Notes, t.notes...)
	if t.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(report); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	} else {
		showBacktest(out, report)
	}
	if t.out != "" {
		n, err := draw(t.out, report)
		if err != nil {
			return err
		}
		if !t.json {
			fmt.Fprintf(out, "%d pictures in %s\n", n, t.out)
		}
	}
	return nil
}

// moment reads a time or date, in UTC unless it says otherwise.
func moment(to *time.Time) func(string) error {
	return func(s string) (err error) {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
			if *to, err = time.Parse(layout, s); err == nil {
				return nil
			}
		}
		return errors.New("write 2026-03-01 or 2026-03-01T08:00:00Z")
	}
}

// prepare finds the rules and the position.
func (t *trial) prepare() (err error) {
	base, err := rules.Library()
	if err != nil {
		return err
	}
	if t.config != "" {
		if t.cfg, err = LoadConfig(t.config); err != nil {
			return err
		}
		base = t.cfg.rules
	}
	t.set = base
	if t.rule != "" {
		data, err := os.ReadFile(t.rule)
		if err != nil {
			return fmt.Errorf("read the rules: %w", err)
		}
		if t.set, err = rules.Load(base, rules.File{Name: t.rule, Data: data}); err != nil {
			return err
		}
	}
	ids := []string{t.id}
	if t.id == "" {
		if ids = changed(base, t.set); len(ids) == 0 {
			return fmt.Errorf("all rules in %s are there already as they are: name one with -id", t.rule)
		}
	}
	if t.set, err = t.set.Only(ids...); err != nil {
		return err
	}
	return t.place()
}

// changed lists the rules of set that are not so in base.
func changed(base, set *rules.Set) (ids []string) {
	for _, r := range set.Rules() {
		i := slices.IndexFunc(base.Rules(), func(o *rules.Rule) bool { return o.ID == r.ID })
		if i < 0 || !reflect.DeepEqual(base.Rules()[i], r) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// place finds the position in the configuration, or makes one up for a table.
func (t *trial) place() error {
	site, id, found := strings.Cut(t.asset, "/")
	if !found {
		site, id = "", t.asset
	}
	if t.cfg != nil {
		var names []string
		for _, p := range t.cfg.positions() {
			names = append(names, p.Site+"/"+p.ID)
			if p.ID == id && (site == "" || p.Site == site) {
				t.position = p
				return nil
			}
		}
		return fmt.Errorf("%s has no position %s: it has %s", t.config, t.asset, strings.Join(names, ", "))
	}
	t.position = faultline.Position{Site: cmp.Or(site, "plant-1"), ID: id, Gateway: "gw-1"}
	if t.profile != "" {
		set, err := profile.Library()
		if err != nil {
			return err
		}
		p, err := set.Get(t.profile)
		if err != nil {
			return err
		}
		t.position.Kind, t.position.Points, t.position.Profile = p.Kind, p.DomainPoints(), p.ID()
		return nil
	}
	t.position.Kind = "unknown"
	for _, r := range t.set.Rules() { // the table is taken for what the rules are meant for
		if r.AssetKind != rules.AnyKind {
			t.position.Kind = r.AssetKind
		}
	}
	t.notes = append(t.notes, "without -profile or -config the columns are taken as numbers without units")
	return nil
}

// run tries the rules; progress goes to tell.
func (t *trial) run(ctx context.Context, tell io.Writer) (*backtest.Report, error) {
	o := backtest.Options{Set: t.set, From: t.from, To: t.to, CloseAfter: t.closeAfter, Pictures: -1}
	if t.out != "" {
		o.Pictures = 200
	}
	done := func() float64 { return -1 }
	if t.csv != "" {
		f, err := os.Open(t.csv)
		if err != nil {
			return nil, fmt.Errorf("open the table: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		table, err := backtest.NewCSV(t.csv, f, &t.position)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err == nil && info.Size() > 0 {
			done = func() float64 { return float64(table.Read()) / float64(info.Size()) }
		}
		o.Source = table
	}
	if t.cfg != nil {
		end, err := t.connect(ctx, &o)
		defer end()
		if err != nil {
			return nil, err
		}
		if t.csv == "" {
			done = nil
		}
	}
	o.Position = t.position
	last := time.Now()
	o.Progress = func(at time.Time) {
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		part := -1.0
		if done != nil {
			part = done()
		} else if span := o.To.Sub(o.From); span > 0 {
			part = float64(at.Sub(o.From)) / float64(span)
		}
		if part >= 0 {
			fmt.Fprintf(tell, "… %s, %.0f %%\n", at.UTC().Format("2006-01-02 15:04"), 100*part)
		} else {
			fmt.Fprintf(tell, "… %s\n", at.UTC().Format("2006-01-02 15:04"))
		}
	}
	r, err := backtest.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	r.Compare(t.were)
	return r, nil
}

// connect opens what the configuration names: the real alarms, and the history unless a table has it.
// end must be called, also after an error.
func (t *trial) connect(ctx context.Context, o *backtest.Options) (end func(), err error) {
	n := &node{cfg: t.cfg, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
	end = func() {
		for _, c := range slices.Backward(n.closers) {
			_ = c() // it was only read
		}
	}
	if o.To.IsZero() && t.csv == "" {
		o.To = time.Now().UTC()
	}
	if o.From.IsZero() && t.csv == "" {
		o.From = o.To.Add(-7 * 24 * time.Hour)
	}
	if t.csv == "" && !o.From.Before(o.To) {
		return end, errors.New("-from must be before -to")
	}
	_, dirErr := os.Stat(t.cfg.dataDir())
	nothing := errors.Is(dirErr, fs.ErrNotExist)
	inUse := false
	switch err := t.real(ctx, n, nothing); {
	case errors.Is(err, faultline.ErrConflict):
		inUse = true
		t.notes = append(t.notes, "the alarms that were really raised are not shown: another process has the store open")
	case err != nil:
		return end, err
	}
	if t.csv != "" {
		return end, nil
	}
	switch {
	case t.cfg.Influx.URL == "" && nothing:
		return end, fmt.Errorf("there is no history yet: %s does not exist", t.cfg.dataDir())
	case t.cfg.Influx.URL == "" && inUse:
		return end, errors.New("a running faultline has the history open: stop it, or set influx.url so that both can read; -csv takes the history from a table")
	}
	if err := n.openInflux(ctx); err != nil {
		return end, err
	}
	until, err := n.influx.MadeUpUntil(ctx, t.position.Kind, t.position.Site, t.position.ID)
	if err != nil {
		return end, err
	}
	if until.After(o.From) {
		t.notes = append(t.notes, "history up to "+stamp(until)+" is made up for a demonstration")
	}
	condensed := o.To.Sub(o.From) > longestRaw && !t.raw
	points := t.set.Watched(&t.position)
	o.Source = backtest.NewInflux(n.influx, t.position, points[:min(len(points), 200)], condensed)
	if condensed {
		t.notes = append(t.notes, "more than 31 days: condensed data were taken, in which what lasts less than a minute cannot be seen; -raw takes the readings")
	}
	return end, nil
}

// real reads the alarms that were really raised.
func (t *trial) real(ctx context.Context, n *node, nothing bool) error {
	if t.cfg.storeURL() == "" && nothing {
		return nil
	}
	if err := n.openStore(ctx); err != nil {
		return err
	}
	var ids []string
	for _, i := range t.set.Instances([]faultline.Position{t.position}) {
		ids = append(ids, i.Rule)
	}
	var err error
	t.were, err = backtest.Activations(ctx, n.store, t.position.Site, t.position.ID, ids)
	return err
}
