package rules

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// ringSize is how many samples of a ruled point are kept as evidence.
const ringSize = 120

// ring keeps the last samples of a point. It grows to its size once and then turns round.
type ring struct {
	entries   []entry
	next      int                 // where the next one goes once full
	texts     []string            // of string points, beside entries; nil for all others
	qualities []faultline.Quality // that occurred, but good
}

type entry struct {
	at      int64
	value   float64
	quality uint8 // 0 good, else 1 + index into qualities
	none    bool  // has no value
}

func (r *ring) push(at time.Time, s *faultline.Sample) {
	e := entry{at: at.UnixNano(), quality: r.quality(s.Quality)}
	text := ""
	if v, ok := s.Value.Number(); ok && s.Quality.Usable() {
		e.value = v
	} else {
		e.none = true
		text, _ = s.Value.Text()
	}
	r.add(e, text)
}

func (r *ring) add(e entry, text string) {
	i := len(r.entries)
	if i < ringSize {
		r.entries = append(r.entries, e)
	} else {
		i = r.next
		r.entries[i] = e
		r.next = (r.next + 1) % ringSize
	}
	if text == "" && r.texts == nil {
		return
	}
	for len(r.texts) <= i {
		r.texts = append(r.texts, "")
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	r.texts[i] = text
}

// maxText bounds the text of a sample in evidence, in bytes.
const maxText = 128

func (r *ring) quality(q faultline.Quality) uint8 {
	if q == faultline.Good {
		return 0
	}
	for i, known := range r.qualities {
		if known == q {
			return uint8(i + 1)
		}
	}
	if len(r.qualities) == math.MaxUint8-1 { // a device that invents reasons without end
		return math.MaxUint8 - 1
	}
	r.qualities = append(r.qualities, q)
	return uint8(len(r.qualities))
}

// samples copies the ring, the oldest first.
func (r *ring) samples() []faultline.EvidenceSample {
	list := make([]faultline.EvidenceSample, 0, len(r.entries))
	r.each(func(e entry, text string) {
		s := faultline.EvidenceSample{At: time.Unix(0, e.at).UTC(), Quality: faultline.Good, Text: text}
		if e.quality > 0 {
			s.Quality = r.qualities[e.quality-1]
		}
		if !e.none {
			v := e.value
			s.Value = &v
		}
		list = append(list, s)
	})
	return list
}

func (r *ring) each(f func(e entry, text string)) {
	for i := range r.entries {
		i = (r.next + i) % len(r.entries)
		text := ""
		if i < len(r.texts) {
			text = r.texts[i]
		}
		f(r.entries[i], text)
	}
}

// A course is worth telling if there are this many samples over this long.
const (
	courseSamples = 10
	courseTime    = time.Minute
)

// course gives how a value came gradually to where it is, upwards or downwards; false if it did not: it
// jumped, or hardly moved compared with scale.
func (r *ring) course(up bool, scale float64) (change float64, in time.Duration, ok bool) {
	var first, last entry
	n, step := 0, 0.0
	r.each(func(e entry, _ string) {
		if e.none {
			return
		}
		if n == 0 {
			first = e
		} else {
			step = max(step, math.Abs(e.value-last.value))
		}
		last = e
		n++
	})
	change, in = last.value-first.value, time.Duration(last.at-first.at)
	moved := math.Abs(change)
	return change, in, n >= courseSamples && in >= courseTime && change > 0 == up && moved > 0.02*math.Abs(scale) && step <= 0.4*moved
}

// snapshot appends the ring: qualities, then samples with times as differences.
func (r *ring) snapshot(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(r.qualities)))
	for _, q := range r.qualities {
		dst = appendString(dst, string(q))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.entries)))
	last := int64(0)
	r.each(func(e entry, text string) {
		dst = binary.AppendVarint(dst, e.at-last)
		last = e.at
		flags := uint64(e.quality) << 2
		if e.none {
			flags |= 1
		}
		if text != "" {
			flags |= 2
		}
		dst = binary.AppendUvarint(dst, flags)
		if !e.none {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.value))
		}
		if text != "" {
			dst = appendString(dst, text)
		}
	})
	return dst
}

func (r *ring) restore(in *input) {
	var n ring
	for range in.count(math.MaxUint8) {
		n.qualities = append(n.qualities, faultline.Quality(in.string(128)))
	}
	last := int64(0)
	for range in.count(ringSize) {
		last += in.int()
		flags := in.uint()
		e := entry{at: last, none: flags&1 != 0, quality: uint8(flags >> 2)}
		if flags>>2 > uint64(len(n.qualities)) {
			in.fail("a quality")
			return
		}
		if !e.none {
			e.value = math.Float64frombits(in.fixed())
		}
		text := ""
		if flags&2 != 0 {
			text = in.string(maxText)
		}
		if in.err != nil || math.IsNaN(e.value) {
			in.fail("a sample")
			return
		}
		n.add(e, text)
	}
	*r = n
}

func appendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// input takes a snapshot apart; after the first fault everything it gives is zero.
type input struct {
	b   []byte
	err error
}

func (in *input) fail(what string) {
	if in.err == nil {
		in.err = fmt.Errorf("%w: saved state is damaged at %s", faultline.ErrInvalid, what)
	}
	in.b = nil
}

func (in *input) uint() uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.fail("a number")
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *input) int() int64 {
	v, n := binary.Varint(in.b)
	if n <= 0 {
		in.fail("a number")
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *input) fixed() uint64 {
	if len(in.b) < 8 {
		in.fail("a value")
		return 0
	}
	v := binary.LittleEndian.Uint64(in.b)
	in.b = in.b[8:]
	return v
}

func (in *input) bytes(limit int) []byte {
	n := in.uint()
	if n > uint64(len(in.b)) || n > uint64(limit) {
		in.fail("a text")
		return nil
	}
	b := in.b[:n]
	in.b = in.b[n:]
	return b
}

func (in *input) string(limit int) string { return string(in.bytes(limit)) }

// count reads the length of a list of at most limit entries.
func (in *input) count(limit int) int {
	n := in.uint()
	if n > uint64(limit) || n > uint64(len(in.b)) {
		in.fail("a length")
		return 0
	}
	return int(n)
}
