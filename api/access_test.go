package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/api/console"
)

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestLoopbackIsForThisMachineOnly(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Hosts = []string{"faultline.example"} })
	for _, c := range []struct {
		name string
		set  func(*http.Request)
		code int
	}{
		{"by address", host("127.0.0.1:8080"), 200},
		{"by name", host("localhost:8080"), 200},
		{"by IPv6", host("[::1]:8080"), 200},
		{"rebound name", host("evil.example:8080"), http.StatusMisdirectedRequest},
		{"name that begins like ours", host("localhost.evil.example"), http.StatusMisdirectedRequest},
		{"address that is not loopback", host("192.168.1.7:8080"), http.StatusMisdirectedRequest},
		{"no host", host(""), http.StatusMisdirectedRequest},
		{"configured name wants a login", host("faultline.example"), http.StatusUnauthorized},
		{"through a proxy that names loopback", header("X-Forwarded-For", "203.0.113.9"), http.StatusUnauthorized},
		{"through a proxy, new header", header("Forwarded", "for=203.0.113.9"), http.StatusUnauthorized},
	} {
		for _, path := range []string{"/", "/api/v1/tickets"} {
			if a := f.do(http.MethodGet, path, "", c.set); a.code != c.code {
				t.Errorf("%s: %s: %d, want %d", c.name, path, a.code, c.code)
			}
		}
	}
	if a := f.do(http.MethodGet, "/api/v1/tickets", "", host("evil.example")); a.header.Get("Content-Type") != mediaProblem || !strings.Contains(a.body, "evil.example") {
		t.Errorf("%s", a.body)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	const path = "/tickets/T-000001/move"
	const body = "to=triaged"
	form := header("Content-Type", "application/x-www-form-urlencoded")
	for _, set := range [][]func(*http.Request){
		{form, header("Sec-Fetch-Site", "cross-site")},
		{form, header("Sec-Fetch-Site", "same-site")}, // another port of this machine
		{form, header("Origin", "http://evil.example")},
		{form, header("Origin", "null")},
	} {
		if a := f.do(http.MethodPost, path, body, set...); a.code != http.StatusForbidden {
			t.Errorf("%d", a.code)
		}
	}
	if k, _ := f.store.Ticket(t.Context(), "T-000001"); k.Status != "new" {
		t.Errorf("the ticket moved to %s", k.Status)
	}
	if a := f.form(path, body); a.code != http.StatusSeeOther {
		t.Errorf("our own form: %d %s", a.code, a.body)
	}
}

// far makes the fixture's listener one that others reach.
func far(t *testing.T) *fixture {
	f := newFixture(t)
	f.populate(t)
	f.loopback = false
	return f
}

func TestFarListenerRefusesEveryRouteWithoutLogin(t *testing.T) {
	f := far(t)
	open := 0
	for _, r := range append(f.apiRoutes(), f.pageRoutes()...) {
		a := f.do(r.method, example.Replace(r.path), "")
		if r.role == public {
			open++
			if a.code == http.StatusUnauthorized && r.path != "/login" && r.path != "/join" {
				t.Errorf("%s %s is public but answers %d", r.method, r.path, a.code)
			}
			continue
		}
		if a.code != http.StatusUnauthorized {
			t.Errorf("%s %s without login: %d", r.method, r.path, a.code)
		}
		if strings.Contains(a.body, "P-101") || strings.Contains(a.body, "Bearing") {
			t.Errorf("%s %s tells something", r.method, r.path)
		}
	}
	if open != 7 { // health, readiness, login twice, a link that sets a password twice, style sheet
		t.Errorf("%d public routes: each new one needs a reason", open)
	}
	if a := f.get("/"); !strings.Contains(a.body, "one-time link") || strings.Contains(a.body, "Acting as") {
		t.Error("the page does not say how to log in")
	}
	if a := f.get("/nothing"); a.code != http.StatusUnauthorized {
		t.Errorf("unknown address: %d", a.code)
	}
}

func TestOneTimeLink(t *testing.T) {
	f := far(t)
	link, err := url.Parse(f.LoginLink(time.Hour))
	must(t, err)
	token := link.Query().Get("token")
	if len(token) < 40 || link.Path != "/login" {
		t.Fatalf("link %s", link)
	}
	// Looking at the link, as a preview does, does not use it up.
	for range 2 {
		if a := f.get(link.RequestURI()); a.code != http.StatusOK || !strings.Contains(a.body, token) || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Fatalf("%d", a.code)
		}
	}
	if a := f.form("/login", "token=wrong"); a.code != http.StatusUnauthorized {
		t.Errorf("wrong token: %d", a.code)
	}
	a := f.form("/login", "token="+token)
	if a.code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.code, a.body)
	}
	cookie := a.header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %s has no %s", cookie, want)
		}
	}
	with := header("Cookie", strings.SplitN(cookie, ";", 2)[0])
	if a := f.do(http.MethodGet, "/api/v1/tickets", "", with); a.code != http.StatusOK {
		t.Errorf("with the session: %d", a.code)
	}
	if a := f.do(http.MethodGet, "/", "", with); !strings.Contains(a.body, "Acting as operator") || !strings.Contains(a.body, "Log out") {
		t.Error("the page does not say who acts")
	}
	if a := f.form("/login", "token="+token); a.code != http.StatusUnauthorized {
		t.Errorf("used twice: %d", a.code)
	}
	// The session ends after twelve hours, and by logging out.
	now := f.now()
	f.now = func() time.Time { return now.Add(linkTime) }
	if a := f.do(http.MethodGet, "/", "", with); a.code != http.StatusUnauthorized {
		t.Errorf("after twelve hours: %d", a.code)
	}
	f.now = func() time.Time { return now }
	id := f.logins.redeem(f.logins.link(now.Add(time.Hour)), now)
	with = header("Cookie", f.cookieName()+"="+id)
	if a := f.do(http.MethodPost, "/logout", "", with); a.code != http.StatusForbidden {
		t.Errorf("a change by a cookie that does not say where it comes from: %d", a.code)
	}
	if a := f.do(http.MethodPost, "/logout", "", with, header("Sec-Fetch-Site", "same-origin")); a.code != http.StatusSeeOther {
		t.Errorf("%d", a.code)
	}
	if a := f.do(http.MethodGet, "/", "", with); a.code != http.StatusUnauthorized {
		t.Errorf("after logging out: %d", a.code)
	}
	// An expired link.
	old := f.logins.link(now.Add(-time.Second))
	if a := f.form("/login", "token="+old); a.code != http.StatusUnauthorized {
		t.Errorf("expired: %d", a.code)
	}
}

func TestLoginsAreBounded(t *testing.T) {
	l := newLogins()
	first := l.link(noon.Add(time.Hour))
	for i := range 3 * maxLinks {
		l.link(noon.Add(2*time.Hour + time.Duration(i)))
	}
	if len(l.links) > maxLinks || l.redeem(first, noon) != "" {
		t.Errorf("%d links", len(l.links))
	}
	for i := range maxSessions + 50 {
		at := noon.Add(time.Duration(i))
		if l.redeem(l.link(at.Add(time.Hour)), at) == "" {
			t.Fatal("refused")
		}
	}
	if len(l.sessions) > maxSessions {
		t.Errorf("%d sessions", len(l.sessions))
	}
}

func TestSecurityHeaders(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	for _, path := range []string{"/", "/tickets/T-000001", "/api/v1/tickets", "/nothing", "/healthz"} {
		h := f.get(path).header
		policy := h.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if p := f.get("/api/v1/tickets/T-000001/evidence/1/picture.svg").header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "script-src") {
		t.Errorf("picture: %s", p)
	}
	if c := f.get("/static/x/console.js").header; !strings.Contains(c.Get("Cache-Control"), "immutable") {
		t.Errorf("static: %v", c)
	}
}

func TestNoticesAreShownOnce(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	a := f.form("/alarms/plant-3/P-101/bearing-temperature/acknowledge", url.Values{"back": {"/alarms?site=plant-3"}}.Encode())
	to := a.header.Get("Location")
	if a.code != http.StatusSeeOther || !strings.HasPrefix(to, "/alarms?") || !strings.Contains(to, "site=plant-3") {
		t.Fatalf("%d to %s", a.code, to)
	}
	if !strings.Contains(f.get(to).body, "Acknowledged") || strings.Contains(f.get(to).body, `class="notice"`) {
		t.Error("a notice is not shown exactly once")
	}
	for range 2 * maxNotices {
		f.notices.leave(console.Notice{Text: "x"})
	}
	if len(f.notices.wait) > maxNotices {
		t.Errorf("%d notices wait", len(f.notices.wait))
	}
}

func FuzzBack(f *testing.F) {
	for _, s := range []string{"/tickets?x=1#do", "//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "%", "/%2f/evil", "/\t/evil", "\n//evil", "/..//evil.example"} {
		f.Add(s)
	}
	s := &Server{}
	f.Fuzz(func(t *testing.T, to string) {
		got := string(s.back(to, console.Notice{Text: "done"}))
		// As a browser reads it: backslashes are slashes, tabs and line ends vanish.
		seen := strings.NewReplacer("\\", "/", "\t", "", "\n", "", "\r", "").Replace(got)
		u, err := url.Parse(seen)
		if err != nil || !strings.HasPrefix(seen, "/") || strings.HasPrefix(seen, "//") || u.Host != "" {
			t.Errorf("%q leads to %q", to, got)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodPost, "/x/y", nil), got, http.StatusSeeOther)
		if l := w.Header().Get("Location"); !strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//") {
			t.Errorf("%q leads to %q", to, l)
		}
	})
}
