package equipment

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"regexp"
	"strings"
	"time"
)

// Config says which equipment to simulate and how. The zero value of every field has a default.
type Config struct {
	Seed    int64          // same seed, same values
	Site    string         // first level of MQTT topics; default "demo"
	Devices []DeviceConfig // default: those of Default
	Host    string         // where Modbus devices listen; default 127.0.0.1
	MQTT    Broker         // where MQTT devices publish; may be given later with Plant.SetBroker
	Script  []Event        // what goes wrong when, counted from the start of Run
	Tick    time.Duration  // step of the firmware, at least 1 ms; default 200 ms
	Speed   float64        // seconds of physics per second; default 1. Scripts, ramps and MQTT intervals keep real time
	Start   time.Time      // the physics' time of day at the start; default: when Run starts. Its zone is the plant's
	Log     *slog.Logger   // default: discards
}

// Broker is where MQTT devices publish.
type Broker struct {
	URL      string // tcp://host:port or ssl://host:port; "" means no broker
	Username string
	Password string
}

// DeviceConfig is one piece of equipment.
type DeviceConfig struct {
	Name     string        // letters, digits, ".", "_", "-"
	Kind     string        // one of Kinds()
	Serial   string        // default: made from kind and name; at most 16 ASCII characters
	Hours    float64       // running hours at the start
	WearRate float64       // hours added to hour meters and wear per hour running; default 1
	Listen   string        // Modbus: host:port; default Config.Host and any free port
	Unit     uint8         // Modbus unit id; default 1
	Topic    string        // MQTT; default <site>/<name>/telemetry
	Interval time.Duration // MQTT: between messages; default 1 s
	Replay   *Recording    // instead of a Kind: what it tells
}

// kindOf gives the device's kind.
func (d *DeviceConfig) kindOf() (*kind, error) {
	if d.Replay == nil {
		return kindNamed(d.Kind)
	}
	if err := d.Replay.check(); err != nil {
		return nil, err
	}
	return d.Replay.kind(), nil
}

// Default is the fleet of the demonstration.
func Default() []DeviceConfig {
	return []DeviceConfig{
		{Name: "P-101", Kind: "pump", Hours: 12480},
		{Name: "P-102", Kind: "pump", Hours: 3120},
		{Name: "C-201", Kind: "compressor", Hours: 3999.9, WearRate: 20},
		{Name: "CH-301", Kind: "chiller", Hours: 8760},
		{Name: "M-401", Kind: "meter", Hours: 26280},
		{Name: "U-501", Kind: "ups", Hours: 15000},
		{Name: "V-102", Kind: "vibration", Hours: 3120},
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// complete fills the defaults and reports every mistake at once.
func (c *Config) complete() error {
	if c.Site == "" {
		c.Site = "demo"
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Tick == 0 {
		c.Tick = 200 * time.Millisecond
	}
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Devices == nil {
		c.Devices = Default()
	} else {
		c.Devices = append([]DeviceConfig(nil), c.Devices...)
	}
	var errs []error
	if c.Tick < time.Millisecond {
		errs = append(errs, fmt.Errorf("tick %v: must be at least 1 ms", c.Tick))
	}
	if !(c.Speed > 0 && c.Speed <= 100000) {
		errs = append(errs, fmt.Errorf("speed %v: must be above 0 and at most 100000", c.Speed))
	}
	if strings.ContainsAny(c.Site, "+#\x00") {
		errs = append(errs, fmt.Errorf("site %q: must not hold MQTT wildcards", c.Site))
	}
	seen := map[string]bool{}
	for i := range c.Devices {
		d := &c.Devices[i]
		if err := d.complete(c); err != nil {
			errs = append(errs, fmt.Errorf("device %q: %w", d.Name, err))
		}
		if seen[d.Name] {
			errs = append(errs, fmt.Errorf("device %q: the name is taken", d.Name))
		}
		seen[d.Name] = true
	}
	return errors.Join(errs...)
}

func (d *DeviceConfig) complete(c *Config) error {
	var errs []error
	k, err := d.kindOf()
	if err != nil {
		return err
	}
	if !nameForm.MatchString(d.Name) {
		errs = append(errs, errors.New("a name has 1 to 64 letters, digits, \".\", \"_\" or \"-\""))
	}
	if d.WearRate == 0 {
		d.WearRate = 1
	}
	if !(d.WearRate > 0 && d.WearRate <= 1e6) {
		errs = append(errs, fmt.Errorf("wear rate %v: must be above 0 and at most 1e6", d.WearRate))
	}
	if !(d.Hours >= 0 && d.Hours <= 1e6) {
		errs = append(errs, fmt.Errorf("hours %v: must be from 0 to 1e6", d.Hours))
	}
	if d.Unit == 0 {
		d.Unit = 1
	}
	if d.Listen == "" {
		d.Listen = joinPort(c.Host, "0")
	}
	if d.Topic == "" {
		d.Topic = c.Site + "/" + d.Name + "/telemetry"
	}
	if strings.ContainsAny(d.Topic, "+#\x00") {
		errs = append(errs, fmt.Errorf("topic %q: must not hold MQTT wildcards", d.Topic))
	}
	if d.Interval == 0 {
		d.Interval = time.Second
	}
	if k.protocol == ProtocolMQTT && d.Interval < c.Tick {
		errs = append(errs, fmt.Errorf("interval %v: must be at least the tick, %v", d.Interval, c.Tick))
	}
	if d.Serial == "" {
		d.Serial = serialOf(k, d.Name)
	}
	for _, r := range d.Serial {
		if r < 0x20 || r > 0x7E || len(d.Serial) > 16 {
			errs = append(errs, fmt.Errorf("serial %q: at most 16 printable ASCII characters", d.Serial))
			break
		}
	}
	return errors.Join(errs...)
}

func serialOf(k *kind, name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s-%08d", strings.ToUpper(k.name[:2]), h.Sum32()%100000000)
}
