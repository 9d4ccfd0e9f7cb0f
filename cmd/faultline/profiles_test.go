package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline/gateway/profile"
)

func TestProfiles(t *testing.T) {
	tell := func(args ...string) (string, error) {
		var out, errOut bytes.Buffer
		err := dispatch(context.Background(), append([]string{"profiles"}, args...), &out, &errOut)
		return out.String(), err
	}
	all, err := tell()
	if err != nil {
		t.Fatal(err)
	}
	meters, err := tell("-kind", "power_meter")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(all, "sim-ups@1") || !strings.Contains(all, "MQTT") || strings.Contains(meters, "sim-ups") || !strings.Contains(meters, "eastron-sdm630@1") {
		t.Errorf("lists:\n%s\n%s", all, meters)
	}
	text, err := tell("eastron-sdm630")
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Decode("sdm630.yaml", []byte(text))
	if err != nil || len(p.Points) < 30 {
		t.Errorf("what is shown is no profile by itself: %v\n%s", err, text)
	}
	if _, err := tell("eastron"); err == nil || !strings.Contains(err.Error(), "eastron-sdm120") {
		t.Errorf("a name that is none: %v", err)
	}

	dir := t.TempDir()
	for name, text := range map[string]string{
		"mine.yaml":      "name: mine\nversion: \"1\"\nextends: sim-pump\nsource: site\nremove: [tick]\n",
		"faultline.yaml": "profiles: [mine.yaml]\ngateways:\n  - {id: g, site: s, devices: [{position: P-1, profile: mine, address: \"tcp://127.0.0.1:502\", overrides: {flow: {scale: 0.2}}}]}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if own, err := tell("-config", filepath.Join(dir, "faultline.yaml")); err != nil || !strings.Contains(own, "mine@1") {
		t.Errorf("%v\n%s", err, own)
	}
}
