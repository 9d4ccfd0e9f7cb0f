package tsdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// Latest gives the newest frame of a position that InfluxDB holds: its samples are those of that one
// reading, so that points read less often may not be among them. ErrNotFound if there is none.
func (c *Client) Latest(ctx context.Context, kind, site, position string) (faultline.Frame, error) {
	f := faultline.Frame{Kind: kind, Site: site, Position: position}
	series, err := c.Query(ctx, fmt.Sprintf(`SELECT * FROM %s WHERE "site" = %s AND "position" = %s ORDER BY time DESC LIMIT 1`, Ident(kind), Literal(site), Literal(position)), nil)
	if err == nil && (len(series) == 0 || len(series[0].Rows) == 0) {
		err = faultline.ErrNotFound
	}
	if err != nil {
		return f, fmt.Errorf("latest frame of %s/%s: %w", site, position, err)
	}
	s, row := series[0], series[0].Rows[0]
	f.Time, _ = row[0].(time.Time)
	cells := rowMap(s.Columns, row)
	f.Gateway, _ = cells["gateway"].(string)
	var points []string
	for name, v := range cells {
		if name == "time" || name == "site" || name == "position" || name == "gateway" || name == "origin" || v == nil {
			continue
		}
		if p := strings.TrimSuffix(name, QualitySuffix); !slices.Contains(points, p) {
			points = append(points, p)
		}
	}
	slices.Sort(points)
	types, err := c.fieldTypes(ctx, "", kind, points)
	if err != nil {
		return f, fmt.Errorf("latest frame of %s/%s: %w", site, position, err)
	}
	for _, p := range points {
		v := value(types[p], cells[p])
		q := quality(v.Type() != faultline.NoType, cells[p+QualitySuffix])
		f.Samples = append(f.Samples, faultline.Sample{Point: p, Value: v, Quality: q})
	}
	return f, nil
}

// value restores the type that a number lost on its way through JSON.
func value(typ string, v any) faultline.Value {
	switch v := v.(type) {
	case int64:
		if typ == "float" {
			return faultline.Float(float64(v))
		}
		return faultline.Int(v)
	case float64:
		return faultline.Float(v)
	case bool:
		return faultline.Bool(v)
	case string:
		return faultline.String(v)
	}
	return faultline.Value{}
}
