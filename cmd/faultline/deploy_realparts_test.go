//go:build realparts

package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The unit is valid and exposes little: under 3.0 of systemd's ten.
func TestUnitIsHardened(t *testing.T) {
	out, err := exec.Command(part(t, "systemd-analyze"), "security", "--offline=true", "--threshold=30", "--no-pager", "../../deploy/systemd/faultline.service").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Overall exposure level") {
		t.Errorf("%v\n%s", err, out)
	}
}
