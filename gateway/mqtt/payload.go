package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// mapping finds the points of one topic in its payloads.
type mapping struct {
	fields []field
	time   []string // path of the device's time; nil if it sends none
	id     []string // path of the message's id
}

type field struct {
	point *profile.Point
	path  []string
}

// What can be wrong with a device's time.
const (
	timeMissing     = "missing"
	timeUnreadable  = "unreadable"
	timeImplausible = "implausible"
)

// message is what a payload says.
type message struct {
	samples []faultline.Sample
	at      time.Time // the device's time
	timed   bool      // at was given
	untimed string    // why it was not, though the profile says where: timeMissing, timeUnreadable
	hasID   bool      // it names itself: an equal payload is the same message
}

// decode maps a payload. Every point yields a sample. The error says why nothing of the payload could
// be understood; then all samples are bad.
func (m *mapping) decode(payload []byte) (message, error) {
	root, err := parse(payload)
	if err != nil && !m.whole() {
		return message{samples: m.allBad(faultline.BadDecode)}, err
	}
	if err != nil {
		root = string(payload) // a bare word such as ON, for points that are the whole payload
	}
	out := message{samples: make([]faultline.Sample, len(m.fields))}
	for i := range m.fields {
		f := &m.fields[i]
		s := faultline.Sample{Point: f.point.Name, Quality: faultline.BadMissing}
		if v, ok := find(root, f.path); ok {
			s.Value, s.Quality = convert(f.point, v)
		}
		out.samples[i] = s
	}
	if m.time != nil && !m.whole() { // a bare value has no room for a time
		out.at, out.untimed = m.timeOf(root)
		out.timed = out.untimed == ""
	}
	if m.id != nil {
		v, ok := find(root, m.id)
		out.hasID = ok && v != nil
	}
	return out, nil
}

// timeOf reads the device's time; wrong says why there is none.
func (m *mapping) timeOf(root any) (at time.Time, wrong string) {
	v, ok := find(root, m.time)
	if !ok || v == nil {
		return time.Time{}, timeMissing
	}
	if at, ok = parseTime(v); !ok {
		return time.Time{}, timeUnreadable
	}
	return at, ""
}

// whole tells whether all points are the whole payload.
func (m *mapping) whole() bool {
	for i := range m.fields {
		if len(m.fields[i].path) > 0 {
			return false
		}
	}
	return true
}

func (m *mapping) allBad(q faultline.Quality) []faultline.Sample {
	out := make([]faultline.Sample, len(m.fields))
	for i := range m.fields {
		out[i] = faultline.Sample{Point: m.fields[i].point.Name, Quality: q}
	}
	return out
}

// parse reads one JSON value and nothing after it; numbers keep their digits.
func parse(payload []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var root any
	if err := dec.Decode(&root); err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode JSON: more after the first value")
	}
	return root, nil
}

func find(v any, path []string) (any, bool) {
	for _, key := range path {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func bad(q faultline.Quality) (faultline.Value, faultline.Quality) { return faultline.Value{}, q }

// convert makes a point's value. Numbers may come as texts, as many devices send them.
func convert(p *profile.Point, v any) (faultline.Value, faultline.Quality) {
	var text string
	switch x := v.(type) {
	case nil:
		return bad(faultline.BadNotAvailable)
	case string:
		text = x
	case json.Number:
		text = x.String()
	case bool:
		if p.Type != faultline.TypeBool {
			return bad(faultline.BadDecode)
		}
		return faultline.Bool(x), faultline.Good
	default:
		return bad(faultline.BadDecode)
	}
	for _, n := range p.NotAvailable {
		if n.Text(text) {
			return bad(faultline.BadNotAvailable)
		}
	}
	switch p.Type {
	case faultline.TypeString:
		return toString(text)
	case faultline.TypeBool:
		return toBool(text)
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return bad(faultline.BadDecode)
	}
	for _, n := range p.NotAvailable {
		if n.Number(number) {
			return bad(faultline.BadNotAvailable)
		}
	}
	if p.Type == faultline.TypeFloat {
		if math.IsNaN(number) {
			return bad(faultline.BadNotAvailable)
		}
		return p.Convert(number)
	}
	return toInt(p, text, number)
}

func toInt(p *profile.Point, text string, number float64) (faultline.Value, faultline.Quality) {
	i, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		switch {
		case number != math.Trunc(number) || math.IsNaN(number):
			return bad(faultline.BadDecode)
		case number >= 1<<63 || number < -1<<63:
			return bad(faultline.BadOverflow)
		}
		i = int64(number)
	}
	if q := p.Within(float64(i)); q.IsBad() {
		return bad(q)
	} else {
		return faultline.Int(i), q
	}
}

func toBool(text string) (faultline.Value, faultline.Quality) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "on", "yes", "1":
		return faultline.Bool(true), faultline.Good
	case "false", "off", "no", "0":
		return faultline.Bool(false), faultline.Good
	}
	return bad(faultline.BadDecode)
}

func toString(text string) (faultline.Value, faultline.Quality) {
	v := faultline.String(strings.ToValidUTF8(text, "\uFFFD"))
	if v.Type() == faultline.NoType {
		return bad(faultline.BadOverflow)
	}
	return v, faultline.Good
}

// parseTime reads RFC 3339, or a number since 1970 whose size tells its unit: seconds below 10^11,
// milliseconds below 10^14, microseconds below 10^17, else nanoseconds.
func parseTime(v any) (time.Time, bool) {
	var text string
	switch x := v.(type) {
	case string:
		if t, err := time.Parse(time.RFC3339Nano, x); err == nil {
			return t.UTC(), true
		}
		text = x
	case json.Number:
		text = x.String()
	default:
		return time.Time{}, false
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil && i > 0 {
		switch {
		case i < 1e11:
			return time.Unix(i, 0).UTC(), true
		case i < 1e14:
			return time.UnixMilli(i).UTC(), true
		case i < 1e17:
			return time.UnixMicro(i).UTC(), true
		}
		return time.Unix(0, i).UTC(), true
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f > 0 && f < 1e11 {
		s, frac := math.Modf(f)
		return time.Unix(int64(s), int64(math.Round(frac*1e6))*1e3).UTC(), true // a float64 holds no more than µs
	}
	return time.Time{}, false
}
