package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/detect"
)

// Deviation: a signal that does what it did not do before. What is normal, by hour of the day and of the
// week, in shape and in level, it learns by itself and goes on learning, so that what stays becomes
// normal after a while. The mathematics are in package detect.
var deviationType = Type{
	Name:     "deviation",
	Uses:     []string{"step", "learn", "score", "once_in", "rest", "severity"},
	Severity: faultline.SeverityAdvisory,
	Keeps:    true,
	Check:    checkDetection,
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		if err := numbers("deviation", p); err != nil {
			return nil, err
		}
		return &deviation{settings: s, point: p, signal: detect.NewSignal()}, nil
	},
}

// Where the rule says nothing.
const (
	deviationScore = 2.0            // rarity of the evidence on average, in powers of ten
	learnFor       = 24 * time.Hour // before the first judgement
	restSteps      = 100            // after a finding: only clearly stronger evidence raises again
	stronger       = 0.3
	holdSteps      = 12 // a finding stands until its evidence was gone for so long
)

func checkDetection(s *Settings, report func(field, format string, args ...any)) {
	for _, d := range []struct {
		field string
		d     time.Duration
	}{{"step", s.Step}, {"learn", s.Learn}, {"rest", s.Rest}} {
		if d.d < 0 || d.d > longestWindow {
			report(d.field, "%v: use 0s to %v", d.d, longestWindow)
		}
	}
	if s.OnceIn < 0 {
		report("once_in", "%v must not be negative", s.OnceIn)
	}
	if !(s.Score >= 0) || s.Score > 20 {
		report("score", "%v: use 0 to 20", s.Score)
	}
}

type deviation struct {
	settings *Settings
	point    *faultline.Point
	signal   *detect.Signal
	last     int64   // event time of the last sample
	first    int64   // of the first step
	pace     float64 // mean time from step to step, ns
	bucket   bucket
	outbreak outbreak
	verdict  Verdict // of the last step
	spread   float64 // of what is normal, at the last finding
	rarity   float64
}

// bucket gathers the samples of a step.
type bucket struct {
	at  int64 // number of the step
	n   int64
	sum float64
}

// add takes a sample in. If it is of another step than the last, it gives the mean of that one and when it
// began.
func (b *bucket) add(now int64, v float64, step time.Duration) (mean float64, at int64, closed bool) {
	in := now / int64(step)
	if in != b.at && b.n > 0 {
		mean, at, closed = b.sum/float64(b.n), b.at*int64(step), true
		*b = bucket{}
	}
	b.at = in
	b.n++
	b.sum += v
	return mean, at, closed
}

// outbreak is a finding that stands, and the rest after it.
type outbreak struct {
	steps int64   // since it was raised last; -1: never
	gone  int64   // steps since the evidence was there
	peak  float64 // the strength that it was raised with
}

// step goes on by a step with evidence of that strength, strong enough or not, and says whether the
// finding stands and whether it was raised now.
func (o *outbreak) step(strength float64, enough bool, rest int64) (stands, raised bool) {
	if o.steps >= 0 {
		o.steps++
		o.gone++
	}
	if enough {
		if raised = o.steps < 0 || o.steps >= rest || strength >= o.peak+stronger; raised {
			*o = outbreak{peak: strength}
		}
		if o.gone <= holdSteps {
			o.gone = 0
		}
	}
	return o.steps >= 0 && o.gone <= holdSteps, raised
}

func (k *deviation) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	v, ok := s.Value.Number()
	if s.Quality.IsBad() || !ok || math.IsNaN(v) || math.IsInf(v, 0) {
		return Verdict{Judgement: Unknown}
	}
	if k.settings.Step <= 0 {
		k.step(now, v)
		return k.verdict
	}
	if mean, step, closed := k.bucket.add(now, v, k.settings.Step); closed {
		k.step(step, mean)
	}
	if k.verdict.Judgement == NoNews {
		return Verdict{Judgement: Fine, Value: v}
	}
	return k.verdict
}

// step judges the mean of a step.
func (k *deviation) step(at int64, v float64) {
	f := k.signal.Step(at, v)
	if f.Steps == 0 {
		k.first, k.outbreak.steps = at, -1
	} else {
		k.pace = float64(at-k.first) / float64(f.Steps)
	}
	learnt := f.Steps >= 2*holdSteps && at-k.first >= int64(k.settings.learn())
	enough := learnt && f.Strength >= k.settings.score() && k.rare(f.Rarity)
	stands, raised := k.outbreak.step(f.Strength, enough, k.rest())
	k.verdict = Verdict{Judgement: Fine, Value: v, Limit: f.Expected}
	if !stands {
		return
	}
	if raised {
		k.spread, k.rarity = f.Spread, f.Rarity
	}
	k.verdict.Judgement, k.verdict.Severity = Bad, severity(k.settings, deviationType.Severity)
	k.verdict.Detail = detail(f.Strength, int64(f.Main), raised)
}

// detail packs what is known of a finding into a number; Strength and Raised take it apart.
func detail(strength float64, what int64, raised bool) int64 {
	d := int64(strength*1e6)<<8 | what<<1&0xfe
	if raised {
		d |= 1
	}
	return d
}

// Strength of the evidence behind a verdict of a deviation or joint rule.
func (v *Verdict) Strength() float64 { return float64(v.Detail>>8) / 1e6 }

// Raised tells whether the verdict of a deviation or joint rule is a new finding, or a standing one that
// has become clearly stronger.
func (v *Verdict) Raised() bool { return v.Judgement == Bad && v.Detail&1 == 1 }

// rare tells whether evidence as strong comes about no more than once in the time that the rule allows.
func (k *deviation) rare(rarity float64) bool {
	if k.settings.OnceIn <= 0 || k.pace <= 0 {
		return true
	}
	return rarity >= math.Log10(float64(k.settings.OnceIn)/k.pace)
}

func (k *deviation) rest() int64 { return k.settings.restSteps(k.pace) }

func (s *Settings) restSteps(pace float64) int64 {
	if s.Rest > 0 && pace > 0 {
		return int64(min(float64(s.Rest)/pace, 1e9))
	}
	return restSteps
}

func (s *Settings) learn() time.Duration {
	if s.Learn > 0 {
		return s.Learn
	}
	return learnFor
}

func (s *Settings) score() float64 {
	if s.Score > 0 {
		return s.Score
	}
	return deviationScore
}

// Tick brings no news.
func (k *deviation) Tick(time.Time) Verdict { return Verdict{} }

// bandWidth is how many mean distances from the expected value the normal band reaches.
const bandWidth = 3

// band is where a value normally is, as lines to draw.
func band(expected, width float64) []faultline.Limit {
	return []faultline.Limit{
		{Name: "normal from", Value: expected - bandWidth*width, Severity: faultline.SeverityAdvisory},
		{Name: "normal to", Value: expected + bandWidth*width, Severity: faultline.SeverityAdvisory},
	}
}

// Band is where the value was expected when it was last judged.
func (k *deviation) Band() []faultline.Limit { return band(k.verdict.Limit, k.spread) }

// Subject is the point.
func (k *deviation) Subject() string { return k.point.Name }

// Parts is the point with its score.
func (k *deviation) Parts() []faultline.EvidencePart {
	return []faultline.EvidencePart{{Point: k.point.Name, Score: k.verdict.Strength()}}
}

var evidenceWords = [...]string{
	detect.AgainstWeek:     "it is unlike the same hour of other weeks",
	detect.AgainstDay:      "it is unlike the same hour of other days",
	detect.AgainstWeekLong: "it has long been unlike the same hours of other weeks",
	detect.AgainstDayLong:  "it has long been unlike the same hours of other days",
	detect.Shape:           "it moves in a way that was not seen before",
	detect.Level:           "its level has shifted",
}

func (k *deviation) Explain(v Verdict, held time.Duration) string {
	unit := k.point.Unit
	value, expected := apart(v.Value, v.Limit, unit)
	text := subject(k.point) + " " + value + lasting(held) + " where " + expected + " ± " + quantity(k.spread, unit) + " is normal now"
	if what := v.Detail >> 1 & 0x7f; what < int64(len(evidenceWords)) {
		text += "; " + evidenceWords[what]
	}
	return text + fmt.Sprintf(" (score %.1f)", v.Strength())
}

func (k *deviation) Snapshot(dst []byte) []byte {
	dst = putFloat(putInt(putInt(dst, k.last), k.first), k.pace)
	dst = putFloat(putInt(putInt(dst, k.bucket.at), k.bucket.n), k.bucket.sum)
	dst = k.outbreak.snapshot(dst)
	dst = putFloat(putFloat(k.verdict.snapshot(dst), k.spread), k.rarity)
	return k.signal.Append(dst)
}

func (k *deviation) Restore(state []byte) error {
	r := reader{b: state}
	n := deviation{settings: k.settings, point: k.point, signal: detect.NewSignal()}
	n.last, n.first, n.pace = r.int(), r.int(), r.float()
	n.bucket = bucket{r.int(), r.int(), r.float()}
	n.outbreak.restore(&r)
	n.verdict.restore(&r)
	n.spread, n.rarity = r.float(), r.float()
	if r.bad || n.bucket.n < 0 || !finite(n.pace, n.bucket.sum, n.spread, n.rarity) {
		return fmt.Errorf("%w: state of a deviation rule is damaged", faultline.ErrInvalid)
	}
	rest, err := n.signal.Restore(r.b)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: state of a deviation rule is damaged", faultline.ErrInvalid)
	}
	*k = n
	return nil
}

func (o *outbreak) snapshot(dst []byte) []byte {
	return putFloat(putInt(putInt(dst, o.steps), o.gone), o.peak)
}

func (o *outbreak) restore(r *reader) {
	o.steps, o.gone, o.peak = r.int(), r.int(), r.float()
	r.bad = r.bad || o.steps < -1 || o.gone < 0 || !finite(o.peak)
}

func (v *Verdict) snapshot(dst []byte) []byte {
	return putInt(putFloat(putFloat(append(dst, byte(v.Judgement), byte(v.Severity)), v.Value), v.Limit), v.Detail)
}

func (v *Verdict) restore(r *reader) {
	v.Judgement, v.Severity = Judgement(r.byte()), faultline.Severity(r.byte())
	v.Value, v.Limit, v.Detail = r.float(), r.float(), r.int()
	r.bad = r.bad || v.Judgement > Bad || v.Severity > faultline.SeverityCritical || (v.Judgement == Bad) != (v.Severity != 0) || v.Detail < 0 || !finite(v.Value, v.Limit)
}

func finite(list ...float64) bool {
	for _, f := range list {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}
