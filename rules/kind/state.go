package kind

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// State watches what an asset says of itself: bits of an alarm word, a value of an enumeration, a
// switch, or a word such as "on_battery". Is names them by the texts of the device profile or by number.
var stateType = Type{
	Name:     "state",
	Uses:     []string{"is", "severity"},
	Severity: faultline.SeverityWarning,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		if len(s.Is) == 0 {
			report("is", "is missing: name the states that are bad, by their texts or numbers")
		}
		for i, text := range s.Is {
			if strings.TrimSpace(text) == "" {
				report("is", "entry %d is empty", i+1)
			}
		}
	},
	New: newState,
}

type state struct {
	settings *Settings
	point    *faultline.Point
	mask     int64   // of words of bits
	values   []int64 // of enumerations and switches
	last     int64
}

func newState(s *Settings, p *faultline.Point) (Kind, error) {
	if p == nil {
		return nil, fmt.Errorf("%w: a state rule needs a point", faultline.ErrInvalid)
	}
	k := &state{settings: s, point: p}
	if p.Type == faultline.TypeString {
		return k, nil
	}
	if p.Type == faultline.TypeFloat {
		return nil, fmt.Errorf("%w: point %s is float: a state rule needs words, enumerations, switches or text", faultline.ErrInvalid, p.Name)
	}
	for _, text := range s.Is {
		n, err := stateNumber(p, text)
		if err != nil {
			return nil, err
		}
		if p.Bits {
			k.mask |= 1 << n
		} else {
			k.values = append(k.values, n)
		}
	}
	return k, nil
}

// stateNumber finds the number of a value or bit by its text.
func stateNumber(p *faultline.Point, text string) (int64, error) {
	for n, t := range p.Texts {
		if strings.EqualFold(t, text) {
			return n, checkBit(p, n)
		}
	}
	if p.Type == faultline.TypeBool {
		switch text {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, checkBit(p, n)
	}
	known := make([]string, 0, len(p.Texts))
	for _, t := range p.Texts {
		known = append(known, strconv.Quote(t))
	}
	sort.Strings(known)
	return 0, fmt.Errorf("%w: point %s has no state %q; it has %s", faultline.ErrInvalid, p.Name, text, strings.Join(known, ", "))
}

func checkBit(p *faultline.Point, n int64) error {
	if p.Bits && (n < 0 || n > 62) {
		return fmt.Errorf("%w: point %s: bit %d is not one of 0 to 62", faultline.ErrInvalid, p.Name, n)
	}
	return nil
}

func (k *state) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.last = now
	if s.Quality.IsBad() {
		return Verdict{Judgement: Unknown}
	}
	v := Verdict{Judgement: Fine}
	if k.point.Type == faultline.TypeString {
		text, ok := s.Value.Text()
		if !ok {
			return Verdict{Judgement: Unknown}
		}
		for i, is := range k.settings.Is {
			if strings.EqualFold(is, text) {
				return k.bad(float64(i), int64(i))
			}
		}
		return v
	}
	n, ok := s.Value.Int64()
	if !ok {
		return Verdict{Judgement: Unknown}
	}
	v.Value = float64(n)
	if k.point.Bits {
		if set := n & k.mask; set != 0 {
			return k.bad(float64(n), set)
		}
		return v
	}
	for _, bad := range k.values {
		if n == bad {
			return k.bad(float64(n), n)
		}
	}
	return v
}

func (k *state) bad(value float64, detail int64) Verdict {
	return Verdict{Judgement: Bad, Severity: severity(k.settings, stateType.Severity), Value: value, Detail: detail}
}

// Tick brings no news: a state that is not seen is neither good nor bad.
func (k *state) Tick(time.Time) Verdict { return Verdict{} }

func (k *state) Explain(v Verdict, held time.Duration) string {
	var what []string
	switch {
	case k.point.Type == faultline.TypeString:
		if v.Detail >= 0 && v.Detail < int64(len(k.settings.Is)) {
			what = append(what, strconv.Quote(k.settings.Is[v.Detail]))
		}
	case k.point.Bits:
		for bit := int64(0); bit < 63; bit++ {
			if v.Detail&(1<<bit) != 0 {
				what = append(what, k.text(bit, "bit "))
			}
		}
		return subject(k.point) + " reports " + strings.Join(what, ", ") + lasting(held)
	default:
		what = append(what, k.text(v.Detail, ""))
	}
	return subject(k.point) + " is " + strings.Join(what, ", ") + lasting(held)
}

func (k *state) text(n int64, prefix string) string {
	if t := k.point.Texts[n]; t != "" {
		return strconv.Quote(t) + " (" + prefix + strconv.FormatInt(n, 10) + ")"
	}
	if k.point.Type == faultline.TypeBool {
		return strconv.FormatBool(n != 0)
	}
	return prefix + strconv.FormatInt(n, 10)
}

func (k *state) Snapshot(dst []byte) []byte { return putInt(dst, k.last) }

func (k *state) Restore(b []byte) error {
	r := reader{b: b}
	last := r.int()
	if err := r.end("state"); err != nil {
		return err
	}
	k.last = last
	return nil
}
