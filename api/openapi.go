package api

import (
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// enums are the values of the domain's named strings.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[faultline.TicketKind]():       ticketKinds,
	reflect.TypeFor[faultline.Status]():           statuses,
	reflect.TypeFor[faultline.Priority]():         {"P1", "P2", "P3", "P4"},
	reflect.TypeFor[faultline.MaintenanceType]():  {"corrective", "predetermined", "condition_based"},
	reflect.TypeFor[faultline.AlarmState]():       {"NORM", "UNACK", "ACKED", "RTNUN", "SHLVD", "DSUPR", "OOSRV"},
	reflect.TypeFor[faultline.Severity]():         {"none", "advisory", "warning", "critical"},
	reflect.TypeFor[faultline.CoverageState]():    {"in_warranty", "in_contract", "statutory_to_confirm", "out", "unknown"},
	reflect.TypeFor[faultline.InspectionStatus](): {"planned", "due", "in_progress", "done", "skipped"},
	reflect.TypeFor[faultline.Type]():             {"none", "float", "int", "bool", "string"},
	reflect.TypeFor[AssetState]():                 assetStates,
	reflect.TypeFor[faultline.WriteStatus]():      {"pending", "sending", "written", "differs", "failed", "unknown", "refused", "withdrawn", "expired"},
	reflect.TypeFor[faultline.NE107]():            {"failure", "check_function", "out_of_specification", "maintenance_required", "good", ""},
}

// schemas collects the named types that a document refers to.
type schemas map[string]any

// openAPI makes the OpenAPI 3.1 document of the routes.
func openAPI(routes []route, version string) map[string]any {
	known := schemas{}
	paths := map[string]map[string]any{}
	problem := map[string]any{"description": "what is wrong, and what is allowed or missing", "content": map[string]any{
		mediaProblem: map[string]any{"schema": known.of(reflect.TypeFor[Problem]())}}}
	for i := range routes {
		r := &routes[i]
		path := documentPath(r.path)
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = known.operation(r, problem)
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Faultline", "version": version,
			"description": "Remote monitoring and predictive maintenance: assets, alarms, tickets. Times are RFC 3339 in UTC. " +
				"Durations named in nanoseconds are integers. Unknown fields and parameters are refused.",
		},
		"paths":      paths,
		"components": map[string]any{"schemas": map[string]any(known)},
	}
}

// documentPath writes /tickets/:id as /tickets/{id}.
func documentPath(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		if n, ok := strings.CutPrefix(s, ":"); ok {
			parts[i] = "{" + n + "}"
		}
	}
	return strings.Join(parts, "/")
}

func (k schemas) operation(r *route, problem any) map[string]any {
	op := map[string]any{"summary": r.summary, "tags": []string{r.tag}, "x-role": string(r.role), "x-roles": grants[r.role], "operationId": operationID(r)}
	var params []any
	for _, n := range r.pathParams() {
		params = append(params, map[string]any{"name": n, "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, p := range r.params {
		schema := map[string]any{"type": "string"}
		switch p.kind {
		case "integer", "boolean":
			schema["type"] = p.kind
		case "date-time":
			schema["format"] = p.kind
		}
		if len(p.values) > 0 {
			schema["enum"] = p.values
		}
		params = append(params, map[string]any{"name": p.name, "in": "query", "description": p.about, "schema": schema})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.request != nil {
		op["requestBody"] = map[string]any{"required": true, "content": map[string]any{mediaJSON: map[string]any{"schema": k.of(reflect.TypeOf(r.request))}}}
	}
	if r.upload {
		op["requestBody"] = map[string]any{"required": true, "content": map[string]any{mediaFile: map[string]any{"schema": map[string]any{"type": "string", "format": "binary"}}}}
	}
	ok := map[string]any{"description": "as asked"}
	media, schema := r.media, map[string]any{"type": "string"}
	if media == "" {
		media, schema = mediaJSON, k.of(reflect.TypeOf(r.response))
	}
	ok["content"] = map[string]any{media: map[string]any{"schema": schema}}
	answers := map[string]any{"200": ok, "default": problem}
	if r.accepts202 {
		answers["202"] = map[string]any{"description": "taken; the result is still to come", "content": ok["content"]}
	}
	if r.path == "/readyz" {
		answers[strconv.Itoa(http.StatusServiceUnavailable)] = map[string]any{"description": "a part does not answer", "content": ok["content"]}
	}
	op["responses"] = answers
	return op
}

func operationID(r *route) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(r.method))
	for _, p := range strings.FieldsFunc(strings.TrimPrefix(r.path, base), func(c rune) bool { return c == '/' || c == '-' || c == '.' }) {
		p = strings.TrimPrefix(p, ":")
		b.WriteString(strings.ToUpper(p[:1]) + p[1:])
	}
	return b.String()
}

// of gives the schema of a type: a reference for named structs, whose schema it collects.
func (k schemas) of(t reflect.Type) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	if t.Kind() == reflect.Pointer {
		inner := k.of(t.Elem())
		if kind, ok := inner["type"].(string); ok {
			inner["type"] = []string{kind, "null"}
		}
		return inner
	}
	if values, ok := enums[t]; ok {
		return map[string]any{"type": "string", "enum": values}
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{} // any value
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "description": "nanoseconds"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": k.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": k.of(t.Elem())}
	case reflect.Struct:
		name := schemaName(t)
		if _, ok := k[name]; !ok {
			k[name] = nil // stops recursion
			k[name] = k.object(t)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	return map[string]any{} // any value
}

// shown are the API's own types that are named like the domain's, which they enrich.
var shown = map[string]bool{"Asset": true, "Point": true, "Alarm": true, "Ticket": true, "Gateway": true, "Inspection": true}

// schemaName of Page[api.Ticket] is PageTicket; the domain's Point, beside the API's, is BarePoint.
func schemaName(t reflect.Type) string {
	outer, inner, generic := strings.Cut(t.Name(), "[")
	if !generic {
		if shown[outer] && t.PkgPath() == reflect.TypeFor[faultline.Ticket]().PkgPath() {
			return "Bare" + outer
		}
		return outer
	}
	inner = strings.TrimSuffix(inner, "]")
	return outer + inner[strings.LastIndexByte(inner, '.')+1:]
}

func (k schemas) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	k.fields(t, properties, &required)
	o := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		o["required"] = slices.Compact(required)
	}
	return o
}

// fields lists a struct's fields, those of embedded structs first so that an outer field wins.
func (k schemas) fields(t reflect.Type, into map[string]any, required *[]string) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.Tag.Get("json") == "" {
			k.fields(f.Type, into, required)
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		schema := k.of(f.Type)
		if about := f.Tag.Get("about"); about != "" {
			schema["description"] = about
		}
		into[name] = schema
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}
