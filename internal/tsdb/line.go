package tsdb

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// AppendLate appends the line with which a single reading stands in the tiers, without a newline.
// f must pass its Check.
func AppendLate(dst []byte, f *faultline.Frame) []byte {
	dst = appendHead(dst, f.Kind, map[string]string{"gateway": f.Gateway, "position": f.Position, "site": f.Site, "origin": Late})
	sep := byte(' ')
	for i := range f.Samples {
		s := &f.Samples[i]
		typ := typeName(s.Value.Type())
		for _, k := range keptOf(typ) {
			v := s.Value.Any()
			switch {
			case k.call == "count":
				v = int64(1)
			case k.call == "mean":
				v, _ = s.Value.Number()
			}
			dst = append(append(append(append(dst, sep), s.Point...), k.suffix...), '=')
			dst = appendTyped(dst, k.typ, v)
			sep = ','
		}
		if !s.Quality.IsGood() {
			dst = append(append(append(append(dst, sep), s.Point...), QualitySuffix...), '=')
			dst = appendTyped(dst, "string", string(s.Quality))
			sep = ','
		}
	}
	return strconv.AppendInt(append(dst, ' '), f.Time.UnixNano(), 10)
}

// appendHead appends measurement and tags, in their order.
func appendHead(dst []byte, measurement string, tags map[string]string) []byte {
	dst = append(dst, escape(measurement, `, `)...)
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if tags[k] != "" { // GROUP BY * names tags that a series does not have
			dst = append(append(append(append(dst, ','), escape(k, `,= `)...), '='), escape(tags[k], `,= `)...)
		}
	}
	return dst
}

func escape(s, which string) string {
	if !strings.ContainsAny(s, which) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(which, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// appendTyped appends a field's value. Numbers of an answer may have lost their type on the way.
func appendTyped(dst []byte, typ string, v any) []byte {
	switch typ {
	case "float":
		f, _ := toFloat(v)
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	case "integer":
		n, whole := v.(int64)
		if f, is := v.(float64); !whole && is {
			n = int64(f)
		}
		return append(strconv.AppendInt(dst, n, 10), 'i')
	case "boolean":
		if f, is := toFloat(v); is { // min and max of booleans may come as numbers
			return strconv.AppendBool(dst, f != 0)
		}
	}
	s, _ := v.(string)
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f: // none came in; a line must stay one line
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
