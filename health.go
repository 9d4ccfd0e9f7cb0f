package faultline

// HealthKind is the kind of the frames in which a gateway says how a device does. They carry the
// device's position, so the measurement stands beside the device's own; they are no readings of the
// equipment, and no rule of the equipment sees them.
const HealthKind = "device_health"

// NE107 is the status of a device for its operator, by NAMUR recommendation NE 107.
type NE107 string

// The statuses, the most urgent first.
const (
	NE107Failure      NE107 = "failure"              // its values are not to be used
	NE107Check        NE107 = "check_function"       // somebody works on it: its values are not of the process for now
	NE107OutOfSpec    NE107 = "out_of_specification" // outside its limits: its values are doubtful
	NE107Maintenance  NE107 = "maintenance_required" // its values are fine, but it wants care soon
	NE107Good         NE107 = "good"
	NE107NotConnected NE107 = "" // nothing is known: it was never heard
)

// DeviceCondition is what the status of a device follows from.
type DeviceCondition struct {
	Heard        bool     // at least one reading is there
	Reachable    bool     // the last poll was answered, or the last messages came in time
	Good         int      // samples of the newest reading
	Uncertain    int      //
	Bad          int      //
	OutOfService bool     // taken out by somebody, or under test
	Worst        Severity // of its active alarms
}

// Status derives the NE 107 status. A device that is worked on is under check whatever its values are;
// one that cannot be read, or of which most points are bad, has failed, as one with a critical alarm.
func (c DeviceCondition) Status() NE107 {
	switch {
	case !c.Heard:
		return NE107NotConnected
	case c.OutOfService:
		return NE107Check
	case !c.Reachable, c.Bad > c.Good+c.Uncertain, c.Worst >= SeverityCritical:
		return NE107Failure
	case c.Bad > 0, c.Uncertain > 0, c.Worst == SeverityWarning:
		return NE107OutOfSpec
	case c.Worst == SeverityAdvisory:
		return NE107Maintenance
	}
	return NE107Good
}
