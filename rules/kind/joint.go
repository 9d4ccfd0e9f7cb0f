package kind

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/detect"
)

// Joint: several signals of an asset against each other. How they normally go together it learns from
// its first steps; then each is held against what the others let expect. The mathematics are in package
// detect.
var jointType = Type{
	Name:     "joint",
	Uses:     []string{"points", "step", "learn", "score", "severity"},
	Severity: faultline.SeverityAdvisory,
	Keeps:    true,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		checkDetection(s, report)
		for i, name := range s.Points {
			if err := faultline.CheckPoint(name); err != nil {
				report("points", "entry %d: %s", i+1, withoutInvalid(err))
			}
		}
		if n := len(s.Points); n < 1 || n > mostJoint {
			report("points", "names %d points: use 2 to %d", n, mostJoint)
		}
	},
	Fit: newJoint,
}

const (
	mostJoint  = 32
	jointScore = 4.6 // deviations, in widths of the normal
)

type joint struct {
	settings *Settings
	points   []*faultline.Point
	group    *detect.Group
	now      []float64 // values of this frame, NaN where there is none
	seen     bool      // a sample of this frame
	last     int64     // time of the last frame
	at       int64     // number of the step that is gathered
	sum      []float64
	n        []int64
	verdict  Verdict
	change   int64 // time of the last change point; 0: none
}

func newJoint(s *Settings, points []faultline.Point) (Kind, []string, error) {
	k := &joint{settings: s}
	for _, name := range s.Points {
		i := slices.IndexFunc(points, func(p faultline.Point) bool { return p.Name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("%w %s", ErrAbsent, name)
		}
		if err := numbers("joint", &points[i]); err != nil {
			return nil, nil, err
		}
		k.points = append(k.points, &points[i])
	}
	if len(k.points) == 0 {
		return nil, nil, fmt.Errorf("%w: a joint rule needs points", faultline.ErrInvalid)
	}
	n := len(k.points)
	k.group = detect.NewGroup(n, int(min(s.learn()/max(s.Step, time.Second), mostLearning)))
	k.now, k.sum, k.n = make([]float64, n), make([]float64, n), make([]int64, n)
	k.forget()
	return k, slices.Clone(s.Points), nil
}

// mostLearning steps: a day of minutes, or 1440 of any other length.
const mostLearning = 1440

func (k *joint) forget() {
	for i := range k.now {
		k.now[i] = math.NaN()
	}
	k.seen = false
}

// Observe keeps a sample for the frame's end.
func (k *joint) Observe(at time.Time, s *faultline.Sample) Verdict {
	if at.UnixNano() <= k.last {
		return Verdict{}
	}
	for i, p := range k.points {
		if p.Name != s.Point {
			continue
		}
		k.seen = true
		if v, ok := s.Value.Number(); ok && s.Quality.Usable() && finite(v) {
			k.now[i] = v
		}
	}
	return Verdict{}
}

// EndFrame judges.
func (k *joint) EndFrame(at time.Time) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	if !k.seen {
		return Verdict{}
	}
	defer k.forget()
	if !slices.ContainsFunc(k.now, func(v float64) bool { return !math.IsNaN(v) }) {
		return Verdict{Judgement: Unknown}
	}
	if k.settings.Step <= 0 {
		k.step(now, k.now)
		return k.verdict
	}
	if in := now / int64(k.settings.Step); in != k.at {
		k.close()
		k.at = in
	}
	for i, v := range k.now {
		if !math.IsNaN(v) {
			k.sum[i] += v
			k.n[i]++
		}
	}
	if k.verdict.Judgement == NoNews {
		return Verdict{Judgement: Fine}
	}
	return k.verdict
}

// close judges the step that was gathered.
func (k *joint) close() {
	means := make([]float64, len(k.points))
	any := false
	for i := range means {
		means[i] = k.sum[i] / float64(k.n[i]) // NaN if there was none
		any = any || k.n[i] > 0
		k.sum[i], k.n[i] = 0, 0
	}
	if any {
		k.step(k.at*int64(k.settings.Step), means)
	}
}

func (k *joint) step(at int64, values []float64) {
	limit := k.settings.Score
	if limit <= 0 {
		limit = jointScore
	}
	m := k.group.Step(values, limit)
	if m.Change {
		k.change = at
	}
	k.verdict = Verdict{Judgement: Fine}
	if !m.Ready {
		return
	}
	expected, width := k.group.Normal(m.Main)
	k.verdict.Limit = expected
	k.verdict.Value = expected + width*k.group.Deviation(m.Main)
	if v := values[m.Main]; finite(v) {
		k.verdict.Value = v
	}
	if m.Fault {
		k.verdict.Judgement, k.verdict.Severity = Bad, severity(k.settings, jointType.Severity)
		k.verdict.Detail = detail(m.Deviation, int64(m.Main), m.Began)
	}
}

// ChangePoint is when one of the signals last went over to another level, ns since 1970; 0: never.
func (k *joint) ChangePoint() int64 { return k.change }

// Tick brings no news.
func (k *joint) Tick(time.Time) Verdict { return Verdict{} }

func (k *joint) Explain(v Verdict, held time.Duration) string {
	main := int(v.Detail >> 1 & 0x7f)
	if main >= len(k.points) {
		return "the signals do not go together as before"
	}
	p := k.points[main]
	_, width := k.group.Normal(main)
	value, expected := apart(v.Value, v.Limit, p.Unit)
	text := subject(p) + " " + value + lasting(held) + " where " + expected + " ± " + quantity(width, p.Unit) +
		" goes with the other signals: " + strconv.FormatFloat(v.Strength(), 'f', 1, 64) + " times the normal deviation"
	var others []string
	for _, c := range k.most(main) {
		others = append(others, subject(k.points[c])+" ("+strconv.FormatFloat(k.group.Deviation(c), 'f', 1, 64)+")")
	}
	if len(others) > 0 {
		text += "; then " + strings.Join(others, ", ")
	}
	switch k.group.Cause(main) {
	case detect.Sensor:
		text += "; the others are as ever, so check its sensor first"
	case detect.Process:
		text += "; several signals have moved, so it is the process"
	}
	return text
}

// main is the signal that deviates most by the last verdict.
func (k *joint) main() int { return min(int(k.verdict.Detail>>1&0x7f), len(k.points)-1) }

// Band is where the main signal was expected when it was last judged.
func (k *joint) Band() []faultline.Limit {
	_, width := k.group.Normal(k.main())
	return band(k.verdict.Limit, width)
}

// Subject is the signal that deviates most.
func (k *joint) Subject() string { return k.points[k.main()].Name }

// Parts are the main signal and those that deviate most beside it.
func (k *joint) Parts() []faultline.EvidencePart {
	main := k.main()
	parts := []faultline.EvidencePart{}
	for _, c := range append([]int{main}, k.most(main)...) {
		parts = append(parts, faultline.EvidencePart{Point: k.points[c].Name, Score: k.group.Deviation(c)})
	}
	return parts
}

// most lists the two signals that deviate most after the main one, if they deviate clearly.
func (k *joint) most(main int) []int {
	var list []int
	for c := range k.points {
		if c != main && math.Abs(k.group.Deviation(c)) >= 2 {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b int) int {
		switch x, y := math.Abs(k.group.Deviation(a)), math.Abs(k.group.Deviation(b)); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a - b
	})
	return list[:min(len(list), 2)]
}

func (k *joint) Snapshot(dst []byte) []byte {
	dst = putInt(putInt(putInt(dst, k.last), k.at), k.change)
	for i := range k.points {
		dst = putFloat(putInt(dst, k.n[i]), k.sum[i])
	}
	return k.group.Append(k.verdict.snapshot(dst))
}

func (k *joint) Restore(state []byte) error {
	r := reader{b: state}
	fresh, _, err := newJoint(k.settings, pointsOf(k.points))
	if err != nil {
		return err
	}
	n := fresh.(*joint)
	n.points = k.points
	n.last, n.at, n.change = r.int(), r.int(), r.int()
	for i := range n.points {
		n.n[i], n.sum[i] = r.int(), r.float()
		r.bad = r.bad || n.n[i] < 0 || !finite(n.sum[i])
	}
	n.verdict.restore(&r)
	rest, err := n.group.Restore(r.b)
	if r.bad || err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: state of a joint rule is damaged", faultline.ErrInvalid)
	}
	*k = *n
	return nil
}

func pointsOf(list []*faultline.Point) []faultline.Point {
	points := make([]faultline.Point, len(list))
	for i, p := range list {
		points[i] = *p
	}
	return points
}
