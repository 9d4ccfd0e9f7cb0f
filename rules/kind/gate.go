package kind

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same everywhere

	"github.com/faultline-iot/faultline"
)

// Gate is what every kind may have around it: when the rule applies. Outside, its condition is well,
// whatever it is; when it begins to apply again, it begins anew.
type Gate struct {
	While   string        `yaml:"while"`               // applies only while this condition over the asset's points is true
	Inhibit time.Duration `yaml:"inhibit_after_start"` // and only this long after it became true
	Hours   []string      `yaml:"hours"`               // "mon-fri 08:00-18:00", "22:00-06:00": applies only then
	Zone    string        `yaml:"zone"`                // of hours, such as Europe/Berlin; UTC if left out
}

func (g *Gate) used() bool {
	return g.While != "" || len(g.Hours) > 0 || g.Inhibit != 0 || g.Zone != ""
}

// Check reports what is wrong with the gate.
func (g *Gate) Check(report func(field, format string, args ...any)) {
	if g.While != "" {
		if _, err := parseFormula(g.While); err != nil {
			report("while", "%s", withoutInvalid(err))
		}
	}
	switch {
	case g.Inhibit < 0 || g.Inhibit > longestWindow:
		report("inhibit_after_start", "%v: use 0s to %v", g.Inhibit, longestWindow)
	case g.Inhibit > 0 && g.While == "":
		report("inhibit_after_start", "needs while: what is the start?")
	}
	for i, text := range g.Hours {
		if _, err := parseHours(text); err != nil {
			report(fmt.Sprintf("hours[%d]", i), "%s", err)
		}
	}
	if _, err := time.LoadLocation(g.Zone); err != nil {
		report("zone", "%q is no time zone: use one such as Europe/Berlin", g.Zone)
	} else if g.Zone != "" && len(g.Hours) == 0 {
		report("zone", "is of use with hours only")
	}
}

// hours is a part of the days of a week, in minutes of the wall clock: from before to, or over midnight.
type hours struct {
	days     [7]bool
	from, to int
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func parseHours(text string) (hours, error) {
	var h hours
	bad := fmt.Errorf("%q: use days and times such as \"mon-fri 08:00-18:00\" or \"22:00-06:00\"", text)
	words := strings.Fields(strings.ToLower(text))
	switch len(words) {
	case 1:
		h.days = [7]bool{true, true, true, true, true, true, true}
	case 2:
		for part := range strings.SplitSeq(words[0], ",") {
			first, last, isSpan := strings.Cut(part, "-")
			if !isSpan {
				last = first
			}
			a, b := slices.Index(dayNames, first), slices.Index(dayNames, last)
			if a < 0 || b < 0 {
				return h, bad
			}
			for d := a; ; d = (d + 1) % 7 {
				h.days[d] = true
				if d == b {
					break
				}
			}
		}
	default:
		return h, bad
	}
	from, to, ok := strings.Cut(words[len(words)-1], "-")
	var okFrom, okTo bool
	h.from, okFrom = clock(from)
	h.to, okTo = clock(to)
	if !ok || !okFrom || !okTo || h.from == h.to {
		return h, bad
	}
	return h, nil
}

// clock reads 08:30 as minutes; 24:00 is the end of the day.
func clock(s string) (int, bool) {
	hour, minute, ok := strings.Cut(s, ":")
	h, err1 := strconv.Atoi(hour)
	m, err2 := strconv.Atoi(minute)
	return h*60 + m, ok && err1 == nil && err2 == nil && len(hour) == 2 && len(minute) == 2 && h >= 0 && m >= 0 && m < 60 && h*60+m <= 24*60
}

// contains tells whether a wall clock is inside; hours over midnight belong to the day they begin on.
func (h *hours) contains(t time.Time) bool {
	m, day := t.Hour()*60+t.Minute(), int(t.Weekday())
	if h.from < h.to {
		return h.days[day] && m >= h.from && m < h.to
	}
	return h.days[day] && m >= h.from || h.days[(day+6)%7] && m < h.to
}

// gate is a kind with a Gate around it.
type gate struct {
	inner  Kind
	make   func() (Kind, error)
	keeps  bool     // inner goes on from what it has learnt
	points []string // of inner; nil: any sample
	gate   *Gate
	in     *inputs // of While; nil: none
	hours  []hours
	zone   *time.Location

	last   int64 // event time of the newest sample
	ticked int64
	open   bool
	since  int64 // from when While has been true; 0: it is not
	buffer []faultline.Sample
}

// Make makes a rule of the type with what its settings put around it: for a point (nil: the asset as a
// whole) of an asset with these points. It gives the points whose samples it must see, besides those of
// an Asset type.
func (t *Type) Make(s *Settings, p *faultline.Point, points []faultline.Point) (k Kind, watch []string, err error) {
	build := func() (Kind, error) {
		if t.Fit == nil && t.Beside == nil {
			return t.New(s, p)
		}
		if t.Fit != nil {
			k, names, err := t.Fit(s, points)
			watch = names
			return k, err
		}
		k, names, err := t.Beside(s, p, points)
		watch = names
		return k, err
	}
	if k, err = build(); err != nil {
		return nil, nil, err
	}
	if t.Fit == nil && t.Beside == nil && p != nil {
		watch = []string{p.Name}
	}
	if !s.Gate.used() {
		return k, watch, nil
	}
	g := &gate{inner: k, make: build, keeps: t.Keeps, gate: &s.Gate}
	if !t.Asset {
		g.points = slices.Clone(watch)
	}
	if g.zone, err = time.LoadLocation(s.Zone); err != nil {
		return nil, nil, fmt.Errorf("%w: time zone %q", faultline.ErrInvalid, s.Zone)
	}
	for _, text := range s.Hours {
		h, err := parseHours(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: hours %w", faultline.ErrInvalid, err)
		}
		g.hours = append(g.hours, h)
	}
	if s.While != "" {
		f, err := compileFormula(s.While, points)
		if err != nil {
			return nil, nil, err
		}
		g.in = newInputs(f)
		for _, n := range g.in.names() {
			if !slices.Contains(watch, n) {
				watch = append(watch, n)
			}
		}
	}
	return g, watch, nil
}

// Observe keeps a sample until the frame's end, when it is known whether the rule applies.
func (k *gate) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now < k.last {
		return Verdict{}
	}
	k.last = now
	if k.in != nil {
		k.in.observe(now, s)
	}
	if k.points == nil || slices.Contains(k.points, s.Point) {
		k.buffer = append(k.buffer, *s)
	}
	return Verdict{}
}

// EndFrame judges.
func (k *gate) EndFrame(at time.Time) Verdict {
	if at.UnixNano() < k.last {
		return Verdict{}
	}
	samples := k.buffer
	k.buffer = k.buffer[:0]
	open, known := k.applies(at)
	if !known {
		if len(samples) == 0 {
			return Verdict{}
		}
		return Verdict{Judgement: Unknown}
	}
	if !k.turn(open) {
		return outside(samples)
	}
	v := Verdict{}
	for i := range samples {
		if next := k.inner.Observe(at, &samples[i]); next.Judgement != NoNews {
			v = next
		}
	}
	if f, ok := k.inner.(Framed); ok {
		if next := f.EndFrame(at); next.Judgement != NoNews {
			v = next
		}
	}
	return v
}

// outside is what is said of samples while the rule does not apply: bad ones say nothing, here as ever.
func outside(samples []faultline.Sample) Verdict {
	v := Verdict{}
	for i := range samples {
		v.Judgement = Unknown
		if samples[i].Quality.Usable() && samples[i].Value.Type() != faultline.NoType {
			return Verdict{Judgement: Fine}
		}
	}
	return v
}

// Tick lets time pass for kinds that hear of it.
func (k *gate) Tick(at time.Time) Verdict {
	now := at.UnixNano()
	if now <= max(k.last, k.ticked) {
		return Verdict{}
	}
	k.ticked = now
	open, known := k.applies(at)
	switch {
	case !known:
		return Verdict{}
	case k.turn(open):
		return k.inner.Tick(at)
	case k.points == nil:
		return Verdict{Judgement: Fine}
	}
	return Verdict{}
}

// applies tells whether the rule applies at a moment.
func (k *gate) applies(at time.Time) (open, known bool) {
	now := at.UnixNano()
	inside := len(k.hours) == 0
	for i := range k.hours {
		inside = inside || k.hours[i].contains(at.In(k.zone))
	}
	if k.in == nil {
		return inside, true
	}
	is, known := k.in.evaluate(now)
	if !known {
		return false, false
	}
	if !is {
		k.since = 0
		return false, true
	}
	if k.since == 0 {
		k.since = now
	}
	return inside && now-k.since >= int64(k.gate.Inhibit), true
}

// turn opens or closes the gate; opening, the rule begins anew, unless it is one that learns.
func (k *gate) turn(open bool) bool {
	if open && !k.open && !k.keeps {
		if fresh, err := k.make(); err == nil {
			k.inner = fresh
		}
	}
	k.open = open
	return open
}

// AsLearner gives the kind that learns, which may have a gate around it.
func AsLearner(k Kind) (Learner, bool) { return within[Learner](k) }

// within gives what a kind is besides, or what the kind in its gate is.
func within[T any](k Kind) (T, bool) {
	if g, ok := k.(*gate); ok {
		k = g.inner
	}
	t, ok := k.(T)
	return t, ok
}

// Changer is a kind that sees when signals go over to another level.
type Changer interface {
	ChangePoint() int64
}

// AsChanger gives the kind that sees changes, which may have a gate around it.
func AsChanger(k Kind) (Changer, bool) { return within[Changer](k) }

func (k *gate) Explain(v Verdict, held time.Duration) string {
	text := k.inner.Explain(v, held)
	if k.gate.While != "" {
		text += ", while " + k.gate.While
	}
	return text
}

func (k *gate) Snapshot(dst []byte) []byte {
	open := int64(0)
	if k.open {
		open = 1
	}
	dst = putInt(putInt(putInt(putInt(dst, k.last), k.ticked), open), k.since)
	if k.in != nil {
		dst = k.in.snapshot(dst)
	}
	return k.inner.Snapshot(dst)
}

func (k *gate) Restore(state []byte) error {
	r := reader{b: state}
	last, ticked, open, since := r.int(), r.int(), r.int(), r.int()
	in := k.in
	if in != nil {
		in = k.in.restored(&r)
	}
	if r.bad || open < 0 || open > 1 {
		return fmt.Errorf("%w: state of a rule with conditions is damaged", faultline.ErrInvalid)
	}
	if err := k.inner.Restore(r.b); err != nil {
		return err
	}
	k.last, k.ticked, k.open, k.since, k.in = last, ticked, open == 1, since, in
	return nil
}

// withoutInvalid is an error's text without the "invalid: " that every such error begins with.
func withoutInvalid(err error) string {
	if errors.Is(err, faultline.ErrInvalid) {
		return strings.TrimPrefix(err.Error(), faultline.ErrInvalid.Error()+": ")
	}
	return err.Error()
}
