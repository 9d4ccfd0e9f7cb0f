package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/rules"
)

// Config is the one configuration file. Every role reads the parts that it needs, so the same file
// can lie on every machine of an installation.
type Config struct {
	// Data is the directory of everything that is kept: streams, time series, SQL. Relative to the
	// file's own directory.
	Data string `yaml:"data"`
	// Sites that the gateways stand at. A gateway's site that is not listed gets its id as its name.
	Sites []SiteConfig `yaml:"sites"`
	// Hub is the stream that gateways write to and the centre reads.
	Hub HubConfig `yaml:"hub"`
	// Edge bounds what a gateway of a site keeps until, and after, the hub has it.
	Edge EdgeConfig `yaml:"edge"`
	// Uplink is how a gateway of a site sends to the hub.
	Uplink UplinkConfig `yaml:"uplink"`
	// Store is the SQL database.
	Store StoreConfig `yaml:"store"`
	// Influx is the time-series database.
	Influx InfluxConfig `yaml:"influx"`

	Grafana GrafanaConfig `yaml:"grafana"`
	// Gateways read the equipment, one per edge node.
	Gateways []gateway.Config `yaml:"gateways"`
	// Profiles are files of device profiles beside the shipped ones.
	Profiles []string `yaml:"profiles"`
	// Assets says what stands at the positions that the gateways read. Nothing here is required: a
	// first device must not need paperwork.
	Assets []AssetConfig `yaml:"assets"`
	// Contracts with the customers.
	Contracts []ContractConfig `yaml:"contracts"`
	// Calendars say when the desk works: clocks of a contract that names one count only that time.
	Calendars []CalendarConfig `yaml:"calendars"`
	// Warranty says how long products are covered.
	Warranty WarrantyConfig `yaml:"warranty"`
	// Rules are files of rules and inspection plans beside the shipped ones. One with the id of a
	// shipped rule replaces it.
	Rules RulesConfig `yaml:"rules"`
	// API is the console and the REST interface.
	API APIConfig `yaml:"api"`
	// Metrics is where a process without the API tells how it is.
	Metrics MetricsConfig `yaml:"metrics"`

	file     string
	text     []byte // of the file; nil of a configuration that a program made
	profiles *profile.Set
	rules    *rules.Set
}

// SiteConfig is a plant or building.
type SiteConfig struct {
	ID       string `yaml:"id"`
	Name     string `yaml:"name"`
	Customer string `yaml:"customer"`
	Region   string `yaml:"region"`
}

// HubConfig says where the hub is. Without a URL it is embedded in this process.
type HubConfig struct {
	URL        string `yaml:"url"`        // tls://host:port or wss://host:port of an external or another process's hub; commas between several
	Listen     string `yaml:"listen"`     // of the embedded hub, for gateways elsewhere: host:port or wss://host:port; empty: this process only
	TokenFile  string `yaml:"token_file"` // or the environment's FAULTLINE_HUB_TOKEN
	Partitions int    `yaml:"partitions"` // fixed when the hub is made: 1 embedded, 32 for an external one
	MaxBytes   int64  `yaml:"max_bytes"`  // of each partition's stream; 0: what fits (see docs/configuration.md)
	Replicas   int    `yaml:"replicas"`   // of each stream at an external cluster; 0: 3 where there are as many nodes
	// TLS: who this process is at the hub, and whom it trusts. With it, hub.listen asks gateways for theirs.
	TLS TLSConfig `yaml:"tls"`
}

// StoreConfig says where the SQL database is. Without a URL it is a SQLite file in the data directory.
type StoreConfig struct {
	URL string `yaml:"url"` // postgres://…; or the environment's FAULTLINE_STORE_URL
}

// InfluxConfig says where the time series are. Without a URL the engine is embedded.
type InfluxConfig struct {
	URL       string        `yaml:"url"`
	Database  string        `yaml:"database"`
	TokenFile string        `yaml:"token_file"`        // or the environment's FAULTLINE_INFLUX_TOKEN
	Org       string        `yaml:"org"`               // of 2.x
	Retention time.Duration `yaml:"retention"`         // of raw samples
	Minutes   time.Duration `yaml:"retention_minutes"` // of one-minute values; 0 keeps for ever
	Hours     time.Duration `yaml:"retention_hours"`   // of one-hour values and events; 0 keeps for ever
	Listen    string        `yaml:"listen"`            // of the embedded engine, for Grafana
	// Targets are other databases, for the data of some sites; those of all others go to the one above.
	Targets []InfluxTarget `yaml:"targets"`
}

// InfluxTarget is a database for the data of some sites. What it keeps is kept for as long as in the main one.
type InfluxTarget struct {
	Name      string   `yaml:"name"`  // for good: the place of its events goes by it
	Sites     []string `yaml:"sites"` // whose data are written and asked there
	URL       string   `yaml:"url"`
	Database  string   `yaml:"database"` // the main one's name unless given
	TokenFile string   `yaml:"token_file"`
	Org       string   `yaml:"org"`
}

// AssetConfig is what stands at a position.
type AssetConfig struct {
	Position     string    `yaml:"position"`
	Site         string    `yaml:"site"` // needed only where two sites use one position's name
	Name         string    `yaml:"name"`
	Parent       string    `yaml:"parent"`
	Serial       string    `yaml:"serial"`
	Model        string    `yaml:"model"`
	Manufacturer string    `yaml:"manufacturer"`
	Customer     string    `yaml:"customer"`     // the site's unless given
	Criticality  string    `yaml:"criticality"`  // A, B or C; C unless given
	ProductKind  string    `yaml:"product_kind"` // electronics, industrial or consumable
	Purchased    time.Time `yaml:"purchased"`
	Delivered    time.Time `yaml:"delivered"`
	Commissioned time.Time `yaml:"commissioned"`
	Accepted     time.Time `yaml:"accepted"`
	Firmware     string    `yaml:"firmware"`
	// Warranty agreed for this serial number; the product's if left out.
	Warranty *faultline.WarrantyTerm `yaml:"warranty"`
	// Labels are what people group assets by, such as line or building; rules may attach to them.
	Labels map[string]string `yaml:"labels"`
}

// RulesConfig says which rules apply.
type RulesConfig struct {
	Files []string `yaml:"files"`
}

// APIConfig is the console and the REST interface.
type APIConfig struct {
	Listen string `yaml:"listen"`
	URL    string `yaml:"url"` // where browsers find the console, for links from elsewhere
}

// GrafanaConfig is a Grafana with the dashboards of faultline dashboards, which pages link to.
type GrafanaConfig struct {
	URL string `yaml:"url"`
}

// MetricsConfig is a listener for Prometheus and health checks, for processes without the role api,
// which has its own.
type MetricsConfig struct {
	Listen string `yaml:"listen"`
}

// Default is the configuration of an empty file: everything embedded, on loopback.
func Default() Config {
	return Config{
		Data:   "faultline-data",
		Edge:   EdgeConfig{MaxBytes: 1 << 30, MaxAge: 7 * 24 * time.Hour, Pull: true, PullEvery: 5 * time.Second, Trial: 2 * time.Minute},
		Influx: InfluxConfig{Database: "faultline", Retention: 90 * 24 * time.Hour, Minutes: 365 * 24 * time.Hour, Hours: 5 * 365 * 24 * time.Hour},
		API:    APIConfig{Listen: "127.0.0.1:8080"},
	}
}

// LoadConfig reads a file, and with it the profiles and rules that it names. Every mistake is
// reported at once, with file, line and path.
func LoadConfig(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c := Default()
	c.file, c.text = file, data
	doc, _ := document.Decode(file, data, &c)
	errs := c.validate(doc.Problems())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &c, nil
}

// path makes a name in the file relative to the file's own directory.
func (c *Config) path(name string) string {
	if filepath.IsAbs(name) || c.file == "" {
		return name
	}
	return filepath.Join(filepath.Dir(c.file), name)
}

// positions joins what the gateways read with what is said about the assets there.
func (c *Config) positions() []faultline.Position {
	details := map[string]AssetConfig{}
	for _, a := range c.Assets {
		details[a.Site+"/"+a.Position] = a
	}
	customer := map[string]string{}
	for _, s := range c.Sites {
		customer[s.ID] = s.Customer
	}
	var out []faultline.Position
	for _, g := range c.Gateways {
		for _, d := range g.Devices {
			prof, _ := c.profiles.Get(d.Profile)
			a := details[g.Site+"/"+d.Position]
			if a.Customer == "" {
				a.Customer = customer[g.Site]
			}
			if a.Criticality == "" {
				a.Criticality = "C"
			}
			if a.Model == "" {
				a.Model = prof.Model
			}
			if a.Manufacturer == "" {
				a.Manufacturer = prof.Manufacturer
			}
			out = append(out, faultline.Position{
				Site: g.Site, ID: d.Position, Name: a.Name, Kind: prof.Kind, Gateway: g.ID,
				Profile: prof.ID(), Address: shownAddress(d), Parent: a.Parent, Points: writable(prof.DomainPoints(), d.Writable(prof)), Labels: a.Labels,
				Asset: faultline.Asset{
					Serial: a.Serial, Model: a.Model, Manufacturer: a.Manufacturer, Customer: a.Customer,
					Criticality: faultline.Criticality(a.Criticality), ProductKind: a.ProductKind,
					Purchased: a.Purchased, Delivered: a.Delivered, Commissioned: a.Commissioned,
					Accepted: a.Accepted, Firmware: a.Firmware, Warranty: a.Warranty,
				},
			})
		}
	}
	return out
}

// sites lists every site: those described and those that only a gateway names.
func (c *Config) sites() []faultline.Site {
	var out []faultline.Site
	seen := map[string]bool{}
	for _, s := range c.Sites {
		seen[s.ID] = true
		name := s.Name
		if name == "" {
			name = s.ID
		}
		out = append(out, faultline.Site{ID: s.ID, Name: name, Customer: s.Customer, Region: s.Region})
	}
	for _, g := range c.Gateways {
		if !seen[g.Site] {
			seen[g.Site] = true
			out = append(out, faultline.Site{ID: g.Site, Name: g.Site})
		}
	}
	return out
}

// secret reads a secret from its file or from the environment, in this order.
func (c *Config) secret(file, env string) (string, error) {
	if file == "" {
		return os.Getenv(env), nil
	}
	b, err := os.ReadFile(c.path(file))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
