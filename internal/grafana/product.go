package grafana

import "fmt"

// Dashboards makes all of them: of each kind, and of the product. Console is where browsers find Faultline's
// console, such as https://faultline.example; links go there.
func Dashboards(kinds []Kind, console string) []*Dashboard {
	out := []*Dashboard{fleet(console), alarmKPIs(console), tickets(console), systemChecks(console), dataHealth(console), program(console)}
	for i := range kinds {
		out = append(out, kindDashboard(&kinds[i], console))
	}
	return out
}

// newDashboard is one without panels, with the data sources to choose from.
func newDashboard(uid, title, description, console string) *Dashboard {
	return &Dashboard{
		UID: uid, Title: "Faultline: " + title, Description: description, Tags: []string{"faultline"}, SchemaVersion: 38, Editable: true, GraphTooltip: 1,
		Refresh: "30s", Time: span{"now-6h", "now"}, Timezone: "browser",
		Annotations: annotations{List: []annotation{}},
		Links:       []link{{Title: "Faultline", Type: "dashboards", Tags: []string{"faultline"}, AsDropdown: true, KeepTime: true}},
		Templating: templating{List: []variable{
			{Name: "influx", Label: "Readings", Type: "datasource", Query: "influxdb", Refresh: 1},
			{Name: "prometheus", Label: "Metrics", Type: "datasource", Query: "prometheus", Refresh: 1},
			{Name: "console", Label: "Console", Type: "constant", Query: console, Hide: 2, Current: &chosen{console, console}},
		}},
	}
}

// query is a variable whose values are asked of InfluxDB.
func query(name, label, q string) variable {
	return variable{Name: name, Label: label, Type: "query", Query: q, Definition: q, Datasource: fromInflux, Refresh: 2, Sort: 1, Multi: true, IncludeAll: true, AllValue: ".*"}
}

// tier is the retention policy that fits the time shown: the finest that still has its beginning and does not
// have too many values in it.
func tier() variable {
	q := `SELECT "policy" FROM "h1"."faultline_tiers" WHERE "upto" >= $__to - $__from AND "since" <= $__from ORDER BY time DESC LIMIT 1`
	return variable{Name: "tier", Label: "Resolution", Type: "query", Query: q, Definition: q, Datasource: fromInflux, Refresh: 2}
}

// happened is an annotation from events.
func happened(name, color, of, event, where string) annotation {
	return annotation{
		Name: name, Enable: true, IconColor: color, Datasource: fromInflux, Title: "title", Text: "text", Tags: "tags",
		Query: fmt.Sprintf(`SELECT "title", "text", "tags" FROM "h1"."faultline_events" %s AND "source" = '%s' AND "event" = '%s'`, where, of, event),
	}
}

const atSite = `WHERE $timeFilter AND "site" =~ /^$site$/`

func sites() variable {
	return query("site", "Site", `SHOW TAG VALUES FROM "h1"."faultline_events" WITH KEY = "site"`)
}

// counted asks how many events there were in each step.
func counted(where, by, alias string) target {
	return influxQL(`SELECT count("id") FROM "h1"."faultline_events" `+atSite+` AND `+where+` GROUP BY time($__interval)`+by+` fill(0)`, alias)
}

// total asks how many events there were.
func total(where, by, alias string) target {
	return influxQL(`SELECT count("id") FROM "h1"."faultline_events" `+atSite+` AND `+where+by, alias)
}

const (
	raised = `"source" = 'alarm' AND "event" = 'raised'`
	opened = `"source" = 'ticket' AND "event" = 'opened'`
)

func fleet(console string) *Dashboard {
	d := newDashboard("faultline-fleet", "Fleet", "All sites: what was reported, what is wrong, who works on it.", console)
	d.Templating.List = append(d.Templating.List, sites())
	d.Annotations.List = append(d.Annotations.List, happened("Tickets", "blue", "ticket", "opened", atSite))
	d.add(6, 5, number("Alarms raised", "short", "In the time shown.", "sum", total(raised, "", "alarms")))
	d.add(6, 5, number("Tickets opened", "short", "In the time shown.", "sum", total(opened, "", "tickets")))
	d.add(6, 5, number("Devices that answer", "percentunit", "Share of the devices that the gateways poll.", "lastNotNull", promQL(`sum(faultline_gateway_device_up) / count(faultline_gateway_device_up)`, "answering")))
	d.add(6, 5, number("Samples", "short", "Taken at the gateways, a second.", "lastNotNull", promQL(`sum(rate(faultline_gateway_samples_total[5m]))`, "samples a second")))
	d.add(12, 9, bars("Alarms by site", "", counted(raised, `, "site"`, "$tag_site")))
	d.add(12, 9, bars("Tickets by kind", "", counted(opened, `, "of"`, "$tag_of")))
	d.add(24, 10, list("What happened", "The newest 200 alarms and tickets.",
		influxTable(`SELECT "title", "site", "position", "grade", "ref" FROM "h1"."faultline_events" `+atSite+` AND ("event" = 'raised' OR "event" = 'opened') ORDER BY time DESC LIMIT 200`)))
	return d
}

func alarmKPIs(console string) *Dashboard {
	d := newDashboard("faultline-alarms", "Alarms", "The alarm system as EEMUA 191 and ISA-18.2 look at it: how many, which, and from where.", console)
	d.Time.From = "now-7d"
	d.Templating.List = append(d.Templating.List, sites())
	d.add(24, 8, bars("Alarms raised", "A person can deal with about one in ten minutes.", counted(raised, "", "raised")))
	d.add(12, 10, list("By rule", "The worst actors: most alarms come from few rules.", influxTable(`SELECT count("id") AS "alarms" FROM "h1"."faultline_events" `+atSite+` AND `+raised+` GROUP BY "of"`)))
	d.add(12, 10, list("By asset", "", influxTable(`SELECT count("id") AS "alarms" FROM "h1"."faultline_events" `+atSite+` AND `+raised+` GROUP BY "site", "position"`)))
	d.add(12, 8, bars("Transitions", "Raised, cleared, acknowledged and so on.", counted(`"source" = 'alarm'`, `, "event"`, "$tag_event")))
	d.add(12, 8, curves("Transitions a second", "short", "As the rules engine counts them.", promQL(`sum by (transition) (rate(faultline_rules_transitions_total[15m]))`, "{{transition}}")))
	return d
}

func tickets(console string) *Dashboard {
	d := newDashboard("faultline-tickets", "Tickets and service levels", "What the desk got, and how its clocks stand.", console)
	d.Time.From = "now-30d"
	d.Templating.List = append(d.Templating.List, sites())
	ref := func(p panel) panel {
		p.FieldConfig.Overrides = []override{{idValue{ID: "byName", Opt: "ref"}, []idValue{{ID: "links", Value: []link{{Title: "Open in Faultline", URL: "${console}/tickets/${__value.raw}", TargetBlank: true}}}}}}
		return p
	}
	d.add(12, 8, bars("Opened, by kind", "", counted(opened, `, "of"`, "$tag_of")))
	d.add(12, 8, bars("What was done", "Lines of the tickets' histories, without comments.", counted(`"source" = 'ticket'`, `, "event"`, "$tag_event")))
	d.add(24, 8, bars("Clocks that warned or escalated", "A warning at 75 % and at 100 % of a clock's time; at 100 % the time was missed.", counted(`("event" = 'warning' OR "event" = 'escalated' OR "event" = 'opened') AND "source" = 'ticket'`, `, "event"`, "$tag_event")))
	d.add(24, 12, ref(list("Tickets", "The newest 200.", influxTable(`SELECT "ref", "title", "grade", "site", "position", "of" FROM "h1"."faultline_events" `+atSite+` AND `+opened+` ORDER BY time DESC LIMIT 200`))))
	return d
}

func systemChecks(console string) *Dashboard {
	d := newDashboard("faultline-checks", "Inspections and system checks", "Preventive work that the software has asked for.", console)
	d.Time.From = "now-90d"
	d.Templating.List = append(d.Templating.List, sites())
	of := `"source" = 'ticket' AND "of" = 'inspection'`
	d.add(8, 6, number("Asked for", "short", "Inspection tickets opened in the time shown.", "sum", total(of+` AND "event" = 'opened'`, "", "inspections")))
	d.add(16, 6, bars("What happened to them", "", counted(of, `, "event"`, "$tag_event")))
	d.add(24, 12, list("Inspections", "The newest 200.", influxTable(`SELECT "ref", "title", "site", "position" FROM "h1"."faultline_events" `+atSite+` AND `+of+` AND "event" = 'opened' ORDER BY time DESC LIMIT 200`)))
	return d
}

func dataHealth(console string) *Dashboard {
	d := newDashboard("faultline-data", "Gateways and loss ledger", "Whether every sample arrived, and what became of those that did not.", console)
	d.Templating.List = append(d.Templating.List, query("site", "Site", `SHOW TAG VALUES FROM "faultline_ledger" WITH KEY = "site"`))
	state := func(s string) target {
		return influxQL(`SELECT last("`+s+`") FROM "faultline_ledger" `+atSite+` GROUP BY time($__interval), "gateway" fill(none)`, "$tag_gateway "+s)
	}
	d.row("Loss ledger")
	d.add(12, 8, curves("Delivered", "short", "Frames of each gateway's present epoch.", state("delivered")))
	d.add(12, 8, curves("Missing, dropped, duplicate, dead", "short", "Any of these above 0 is explained on the page Data of the console.", state("missing"), state("dropped"), state("duplicate"), state("dead")))
	d.add(24, 8, list("Now", "", promTable(`sum by (site, gateway, state) (faultline_ingest_ledger_frames)`)))
	d.row("Gateways")
	d.add(12, 8, curves("Samples by quality", "short", "A second.", promQL(`sum by (quality) (rate(faultline_gateway_samples_total[5m]))`, "{{quality}}")))
	d.add(12, 8, curves("Devices that do not answer", "short", "", promQL(`count(faultline_gateway_device_up == 0) or vector(0)`, "silent")))
	d.add(12, 8, curves("Modbus polls", "short", "A second, by outcome.", promQL(`sum by (result) (rate(faultline_gateway_modbus_polls_total[5m]))`, "{{result}}")))
	d.add(12, 8, curves("Time of a poll", "s", "95 of 100 are faster.", promQL(`histogram_quantile(0.95, sum by (le) (rate(faultline_gateway_modbus_poll_duration_seconds_bucket[5m])))`, "p95")))
	d.row("On the way")
	d.add(12, 8, curves("Held in streams", "bytes", "What a gateway or the hub has stored.", promQL(`faultline_bus_stream_bytes`, "{{stream}}")))
	d.add(12, 8, curves("Behind", "s", "Age of what ingest and rules work on.", promQL(`max by (partition) (faultline_ingest_lag_seconds)`, "ingest {{partition}}"), promQL(`max(faultline_rules_lag_seconds)`, "rules")))
	return d
}

func program(console string) *Dashboard {
	d := newDashboard("faultline-program", "The program", "Faultline's own work: ingest, rules, API.", console)
	d.add(12, 8, curves("Frames dealt with", "short", "A second, by what became of them.", promQL(`sum by (outcome) (rate(faultline_ingest_frames_total[5m]))`, "ingest {{outcome}}"), promQL(`sum by (outcome) (rate(faultline_rules_frames_total[5m]))`, "rules {{outcome}}")))
	d.add(12, 8, curves("Evaluations", "short", "Samples that were shown to rules, a second.", promQL(`sum(rate(faultline_rules_evaluations_total[5m]))`, "evaluations")))
	d.add(12, 8, curves("Retries", "short", "A second, by what was tried again.", promQL(`sum by (what) (rate(faultline_ingest_retries_total[5m]))`, "ingest {{what}}"), promQL(`sum by (what) (rate(faultline_rules_retries_total[5m]))`, "rules {{what}}")))
	d.add(12, 8, curves("Hours that wait to be condensed", "short", "Near 0.", promQL(`sum(faultline_tiers_due)`, "due")))
	d.add(12, 8, curves("Requests to the API", "short", "A second, by class of answer.", promQL(`sum by (class) (rate(faultline_api_requests_total[5m]))`, "{{class}}")))
	d.add(12, 8, curves("Memory", "bytes", "", promQL(`process_resident_memory_bytes`, "{{instance}}")))
	return d
}

func promTable(expr string) target {
	t := promQL(expr, "")
	t.Instant, t.Format = true, "table"
	return t
}
