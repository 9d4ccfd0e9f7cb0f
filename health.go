package faultline

import "fmt"

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

// NE107Statuses are all of them, the most urgent first.
var NE107Statuses = []NE107{NE107Failure, NE107Check, NE107OutOfSpec, NE107Maintenance, NE107Good, NE107NotConnected}

// Families of failure that say something of the device rather than of the process that it serves.
const (
	FamilyCommunication = "communication" // it is not heard
	FamilyInstrument    = "instrument"    // one of its sensors
	FamilyService       = "service"       // its service is due
)

// DeviceCondition is what the status of a device follows from.
type DeviceCondition struct {
	Heard        bool     // at least one reading is there
	Reachable    bool     // the last poll was answered, or the last messages came in time
	Good         int      // points whose newest reading is good
	Uncertain    int      //
	Bad          int      // with those that are too old to be of now
	OutOfService bool     // taken out by somebody, or under test
	Worst        Severity // of its active alarms, those of service and of communication left out
	WorstTitle   string   // of that alarm, for people
	Care         bool     // its service is due
}

// Alarm takes an active alarm into account. What says that service is due asks for maintenance, however
// severe it is called; what says that the device is not heard means a failure.
func (c *DeviceCondition) Alarm(family string, s Severity, title string) {
	switch {
	case s <= SeverityNone:
	case family == FamilyService:
		c.Care = true
	case family == FamilyCommunication && s >= SeverityWarning:
		c.Reachable = false
	case s > c.Worst:
		c.Worst, c.WorstTitle = s, title
	}
}

// Status derives the NE 107 status; see Judge.
func (c DeviceCondition) Status() NE107 {
	s, _ := c.Judge()
	return s
}

// Judge derives the NE 107 status, and says why in a few words. A device that is worked on is under
// check whatever its values are; one that cannot be read, or of which most points are bad, has failed,
// as one with a critical alarm.
func (c DeviceCondition) Judge() (NE107, string) {
	points := c.Good + c.Uncertain + c.Bad
	switch {
	case !c.Heard:
		return NE107NotConnected, "it was never heard"
	case c.OutOfService:
		return NE107Check, "it is out of service"
	case !c.Reachable:
		return NE107Failure, "it does not answer"
	case c.Bad > c.Good+c.Uncertain:
		return NE107Failure, fmt.Sprintf("%d of %d points have no value", c.Bad, points)
	case c.Worst >= SeverityCritical:
		return NE107Failure, c.WorstTitle
	case c.Worst == SeverityWarning:
		return NE107OutOfSpec, c.WorstTitle
	case c.Bad > 0:
		return NE107OutOfSpec, fmt.Sprintf("%d of %d points have no value", c.Bad, points)
	case c.Uncertain > 0:
		return NE107OutOfSpec, fmt.Sprintf("%d of %d points are uncertain", c.Uncertain, points)
	case c.Care:
		return NE107Maintenance, "its service is due"
	case c.Worst == SeverityAdvisory:
		return NE107Maintenance, c.WorstTitle
	}
	return NE107Good, ""
}
