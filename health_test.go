package faultline

import "testing"

func TestNE107(t *testing.T) {
	for _, c := range []struct {
		name string
		c    DeviceCondition
		want NE107
	}{
		{"never heard", DeviceCondition{Worst: SeverityCritical}, NE107NotConnected},
		{"all well", DeviceCondition{Heard: true, Reachable: true, Good: 5}, NE107Good},
		{"silent", DeviceCondition{Heard: true, Good: 5}, NE107Failure},
		{"silent, worked on", DeviceCondition{Heard: true, Bad: 5, OutOfService: true}, NE107Check},
		{"mostly bad", DeviceCondition{Heard: true, Reachable: true, Good: 2, Bad: 3}, NE107Failure},
		{"one bad", DeviceCondition{Heard: true, Reachable: true, Good: 4, Bad: 1}, NE107OutOfSpec},
		{"one doubtful", DeviceCondition{Heard: true, Reachable: true, Good: 4, Uncertain: 1}, NE107OutOfSpec},
		{"trip", DeviceCondition{Heard: true, Reachable: true, Good: 5, Worst: SeverityCritical}, NE107Failure},
		{"warning", DeviceCondition{Heard: true, Reachable: true, Good: 5, Worst: SeverityWarning}, NE107OutOfSpec},
		{"advice", DeviceCondition{Heard: true, Reachable: true, Good: 5, Worst: SeverityAdvisory}, NE107Maintenance},
	} {
		if got := c.c.Status(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
