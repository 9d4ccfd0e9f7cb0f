package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/gateway/provision"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/document"
)

// gatewayDocument is what is versioned of a gateway: its entry in the file, and those of the profiles it
// names that do not come with the program.
type gatewayDocument struct {
	Gateways []gateway.Config `yaml:"gateways"` // one
	Profiles []string         `yaml:"profiles"` // as text
}

// gatewayDocuments are the documents that the file makes, by gateway; none of a configuration that was not read from
// a file.
func (c *Config) gatewayDocuments() (map[string]string, error) {
	out := map[string]string{}
	if c.text == nil {
		return out, nil
	}
	items, err := document.Items(c.text, "gateways")
	if err != nil {
		return nil, err
	}
	if len(items) != len(c.Gateways) {
		return nil, fmt.Errorf("%w: %s: %d gateways as text, %d as read", faultline.ErrInvalid, c.file, len(items), len(c.Gateways))
	}
	library, err := profile.Library()
	if err != nil {
		return nil, err
	}
	for i, g := range c.Gateways {
		body := strings.TrimRight(items[i], "\n") + "\n"
		seen := map[string]bool{}
		for _, d := range g.Devices {
			p, err := c.profiles.Get(d.Profile)
			if err != nil {
				return nil, err
			}
			text := p.YAML()
			if shipped, err := library.Get(p.Name); seen[p.Name] || err == nil && bytes.Equal(shipped.YAML(), text) {
				continue
			}
			if len(seen) == 0 {
				body += "profiles:\n"
			}
			seen[p.Name] = true
			body += "  - |\n    " + strings.ReplaceAll(strings.TrimRight(string(text), "\n"), "\n", "\n    ") + "\n"
		}
		out[g.ID] = body
	}
	return out, nil
}

// readGateway checks a version of a gateway's document as faultline check does a file. Files that it names lie at the gateway, beside
// its own configuration file.
func (c *Config) readGateway(id, site string, d bus.GatewayConfig) (g gateway.Config, set *profile.Set, err error) {
	var doc gatewayDocument
	read, _ := document.Decode(fmt.Sprintf("version %d of gateway %s", d.Version, id), []byte(d.Body), &doc)
	p := read.Problems()
	texts := make([]profile.Written, len(doc.Profiles))
	for i, t := range doc.Profiles {
		texts[i] = profile.Written{File: fmt.Sprintf("profile %d of version %d of gateway %s", i+1, d.Version, id), Data: []byte(t)}
	}
	set, err = profile.LoadTexts(texts...)
	switch {
	case err != nil:
	case len(doc.Gateways) != 1:
		p.Add("gateways", "%d gateways: a gateway's document is about itself alone", len(doc.Gateways))
	default:
		g = doc.Gateways[0]
		g.Validate(p, "gateways[0]", set)
		c.locate(p, "gateways[0]", &g)
		if g.ID != id || g.Site != site {
			p.Add("gateways[0].id", "this is gateway %s of site %s, not %s of %s: a name is for ever", id, site, g.ID, g.Site)
		}
	}
	return g, set, errors.Join(p.Err(), err)
}

// gatewayRun is what a gateway of this process stands on.
type gatewayRun struct {
	own    gateway.Config
	writer *bus.Publisher
	live   func(faultline.Frame)
	read   func(context.Context) (bus.GatewayConfig, error)
	take   *orders
	clock  *hubTime // of a hub elsewhere; nil: it is in this process
}

// keepGateway makes what runs a gateway on the configuration that counts.
func (n *node) keepGateway(ctx context.Context, r gatewayRun) (*provision.Keeper, error) {
	docs, err := n.cfg.gatewayDocuments()
	if err != nil {
		return nil, err
	}
	o := provision.Options{
		File: filepath.Join(n.cfg.dataDir(), "gateway-"+r.own.ID+".json"), Own: bus.GatewayConfig{Body: docs[r.own.ID]}, Trial: n.cfg.Edge.Trial, Every: n.cfg.Edge.PullEvery,
		Log: n.log.With("gateway", r.own.ID),
	}
	if n.cfg.Edge.Pull && n.cfg.text != nil {
		o.Read = r.read
	}
	if n.store != nil && o.Read != nil { // the hub is here: what is live is known
		live, err := n.store.Revision(ctx, faultline.DocumentGateway, r.own.ID, 0)
		if err == nil {
			o.Own, o.Fresh = bus.GatewayConfig{Version: live.Version, Body: live.Body}, true
		} else if !errors.Is(err, faultline.ErrNotFound) {
			return nil, err
		}
	}
	var k *provision.Keeper
	o.Make = func(d bus.GatewayConfig) (*provision.Candidate, error) {
		g, profiles := r.own, n.cfg.profiles
		if d.Version > 0 {
			var err error
			if g, profiles, err = n.cfg.readGateway(r.own.ID, r.own.Site, d); err != nil {
				return nil, err
			}
			for _, p := range ownWritesOnly(&g, profiles, &r.own, n.cfg.profiles) {
				n.log.Warn("nothing of this equipment can be written: the gateway's own file must say of it what the hub's version says", "gateway", g.ID, "position", p, "version", d.Version)
			}
		}
		options := gateway.Options{
			Config: g, Profiles: profiles, Sink: keptSink{countingSink{r.writer, &n.samples}, func(p string) { k.Good(p) }}, Version: buildVersion(),
			Live: r.live, ClockError: testClock(), HubTime: r.clock != nil,
			Recent: func(ctx context.Context) ([]faultline.Frame, error) { return r.writer.Recent(ctx, recentFrames) },
			Log:    n.log,
		}
		if _, err := gateway.New(options); err != nil { // reads secrets and certificates; connects to nothing
			return nil, err
		}
		c := &provision.Candidate{Run: func(ctx context.Context) error {
			own := &ownMetrics{Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"gateway": g.ID}, n.registry)}
			defer own.release()
			o := options
			o.Registry = own
			gw, err := gateway.New(o)
			if err != nil {
				return err
			}
			r.take.gateway.Store(gw)
			defer r.take.gateway.Store(nil)
			if r.clock != nil {
				r.clock.runs(gw)
			}
			return gw.Run(ctx)
		}}
		for _, d := range g.Devices {
			c.Positions = append(c.Positions, d.Position)
		}
		return c, nil
	}
	k, err = provision.New(o)
	return k, err
}

// keptSink tells of positions that gave a good sample.
type keptSink struct {
	gateway.Sink
	good func(position string)
}

func (s keptSink) Publish(ctx context.Context, f faultline.Frame, m bus.Meta) error {
	if err := s.Sink.Publish(ctx, f, m); err != nil || f.Kind == faultline.HealthKind {
		return err
	}
	for i := range f.Samples {
		if f.Samples[i].Quality.IsGood() {
			s.good(f.Position)
			break
		}
	}
	return nil
}

// ownMetrics takes back what was registered through it, so that a gateway that starts again can register anew.
type ownMetrics struct {
	prometheus.Registerer
	list []prometheus.Collector
}

func (r *ownMetrics) Register(c prometheus.Collector) error {
	err := r.Registerer.Register(c)
	if err == nil {
		r.list = append(r.list, c)
	}
	return err
}

func (r *ownMetrics) MustRegister(list ...prometheus.Collector) {
	r.Registerer.MustRegister(list...)
	r.list = append(r.list, list...)
}

func (r *ownMetrics) release() {
	for _, c := range r.list {
		r.Unregister(c)
	}
}

// byFile is the hand of versions that come from the configuration file.
const byFile = "file"

// seedGateways makes versions of what the file says, unless people have edited them.
func (n *node) seedGateways(ctx context.Context) error {
	docs, err := n.cfg.gatewayDocuments()
	if err != nil {
		return err
	}
	for _, g := range n.cfg.Gateways {
		body, ok := docs[g.ID]
		if !ok {
			continue
		}
		r := faultline.Revision{Kind: faultline.DocumentGateway, Name: g.ID, By: byFile, At: time.Now().UTC(), Body: body}
		is, seeded, err := n.store.SeedRevision(ctx, r)
		switch {
		case err != nil:
			return err
		case seeded:
			n.log.Info("the configuration file made a version of a gateway's configuration", "gateway", g.ID, "version", is.Version)
		case is.Body != body:
			n.log.Warn("the configuration file says something else about a gateway than what is in force, which somebody edited; faultline apply -dry-run shows it, faultline apply takes the file's",
				"gateway", g.ID, "version", is.Version, "by", is.By)
		}
	}
	return nil
}

// lookEvery is how soon the centre puts a new version where its gateway reads it.
const lookEvery = 2 * time.Second

// putConfigs puts the live versions where gateways read them, until ctx ends. Every process of the centre does:
// the last look wins, and each sees the same.
func (n *node) putConfigs(ctx context.Context) error {
	put := map[string]int{}
	failing := false
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := n.putNew(ctx, put)
		if err != nil && !failing && ctx.Err() == nil && !errors.Is(err, faultline.ErrConflict) {
			n.log.Warn("configurations of gateways could not be put at the hub; trying again", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *node) putNew(ctx context.Context, put map[string]int) error {
	live, err := n.store.LiveVersions(ctx, faultline.DocumentGateway)
	if err != nil {
		return err
	}
	var errs []error
	for name, version := range live {
		if put[name] == version {
			continue
		}
		r, err := n.store.Revision(ctx, faultline.DocumentGateway, name, version)
		if err == nil {
			err = n.putConfig(ctx, r)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		put[name] = version
	}
	return errors.Join(errs...)
}

func (n *node) putConfig(ctx context.Context, r faultline.Revision) error {
	var doc gatewayDocument
	if _, err := document.Decode(r.Name, []byte(r.Body), &doc); err != nil || len(doc.Gateways) != 1 {
		return errors.Join(fmt.Errorf("%w: version %d of gateway %s does not say which site it is for", faultline.ErrInvalid, r.Version, r.Name), err)
	}
	return n.hub.PutConfig(ctx, doc.Gateways[0].Site, r.Name, bus.GatewayConfig{Version: r.Version, Body: r.Body})
}
