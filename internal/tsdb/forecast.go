package tsdb

import (
	"math"
	"strconv"

	"github.com/faultline-iot/faultline"
)

// Forecasts is the measurement of what life rules have said of the time that is left. It stands in the
// retention policy Hours.
const Forecasts = Reserved + "forecasts"

// AppendForecast appends the forecast's line, without a newline: hours until the limit is reached, and the
// values that lines to draw go through. A time that never ends has no field; neither have times and model
// where there is no forecast, whose field none then says why.
func AppendForecast(dst []byte, f *faultline.Forecast) []byte {
	tags := map[string]string{"site": f.Site, "position": f.Position, "rule": f.Rule, "point": f.Point}
	dst = append(appendHead(dst, Forecasts, tags), ' ')
	field := func(name, typ string, v any) {
		if dst[len(dst)-1] != ' ' {
			dst = append(dst, ',')
		}
		dst = appendTyped(append(append(dst, name...), '='), typ, v)
	}
	field("level", "float", f.Level)
	field("limit", "float", f.Limit)
	if f.None != "" {
		field("none", "string", f.None)
		return strconv.AppendInt(append(dst, ' '), f.At.UnixNano(), 10)
	}
	for _, p := range []struct {
		name string
		left faultline.Remaining
	}{{"p10", f.P10}, {"p50", f.P50}, {"p90", f.P90}} {
		if !math.IsInf(float64(p.left), 1) {
			field(p.name, "float", float64(p.left))
		}
	}
	field("model", "string", f.Model)
	field("basis", "string", f.Basis)
	return strconv.AppendInt(append(dst, ' '), f.At.UnixNano(), 10)
}
