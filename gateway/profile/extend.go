package profile

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/document"
)

// draft is a profile as it is written: it may be the difference from another one.
type draft struct {
	Profile `yaml:",inline"`
	Extends string   `yaml:"extends,omitempty"` // name of a profile whose points and settings are taken over
	Remove  []string `yaml:"remove,omitempty"`  // points of it that this model does not have

	file string
	doc  *document.Document
}

func decodeDraft(file string, data []byte) (*draft, error) {
	d := &draft{file: file}
	doc, err := document.Decode(file, data, d)
	if doc == nil {
		return nil, err
	}
	d.doc = doc
	return d, nil
}

// finish makes the profile of a draft. base is the profile that it extends, nil if it extends none.
func (d *draft) finish(base *Profile) (*Profile, error) {
	to := d.doc.Problems()
	p := d.Profile
	if base == nil {
		if len(d.Remove) > 0 {
			to.Add("remove", "there is nothing to remove points from: the profile extends no other")
		}
		p.check(to)
	} else {
		own := d.merge(&p, base, to)
		p.check(&merged{to, own, base})
	}
	if err := to.Err(); err != nil {
		return nil, err
	}
	return &p, nil
}

// merge puts base's points and settings under p's own. It tells of each point its index in the draft,
// -1 for one that is taken over.
func (d *draft) merge(p, base *Profile, to problems) (own []int) {
	p.Kind = cmp.Or(p.Kind, base.Kind)
	p.Title = cmp.Or(p.Title, base.Title)
	p.Manufacturer = cmp.Or(p.Manufacturer, base.Manufacturer)
	p.Model = cmp.Or(p.Model, base.Model)
	m, b := &p.Modbus, &base.Modbus
	m.Order = cmp.Or(m.Order, b.Order)
	m.MaxRegisters = cmp.Or(m.MaxRegisters, b.MaxRegisters)
	m.MaxBits = cmp.Or(m.MaxBits, b.MaxBits)
	m.MaxGap = cmp.Or(m.MaxGap, b.MaxGap)
	if m.Forbidden == nil {
		m.Forbidden = b.Forbidden
	}
	p.MQTT.Topic = cmp.Or(p.MQTT.Topic, base.MQTT.Topic)
	p.MQTT.Time = cmp.Or(p.MQTT.Time, base.MQTT.Time)
	p.MQTT.ID = cmp.Or(p.MQTT.ID, base.MQTT.ID)

	named := func(points []Point, name string) int {
		return slices.IndexFunc(points, func(pt Point) bool { return pt.Name == name })
	}
	for i, name := range d.Remove {
		switch {
		case named(base.Points, name) < 0:
			to.Add(fmt.Sprintf("remove[%d]", i), "profile %s has no point %s", base.Name, name)
		case named(d.Points, name) >= 0:
			to.Add(fmt.Sprintf("remove[%d]", i), "%s is among the points: a point that is given replaces %s's by itself", name, base.Name)
		}
	}
	p.Points = nil
	for _, pt := range base.Points {
		i := named(d.Points, pt.Name)
		if i >= 0 {
			pt = d.Points[i]
		} else if slices.Contains(d.Remove, pt.Name) {
			continue
		}
		p.Points, own = append(p.Points, pt), append(own, i)
	}
	for i, pt := range d.Points {
		if !slices.Contains(own, i) {
			p.Points, own = append(p.Points, pt), append(own, i)
		}
	}
	return own
}

// merged reports problems of a merged profile where the draft has them.
type merged struct {
	to   problems
	own  []int
	base *Profile
}

func (m *merged) Add(path, format string, args ...any) {
	var i int
	if n, _ := fmt.Sscanf(path, "points[%d]", &i); n == 1 && i < len(m.own) {
		was := fmt.Sprintf("points[%d]", i)
		if m.own[i] < 0 {
			m.to.Add("extends", "%s of %s: %s", path[len(was):], m.base.Name, fmt.Sprintf(format, args...))
			return
		}
		path = fmt.Sprintf("points[%d]", m.own[i]) + path[len(was):]
	}
	m.to.Add(path, format, args...)
}

// addAll adds drafts to the set, each after the one that it extends, in their order else. A profile
// of the set gives way to a draft with its name, which may extend it.
func (s *Set) addAll(drafts []*draft) (errs []error) {
	for len(drafts) > 0 {
		n := slices.IndexFunc(drafts, func(d *draft) bool {
			return !slices.ContainsFunc(drafts, func(other *draft) bool { return other != d && other.Name == d.Extends && d.Extends != "" })
		})
		if n < 0 {
			for _, d := range drafts {
				errs = append(errs, fmt.Errorf("%w: %s: extends: %s and %s extend one another", faultline.ErrInvalid, d.file, d.Name, d.Extends))
			}
			return errs
		}
		d := drafts[n]
		drafts = slices.Delete(drafts, n, n+1)
		if err := s.addDraft(d); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *Set) addDraft(d *draft) error {
	p, err := s.finish(d)
	if err != nil {
		return err
	}
	delete(s.byName, p.Name)
	return s.Add(p)
}

func (s *Set) finish(d *draft) (*Profile, error) {
	if d.Extends == "" {
		return d.finish(nil)
	}
	base, err := s.Get(d.Extends)
	if err != nil {
		d.doc.Problems().Add("extends", "%s", err)
		return nil, d.doc.Problems().Err()
	}
	return d.finish(base)
}

// Decode reads one profile from YAML, which may extend one of the set; file is named in errors. The
// error lists all that is wrong. The set stays as it is.
func (s *Set) Decode(file string, data []byte) (*Profile, error) {
	d, err := decodeDraft(file, data)
	if err != nil {
		return nil, err
	}
	return s.finish(d)
}

// Decode reads one profile that extends no other.
func Decode(file string, data []byte) (*Profile, error) { return new(Set).Decode(file, data) }
