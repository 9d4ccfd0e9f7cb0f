package profile

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
)

// problems takes what is wrong with a document by its path; *document.Problems is one.
type problems interface {
	Add(path, format string, args ...any)
}

// check adds everything that is wrong with p.
func (p *Profile) check(to problems) {
	if err := faultline.CheckName("profile name", p.Name); err != nil {
		to.Add("name", "%s", err)
	}
	if p.Version == "" {
		to.Add("version", "missing: a frame names the version of the profile that decoded it")
	} else if err := faultline.CheckName("version", dotless(p.Version)); err != nil {
		to.Add("version", "%q: use letters, digits, dots and -", p.Version)
	}
	if err := faultline.CheckName("asset kind", p.Kind); err != nil {
		to.Add("kind", "%s", err)
	}
	if p.Kind == faultline.HealthKind {
		to.Add("kind", "%q is the kind of what gateways say of their devices", p.Kind)
	}
	if p.Source == "" {
		to.Add("source", "missing: say where the register map or payload is documented")
	}
	p.Modbus.check(to)
	if len(p.Points) == 0 {
		to.Add("points", "a profile needs at least one point")
	}
	seen := map[string]int{}
	for i := range p.Points {
		at := func(field string) string { return join(fmt.Sprintf("points[%d]", i), field) }
		pt := &p.Points[i]
		if first, dup := seen[pt.Name]; dup {
			to.Add(at("name"), "%q is already the name of points[%d]", pt.Name, first)
		}
		seen[pt.Name] = i
		pt.check(to, at)
		if pt.Register != nil {
			p.Modbus.checkReadable(to, at, pt.Register)
		}
	}
	if p.UsesModbus() && p.UsesMQTT() {
		to.Add("points", "some points are registers and some are in payloads: make two profiles")
	}
}

func (m *Modbus) check(to problems) {
	if m.MaxRegisters < 0 || m.MaxRegisters > MaxRegisters {
		to.Add("modbus.max_registers", "%d: use 1 to %d", m.MaxRegisters, MaxRegisters)
	}
	if m.MaxBits < 0 || m.MaxBits > MaxBits {
		to.Add("modbus.max_bits", "%d: use 1 to %d", m.MaxBits, MaxBits)
	}
	if m.MaxGap != nil && *m.MaxGap < 0 {
		to.Add("modbus.max_gap", "%d: use 0 or more", *m.MaxGap)
	}
	for i, f := range m.Forbidden {
		at := fmt.Sprintf("modbus.forbidden[%d]", i)
		if f.Table == NoTable {
			to.Add(at+".table", "missing: use coil, discrete, holding or input")
		}
		if f.To < f.From {
			to.Add(at+".to", "%d is before from %d", f.To, f.From)
		}
	}
}

// checkReadable refuses registers that the device's own limits make unreadable.
func (m *Modbus) checkReadable(to problems, at func(string) string, r *Register) {
	first, n := r.Span()
	if maxRegisters, _, _ := m.Limits(); !r.Table.Bits() && n > maxRegisters {
		to.Add(at("register"), "%d registers, but modbus.max_registers is %d", n, maxRegisters)
	}
	for i, f := range m.Forbidden {
		if f.Table == r.Table && int(first) <= int(f.To) && int(first)+n > int(f.From) {
			to.Add(at("register.address"), "%d is in modbus.forbidden[%d]", r.Address, i)
		}
	}
}

func (pt *Point) check(to problems, at func(string) string) {
	if err := faultline.CheckPoint(pt.Name); err != nil {
		to.Add(at("name"), "%s", err)
	}
	if pt.Type == faultline.NoType {
		to.Add(at("type"), "missing: use float, int, bool or string")
	}
	switch {
	case pt.Register == nil && pt.JSON == nil:
		to.Add(at(""), "no source: give register: {…} or json: path")
	case pt.Register != nil && pt.JSON != nil:
		to.Add(at(""), "two sources: give register or json")
	case pt.Register != nil:
		pt.Register.check(to, at, pt.Type)
	default:
		if _, err := ParsePath(*pt.JSON); err != nil {
			to.Add(at("json"), "%s", err)
		}
	}
	if pt.Every != 0 && (pt.Register == nil || pt.Every < 10*time.Millisecond || pt.Every > 24*time.Hour) {
		to.Add(at("every"), "%v: use 10ms to 24h, of a register", pt.Every)
	}
	if pt.Report != OnChange && (pt.DeadBand != 0 || pt.Heartbeat != 0) {
		to.Add(at("report"), "dead_band and heartbeat belong to report: change")
	}
	if !(pt.DeadBand >= 0) || math.IsInf(pt.DeadBand, 0) || pt.DeadBand > 0 && pt.Type != faultline.TypeFloat && pt.Type != faultline.TypeInt {
		to.Add(at("dead_band"), "%v: use 0 or more, of a number", pt.DeadBand)
	}
	if pt.Heartbeat != 0 && (pt.Heartbeat < time.Second || pt.Heartbeat > 24*time.Hour) {
		to.Add(at("heartbeat"), "%v: use 1s to 24h", pt.Heartbeat)
	}
	pt.checkMeaning(to, at)
	pt.checkWritable(to, at)
}

func (pt *Point) checkMeaning(to problems, at func(string) string) {
	if pt.Type != faultline.TypeFloat {
		if pt.Scale != nil {
			to.Add(at("scale"), "only a float can be scaled; %s is %s", pt.Name, pt.Type)
		}
		if pt.Offset != 0 {
			to.Add(at("offset"), "only a float can have an offset; %s is %s", pt.Name, pt.Type)
		}
	} else if pt.Scale != nil && (*pt.Scale == 0 || math.IsNaN(*pt.Scale) || math.IsInf(*pt.Scale, 0)) {
		to.Add(at("scale"), "%v: use a number other than 0", *pt.Scale)
	}
	for name, r := range map[string][]float64{"range": pt.Range, "plausible": pt.Plausible, "clamp": pt.Clamp} {
		switch {
		case r == nil:
		case len(r) != 2 || !(r[0] < r[1]):
			to.Add(at(name), "%v: use [lowest, highest]", r)
		case pt.Type != faultline.TypeFloat && pt.Type != faultline.TypeInt:
			to.Add(at(name), "only numbers have a range; %s is %s", pt.Name, pt.Type)
		}
	}
	if (len(pt.Texts) > 0 || len(pt.Bits) > 0) && pt.Type != faultline.TypeInt {
		to.Add(at("type"), "texts and bits name the values of an int, not of a %s", pt.Type)
	}
	if len(pt.Texts) > 0 && len(pt.Bits) > 0 {
		to.Add(at("bits"), "give texts or bits, not both")
	}
	pt.checkRollover(to, at)
	for i, n := range pt.NotAvailable {
		if pt.Register != nil && !n.whole {
			to.Add(fmt.Sprintf("%s[%d]", at("not_available"), i), "%q: a register's is a whole number, such as 0x7FFF", n)
		}
	}
	for b := range pt.Bits {
		if b < 0 || b > 62 {
			to.Add(at("bits"), "bit %d: bits are numbered from 0, the lowest, to 62", b)
		}
	}
}

var dataOf = map[faultline.Type][]Data{
	faultline.TypeFloat:  {BitSpan, Int16, Uint16, Int32, Uint32, Int64, Uint64, Float32, Float64, BCD16, BCD32, BCD64, DateTime},
	faultline.TypeInt:    {BitSpan, Int16, Uint16, Int32, Uint32, Int64, Uint64, BCD16, BCD32, BCD64, DateTime},
	faultline.TypeBool:   {Bool, Bit},
	faultline.TypeString: {Text, DateTime},
}

func (r *Register) check(to problems, at func(string) string, t faultline.Type) {
	switch {
	case r.Table == NoTable:
		to.Add(at("register.table"), "missing: use coil, discrete, holding or input")
	case r.Table.Bits() && r.Data != Bool && r.Data != NoData:
		to.Add(at("register.data"), "a %s holds a bool, not %s", r.Table, r.Data)
	}
	switch {
	case r.Data == NoData:
		to.Add(at("register.data"), "missing: say how the value is kept, such as uint16 or float32")
	case t != faultline.NoType && !slices.Contains(dataOf[t], r.Data):
		to.Add(at("register.data"), "%s cannot make a %s; use %v", r.Data, t, dataOf[t])
	}
	if spans := r.Data == BitSpan; spans && (r.Width < 1 || r.Bit < 0 || r.Bit+r.Width > 16) {
		to.Add(at("register.width"), "bit %d and width %d: they must fit in 16 bits", r.Bit, r.Width)
	} else if !spans && r.Width != 0 {
		to.Add(at("register.width"), "only data: bits has a width")
	}
	if r.Data == Bit && (r.Bit < 0 || r.Bit > 15) {
		to.Add(at("register.bit"), "%d: use 0, the lowest, to 15", r.Bit)
	} else if r.Data != Bit && r.Data != BitSpan && r.Bit != 0 {
		to.Add(at("register.bit"), "only data: bit and data: bits have a bit")
	}
	if text := r.Data == Text; text && (r.Length < 1 || r.Length > MaxRegisters) {
		to.Add(at("register.length"), "%d: say how many registers the string has, 1 to %d", r.Length, MaxRegisters)
	} else if !text && r.Length != 0 {
		to.Add(at("register.length"), "only data: string has a length")
	}
	r.checkTime(to, at)
	if r.ScaleAt != nil && t != faultline.NoType && (t != faultline.TypeFloat || r.Table.Bits()) {
		to.Add(at("register.scale_at"), "only a float in registers has a scale")
	} else if own := int(r.Address) + r.Registers(); r.ScaleAt != nil && int(*r.ScaleAt) >= int(r.Address) && int(*r.ScaleAt) < own {
		to.Add(at("register.scale_at"), "%d is a register of the value itself", *r.ScaleAt)
	}
	if int(r.Address)+r.Registers() > 1<<16 {
		to.Add(at("register.address"), "%d: its %d registers go past the last address, 65535", r.Address, r.Registers())
	}
}

// checkRollover refuses what could not go on rising exactly.
func (pt *Point) checkRollover(to problems, at func(string) string) {
	r := pt.Rollover
	switch {
	case r == 0:
	case !(r >= 2) || r > 1<<64 || r != math.Trunc(r):
		to.Add(at("rollover"), "%v: use the count at which the counter begins at 0 again, such as 4294967296", r)
	case pt.Type != faultline.TypeInt && pt.Type != faultline.TypeFloat:
		to.Add(at("rollover"), "only numbers count; %s is %s", pt.Name, pt.Type)
	case pt.Type == faultline.TypeInt && r > 1<<62:
		to.Add(at("rollover"), "%v: an int ends at 2^63; make the point a float", r)
	case pt.Scale != nil && *pt.Scale < 0:
		to.Add(at("rollover"), "a counter with a negative scale falls")
	case pt.Register != nil && pt.Register.ScaleAt != nil:
		to.Add(at("rollover"), "not with scale_at: a scale that changes would look like counts")
	case len(pt.Clamp) > 0:
		to.Add(at("rollover"), "give clamp or rollover, not both")
	}
}

// checkTime checks what belongs to data: datetime.
func (r *Register) checkTime(to problems, at func(string) string) {
	if r.Data != DateTime {
		if !r.Layout.IsZero() {
			to.Add(at("register.layout"), "only data: datetime has a layout")
		}
		if r.Zone != "" {
			to.Add(at("register.zone"), "only data: datetime has a zone")
		}
		return
	}
	if r.Layout.IsZero() {
		to.Add(at("register.layout"), "missing: say how the time is kept, such as cp56time2a or year/month day/hour minute/second")
	}
	if _, err := time.LoadLocation(r.Zone); err != nil {
		to.Add(at("register.zone"), "%q: use a name such as Europe/Berlin", r.Zone)
	}
	if r.ScaleAt != nil {
		to.Add(at("register.scale_at"), "a time has no scale")
	}
}

func dotless(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '.' {
			b[i] = '-'
		}
	}
	return string(b)
}

func join(path, field string) string {
	if field == "" {
		return path
	}
	return path + "." + field
}
