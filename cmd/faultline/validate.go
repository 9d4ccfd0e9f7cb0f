package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules"
)

// validate checks everything and gives the problems of this file first, then those of the profile
// and rule files.
func (c *Config) validate(p *document.Problems) (errs []error) {
	c.loadProfiles(p, &errs)
	c.loadRules(p, &errs)

	sites := map[string]bool{}
	for i, s := range c.Sites {
		at := fmt.Sprintf("sites[%d].id", i)
		check(p, at, faultline.CheckName("site", s.ID))
		if sites[s.ID] {
			p.Add(at, "site %q is listed twice", s.ID)
		}
		sites[s.ID] = true
	}
	c.validateParts(p)
	known := c.validateGateways(p)
	c.validateAssets(p, known)
	c.validateDesk(p)
	if err := p.Err(); err != nil {
		errs = append([]error{err}, errs...)
	}
	return errs
}

func check(p *document.Problems, path string, err error) {
	if err != nil {
		p.Add(path, "%s", err)
	}
}

// shownAddress is how people know a device's address.
func shownAddress(d gateway.Device) string {
	switch {
	case d.Address != "" && d.Unit != nil:
		return fmt.Sprintf("%s unit %d", d.Address, *d.Unit)
	case d.Address != "":
		return d.Address
	case d.Topic != "":
		return "mqtt " + d.Topic
	}
	return "mqtt"
}

func (c *Config) loadProfiles(p *document.Problems, errs *[]error) {
	var files []string
	for i, f := range c.Profiles {
		if f = c.path(f); missing(f) {
			p.Add(fmt.Sprintf("profiles[%d]", i), "no such file: %s", f)
			continue
		}
		files = append(files, f)
	}
	var err error
	if c.profiles, err = profile.Load(files...); err != nil {
		*errs = append(*errs, err)
		c.profiles, _ = profile.Library()
	}
}

func (c *Config) loadRules(p *document.Problems, errs *[]error) {
	base, err := rules.Library()
	if err != nil {
		*errs = append(*errs, err)
		return
	}
	var files []rules.File
	for i, f := range c.Rules.Files {
		data, err := os.ReadFile(c.path(f))
		if err != nil {
			p.Add(fmt.Sprintf("rules.files[%d]", i), "%v", err)
			continue
		}
		files = append(files, rules.File{Name: c.path(f), Data: data})
	}
	if c.rules, err = rules.Load(base, files...); err != nil {
		*errs = append(*errs, err)
		c.rules = base
	}
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return err != nil
}

// validateParts checks addresses.
func (c *Config) validateParts(p *document.Problems) {
	if c.Data == "" {
		p.Add("data", "is empty: name a directory")
	}
	listen := func(path, addr string) {
		if addr == "" {
			return
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			p.Add(path, "%q is no address: write host:port, such as 127.0.0.1:8080", addr)
		}
	}
	listen("hub.listen", hubListen(c.Hub.Listen))
	c.validateEdge(p)
	listen("influx.listen", c.Influx.Listen)
	listen("api.listen", c.API.Listen)
	listen("metrics.listen", c.Metrics.Listen)
	if c.API.Listen == "" {
		p.Add("api.listen", "is empty: write host:port, such as 127.0.0.1:8080")
	}
	link := func(path, s string, schemes ...string) {
		if s == "" {
			return
		}
		u, err := url.Parse(s)
		socket := err == nil && path == "store.url" && u.Query().Get("host") != "" // of PostgreSQL: a directory
		if err != nil || u.Host == "" && !socket || !slices.Contains(schemes, u.Scheme) {
			p.Add(path, "%q is no address: write %s://host:port", redact(s), strings.Join(schemes, ":// or "))
		} else if _, has := u.User.Password(); has && path != "store.url" {
			p.Add(path, "holds a password: put secrets into a file or the environment")
		}
	}
	for u := range strings.SplitSeq(c.Hub.URL, ",") {
		link("hub.url", u, "nats", "tls", "ws", "wss")
	}
	link("influx.url", c.Influx.URL, "http", "https")
	link("api.url", c.API.URL, "http", "https")
	link("grafana.url", c.Grafana.URL, "http", "https")
	link("store.url", c.Store.URL, "postgres", "postgresql", "sqlite")
	if c.Hub.URL != "" && c.Hub.Listen != "" {
		p.Add("hub.listen", "is for the embedded hub, but hub.url names another one: remove one of them")
	}
	if c.Influx.URL != "" && c.Influx.Listen != "" {
		p.Add("influx.listen", "is for the embedded engine, but influx.url names another one: remove one of them")
	}
	targeted, named := map[string]string{}, map[string]bool{}
	for i, t := range c.Influx.Targets {
		at := fmt.Sprintf("influx.targets[%d]", i)
		if err := faultline.CheckName("target", t.Name); err != nil {
			p.Add(at+".name", "%v", err)
		} else if named[t.Name] {
			p.Add(at+".name", "%q is the name of another target too", t.Name)
		}
		named[t.Name] = true
		if t.URL == "" {
			p.Add(at+".url", "is missing: a target is an InfluxDB of its own")
		}
		link(at+".url", t.URL, "http", "https")
		if len(t.Sites) == 0 {
			p.Add(at+".sites", "is empty: list the sites whose data go there")
		}
		for _, site := range t.Sites {
			if other, is := targeted[site]; is {
				p.Add(at+".sites", "the data of %q go to %q already", site, other)
			}
			targeted[site] = t.Name
		}
	}
	if c.Influx.Database == "" {
		p.Add("influx.database", "is empty")
	}
	if c.Influx.Retention < 24*time.Hour {
		p.Add("influx.retention", "%s is too short: at least 24h", c.Influx.Retention)
	}
	for path, d := range map[string]time.Duration{"influx.retention_minutes": c.Influx.Minutes, "influx.retention_hours": c.Influx.Hours} {
		if d < 0 {
			p.Add(path, "%s is negative: write 8760h for a year, 0 for ever", d)
		}
	}
	if c.Hub.Partitions < 0 || c.Hub.Partitions > 256 {
		p.Add("hub.partitions", "%d: use 1 to 256, or leave it out", c.Hub.Partitions)
	}
	if c.Hub.MaxBytes != 0 && c.Hub.MaxBytes < 16<<20 {
		p.Add("hub.max_bytes", "%d is too small: at least 16 MiB (16777216)", c.Hub.MaxBytes)
	}
	for path, f := range map[string]string{"hub.token_file": c.Hub.TokenFile, "influx.token_file": c.Influx.TokenFile} {
		if f != "" && missing(c.path(f)) {
			p.Add(path, "no such file: %s", c.path(f))
		}
	}
}

// redact removes what may be a secret from an address before it is shown.
func redact(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

// validateGateways checks the gateways and gives the sites of every position's name.
func (c *Config) validateGateways(p *document.Problems) map[string][]string {
	known, ids := map[string][]string{}, map[string]bool{}
	for i := range c.Gateways {
		g := &c.Gateways[i]
		at := fmt.Sprintf("gateways[%d]", i)
		g.Validate(p, at, c.profiles)
		if ids[g.ID] {
			p.Add(at+".id", "gateway %q is listed twice", g.ID)
		}
		ids[g.ID] = true
		c.locate(p, at, g)
		own := map[string]bool{} // the gateway itself has said what it reads twice
		for j, d := range g.Devices {
			if !own[d.Position] && slices.Contains(known[d.Position], g.Site) {
				p.Add(fmt.Sprintf("%s.devices[%d].position", at, j), "position %q of site %q is read by another gateway too", d.Position, g.Site)
			} else if !own[d.Position] {
				known[d.Position] = append(known[d.Position], g.Site)
			}
			own[d.Position] = true
		}
	}
	return known
}

// locate makes the files that a gateway names relative to the configuration's directory.
func (c *Config) locate(p *document.Problems, at string, g *gateway.Config) {
	m := &g.MQTT
	file := func(path string, name *string) {
		if *name == "" {
			return
		}
		if *name = c.path(*name); missing(*name) {
			p.Add(path, "no such file: %s", *name)
		}
	}
	certificates := func(path string, t *gateway.TLS) {
		file(path+".ca_file", &t.CAFile)
		file(path+".cert_file", &t.CertFile)
		file(path+".key_file", &t.KeyFile)
	}
	for i := range g.Devices {
		certificates(fmt.Sprintf("%s.devices[%d].tls", at, i), &g.Devices[i].TLS)
	}
	certificates(at+".mqtt.tls", &m.TLS)
	for i := range m.Users {
		file(fmt.Sprintf("%s.mqtt.users[%d].password_file", at, i), &m.Users[i].Secret.File)
	}
	for i := range m.Brokers {
		b := fmt.Sprintf("%s.mqtt.brokers[%d]", at, i)
		file(b+".password_file", &m.Brokers[i].Secret.File)
		certificates(b+".tls", &m.Brokers[i].TLS)
	}
}

func (c *Config) validateAssets(p *document.Problems, known map[string][]string) {
	seen := map[string]bool{}
	for i := range c.Assets {
		a := &c.Assets[i]
		at := fmt.Sprintf("assets[%d]", i)
		sites := known[a.Position]
		switch {
		case len(sites) == 0:
			p.Add(at+".position", "no gateway reads a position %q", a.Position)
		case a.Site == "" && len(sites) > 1:
			p.Add(at+".site", "is needed: position %q is at sites %s", a.Position, strings.Join(sites, ", "))
		case a.Site != "" && !slices.Contains(sites, a.Site):
			p.Add(at+".site", "position %q is not at site %q, but at %s", a.Position, a.Site, strings.Join(sites, ", "))
		case a.Site == "":
			a.Site = sites[0]
		}
		if key := a.Site + "/" + a.Position; seen[key] {
			p.Add(at+".position", "position %q is listed twice", a.Position)
		} else {
			seen[key] = true
		}
		if a.Criticality != "" && !slices.Contains([]string{"A", "B", "C"}, a.Criticality) {
			p.Add(at+".criticality", "%q: use A (stops the plant), B (hinders it) or C", a.Criticality)
		}
		for label := range a.Labels {
			if err := faultline.CheckName("label", label); err != nil {
				p.Add(at+".labels", "%s", err)
			}
		}
		if a.ProductKind != "" && !slices.ContainsFunc(c.warranty(), func(t faultline.WarrantyTerm) bool { return t.ProductKind == a.ProductKind }) {
			p.Add(at+".product_kind", "%q: use one that has a term: electronics, industrial or consumable, or those under warranty.terms", a.ProductKind)
		}
		if a.Warranty != nil {
			for _, problem := range a.Warranty.Check() {
				p.Add(at+".warranty", "%s", problem)
			}
		}
	}
}
