package rules

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// An alarm chatters when it is raised chatterCount times within max(chatterWindow, chatterFactor × (on-delay
// + off-delay)). It is then held open until it was quiet for chatterQuiet.
const (
	chatterCount  = 3
	chatterWindow = time.Minute
	chatterFactor = 10
	chatterQuiet  = 10 * time.Minute
)

// machine decides from the verdicts of any kind when an alarm is raised, rises, and clears: delays,
// chattering, the severity of the activation. It is a value; times are event times in Unix
// nanoseconds, and one that is before the last is ignored.
//
// Time in which the condition was Unknown counts towards neither delay, so data that is missing or
// bad neither raises nor clears; but a sensor that fails every other reading still raises in the end.
type machine struct {
	last     int64
	since    [3]int64            // from when it has been at least advisory, warning, critical; 0: it is not
	began    int64               // from when it has been bad at all, with the time of which nothing is known; 0: it is not
	fine     int64               // from when it has been well, while active; 0: it is not
	unknown  int64               // from when nothing was known; 0: it is known
	raised   [chatterCount]int64 // the last activations, the newest first
	severity faultline.Severity  // highest of this activation; none: not active
	chatters bool
}

// delays of a rule.
type delays struct{ on, off time.Duration }

// change is one transition that the machine decided, in the order of the alarm's history.
type change struct {
	transition string
	severity   faultline.Severity
	held       time.Duration // how long the condition had held, of raised and severity_rose
	began      int64         // when it began to, of the same
}

// step takes a verdict and appends what it changes to dst: at most two changes.
func (m *machine) step(dst []change, d delays, v kind.Verdict, at time.Time) []change {
	now := at.UnixNano()
	if v.Judgement == kind.NoNews || now < m.last {
		return dst
	}
	m.last = now
	if v.Judgement == kind.Unknown {
		if m.unknown == 0 {
			m.unknown = now
		}
		return dst
	}
	if m.unknown != 0 {
		m.skip(now - m.unknown)
		m.unknown = 0
	}
	severity := faultline.SeverityNone
	if v.Judgement == kind.Bad {
		severity = min(max(v.Severity, faultline.SeverityAdvisory), faultline.SeverityCritical)
	}
	for i := range m.since {
		switch {
		case faultline.Severity(i+1) > severity:
			m.since[i] = 0
		case m.since[i] == 0:
			m.since[i] = now
		}
	}
	if severity == faultline.SeverityNone {
		m.began = 0
		return m.well(dst, d, now)
	}
	m.fine = 0
	if m.began == 0 {
		m.began = now
	}
	return m.bad(dst, d, now)
}

// skip leaves a time out of account.
func (m *machine) skip(d int64) {
	for i := range m.since {
		if m.since[i] != 0 {
			m.since[i] += d
		}
	}
	if m.fine != 0 {
		m.fine += d
	}
}

func (m *machine) bad(dst []change, d delays, now int64) []change {
	held := faultline.SeverityNone // the highest severity that has held for the on-delay
	for i, since := range m.since {
		if since != 0 && now-since >= int64(d.on) {
			held = faultline.Severity(i + 1)
		}
	}
	if held <= m.severity {
		return dst
	}
	c := change{faultline.TransitionRose, held, time.Duration(now - m.since[held-1]), m.began}
	if m.severity == faultline.SeverityNone {
		c.transition = faultline.TransitionRaised
	}
	m.severity = held
	dst = append(dst, c)
	if c.transition == faultline.TransitionRaised {
		copy(m.raised[1:], m.raised[:])
		m.raised[0] = now
		window := max(chatterWindow, chatterFactor*(d.on+d.off))
		if first := m.raised[chatterCount-1]; first != 0 && now-first <= int64(window) {
			m.chatters = true
			dst = append(dst, change{transition: faultline.TransitionChattering, severity: held})
		}
	}
	return dst
}

func (m *machine) well(dst []change, d delays, now int64) []change {
	if m.severity == faultline.SeverityNone {
		return dst
	}
	if m.fine == 0 {
		m.fine = now
	}
	wait := d.off
	if m.chatters {
		wait = max(wait, chatterQuiet)
	}
	if now-m.fine < int64(wait) {
		return dst
	}
	if m.chatters {
		dst = append(dst, change{transition: faultline.TransitionSettled, severity: m.severity})
		m.raised = [chatterCount]int64{}
	}
	dst = append(dst, change{transition: faultline.TransitionCleared, severity: m.severity})
	m.severity, m.chatters, m.fine = faultline.SeverityNone, false, 0
	return dst
}

// active tells whether the alarm is raised.
func (m *machine) active() bool { return m.severity != faultline.SeverityNone }

func (m *machine) snapshot(dst []byte) []byte {
	for _, v := range m.numbers() {
		dst = binary.AppendVarint(dst, *v)
	}
	flags := byte(m.severity) << 1
	if m.chatters {
		flags |= 1
	}
	return append(dst, flags)
}

func (m *machine) restore(b []byte) error {
	var n machine
	numbers := n.numbers()
	for i, v := range numbers {
		if i == len(numbers)-1 && len(b) == 1 {
			n.began = n.since[0] // it was written before began was kept
			break
		}
		value, size := binary.Varint(b)
		if size <= 0 {
			return fmt.Errorf("%w: state of an alarm is damaged", faultline.ErrInvalid)
		}
		*v, b = value, b[size:]
	}
	if len(b) != 1 || b[0]>>1 > byte(faultline.SeverityCritical) {
		return fmt.Errorf("%w: state of an alarm is damaged", faultline.ErrInvalid)
	}
	n.chatters, n.severity = b[0]&1 != 0, faultline.Severity(b[0]>>1)
	*m = n
	return nil
}

func (m *machine) numbers() [10]*int64 {
	return [10]*int64{&m.last, &m.since[0], &m.since[1], &m.since[2], &m.fine, &m.unknown, &m.raised[0], &m.raised[1], &m.raised[2], &m.began}
}
