package kind_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

var (
	start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	heat  = &faultline.Point{Name: "bearing_temperature", Title: "Bearing temperature", Unit: "°C", Type: faultline.TypeFloat}
	hours = &faultline.Point{Name: "running_hours", Title: "Running hours", Unit: "h", Type: faultline.TypeFloat}
	word  = &faultline.Point{Name: "alarm_word", Title: "Alarm word", Type: faultline.TypeInt, Bits: true,
		Texts: map[int64]string{0: "overheated", 3: "oil pressure low", 7: "sensor fault"}}
	mode = &faultline.Point{Name: "mode", Title: "Mode", Type: faultline.TypeInt, Texts: map[int64]string{0: "off", 1: "running", 2: "tripped"}}
	ups  = &faultline.Point{Name: "status", Title: "Status", Type: faultline.TypeString}
)

var running = &faultline.Point{Name: "running", Title: "Running", Type: faultline.TypeBool}

// points of the asset that all these are measured on.
var points = []faultline.Point{*heat, *hours, *word, *mode, *ups, *running}

func f(v float64) *float64 { return &v }

func full() kind.Settings {
	return kind.Settings{Limits: kind.Limits{LowLow: f(-10), Low: f(0), High: f(85), HighHigh: f(95)}, DeadBand: 3}
}

// subjects are what the conformance suite runs over: every kind, on the points that it can be on. A
// kind that is missing here fails TestEveryKindIsConforming.
var subjects = []struct {
	name, kind string
	settings   kind.Settings
	point      *faultline.Point
	value      func(*rand.Rand) faultline.Value
}{
	{"threshold of four limits", "threshold", full(), heat, func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64()*130 - 20) }},
	{"threshold of one", "threshold", kind.Settings{Limits: kind.Limits{High: f(85)}}, heat, func(r *rand.Rand) faultline.Value { return faultline.Float(80 + r.Float64()*10) }},
	{"silence of a point", "silence", kind.Settings{After: 10 * time.Second}, heat, func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64()) }},
	{"silence of an asset", "silence", kind.Settings{After: 10 * time.Second}, nil, func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64()) }},
	{"meter", "meter", kind.Settings{Every: 10}, hours, func(r *rand.Rand) faultline.Value { return faultline.Float(3990 + float64(r.IntN(40))) }},
	{"bits of a word", "state", kind.Settings{Is: []string{"oil pressure low", "7"}}, word, func(r *rand.Rand) faultline.Value { return faultline.Int(int64(r.IntN(256))) }},
	{"value of an enumeration", "state", kind.Settings{Is: []string{"Tripped"}}, mode, func(r *rand.Rand) faultline.Value { return faultline.Int(int64(r.IntN(3))) }},
	{"text", "state", kind.Settings{Is: []string{"on_battery", "battery_low"}}, ups, func(r *rand.Rand) faultline.Value {
		return faultline.String([]string{"online", "on_battery", "battery_low", "?"}[r.IntN(4)])
	}},
	{"expression", "expression", kind.Settings{Expr: `bearing_temperature > 50 && avg_over(bearing_temperature, "1m") > min_over(bearing_temperature, "30s") + 10 || change_over(bearing_temperature, "2m") > 60`}, heat,
		func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64() * 130) }},
	{"expression of a text", "expression", kind.Settings{Expr: `status == "on_battery"`}, ups, func(r *rand.Rand) faultline.Value {
		return faultline.String([]string{"online", "on_battery"}[r.IntN(2)])
	}},
	{"threshold while", "threshold", kind.Settings{Limits: kind.Limits{High: f(85)}, DeadBand: 3, Gate: kind.Gate{While: "bearing_temperature > 20", Inhibit: 2 * time.Second}}, heat,
		func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64()*130 - 5) }},
	{"counter in hours", "counter", kind.Settings{Limits: kind.Limits{High: f(1)}, Within: time.Minute, Is: []string{"running"}, Gate: kind.Gate{Hours: []string{"08:01-08:05", "sun,mon 08:07-08:30"}, Zone: "UTC"}}, mode,
		func(r *rand.Rand) faultline.Value { return faultline.Int(int64(r.IntN(2))) }},
	{"silence while", "silence", kind.Settings{After: 10 * time.Second, Gate: kind.Gate{While: "bearing_temperature > 0.1"}}, heat, func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64()) }},
	{"rate", "rate", kind.Settings{Limits: kind.Limits{Low: f(-1000), High: f(1000)}, Within: 10 * time.Minute}, heat, func(r *rand.Rand) faultline.Value { return faultline.Float(r.Float64() * 1000) }},
	{"stuck", "stuck", kind.Settings{After: 5 * time.Second, DeadBand: 0.5}, heat, func(r *rand.Rand) faultline.Value { return faultline.Float(float64(r.IntN(20) / 19)) }},
	{"duration without a break", "duration", kind.Settings{Is: []string{"tripped"}, After: 2 * time.Second}, mode, func(r *rand.Rand) faultline.Value { return faultline.Int(int64(r.IntN(3))) }},
	{"duration in a window", "duration", kind.Settings{Is: []string{"tripped"}, After: 4 * time.Second, Within: time.Minute}, mode, func(r *rand.Rand) faultline.Value { return faultline.Int(int64(r.IntN(3))) }},
	{"counter of a meter", "counter", kind.Settings{Limits: kind.Limits{High: f(100), HighHigh: f(200)}, Within: time.Minute, DeadBand: 5}, hours, func(r *rand.Rand) faultline.Value { return faultline.Float(float64(r.IntN(40))) }},
	{"deviation", "deviation", kind.Settings{Learn: time.Second, Score: 1.2}, heat, jumpy},
	{"deviation by steps", "deviation", kind.Settings{Step: 2 * time.Second, Learn: time.Second, Score: 0.5, OnceIn: 10 * time.Second, Rest: 20 * time.Second}, heat, jumpy},
	{"joint", "joint", kind.Settings{Points: []string{heat.Name}, Learn: time.Second, Score: 2.5}, heat, jumpy},
	{"joint by steps", "joint", kind.Settings{Points: []string{heat.Name}, Step: 2 * time.Second, Learn: time.Second, Score: 1}, heat, jumpy},
	{"peer", "peer", kind.Settings{Within: 10 * time.Second, Least: 1, Score: 2, DeadBand: 0.2}, heat, jumpy},
	{"peer at like load", "peer", kind.Settings{Within: 10 * time.Second, Least: 1, Load: heat.Name, Tolerance: 1.5, Side: "high"}, heat, jumpy},
	{"peer while", "peer", kind.Settings{Within: 10 * time.Second, Least: 1, Gate: kind.Gate{While: "bearing_temperature > 20"}}, heat, jumpy},
	{"life", "life", kind.Settings{Limits: kind.Limits{High: f(90)}, Step: time.Second, Learn: 10 * time.Second, Lead: time.Hour}, heat, rising()},
	{"life while", "life", kind.Settings{Limits: kind.Limits{High: f(90)}, Step: 2 * time.Second, Learn: 10 * time.Second, Lead: time.Hour, Gate: kind.Gate{While: "bearing_temperature > 20"}}, heat, rising()},
	{"counter of starts", "counter", kind.Settings{Limits: kind.Limits{High: f(3)}, Within: time.Minute, Is: []string{"running"}}, mode, func(r *rand.Rand) faultline.Value { return faultline.Int(int64(r.IntN(3))) }},
}

// rising is quiet at first, then rises, and begins anew.
func rising() func(*rand.Rand) faultline.Value {
	n := 0
	return func(r *rand.Rand) faultline.Value {
		n = (n + 1) % 140
		return faultline.Float(60 + r.NormFloat64()/10 + 0.4*float64(max(0, n-60)))
	}
}

// jumpy is quiet most of the time.
func jumpy(r *rand.Rand) faultline.Value {
	v := 60 + r.NormFloat64()
	if r.IntN(25) == 0 {
		v += 40 * r.NormFloat64()
	}
	return faultline.Float(v)
}

func make1(t testing.TB, name string, s *kind.Settings, p *faultline.Point) kind.Kind {
	t.Helper()
	k, _, err := kind.Find(name).Make(s, p, points)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// input is a sample or, without a point, a tick.
type input struct {
	at     time.Time
	sample *faultline.Sample
}

func (in input) show(k kind.Kind) kind.Verdict {
	if in.sample == nil {
		return k.Tick(in.at)
	}
	return see(k, in.at, in.sample)
}

// see shows a frame of one sample.
func see(k kind.Kind, at time.Time, s *faultline.Sample) kind.Verdict {
	v := k.Observe(at, s)
	if framed, ok := k.(kind.Framed); ok {
		if v.Judgement != kind.NoNews {
			panic("a framed kind judged before the end of the frame")
		}
		v = framed.EndFrame(at)
	}
	if c, ok := kind.AsComparer(k); ok && v.Judgement != kind.NoNews && s.Quality.Usable() && s.Value.Type() != faultline.NoType {
		own, over := c.Closed()
		if compared := c.Compare(over, &own, peersAt(over)); compared.Judgement != kind.NoNews {
			v = compared
		}
	}
	return v
}

// peersAt are what others did in a window: a handful, now and then too few.
func peersAt(window int64) []kind.Summary {
	r := rand.New(rand.NewPCG(uint64(window), 9))
	list := make([]kind.Summary, 2+r.IntN(8))
	for i := range list {
		v := 60 + r.NormFloat64()
		list[i] = kind.Summary{Window: window, Value: v, Load: 60 + r.NormFloat64()}
	}
	return list
}

var qualities = []faultline.Quality{faultline.Good, faultline.Good, faultline.Good, faultline.Good, faultline.UncertainOutOfRange, faultline.BadTimeout, faultline.BadNotAvailable, ""}

// stream makes a random stream with gaps, bad and uncertain quality, repeated and older times.
func stream(r *rand.Rand, p *faultline.Point, value func(*rand.Rand) faultline.Value, n int) []input {
	name := "any"
	if p != nil {
		name = p.Name
	}
	at := start
	var list []input
	for range n {
		switch r.IntN(12) {
		case 0: // the same moment again
		case 1:
			at = at.Add(-time.Duration(r.IntN(5000)) * time.Millisecond)
		case 2:
			at = at.Add(time.Duration(r.IntN(100)) * time.Second)
		default:
			at = at.Add(time.Second)
		}
		if r.IntN(4) == 0 {
			list = append(list, input{at: at})
			continue
		}
		s := &faultline.Sample{Point: name, Quality: qualities[r.IntN(len(qualities))]}
		if r.IntN(8) == 0 {
			s.Point = "another_point"
		}
		if !s.Quality.IsBad() {
			s.Value = value(r)
		}
		list = append(list, input{at, s})
	}
	return list
}

func TestEveryKindIsConforming(t *testing.T) {
	for _, typ := range kind.Types {
		found := false
		for _, s := range subjects {
			found = found || s.kind == typ.Name
		}
		if !found {
			t.Errorf("kind %s has no subject in the conformance suite", typ.Name)
		}
		if kind.Find(typ.Name) == nil {
			t.Errorf("kind %s is not found by its name", typ.Name)
		}
	}
	if kind.Find("nonsense") != nil {
		t.Error("a kind that does not exist was found")
	}
}

// A stream cut at random places with the state carried over gives the same verdicts as the uncut one.
func TestRestartInvariance(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			seen := map[kind.Judgement]bool{}
			for seed := range uint64(200) {
				r := rand.New(rand.NewPCG(seed, 1))
				uncut, cut := make1(t, s.kind, &s.settings, s.point), make1(t, s.kind, &s.settings, s.point)
				for i, in := range stream(r, s.point, s.value, 200) {
					if r.IntN(10) == 0 {
						state := cut.Snapshot([]byte("before"))
						cut = make1(t, s.kind, &s.settings, s.point)
						if err := cut.Restore(state[len("before"):]); err != nil {
							t.Fatalf("seed %d, input %d: %v", seed, i, err)
						}
					}
					want, got := in.show(uncut), in.show(cut)
					if want != got {
						t.Fatalf("seed %d, input %d: uncut %+v, cut %+v", seed, i, want, got)
					}
					seen[want.Judgement] = true
					if want.Judgement == kind.Bad && (want.Severity == faultline.SeverityNone || uncut.Explain(want, time.Minute) == "") {
						t.Fatalf("seed %d, input %d: bad without severity or reason: %+v", seed, i, want)
					}
				}
			}
			for _, j := range []kind.Judgement{kind.NoNews, kind.Unknown, kind.Fine, kind.Bad} {
				if !seen[j] && (s.kind != "silence" || j != kind.Unknown) {
					t.Errorf("judgement %d never came up: the stream proves little", j)
				}
			}
		})
	}
}

// What is older than what was seen changes nothing: with it and without it, the verdicts are the same.
func TestOldSamplesChangeNothing(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			for seed := range uint64(100) {
				r := rand.New(rand.NewPCG(seed, 2))
				with, without := make1(t, s.kind, &s.settings, s.point), make1(t, s.kind, &s.settings, s.point)
				var newestSample, clock time.Time
				for i, in := range stream(r, s.point, s.value, 150) {
					if in.sample == nil && !kind.Find(s.kind).Ticks {
						continue // no news, whatever its time
					}
					got := in.show(with)
					if in.sample != nil && in.at.Before(newestSample) || in.sample == nil && in.at.Before(clock) {
						if got.Judgement != kind.NoNews {
							t.Fatalf("seed %d, input %d: an old sample was judged: %+v", seed, i, got)
						}
						continue
					}
					if in.at.After(clock) {
						clock = in.at
					}
					if in.sample != nil {
						newestSample = in.at
					}
					if want := in.show(without); want != got {
						t.Fatalf("seed %d, input %d: with old samples %+v, without %+v", seed, i, got, want)
					}
				}
			}
		})
	}
}

// A sample without a usable value is never found bad, nor fine; only silence is made of it.
func TestBadDataIsNotJudged(t *testing.T) {
	for _, s := range subjects {
		if s.kind == "silence" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 3))
			k := make1(t, s.kind, &s.settings, s.point)
			at := start
			for range 1000 {
				at = at.Add(time.Second)
				see(k, at, &faultline.Sample{Point: s.point.Name, Quality: faultline.Good, Value: s.value(r)})
				at = at.Add(time.Second)
				for _, bad := range []*faultline.Sample{
					{Point: s.point.Name, Quality: faultline.BadTimeout},
					{Point: s.point.Name, Quality: faultline.BadTimeout, Value: s.value(r)}, // a driver that breaks the contract
					{Point: s.point.Name, Quality: faultline.Good},                          // no value
				} {
					at = at.Add(time.Second)
					if v := see(k, at, bad); v.Judgement != kind.Unknown {
						t.Fatalf("%+v was judged %+v", bad, v)
					}
				}
				if v := k.Tick(at.Add(time.Hour)); v.Judgement != kind.NoNews {
					t.Fatalf("a tick was judged %+v: nothing was seen", v)
				}
			}
		})
	}
}

func TestUncertainDataIsJudged(t *testing.T) {
	s := full()
	k := make1(t, "threshold", &s, heat)
	if v := k.Observe(start, &faultline.Sample{Quality: faultline.UncertainClock, Value: faultline.Float(97)}); v.Judgement != kind.Bad {
		t.Errorf("uncertain 97 °C: %+v", v)
	}
}

// Damaged states are refused and change nothing.
func TestRestoreRefusesDamage(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, 4))
			k := make1(t, s.kind, &s.settings, s.point)
			for _, in := range stream(r, s.point, s.value, 50) {
				in.show(k)
			}
			state := string(k.Snapshot(nil))
			for cut := range len(state) {
				if err := k.Restore([]byte(state[:cut])); err == nil {
					t.Errorf("a state cut to %d of %d bytes was taken", cut, len(state))
				}
			}
			if err := k.Restore([]byte(state + "x")); err == nil {
				t.Error("a state with a byte too many was taken")
			}
			if got := string(k.Snapshot(nil)); got != state {
				t.Errorf("the state changed: %x, was %x", got, state)
			}
		})
	}
}

func FuzzRestore(fz *testing.F) {
	for i, s := range subjects {
		k := make1(fz, s.kind, &s.settings, s.point)
		k.Observe(start, &faultline.Sample{Quality: faultline.Good, Value: s.value(rand.New(rand.NewPCG(1, 1)))})
		fz.Add(i, k.Snapshot(nil))
	}
	fz.Fuzz(func(t *testing.T, i int, state []byte) {
		s := subjects[uint(i)%uint(len(subjects))]
		k := make1(t, s.kind, &s.settings, s.point)
		if k.Restore(state) != nil {
			return
		}
		v := see(k, start, &faultline.Sample{Quality: faultline.Good, Value: s.value(rand.New(rand.NewPCG(1, 1)))})
		if v.Judgement == kind.Bad {
			_ = k.Explain(v, time.Second)
		}
		again := make1(t, s.kind, &s.settings, s.point)
		if err := again.Restore(k.Snapshot(nil)); err != nil {
			t.Fatalf("its own snapshot is refused: %v", err)
		}
	})
}

// Settings that a kind does not use, and settings that make no sense.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		kind     string
		settings kind.Settings
		want     []string
	}{
		{"threshold", full(), nil},
		{"threshold", kind.Settings{}, []string{"limits: is missing"}},
		{"threshold", kind.Settings{Limits: kind.Limits{High: f(90), HighHigh: f(80)}}, []string{"high-high limit 80 must be above the high limit 90"}},
		{"threshold", kind.Settings{Limits: kind.Limits{Low: f(90), High: f(80)}}, []string{"high limit 80 must be above the low limit 90"}},
		{"threshold", kind.Settings{Limits: kind.Limits{Low: f(0), High: f(10)}, DeadBand: 5}, []string{"leaves nothing normal"}},
		{"threshold", kind.Settings{Limits: kind.Limits{Low: f(0)}, DeadBand: -1}, []string{"dead_band: must not be negative"}},
		{"threshold", kind.Settings{Limits: kind.Limits{Low: f(0)}, After: time.Second, Is: []string{"x"}}, []string{"unused: after", "unused: is"}},
		{"silence", kind.Settings{After: time.Minute}, nil},
		{"silence", kind.Settings{}, []string{"after: is missing"}},
		{"silence", kind.Settings{After: time.Minute, DeadBand: 1, Every: 1}, []string{"unused: dead_band", "unused: every"}},
		{"meter", kind.Settings{Every: 100}, nil},
		{"meter", kind.Settings{Every: -1, Limits: kind.Limits{Low: f(1)}}, []string{"every: must be a positive", "unused: limits"}},
		{"state", kind.Settings{Is: []string{"a"}}, nil},
		{"state", kind.Settings{Severities: kind.Severities{High: 1}}, []string{"is: is missing", "unused: severities"}},
		{"state", kind.Settings{Is: []string{" "}}, []string{"entry 1 is empty"}},
		{"rate", kind.Settings{Limits: kind.Limits{High: f(1)}, Within: time.Hour, Per: time.Hour}, nil},
		{"rate", kind.Settings{}, []string{"limits: is missing", "within: is missing"}},
		{"stuck", kind.Settings{After: time.Hour}, nil},
		{"stuck", kind.Settings{DeadBand: -1, Within: time.Hour}, []string{"after: is missing", "dead_band: must not", "unused: within"}},
		{"duration", kind.Settings{Is: []string{"a"}, After: time.Hour}, nil},
		{"duration", kind.Settings{After: time.Hour, Within: time.Minute}, []string{"is: is missing", "within: 1m0s: use more than after"}},
		{"counter", kind.Settings{Limits: kind.Limits{High: f(1)}, Within: time.Hour}, nil},
		{"expression", kind.Settings{Expr: "a > 1"}, nil},
		{"expression", kind.Settings{}, []string{"expr: the expression is empty"}},
		{"expression", kind.Settings{Expr: strings.Repeat("1<(", 30) + "1" + strings.Repeat(")<2", 30)}, []string{"brackets within brackets"}},
		{"expression", kind.Settings{Expr: strings.Repeat("1<(", 8) + "1" + strings.Repeat(")<2", 8)}, nil},
		{"expression", kind.Settings{Expr: "a >"}, []string{"expr: unexpected token"}},
		{"expression", kind.Settings{Expr: "all(1..1000000, # > 0)"}, []string{"expr: "}},
		{"expression", kind.Settings{Expr: `len("x") > 0`}, []string{"is not known here"}},
		{"expression", kind.Settings{Expr: `avg_over(a, "5 minutes") > 0`}, []string{"is no time from"}},
		{"expression", kind.Settings{Expr: `avg_over(a) > 0`}, []string{"wants a point and a time"}},
		{"counter", kind.Settings{Limits: kind.Limits{Low: f(1)}}, []string{"high and high_high only", "within: is missing"}},
	} {
		var got []string
		typ := kind.Find(c.kind)
		typ.Check(&c.settings, func(field, format string, args ...any) { got = append(got, field+": "+fmt.Sprintf(format, args...)) })
		for _, u := range typ.Unused(&c.settings) {
			got = append(got, "unused: "+u)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s %+v: got %q, want %q", c.kind, c.settings, got, c.want)
			continue
		}
		all := strings.Join(got, "\n")
		for _, w := range c.want {
			if !strings.Contains(all, w) {
				t.Errorf("%s %+v: got %q, want %q", c.kind, c.settings, got, c.want)
			}
		}
	}
}

// A rule that cannot work on a point says so when it is made.
func TestMisfits(t *testing.T) {
	for _, c := range []struct {
		kind  string
		s     kind.Settings
		point *faultline.Point
		want  string
	}{
		{"threshold", full(), nil, "needs a point"},
		{"threshold", full(), ups, "needs numbers"},
		{"threshold", full(), word, "a word of bits"},
		{"meter", kind.Settings{Every: 1}, ups, "needs numbers"},
		{"meter", kind.Settings{Every: 1}, nil, "needs a point"},
		{"state", kind.Settings{Is: []string{"x"}}, nil, "needs a point"},
		{"state", kind.Settings{Is: []string{"x"}}, heat, "float"},
		{"state", kind.Settings{Is: []string{"exploded"}}, mode, `no state "exploded"; it has "off", "running", "tripped"`},
		{"state", kind.Settings{Is: []string{"64"}}, word, "not one of 0 to 62"},
		{"rate", kind.Settings{Within: time.Hour}, ups, "needs numbers"},
		{"stuck", kind.Settings{After: time.Hour}, word, "a word of bits"},
		{"duration", kind.Settings{Is: []string{"x"}}, heat, "float"},
		{"counter", kind.Settings{Within: time.Hour}, nil, "needs a point"},
		{"expression", kind.Settings{Expr: "nothing > 1"}, nil, "does not have the point nothing"},
		{"expression", kind.Settings{Expr: "bearing_temperature"}, nil, "expected bool"},
		{"expression", kind.Settings{Expr: "running > 1"}, nil, "invalid operation"},
		{"expression", kind.Settings{Expr: "bearing_temperature > running_hours"}, nil, "°C and h do not go together"},
		{"expression", kind.Settings{Expr: `avg_over(bearing_temperature, "5m") - running_hours > 1`}, nil, "do not go together"},
		{"expression", kind.Settings{Expr: `avg_over(running, "5m") > 1`}, nil, "avg_over does not go with point running, which is bool"},
		{"expression", kind.Settings{Expr: `mode == "exploded"`}, nil, `no state "exploded"`},
		{"threshold", kind.Settings{Limits: kind.Limits{High: f(1)}, Gate: kind.Gate{While: "speed > 3"}}, heat, "does not have the point speed"},
	} {
		if _, _, err := kind.Find(c.kind).Make(&c.s, c.point, points); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s on %v: got %v, want %q", c.kind, c.point, err, c.want)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, s := range subjects {
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			k := make1(b, s.kind, &s.settings, s.point)
			r := rand.New(rand.NewPCG(1, 1))
			samples := make([]faultline.Sample, 256)
			for i := range samples {
				samples[i] = faultline.Sample{Quality: faultline.Good, Value: s.value(r)}
				if s.point != nil {
					samples[i].Point = s.point.Name
				}
			}
			at := start
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				at = at.Add(time.Second)
				see(k, at, &samples[i%len(samples)])
			}
			b.ReportMetric(float64(len(k.Snapshot(nil))), "state-bytes")
		})
	}
}
