//go:build realparts

package main

import (
	"os/exec"
	"testing"
)

// promtool takes the scrape configuration and the rules, and the rules' own tests hold.
func TestRulesForPrometheus(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("no promtool: run deploy/realparts.sh")
	}
	for _, args := range [][]string{
		{"check", "config", "--syntax-only", "prometheus.yml"},
		{"check", "rules", "faultline.rules.yml"},
		{"test", "rules", "faultline.test.yml"},
	} {
		c := exec.Command(promtool, args...)
		c.Dir = "../../deploy/prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
