package equipment

import (
	"fmt"
	"slices"
	"strings"
)

// kind is a type of equipment: its points, how it speaks, and its model.
type kind struct {
	name     string // "pump"
	title    string // "centrifugal pump"
	model    string // model designation told by the device
	protocol string // ProtocolModbus or ProtocolMQTT
	order    Order  // of multi-register values
	pad      byte   // padding of strings
	points   []Point
	effects  []Effect

	openInt16 uint16 // what an open int16 sensor reads
	openJSON  string // what an open sensor reads in JSON

	timeField  string // payload member with the device's time
	timeMillis bool   // the time is integer milliseconds since 1970, else RFC 3339 with milliseconds
	countField string // payload member with the message counter
	nameField  string // payload member with the serial number

	start func(hours float64, noise *noise) model
}

// The protocols a device speaks.
const (
	ProtocolModbus = "modbus-tcp"
	ProtocolMQTT   = "mqtt"
)

// model is the physics of one unit. Implementations are used from one goroutine at a time.
type model interface {
	// step advances by c.dt seconds.
	step(c *conditions)
	// read fills v, one engineering value per point of the kind, in their order; texts stay untouched.
	read(v []float64)
	// write sets the writable point with this index to a value within its range.
	write(point int, v float64)
	// totals points at the cumulated counters, in a fixed order, running hours first.
	totals() []*float64
}

// conditions are what surrounds a unit during one step.
type conditions struct {
	dt       float64 // seconds of physics
	ambient  float64 // °C
	demand   float64 // share of design load, 0.28 to 0.90
	wearRate float64 // hours added to the hour meters per hour running
	level    [physicalFaults]float64
}

// Effect is one documented consequence of a fault at severity 1: the point passes Limit,
// upwards or downwards, at the latest at the share By of the ramp from any normal state.
type Effect struct {
	Fault Fault
	Point string
	Limit float64
	Above bool    // true: rises above Limit; false: falls below it
	By    float64 // share of the ramp, 0 to 1; with After it counts from the end of the ramp
	After float64 // seconds after the ramp for effects that take their own time
	Doc   string
}

var kinds = []*kind{&pumpKind, &compressorKind, &chillerKind, &meterKind, &upsKind, &vibrationKind}

// Kinds names the kinds of equipment that can be simulated.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// Points returns the documented points of a kind, in the order of its map. The error names the kinds there are.
func Points(kindName string) ([]Point, error) {
	k, err := kindNamed(kindName)
	if err != nil {
		return nil, err
	}
	return slices.Clone(k.points), nil
}

// Effects returns what faults do to a kind at severity 1, as documented in the README.
func Effects(kindName string) ([]Effect, error) {
	k, err := kindNamed(kindName)
	if err != nil {
		return nil, err
	}
	return slices.Clone(k.effects), nil
}

func kindNamed(name string) (*kind, error) {
	for _, k := range kinds {
		if k.name == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("unknown kind %q: use one of %s", name, strings.Join(Kinds(), ", "))
}

// index is the position of a point in the kind's list, or -1.
func (k *kind) index(point string) int {
	return slices.IndexFunc(k.points, func(p Point) bool { return p.Name == point })
}

// sensors names the points that sensor faults apply to.
func (k *kind) sensors() []string {
	var names []string
	for _, p := range k.points {
		if p.Sensor {
			names = append(names, p.Name)
		}
	}
	return names
}
