package api

import (
	"net/http"
	"slices"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet"
)

// param is a query parameter of a route.
type param struct {
	name, about string
	kind        string   // "string", "integer", "boolean" or "date-time"
	values      []string // allowed ones, if there are few
}

// route is one line of the table: routing, access and the OpenAPI document are made from it.
type route struct {
	method, path string // path as gin writes it: /tickets/:id
	summary      string
	tag          string
	role         right
	whole        bool // it is about all sites together: not for one who sees only some
	params       []param
	request      any    // a zero value of the body's type; nil for none
	response     any    // a zero value of the answer's type
	upload       bool   // the body is a file, up to sheet.MaxBytes, instead of JSON
	accepts202   bool   // a durable command may still be pending
	media        string // of the answer; "" is application/json
	slow         bool   // streams: no time limit
	secret       bool   // the body holds a password: not even its digest is kept
	handle       func(*call) (any, error)
}

// base is the path of the API.
const base = "/api/v1"

const (
	tagAssets  = "assets"
	tagAlarms  = "alarms"
	tagTickets = "tickets"
	tagPlans   = "inspections, rules and contracts"
	tagData    = "data"
	tagLive    = "live"
	tagPeople  = "people"
	tagServer  = "server"
)

var (
	siteParam        = param{name: "site", about: "only this site"}
	positionParam    = param{name: "position", about: "only this position"}
	limitParam       = param{name: "limit", about: "rows of the page, at most 500", kind: "integer"}
	daysParam        = param{name: "days", about: "until now, at most 366; 30 unless given", kind: "integer"}
	evaluationParams = []param{{name: "by", about: "what groups are; site unless given", values: evaluationGroups}, siteParam, {name: "from", about: "beginning; days before to unless given", kind: "date-time"},
		{name: "to", about: "end; now unless given", kind: "date-time"}, daysParam, {name: "made_up", about: "of demonstration history instead of what happened", kind: "boolean"}}
	offsetParam = param{name: "offset", about: "rows to skip", kind: "integer"}
)

// hush marks a route whose body holds a password.
func hush(r route) route { r.secret = true; return r }

// apiRoutes is the table of the API.
func (s *Server) apiRoutes() []route {
	get := func(path, tag, summary string, response any, handle func(*call) (any, error), params ...param) route {
		return route{method: http.MethodGet, path: base + path, tag: tag, summary: summary, role: viewer, response: response, handle: handle, params: params}
	}
	own := func(path, tag, summary string, response any, handle func(*call) (any, error), params ...param) route {
		r := get(path, tag, summary, response, handle, params...)
		r.role = customer // they see it of their own assets
		return r
	}
	post := func(path, tag, summary string, request, response any, handle func(*call) (any, error)) route {
		return route{method: http.MethodPost, path: base + path, tag: tag, summary: summary, role: admin, request: request, response: response, handle: handle}
	}
	command := func(r route) route { r.accepts202 = true; return r }
	by := func(who right, r route) route { r.role = who; return r }
	media := func(r route, m string) route { r.media = m; return r }

	return append(slices.Concat(s.ruleRoutes(), s.peopleRoutes(), s.registerRoutes()), []route{
		own("/sites", tagAssets, "Sites", Page[faultline.Site]{}, s.listSites),
		own("/assets", tagAssets, "Positions with the asset standing there, its state and coverage", Page[Asset]{}, s.listAssets,
			siteParam, param{name: "kind", about: "only this asset kind"}, param{name: "state", about: "only assets in this state", values: assetStates},
			param{name: "text", about: "part of the position, name, serial number or model"}, limitParam, offsetParam),
		own("/assets/:site/:position", tagAssets, "One asset", Asset{}, s.getAsset),
		own("/assets/:site/:position/points", tagAssets, "Points with their latest value, quality and age", Page[Point]{}, s.listPoints),
		own("/assets/:site/:position/forecasts", tagAssets, "How long until points that degrade reach their limits, in hours, or why there is no forecast; the newest of each rule", Page[faultline.Forecast]{}, s.listForecasts),
		own("/assets/:site/:position/series", tagAssets, "Values over time, down-sampled where there are many", History{}, s.getSeries,
			param{name: "from", about: "beginning; one hour before to unless given", kind: "date-time"}, param{name: "to", about: "end; now unless given", kind: "date-time"},
			param{name: "points", about: "names, separated by commas; those shown as trends unless given"}, param{name: "max", about: "samples per point, at most 5000", kind: "integer"}),
		media(own("/assets/:site/:position/points/:point/picture.svg", tagAssets, "Picture of one point with its limits", nil, s.pointPicture,
			param{name: "range", about: "time shown", values: rangeNames}, param{name: "width", about: "px", kind: "integer"}), mediaSVG),
		by(engineer, command(post("/assets/:site/:position/test-alarm", tagAssets, "Raise a marked test ticket, which figures leave out", TestAlarm{}, Result{}, s.postTestAlarm))),
		by(operator, command(post("/assets/:site/:position/out-of-service", tagAssets, "Take all alarms of a position out of service for a while", Until{}, Result{}, s.postUntil("out-of-service")))),
		by(operator, command(post("/assets/:site/:position/return", tagAssets, "Return a position to service", End{}, Result{}, s.postEnd("return")))),

		by(engineer, command(post("/assets/:site/:position/points/:point/write", tagAssets, "Write a setpoint: only points that the profile marks and the gateway allows, at once or after a second person's approval (202)", AskWrite{}, faultline.Write{}, s.postWrite))),
		get("/writes", tagAssets, "Writes of setpoints, those that wait first, then the newest", Page[faultline.Write]{}, s.listWrites, siteParam, positionParam,
			param{name: "open", about: "only those that are not at their end", kind: "boolean"}, limitParam, offsetParam),
		get("/writes/:id", tagAssets, "One write", faultline.Write{}, s.getWrite),
		get("/writes/:id/events", tagAssets, "History of a write, oldest first", Page[faultline.WriteEvent]{}, s.listWriteEvents),
		by(engineer, post("/writes/:id/approve", tagAssets, "Approve a write that waits, which is then sent; not by who asked for it", DecideWrite{}, faultline.Write{}, s.postDecision(faultline.WriteSending))),
		by(engineer, post("/writes/:id/refuse", tagAssets, "Refuse a write that waits", DecideWrite{}, faultline.Write{}, s.postDecision(faultline.WriteRefused))),
		by(engineer, post("/writes/:id/withdraw", tagAssets, "Withdraw a write that one has asked for", DecideWrite{}, faultline.Write{}, s.postDecision(faultline.WriteWithdrawn))),

		own("/alarms", tagAlarms, "Alarms", Page[Alarm]{}, s.listAlarms, siteParam, positionParam,
			param{name: "open", about: "only those that are not back to normal", kind: "boolean"}, param{name: "state", about: "only those in this state", values: alarmStates}, limitParam, offsetParam),
		own("/alarms/:site/:position/:rule", tagAlarms, "One alarm", Alarm{}, s.getAlarm),
		own("/alarms/:site/:position/:rule/events", tagAlarms, "History of one alarm, newest first", Page[faultline.AlarmEvent]{}, s.listAlarmEvents, limitParam),
		by(operator, command(post("/alarms/:site/:position/:rule/acknowledge", tagAlarms, "Acknowledge an alarm", Acknowledge{}, Result{}, s.postAcknowledge))),
		by(operator, command(post("/alarms/:site/:position/:rule/shelve", tagAlarms, "Shelve an alarm for a while", Until{}, Result{}, s.postUntil("shelve")))),
		by(operator, command(post("/alarms/:site/:position/:rule/unshelve", tagAlarms, "End the shelving of an alarm", End{}, Result{}, s.postEnd("unshelve")))),
		by(operator, command(post("/alarms/:site/:position/:rule/out-of-service", tagAlarms, "Take an alarm out of service for a while", Until{}, Result{}, s.postUntil("out-of-service")))),
		by(operator, command(post("/alarms/:site/:position/:rule/return", tagAlarms, "Return an alarm to service", End{}, Result{}, s.postEnd("return")))),
		by(operator, command(post("/alarms/:site/:position/:rule/reset", tagAlarms, "Reset a latched alarm that is back to normal", End{}, Result{}, s.postEnd("reset")))),

		own("/tickets", tagTickets, "Tickets", Page[Ticket]{}, s.listTickets, siteParam, positionParam,
			param{name: "kind", about: "only this kind", values: ticketKinds}, param{name: "status", about: "one or several, separated by commas"},
			param{name: "open", about: "only open (true) or only ended (false)", kind: "boolean"}, param{name: "made_up", about: "demonstration history: only (true), without (false)", kind: "boolean"},
			param{name: "test", about: "test alarms: only (true), without (false)", kind: "boolean"}, param{name: "text", about: "part of the number, title or serial number"}, limitParam, offsetParam),
		own("/tickets/:id", tagTickets, "One ticket by id or number, with clocks and allowed moves", Ticket{}, s.getTicket),
		own("/tickets/:id/events", tagTickets, "History of a ticket, oldest first", Page[faultline.TicketEvent]{}, s.listTicketEvents),
		own("/tickets/:id/evidence", tagTickets, "What the ticket rests on: samples, limits, rule", Page[faultline.Evidence]{}, s.listEvidence),
		media(own("/tickets/:id/evidence/:n/picture.svg", tagTickets, "Picture of a piece of evidence; n counts from 1", nil, s.evidencePicture,
			param{name: "width", about: "px", kind: "integer"}), mediaSVG),
		by(technician, command(post("/tickets/:id/move", tagTickets, "Move a ticket to another status", Move{}, Ticket{}, s.postMove))),
		by(operator, post("/tickets/:id/comments", tagTickets, "Comment a ticket; one to the customer stops the response clock", Comment{}, Ticket{}, s.postComment)),
		by(operator, command(post("/tickets/:id/acknowledge", tagTickets, "Acknowledge all alarms of a ticket", Acknowledge{}, Result{}, s.postAcknowledgeTicket))),
		by(operator, post("/tickets", tagTickets, "Open a ticket by hand", Report{}, Ticket{}, s.postReport)),
		by(agent, post("/tickets/:id/amend", tagTickets, "Correct a ticket: priority, when it was received, contract, who has it", Amend{}, Ticket{}, s.postAmend)),

		get("/evaluation", tagTickets, "How the desk did with the tickets received in a time, and how often equipment failed, by group; times in seconds", DeskFigures{}, s.getEvaluation, evaluationParams...),
		media(get("/evaluation/export", tagTickets, "The same as a table, times in hours", nil, s.exportEvaluation,
			append([]param{{name: "format", about: "csv unless given", values: sheet.Formats}}, evaluationParams...)...), "text/csv"),

		get("/alarm-figures", tagAlarms, "How good the alarms were, per site and in total, with the worst actors and what to do", AlarmFigures{}, s.getAlarmFigures, siteParam, daysParam,
			param{name: "made_up", about: "of demonstration history instead of what happened", kind: "boolean"}),
		get("/scorecard", tagPlans, "How good each rule was on each kind of asset, from the verdicts on its tickets", Scorecard{}, s.getScorecard, siteParam, daysParam),

		own("/inspections", tagPlans, "Occurrences of inspection plans", Page[Inspection]{}, s.listInspections, siteParam, positionParam,
			param{name: "open", about: "only open (true) or only ended (false)", kind: "boolean"}),
		get("/plans", tagPlans, "Inspection plans", Page[faultline.Plan]{}, s.listPlans),
		get("/rules", tagPlans, "Rules as they stand on positions", Page[faultline.RuleInstance]{}, s.listRules, siteParam, positionParam),
		get("/contracts", tagPlans, "Service contracts", Page[faultline.Contract]{}, s.listContracts),

		get("/devices", tagData, "How gateways do with reading each device, and its NE 107 status, worst first", Page[Device]{}, s.listDevices, siteParam, param{name: "gateway", about: "only this gateway's"},
			param{name: "status", about: "only those with this status", values: statusNames()}, limitParam, offsetParam),
		get("/devices/:site/:position", tagData, "How the gateway does with reading one device", Device{}, s.getDevice),
		get("/devices/:site/:position/series", tagData, "The same over time: latency, reachability, and samples without a value as they were added", History{}, s.getDeviceSeries,
			param{name: "from", about: "beginning; one hour before to unless given", kind: "date-time"}, param{name: "to", about: "end; now unless given", kind: "date-time"}),
		get("/gateways", tagData, "Gateways and when they were last heard", Page[Gateway]{}, s.listGateways),
		get("/gateways/:gateway/versions", tagData, "Versions of a gateway's configuration, the newest first, without bodies", Page[faultline.Revision]{}, s.listGatewayVersions),
		by(engineer, get("/gateways/:gateway/versions/:version", tagData, "One version of a gateway's configuration with its body", faultline.Revision{}, s.getGatewayVersion)),
		get("/ledger", tagData, "Loss ledger: what became of every frame of every gateway", Ledger{}, s.getLedger),
		get("/dead-letters", tagData, "Lines that could not be stored, with their reason, the newest first", Page[faultline.DeadLetter]{}, s.listDeadLetters,
			siteParam, param{name: "gateway", about: "only this gateway's"}, param{name: "group", about: "only of this group"}, limitParam, offsetParam),
		get("/dead-letters/groups", tagData, "Dead letters by series and reason, with how many there were, the newest first", DeadGroups{}, s.listDeadGroups, limitParam),
		by(engineer, post("/dead-letters/replay", tagData, "Write dead letters again, after what was wrong was mended; those that are taken are forgotten", DeadChoice{}, Replayed{}, s.postReplay)),
		by(engineer, post("/dead-letters/drop", tagData, "Forget dead letters", DeadChoice{}, Dropped{}, s.postDrop)),

		{method: http.MethodGet, path: base + "/events", tag: tagLive, role: customer, media: mediaEvents, slow: true, handle: s.streamEvents,
			summary: "Server-sent events: change (something to look at again), values (positions with new values), resync (some were left out)",
			params:  []param{siteParam, positionParam}},

		by(admin, get("/audit", tagPeople, "Audit: every change by people, and refused attempts, the newest first", Page[faultline.AuditEntry]{}, s.listAudit,
			param{name: "by", about: "only by this user"}, param{name: "outcome", about: "only these", values: faultline.Outcomes}, param{name: "text", about: "part of who, address, action, object or detail"},
			param{name: "from", about: "beginning", kind: "date-time"}, param{name: "to", about: "end", kind: "date-time"}, limitParam, offsetParam)),

		{method: http.MethodGet, path: base + "/openapi.json", tag: tagServer, summary: "This document", role: anyUser, response: map[string]any{}, handle: s.getOpenAPI},
		{method: http.MethodGet, path: "/healthz", tag: tagServer, summary: "The process is alive", role: public, response: Health{}, handle: s.getHealth},
		{method: http.MethodGet, path: "/readyz", tag: tagServer, summary: "The parts it needs answer; 503 if one does not", role: public, response: Health{}, handle: s.getReady},
		{method: http.MethodGet, path: "/metrics", tag: tagServer, summary: "Metrics for Prometheus", role: viewer, whole: true, media: "text/plain", handle: s.getMetrics},
	}...)
}

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
	mediaSVG     = "image/svg+xml"
	mediaFile    = "application/octet-stream"
	mediaEvents  = "text/event-stream"
	mediaHTML    = "text/html"
)

// pathParams are the names in a path such as /tickets/:id.
func (r *route) pathParams() []string {
	var out []string
	for _, p := range strings.Split(r.path, "/") {
		if n, ok := strings.CutPrefix(p, ":"); ok {
			out = append(out, n)
		}
	}
	return out
}
