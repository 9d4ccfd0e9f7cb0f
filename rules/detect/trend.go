package detect

import (
	"math"
	"slices"
)

// Trend watches one signal on its way to a limit, in steps of about equal length. The first steps say
// what is normal: a level, a course of the day where more than a day is learnt, and a spread. After them
// the signal degrades when it is clearly nearer to its limit than that; the degradation began when it was
// last as near as normal. From there on a line and an exponential are fitted, both by the median of all
// slopes (Theil 1950, Sen 1968), with the interval that Kendall's statistic gives, widened for
// neighbouring steps that are alike. Where nothing degrades, or nothing certain can be said, there is no
// forecast.
type Trend struct {
	limit float64
	up    bool
	learn int // steps

	list   []block // the oldest first; the further back, the more steps are one block
	steps  int     // that were seen
	fitted int     // steps at the last fit
	base   float64 // what is normal; the deviation from it towards the limit is what degrades
	day    [24]float64
	spread float64
	origin int64 // of hours of the day

	forecast Forecast
}

// block is the mean of some steps that follow one another.
type block struct {
	at, until int64 // from the first to the last step
	n         int64
	sum       float64
}

func (b *block) mean() float64   { return b.sum / float64(b.n) }
func (b *block) middle() float64 { return float64(b.at)/2 + float64(b.until)/2 }

// mostBlocks bounds what is remembered; the older half of it is then told in half as many.
const mostBlocks = 384

// Why there is no forecast.
type Refusal uint8

// The refusals; Certain is none.
const (
	Certain  Refusal = iota
	Learning         // what is normal is not known yet
	Steady           // nothing degrades
	Vague            // it degrades, but how fast cannot be said
	Far              // the limit is further off than the degradation allows to see
	Reached          // the limit is reached: there is nothing to forecast
)

// Model of a degradation.
type Model uint8

// The models.
const (
	Linear Model = iota
	Exponential
)

// Forecast is what is said after a step: ns until the limit is reached, by the early tenth, the half and
// the late tenth; +Inf: it may never be.
type Forecast struct {
	Refusal       Refusal
	Model         Model
	P10, P50, P90 float64
	Level         float64 // without noise
	Start         float64 // before it degraded
	Onset         int64   // ns since 1970
	At            int64
	Points        int // means that the fit rests on
}

// What is asked of a degradation before anything is said.
const (
	enoughSpreads = 5.0  // it is this many spreads off what is normal
	enoughWay     = 0.1  // and this share of the way to the limit
	atOnset       = 2.0  // it began where it was no more than this many spreads off
	leastPoints   = 6    // means to fit
	mostPoints    = 48   // and no more
	lookAhead     = 5.0  // times the length of the degradation that is looked ahead
	tenth         = 1.28 // standard deviations between the half and a tenth
	leastDoubt    = 0.12 // of the time to the limit, one standard deviation: extrapolation is never better
)

// NewTrend makes a trend to a limit, from below if up, after so many steps of learning.
func NewTrend(limit float64, up bool, learn int) *Trend {
	return &Trend{limit: limit, up: up, learn: min(max(learn, 8), mostBlocks/2), forecast: Forecast{Refusal: Learning}}
}

// Step takes a mean of a step and tells what is to be expected. Steps are in order of time.
func (t *Trend) Step(at int64, value float64) Forecast {
	if t.steps == 0 {
		t.origin = at
	}
	t.steps++
	t.remember(at, value)
	switch {
	case t.steps < t.learn:
		t.forecast = Forecast{Refusal: Learning, At: at, Level: value}
	case t.steps == t.learn:
		t.learnt()
		t.forecast = t.judge(at)
	default:
		t.forecast = t.judge(at)
	}
	return t.forecast
}

// Last is the newest forecast.
func (t *Trend) Last() Forecast { return t.forecast }

// Past calls see for what is remembered, the oldest first.
func (t *Trend) Past(see func(at int64, value float64)) {
	for i := range t.list {
		see(int64(t.list[i].middle()), t.list[i].mean())
	}
}

func (t *Trend) remember(at int64, value float64) {
	if len(t.list) == mostBlocks {
		half := t.list[:0]
		for i := 0; i < mostBlocks/2; i += 2 {
			a, b := t.list[i], t.list[i+1]
			half = append(half, block{a.at, b.until, a.n + b.n, a.sum + b.sum})
		}
		t.list = append(half, t.list[mostBlocks/2:]...)
	}
	t.list = append(t.list, block{at, at, 1, value})
}

// learnt works out what is normal.
func (t *Trend) learnt() {
	values := make([]float64, len(t.list))
	for i := range t.list {
		values[i] = t.list[i].mean()
	}
	t.base = median(slices.Clone(values))
	if t.list[len(t.list)-1].until-t.list[0].at >= 2*int64(dayLength) {
		var n [24]float64
		for i := range t.list {
			h := t.hour(t.list[i].middle())
			t.day[h] += values[i] - t.base
			n[h]++
		}
		for h := range t.day {
			t.day[h] /= n[h] + 1 // a few values are no habit yet
		}
	}
	for i := range t.list {
		values[i] = math.Abs(values[i] - t.base - t.day[t.hour(t.list[i].middle())])
	}
	t.spread = 1.4826 * median(values)
	if t.spread == 0 { // more than half of them equal
		for _, v := range values {
			t.spread += v / float64(len(values))
		}
	}
}

const dayLength = 24 * 3600 * 1e9

func (t *Trend) hour(at float64) int {
	h := int(math.Floor((at - float64(t.origin)) / dayLength * 24))
	return (h%24 + 24) % 24
}

// off is how far a block is from what is normal, towards the limit.
func (t *Trend) off(b *block) float64 {
	v := b.mean() - t.base
	if b.until-b.at < dayLength/4 { // longer ones hold parts of the day
		v -= t.day[t.hour(b.middle())]
	}
	if !t.up {
		return -v
	}
	return v
}

// way is how far the limit is from what is normal.
func (t *Trend) way() float64 {
	if t.up {
		return t.limit - t.base
	}
	return t.base - t.limit
}

func (t *Trend) level(off float64) float64 {
	if t.up {
		return t.base + off
	}
	return t.base - off
}

// judge says what is to be expected now.
func (t *Trend) judge(at int64) Forecast {
	off := make([]float64, len(t.list))
	for i := range t.list {
		off[i] = t.off(&t.list[i])
	}
	now := median(slices.Clone(off[max(0, len(off)-5):]))
	f := Forecast{Refusal: Steady, At: at, Level: t.level(now), Start: t.base}
	way := t.way()
	switch {
	case now >= way:
		f.Refusal = Reached
		return f
	case now < max(enoughSpreads*t.spread, enoughWay*way):
		return f
	}
	first := len(off) - 1
	for first > 0 && median3(off, first) > atOnset*t.spread {
		first--
	}
	f.Onset = t.list[first].at
	f.Refusal = Vague
	times, values := t.resample(first, off)
	f.Points = len(values)
	if len(values) < leastPoints {
		return f
	}
	if prev := &t.forecast; prev.Refusal == Certain && prev.Onset == f.Onset && t.steps-t.fitted < len(t.list[first:])/24 {
		// Nothing new to learn from a fit: the same expectation, a little later.
		f = *prev
		gone := float64(at - prev.At)
		f.At, f.P10, f.P50, f.P90 = at, max(0, f.P10-gone), max(0, f.P50-gone), max(0, f.P90-gone)
		return f
	}
	if len(values) < 2*leastPoints && stepped(times, values) {
		return f
	}
	t.fitted = t.steps
	line, lineOK := fit(times, values, float64(at), way)
	grown, grownOK := fitGrowth(times, values, float64(at), way, t.spread)
	chosen := line
	switch {
	case !lineOK && !grownOK:
		return f
	case !lineOK || grownOK && grown.wrong < 0.8*line.wrong:
		f.Model, chosen = Exponential, grown
		if lineOK && grown.wrong > 0.5*line.wrong {
			chosen.p90 = max(chosen.p90, line.p90)
		}
	case grownOK && grown.wrong < 1.5*line.wrong:
		chosen.p10 = min(chosen.p10, grown.p10)
	}
	f.Level = t.level(min(chosen.now, way))
	f.P10, f.P50, f.P90 = chosen.p10, chosen.p50, chosen.p90
	if f.P50 > lookAhead*float64(at-f.Onset) {
		f.Refusal = Far
		return f
	}
	f.Refusal = Certain
	return f
}

func median3(list []float64, i int) float64 {
	a, b, c := list[max(0, i-1)], list[i], list[min(len(list)-1, i+1)]
	return max(min(a, b), min(max(a, b), c))
}

// resample gives the means of equal parts of the time since block first.
func (t *Trend) resample(first int, off []float64) (times, values []float64) {
	from, to := float64(t.list[first].at), float64(t.list[len(t.list)-1].until)
	parts := min(mostPoints, len(off)-first)
	width := (to - from) / float64(parts)
	if width <= 0 {
		return nil, nil
	}
	part, n := -1, 0.0
	for i := first; i < len(off); i++ {
		m := t.list[i].middle()
		p := min(int((m-from)/width), parts-1)
		if p != part {
			part, n = p, 0
			times, values = append(times, 0), append(values, 0)
		}
		last, w := len(times)-1, float64(t.list[i].n)
		n += w
		times[last] += (m - times[last]) * w / n
		values[last] += (off[i] - values[last]) * w / n
	}
	return times, values
}

// stepped tells whether two levels explain the values better than a line: where a jump goes on to is not known.
func stepped(times, values []float64) bool {
	off := func(values []float64, of func(i int) float64) (sum float64) {
		for i, v := range values {
			sum += math.Abs(v - of(i))
		}
		return sum
	}
	best := math.Inf(1)
	for k := 1; k < len(values); k++ {
		low, high := median(slices.Clone(values[:k])), median(slices.Clone(values[k:]))
		best = min(best, off(values[:k], func(int) float64 { return low })+off(values[k:], func(int) float64 { return high }))
	}
	line := sen(times, values)
	return best < off(values, func(i int) float64 { return line.level(times[i]) })
}

// expectation is what a model says.
type expectation struct {
	now           float64 // deviation from normal, without noise
	p10, p50, p90 float64 // ns until it has come all the way
	wrong         float64 // median error on the newest third when fitted to the others
}

// fit expects a line to go on. It is false where the values do not clearly rise.
func fit(times, values []float64, at, way float64) (expectation, bool) {
	s := sen(times, values)
	if !(s.sure > 0) {
		return expectation{}, false
	}
	e := expectation{now: s.level(at)}
	e.p10, e.p50, e.p90 = s.until(at, way)
	n := len(values) * 2 / 3
	before := sen(times[:n], values[:n])
	e.wrong = wrong(times[n:], values[n:], before.level)
	return e, true
}

// fitGrowth expects an exponential to go on.
func fitGrowth(times, values []float64, at, way, spread float64) (expectation, bool) {
	var when, logs, kept []float64
	for i, v := range values {
		if v > spread/2 && v > way*1e-6 {
			when, logs, kept = append(when, times[i]), append(logs, math.Log(v)), append(kept, v)
		}
	}
	if len(logs) < leastPoints || len(logs) < len(values)*2/3 {
		return expectation{}, false
	}
	s := sen(when, logs)
	if !(s.sure > 0) {
		return expectation{}, false
	}
	e := expectation{now: math.Exp(s.level(at))}
	e.p10, e.p50, e.p90 = s.until(at, math.Log(way))
	n := len(logs) * 2 / 3
	before := sen(when[:n], logs[:n])
	e.wrong = wrong(when[n:], kept[n:], func(at float64) float64 { return math.Exp(min(before.level(at), 500)) })
	return e, true
}

func wrong(times, values []float64, level func(float64) float64) float64 {
	list := make([]float64, len(values))
	for i, v := range values {
		list[i] = math.Abs(v - level(times[i]))
	}
	return median(list)
}

// slope is a robust line.
type slope struct {
	low, mid, high float64 // per ns: the early and late tenth, and the half
	sure           float64 // as slow as it may be with a likelihood of one in forty
	from, at0      float64 // time and value that the line goes through
}

// sen fits a line by the median of all slopes; times rise.
func sen(times, values []float64) slope {
	n := len(values)
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range values {
		for j := i + 1; j < n; j++ {
			slopes = append(slopes, (values[j]-values[i])/(times[j]-times[i]))
		}
	}
	if len(slopes) == 0 {
		return slope{low: math.NaN(), mid: math.NaN(), high: math.NaN(), sure: math.NaN()}
	}
	slices.Sort(slopes)
	s := slope{mid: middle(slopes), from: times[n-1]}
	rest := make([]float64, n)
	for i := range values {
		rest[i] = values[i] - s.mid*(times[i]-s.from)
	}
	s.at0 = median(slices.Clone(rest))
	// Neighbours that are alike say less: Kendall's variance grows as that of a mean would.
	var same, all float64
	for i, r := range rest {
		all += (r - s.at0) * (r - s.at0)
		if i > 0 {
			same += (r - s.at0) * (rest[i-1] - s.at0)
		}
	}
	alike := 0.0
	if all > 0 {
		alike = min(max(same/all, 0), 0.9)
	}
	count := float64(n)
	deviation := math.Sqrt(count * (count - 1) * (2*count + 5) / 18 * (1 + alike) / (1 - alike))
	rank := func(z float64) float64 {
		k := int(math.Round((float64(len(slopes)) + z*deviation) / 2))
		switch {
		case k < 0:
			return math.Inf(-1)
		case k >= len(slopes):
			return math.Inf(1)
		}
		return slopes[k]
	}
	s.low, s.high, s.sure = rank(-tenth), rank(tenth), rank(-1.96)
	return s
}

func (s *slope) level(at float64) float64 { return s.at0 + s.mid*(at-s.from) }

// until gives the times from at until the line is at a level.
func (s *slope) until(at, level float64) (p10, p50, p90 float64) {
	left := max(0, level-s.level(at))
	time := func(rate float64) float64 {
		switch {
		case left == 0:
			return 0
		case !(rate > 0):
			return math.Inf(1)
		}
		return left / rate
	}
	p50 = time(s.mid)
	p10 = min(time(s.high), p50*(1-tenth*leastDoubt))
	p90 = max(time(s.low), p50*(1+tenth*leastDoubt))
	return p10, p50, p90
}

// median of a list, which it sorts; 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return middle(list)
}

// middle of a sorted list.
func middle(list []float64) float64 {
	n := len(list)
	if n%2 == 1 {
		return list[n/2]
	}
	return list[n/2-1]/2 + list[n/2]/2
}
