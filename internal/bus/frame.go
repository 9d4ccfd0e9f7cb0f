package bus

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/faultline-iot/faultline"
)

// qualitySuffix makes the field that carries a point's quality when it is not good.
const qualitySuffix = "__q"

// The times that a frame can carry: int64 nanoseconds, less the values that InfluxDB keeps for itself.
var (
	minTime = time.Unix(0, math.MinInt64+2)
	maxTime = time.Unix(0, math.MaxInt64-1)
)

// AppendFrame appends f to dst as one line of InfluxDB line protocol without a newline: measurement =
// asset kind, tags gateway, position and site, a field per point in the order of the samples, time in
// nanoseconds. An uncertain sample adds a field "<point>__q", a bad one has that field only.
// In string values control characters become spaces and bytes that are not UTF-8 become "?", so that a
// frame stays one line that every store accepts.
// The error is faultline.ErrInvalid if the frame fails its Check or its time does not fit; dst is then
// returned as it was.
func AppendFrame(dst []byte, f *faultline.Frame) ([]byte, error) {
	if err := f.Check(); err != nil {
		return dst, err
	}
	if f.Time.Before(minTime) || f.Time.After(maxTime) {
		return dst, fmt.Errorf("%w: frame of %s/%s: time %s does not fit into 64-bit nanoseconds", faultline.ErrInvalid, f.Site, f.Position, f.Time)
	}
	dst = append(dst, f.Kind...)
	dst = append(append(dst, ",gateway="...), f.Gateway...)
	dst = append(append(dst, ",position="...), f.Position...)
	dst = append(append(dst, ",site="...), f.Site...)
	sep := byte(' ')
	for i := range f.Samples {
		s := &f.Samples[i]
		if !s.Quality.IsBad() {
			dst = append(append(append(dst, sep), s.Point...), '=')
			dst = appendValue(dst, s.Value)
			sep = ','
		}
		if !s.Quality.IsGood() {
			dst = append(append(append(dst, sep), s.Point...), qualitySuffix+`="`...)
			dst = append(append(dst, s.Quality...), '"') // Check allows nothing in it that needs escaping
			sep = ','
		}
	}
	return strconv.AppendInt(append(dst, ' '), f.Time.UnixNano(), 10), nil
}

func appendValue(dst []byte, v faultline.Value) []byte {
	switch v.Type() {
	case faultline.TypeFloat:
		n, _ := v.Number()
		return strconv.AppendFloat(dst, n, 'g', -1, 64)
	case faultline.TypeInt:
		n, _ := v.Int64()
		return append(strconv.AppendInt(dst, n, 10), 'i')
	case faultline.TypeBool:
		n, _ := v.Int64()
		return strconv.AppendBool(dst, n != 0)
	}
	s, _ := v.Text()
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, ' ')
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, '?')
			} else {
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}
