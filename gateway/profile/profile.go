// Package profile owns device profiles: which points a model of equipment has, and how each is read
// over Modbus or found in an MQTT payload. A profile is data (YAML, or a register list as CSV), so that
// adding a device needs no code.
package profile

import (
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Profile describes one model of equipment.
type Profile struct {
	Name         string  `yaml:"name"`
	Version      string  `yaml:"version"`
	Kind         string  `yaml:"kind"` // asset kind, such as centrifugal_pump: the measurement in the store
	Title        string  `yaml:"title,omitempty"`
	Manufacturer string  `yaml:"manufacturer,omitempty"`
	Model        string  `yaml:"model,omitempty"`
	Source       string  `yaml:"source"` // where the register map or payload is documented
	Modbus       Modbus  `yaml:"modbus,omitempty"`
	MQTT         MQTT    `yaml:"mqtt,omitempty"`
	Points       []Point `yaml:"points"`
}

// Modbus holds what is common to all registers of a device, and the limits of its reads.
type Modbus struct {
	Order        Order   `yaml:"order,omitempty"`         // default ABCD
	MaxRegisters int     `yaml:"max_registers,omitempty"` // in one read; default and upper limit 125
	MaxBits      int     `yaml:"max_bits,omitempty"`      // in one read of coils or discrete inputs; default and upper limit 2000
	MaxGap       *int    `yaml:"max_gap,omitempty"`       // unwanted registers (or 16 bits) read to join two blocks; default 8
	Forbidden    []Range `yaml:"forbidden,omitempty"`     // never read, not even to join blocks
}

// Range is a range of addresses of one table, both ends included.
type Range struct {
	Table Table  `yaml:"table"`
	From  uint16 `yaml:"from"`
	To    uint16 `yaml:"to"`
}

// MQTT holds what is common to all payloads of a device.
type MQTT struct {
	Topic string `yaml:"topic,omitempty"` // suffix after the device's topic; a point may have its own
	Time  string `yaml:"time,omitempty"`  // path of the device's time: RFC 3339, or unix s, ms, µs, ns told apart by size
	ID    string `yaml:"id,omitempty"`    // path of a message's id or counter
}

// Point is one measured quantity and where it is found: in Register or at JSON, not both.
type Point struct {
	Name         string           `yaml:"name"`
	Title        string           `yaml:"title,omitempty"`
	Unit         string           `yaml:"unit,omitempty"`
	Type         faultline.Type   `yaml:"type"`
	Trend        bool             `yaml:"trend,omitempty"`
	Register     *Register        `yaml:"register,omitempty"`
	JSON         *string          `yaml:"json,omitempty"`          // path in the payload, such as battery.cells.0.voltage; "" is the whole payload
	Topic        string           `yaml:"topic,omitempty"`         // suffix of MQTT topic, if not the profile's
	Scale        *float64         `yaml:"scale,omitempty"`         // value = raw × scale + offset; float points only
	Offset       float64          `yaml:"offset,omitempty"`        // in the point's unit
	NotAvailable []Sentinel       `yaml:"not_available,omitempty"` // raw values that mean "no value"; -1 is all bits set
	Range        []float64        `yaml:"range,omitempty"`         // [min, max] physically possible: a value outside is bad
	Plausible    []float64        `yaml:"plausible,omitempty"`     // [min, max] expected: a value outside is uncertain
	Clamp        []float64        `yaml:"clamp,omitempty"`         // [min, max]: a value in range but outside becomes the nearer end, good
	Rollover     float64          `yaml:"rollover,omitempty"`      // of a counter: raw counts after which it begins at 0 again; its values go on rising
	Texts        map[int64]string `yaml:"texts,omitempty"`         // of an enumeration
	Bits         map[int64]string `yaml:"bits,omitempty"`          // of a word, by bit number
	Every        time.Duration    `yaml:"every,omitempty"`         // between reads of the register; default the device's period, and an hour for strings
	Report       Report           `yaml:"report,omitempty"`        // default always
	DeadBand     float64          `yaml:"dead_band,omitempty"`     // of report: change, in the point's unit: a smaller change is none
	Heartbeat    time.Duration    `yaml:"heartbeat,omitempty"`     // of report: change: stored at least this often; default a minute
	Write        *Writable        `yaml:"write,omitempty"`         // of a register that may be written; default none
}

// Register is a Modbus source.
type Register struct {
	Table   Table  `yaml:"table"`
	Address uint16 `yaml:"address"` // as sent on the wire, from 0: "40001" is holding 0
	Data    Data   `yaml:"data"`
	Order   Order  `yaml:"order,omitempty"` // default the device's
	Bit     int    `yaml:"bit,omitempty"`   // data bit and bits: lowest bit, 0 to 15
	Width   int    `yaml:"width,omitempty"` // data bits: how many, 1 to 16
	Length  int    `yaml:"length,omitempty"`
	Layout  Layout `yaml:"layout,omitempty"` // data datetime
	Zone    string `yaml:"zone,omitempty"`   // data datetime: of the device's clock, such as Europe/Berlin; default UTC

	ScaleAt *uint16 `yaml:"scale_at,omitempty"` // register of the same table that holds a power of ten to multiply by, as SunSpec's scale factors
}

// Defaults and limits of reads: the protocol's.
const (
	MaxRegisters  = 125
	MaxBits       = 2000
	DefaultMaxGap = 8
)

// Limits gives the device's limits with defaults filled in.
func (m Modbus) Limits() (maxRegisters, maxBits, maxGap int) {
	maxRegisters, maxBits, maxGap = MaxRegisters, MaxBits, DefaultMaxGap
	if m.MaxRegisters > 0 {
		maxRegisters = min(m.MaxRegisters, MaxRegisters)
	}
	if m.MaxBits > 0 {
		maxBits = min(m.MaxBits, MaxBits)
	}
	if m.MaxGap != nil {
		maxGap = max(*m.MaxGap, 0)
	}
	return maxRegisters, maxBits, maxGap
}

// ID is "name@version", as frames carry it.
func (p *Profile) ID() string { return p.Name + "@" + p.Version }

// UsesModbus tells whether any point is a register.
func (p *Profile) UsesModbus() bool {
	for i := range p.Points {
		if p.Points[i].Register != nil {
			return true
		}
	}
	return false
}

// UsesMQTT tells whether any point is found in a payload.
func (p *Profile) UsesMQTT() bool {
	for i := range p.Points {
		if p.Points[i].JSON != nil {
			return true
		}
	}
	return false
}

// DomainPoints gives the points as the rest of the product knows them.
func (p *Profile) DomainPoints() []faultline.Point {
	out := make([]faultline.Point, len(p.Points))
	for i := range p.Points {
		pt := &p.Points[i]
		out[i] = faultline.Point{Name: pt.Name, Title: pt.Title, Unit: pt.Unit, Type: pt.Type, Trend: pt.Trend, Texts: pt.Texts}
		if len(pt.Bits) > 0 {
			out[i].Texts, out[i].Bits = pt.Bits, true
		}
	}
	return out
}

// Convert makes a float point's value of a raw number: scaled, offset, and judged by the point's
// ranges. It is the one place where drivers decide this; a bad quality comes with no value.
func (p *Point) Convert(raw float64) (faultline.Value, faultline.Quality) {
	v := raw
	if p.Scale != nil {
		v = scaled(raw, *p.Scale)
	}
	v += p.Offset
	q := p.Within(v)
	if q.IsBad() {
		return faultline.Value{}, q
	}
	return faultline.Float(p.Clamped(v)), q
}

// Clamped gives the nearer end of the point's clamp for a value outside.
func (p *Point) Clamped(v float64) float64 {
	if len(p.Clamp) == 2 {
		return min(max(v, p.Clamp[0]), p.Clamp[1])
	}
	return v
}

// scaled multiplies; by a decimal fraction such as 0.1 it divides by 10, so that 853 becomes 85.3 and
// not 85.30000000000001.
func scaled(v, by float64) float64 {
	if per := math.Round(1 / by); per >= 2 && per <= 1e9 && math.Abs(per*by-1) < 1e-12 {
		return v / per
	}
	return v * by
}

// Within judges a number in the point's unit by the point's ranges. NaN and infinities are out of range.
func (p *Point) Within(v float64) faultline.Quality {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0) || len(p.Range) == 2 && (v < p.Range[0] || v > p.Range[1]):
		return faultline.BadOutOfRange
	case len(p.Plausible) == 2 && (v < p.Plausible[0] || v > p.Plausible[1]):
		return faultline.UncertainOutOfRange
	}
	return faultline.Good
}

// stringsEvery is how often registers of text are read: names and serial numbers do not change.
const stringsEvery = time.Hour

// PollEvery gives the time between reads of a register on a device that is polled each period. A point
// is never read more often than its device.
func (p *Point) PollEvery(period time.Duration) time.Duration {
	every := p.Every
	if every == 0 && p.Register != nil && p.Register.Data == Text {
		every = stringsEvery
	}
	return max(every, period)
}

// defaultHeartbeat of points that report changes.
const defaultHeartbeat = time.Minute

// ReportAtLeast is how often a point that reports changes is stored even so.
func (p *Point) ReportAtLeast() time.Duration {
	if p.Heartbeat > 0 {
		return p.Heartbeat
	}
	return defaultHeartbeat
}

// Registers tells how many registers (or bits, in the tables of bits) the source covers.
func (r *Register) Registers() int {
	switch r.Data {
	case Int32, Uint32, Float32, BCD32:
		return 2
	case Int64, Uint64, Float64, BCD64:
		return 4
	case DateTime:
		return r.Layout.Registers()
	case Text:
		return r.Length
	}
	return 1
}

// Span gives the first of the registers that the source needs and how many: the value's own and that
// of its scale, with all between, so that both are of one read.
func (r *Register) Span() (first uint16, n int) {
	first, n = r.Address, r.Registers()
	if r.ScaleAt == nil {
		return first, n
	}
	end := max(int(first)+n, int(*r.ScaleAt)+1)
	first = min(first, *r.ScaleAt)
	return first, end - int(first)
}

// maxDeviceTimeAge and maxDeviceTimeAhead bound a device time that is believed.
const (
	maxDeviceTimeAge   = 31 * 24 * time.Hour
	maxDeviceTimeAhead = time.Minute
)

// PlausibleTime tells whether a device's own time can be believed at now: not more than a minute
// ahead and not older than 31 days, which covers equipment that sends what it buffered.
func PlausibleTime(t, now time.Time) bool {
	return !t.After(now.Add(maxDeviceTimeAhead)) && !t.Before(now.Add(-maxDeviceTimeAge))
}
