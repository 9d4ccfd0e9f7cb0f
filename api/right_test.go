package api

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/secret"
)

// as is how requests of a user look: with the cookie of a session, from a page of ours.
type as func(*http.Request)

// login adds a user with a session.
func (f *fixture) login(t testing.TB, name string, role faultline.Role, sites ...string) as {
	t.Helper()
	_, err := f.store.AddUser(t.Context(), faultline.User{Name: name, Role: role, Sites: sites, CreatedAt: noon}, "")
	must(t, err)
	return f.session(t, name, noon)
}

func (f *fixture) session(t testing.TB, user string, at time.Time) as {
	t.Helper()
	id := secret.New()
	must(t, f.store.AddSession(t.Context(), secret.Key(id), faultline.Session{ID: secret.ID(), User: user, CreatedAt: at, SeenAt: at, Until: at.Add(sessionTime)}))
	return func(r *http.Request) {
		r.Header.Set("Cookie", f.cookieName()+"="+id)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
}

// ask a route as a user would, with what the fixture holds.
func (f *fixture) ask(r *route, who as) answered {
	body, form := "", ""
	if r.method != http.MethodGet {
		if body = bodyOf(r.path); r.media == mediaHTML {
			body, form = "text=x&reason=x&to=triaged", "application/x-www-form-urlencoded"
		}
	}
	return f.do(r.method, example.Replace(r.path), body, func(q *http.Request) {
		if form != "" {
			q.Header.Set("Content-Type", form)
		}
		if who != nil {
			who(q)
		}
	})
}

// documentedRights reads the table of docs/access.md: route, then a cell for each role.
func documentedRights(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../docs/access.md")
	must(t, err)
	out := map[string][]string{}
	for line := range strings.SplitSeq(string(b), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != len(faultline.Roles)+3 || !strings.Contains(cells[1], "`") {
			continue
		}
		route := strings.Trim(strings.TrimSpace(cells[1]), "`")
		for _, c := range cells[2 : len(cells)-1] {
			out[route] = append(out[route], strings.TrimSpace(c))
		}
	}
	return out
}

// rightsRow is the line that docs/access.md needs for a route.
func rightsRow(r *route) string {
	row := "| `" + r.method + " " + r.path + "` |"
	for _, role := range faultline.Roles {
		switch {
		case r.role == public:
			row += " all |"
		case r.role.heldBy(role):
			row += " yes |"
		default:
			row += " |"
		}
	}
	return row
}

// TestEveryRouteForEveryRole asks every route as every role and holds the answers against docs/access.md.
// A route that is not in that table fails here.
func TestEveryRouteForEveryRole(t *testing.T) {
	table := documentedRights(t)
	f := newFixture(t)
	f.populate(t)
	f.people(t)
	who := map[faultline.Role]as{}
	for _, role := range faultline.Roles {
		var sites []string
		if role == faultline.RoleCustomer {
			sites = []string{"plant-3"}
		}
		who[role] = f.login(t, "u-"+string(role), role, sites...)
	}
	assign := func(to string) {
		_, err := f.store.ChangeTicket(t.Context(), "T-000001", 0, func(k *faultline.Ticket) ([]faultline.TicketEvent, error) {
			k.Assignee = to
			return nil, nil
		})
		must(t, err)
	}
	routes := append(f.apiRoutes(), f.pageRoutes()...)
	for i := range routes {
		r := &routes[i]
		name := r.method + " " + r.path
		row, ok := table[name]
		if !ok {
			t.Errorf("docs/access.md does not say who may use a route. Decide, and add:\n%s", rightsRow(r))
			continue
		}
		delete(table, name)
		if a := f.ask(r, nil); r.role != public && a.code != http.StatusUnauthorized {
			t.Errorf("%s: without a login: %d", name, a.code)
		}
		for k, role := range faultline.Roles {
			cell := row[k]
			if !slices.Contains([]string{"all", "yes", "own", ""}, cell) {
				t.Errorf("%s: %s: %q is none of all, yes, own and nothing", name, role, cell)
			}
			if want := cell == "all"; want != (r.role == public) || cell != "" != r.role.heldBy(role) {
				t.Errorf("%s: %s: docs/access.md says %q, the code %s", name, role, cell, r.role)
				continue
			}
			if r.slow || name == "POST /logout" { // a stream has a test of its own; a logout would end the session
				continue
			}
			var codes []int
			for _, assignee := range []string{"", "somebody-else", "u-" + string(role)} {
				if r.method != http.MethodGet {
					assign(assignee)
				}
				a := f.ask(r, who[role])
				codes = append(codes, a.code)
				if strings.Contains(a.body, "a technician changes only tickets") && r.media == mediaHTML { // a form says it on its page
					codes[len(codes)-1] = http.StatusForbidden
				}
			}
			// Refused by who may: 401 and 403. All else is an answer: a conflict or a wrong form too.
			open := func(code int) bool {
				return code != http.StatusForbidden && code != http.StatusUnauthorized && code < 500
			}
			var good bool
			switch cell {
			case "own":
				good = codes[0] == http.StatusForbidden && codes[1] == http.StatusForbidden && open(codes[2])
			case "yes":
				good = open(codes[0]) && open(codes[1]) && open(codes[2])
			case "all":
				good = codes[0] < 500
			case "":
				good = codes[0] == http.StatusForbidden && codes[1] == codes[0] && codes[2] == codes[0]
			}
			if !good {
				t.Errorf("%s: %s: documented as %q, but it answers %v (unassigned, another's, own)", name, role, cell, codes)
			}
		}
	}
	for name := range table {
		t.Errorf("docs/access.md names %s, which is no route", name)
	}
}

// TestEveryRouteKeepsToItsSites asks every route as users who see the clinic only: nothing of the plant
// may show in any answer, and no single object of it may be read or changed.
func TestEveryRouteKeepsToItsSites(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.people(t)
	routes := append(f.apiRoutes(), f.pageRoutes()...)
	version := func() int {
		k, err := f.store.Ticket(t.Context(), "T-000001")
		must(t, err)
		return k.Version
	}
	before := version()
	for _, role := range faultline.Roles {
		if role == faultline.RoleAdmin {
			continue // sees all
		}
		who := f.login(t, "clinic-"+string(role), role, "clinic")
		for i := range routes {
			r := &routes[i]
			if r.slow || r.role == public || !r.role.heldBy(role) || r.path == "/logout" {
				continue
			}
			a := f.ask(r, who)
			name := fmt.Sprintf("%s %s as %s", r.method, r.path, role)
			for _, secret := range []string{"P-101", "CP-4711-09", "C-201", "gw-1", "Bearing temperature", "pump,site=x", "T-000001"} {
				asked := strings.Contains(example.Replace(r.path), secret)
				if strings.Contains(a.body, secret) && !asked {
					t.Errorf("%s tells of the plant: %s", name, secret)
				}
			}
			object := strings.Contains(r.path, ":site") || strings.Contains(r.path, ":id")
			switch {
			case object && a.code != http.StatusNotFound:
				t.Errorf("%s: an object of another site: %d %s", name, a.code, a.body[:min(len(a.body), 200)])
			case r.whole && a.code != http.StatusForbidden:
				t.Errorf("%s is about all sites: %d", name, a.code)
			}
			if a := f.do(r.method, example.Replace(r.path)+"?site=plant-3", "", who); strings.Contains(a.body, "P-101") && !object && !strings.Contains(a.body, "unknown parameter") {
				t.Errorf("%s tells of the plant when asked for it", name)
			}
		}
	}
	if version() != before || len(f.bus.commands()) != 0 {
		t.Errorf("something was changed at another site: version %d, commands %v", version(), f.bus.commands())
	}
}

// TestScopedEvents shows that a stream passes on only what happens at sites in scope.
func TestScopedEvents(t *testing.T) {
	a := &audience{readers: map[*reader]bool{}}
	r, err := a.join(&caller{sites: []string{"clinic"}}, "", "")
	must(t, err)
	a.event(faultline.Event{Topic: "ticket", Site: "plant-3", Position: "P-101"})
	a.event(faultline.Event{Topic: "gateway"}) // of no site
	a.event(faultline.Event{Topic: "ticket", Site: "clinic", ID: "mine"})
	a.heard("plant-3", "P-101")
	a.heard("clinic", "U-1")
	events, _ := a.takeEvents(r)
	if len(events) != 1 || events[0].ID != "mine" {
		t.Errorf("%v", events)
	}
	if v, _ := a.takeValues(r, noon); len(v.Positions) != 1 || v.Positions[0].Site != "clinic" {
		t.Errorf("%v", v)
	}
}

// TestUsersCloseLoopback shows that the first user ends the time in which whoever is on this machine may do all.
func TestUsersCloseLoopback(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	if a := f.get("/api/v1/tickets"); a.code != http.StatusOK {
		t.Fatalf("before there are users: %d", a.code)
	}
	operator := f.logins.redeem(f.logins.link(noon.Add(time.Hour)), noon)
	with := header("Cookie", f.cookieName()+"="+operator)
	f.loopback = false
	if a := f.do(http.MethodGet, "/api/v1/tickets", "", with); a.code != http.StatusOK {
		t.Fatalf("by a link: %d", a.code)
	}
	boss := f.login(t, "boss", faultline.RoleAdmin)
	if a := f.do(http.MethodGet, "/api/v1/tickets", "", with); a.code != http.StatusUnauthorized {
		t.Errorf("a link's session outlives the first user: %d", a.code)
	}
	f.loopback = true
	if a := f.get("/api/v1/tickets"); a.code != http.StatusUnauthorized {
		t.Errorf("open on loopback: %d", a.code)
	}
	if a := f.get("/"); !strings.Contains(a.body, `name="password"`) {
		t.Error("the page does not ask for a password")
	}
	if a := f.do(http.MethodGet, "/", "", boss); a.code != http.StatusOK || !strings.Contains(a.body, "boss") {
		t.Errorf("%d", a.code)
	}
}

// TestNobodyGoesPastTheView keeps handlers from the store without scope and audit.
func TestNobodyGoesPastTheView(t *testing.T) {
	allowed := []string{"access.go", "api.go", "people.go", "audit.go", "login.go", "join.go", "book.go", "chore.go", "watch.go", "improve.go", "write_job.go"} // from chore.go on: the desk by itself, for no caller
	files, err := os.ReadDir(".")
	must(t, err)
	found := 0
	for _, e := range files {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		must(t, err)
		if strings.Contains(string(b), ".unscoped.") {
			found++
			if !slices.Contains(allowed, name) {
				t.Errorf("%s goes past the caller's view: use c.store, which keeps to the caller's sites and writes the audit", name)
			}
		}
	}
	if found < 2 {
		t.Errorf("looked for the wrong words")
	}
}

// TestMenuShowsWhatTheRoleMayOpen follows every entry of the navigation as every role.
func TestMenuShowsWhatTheRoleMayOpen(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	for _, role := range faultline.Roles {
		who := f.login(t, "u-"+string(role), role, map[bool][]string{true: {"plant-3"}}[role == faultline.RoleCustomer]...)
		page := f.do(http.MethodGet, "/", "", who).body
		nav := page[strings.Index(page, "<nav"):strings.Index(page, "</nav>")]
		shown := 0
		for _, m := range menu {
			code := f.do(http.MethodGet, m.Href, "", who).code
			if is := strings.Contains(nav, `href="`+m.Href+`"`); is != (code == http.StatusOK) {
				t.Errorf("%s: %s answers %d, in the navigation: %v", role, m.Href, code, is)
			} else if is {
				shown++
			}
		}
		if shown < 4 {
			t.Errorf("%s is shown %d entries", role, shown)
		}
	}
}
