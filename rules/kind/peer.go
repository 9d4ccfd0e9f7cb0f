package kind

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/faultline-iot/faultline"
)

// Peer: a point of an asset against the same point of assets of the same kind, over windows of time. A
// window is as good as its mean; assets at another load are left out. What the others did is told by
// whoever has them all in view: see Comparer.
var peerType = Type{
	Name:     "peer",
	Uses:     []string{"within", "load", "tolerance", "peers", "score", "least", "side", "dead_band", "severity"},
	Severity: faultline.SeverityAdvisory,
	Check:    checkPeer,
	Beside:   newPeer,
}

// Where the rule says nothing, and the limits of what it may say.
const (
	peerWithin    = time.Hour
	shortestPeer  = time.Minute
	longestPeer   = 24 * time.Hour
	peerScore     = 5.0
	fewestPeers   = 3
	madOfNormal   = 1.4826 // spread of a normal distribution over its median absolute deviation
	tenths        = 10     // of a window; half of them need a usable sample
	comparedUntil = 2      // windows that what was found last holds for
)

// Summary is what an asset did in a window, which is numbered: time since 1970 / length.
type Summary struct {
	Window int64
	Value  float64 // mean, in the point's unit
	Load   float64 // mean, in the load's unit; 0 where the rule does not look at it
}

// Comparer is a kind that judges an asset against its peers. It sums its own windows up; who hears of all
// of them tells it what they were, once for each window.
type Comparer interface {
	Learner
	// Window is the length of a window.
	Window() time.Duration
	// Closed gives the last window that is over and was usable, and the number of the last one that is over.
	Closed() (last Summary, over int64)
	// Compared is the number of the last window that was compared.
	Compared() int64
	// Compare judges a window: own is nil if it was not usable. One that is not after the last one is no news.
	Compare(window int64, own *Summary, others []Summary) Verdict
}

// AsComparer gives the kind that compares, which may have a gate around it.
func AsComparer(k Kind) (Comparer, bool) {
	if g, ok := k.(*gate); ok {
		if _, ok := g.inner.(Comparer); !ok {
			return nil, false
		}
		return gatedComparer{g}, true
	}
	c, ok := k.(Comparer)
	return c, ok
}

// gatedComparer says nothing of peers while the rule does not apply.
type gatedComparer struct{ *gate }

func (g gatedComparer) comparer() Comparer              { return g.inner.(Comparer) }
func (g gatedComparer) Band() []faultline.Limit         { return g.comparer().Band() }
func (g gatedComparer) Parts() []faultline.EvidencePart { return g.comparer().Parts() }
func (g gatedComparer) Subject() string                 { return g.comparer().Subject() }
func (g gatedComparer) Window() time.Duration           { return g.comparer().Window() }
func (g gatedComparer) Closed() (Summary, int64)        { return g.comparer().Closed() }
func (g gatedComparer) Compared() int64                 { return g.comparer().Compared() }
func (g gatedComparer) Compare(window int64, own *Summary, others []Summary) Verdict {
	v := g.comparer().Compare(window, own, others)
	if !g.open {
		return Verdict{}
	}
	return v
}

func checkPeer(s *Settings, report func(field, format string, args ...any)) {
	if s.Within != 0 && (s.Within < shortestPeer || s.Within > longestPeer) {
		report("within", "%v: use %v to %v", s.Within, shortestPeer, longestPeer)
	}
	if !(s.Least > 0) || math.IsInf(s.Least, 0) {
		report("least", "must be a positive number: how far from the others is worth telling, in the point's unit?")
	}
	if !(s.Score >= 0) || s.Score > 100 {
		report("score", "%v: use 0 to 100", s.Score)
	}
	if s.Peers != 0 && (s.Peers < fewestPeers || s.Peers > 1000) {
		report("peers", "%d: use %d to 1000", s.Peers, fewestPeers)
	}
	switch s.Side {
	case "", "high", "low":
	default:
		report("side", "%q: use high, low, or leave it out for both", s.Side)
	}
	switch {
	case s.Load != "" && (!(s.Tolerance > 0) || math.IsInf(s.Tolerance, 0)):
		report("tolerance", "must be a positive number: how far apart may loads be that are alike, in the load's unit?")
	case s.Load == "" && s.Tolerance != 0:
		report("tolerance", "is of use with load only")
	case s.Load != "":
		if err := faultline.CheckPoint(s.Load); err != nil {
			report("load", "%s", withoutInvalid(err))
		}
	}
	if !(s.DeadBand >= 0) || s.DeadBand >= s.Least && s.Least > 0 {
		report("dead_band", "%v: use 0 to less than least, %v", s.DeadBand, s.Least)
	}
}

type peer struct {
	settings *Settings
	point    *faultline.Point
	load     *faultline.Point // nil: all loads are alike

	last   int64 // event time of the newest sample
	window int64 // that is gathered
	value  tally
	loads  tally
	closed Summary

	compared int64
	verdict  Verdict // of the last comparison
	others   int64   // that it was held against
	limit    float64 // distance from their median that is allowed, in the point's unit
	spread   float64 // of them
	at       float64 // own load
}

// tally gathers a point's samples of a window.
type tally struct {
	last   int64 // event time of the newest sample
	tenths int64 // bits: those that had a usable one
	n      int64
	sum    float64
}

func newPeer(s *Settings, p *faultline.Point, points []faultline.Point) (Kind, []string, error) {
	if p == nil {
		return nil, nil, fmt.Errorf("%w: a peer rule watches a point", faultline.ErrInvalid)
	}
	if err := numbers("peer", p); err != nil {
		return nil, nil, err
	}
	k := &peer{settings: s, point: p}
	watch := []string{p.Name}
	if s.Load != "" {
		i := slices.IndexFunc(points, func(p faultline.Point) bool { return p.Name == s.Load })
		if i < 0 {
			return nil, nil, fmt.Errorf("%w %s", ErrAbsent, s.Load)
		}
		if err := numbers("peer", &points[i]); err != nil {
			return nil, nil, err
		}
		k.load = &points[i]
		if s.Load != p.Name {
			watch = append(watch, s.Load)
		}
	}
	return k, watch, nil
}

func (k *peer) Window() time.Duration {
	if k.settings.Within > 0 {
		return k.settings.Within
	}
	return peerWithin
}

func (k *peer) score() float64 {
	if k.settings.Score > 0 {
		return k.settings.Score
	}
	return peerScore
}

// Observe sums up. What was found last holds until the next comparison, but not for long.
func (k *peer) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now < k.last {
		return Verdict{}
	}
	k.last = now
	if w := now / int64(k.Window()); w > k.window {
		k.close()
		k.window = w
	}
	if k.load != nil && s.Point == k.load.Name {
		k.loads.add(now, k.Window(), s)
	}
	if s.Point != k.point.Name || now <= k.value.last {
		return Verdict{}
	}
	if !k.value.add(now, k.Window(), s) || k.window-k.compared > comparedUntil {
		return Verdict{Judgement: Unknown}
	}
	return k.verdict
}

// add counts a sample; false if it is of no use.
func (t *tally) add(now int64, window time.Duration, s *faultline.Sample) bool {
	if now <= t.last {
		return false
	}
	t.last = now
	v, ok := s.Value.Number()
	if !s.Quality.Usable() || !ok || !finite(v) {
		return false
	}
	t.tenths |= 1 << min(now%int64(window)/max(int64(window)/tenths, 1), tenths-1)
	t.sum += v
	t.n++
	return true
}

// mean of the samples; false if there were too few.
func (t *tally) mean() (float64, bool) {
	return t.sum / float64(max(t.n, 1)), bits.OnesCount64(uint64(t.tenths)) >= tenths/2
}

// close ends the window that is gathered.
func (k *peer) close() {
	value, usable := k.value.mean()
	load, loaded := 0.0, true
	if k.load != nil {
		load, loaded = k.loads.mean()
	}
	if usable && loaded && finite(value) && finite(load) {
		k.closed = Summary{k.window, value, load}
	}
	k.value, k.loads = tally{last: k.value.last}, tally{last: k.loads.last}
}

func (k *peer) Closed() (Summary, int64) { return k.closed, k.window - 1 }

func (k *peer) Compared() int64 { return k.compared }

func (k *peer) Compare(window int64, own *Summary, others []Summary) Verdict {
	if window <= k.compared {
		return Verdict{}
	}
	k.compared = window
	was := k.verdict
	k.verdict = Verdict{Judgement: Unknown}
	if own == nil {
		return k.verdict
	}
	var values []float64
	for i := range others {
		o := &others[i]
		if k.load == nil || math.Abs(o.Load-own.Load) <= k.settings.Tolerance {
			values = append(values, o.Value)
		}
	}
	if len(values) < max(k.settings.Peers, fewestPeers) {
		return k.verdict
	}
	middle := median(values)
	for i, v := range values {
		values[i] = math.Abs(v - middle)
	}
	k.others, k.at = int64(len(values)), own.Load
	k.spread = max(madOfNormal*median(values), k.settings.Least/k.score()) // a few that agree by chance are no measure
	k.limit = k.score() * k.spread
	allowed := k.limit
	if was.Judgement == Bad {
		allowed -= k.settings.DeadBand
	}
	off := own.Value - middle
	k.verdict = Verdict{Judgement: Fine, Value: own.Value, Limit: middle}
	if off > allowed && k.settings.Side != "low" || -off > allowed && k.settings.Side != "high" {
		k.verdict.Judgement, k.verdict.Severity = Bad, severity(k.settings, peerType.Severity)
	}
	return k.verdict
}

// median of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return values[n/2-1]/2 + values[n/2]/2
}

// Tick brings no news.
func (k *peer) Tick(time.Time) Verdict { return Verdict{} }

func (k *peer) Explain(v Verdict, held time.Duration) string {
	value, middle := apart(v.Value, v.Limit, k.point.Unit)
	where := " above"
	if v.Value < v.Limit {
		where = " below"
	}
	text := subject(k.point) + " " + value + ", " + quantity(math.Abs(v.Value-v.Limit), k.point.Unit) + where + " the median " + middle +
		" of " + strconv.FormatInt(k.others, 10) + " peers"
	if k.load != nil {
		text += " at like load"
	}
	text += lasting(held) + ": " + strconv.FormatFloat(math.Abs(v.Value-v.Limit)/k.spread, 'f', 1, 64) + " times the spread of " + quantity(k.spread, k.point.Unit) +
		" in means of " + span(k.Window())
	if k.load != nil {
		text += ", at " + subject(k.load) + " " + quantity(k.at, k.load.Unit) + " ± " + quantity(k.settings.Tolerance, k.load.Unit)
	}
	return text
}

// Parts is nothing: it is about its point alone.
func (k *peer) Parts() []faultline.EvidencePart { return nil }

// Band is where the peers let the value be when it was compared last.
func (k *peer) Band() []faultline.Limit {
	var lines []faultline.Limit
	if k.settings.Side != "high" {
		lines = append(lines, faultline.Limit{Name: "peers from", Value: k.verdict.Limit - k.limit, Severity: severity(k.settings, peerType.Severity)})
	}
	if k.settings.Side != "low" {
		lines = append(lines, faultline.Limit{Name: "peers to", Value: k.verdict.Limit + k.limit, Severity: severity(k.settings, peerType.Severity)})
	}
	return lines
}

// Subject is the point that is compared.
func (k *peer) Subject() string { return k.point.Name }

func (t *tally) snapshot(dst []byte) []byte {
	return putFloat(putInt(putInt(putInt(dst, t.last), t.tenths), t.n), t.sum)
}

func (t *tally) restore(r *reader) {
	t.last, t.tenths, t.n, t.sum = r.int(), r.int(), r.int(), r.float()
	r.bad = r.bad || t.tenths < 0 || t.tenths >= 1<<tenths || t.n < 0 || math.IsNaN(t.sum)
}

func (k *peer) Snapshot(dst []byte) []byte {
	dst = putInt(putInt(putInt(dst, int64(k.Window())), k.last), k.window)
	dst = k.loads.snapshot(k.value.snapshot(dst))
	dst = putFloat(putFloat(putInt(dst, k.closed.Window), k.closed.Value), k.closed.Load)
	dst = k.verdict.snapshot(putInt(putInt(dst, k.compared), k.others))
	return putFloat(putFloat(putFloat(dst, k.limit), k.spread), k.at)
}

// Restore takes over a state. That of other windows, from before the rule was edited, begins anew.
func (k *peer) Restore(state []byte) error {
	r := reader{b: state}
	n := peer{settings: k.settings, point: k.point, load: k.load}
	same := r.int() == int64(k.Window())
	n.last, n.window = r.int(), r.int()
	n.value.restore(&r)
	n.loads.restore(&r)
	n.closed = Summary{r.int(), r.float(), r.float()}
	n.compared, n.others = r.int(), r.int()
	n.verdict.restore(&r)
	n.limit, n.spread, n.at = r.float(), r.float(), r.float()
	for _, v := range []float64{n.closed.Value, n.closed.Load, n.limit, n.spread, n.at} {
		r.bad = r.bad || !finite(v)
	}
	r.bad = r.bad || n.spread < 0 || n.window < 0
	if err := r.end("peer"); err != nil {
		return err
	}
	if !same {
		n = peer{settings: k.settings, point: k.point, load: k.load, last: n.last}
	}
	*k = n
	return nil
}
