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

func TestNE107OfAlarms(t *testing.T) {
	well := DeviceCondition{Heard: true, Reachable: true, Good: 5}
	for _, c := range []struct {
		name, family string
		severity     Severity
		want         NE107
		why          string
	}{
		{"service due, however severe", FamilyService, SeverityCritical, NE107Maintenance, "its service is due"},
		{"not heard", FamilyCommunication, SeverityWarning, NE107Failure, "it does not answer"},
		{"heard badly", FamilyCommunication, SeverityAdvisory, NE107Maintenance, "X high"},
		{"process out of limits", "bearing", SeverityWarning, NE107OutOfSpec, "X high"},
		{"broken sensor", FamilyInstrument, SeverityWarning, NE107OutOfSpec, "X high"},
		{"trip", "motor", SeverityCritical, NE107Failure, "X high"},
		{"advice", "", SeverityAdvisory, NE107Maintenance, "X high"},
		{"nothing", "bearing", SeverityNone, NE107Good, ""},
	} {
		k := well
		k.Alarm(c.family, c.severity, "X high")
		if got, why := k.Judge(); got != c.want || why != c.why {
			t.Errorf("%s: %q %q, want %q %q", c.name, got, why, c.want, c.why)
		}
	}
	k := well
	k.Alarm("bearing", SeverityCritical, "first")
	k.Alarm("bearing", SeverityWarning, "second")
	if got, why := k.Judge(); got != NE107Failure || why != "first" {
		t.Errorf("%q %q: the worst decides", got, why)
	}
}
