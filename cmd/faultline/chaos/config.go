package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names of what the installation consists of.
const (
	assetKind   = "chaos_device"
	tripRule    = "chaos-trip"
	highRule    = "chaos-high"
	mqttUser    = "equipment"
	hubToken    = "chaos-hub-token"
	influxToken = "chaos-influx-token"
	password    = "chaos-password"
	database    = "faultline"
	partitions  = 4
)

func pointName(i int) string { return fmt.Sprintf("v%02d", i) }

// writeProfiles writes the device profiles of both protocols and the rule that judges the signal.
func (p *plant) writeProfiles() error {
	head := func(name string) string {
		return "name: " + name + "\nversion: \"1\"\nkind: " + assetKind + "\ntitle: Chaos device\nmanufacturer: Faultline\nmodel: Chaos\nsource: docs/chaos.md\n"
	}
	modbus, mqtt := head("chaos-modbus")+"modbus: {order: ABCD}\npoints:\n", head("chaos-mqtt")+"mqtt: {time: at, id: n}\npoints:\n"
	point := func(name, kind, register, scale string) {
		modbus += fmt.Sprintf("  - {name: %s, type: %s, register: {table: input, %s}%s}\n", name, kind, register, scale)
		mqtt += fmt.Sprintf("  - {name: %s, type: %s, json: %s}\n", name, kind, name)
	}
	point("n", "int", "address: 0, data: uint32", "")
	point("level", "float", "address: 2, data: uint16", ", scale: 0.1")
	for i := 1; i <= checked; i++ {
		point(pointName(i), "float", fmt.Sprintf("address: %d, data: uint16", i+2), "")
	}
	for name, text := range map[string]string{"modbus.profile.yaml": modbus, "mqtt.profile.yaml": mqtt, "chaos.rules.yaml": p.rules(), "hub.token": hubToken + "\n"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// rules judge the signal: on half of the devices an excursion is a trip, which always makes a ticket, on the
// others a warning, which is history when it is over before people could be told.
func (p *plant) rules() string {
	where := map[string][]string{}
	for _, d := range p.devices {
		where[d.rule()] = append(where[d.rule()], d.site+"/"+d.position)
	}
	text := "rules:\n"
	for id, limits := range map[string]string{tripRule: "{high: 80, high_high: 95}", highRule: "{high: 80}"} {
		text += fmt.Sprintf(`  - id: %s
    title: Level high
    kind: threshold
    asset_kind: %s
    positions: [%s]
    point: level
    limits: %s
    dead_band: 2
    on_delay: 2s
    off_delay: 2s
    failure_mode: chaos
    family: chaos
    suggest: remote
`, id, assetKind, strings.Join(where[id], ", "), limits)
	}
	return text
}

func (d *device) rule() string {
	if d.highHigh {
		return tripRule
	}
	return highRule
}

// addresses of the parts.
type addresses struct {
	hub        string // URL as the gateways see it
	centreHub  string // URL as the centre sees it; "": the hub is in the centre's process
	hubListen  string // of a hub in the centre's process
	influx     string // URL; "": in the centre's process
	influxHere string // where that one listens
	store      string // URL; "": SQLite
	api        string // host:port
	mqtt       map[string]string
	modbus     map[string]string // by position
}

// writeConfig writes the configuration of one part: the same installation, with a data directory of its own.
func (p *plant) writeConfig(name, data string, centre bool) (string, error) {
	a := p.at
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("data: %s", data)
	switch {
	case !centre:
		line("hub: {url: %q, partitions: %d}", a.hub, partitions)
		if p.lay.limit {
			line("edge: {max_bytes: %dMiB}", limitBytes>>20)
		}
	case a.centreHub == "":
		line("hub: {listen: %q, token_file: hub.token, partitions: %d, max_bytes: %d}", a.hubListen, partitions, hubPartition)
	default:
		line("hub: {url: %q, partitions: %d, max_bytes: %d}", a.centreHub, partitions, hubPartition)
	}
	if a.store != "" {
		line("store: {url: %q}", a.store)
	}
	if a.influx != "" {
		line("influx: {url: %q, database: %s}", a.influx, database)
	} else {
		line("influx: {listen: %q, database: %s}", a.influxHere, database)
	}
	line("api: {listen: %q}", a.api)
	line("profiles: [modbus.profile.yaml, mqtt.profile.yaml]\nrules: {files: [chaos.rules.yaml]}\ngateways:")
	for _, g := range p.gateways {
		line("  - id: %s\n    site: %s", g.id, g.site)
		line("    mqtt: {listen: %q, users: [{name: %s, password_env: FAULTLINE_CHAOS_PASSWORD}]}", a.mqtt[g.id], mqttUser)
		line("    devices:")
		for _, d := range p.devices {
			switch {
			case d.gateway != g.id:
			case a.modbus[d.position] != "":
				line("      - {position: %s, profile: chaos-modbus, address: \"tcp://%s\", period: %s, timeout: 2s}", d.position, a.modbus[d.position], p.opt.Period)
			default:
				line("      - {position: %s, profile: chaos-mqtt, topic: chaos/%s, username: %s}", d.position, d.position, mqttUser)
			}
		}
	}
	file := filepath.Join(p.dir, name+".yaml")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// hubPartition bounds each partition of the hub, so that all fit on its disk.
const hubPartition = 128 << 20
