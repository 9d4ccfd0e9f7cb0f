package story

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// notation is a series in short form: what a point reads at each interval.
//
//	50            one reading of 50; the last reading goes on until the test ends
//	50x10         ten of them; 50x10m as many as fit into ten minutes
//	50+2x20       50, 52, 54 … twenty in all; 50-2x20 falls
//	50~2x20       twenty between 48 and 52 without order, the same at each run
//	_x5           five times nothing
//	bad:timeoutx3 three bad readings with their reason
//	50?clockx3    three uncertain ones
//	true, running, 'sensor fault'   of other types, and the profile's texts
type notation struct {
	segments []segment
	ends     []int // after which reading each segment ends
}

// segment is one word of a notation.
type segment struct {
	none       bool              // no reading
	number     bool              // base and step count
	base, step float64           // value of the n-th reading is base + n × step
	wobble     float64           // and at most this much beside it
	text       string            // else: true, false, a text
	quality    faultline.Quality // bad ones have no value
}

// longestSeries bounds the readings of a series: three years of seconds.
const longestSeries = 100_000_000

// longestNotation bounds the text of a series in bytes.
const longestNotation = 64 << 10

// parseNotation reads a series whose readings are every apart.
func parseNotation(text string, every time.Duration) (*notation, error) {
	if len(text) > longestNotation {
		return nil, fmt.Errorf("is longer than %d bytes", longestNotation)
	}
	n, end := &notation{}, 0
	for rest := strings.TrimSpace(text); rest != ""; {
		word, after, err := cutWord(rest)
		if err != nil {
			return nil, err
		}
		s, count, err := parseWord(word, every)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
		if end += count; end > longestSeries {
			return nil, fmt.Errorf("%q: the series has more than %d readings", word, longestSeries)
		}
		n.segments, n.ends = append(n.segments, s), append(n.ends, end)
		rest = after
	}
	if len(n.segments) == 0 {
		return nil, errors.New("is empty: write readings such as 50x10 50+2x20 _x5 bad:timeoutx3")
	}
	return n, nil
}

// cutWord takes the first word off a text that begins with one. Quotes keep spaces together.
func cutWord(text string) (word, rest string, err error) {
	quoted := false
	for i, c := range text {
		switch {
		case c == '\'':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return text[:i], strings.TrimLeft(text[i:], " \t\r\n"), nil
		}
	}
	if quoted {
		return "", "", fmt.Errorf("%q: the quote does not end", text)
	}
	return text, "", nil
}

func parseWord(word string, every time.Duration) (segment, int, error) {
	if word[0] == '\'' {
		end := strings.IndexByte(word[1:], '\'') + 1
		text, rest := word[1:end], word[end+1:]
		if text == "" {
			return segment{}, 0, errors.New("the text is empty")
		}
		return finish(segment{text: text}, rest, every)
	}
	if rest, ok := strings.CutPrefix(word, "_"); ok && (rest == "" || rest[0] == 'x' || rest[0] == '?') {
		return finish(segment{none: true}, rest, every)
	}
	if length := number(word); length > 0 {
		s := segment{number: true}
		var err error
		if s.base, err = parseFloat(word[:length]); err != nil {
			return s, 0, err
		}
		rest := word[length:]
		if strings.HasPrefix(rest, "~") {
			length := number(rest[1:])
			if length == 0 || rest[1] == '-' {
				return s, 0, errors.New("after ~ comes by how much it wobbles, such as 50~2x20")
			}
			if s.wobble, err = parseFloat(rest[1 : 1+length]); err != nil {
				return s, 0, err
			}
			rest = rest[1+length:]
		}
		if rest != "" && (rest[0] == '+' || rest[0] == '-') {
			length := number(rest[1:])
			if length == 0 || rest[1] == '-' {
				return s, 0, fmt.Errorf("after %c comes by how much it changes each time, such as 50+2x20", rest[0])
			}
			if s.step, err = parseFloat(rest[1 : 1+length]); err != nil {
				return s, 0, err
			}
			if rest[0] == '-' {
				s.step = -s.step
			}
			if rest = rest[1+length:]; !strings.Contains(rest, "x") {
				return s, 0, errors.New("a ramp needs the number of its readings, such as 50+2x20")
			}
		}
		return finish(s, rest, every)
	}
	text, rest := word, ""
	if i := repetition(word); i > 0 {
		text, rest = word[:i], word[i:]
	}
	if strings.HasPrefix(text, "bad:") || strings.HasPrefix(text, "uncertain:") {
		s := segment{quality: faultline.Quality(text)}
		if err := s.quality.Check(); err != nil {
			return s, 0, errors.New(strings.TrimPrefix(err.Error(), "invalid: "))
		}
		if s.quality.IsUncertain() {
			return s, 0, fmt.Errorf("an uncertain reading has a value: write it as 50?%s", s.quality.Reason())
		}
		return finish(s, rest, every)
	}
	text, reason, uncertain := strings.Cut(text, "?")
	if uncertain {
		rest = "?" + reason + rest
	}
	if text == "" || strings.ContainsAny(text, "'+") {
		return segment{}, 0, errors.New("is no reading: write 50x10, 50+2x20, _x5, bad:timeoutx3, 50?clock, true or a text of the profile, in ' ' if it has spaces")
	}
	return finish(segment{text: text}, rest, every)
}

// finish reads what may follow a reading: ?reason and the number of times.
func finish(s segment, rest string, every time.Duration) (segment, int, error) {
	if q, ok := strings.CutPrefix(rest, "?"); ok {
		if s.none {
			return s, 0, errors.New("no reading has no quality")
		}
		rest = ""
		if i := repetition("?" + q); i > 0 {
			q, rest = q[:i-1], q[i-1:]
		}
		s.quality = faultline.Quality("uncertain:" + q)
		if err := s.quality.Check(); err != nil {
			return s, 0, fmt.Errorf("after ? comes the reason why it is uncertain, such as 50?clock")
		}
	}
	if s.quality == "" {
		s.quality = faultline.Good
	}
	if rest == "" {
		return s, 1, nil
	}
	times, ok := strings.CutPrefix(rest, "x")
	if !ok {
		return s, 0, fmt.Errorf("%q is not understood: after a reading comes x and how often or how long, such as x10 or x5m", rest)
	}
	count, err := strconv.Atoi(times)
	if err != nil {
		d, wrong := time.ParseDuration(times)
		if wrong != nil {
			return s, 0, fmt.Errorf("%q is neither how often nor how long: write x10 or x5m", rest)
		}
		if count = int(min(d/every, longestSeries+1)); d > 0 && d%every != 0 {
			return s, 0, fmt.Errorf("%v is no multiple of the interval, %v", d, every)
		}
	}
	if count < 1 || count > longestSeries {
		return s, 0, fmt.Errorf("%q: use 1 to %d readings", rest, longestSeries)
	}
	last := s.base + float64(count-1)*s.step + math.Copysign(s.wobble, s.step)
	if math.IsInf(last, 0) {
		return s, 0, errors.New("the ramp is too steep: it leaves the range of numbers")
	}
	return s, count, nil
}

func parseFloat(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is out of range", s)
	}
	return v, nil
}

// number gives the length of the decimal number that s begins with; 0 if it begins with none.
func number(s string) int {
	digits := func(i int) int {
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i
	}
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	end := digits(i)
	if end == i {
		return 0
	}
	if end < len(s) && s[end] == '.' {
		if j := digits(end + 1); j > end+1 {
			end = j
		}
	}
	if end < len(s) && s[end] == 'e' {
		j := end + 1
		if j < len(s) && (s[j] == '-' || s[j] == '+') {
			j++
		}
		if k := digits(j); k > j {
			end = k
		}
	}
	return end
}

// repetition finds where x10 or x5m begins at the end of a word; 0 if it does not end so.
func repetition(word string) int {
	i := strings.LastIndexByte(word, 'x')
	if i <= 0 || i+1 == len(word) {
		return 0
	}
	if _, err := strconv.Atoi(word[i+1:]); err == nil {
		return i
	}
	if _, err := time.ParseDuration(word[i+1:]); err == nil && word[i+1] >= '0' && word[i+1] <= '9' {
		return i
	}
	return 0
}

// len is the number of readings that are written down.
func (n *notation) len() int { return n.ends[len(n.ends)-1] }

// at gives the i-th reading: its segment, and its value if that is a number. Beyond the end the last
// reading goes on.
func (n *notation) at(i int) (*segment, float64) {
	i = min(i, n.len()-1)
	j := sort.SearchInts(n.ends, i+1)
	s, begin := &n.segments[j], 0
	if j > 0 {
		begin = n.ends[j-1]
	}
	return s, s.base + float64(i-begin)*s.step + s.wobble*scatter(i, s.base)
}

// scatter is a number from -1 to 1 without order, for a reading of a series around base.
func scatter(i int, base float64) float64 {
	x := uint64(i+1)*0x9e3779b97f4a7c15 ^ math.Float64bits(base)*0xbf58476d1ce4e5b9
	x = (x ^ x>>31) * 0x94d049bb133111eb
	return float64((x^x>>29)>>11)/(1<<52) - 1
}

// sample makes a segment's reading one of a point; false if there is none.
func (s *segment) sample(p *faultline.Point, value float64) (faultline.Sample, bool, error) {
	out := faultline.Sample{Point: p.Name, Quality: s.quality}
	switch {
	case s.none:
		return out, false, nil
	case s.quality.IsBad():
		return out, true, nil
	case s.number:
		switch {
		case p.Type == faultline.TypeFloat:
			out.Value = faultline.Float(value)
		case p.Type == faultline.TypeInt && math.Abs(value) < 1<<62:
			out.Value = faultline.Int(int64(math.Round(value)))
		default:
			return out, false, fmt.Errorf("%v is no value of %s, which is of type %s", value, p.Name, p.Type)
		}
		return out, true, nil
	}
	switch p.Type {
	case faultline.TypeBool:
		if s.text == "true" || s.text == "false" {
			out.Value = faultline.Bool(s.text == "true")
			return out, true, nil
		}
	case faultline.TypeString:
		if out.Value = faultline.String(s.text); out.Value.Type() != faultline.NoType {
			return out, true, nil
		}
	case faultline.TypeInt:
		for v, text := range p.Texts {
			if text != s.text {
				continue
			}
			if p.Bits {
				v = 1 << min(v, 62)
			}
			out.Value = faultline.Int(v)
			return out, true, nil
		}
	}
	return out, false, fmt.Errorf("%q is no value of %s, which is of type %s%s", s.text, p.Name, p.Type, texts(p))
}

// texts lists what a point's texts are, for an error.
func texts(p *faultline.Point) string {
	if len(p.Texts) == 0 {
		return ""
	}
	var list []string
	for _, t := range p.Texts {
		list = append(list, t)
	}
	sort.Strings(list)
	return " (" + strings.Join(list, ", ") + ")"
}
