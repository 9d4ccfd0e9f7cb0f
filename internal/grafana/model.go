// Package grafana makes Grafana dashboards of what Faultline knows: one for each kind of asset, from its device
// profiles and rules, and those of the product itself. The same knowledge makes the same bytes. The JSON is
// Grafana's dashboard model as version 10 reads it (schemaVersion 38).
package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Variables that choose the data sources.
const (
	influx     = "${influx}"
	prometheus = "${prometheus}"
)

// Dashboard is one, to be written as JSON.
type Dashboard struct {
	UID           string      `json:"uid"`
	Title         string      `json:"title"`
	Description   string      `json:"description"`
	Tags          []string    `json:"tags"`
	SchemaVersion int         `json:"schemaVersion"`
	Editable      bool        `json:"editable"`
	GraphTooltip  int         `json:"graphTooltip"` // 1: one crosshair in all panels
	Refresh       string      `json:"refresh"`
	Time          span        `json:"time"`
	Timezone      string      `json:"timezone"`
	Annotations   annotations `json:"annotations"`
	Links         []link      `json:"links"`
	Templating    templating  `json:"templating"`
	Panels        []panel     `json:"panels"`

	x, y, high int // where the next panel goes
}

type span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

var (
	fromInflux     = &source{"influxdb", influx}
	fromPrometheus = &source{"prometheus", prometheus}
)

type annotations struct {
	List []annotation `json:"list"`
}

type annotation struct {
	Name       string  `json:"name"`
	Enable     bool    `json:"enable"`
	IconColor  string  `json:"iconColor"`
	Datasource *source `json:"datasource"`
	Query      string  `json:"query"`
	Title      string  `json:"titleColumn"`
	Text       string  `json:"textColumn"`
	Tags       string  `json:"tagsColumn"`
}

type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type,omitempty"`
	URL         string   `json:"url,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	AsDropdown  bool     `json:"asDropdown,omitempty"`
	KeepTime    bool     `json:"keepTime,omitempty"`
	TargetBlank bool     `json:"targetBlank,omitempty"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name       string  `json:"name"`
	Label      string  `json:"label"`
	Type       string  `json:"type"`
	Query      string  `json:"query"`
	Datasource *source `json:"datasource,omitempty"`
	Definition string  `json:"definition,omitempty"`
	Refresh    int     `json:"refresh,omitempty"` // 1: when loaded, 2: when the time changes
	Sort       int     `json:"sort,omitempty"`
	Multi      bool    `json:"multi,omitempty"`
	IncludeAll bool    `json:"includeAll,omitempty"`
	AllValue   string  `json:"allValue,omitempty"`
	Hide       int     `json:"hide,omitempty"` // 2: altogether
	Current    *chosen `json:"current,omitempty"`
}

type chosen struct {
	Text  string `json:"text"`
	Value string `json:"value"`
}

type grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type panel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	GridPos     grid           `json:"gridPos"`
	Datasource  *source        `json:"datasource,omitempty"`
	Targets     []target       `json:"targets,omitempty"`
	FieldConfig *fieldConfig   `json:"fieldConfig,omitempty"`
	Options     map[string]any `json:"options,omitempty"`
	Collapsed   *bool          `json:"collapsed,omitempty"` // of rows
	Repeat      string         `json:"repeat,omitempty"`    // for each value of this variable
}

type target struct {
	RefID        string  `json:"refId"`
	Datasource   *source `json:"datasource"`
	RawQuery     bool    `json:"rawQuery,omitempty"`
	Query        string  `json:"query,omitempty"`
	ResultFormat string  `json:"resultFormat,omitempty"`
	Alias        string  `json:"alias,omitempty"`
	Expr         string  `json:"expr,omitempty"`
	LegendFormat string  `json:"legendFormat,omitempty"`
	Instant      bool    `json:"instant,omitempty"`
	Format       string  `json:"format,omitempty"`
}

type fieldConfig struct {
	Defaults  fieldDefaults `json:"defaults"`
	Overrides []override    `json:"overrides"`
}

type fieldDefaults struct {
	Unit       string         `json:"unit,omitempty"`
	Mappings   []mapping      `json:"mappings,omitempty"`
	Thresholds *thresholds    `json:"thresholds,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type override struct {
	Matcher    idValue   `json:"matcher"`
	Properties []idValue `json:"properties"`
}

type idValue struct {
	ID    string `json:"id"`
	Value any    `json:"value,omitempty"`
	Opt   any    `json:"options,omitempty"`
}

type mapping struct {
	Type    string            `json:"type"`
	Options map[string]mapped `json:"options"`
}

type mapped struct {
	Text  string `json:"text"`
	Color string `json:"color,omitempty"`
	Index int    `json:"index"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"` // nil: from the beginning
}

// JSON is the dashboard as Grafana reads it.
func (d *Dashboard) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		panic(fmt.Sprintf("a dashboard is no JSON: %v", err)) // it is made of strings and numbers
	}
	return b.Bytes()
}

const width = 24 // columns of a dashboard

// row begins a section.
func (d *Dashboard) row(title string) {
	open := false
	d.newLine()
	d.Panels = append(d.Panels, panel{ID: len(d.Panels) + 1, Type: "row", Title: title, GridPos: grid{1, width, 0, d.y}, Collapsed: &open})
	d.y++
}

func (d *Dashboard) newLine() {
	if d.x > 0 {
		d.x, d.y, d.high = 0, d.y+d.high, 0
	}
}

// add puts a panel of w columns and h rows where there is room next.
func (d *Dashboard) add(w, h int, p panel) {
	if d.x+w > width {
		d.newLine()
	}
	p.ID, p.GridPos = len(d.Panels)+1, grid{h, w, d.x, d.y}
	d.x, d.high = d.x+w, max(d.high, h)
	for i := range p.Targets {
		p.Targets[i].RefID = string(rune('A' + i))
	}
	if len(p.Targets) > 0 {
		p.Datasource = p.Targets[0].Datasource
	}
	d.Panels = append(d.Panels, p)
}

func influxQL(query, alias string) target {
	return target{Datasource: fromInflux, RawQuery: true, Query: query, ResultFormat: "time_series", Alias: alias}
}

func influxTable(query string) target {
	return target{Datasource: fromInflux, RawQuery: true, Query: query, ResultFormat: "table"}
}

func promQL(expr, legend string) target {
	return target{Datasource: fromPrometheus, Expr: expr, LegendFormat: legend}
}

// curves is a panel of values over time.
func curves(title, unit, description string, targets ...target) panel {
	return panel{
		Type: "timeseries", Title: title, Description: description, Targets: targets,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unit, Custom: map[string]any{"lineWidth": 1, "fillOpacity": 0, "showPoints": "auto", "spanNulls": false}}, Overrides: []override{}},
		Options:     map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": map[string]any{"mode": "multi", "sort": "desc"}},
	}
}

// bars is a panel of counts.
func bars(title, description string, targets ...target) panel {
	p := curves(title, "short", description, targets...)
	p.FieldConfig.Defaults.Custom = map[string]any{"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0, "stacking": map[string]any{"mode": "normal", "group": "A"}}
	return p
}

// number is a panel of one figure.
func number(title, unit, description, calc string, targets ...target) panel {
	return panel{
		Type: "stat", Title: title, Description: description, Targets: targets,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unit}, Overrides: []override{}},
		Options:     map[string]any{"reduceOptions": map[string]any{"calcs": []string{calc}, "fields": "", "values": false}, "colorMode": "value", "graphMode": "area", "textMode": "auto"},
	}
}

// list is a panel of rows.
func list(title, description string, targets ...target) panel {
	return panel{
		Type: "table", Title: title, Description: description, Targets: targets,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{}, Overrides: []override{}},
		Options:     map[string]any{"showHeader": true, "sortBy": []any{}},
	}
}
