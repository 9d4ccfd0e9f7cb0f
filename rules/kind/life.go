package kind

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/detect"
)

// Life: how long until a point that degrades reaches its limit. What is normal it learns first; where
// nothing degrades it says that there is no forecast. Bad is a limit that may be reached, with a likelihood
// of one in ten, within the time that is needed to prepare the work. The mathematics are in package detect.
var lifeType = Type{
	Name:     "life",
	Uses:     []string{"limits", "step", "learn", "lead", "severity"},
	Severity: faultline.SeverityAdvisory,
	Keeps:    true,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		checkDetection(s, report)
		if s.Limits.count() != 1 {
			report("limits", "give the one limit whose reaching is forecast: low_low, low, high or high_high")
		}
		if _, limit, _ := s.Limits.one(); !finite(limit) {
			report("limits", "the limit is not a number")
		}
		if s.Lead < 0 {
			report("lead", "%v must not be negative", s.Lead)
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		if err := numbers("life", p); err != nil {
			return nil, err
		}
		return &life{settings: s, point: p, trend: newTrend(s)}, nil
	},
	Limits: func(s *Settings) []faultline.Limit {
		level, limit, ok := s.Limits.one()
		if !ok {
			return nil
		}
		return []faultline.Limit{{Name: levelNames[level+2], Value: limit, Severity: s.Severities.at(level)}}
	},
}

// Where the rule says nothing.
const (
	lifeStep  = time.Hour
	lifeLearn = 72 * time.Hour
	lifeLead  = 14 * 24 * time.Hour
	outOfLead = 1.25 // it is fine again beyond this many lead times
)

// count is how many limits are set.
func (l *Limits) count() int {
	n := 0
	for level := int8(-2); level <= 2; level++ {
		if l.at(level) != nil {
			n++
		}
	}
	return n
}

// one gives the first limit that is set.
func (l *Limits) one() (level int8, limit float64, ok bool) {
	for level := int8(-2); level <= 2; level++ {
		if p := l.at(level); p != nil {
			return level, *p, true
		}
	}
	return 0, 0, false
}

// Forecaster is a kind that says how long something lasts.
type Forecaster interface {
	Kind
	// ForecastAt is the event time of the newest forecast, ns since 1970; 0: nothing was said yet.
	ForecastAt() int64
	// Forecast is the newest one; without site, position and rule, which a kind does not know.
	Forecast() faultline.Forecast
	// Past is what the forecast rests on, the oldest first.
	Past() []faultline.EvidenceSample
}

// AsForecaster gives the kind that forecasts, which may have a gate around it.
func AsForecaster(k Kind) (Forecaster, bool) { return within[Forecaster](k) }

type life struct {
	settings *Settings
	point    *faultline.Point
	trend    *detect.Trend
	last     int64 // event time of the last sample
	bucket   bucket
	verdict  Verdict // of the last step
}

func newTrend(s *Settings) *detect.Trend {
	level, limit, _ := s.Limits.one()
	learn := s.Learn
	if learn <= 0 {
		learn = lifeLearn
	}
	return detect.NewTrend(limit, level > 0, int(min(learn/s.lifeStep(), math.MaxInt32)))
}

func (s *Settings) lifeStep() time.Duration {
	if s.Step > 0 {
		return s.Step
	}
	return lifeStep
}

func (s *Settings) lead() time.Duration {
	if s.Lead > 0 {
		return s.Lead
	}
	return lifeLead
}

func (k *life) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	v, ok := s.Value.Number()
	if s.Quality.IsBad() || !ok || !finite(v) {
		return Verdict{Judgement: Unknown}
	}
	if mean, step, closed := k.bucket.add(now, v, k.settings.lifeStep()); closed {
		k.step(step, mean)
	}
	if k.verdict.Judgement == NoNews {
		return Verdict{Judgement: Fine, Value: v}
	}
	return k.verdict
}

// step judges the mean of a step.
func (k *life) step(at int64, v float64) {
	f := k.trend.Step(at, v)
	_, limit, _ := k.settings.Limits.one()
	lead := float64(k.settings.lead())
	if k.verdict.Judgement == Bad {
		lead *= outOfLead
	}
	k.verdict = Verdict{Judgement: Fine, Value: f.Level, Limit: limit}
	if f.Refusal == detect.Reached || f.Refusal == detect.Certain && f.P10 <= lead {
		k.verdict.Judgement, k.verdict.Severity = Bad, severity(k.settings, lifeType.Severity)
	}
}

// Tick brings no news.
func (k *life) Tick(time.Time) Verdict { return Verdict{} }

var refusals = [...]string{
	detect.Learning: "what is normal is not known yet",
	detect.Steady:   "nothing degrades",
	detect.Vague:    "it is not normal any more, but how fast it moves cannot be said",
	detect.Far:      "the limit is further off than the degradation seen so far allows to say",
	detect.Reached:  "the limit is reached",
}

var modelNames = [...]string{detect.Linear: "linear", detect.Exponential: faultline.Exponential}

// Forecast is the newest one.
func (k *life) Forecast() faultline.Forecast {
	f := k.trend.Last()
	_, limit, _ := k.settings.Limits.one()
	out := faultline.Forecast{
		Point: k.point.Name, Unit: k.point.Unit, At: time.Unix(0, f.At).UTC(), None: refusals[min(int(f.Refusal), len(refusals)-1)],
		Level: f.Level, Start: f.Start, Limit: limit,
	}
	if f.Onset != 0 {
		out.Onset = time.Unix(0, f.Onset).UTC()
	}
	if f.Refusal == detect.Certain {
		out.P10, out.P50, out.P90 = remaining(f.P10), remaining(f.P50), remaining(f.P90)
		out.Model = modelNames[f.Model]
		out.Basis = fmt.Sprintf("%s fit to %d means since %s, from %s to %s", out.Model, f.Points, out.Onset.Format("2006-01-02 15:04 UTC"),
			quantity(f.Start, k.point.Unit), quantity(f.Level, k.point.Unit))
	}
	return out
}

// ForecastAt is when it was made.
func (k *life) ForecastAt() int64 { return k.trend.Last().At }

func remaining(ns float64) faultline.Remaining { return faultline.Remaining(ns / float64(time.Hour)) }

// Past is what was remembered of the point.
func (k *life) Past() []faultline.EvidenceSample {
	list := []faultline.EvidenceSample{}
	k.trend.Past(func(at int64, value float64) {
		list = append(list, faultline.EvidenceSample{At: time.Unix(0, at).UTC(), Value: &value, Quality: faultline.Good})
	})
	return list
}

func (k *life) Explain(v Verdict, held time.Duration) string {
	level, limit := apart(v.Value, v.Limit, k.point.Unit)
	f := k.trend.Last()
	if f.Refusal != detect.Certain {
		return subject(k.point) + " " + level + " is at its limit of " + limit + lasting(held)
	}
	late := "perhaps never"
	if !math.IsInf(f.P90, 1) {
		late = "at the latest in " + remaining(f.P90).String()
	}
	return subject(k.point) + " " + level + " will reach " + limit + " in about " + remaining(f.P50).String() + ", at the earliest in " + remaining(f.P10).String() + " and " + late +
		" (8 in 10): it has moved from " + quantity(f.Start, k.point.Unit) + " in " + remaining(float64(f.At-f.Onset)).String() + ", " + modelNames[f.Model] + " fit to " + strconv.Itoa(f.Points) + " means"
}

func (k *life) Snapshot(dst []byte) []byte {
	dst = putFloat(putInt(putInt(putInt(dst, k.last), k.bucket.at), k.bucket.n), k.bucket.sum)
	return k.trend.Append(k.verdict.snapshot(dst))
}

func (k *life) Restore(state []byte) error {
	r := reader{b: state}
	n := life{settings: k.settings, point: k.point, trend: newTrend(k.settings)}
	n.last = r.int()
	n.bucket = bucket{r.int(), r.int(), r.float()}
	n.verdict.restore(&r)
	if r.bad || n.bucket.n < 0 || !finite(n.bucket.sum) {
		return fmt.Errorf("%w: state of a life rule is damaged", faultline.ErrInvalid)
	}
	rest, err := n.trend.Restore(r.b)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: state of a life rule is damaged", faultline.ErrInvalid)
	}
	*k = n
	return nil
}
