package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
)

// command runs a subcommand as a person would.
func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := dispatch(t.Context(), args, &out, &out)
	return out.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := runCommand(t, args...)
	if err != nil {
		t.Fatalf("faultline %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// A gateway of a site and the centre with certificates of faultline certs, over WebSocket and at a limited
// rate. Then every certificate and the authority are replaced: the gateway's process is not restarted,
// nothing is missing, and a setpoint is written before and after.
func TestSiteAndCentreWithCertificates(t *testing.T) {
	plant, at := simulate(t, equipment.DeviceConfig{Name: "C-1", Kind: "compressor", Hours: 10})
	hub, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	mustRun(t, "certs", "ca", "-dir", certs)
	mustRun(t, "certs", "hub", "-dir", certs, "-host", "127.0.0.1,localhost")
	mustRun(t, "certs", "gateway", "-dir", certs, "-site", "north", "-name", "gw-1")
	if out := mustRun(t, "certs", "list", "-dir", certs); strings.Count(out, "\n") != 4 || !strings.Contains(out, "gateway") {
		t.Errorf("%s", out)
	}
	shared := fmt.Sprintf("gateways: [{id: gw-1, site: north, devices: [{position: C-1, profile: sim-compressor, address: \"tcp://%s\", period: 100ms, writes: [{point: load_pressure}]}]}]\napi: {listen: \"127.0.0.1:0\"}\n", at["C-1"])
	tls := func(name string) string {
		return fmt.Sprintf("tls: {ca_file: %[1]s/ca.pem, cert_file: \"%[1]s/%[2]s.pem\", key_file: \"%[1]s/%[2]s-key.pem\"}", certs, name)
	}
	centreCfg := load(t, fmt.Sprintf("hub: {listen: \"wss://%s\", %s}\n", hub, tls("hub"))+shared)
	siteCfg := load(t, fmt.Sprintf("hub: {url: \"wss://%s\", %s}\nuplink: {max_rate: 64kB/s}\n", hub, tls("{gateway}"))+shared)

	centre, stopCentre := start(t, centreCfg, roleIngest, roleRules, roleAPI)
	site, stopSite := start(t, siteCfg, roleGateway)
	write := func(value string) {
		t.Helper()
		var w faultline.Write
		eventually(t, "the gateway takes orders", func() bool {
			w, _ = post[faultline.Write](t, centre.api.URL()+"/api/v1/assets/north/C-1/points/load_pressure/write", `{"value":`+value+`,"reason":"test"}`)
			return w.Status != faultline.WriteFailed
		})
		if v, err := plant.Values("C-1"); err != nil || w.Status != faultline.WriteWritten || fmt.Sprint(v["load_pressure"]) != value {
			t.Errorf("%+v, the equipment has %v, %v", w, v["load_pressure"], err)
		}
	}
	eventually(t, "frames reach the centre", func() bool { return ledger(t, centre).Delivered >= 10 })
	write("6.25")

	mustRun(t, "certs", "ca", "-dir", certs, "-renew")
	if out := mustRun(t, "certs", "renew", "-dir", certs); !strings.Contains(out, "2 of") {
		t.Error(out)
	}
	mustRun(t, "certs", "ca", "-dir", certs, "-forget")
	if out := mustRun(t, "certs", "renew", "-dir", certs); !strings.Contains(out, "0 of") {
		t.Error(out)
	}
	stopCentre()
	centre, _ = start(t, centreCfg, roleIngest, roleRules, roleAPI)
	before := site.writers[0].Last()
	eventually(t, "frames arrive with the new certificates", func() bool { return ledger(t, centre).Last >= before+10 })
	write("6.5")
	site.stopStage(roleGateway)
	last := site.writers[0].Last()
	eventually(t, "all has arrived", func() bool { return ledger(t, centre).Last == last })
	if row := ledger(t, centre); row.Missing != 0 || row.Duplicate != 0 || row.Delivered != last {
		t.Errorf("ledger %+v, %d stored at the edge", row, last)
	}
	stopSite()
}

func TestCertsRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"certs", "hub", "-dir", dir, "-host", "h"}, "faultline certs ca"},
		{[]string{"certs", "ca", "-dir", dir}, ""},
		{[]string{"certs", "ca", "-dir", dir}, "already"},
		{[]string{"certs", "hub", "-dir", dir}, "hosts"},
		{[]string{"certs", "gateway", "-dir", dir, "-name", "gw-1"}, "site"},
		{[]string{"certs", "gateway", "-dir", dir, "-name", "gw.1", "-site", "north"}, "gw.1"},
		{[]string{"certs", "cook"}, "usage"},
		{[]string{"certs"}, "usage"},
	} {
		_, err := runCommand(t, c.args...)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}

// What faultline cluster writes is what the tests of the bus start nodes with; here: that it follows from
// the configuration.
func TestClusterCommand(t *testing.T) {
	dir := t.TempDir()
	out := mustRun(t, "cluster", "-config", "../../deploy/examples/central.yaml", "-nodes", "n1=10.0.0.1,n2=10.0.0.2:5222,n3=nats3", "-out", dir, "-wss")
	if !strings.Contains(out, "wss://10.0.0.1:4222,wss://10.0.0.2:5222,wss://nats3:4222") {
		t.Error(out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "n2.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"CN=gw-north,OU=north,O=faultline-gateway"`, `"CN=central,O=faultline-central"`, "sync_interval: always", "north.gw-north.*"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is missing in\n%s", want, b)
		}
	}
	if _, err := runCommand(t, "cluster", "-config", "../../deploy/examples/central.yaml", "-nodes", "n1", "-out", dir); err == nil {
		t.Error("a node without a host")
	}
}

// What a configuration says about edge, uplink and TLS and cannot mean.
func TestEdgeConfigMistakes(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"edge: {max_bytes: 1MB}":                                 "edge.max_bytes",
		"edge: {max_bytes: many}":                                "500MB",
		"edge: {max_age: 1m}":                                    "edge.max_age",
		"uplink: {max_rate: 64kB}":                               "64kB/s",
		"uplink: {max_rate: 1kB/s}":                              "8kB/s",
		"hub: {listen: \"wss://127.0.0.1:1\"}":                   "hub.tls",
		"hub: {listen: \"0.0.0.0:4222\"}":                        "hub.token_file",
		"hub: {listen: \"127.0.0.1:1\", tls: {cert_file: a}}":    "key_file",
		"hub: {url: \"nats://h:1\", tls: {ca_file: a}}":          "tls://",
		"hub: {replicas: 3}":                                     "hub.url",
		"hub: {url: \"nats://h:1\", replicas: 2}":                "hub.replicas",
		"hub: {url: \"nats://h:1,cook://h:2\"}":                  "cook://",
		"hub: {listen: \"ws://127.0.0.1:1\", tls: {ca_file: a}}": "wss://",
	} {
		file := filepath.Join(dir, "faultline.yaml")
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadConfig(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a word on %s", text, err, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "8GiB", "64kB", "1e300TB", "-1", "NaN", " 5 MB "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil && (s < 0 || s.String() == "") {
			t.Errorf("%q is %d", text, s)
		}
	})
}
