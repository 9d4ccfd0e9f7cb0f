package modbus

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// Snapshot is what the registers and bits of a unit held at one time.
type Snapshot struct {
	At     time.Time
	Values map[profile.Table]map[uint16]uint16
}

// Snapshot reads what the profiles name and the unit serves, once.
func (s *Scanner) Snapshot(f *Found, profiles []*profile.Profile) (Snapshot, error) {
	out := Snapshot{At: time.Now(), Values: map[profile.Table]map[uint16]uint16{}}
	wanted := map[profile.Table]*[1 << 16]bool{}
	for _, p := range profiles {
		for i := range p.Points {
			r := p.Points[i].Register
			if r == nil || f.readable[r.Table] == nil {
				continue
			}
			if wanted[r.Table] == nil {
				wanted[r.Table] = new([1 << 16]bool)
			}
			first, n := r.Span()
			for k := range n {
				at := int(first) + k
				wanted[r.Table][at] = f.readable[r.Table][at]
			}
		}
	}
	for t, want := range wanted {
		out.Values[t] = map[uint16]uint16{}
		most := max(f.MaxRegisters, 1)
		for at := 0; at < 1<<16; at++ {
			if !want[at] {
				continue
			}
			n := 1
			for n < most && at+n < 1<<16 && want[at+n] {
				n++
			}
			b, err := s.s.read(request{unit: f.Unit, table: t, address: uint16(at), count: uint16(n)})
			if s.s.ctx.Err() != nil {
				return out, s.s.ctx.Err()
			}
			if err == nil {
				for k := range n {
					if t.Bits() {
						out.Values[t][uint16(at+k)] = uint16(b[k/8] >> (k % 8) & 1)
					} else {
						out.Values[t][uint16(at+k)] = binary.BigEndian.Uint16(b[2*k:])
					}
				}
			}
			at += n - 1
		}
	}
	return out, nil
}

// Fit is how well a profile, in one order of bytes and words, explains what a unit holds.
type Fit struct {
	Profile  *profile.Profile
	Order    profile.Order
	Own      bool    // it is the profile's own order
	Score    float64 // 0 to 1: how much of the profile is there and makes sense
	Points   int     // of the profile
	Readable int     // of them, those that the unit serves
	Evidence int     // of them, those whose values say something: neither 0 nor "not available"
	Doubts   []string
	First    []faultline.Sample // of the first snapshot
}

var orders = []profile.Order{profile.ABCD, profile.CDAB, profile.BADC, profile.DCBA}

// Fits judges profiles in every order, the best first. A value counts if it is in its range, of a size
// that measurements have, steady between snapshots, and never falling where it is a counter.
func Fits(profiles []*profile.Profile, shots []Snapshot) []Fit {
	var out []Fit
	for _, p := range profiles {
		if !p.UsesModbus() {
			continue
		}
		own := p.Modbus.Order
		if own == profile.DefaultOrder {
			own = profile.ABCD
		}
		for _, o := range orders {
			q := *p
			q.Modbus.Order = o
			f := fit(&q, shots)
			f.Profile, f.Order, f.Own = p, o, o == own
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b Fit) int {
		own := func(f Fit) int {
			if f.Own {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(own(a), own(b)))
	})
	return out
}

// weight prefers profiles that explain much over those of a few registers.
func (f *Fit) weight() float64 {
	return f.Score * float64(f.Evidence) / float64(f.Evidence+4)
}

func fit(p *profile.Profile, shots []Snapshot) Fit {
	fields := fieldsOf(p)
	out := Fit{Points: len(fields)}
	sum := 0.0
	for i := range fields {
		f := &fields[i]
		var values []float64
		worth, there, says := 0.0, false, false
		for n, shot := range shots {
			s, ok := f.from(shot)
			if !ok {
				continue
			}
			there = true
			w, telling := worthOf(s)
			if n == 0 || w < worth {
				worth = w
			}
			says = says || telling
			if v, has := s.Value.Number(); has {
				values = append(values, v)
			}
			if n == 0 {
				out.First = append(out.First, s)
			}
		}
		if !there {
			out.First = append(out.First, faultline.Sample{Point: f.point.Name, Quality: faultline.BadIllegalAddress})
			continue
		}
		out.Readable++
		if says {
			out.Evidence++
		}
		why := unsteady(f.point, values)
		if why == "" && worth == 0 {
			why = "no sensible value"
		}
		if why != "" {
			worth = 0
			out.Doubts = append(out.Doubts, f.point.Name+": "+why)
		}
		sum += worth
	}
	if len(fields) > 0 {
		out.Score = sum / float64(len(fields))
	}
	return out
}

// from decodes a field of a snapshot, if all of it is there.
func (f *field) from(s Snapshot) (faultline.Sample, bool) {
	var b []byte
	for k := range f.words {
		v, ok := s.Values[f.table][f.address+k]
		if !ok {
			return faultline.Sample{}, false
		}
		if f.table.Bits() {
			return f.decodeBit(v != 0), true
		}
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return f.decode(b), true
}

// worthOf judges one value, and tells whether it says anything at all.
func worthOf(s faultline.Sample) (worth float64, telling bool) {
	switch {
	case s.Quality == faultline.BadNotAvailable:
		return 0.5, false
	case s.Quality.IsBad():
		return 0, true
	case s.Quality == faultline.UncertainOutOfRange:
		return 0.3, true
	}
	if text, ok := s.Value.Text(); ok {
		switch {
		case text == "":
			return 0.5, false
		case strings.IndexFunc(text, func(r rune) bool { return r > '~' }) >= 0:
			return 0.2, true
		}
		return 1, true
	}
	v, _ := s.Value.Number()
	switch size := math.Abs(v); {
	case v == 0 || s.Value.Type() == faultline.TypeBool:
		return 0.8, false
	case s.Value.Type() == faultline.TypeFloat && (size < 1e-4 || size > 1e9):
		return 0, true // no measurement: bytes in another order
	}
	return 1, true
}

// unsteady says why values that were read one after the other cannot be one measurement.
func unsteady(p *profile.Point, values []float64) string {
	count := p.Unit == "h" || strings.HasSuffix(p.Unit, "Wh") || strings.HasPrefix(p.Name, "energy") || p.Name == "starts"
	for i := 1; i < len(values); i++ {
		a, b := values[i-1], values[i]
		switch {
		case count && b < a:
			return "a counter that falls"
		case p.Type == faultline.TypeFloat && a != 0 && b != 0 && math.Abs(b-a) > 10*min(math.Abs(a), math.Abs(b)) && math.Abs(b-a) > 100:
			return "it jumps"
		}
	}
	return ""
}
