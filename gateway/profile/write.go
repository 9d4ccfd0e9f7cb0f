package profile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// YAML writes the profile as people would, one line a point; Decode reads it back.
func (p *Profile) YAML() []byte {
	var b bytes.Buffer
	top := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, strconv.Quote(value))
		}
	}
	top("name", p.Name)
	top("version", p.Version)
	top("kind", p.Kind)
	top("title", p.Title)
	top("manufacturer", p.Manufacturer)
	top("model", p.Model)
	top("source", p.Source)
	var f flow
	f.word("order", p.Modbus.Order.String())
	f.whole("max_registers", p.Modbus.MaxRegisters)
	f.whole("max_bits", p.Modbus.MaxBits)
	if p.Modbus.MaxGap != nil {
		f = append(f, "max_gap: "+strconv.Itoa(*p.Modbus.MaxGap))
	}
	if len(p.Modbus.Forbidden) > 0 {
		var ranges []string
		for _, r := range p.Modbus.Forbidden {
			ranges = append(ranges, fmt.Sprintf("{table: %s, from: %d, to: %d}", r.Table, r.From, r.To))
		}
		f = append(f, "forbidden: ["+strings.Join(ranges, ", ")+"]")
	}
	f.line(&b, "modbus")
	f = nil
	f.text("topic", p.MQTT.Topic)
	f.text("time", p.MQTT.Time)
	f.text("id", p.MQTT.ID)
	f.line(&b, "mqtt")
	b.WriteString("points:\n")
	for i := range p.Points {
		fmt.Fprintf(&b, "  - %s\n", p.Points[i].flow())
	}
	return b.Bytes()
}

// flow is the inside of a YAML flow mapping.
type flow []string

func (f *flow) word(key, value string) {
	if value != "" {
		*f = append(*f, key+": "+value)
	}
}

func (f *flow) text(key, value string) {
	if value != "" {
		*f = append(*f, key+": "+strconv.Quote(value))
	}
}

func (f *flow) whole(key string, value int) {
	if value != 0 {
		*f = append(*f, key+": "+strconv.Itoa(value))
	}
}

func (f *flow) numbers(key string, values []float64) {
	if len(values) > 0 {
		s := make([]string, len(values))
		for i, v := range values {
			s[i] = number(v)
		}
		*f = append(*f, key+": ["+strings.Join(s, ", ")+"]")
	}
}

func (f *flow) names(key string, names map[int64]string) {
	if len(names) > 0 {
		var s []string
		for _, k := range slices.Sorted(maps.Keys(names)) {
			s = append(s, fmt.Sprintf("%d: %s", k, strconv.Quote(names[k])))
		}
		*f = append(*f, key+": {"+strings.Join(s, ", ")+"}")
	}
}

func (f flow) String() string { return "{" + strings.Join(f, ", ") + "}" }

func (f flow) line(b *bytes.Buffer, key string) {
	if len(f) > 0 {
		fmt.Fprintf(b, "%s: %s\n", key, f)
	}
}

func (pt *Point) flow() flow {
	var f flow
	f.word("name", pt.Name)
	f.text("title", pt.Title)
	f.text("unit", pt.Unit)
	f.word("type", pt.Type.String())
	if r := pt.Register; r != nil {
		var g flow
		g.word("table", r.Table.String())
		g = append(g, fmt.Sprintf("address: %d", r.Address))
		g.word("data", r.Data.String())
		g.word("order", r.Order.String())
		g.whole("bit", r.Bit)
		g.whole("width", r.Width)
		g.whole("length", r.Length)
		g.text("layout", r.Layout.String())
		g.text("zone", r.Zone)
		if r.ScaleAt != nil {
			g = append(g, fmt.Sprintf("scale_at: %d", *r.ScaleAt))
		}
		f = append(f, "register: "+g.String())
	}
	if pt.JSON != nil {
		f = append(f, "json: "+strconv.Quote(*pt.JSON))
	}
	f.text("topic", pt.Topic)
	if pt.Scale != nil {
		f = append(f, "scale: "+number(*pt.Scale))
	}
	if pt.Offset != 0 {
		f = append(f, "offset: "+number(pt.Offset))
	}
	if len(pt.NotAvailable) > 0 {
		s := make([]string, len(pt.NotAvailable))
		for i, n := range pt.NotAvailable {
			s[i] = n.String()
			if !n.numeric {
				s[i] = strconv.Quote(n.text)
			}
		}
		f = append(f, "not_available: ["+strings.Join(s, ", ")+"]")
	}
	f.numbers("range", pt.Range)
	f.numbers("plausible", pt.Plausible)
	f.numbers("clamp", pt.Clamp)
	if pt.Rollover != 0 {
		f = append(f, "rollover: "+number(pt.Rollover))
	}
	f.names("texts", pt.Texts)
	f.names("bits", pt.Bits)
	if pt.Every != 0 {
		f.word("every", pt.Every.String())
	}
	if pt.Report != Always {
		f.word("report", pt.Report.String())
		if pt.DeadBand != 0 {
			f = append(f, "dead_band: "+number(pt.DeadBand))
		}
		if pt.Heartbeat != 0 {
			f.word("heartbeat", pt.Heartbeat.String())
		}
	}
	if w := pt.Write; w != nil {
		var g flow
		for _, l := range []struct {
			key string
			v   *float64
		}{{"min", w.Min}, {"max", w.Max}} {
			if l.v != nil {
				g = append(g, l.key+": "+number(*l.v))
			}
		}
		if w.Step != 0 {
			g = append(g, "step: "+number(w.Step))
		}
		g.numbers("values", w.Values)
		if w.Multiple {
			g = append(g, "multiple: true")
		}
		f = append(f, "write: "+g.String())
	}
	if pt.Trend {
		f = append(f, "trend: true")
	}
	return f
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
