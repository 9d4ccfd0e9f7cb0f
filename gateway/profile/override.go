package profile

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Override is what differs at one device from the point of its profile: a current transformer's ratio,
// a sensor that was replaced by one of another range. What is left out stays as the profile has it.
type Override struct {
	Scale        *float64      `yaml:"scale,omitempty"`
	Offset       *float64      `yaml:"offset,omitempty"`
	Order        Order         `yaml:"order,omitempty"`
	NotAvailable []Sentinel    `yaml:"not_available,omitempty"`
	Range        []float64     `yaml:"range,omitempty"`
	Plausible    []float64     `yaml:"plausible,omitempty"`
	Clamp        []float64     `yaml:"clamp,omitempty"`
	Zone         string        `yaml:"zone,omitempty"` // of a date and time: where the device is
	Every        time.Duration `yaml:"every,omitempty"`
}

// With gives the profile as one device has it, p itself if nothing differs. add takes each mistake
// with its path from the overrides, such as current_l1.scale; the result is then not to be used.
func (p *Profile) With(overrides map[string]Override, add func(path, format string, args ...any)) *Profile {
	if len(overrides) == 0 {
		return p
	}
	own := *p
	own.Points = slices.Clone(p.Points)
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		i := slices.IndexFunc(own.Points, func(pt Point) bool { return pt.Name == name })
		if i < 0 {
			add(name, "profile %s has no such point", p.Name)
			continue
		}
		pt := &own.Points[i]
		pt.override(overrides[name], func(field, format string, args ...any) { add(join(name, field), format, args...) })
		pt.check(adder(add), func(field string) string { return join(name, field) })
	}
	return &own
}

type adder func(path, format string, args ...any)

func (a adder) Add(path, format string, args ...any) { a(path, format, args...) }

func (pt *Point) override(o Override, add func(field, format string, args ...any)) {
	if o.Scale != nil {
		pt.Scale = o.Scale
	}
	if o.Offset != nil {
		pt.Offset = *o.Offset
	}
	if o.NotAvailable != nil {
		pt.NotAvailable = o.NotAvailable
	}
	if o.Range != nil {
		pt.Range = o.Range
	}
	if o.Plausible != nil {
		pt.Plausible = o.Plausible
	}
	if o.Clamp != nil {
		pt.Clamp = o.Clamp
	}
	if o.Every != 0 {
		pt.Every = o.Every
	}
	if o.Order == DefaultOrder && o.Zone == "" {
		return
	}
	if pt.Register == nil {
		add("order", "%s is found in a payload: only registers have an order and a zone", pt.Name)
		return
	}
	r := *pt.Register
	r.Order = cmp.Or(o.Order, r.Order)
	r.Zone = cmp.Or(o.Zone, r.Zone)
	pt.Register = &r
}
