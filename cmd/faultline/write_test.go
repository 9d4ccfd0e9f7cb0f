package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// post sends JSON and reads the answer.
func post[T any](t *testing.T, url, body string) (v T, code int) {
	t.Helper()
	r, err := http.Post(url, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%d %s: %v", r.StatusCode, b, err)
	}
	return v, r.StatusCode
}

// A setpoint goes from the API through hub and gateway into the equipment, all in one process and with the
// gateway at a site of its own; the gateway keeps its limits, and is said to be away when it is.
func TestWriteASetpoint(t *testing.T) {
	plant, at := simulate(t, equipment.DeviceConfig{Name: "C-1", Kind: "compressor", Hours: 10})
	shows := func(point string) float64 {
		v, err := plant.Values("C-1")
		if err != nil {
			t.Fatal(err)
		}
		return v[point]
	}
	shared := fmt.Sprintf("gateways: [{id: gw-1, site: north, devices: [{position: C-1, profile: sim-compressor, address: \"tcp://%s\", period: 100ms, writes: [{point: load_pressure, min: 5.5}, {point: run_command, four_eyes: true}]}]}]\napi: {listen: \"127.0.0.1:0\"}\n", at["C-1"])
	try := func(t *testing.T, n *node, value string, want float64) {
		path := n.api.URL() + "/api/v1/assets/north/C-1/points/"
		var w faultline.Write
		eventually(t, "the gateway takes orders", func() bool {
			w, _ = post[faultline.Write](t, path+"load_pressure/write", `{"value":`+value+`,"reason":"test"}`)
			return w.Status != faultline.WriteFailed
		})
		if w.Status != faultline.WriteWritten || string(w.ReadBack) != value || shows("load_pressure") != want {
			t.Errorf("%+v, the equipment has %v", w, shows("load_pressure"))
		}
		if _, code := post[map[string]any](t, path+"load_pressure/write", `{"value":5.2,"reason":"below what is allowed here"}`); code != http.StatusBadRequest {
			t.Errorf("below the limit: %d", code)
		}
		if _, code := post[map[string]any](t, path+"unload_pressure/write", `{"value":7,"reason":"not allowed"}`); code != http.StatusUnprocessableEntity {
			t.Errorf("not writable: %d", code)
		}
		if w, code := post[faultline.Write](t, path+"run_command/write", `{"value":false,"reason":"stop"}`); code != http.StatusAccepted || w.Status != faultline.WritePending || shows("run_command") != 1 {
			t.Errorf("%d %+v: it wants a second person", code, w)
		}
	}
	t.Run("all in one", func(t *testing.T) {
		n, stop := start(t, load(t, shared), allRoles...)
		defer stop()
		try(t, n, "6.25", 6.25)
	})
	t.Run("site and centre", func(t *testing.T) {
		hub, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("FAULTLINE_HUB_TOKEN", "s3cret")
		centre, _ := start(t, load(t, fmt.Sprintf("hub: {listen: %q}\n", hub)+shared), roleIngest, roleRules, roleAPI)
		url := centre.api.URL() + "/api/v1/assets/north/C-1/points/load_pressure/write"
		if w, _ := post[faultline.Write](t, url, `{"value":6.5,"reason":"test"}`); w.Status != faultline.WriteFailed || shows("load_pressure") != 6.25 {
			t.Errorf("%+v: the gateway is not there", w)
		}
		_, stopSite := start(t, load(t, fmt.Sprintf("hub: {url: \"nats://%s\"}\n", hub)+shared), roleGateway)
		try(t, centre, "5.75", 5.75)
		stopSite()
		if w, _ := post[faultline.Write](t, url, `{"value":6.5,"reason":"test"}`); w.Status != faultline.WriteFailed || shows("load_pressure") != 5.75 {
			t.Errorf("%+v: the gateway is gone", w)
		}
	})
	// A version of the gateway's configuration that comes from the hub reads, but lets nothing be written.
	t.Run("only the hub allows it", func(t *testing.T) {
		hub, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("FAULTLINE_HUB_TOKEN", "s3cret")
		centre, _ := start(t, load(t, fmt.Sprintf("hub: {listen: %q}\n", hub)+shared), roleIngest, roleRules, roleAPI)
		start(t, load(t, fmt.Sprintf("hub: {url: \"nats://%s\"}\nedge: {pull_every: 100ms, trial: 4s}\ngateways: [{id: gw-1, site: north}]\n", hub)), roleGateway)
		eventually(t, "the hub's version runs", func() bool {
			list, err := centre.store.Gateways(t.Context())
			return err == nil && len(list) == 1 && list[0].State != nil && list[0].State.Config == 1
		})
		w, _ := post[faultline.Write](t, centre.api.URL()+"/api/v1/assets/north/C-1/points/load_pressure/write", `{"value":6.5,"reason":"test"}`)
		if w.Status != faultline.WriteFailed || !strings.Contains(w.Message, "does not allow") || shows("load_pressure") != 5.75 {
			t.Errorf("%+v, the equipment has %v", w, shows("load_pressure"))
		}
	})
}

// What may be written stands in the gateway's own file: a version of the hub's can take it away, and neither give
// it nor move it to other registers, limits or equipment.
func TestOwnWritesOnly(t *testing.T) {
	const file = "gateways: [{id: gw-1, site: north, devices: [{position: C-1, profile: sim-compressor, address: \"tcp://192.0.2.1\", writes: [{point: load_pressure, max: 6.5}]}, {position: C-2, profile: sim-compressor, address: \"tcp://192.0.2.2\"}]}]\n"
	cfg := load(t, file)
	own := &cfg.Gateways[0]
	version := func(was, is string) []string {
		t.Helper()
		d, err := load(t, strings.Replace(file, was, is, 1)).gatewayDocuments()
		if err != nil {
			t.Fatal(err)
		}
		g, set, err := cfg.readGateway("gw-1", "north", bus.GatewayConfig{Version: 2, Body: d["gw-1"]})
		if err != nil {
			t.Fatal(err)
		}
		closed := ownWritesOnly(&g, set, own, cfg.profiles)
		for _, d := range g.Devices {
			if slices.Contains(closed, d.Position) && (len(d.Writes) > 0 || d.FourEyes) {
				t.Errorf("%s: closed %v, %s has %v", is, closed, d.Position, d.Writes)
			}
		}
		return closed
	}
	for _, c := range []struct{ name, was, is, want string }{
		{"the same", "x", "x", "[]"},
		{"another address", "192.0.2.1", "192.0.2.9", "[C-1]"},
		{"a wider limit", "max: 6.5", "max: 6.8", "[C-1]"},
		{"another point", "{point: load_pressure, max: 6.5}", "{point: load_pressure, max: 6.5}, {point: run_command}", "[C-1]"},
		{"another device", `192.0.2.2"`, `192.0.2.2", writes: [{point: run_command}]`, "[C-2]"},
		{"taken away", ", writes: [{point: load_pressure, max: 6.5}]", "", "[]"},
		{"what is read of another", `192.0.2.2"`, `192.0.2.2", period: 5s`, "[]"},
	} {
		if got := fmt.Sprint(version(c.was, c.is)); got != c.want {
			t.Errorf("%s: closed %s, want %s", c.name, got, c.want)
		}
	}
	// A profile of the same name with other registers.
	p, err := cfg.profiles.Get("sim-compressor")
	if err != nil {
		t.Fatal(err)
	}
	set, err := profile.LoadTexts(profile.Written{File: "p.yaml", Data: bytes.Replace(p.YAML(), []byte("title:"), []byte("title: \"other\" #"), 1)})
	if err != nil {
		t.Fatal(err)
	}
	g := *own
	if closed := ownWritesOnly(&g, set, own, cfg.profiles); fmt.Sprint(closed) != "[C-1]" || len(own.Devices[0].Writes) != 1 {
		t.Errorf("another profile: closed %v, the own is %v", closed, own.Devices[0].Writes)
	}
}
