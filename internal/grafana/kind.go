package grafana

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Kind is a kind of asset: a measurement, with the points that any of its profiles has.
type Kind struct {
	Name   string // such as centrifugal_pump
	Points []Point
}

// Point is one of a kind, with the limits that rules have for it wherever the kind stands.
type Point struct {
	faultline.Point
	Limits []faultline.Limit
}

// Title of a kind as people read it.
func (k *Kind) Title() string {
	s := strings.ReplaceAll(k.Name, "_", " ")
	return strings.ToUpper(s[:1]) + s[1:]
}

// UID of a kind's dashboard.
func UID(kind string) string { return "faultline-" + strings.ReplaceAll(kind, "_", "-") }

// units are Grafana's names for units that it knows.
var units = map[string]string{
	"°C": "celsius", "K": "kelvin", "bar": "pressurebar", "mbar": "pressurembar", "kPa": "pressurekpa", "hPa": "pressurehpa",
	"A": "amp", "mA": "mamp", "V": "volt", "kV": "kvolt", "mV": "mvolt", "W": "watt", "kW": "kwatt", "MW": "megwatt", "Wh": "watth", "kWh": "kwatth",
	"VA": "voltamp", "kVA": "kvoltamp", "var": "voltampreact", "kvar": "kvoltampreact", "Hz": "hertz", "rpm": "rotrpm", "1/min": "rotrpm",
	"%": "percent", "s": "s", "min": "m", "h": "h", "d": "d", "l/min": "flowlpm", "L/min": "flowlpm", "Ω": "ohm", "ppm": "ppm", "m/s": "velocityms",
	"dB": "dB", "lx": "lux", "": "short",
}

// unitOf is Grafana's name for a unit; one that it does not know is written behind the number.
func unitOf(unit string) string {
	if u, ok := units[unit]; ok {
		return u
	}
	return "suffix: " + unit
}

const here = `WHERE $timeFilter AND "site" =~ /^$site$/ AND "position" =~ /^$position$/`

// quoted is an identifier in InfluxQL.
func quoted(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// kindDashboard shows the assets of one kind: signals with their limits, states, further values, forecasts,
// alarms and tickets.
func kindDashboard(k *Kind, console string) *Dashboard {
	d := newDashboard(UID(k.Name), k.Title(), "Assets of the kind "+k.Title()+", from its device profiles and rules.", console)
	m := quoted(k.Name)
	d.Templating.List = append(d.Templating.List,
		query("site", "Site", `SHOW TAG VALUES FROM `+m+` WITH KEY = "site"`),
		query("position", "Asset", `SHOW TAG VALUES FROM `+m+` WITH KEY = "position" WHERE "site" =~ /^$site$/`),
		query("rule", "Life rule", `SHOW TAG VALUES FROM "h1"."faultline_forecasts" WITH KEY = "rule" WHERE "position" =~ /^$position$/`),
		tier())
	d.Links = append(d.Links, link{Title: "Asset in Faultline", Type: "link", URL: "${console}/assets/${site}/${position}", TargetBlank: true})
	d.Annotations.List = append(d.Annotations.List,
		happened("Alarms", "red", "alarm", "raised", here),
		happened("Tickets", "blue", "ticket", "opened", here))

	var shown, states, rest []*Point
	for i := range k.Points {
		switch p := &k.Points[i]; {
		case p.Type == faultline.TypeString:
		case p.Type == faultline.TypeBool || len(p.Texts) > 0 && !p.Bits:
			states = append(states, p)
		case p.Trend || len(p.Limits) > 0:
			shown = append(shown, p)
		default:
			rest = append(rest, p)
		}
	}
	if len(shown) > 0 {
		d.row("Signals")
		for _, p := range shown {
			c := curves(p.title(), unitOf(p.Unit), p.about(), influxQL(p.mean(m), "$tag_position"))
			if len(p.Limits) > 0 {
				c.FieldConfig.Defaults.Thresholds = limits(p.Limits)
				c.FieldConfig.Defaults.Custom["thresholdsStyle"] = map[string]any{"mode": "dashed"}
			}
			d.add(12, 8, c)
		}
	}
	if len(states) > 0 {
		d.row("States")
		for _, p := range states {
			d.add(12, 6, p.states(m))
		}
	}
	if len(rest) > 0 {
		d.row("Further values")
		for _, group := range byUnit(rest) {
			var targets []target
			for _, p := range group {
				targets = append(targets, influxQL(p.mean(m), "$tag_position "+p.title()))
			}
			title := "Values without a unit"
			if u := group[0].Unit; u != "" {
				title = "Values in " + u
			}
			if len(group) == 1 {
				title = group[0].title()
			}
			d.add(12, 8, curves(title, unitOf(group[0].Unit), "", targets...))
		}
	}
	d.row("Alarms, tickets and forecasts")
	d.add(12, 8, list("What happened", "Alarms and tickets of these assets, the newest first.",
		influxTable(`SELECT "title", "text", "grade", "ref" FROM "h1"."faultline_events" `+here+` ORDER BY time DESC LIMIT 200`)))
	d.add(12, 8, forecasts())
	return d
}

func (p *Point) title() string {
	if p.Title != "" {
		return p.Title
	}
	return p.Name
}

// about names the point, and its limits.
func (p *Point) about() string {
	s := "Point " + p.Name + "."
	for _, l := range p.Limits {
		s += fmt.Sprintf(" %s at %s %s (%s).", l.Name, strconv.FormatFloat(l.Value, 'g', -1, 64), p.Unit, l.Severity)
	}
	return strings.ReplaceAll(s, "  ", " ")
}

// mean asks for the point's values.
func (p *Point) mean(measurement string) string {
	return `SELECT mean(` + quoted(p.Name) + `) FROM "$tier".` + measurement + ` ` + here + ` GROUP BY time($__interval), "position" fill(null)`
}

// states is a picture of which state the point was in when.
func (p *Point) states(measurement string) panel {
	c := panel{
		Type: "state-timeline", Title: p.title(), Description: p.about(),
		Targets:     []target{influxQL(`SELECT last(`+quoted(p.Name)+`) FROM "$tier".`+measurement+` `+here+` GROUP BY time($__interval), "position" fill(null)`, "$tag_position")},
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Custom: map[string]any{"fillOpacity": 70, "lineWidth": 0}}, Overrides: []override{}},
		Options:     map[string]any{"mergeValues": true, "showValue": "auto", "legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}},
	}
	values := make([]int64, 0, len(p.Texts))
	for v := range p.Texts {
		values = append(values, v)
	}
	slices.Sort(values)
	if len(values) > 0 {
		names := map[string]mapped{}
		for i, v := range values {
			names[strconv.FormatInt(v, 10)] = mapped{Text: p.Texts[v], Index: i}
		}
		c.FieldConfig.Defaults.Mappings = []mapping{{"value", names}}
	}
	return c
}

// limits are the colours between a point's limits.
func limits(list []faultline.Limit) *thresholds {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b faultline.Limit) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
	low := func(l faultline.Limit) bool { return strings.HasPrefix(l.Name, "low") }
	t := &thresholds{Mode: "absolute", Steps: []step{{Color: "green"}}}
	for i := range list {
		l := &list[i]
		if !low(*l) {
			t.Steps = append(t.Steps, step{colour(l.Severity), &l.Value})
			continue
		}
		// Below a low limit is its colour, above it that of the next low one, or green.
		t.Steps[len(t.Steps)-1].Color = colour(l.Severity)
		t.Steps = append(t.Steps, step{"green", &l.Value})
	}
	return t
}

func colour(s faultline.Severity) string {
	switch s {
	case faultline.SeverityCritical:
		return "dark-red"
	case faultline.SeverityWarning:
		return "orange"
	}
	return "yellow"
}

// byUnit groups points of one unit, in order of first appearance, no more than twelve in a group.
func byUnit(points []*Point) (out [][]*Point) {
	for _, p := range points {
		i := slices.IndexFunc(out, func(g []*Point) bool { return g[0].Unit == p.Unit && len(g) < 12 })
		if i < 0 {
			out = append(out, []*Point{p})
			continue
		}
		out[i] = append(out[i], p)
	}
	return out
}

// forecasts is the time that is left, by one rule, with its interval.
func forecasts() panel {
	q := func(field string) target {
		return influxQL(`SELECT last("`+field+`") FROM "h1"."faultline_forecasts" `+here+` AND "rule" =~ /^$rule$/ GROUP BY time($__interval) fill(none)`, field)
	}
	c := curves("Hours until the limit of $rule", "h", "What the rule forecasts: between p10 and p90 in 8 of 10 cases. Choose one asset.", q("p10"), q("p50"), q("p90"))
	c.Repeat = "rule"
	c.FieldConfig.Overrides = []override{
		{idValue{ID: "byName", Opt: "p90"}, []idValue{{ID: "custom.lineWidth", Value: 0}, {ID: "custom.fillOpacity", Value: 15}, {ID: "custom.fillBelowTo", Value: "p10"}}},
		{idValue{ID: "byName", Opt: "p10"}, []idValue{{ID: "custom.lineWidth", Value: 0}}},
	}
	return c
}
