package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"crypto/rand"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

// pageRoutes is the table of the console: pages and the forms on them. They are guarded as the API is,
// but they are no part of its document.
func (s *Server) pageRoutes() []route {
	get := func(path string, handle func(*call) (any, error)) route {
		return route{method: http.MethodGet, path: path, role: viewer, media: mediaHTML, handle: handle}
	}
	post := func(path string, handle func(*call) (any, error)) route {
		return route{method: http.MethodPost, path: path, role: admin, media: mediaHTML, handle: handle}
	}
	by := func(who right, r route) route { r.role = who; return r }
	rule := func(r route) route { r.role, r.slow, r.whole = engineer, true, true; return r }
	return append(append(s.peoplePages(), s.registerPages()...), []route{
		by(customer, get("/", s.overviewPage)),
		by(customer, get("/assets", s.assetsPage)),
		by(customer, get("/assets/:site/:position", s.assetPage)),
		by(engineer, post("/assets/:site/:position/test-alarm", s.testAlarmForm)),
		by(operator, post("/assets/:site/:position/out-of-service", s.verbForm("out-of-service"))),
		by(operator, post("/assets/:site/:position/return", s.verbForm("return"))),
		by(engineer, post("/assets/:site/:position/points/:point/write", s.writeForm)),
		get("/writes", s.writesPage),
		by(engineer, post("/writes/:id/approve", s.decisionForm(faultline.WriteSending))),
		by(engineer, post("/writes/:id/refuse", s.decisionForm(faultline.WriteRefused))),
		by(engineer, post("/writes/:id/withdraw", s.decisionForm(faultline.WriteWithdrawn))),
		get("/devices", s.devicesPage),
		get("/devices/:site/:position", s.devicePage),
		by(customer, get("/alarms", s.alarmsPage)),
		by(customer, get("/alarms/:site/:position/:rule", s.alarmPage)),
		by(operator, post("/alarms/:site/:position/:rule/acknowledge", s.acknowledgeForm)),
		by(operator, post("/alarms/:site/:position/:rule/shelve", s.verbForm("shelve"))),
		by(operator, post("/alarms/:site/:position/:rule/unshelve", s.verbForm("unshelve"))),
		by(operator, post("/alarms/:site/:position/:rule/out-of-service", s.verbForm("out-of-service"))),
		by(operator, post("/alarms/:site/:position/:rule/return", s.verbForm("return"))),
		by(operator, post("/alarms/:site/:position/:rule/reset", s.verbForm("reset"))),
		get("/figures", s.figuresPage),
		get("/figures/rules", s.scorecardPage),
		get("/figures/desk", s.evaluationPage),
		by(customer, get("/tickets", s.ticketsPage)),
		by(operator, post("/tickets", s.newTicketForm)),
		by(operator, get("/tickets/new", s.newTicketPage)),
		by(customer, get("/tickets/:id", s.ticketPage)),
		by(agent, post("/tickets/:id/amend", s.amendForm)),
		by(technician, post("/tickets/:id/move", s.moveForm)),
		by(operator, post("/tickets/:id/comment", s.commentForm)),
		by(operator, post("/tickets/:id/acknowledge", s.acknowledgeTicketForm)),
		by(customer, get("/inspections", s.inspectionsPage)),
		get("/rules", s.rulesPage),
		get("/rules/:document", s.rulePage),
		rule(post("/rules/:document", s.ruleForm)),
		get("/rules/:document/:version", s.ruleVersionPage),
		rule(post("/rules/:document/:version/test", s.ruleTestForm)),
		rule(post("/rules/:document/:version/live", s.ruleMoveForm(s.enableRule))),
		rule(post("/rules/:document/:version/retire", s.ruleMoveForm(s.retireRule))),
		rule(post("/rules/:document/:version/backtest", s.backtestForm)),
		get("/backtests/:backtest", s.backtestPage),
		get("/data", s.dataPage),
		get("/data/dead-letters", s.deadLettersPage),
		by(engineer, post("/data/dead-letters/replay", s.replayForm)),
		by(engineer, post("/data/dead-letters/drop", s.dropForm)),
		get("/contracts", s.contractsPage),
		by(anyUser, get("/api", s.referencePage)),
		by(public, get("/login", s.getLogin)),
		hush(by(public, post("/login", s.postLogin))),
		by(public, get("/join", s.getJoin)),
		hush(by(public, post("/join", s.postJoin))),
		by(anyUser, post("/logout", s.postLogout)),
		by(public, get("/static/:mark/:name", s.staticFile)),
	}...)
}

// framed is a page with what surrounds it.
type framed struct {
	shell console.Shell
	view  console.View
	code  int
}

func (s *Server) staticFile(c *call) (any, error) {
	f, ok := s.console.File(c.Param("name"))
	if !ok {
		return nil, fmt.Errorf("%w: file", faultline.ErrNotFound)
	}
	return f, nil
}

// writePage renders a page; nothing is sent before it is whole.
func (s *Server) writePage(c *call, code int, shell console.Shell, view console.View) {
	shell.By, shell.Version, shell.Demo, shell.Now = c.by, s.version, s.demo, c.now
	shell.Logout = c.by != "" && c.by != local
	if c.store != nil && c.who.role != "" {
		shell.Nav = s.menus[c.who.role]
		s.badges(c, &shell)
		if shell.Notice.Text == "" {
			shell.Notice = s.notices.take(c.Query("notice"))
		}
	}
	var b bytes.Buffer
	if err := s.console.Render(&b, shell, view); err != nil {
		s.log.Error("page not rendered", "route", c.route.path, "error", err)
		c.Data(http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("this page could not be made; the server's log says why\n"))
		return
	}
	c.Data(code, "text/html; charset=utf-8", b.Bytes())
}

// badges counts what the navigation shows; a failure leaves them out.
func (s *Server) badges(c *call, shell *console.Shell) {
	ctx := c.Request.Context()
	if _, n, err := c.store.Alarms(ctx, store.AlarmFilter{OnlyOpen: true, Limit: 1}); err == nil {
		shell.Alarms = n
	}
	open, test := true, false
	if _, n, err := c.store.Tickets(ctx, store.TicketFilter{Open: &open, Test: &test, Limit: 1}); err == nil {
		shell.Tickets = n
	}
}

// shell of a page that updates itself.
func (s *Server) shell(c *call, section, title, topics string, every time.Duration) console.Shell {
	q := c.Request.URL.Query()
	q.Del("notice")
	href := c.Request.URL.EscapedPath()
	if len(q) > 0 {
		href += "?" + q.Encode()
	}
	return console.Shell{Section: section, Title: title, Href: href, Topics: topics, ValuesEvery: every}
}

// notices keeps what a form did until the page after it shows it, once.
type notices struct {
	mu   sync.Mutex
	wait map[string]console.Notice
	ids  []string // oldest first
}

const maxNotices = 200

func (n *notices) leave(v console.Notice) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wait == nil {
		n.wait = map[string]console.Notice{}
	}
	if len(n.ids) >= maxNotices {
		delete(n.wait, n.ids[0])
		n.ids = n.ids[1:]
	}
	id := rand.Text()
	n.wait[id] = v
	n.ids = append(n.ids, id)
	return id
}

func (n *notices) take(id string) console.Notice {
	if id == "" {
		return console.Notice{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.wait[id]
	delete(n.wait, id)
	return v
}

// back leads to a page of ours with a notice. Any other address leads to the overview.
func (s *Server) back(to string, v console.Notice) redirect {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(to, `\`) {
		u = &url.URL{Path: "/"}
	}
	if v.Text != "" {
		q := u.Query()
		q.Set("notice", s.notices.leave(v))
		u.RawQuery = q.Encode()
	}
	return redirect(u.String())
}

// refused makes a notice of an error that is the caller's; others are passed on. The audit hears of it.
func (c *call) refused(err error) (console.Notice, error) {
	c.refusal = err
	p, ok := problemOf(err)
	if !ok {
		return console.Notice{}, err
	}
	text := p.Detail
	for _, class := range []error{faultline.ErrInvalid, faultline.ErrRefused, faultline.ErrConflict} {
		text = strings.TrimPrefix(text, class.Error()+": ") // the page's colour says as much
	}
	n := console.Notice{Bad: true, Text: console.Field(text)}
	var r *refusal
	if errors.As(err, &r) && len(r.missing) > 0 {
		n.Text = console.Text("Something is missing")
		for _, m := range r.missing {
			n.Items = append(n.Items, console.Field(m))
		}
	}
	return n, nil
}

func (s *Server) acknowledgeForm(c *call) (any, error) {
	r, err := s.acknowledge(c, c.PostForm("reason"))
	return s.did(c, c.PostForm("back"), r, err)
}

func (s *Server) testAlarmForm(c *call) (any, error) {
	r, err := s.testAlarm(c, c.PostForm("reason"))
	return s.did(c, "/assets/"+url.PathEscape(c.Param("site"))+"/"+url.PathEscape(c.Param("position")), r, err)
}

func (s *Server) acknowledgeTicketForm(c *call) (any, error) {
	r, err := s.acknowledgeTicket(c, c.PostForm("reason"))
	return s.did(c, ticketHref(c.Param("id")), r, err)
}

// did leads back with the result of a command.
func (s *Server) did(c *call, to string, r Result, err error) (any, error) {
	c.pending = r.Pending
	if err != nil {
		n, fault := c.refused(err)
		if fault != nil || errors.Is(err, faultline.ErrNotFound) {
			return nil, err // there is no page to lead back to
		}
		return s.back(to, n), nil
	}
	return s.back(to, console.Notice{Text: strings.ToUpper(r.Message[:1]) + r.Message[1:]}), nil
}

func ticketHref(number string) string { return "/tickets/" + url.PathEscape(number) }

func assetHref(site, position string) string {
	return "/assets/" + url.PathEscape(site) + "/" + url.PathEscape(position)
}

// pager leads through a list; the page's other parameters stay.
func pager(c *call, total, limit, offset int, noun string) console.Pager {
	p := console.Pager{From: offset + 1, To: min(offset+limit, total), Total: total, Noun: noun}
	at := func(offset int) string {
		q := c.Request.URL.Query()
		q.Del("notice")
		q.Set("offset", strconv.Itoa(offset))
		return "?" + q.Encode()
	}
	if offset > 0 {
		p.Previous = at(max(0, offset-limit))
	}
	if offset+limit < total {
		p.Next = at(offset + limit)
	}
	if p.From > total {
		p.From = total
	}
	return p
}

// offset of a page; what is no number is the beginning.
func offset(c *call) int {
	n, err := strconv.Atoi(c.Query("offset"))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

// options of a choice; all is the name of the empty one.
func options(all string, values []string, chosen string, name func(string) string) []console.Option {
	out := []console.Option{{Value: "", Text: console.Text(all), Chosen: chosen == ""}}
	for _, v := range values {
		out = append(out, console.Option{Value: v, Text: name(v), Chosen: v == chosen})
	}
	return out
}

func word(v string) string { return console.Word(v) }

// siteOptions of all sites.
func siteOptions(f *contents, chosen string) []console.Option {
	ids := make([]string, len(f.sites))
	for i := range f.sites {
		ids[i] = f.sites[i].ID
	}
	return options("All sites", ids, chosen, f.siteName)
}

func (c *contents) siteName(id string) string {
	if s := c.site[id]; s != nil && s.Name != "" {
		return s.Name
	}
	return id
}

// referencePage shows the table of the API.
func (s *Server) referencePage(*call) (any, error) {
	var v console.Reference
	for _, r := range s.apiRoutes() {
		i := slices.IndexFunc(v.Groups, func(g console.ReferenceGroup) bool { return g.Name == r.tag })
		if i < 0 {
			v.Groups = append(v.Groups, console.ReferenceGroup{Name: r.tag})
			i = len(v.Groups) - 1
		}
		row := console.ReferenceRoute{Method: r.method, Path: documentPath(r.path), Summary: r.summary, Role: string(r.role)}
		for _, p := range r.params {
			row.Params = append(row.Params, "?"+p.name+" – "+p.about)
		}
		if r.method == http.MethodGet && len(r.pathParams()) == 0 && !r.slow {
			row.Link = r.path
		}
		v.Groups[i].Routes = append(v.Groups[i].Routes, row)
	}
	return framed{shell: console.Shell{Title: "API"}, view: v}, nil
}

// pictureURL is the address of a picture of evidence.
func pictureURL(ticket string, n int) string {
	return fmt.Sprintf("%s/tickets/%s/evidence/%d/picture.svg", base, url.PathEscape(ticket), n)
}
