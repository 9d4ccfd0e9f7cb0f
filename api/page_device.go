package api

import (
	"cmp"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/chart"
)

func deviceHref(site, position string) string {
	return "/devices/" + url.PathEscape(site) + "/" + url.PathEscape(position)
}

func (s *Server) devicesPage(c *call) (any, error) {
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	gateways, err := s.gateways(c)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &f.contents)
	filter := deviceFilter{c.Query("site"), c.Query("gateway"), c.Query("status")}
	all, at := s.devices(f, filter), offset(c)
	ids := make([]string, len(gateways))
	for i := range gateways {
		ids[i] = gateways[i].ID
	}
	v := console.Devices{
		Sites: siteOptions(&f.contents, filter.site), Gates: options("All gateways", slices.Compact(slices.Sorted(slices.Values(ids))), filter.gateway, func(id string) string { return id }),
		Statuses: options("All", statusNames(), filter.status, statusName), Pager: pager(c, len(all), pageRows, at, "devices"),
	}
	v.Gateways = m.gatewayHealth(gateways, s.devices(f, deviceFilter{}))
	for _, d := range window(all, pageRows, at) {
		v.Rows = append(v.Rows, m.device(&d))
	}
	shell := s.shell(c, "devices", "Devices", "alarm", 3*valuesEach)
	shell.Site = filter.site
	return framed{shell: shell, view: v}, nil
}

func statusName(s string) string {
	if s == notHeard {
		s = ""
	}
	return console.Status(faultline.NE107(s), "").Text
}

// gatewayHealth sums the devices up by gateway, gateways with the most that are not reachable first.
func (m *rows) gatewayHealth(gateways []Gateway, devices []Device) []console.GatewayHealth {
	out := make([]console.GatewayHealth, len(gateways))
	for i := range gateways {
		g := &gateways[i]
		row := console.GatewayHealth{ID: g.ID, Site: m.siteName(g.Site), Seen: m.At(g.LastSeen), State: heardPill(g), Slowest: "–", BadShare: "–", Href: "/devices?" + url.Values{"gateway": {g.ID}, "site": {g.Site}}.Encode()}
		row.Config, row.ConfigWhy = configPill(g.State)
		slowest, bad, samples := 0.0, int64(0), int64(0)
		for k := range devices {
			d := &devices[k]
			if d.Site != g.Site || d.Gateway != g.ID {
				continue
			}
			row.Devices++
			if d.Health == nil {
				continue
			}
			if !d.Health.Reachable {
				row.Unreachable++
			}
			slowest = max(slowest, d.Health.LatencyP99)
			bad += d.Health.Bad
			samples += d.Health.Good + d.Health.Uncertain + d.Health.Bad
		}
		if slowest > 0 {
			row.Slowest = milliseconds(slowest)
		}
		if samples > 0 {
			row.BadShare = shareText(float64(bad) / float64(samples))
		}
		out[i] = row
	}
	slices.SortStableFunc(out, func(a, b console.GatewayHealth) int { return cmp.Compare(b.Unreachable, a.Unreachable) })
	return out
}

// configPill tells which version of its configuration a gateway says that it runs.
func configPill(s *faultline.GatewayState) (console.Pill, string) {
	switch {
	case s == nil:
		return console.Pill{Tone: "muted", Text: console.Text("Not told yet")}, ""
	case s.Refused != 0:
		return console.Pill{Tone: "critical", Text: console.Text("Version %d refused", s.Refused)}, strings.TrimPrefix(s.Explain(faultline.PointConfig), "; ")
	case s.Config == 0:
		return console.Pill{Tone: "muted", Text: console.Text("Its own file")}, ""
	}
	return console.Pill{Tone: "normal", Text: console.Text("Version %d", s.Config)}, ""
}

func heardPill(g *Gateway) console.Pill {
	if g.Silent {
		return console.Pill{Tone: "no_data", Text: console.Text("Silent")}
	}
	return console.Pill{Tone: "normal", Text: console.Text("Heard")}
}

func (m *rows) device(d *Device) console.DeviceRow {
	r := console.DeviceRow{
		Href: deviceHref(d.Site, d.ID), Position: d.ID, Name: d.Name, Gateway: d.Gateway, Address: d.Address,
		Status: console.Status(d.Status, d.Why), Half: "–", Slow: "–", Bad: "–", Reach: console.Pill{Tone: "muted", Text: console.Text("Not told yet")},
	}
	h := d.Health
	if h == nil {
		return r
	}
	r.Told, r.Good, r.Bad = m.At(h.At), m.At(h.LastGood), shareText(badShare(h))
	switch {
	case h.Stale:
		r.Reach = console.Pill{Tone: "no_data", Text: console.Text("Not told of late")}
	case h.Reachable:
		r.Reach = console.Pill{Tone: "normal", Text: console.Text("Reachable")}
	default:
		r.Reach = console.Pill{Tone: "critical", Text: console.Text("Not reachable")}
	}
	if h.LatencyP99 > 0 {
		r.Half, r.Slow = milliseconds(h.LatencyP50), milliseconds(h.LatencyP99)
	}
	for reason, n := range h.Errors {
		if n > 0 {
			r.Errors = append(r.Errors, console.ErrorCount{Reason: console.Word(reason), Count: console.Group(n)})
		}
	}
	slices.SortFunc(r.Errors, func(a, b console.ErrorCount) int {
		return cmp.Or(cmp.Compare(len(b.Count), len(a.Count)), strings.Compare(b.Count, a.Count), strings.Compare(a.Reason, b.Reason))
	})
	return r
}

func milliseconds(v float64) string {
	n := 0
	if v < 10 {
		n = 1
	}
	return strconv.FormatFloat(v, 'f', n, 64) + " ms"
}

// shareText shows a share so that a little is not nothing.
func shareText(v float64) string {
	switch {
	case v == 0:
		return "0 %"
	case v < 0.001:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
}

// healthFacts are what is known of a device now.
func (m *rows) healthFacts(d *Device, r *console.DeviceRow) []console.Fact {
	facts := []console.Fact{
		{Name: "Read by", Text: d.Gateway}, {Name: "Address", Text: d.Address}, {Name: "Profile", Text: d.Profile}, {Name: "Answers", Pill: &r.Reach},
		fact("Half of them within", r.Half), fact("Slowest 1 %", r.Slow), m.when("Last good", time.Time{}), fact("Without a value", r.Bad),
	}
	if h := d.Health; h != nil {
		facts[6] = m.when("Last good", h.LastGood)
		facts = append(facts, fact("Readings", console.Group(h.Readings)), fact("Samples", console.Group(h.Good+h.Uncertain+h.Bad)), m.when("Told at", h.At))
	}
	return facts
}

func (s *Server) devicePage(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &f.contents)
	d := s.device(f, p)
	v := console.Device{Row: m.device(&d), Site: p.Site, SiteName: f.siteName(p.Site), AssetHref: assetHref(p.Site, p.ID)}
	v.Facts = m.healthFacts(&d, &v.Row)
	span := c.Query("range")
	if _, ok := ranges[span]; !ok {
		span = rangeNames[0]
	}
	for _, r := range rangeNames {
		v.Ranges = append(v.Ranges, console.Option{Value: r, Text: r, Chosen: r == span})
	}
	if v.Pictures, err = s.healthPictures(c, p, ranges[span]); err != nil {
		s.log.Warn("history not read", "site", p.Site, "position", p.ID, "error", err)
		v.PicturesFailed = true
	}
	shell := s.shell(c, "devices", p.ID, "alarm", 5*valuesEach)
	shell.Site, shell.Position = p.Site, p.ID
	return framed{shell: shell, view: v}, nil
}

func (s *Server) healthPictures(c *call, p *faultline.Position, span time.Duration) ([]console.Picture, error) {
	history, err := s.healthHistory(c.Request.Context(), p, c.now.Add(-span), c.now, 300)
	if err != nil {
		return nil, err
	}
	told := &faultline.Position{Points: healthPoints}
	var out []console.Picture
	for i := range history {
		h := &history[i]
		point := findPoint(told, h.Point)
		if point == nil || len(h.At) == 0 {
			continue // an MQTT device has no latency
		}
		k := chart.Chart{Title: point.Title, Unit: point.Unit, From: c.now.Add(-span), To: c.now, Location: s.location, Height: 120}
		k.Series = []chart.Series{seriesOf(point, h, span)}
		out = append(out, console.Picture{Title: k.Title, SVG: template.HTML(k.SVG())}) // chart escapes all text
	}
	return out, nil
}
