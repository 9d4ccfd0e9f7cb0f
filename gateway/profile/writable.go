package profile

import (
	"math"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Writable says that a point may be written, as its source documents it, and how far. Nothing is written
// unless the configuration of a device allows it too.
type Writable struct {
	Min    *float64  `yaml:"min,omitempty"`    // in the point's unit
	Max    *float64  `yaml:"max,omitempty"`    //
	Step   float64   `yaml:"step,omitempty"`   // values are min + n × step; default any
	Values []float64 `yaml:"values,omitempty"` // these alone
	// Multiple asks for the function that writes several registers or bits (16, 15) even for one, which
	// some devices know alone.
	Multiple bool `yaml:"multiple,omitempty"`
}

// Domain gives the limits as the rest of the product knows them.
func (w *Writable) Domain() faultline.Writable {
	return faultline.Writable{Min: w.Min, Max: w.Max, Step: w.Step, Values: w.Values}
}

func (pt *Point) checkWritable(to problems, at func(string) string) {
	w := pt.Write
	if w == nil {
		return
	}
	number := pt.Type == faultline.TypeFloat || pt.Type == faultline.TypeInt
	switch r := pt.Register; {
	case r == nil:
		to.Add(at("write"), "only a register can be written; what is published over MQTT cannot")
		return
	case r.Table != Coil && r.Table != Holding:
		to.Add(at("write"), "a %s cannot be written: only a coil or a holding register", r.Table)
	case !number && pt.Type != faultline.TypeBool:
		to.Add(at("write"), "a %s cannot be written: only numbers and bools", pt.Type)
	case number && len(w.Values) == 0 && (w.Min == nil || w.Max == nil):
		to.Add(at("write"), "say how far: min and max, or values")
	case !number && (w.Min != nil || w.Max != nil || w.Step != 0 || len(w.Values) > 0):
		to.Add(at("write"), "a bool has no limits")
	}
	CheckLimits(to.Add, at("write"), w.Min, w.Max, w.Step, w.Values)
	for _, v := range append(both(w.Min, w.Max), w.Values...) {
		if number && pt.Within(v) == faultline.BadOutOfRange {
			to.Add(at("write"), "%v is outside the point's range %v: it would not read back", v, pt.Range)
		}
	}
}

func both(low, high *float64) (out []float64) {
	for _, v := range []*float64{low, high} {
		if v != nil {
			out = append(out, *v)
		}
	}
	return out
}

// CheckLimits adds what is wrong with limits of what may be written.
func CheckLimits(add func(path, format string, args ...any), path string, low, high *float64, step float64, values []float64) {
	field := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	if low != nil && high != nil && !(*low < *high) {
		add(field("max"), "%v: must be above min, %v", *high, *low)
	}
	for _, v := range append(both(low, high), values...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			add(path, "%v is no number", v)
		}
	}
	if !(step >= 0) || math.IsInf(step, 0) {
		add(field("step"), "%v: use a number above 0", step)
	}
}
