package gateway

import (
	"math"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// reports decides which samples of a position are stored. A point that reports changes is stored when its
// quality changes, when its value leaves the dead band around the last one stored, and at each
// heartbeat. A frame is never empty, so that a position of which nothing changes is not silent.
type reports struct {
	of map[string]*reported // by point; only those that report changes
}

type reported struct {
	point *profile.Point
	last  faultline.Sample
	at    time.Time // zero: nothing stored yet
}

// newReports is nil if every sample of the profile is stored.
func newReports(p *profile.Profile) *reports {
	r := &reports{of: map[string]*reported{}}
	for i := range p.Points {
		if p.Points[i].Report == profile.OnChange {
			r.of[p.Points[i].Name] = &reported{point: &p.Points[i]}
		}
	}
	if len(r.of) == 0 {
		return nil
	}
	return r
}

// worth gives the samples to store; those given stay as they are.
func (r *reports) worth(at time.Time, samples []faultline.Sample) []faultline.Sample {
	if r == nil || len(samples) == 0 {
		return samples
	}
	out := make([]faultline.Sample, 0, len(samples))
	for _, s := range samples {
		if p := r.of[s.Point]; p == nil || p.changed(at, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		out = append(out, samples[0])
	}
	return out
}

// stored remembers what is safe.
func (r *reports) stored(at time.Time, samples []faultline.Sample) {
	if r == nil {
		return
	}
	for _, s := range samples {
		if p := r.of[s.Point]; p != nil {
			p.last, p.at = s, at
		}
	}
}

func (p *reported) changed(at time.Time, s faultline.Sample) bool {
	if p.at.IsZero() || s.Quality != p.last.Quality || at.Sub(p.at) >= p.point.ReportAtLeast() {
		return true
	}
	a, number := p.last.Value.Number()
	b, too := s.Value.Number()
	if number && too && p.point.DeadBand > 0 {
		return math.Abs(b-a) > p.point.DeadBand
	}
	return s.Value != p.last.Value
}
