package equipment

import (
	"fmt"
	"strings"
)

// Tables renders the register maps, payloads and fault effects of every kind as Markdown:
// the contract that device profiles and rules are written from. The README holds it word for word.
func Tables() string {
	var b strings.Builder
	b.WriteString("### Faults\n\n| Fault | Applies to | What it is |\n|---|---|---|\n")
	for i := range faultSpecs {
		s := &faultSpecs[i]
		var on []string
		for _, k := range kinds {
			if s.appliesTo(k) {
				on = append(on, k.name)
			}
		}
		who := strings.Join(on, ", ")
		if len(on) == len(kinds) {
			who = "all"
		}
		name := string(s.fault)
		if s.point {
			name += " (with `point`)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, who, s.doc)
	}
	for _, k := range kinds {
		k.table(&b)
	}
	return b.String()
}

func (k *kind) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n### `%s`: %s, %s\n\n", k.name, k.title, k.model)
	if k.protocol == ProtocolModbus {
		fmt.Fprintf(b, "Modbus TCP. Values of several registers in order **%s**. Addresses are zero-based protocol addresses.\n\n", k.order)
		b.WriteString("| Table | Address | Point | Type | Scale | Unit | Normal | Open sensor | What |\n|---|---|---|---|---|---|---|---|---|\n")
		for _, p := range k.points {
			fmt.Fprintf(b, "| %s | %s | `%s` | %s | %s | %s | %s | %s | %s |\n",
				p.Table, p.addresses(), p.Name, p.typeDoc(), p.scaleDoc(), p.Unit, p.normal(), k.openDoc(p), p.doc())
		}
	} else {
		timeForm := "RFC 3339, milliseconds, UTC"
		if k.timeMillis {
			timeForm = "integer milliseconds since 1970"
		}
		fmt.Fprintf(b, "MQTT, JSON. Besides the points: `%s` device time (%s), `%s` message counter (from 1, +1 a message, repeated on redelivery), `%s` serial number (text).\n\n",
			k.timeField, timeForm, k.countField, k.nameField)
		b.WriteString("| Path | Point | Type | Resolution | Unit | Normal | Open sensor | What |\n|---|---|---|---|---|---|---|---|\n")
		for _, p := range k.points {
			fmt.Fprintf(b, "| `%s` | `%s` | %s | %s | %s | %s | %s | %s |\n",
				p.Path, p.Name, p.Type, p.scaleDoc(), p.Unit, p.normal(), k.openDoc(p), p.doc())
		}
	}
	b.WriteString("\n| Fault at severity 1 | Point | Passes | At the latest | Change |\n|---|---|---|---|---|\n")
	for _, e := range k.effects {
		way := "above"
		if !e.Above {
			way = "below"
		}
		when := fmt.Sprintf("%.0f %% of the ramp", e.By*100)
		if e.After > 0 {
			when = fmt.Sprintf("%.0f s after the ramp", e.After)
		}
		fmt.Fprintf(b, "| %s | `%s` | %s %s | %s | %s |\n", e.Fault, e.Point, way, decimal(e.Limit), when, e.Doc)
	}
}

func (p Point) addresses() string {
	if n := p.Size(); n > 1 {
		return fmt.Sprintf("%d–%d", p.Address, int(p.Address)+n-1)
	}
	return fmt.Sprint(p.Address)
}

func (p Point) typeDoc() string {
	if p.Type == String {
		return fmt.Sprintf("ASCII[%d]", 2*p.Words)
	}
	return string(p.Type)
}

func (p Point) scaleDoc() string {
	if p.static() || p.Enum != nil || p.Bits != nil || p.Type == Bool || p.Type == Float32 || p.Type == Float64 {
		return ""
	}
	return decimal(p.scale())
}

func (p Point) normal() string {
	switch {
	case p.static():
		return ""
	case p.Counter:
		return "rises"
	case p.Bits != nil && p.High == 0:
		return "0"
	case p.Low == p.High:
		return decimal(p.Low)
	}
	return decimal(p.Low) + " … " + decimal(p.High)
}

func (p Point) doc() string {
	parts := []string{}
	if p.Doc != "" {
		parts = append(parts, p.Doc)
	}
	for _, l := range []struct {
		name string
		list []string
	}{{"bits", p.Bits}, {"values", p.Enum}} {
		name, list := l.name, l.list
		if list == nil {
			continue
		}
		named := make([]string, len(list))
		for i, n := range list {
			named[i] = fmt.Sprintf("%d `%s`", i, n)
		}
		if p.Type == Text {
			named = list
		}
		parts = append(parts, name+": "+strings.Join(named, ", "))
	}
	if p.Writable {
		parts = append(parts, "writable in the range given")
	}
	return strings.Join(parts, "; ")
}
