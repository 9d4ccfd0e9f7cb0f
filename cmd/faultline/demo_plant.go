package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/internal/document"
)

const (
	demoSite     = "harbour"
	demoGateway  = "gw-harbour"
	demoCustomer = "Harbour Foods"
	demoLeaser   = "Coldline Leasing"
	demoHubBytes = 256 << 20 // days of its frames; fits a small temporary disk
)

// demoAsset says what stands where in the demonstration.
type demoAsset struct {
	position, kind, profile, name, criticality, product, customer string
	monthsAgo                                                     int // commissioned
}

var demoAssets = []demoAsset{
	{"P-101", "pump", "sim-pump", "Cooling water pump 1", "A", "industrial", demoCustomer, 30},
	{"P-102", "pump", "sim-pump", "Cooling water pump 2", "B", "industrial", demoCustomer, 8},
	{"C-201", "compressor", "sim-compressor", "Compressed air", "B", "industrial", demoCustomer, 11},
	{"CH-301", "chiller", "sim-chiller", "Chilled water, cold store", "B", "industrial", demoLeaser, 26},
	{"M-401", "meter", "sim-meter", "Main incomer", "C", "electronics", demoCustomer, 40},
	{"U-501", "ups", "sim-ups", "Control room supply", "B", "electronics", demoCustomer, 10},
	{"V-102", "vibration", "sim-vibration", "Vibration of pump 2", "C", "electronics", demoCustomer, 8},
}

// demoWrites are the setpoints that may be written, by profile.
var demoWrites = map[string]string{
	"sim-compressor": ", writes: [{point: load_pressure, min: 5.5}, {point: run_command, four_eyes: true}]",
	"sim-chiller":    ", writes: [{point: chilled_water_setpoint}]",
}

// demoScript is what goes wrong: something breaks in the first half minute, something else degrades
// slowly, a sensor breaks, a device vanishes for a while, the mains dip. Times count from the start of
// the equipment. Each concerns another position, so each is one ticket.
var demoScript = []equipment.Event{
	{At: 8 * time.Second, Device: "P-101", Fault: "bearing_wear", Ramp: 15 * time.Second},
	{At: 10 * time.Second, Device: "CH-301", Fault: "refrigerant_leak", Ramp: 80 * time.Second},
	{At: 22 * time.Second, Device: "C-201", Fault: "sensor_open", Point: "dew_point"},
	{At: 28 * time.Second, Device: "M-401", Fault: "offline", For: 45 * time.Second},
	{At: 40 * time.Second, Device: "U-501", Fault: "power_dip", Ramp: 2 * time.Second, For: 25 * time.Second},
}

// demoConfig is the configuration of the demonstration: the same type that run reads from a file.
func demoConfig(dir, listen string, plant *equipment.Plant, now time.Time) (*Config, equipment.Broker, error) {
	broker := equipment.Broker{Username: "plant", Password: rand.Text()}
	address, err := freeAddress()
	if err != nil {
		return nil, broker, err
	}
	broker.URL = "tcp://" + address
	text := fmt.Sprintf("data: %q\nsites: [{id: %s, name: Harbour plant, customer: %s, region: EU}]\nhub: {max_bytes: %d}\napi: {listen: %q}\n", dir, demoSite, demoCustomer, demoHubBytes, listen)
	text += fmt.Sprintf("gateways:\n  - id: %s\n    site: %s\n    mqtt: {listen: %q}\n    devices:\n", demoGateway, demoSite, address)
	profiles := map[string]string{}
	for _, a := range demoAssets {
		profiles[a.position] = a.profile
	}
	serials := map[string]string{}
	for _, d := range plant.Devices() {
		serials[d.Name] = d.Serial
		if d.Protocol == equipment.ProtocolModbus {
			text += fmt.Sprintf("      - {position: %s, profile: %s, address: %q, unit: %d, period: 1s%s}\n", d.Name, profiles[d.Name], "tcp://"+d.Address, d.Unit, demoWrites[profiles[d.Name]])
		} else {
			text += fmt.Sprintf("      - {position: %s, profile: %s}\n", d.Name, profiles[d.Name]) // publishes to site/position/telemetry
		}
	}
	text += "assets:\n"
	day := func(months int) string { return now.AddDate(0, -months, 0).Format(time.DateOnly) }
	for _, a := range demoAssets {
		text += fmt.Sprintf("  - {position: %s, name: %q, serial: %q, customer: %s, criticality: %s, product_kind: %s, purchased: %s, commissioned: %s}\n",
			a.position, a.name, serials[a.position], a.customer, a.criticality, a.product, day(a.monthsAgo+1), day(a.monthsAgo))
	}
	text += fmt.Sprintf("contracts:\n  - {id: HF-2025-07, name: Full service, customer: %s, from: %s, until: %s}\n", demoCustomer, day(12), now.AddDate(0, 0, 19).Format(time.DateOnly))
	text += fmt.Sprintf("  - {id: CL-2024-02, name: Cooling care, customer: %s, from: %s, until: %s}\n", demoLeaser, day(20), day(-16))

	cfg := Default()
	doc, _ := document.Decode("the demonstration's configuration", []byte(text), &cfg)
	if len(cfg.Gateways) == 1 {
		cfg.Gateways[0].MQTT.Users = []gateway.User{{Name: broker.Username, Secret: gateway.Secret{Value: broker.Password}, Topics: []string{demoSite + "/#"}}}
	}
	return &cfg, broker, errors.Join(cfg.validate(doc.Problems())...)
}

// freeAddress finds a free port on loopback. Between this and its use somebody else could take it; the
// listener then says so.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
