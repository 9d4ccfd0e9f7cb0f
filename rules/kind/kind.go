// Package kind holds the kinds of rule: pure functions of samples and time that say whether
// something is bad now. They read no clock, do no I/O and know nothing of alarms or tickets: the
// alarm machine of package rules decides what a verdict leads to, the same for every kind.
//
// One file is one kind, listed in Types, and the conformance suite of this package runs over each.
package kind

import (
	"time"

	"github.com/faultline-iot/faultline"
)

// Kind is one rule of one kind on one point or asset, with its state. It is used by one goroutine.
//
// Times are event times. A sample that is not after the last one is old news: it changes nothing and
// gives NoNews; so does a tick. Between any two calls the state may be carried over to a new Kind by Snapshot and
// Restore; the new one goes on exactly as the old one would have.
type Kind interface {
	// Observe judges a sample. The sample is only read, and not kept. Kinds that watch a point see
	// its samples; kinds whose Type says Asset also see one usable sample of every frame that has one.
	Observe(at time.Time, s *faultline.Sample) Verdict
	// Tick tells that the gateway's clock stands at at, about once a second; only kinds whose Type
	// says Ticks need it.
	Tick(at time.Time) Verdict
	// Explain says in words and numbers with units why a Bad verdict was given, for a condition that
	// has held this long: one clause without a full stop.
	Explain(v Verdict, held time.Duration) string
	// Snapshot appends the state.
	Snapshot(dst []byte) []byte
	// Restore takes over a state that Snapshot wrote; after an error the state is as it was.
	Restore(state []byte) error
}

// Framed is a kind that judges when all samples of a frame are known. EndFrame follows the last Observe
// of the frame's time; state is carried over between frames only.
type Framed interface {
	Kind
	EndFrame(at time.Time) Verdict
}

// Learner is a kind that learns what is normal. What it says is about its last verdict.
type Learner interface {
	Kind
	// Band is where the value normally is, as lines to draw.
	Band() []faultline.Limit
	// Subject is the point that it is about, by name.
	Subject() string
	// Parts are the signals that contribute most, Subject first.
	Parts() []faultline.EvidencePart
}

// beginner is a kind whose condition has lasted for a while when it is first found bad.
type beginner interface {
	began(v Verdict, at time.Time) (time.Time, bool)
}

// Began gives when the condition behind a Bad verdict of at began, if the kind knows it to be before the verdict turned bad;
// its Explain then says for how long.
func Began(k Kind, v Verdict, at time.Time) (time.Time, bool) {
	if b, ok := within[beginner](k); ok {
		return b.began(v, at)
	}
	return time.Time{}, false
}

// Judgement is what can be said of a condition at a moment.
type Judgement uint8

// The judgements. Unknown is not Fine: data that is missing or bad neither raises nor clears.
const (
	NoNews  Judgement = iota // nothing was learnt
	Unknown                  // what came cannot be judged
	Fine
	Bad
)

// Verdict is a judgement with the numbers behind it. It holds no text, so that giving it costs nothing.
type Verdict struct {
	Judgement Judgement
	Severity  faultline.Severity // of Bad
	Value     float64            // the value that decided, in the point's unit
	Limit     float64            // what it was held against
	Detail    int64              // a kind's own: which limit, which bits, when
}

// Settings are what a rule's author writes for its kind. Each kind uses some of them; the others
// must be left out.
type Settings struct {
	Limits     Limits             `yaml:"limits"`     // threshold, rate, counter, life: in the point's unit
	Severities Severities         `yaml:"severities"` // of each limit
	DeadBand   float64            `yaml:"dead_band"`  // how far back inside a limit is normal again; stuck: what does not count as moving
	Severity   faultline.Severity `yaml:"severity"`   // of what is found, where a kind has only one
	After      time.Duration      `yaml:"after"`      // silence: how long without a usable sample; stuck, duration: how long is too long
	Within     time.Duration      `yaml:"within"`     // rate, counter, duration, peer: the window that is looked at
	Per        time.Duration      `yaml:"per"`        // rate: the time that limits are for; 1h if left out
	Every      float64            `yaml:"every"`      // meter: in the point's unit; filled from the plan
	Is         []string           `yaml:"is"`         // state, duration, counter: texts or numbers of values, or of bits of a word
	Expr       string             `yaml:"expr"`       // expression: what is bad, over the names of the asset's points
	Points     []string           `yaml:"points"`     // joint: that are held against each other
	Step       time.Duration      `yaml:"step"`       // deviation, joint: samples of a step count as their mean; 0: each is a step
	Learn      time.Duration      `yaml:"learn"`      // deviation, joint: before the first judgement
	Score      float64            `yaml:"score"`      // deviation, joint: the evidence that is enough; peer: in spreads of the peers
	Lead       time.Duration      `yaml:"lead"`       // life: the time that the work needs to be prepared; of the plan, or 336h, if left out
	OnceIn     time.Duration      `yaml:"once_in"`    // deviation: and no more often than once in this time, by its own past
	Rest       time.Duration      `yaml:"rest"`       // deviation, joint: after a finding
	Load       string             `yaml:"load"`       // peer: the point by which assets are alike (empty: all are); threshold: the one that says how hard the asset works
	Tolerance  float64            `yaml:"tolerance"`  // peer: how far apart loads may be that are alike, in the load's unit
	Peers      int                `yaml:"peers"`      // peer: fewest that it is compared with; 3 if left out
	Least      float64            `yaml:"least"`      // peer: the distance from the others that is worth telling, in the point's unit
	Side       string             `yaml:"side"`       // peer: "high" or "low"; empty: both

	Gate `yaml:",inline"` // of any kind
}

// Type describes a kind: how its settings are checked and its rules made.
type Type struct {
	Name string
	Uses []string // the settings it uses, by their YAML key
	// Severity that findings have where the rule says none.
	Severity faultline.Severity
	// Check reports what is wrong with the settings; field is the YAML key.
	Check func(s *Settings, report func(field, format string, args ...any))
	// New makes a rule for a point (nil: the asset as a whole). The error says why it does not fit.
	// Settings and point are kept and must not change.
	New func(s *Settings, p *faultline.Point) (Kind, error)
	// Limits lists the lines to draw; may be nil.
	Limits func(s *Settings) []faultline.Limit
	// Fit makes, instead of New, a rule over several points of an asset and names those that it needs.
	// The error is ErrAbsent if the asset does not have one of them.
	Fit func(s *Settings, points []faultline.Point) (k Kind, watch []string, err error)
	// Beside makes, instead of New, a rule for a point that looks at others of the asset too, and names those
	// that it needs, itself first. The error is ErrAbsent if the asset does not have one of the others.
	Beside func(s *Settings, p *faultline.Point, points []faultline.Point) (k Kind, watch []string, err error)
	Ticks  bool // wants Tick
	Asset  bool // may do without a point; sees one usable sample of every frame
	Keeps  bool // goes on from what it has learnt when it applies again
}

// Types lists every kind.
var Types = []Type{thresholdType, silenceType, meterType, stateType, rateType, stuckType, durationType, counterType, expressionType, deviationType, jointType, peerType, lifeType}

// Find gives the type of that name, or nil.
func Find(name string) *Type {
	for i := range Types {
		if Types[i].Name == name {
			return &Types[i]
		}
	}
	return nil
}

// Unused lists the settings that are set though the kind does not use them, by their YAML key.
func (t *Type) Unused(s *Settings) []string {
	set := []struct {
		key string
		is  bool
	}{
		{"limits", s.Limits != Limits{}}, {"severities", s.Severities != Severities{}}, {"dead_band", s.DeadBand != 0},
		{"severity", s.Severity != 0}, {"after", s.After != 0}, {"within", s.Within != 0}, {"per", s.Per != 0}, {"every", s.Every != 0}, {"is", len(s.Is) > 0}, {"expr", s.Expr != ""},
		{"points", len(s.Points) > 0}, {"step", s.Step != 0}, {"learn", s.Learn != 0}, {"score", s.Score != 0}, {"once_in", s.OnceIn != 0}, {"rest", s.Rest != 0}, {"lead", s.Lead != 0},
		{"load", s.Load != ""}, {"tolerance", s.Tolerance != 0}, {"peers", s.Peers != 0}, {"least", s.Least != 0}, {"side", s.Side != ""},
	}
	var unused []string
	for _, f := range set {
		if f.is && !contains(t.Uses, f.key) {
			unused = append(unused, f.key)
		}
	}
	return unused
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// severity is the rule's own, or the type's.
func severity(s *Settings, otherwise faultline.Severity) faultline.Severity {
	if s.Severity != faultline.SeverityNone {
		return s.Severity
	}
	return otherwise
}
