package bus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/faultline-iot/faultline"
)

// maxSeries and maxNames bound what a Decoder remembers; beyond it, it forgets all and learns again.
const (
	maxSeries = 50_000
	maxNames  = 50_000
)

// Decoder decodes frames. It remembers the series and names it has seen, so that a frame costs one
// allocation for its samples, or none where they are reused, plus one per string value. It is not safe
// for concurrent use. The zero Decoder is ready.
type Decoder struct {
	series    map[string]*series
	points    map[string]string            // checked names of points
	qualities map[string]faultline.Quality // checked qualities
	guessed   bool                         // all samples of this frame so far are where its series' latest frame had them
}

// series is what all frames of a position share, with the points of the latest frame as a guess at the
// next one's.
type series struct {
	kind, gateway, position, site string
	points                        []string
}

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// DecodeFrame decodes one line made by AppendFrame; a newline at its end is allowed. Whatever else is
// refused with faultline.ErrInvalid: other tags, unsigned fields, points without a type. The frame does
// not refer to line. Safe for concurrent use.
func DecodeFrame(line []byte) (faultline.Frame, error) {
	d := decoders.Get().(*Decoder)
	defer decoders.Put(d)
	var f faultline.Frame
	err := d.Decode(line, &f)
	return f, err
}

// Decode is DecodeFrame into f, whose Samples are overwritten and reused where they are large enough.
func (d *Decoder) Decode(line []byte, f *faultline.Frame) error {
	line = bytes.TrimSuffix(line, []byte("\n"))
	key, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return invalid(line, "no fields")
	}
	s := d.series[string(key)]
	if s == nil {
		var err error
		if s, err = d.learn(key); err != nil {
			return err
		}
	}
	f.Kind, f.Gateway, f.Position, f.Site = s.kind, s.gateway, s.position, s.site
	f.Samples = f.Samples[:0]
	if f.Samples == nil {
		f.Samples = make([]faultline.Sample, 0, max(len(s.points), 4))
	}
	d.guessed = true
	rest, err := d.fields(rest, f, s)
	if err != nil {
		return err
	}
	ns, err := strconv.ParseInt(view(rest), 10, 64)
	if err != nil || rest[0] == '+' {
		return invalid(rest, "not a time in nanoseconds")
	}
	f.Time = time.Unix(0, ns).UTC()
	if f.Time.Before(minTime) || f.Time.After(maxTime) {
		return invalid(rest, "time out of range")
	}
	s.guess(f, d.guessed)
	return nil
}

// guess keeps the frame's points as the guess for the next frame.
func (s *series) guess(f *faultline.Frame, guessed bool) {
	if guessed && len(s.points) == len(f.Samples) {
		return
	}
	s.points = s.points[:0]
	for i := range f.Samples {
		s.points = append(s.points, f.Samples[i].Point)
	}
}

// fields reads "name=value,…" up to the space before the time and returns what follows it.
func (d *Decoder) fields(b []byte, f *faultline.Frame, s *series) ([]byte, error) {
	for {
		eq := bytes.IndexByte(b, '=')
		if eq <= 0 || eq == len(b)-1 {
			return nil, invalid(b, "not a field")
		}
		name, rest := b[:eq], b[eq+1:]
		v, rest, err := value(rest)
		if err != nil {
			return nil, err
		}
		if err := d.field(f, s, name, v); err != nil {
			return nil, err
		}
		switch {
		case len(rest) < 2:
			return nil, invalid(rest, "no time")
		case rest[0] == ' ':
			return rest[1:], nil
		case rest[0] != ',':
			return nil, invalid(rest, "not the end of a field")
		}
		b = rest[1:]
	}
}

// field adds one field to the frame's samples.
func (d *Decoder) field(f *faultline.Frame, s *series, name []byte, v faultline.Value) error {
	if p, is := bytes.CutSuffix(name, []byte(qualitySuffix)); is {
		return d.quality(f, s, p, v)
	}
	return d.sample(f, s, name, v, faultline.Good)
}

// quality adds the quality to the sample before it if that is its point's, else a bad sample.
func (d *Decoder) quality(f *faultline.Frame, s *series, name []byte, v faultline.Value) error {
	t, ok := v.Text()
	if !ok {
		return invalid(name, "a quality that is not a string")
	}
	q, ok := d.qualities[t]
	if !ok {
		q = faultline.Quality(t)
		if err := q.Check(); err != nil {
			return err
		}
		if d.qualities == nil || len(d.qualities) >= maxNames {
			d.qualities = make(map[string]faultline.Quality)
		}
		d.qualities[t] = q
	}
	if n := len(f.Samples); n > 0 && f.Samples[n-1].Point == view(name) {
		m := &f.Samples[n-1]
		if !q.IsUncertain() || !m.Quality.IsGood() {
			return invalid(name, "a value with quality "+string(q))
		}
		m.Quality = q
		return nil
	}
	if !q.IsBad() {
		return invalid(name, "quality "+string(q)+" does not follow its value")
	}
	return d.sample(f, s, name, faultline.Value{}, q)
}

// sample adds a sample. Mostly the series' latest frame had the same point at the same place: then its
// name is checked and made already, and as long as that holds no point can be named twice.
func (d *Decoder) sample(f *faultline.Frame, s *series, name []byte, v faultline.Value, q faultline.Quality) error {
	n := len(f.Samples)
	if n < len(s.points) && s.points[n] == view(name) && d.guessed {
		f.Samples = append(f.Samples, faultline.Sample{Point: s.points[n], Value: v, Quality: q})
		return nil
	}
	d.guessed = false
	point, ok := d.points[view(name)]
	if !ok {
		point = string(name)
		if err := faultline.CheckPoint(point); err != nil {
			return err
		}
		if d.points == nil || len(d.points) >= maxNames {
			d.points = make(map[string]string)
		}
		d.points[point] = point
	}
	for i := range f.Samples {
		if f.Samples[i].Point == point {
			return invalid(name, "a point named twice")
		}
	}
	f.Samples = append(f.Samples, faultline.Sample{Point: point, Value: v, Quality: q})
	return nil
}

// learn parses "kind,gateway=…,position=…,site=…".
func (d *Decoder) learn(key []byte) (*series, error) {
	text := string(key)
	kind, tags, _ := strings.Cut(text, ",")
	s := &series{kind: kind}
	for _, t := range [...]struct {
		name string
		to   *string
	}{{"gateway", &s.gateway}, {"position", &s.position}, {"site", &s.site}} {
		var tag string
		tag, tags, _ = strings.Cut(tags, ",")
		n, v, _ := strings.Cut(tag, "=")
		if n != t.name {
			return nil, invalid(key, "the tags of a frame are gateway, position and site, in this order")
		}
		if err := faultline.CheckName(n, v); err != nil {
			return nil, err
		}
		*t.to = v
	}
	if tags != "" || strings.HasSuffix(text, ",") {
		return nil, invalid(key, "the tags of a frame are gateway, position and site, in this order")
	}
	if err := faultline.CheckName("asset kind", kind); err != nil {
		return nil, err
	}
	if d.series == nil || len(d.series) >= maxSeries {
		d.series = make(map[string]*series)
	}
	d.series[text] = s
	return s, nil
}

// value parses the value at the beginning of b and returns what follows it.
func value(b []byte) (faultline.Value, []byte, error) {
	switch c := b[0]; {
	case c == '"':
		return text(b)
	case c == '-' || c >= '0' && c <= '9':
		return number(b)
	}
	end := bytes.IndexAny(b, ", ")
	if end < 0 {
		end = len(b)
	}
	switch string(b[:end]) {
	case "true":
		return faultline.Bool(true), b[end:], nil
	case "false":
		return faultline.Bool(false), b[end:], nil
	}
	return faultline.Value{}, nil, invalid(b[:end], "not a value")
}

func number(b []byte) (faultline.Value, []byte, error) {
	end := 1
	for end < len(b) && (b[end] >= '0' && b[end] <= '9' || b[end] == '.' || b[end] == 'e' || b[end] == 'E' || b[end] == '+' || b[end] == '-') {
		end++
	}
	if end < len(b) && b[end] == 'i' {
		n, err := strconv.ParseInt(view(b[:end]), 10, 64)
		if err != nil {
			return faultline.Value{}, nil, invalid(b[:end+1], "not a 64-bit integer")
		}
		return faultline.Int(n), b[end+1:], nil
	}
	n, err := strconv.ParseFloat(view(b[:end]), 64)
	if err != nil {
		return faultline.Value{}, nil, invalid(b[:end], "not a finite number")
	}
	return faultline.Float(n), b[end:], nil
}

func text(b []byte) (faultline.Value, []byte, error) {
	var esc bool
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\'):
			esc = true
			i++
		case c < ' ' || c == 0x7f:
			return faultline.Value{}, nil, invalid(b[:i], "a control character in a string")
		case c == '"':
			s := string(b[1:i])
			if esc {
				s = unescape(s)
			}
			if !utf8.ValidString(s) {
				return faultline.Value{}, nil, invalid(b[:i], "a string that is not UTF-8")
			}
			if len(s) > faultline.MaxString {
				return faultline.Value{}, nil, invalid(b[:32], "a string that is too long")
			}
			return faultline.String(s), b[i+1:], nil
		}
	}
	return faultline.Value{}, nil, invalid(b, "a string without an end")
}

func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// view is b as a string without a copy, for look-ups and parsing that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

var errLine = errors.New("not a frame in line protocol")

func invalid(at []byte, what string) error {
	if len(at) > 64 {
		at = at[:64]
	}
	return fmt.Errorf("%w: %w: %s at %q", faultline.ErrInvalid, errLine, what, at)
}
