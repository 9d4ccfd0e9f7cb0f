package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/firmware-sim/equipment"
)

func TestScanFindsTheRightProfile(t *testing.T) {
	plant, err := equipment.New(equipment.Config{Devices: []equipment.DeviceConfig{
		{Name: "P", Kind: "pump", Hours: 1000, Unit: 3}, {Name: "C", Kind: "chiller", Hours: 500}, {Name: "M", Kind: "meter", Hours: 10},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- plant.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-plant.Ready()
	for _, d := range plant.Devices() {
		want := "profile: sim-" + d.Kind + ","
		t.Run(d.Kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "entry.yaml")
			var out bytes.Buffer
			if err := dispatch(t.Context(), []string{"scan", d.Address, "-profile", "all", "-range", "0-99", "-pause", "10us", "-between", "300ms", "-out", file}, &out, &out); err != nil {
				t.Fatal(err, out.String())
			}
			entry, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err, out.String())
			}
			if !strings.Contains(string(entry), want) || strings.Contains(string(entry), "#") {
				t.Errorf("want %s in its own order, got %s\n%s", want, entry, out.String())
			}
			t.Log(out.String())
		})
	}
}

func TestScanSaysWhatIsWrong(t *testing.T) {
	for _, args := range [][]string{
		{"scan"}, {"scan", "tcp://127.0.0.1:1", "-units", "0-300"}, {"scan", "tcp://127.0.0.1:1", "-range", "9-1"},
		{"scan", "tcp://127.0.0.1:1", "-profile", "nonsense"}, {"scan", "tcp://127.0.0.1:1"}, {"scan", "udp://127.0.0.1:1"},
	} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v: no error\n%s", args, out.String())
		}
	}
}
