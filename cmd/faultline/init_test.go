package main

import (
	"bufio"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/firmware-sim/equipment"
)

// simulate starts equipment and gives the addresses of its Modbus devices.
func simulate(t *testing.T, devices ...equipment.DeviceConfig) (*equipment.Plant, map[string]string) {
	t.Helper()
	plant, err := equipment.New(equipment.Config{Seed: 1, Site: "north", Devices: devices})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- plant.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-plant.Ready()
	addresses := map[string]string{}
	for _, d := range plant.Devices() {
		addresses[d.Name] = d.Address
	}
	return plant, addresses
}

// From nothing to the live values of a first device, by flags.
func TestInitByFlags(t *testing.T) {
	_, at := simulate(t, equipment.DeviceConfig{Name: "P-1", Kind: "pump", Hours: 1248})
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	var out strings.Builder
	if err := dispatch(t.Context(), []string{"init", at["P-1"], "-profile", "sim-pump", "-position", "P-101", "-out", file, "-y"}, &out, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"running_hours", "1248", "good", "faultline run -config " + file} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it did not show %q:\n%s", want, out.String())
		}
	}
	if _, err := LoadConfig(file); err != nil {
		t.Error(err)
	}
	out.Reset()
	if err := dispatch(t.Context(), []string{"init", at["P-1"], "-profile", "sim-pump", "-out", file, "-y"}, &out, &out); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("an existing file: %v", err)
	}
	out.Reset()
	if err := dispatch(t.Context(), []string{"check", "-config", file, "-connect"}, &out, &out); err != nil || !strings.Contains(out.String(), "running_hours") {
		t.Errorf("check -connect: %v\n%s", err, out.String())
	}
}

// The shipped register list reads a device without a profile; the address is asked for.
func TestInitFromRegisterList(t *testing.T) {
	_, at := simulate(t, equipment.DeviceConfig{Name: "P-1", Kind: "pump", Hours: 77.7})
	dir := t.TempDir()
	list := filepath.Join(dir, "My Pump.csv")
	if err := os.WriteFile(list, []byte("name,table,address,type,unit,scale,as\nhours,input,20,uint32,h,0.1,float\nspeed,input,0,uint16,rpm,,int\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	a := answers{in: bufio.NewReader(strings.NewReader(at["P-1"] + "\n\n")), out: &out, csv: list, site: "north", unit: 1}
	p, err := a.complete(filepath.Join(dir, "f.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "my-pump" || a.position != "DEV-1" || a.address != "tcp://"+at["P-1"] {
		t.Errorf("profile %s, position %s, address %s", p.Name, a.position, a.address)
	}
	file := filepath.Join(dir, "faultline.yaml")
	out.Reset()
	if err := dispatch(t.Context(), []string{"init", "-csv", list, "-position", "P-1", "-out", file, "-y", at["P-1"]}, &out, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "77.7") {
		t.Errorf("the hours are not shown:\n%s", out.String())
	}
}

// A device that publishes gets a listener with a password, or is heard through a broker.
func TestInitForMQTT(t *testing.T) {
	for name, args := range map[string][]string{"listener": nil, "broker": {"tcp://192.168.1.9:1883"}} {
		file := filepath.Join(t.TempDir(), "faultline.yaml")
		var out strings.Builder
		if err := dispatch(t.Context(), append([]string{"init", "-profile", "sim-ups", "-position", "U-1", "-out", file, "-y"}, args...), &out, &out); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out.String())
		}
		cfg, err := LoadConfig(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m := cfg.Gateways[0].MQTT; (m.Listen == "") != (name == "broker") || (len(m.Brokers) == 0) != (name == "listener") {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// A device that does not answer leaves the file, and says what to check.
func TestInitSilentDevice(t *testing.T) {
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	var out strings.Builder
	err = dispatch(t.Context(), []string{"init", addr, "-profile", "sim-pump", "-position", "P-1", "-out", file, "-y"}, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "check") {
		t.Errorf("error %v", err)
	}
	if _, err := LoadConfig(file); err != nil {
		t.Error(err)
	}
}

func TestModbusAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.168.1.20": "tcp://192.168.1.20:502", "plc.local:1502": "tcp://plc.local:1502", "tcp://10.0.0.1": "tcp://10.0.0.1:502",
		"rtuovertcp://10.0.0.1:4001": "rtuovertcp://10.0.0.1:4001", "rtu:///dev/ttyUSB0?baud=9600": "rtu:///dev/ttyUSB0?baud=9600", "[::1]": "tcp://[::1]:502",
	} {
		if got, err := modbusAddress(in); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", in, got, err, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	var out strings.Builder
	if err := dispatch(t.Context(), nil, &out, &out); err != errUsage || !strings.Contains(out.String(), "faultline demo") {
		t.Errorf("without arguments: %v\n%s", err, out.String())
	}
	for _, c := range commands {
		out.Reset()
		if err := dispatch(t.Context(), []string{c.name, "-help"}, &out, &out); err != flag.ErrHelp || !strings.Contains(out.String(), c.about) {
			t.Errorf("%s -help: %v\n%s", c.name, err, out.String())
		}
	}
	for _, args := range [][]string{{"dmeo"}, {"demo", "extra"}, {"run"}, {"check"}, {"run", "-nonsense"}} {
		out.Reset()
		if err := dispatch(t.Context(), args, &out, &out); err != errUsage || out.Len() == 0 {
			t.Errorf("%q: %v", args, err)
		}
	}
}
