//go:build realparts

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The static binary for armv7 starts under qemu, says its version and loads a whole plant; its Debian package holds what
// a machine needs. armv7 stands for all: it is the one with 32-bit words.
func TestArmBinaryAndPackage(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("bash", "../../deploy/build.sh", dir, "armv7")
	build.Env = append(build.Environ(), "VERSION=1.2.3-test")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary := filepath.Join(dir, "faultline-linux-armv7")
	for want, args := range map[string][]string{
		"faultline 1.2.3-test": {"version"},
		"is in order":          {"check", "-config", "../../deploy/examples/plant.yaml", "-plan"},
	} {
		out, err := exec.Command(part(t, "qemu-arm-static"), append([]string{binary}, args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	out, err := exec.Command("bash", "../../deploy/deb.sh", binary, "armhf", "1.2.3", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	list, err := exec.Command(part(t, "dpkg-deb"), "-c", filepath.Join(dir, "faultline_1.2.3_armhf.deb")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	for _, want := range []string{"-rwxr-xr-x root/root", "./usr/bin/faultline", "./lib/systemd/system/faultline.service", "./etc/faultline/faultline.yaml", "./usr/share/doc/faultline/configuration.md"} {
		if !strings.Contains(string(list), want) {
			t.Errorf("the package lacks %q:\n%s", want, list)
		}
	}
}

// The unit is valid and exposes little: under 3.0 of systemd's ten.
func TestUnitIsHardened(t *testing.T) {
	out, err := exec.Command(part(t, "systemd-analyze"), "security", "--offline=true", "--threshold=30", "--no-pager", "../../deploy/systemd/faultline.service").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Overall exposure level") {
		t.Errorf("%v\n%s", err, out)
	}
}
