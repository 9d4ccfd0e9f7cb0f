package equipment

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Fault names something that can go wrong with a device.
type Fault string

// The faults. Physical ones come first and act through the model; the others act on a
// sensor or on the communication. Which kinds each applies to is told by FaultKinds.
const (
	BearingWear     Fault = "bearing_wear"
	CloggedFilter   Fault = "clogged_filter"
	RefrigerantLeak Fault = "refrigerant_leak"
	CoolerFouling   Fault = "cooler_fouling"
	PowerDip        Fault = "power_dip"
	BatteryAging    Fault = "battery_aging"
	SensorStuck     Fault = "sensor_stuck"
	SensorOpen      Fault = "sensor_open"
	Offline         Fault = "offline"
	Slow            Fault = "slow"
	Exception       Fault = "exception"
	Garbage         Fault = "garbage"
	HalfFrame       Fault = "half_frame"
	Oversized       Fault = "oversized"
)

// Indexes of physical faults in conditions.level.
const (
	bearingWear = iota
	cloggedFilter
	refrigerantLeak
	coolerFouling
	powerDip
	batteryAging
	physicalFaults
)

type faultSpec struct {
	fault    Fault
	kinds    []string // nil: all kinds of the protocol
	protocol string   // "": both
	physical int      // index into conditions.level, or -1
	point    bool     // needs a point
	doc      string
}

var faultSpecs = []faultSpec{
	{BearingWear, []string{"pump", "compressor", "chiller", "vibration"}, "", bearingWear, false, "vibration and heat of a failing bearing"},
	{CloggedFilter, []string{"pump", "compressor", "chiller"}, "", cloggedFilter, false, "pump: suction strainer; compressor: oil filter; chiller: chilled water strainer"},
	{RefrigerantLeak, []string{"chiller"}, "", refrigerantLeak, false, "loss of refrigerant charge"},
	{CoolerFouling, []string{"compressor", "chiller"}, "", coolerFouling, false, "compressor: oil cooler; chiller: condenser tubes"},
	{PowerDip, []string{"meter", "ups"}, "", powerDip, false, "mains voltage sags (meter) or fails (UPS)"},
	{BatteryAging, []string{"ups", "vibration"}, "", batteryAging, false, "the battery loses capacity"},
	{SensorStuck, nil, "", -1, true, "`point` keeps the value it had"},
	{SensorOpen, nil, "", -1, true, "`point` reads its open-circuit value; the alarm word's `sensor_fault` bit is set"},
	{Offline, nil, "", -1, false, "Modbus: the listener closes and connections drop; MQTT: disconnects and measures nothing"},
	{Slow, nil, ProtocolModbus, -1, false, "every answer is late by severity × 3 s"},
	{Exception, nil, ProtocolModbus, -1, false, "the share `severity` of requests is answered with exception `code` (2 illegal address, 4 device failure or 6 busy; default 6)"},
	{Garbage, nil, "", -1, false, "the share `severity` of answers is bytes that are no Modbus, or payloads that are no JSON"},
	{HalfFrame, nil, ProtocolModbus, -1, false, "the share `severity` of answers stops in mid-frame"},
	{Oversized, nil, ProtocolMQTT, -1, false, "the share `severity` of messages is valid JSON padded to 512 kB"},
}

func (s *faultSpec) appliesTo(k *kind) bool {
	if s.kinds != nil {
		return slices.Contains(s.kinds, k.name)
	}
	return s.protocol == "" || s.protocol == k.protocol
}

func faultNames(keep func(*faultSpec) bool) string {
	var names []string
	for i := range faultSpecs {
		if keep(&faultSpecs[i]) {
			names = append(names, string(faultSpecs[i].fault))
		}
	}
	return strings.Join(names, ", ")
}

// Event is one line of a script, or one fault put in by hand.
type Event struct {
	At       time.Duration // since Run began
	Device   string
	Fault    Fault
	Point    string        // for sensor faults
	Severity float64       // 0 < severity ≤ 1; 0 means 1
	Ramp     time.Duration // from nothing to Severity; physical faults only
	Wear     bool          // it ramps as wear does, ever faster, instead of in a line
	For      time.Duration // cleared by itself after this time; 0: stays
	Code     int           // exception code for the fault "exception"; 0 means 6
	Clear    bool          // ends the fault instead; Point empty clears it on all points

	where string // file and line, for errors
}

// Errors to test for with errors.Is.
var (
	ErrUnknownDevice = errors.New("unknown device")
	ErrNotInjected   = errors.New("fault is not active")
)

// check validates the event for a device of kind k and fills its defaults. It joins every problem found.
func (e *Event) check(k *kind) error {
	var errs []error
	i := slices.IndexFunc(faultSpecs, func(s faultSpec) bool { return s.fault == e.Fault })
	applies := func(s *faultSpec) bool { return s.appliesTo(k) }
	switch {
	case i < 0:
		errs = append(errs, fmt.Errorf("unknown fault %q: a %s can have %s", e.Fault, k.name, faultNames(applies)))
	case !faultSpecs[i].appliesTo(k):
		errs = append(errs, fmt.Errorf("fault %s does not apply to a %s: it can have %s", e.Fault, k.name, faultNames(applies)))
	case faultSpecs[i].point:
		p := k.index(e.Point)
		if e.Clear && e.Point == "" {
			break
		}
		if p < 0 || !k.points[p].Sensor {
			errs = append(errs, fmt.Errorf("unknown point %q for %s: the sensors of a %s are %s", e.Point, e.Fault, k.name, strings.Join(k.sensors(), ", ")))
		}
	case e.Point != "":
		errs = append(errs, fmt.Errorf("fault %s takes no point, got %q", e.Fault, e.Point))
	}
	if e.Severity == 0 {
		e.Severity = 1
	}
	if !(e.Severity > 0 && e.Severity <= 1) {
		errs = append(errs, fmt.Errorf("severity %v: must be above 0 and at most 1", e.Severity))
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"at", e.At}, {"ramp", e.Ramp}, {"for", e.For}} {
		if d.d < 0 {
			errs = append(errs, fmt.Errorf("%s %v: must not be negative", d.name, d.d))
		}
	}
	switch {
	case e.Wear && e.Ramp == 0:
		errs = append(errs, errors.New("wear: needs a ramp"))
	case e.Code != 0 && e.Fault != Exception:
		errs = append(errs, fmt.Errorf("fault %s takes no code, got %d", e.Fault, e.Code))
	case e.Fault == Exception && e.Code == 0:
		e.Code = 6
	case e.Code != 0 && e.Code != 2 && e.Code != 4 && e.Code != 6:
		errs = append(errs, fmt.Errorf("exception code %d: use 2 (illegal address), 4 (device failure) or 6 (busy)", e.Code))
	}
	return errors.Join(errs...)
}

// physical is the index of a fault in conditions.level, or -1.
func physical(f Fault) int {
	for _, s := range faultSpecs {
		if s.fault == f {
			return s.physical
		}
	}
	return -1
}

// levelAt is how much of the fault is there, elapsed after it began.
func (e *Event) levelAt(elapsed time.Duration) float64 {
	if e.Ramp <= 0 || physical(e.Fault) < 0 {
		return e.Severity
	}
	share := math.Min(1, math.Max(0, elapsed.Seconds()/e.Ramp.Seconds()))
	if e.Wear {
		share = math.Expm1(wearGrowth*share) / math.Expm1(wearGrowth)
	}
	return e.Severity * share
}

// wearGrowth is over how many powers of e wear grows: half of it comes in the last quarter of its ramp.
const wearGrowth = 3
