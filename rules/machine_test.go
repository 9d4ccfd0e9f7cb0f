package rules

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// story runs the machine over verdicts, one a second: "." fine, "a", "w" and "c" bad as advisory,
// warning and critical, "?" unknown, "-" nothing came. "w*10" is ten in a row. It gives the changes as
// "second transition severity".
func story(t *testing.T, m *machine, d delays, text string) []string {
	t.Helper()
	var got []string
	second := 0
	for _, word := range strings.Fields(text) {
		what, times, _ := strings.Cut(word, "*")
		n := 1
		if times != "" {
			if _, err := fmt.Sscan(times, &n); err != nil {
				t.Fatalf("%q: %v", word, err)
			}
		}
		for range n {
			for _, c := range what {
				v := kind.Verdict{Judgement: kind.Bad}
				switch c {
				case '.':
					v.Judgement = kind.Fine
				case '?':
					v.Judgement = kind.Unknown
				case '-':
					v.Judgement = kind.NoNews
				default:
					v.Severity = faultline.Severity(strings.IndexRune(" awc", c))
				}
				for _, change := range m.step(nil, d, v, start.Add(time.Duration(second)*time.Second)) {
					got = append(got, fmt.Sprintf("%d %s %s", second, change.transition, change.severity))
				}
				second++
			}
		}
	}
	return got
}

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		name    string
		on, off time.Duration
		text    string
		want    string
	}{
		{"no delays", 0, 0, "..w..", "2 raised warning, 3 cleared warning"},
		{"on-delay", 3 * time.Second, 0, "ww.www.wwww", "10 raised warning"},
		{"off-delay", 0, 3 * time.Second, "w..w...w.....", "0 raised warning, 11 cleared warning"},
		{"unknown does not raise", 3 * time.Second, 0, "ww ?*100", ""},
		{"nothing does not raise", 3 * time.Second, 0, "ww -*100", ""},
		{"unknown time does not count", 3 * time.Second, 0, "ww ?*100 w w", "103 raised warning"},
		{"a sensor that fails every other time still raises", 3 * time.Second, 0, "w?*6", "6 raised warning"},
		{"unknown does not clear", 0, 3 * time.Second, "w. ?*100", "0 raised warning"},
		{"unknown time does not count for clearing", 0, 3 * time.Second, "w.. ?*100 ...", "0 raised warning, 104 cleared warning"},
		{"a gap without news counts: the value stood", 3 * time.Second, 0, "w -*9 w", "10 raised warning"},
		{"severity at raising is what held for the delay", 3 * time.Second, 0, "www c w", "3 raised warning"},
		{"rise", 2 * time.Second, 0, "www c*3", "2 raised warning, 5 severity_rose critical"},
		{"rise held too short", 2 * time.Second, 0, "www cc www cc", "2 raised warning"},
		{"straight to critical", 2 * time.Second, 0, "c*3", "2 raised critical"},
		{"a fall is not told, and rising back neither", 0, 0, "w c w c", "0 raised warning, 1 severity_rose critical"},
		{"three severities", 0, 0, "a w c .", "0 raised advisory, 1 severity_rose warning, 2 severity_rose critical, 3 cleared critical"},
		{"chattering is held open for ten quiet minutes", 0, 0, "w.w.w .*600 .",
			"0 raised warning, 1 cleared warning, 2 raised warning, 3 cleared warning, 4 raised warning, 4 chattering warning, 605 settled warning, 605 cleared warning"},
		{"chattering: a relapse begins the quiet anew", 0, 0, "w.w.w .*500 w .*601",
			"0 raised warning, 1 cleared warning, 2 raised warning, 3 cleared warning, 4 raised warning, 4 chattering warning, 1106 settled warning, 1106 cleared warning"},
		{"three in more than the window is not chattering", 0, 0, "w. .*30 w. .*30 w.",
			"0 raised warning, 1 cleared warning, 32 raised warning, 33 cleared warning, 64 raised warning, 65 cleared warning"},
		{"the window grows with the delays", 5 * time.Second, 5 * time.Second, "w*6 .*20 w*6 .*20 w*6",
			"5 raised warning, 11 cleared warning, 31 raised warning, 37 cleared warning, 57 raised warning, 57 chattering warning"},
		{"after chattering it counts from none", 0, 0, "w.w.w .*601 w.w.",
			"0 raised warning, 1 cleared warning, 2 raised warning, 3 cleared warning, 4 raised warning, 4 chattering warning, 605 settled warning, 605 cleared warning, 606 raised warning, 607 cleared warning, 608 raised warning, 609 cleared warning"},
	} {
		if got := strings.Join(story(t, &machine{}, delays{c.on, c.off}, c.text), ", "); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, c.text, got, c.want)
		}
	}
}

// When a condition began is not what its on-delay is counted from: time of which nothing is known is in it.
func TestMachineKnowsWhenItBegan(t *testing.T) {
	step := func(m *machine, second int, j kind.Judgement) []change {
		return m.step(nil, delays{on: 3 * time.Second}, kind.Verdict{Judgement: j, Severity: faultline.SeverityWarning}, start.Add(time.Duration(second)*time.Second))
	}
	var m machine
	step(&m, 0, kind.Bad)
	step(&m, 1, kind.Fine)
	step(&m, 2, kind.Bad)
	step(&m, 3, kind.Unknown)
	var restored machine
	if err := restored.restore(m.snapshot(nil)); err != nil || restored != m {
		t.Fatalf("%v %+v", err, restored)
	}
	step(&restored, 13, kind.Bad)
	got := step(&restored, 15, kind.Bad)
	if len(got) != 1 || got[0].held != 3*time.Second || got[0].began != start.Add(2*time.Second).UnixNano() {
		t.Errorf("%+v", got)
	}
	state := m.snapshot(nil) // as it was saved before: without the moment
	old := append(state[:len(state)-1-len(binary.AppendVarint(nil, m.began))], state[len(state)-1])
	if err := restored.restore(old); err != nil || restored.began != m.since[0] {
		t.Errorf("%v %+v", err, restored)
	}
}

func TestMachineIgnoresThePast(t *testing.T) {
	var m machine
	m.step(nil, delays{}, kind.Verdict{Judgement: kind.Bad, Severity: faultline.SeverityWarning}, start)
	before := m
	if got := m.step(nil, delays{}, kind.Verdict{Judgement: kind.Fine}, start.Add(-time.Second)); got != nil || m != before {
		t.Errorf("a verdict from the past changed the alarm: %v, %+v", got, m)
	}
}

// TestMachineRandomWalk compares the machine with a model that keeps the whole past and asks it,
// cuts the walk at random places, and checks what an alarm may never do.
func TestMachineRandomWalk(t *testing.T) {
	raises, holds := 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 9))
		d := delays{time.Duration(r.IntN(4)) * time.Second, time.Duration(r.IntN(4)) * time.Second}
		var m machine
		mod := model{delays: d}
		now := start
		for i := range 400 {
			now = now.Add(time.Duration(1+r.IntN(2)) * time.Second)
			v := kind.Verdict{Judgement: kind.Judgement(r.IntN(4))}
			if r.IntN(3) > 0 { // longer stretches of one kind
				v.Judgement = mod.judgement
			}
			if v.Judgement == kind.Bad {
				v.Severity = faultline.Severity(1 + r.IntN(3))
			}
			if r.IntN(20) == 0 {
				var restored machine
				if err := restored.restore(m.snapshot(nil)); err != nil {
					t.Fatal(err)
				}
				m = restored
			}
			active := m.active()
			got := m.step(nil, d, v, now)
			want := mod.step(v, now)
			if len(got) != len(want) {
				t.Fatalf("seed %d, step %d: got %v, want %v (%+v)", seed, i, got, want, d)
			}
			for j := range got {
				if got[j].transition != want[j].transition || got[j].severity != want[j].severity {
					t.Fatalf("seed %d, step %d: got %v, want %v (%+v)", seed, i, got, want, d)
				}
			}
			switch {
			case !active && m.active() && v.Judgement != kind.Bad:
				t.Fatalf("seed %d, step %d: raised on %v", seed, i, v)
			case active && !m.active() && v.Judgement != kind.Fine:
				t.Fatalf("seed %d, step %d: cleared on %v", seed, i, v)
			case !m.active() && m.chatters:
				t.Fatalf("seed %d, step %d: chatters without being active", seed, i)
			}
			if !active && m.active() {
				raises++
			}
			if m.chatters {
				holds++
			}
		}
	}
	if raises < 1000 || holds < 1000 {
		t.Errorf("the walks raised %d alarms and held %d steps: they prove little", raises, holds)
	}
}

// model is the alarm machine told in the words of the specification: it keeps the history of known
// verdicts in a time from which the unknown stretches are cut out.
type model struct {
	delays
	judgement kind.Judgement
	history   []known
	cut       time.Duration // unknown time so far
	unknown   time.Time
	severity  faultline.Severity
	raised    []time.Time
	chatters  bool
}

type known struct {
	at       time.Time // with the unknown time cut out
	severity faultline.Severity
}

func (m *model) step(v kind.Verdict, now time.Time) []change {
	m.judgement = v.Judgement
	switch {
	case v.Judgement == kind.NoNews:
		return nil
	case v.Judgement == kind.Unknown:
		if m.unknown.IsZero() {
			m.unknown = now
		}
		return nil
	case !m.unknown.IsZero():
		m.cut += now.Sub(m.unknown)
		m.unknown = time.Time{}
	}
	at := now.Add(-m.cut)
	m.history = append(m.history, known{at, v.Severity})
	// held tells whether everything in the last d, and the verdict before it if that is needed to
	// fill d, satisfies ok.
	held := func(d time.Duration, ok func(faultline.Severity) bool) bool {
		for _, k := range slices.Backward(m.history) {
			if !ok(k.severity) {
				return false
			}
			if at.Sub(k.at) >= d {
				return true
			}
		}
		return false
	}
	var out []change
	for s := faultline.SeverityCritical; s > m.severity; s-- {
		if !held(m.on, func(x faultline.Severity) bool { return x >= s }) {
			continue
		}
		if m.severity > 0 {
			m.severity = s
			return []change{{transition: faultline.TransitionRose, severity: s}}
		}
		m.severity = s
		out = append(out, change{transition: faultline.TransitionRaised, severity: s})
		m.raised = append(m.raised, now)
		if n := len(m.raised); n >= 3 && now.Sub(m.raised[n-3]) <= max(time.Minute, 10*(m.on+m.off)) {
			m.chatters = true
			out = append(out, change{transition: faultline.TransitionChattering, severity: s})
		}
		return out
	}
	wait := m.off
	if m.chatters {
		wait = max(wait, 10*time.Minute)
	}
	if m.severity == 0 || !held(wait, func(x faultline.Severity) bool { return x == 0 }) {
		return nil
	}
	if m.chatters {
		out = append(out, change{transition: faultline.TransitionSettled, severity: m.severity})
		m.raised = nil
	}
	out = append(out, change{transition: faultline.TransitionCleared, severity: m.severity})
	m.severity, m.chatters = 0, false
	return out
}

func BenchmarkMachine(b *testing.B) {
	var m machine
	at := start
	var scratch []change
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at = at.Add(time.Second)
		v := kind.Verdict{Judgement: kind.Fine}
		if i%100 > 90 {
			v = kind.Verdict{Judgement: kind.Bad, Severity: faultline.SeverityWarning}
		}
		scratch = m.step(scratch[:0], delays{2 * time.Second, 2 * time.Second}, v, at)
	}
}
