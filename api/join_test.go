package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/secret"
)

const goodPassword = "tuesday-pump-grease"

// withPassword adds a user who has a password.
func (f *fixture) withPassword(t testing.TB, name, password string, role faultline.Role, sites ...string) {
	t.Helper()
	_, err := f.store.AddUser(t.Context(), faultline.User{Name: name, Role: role, Sites: sites, CreatedAt: noon}, secret.Hash(password))
	must(t, err)
}

func cookieOf(a answered) as {
	value, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	return func(r *http.Request) {
		r.Header.Set("Cookie", value)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
}

func TestLogin(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.withPassword(t, "anna", goodPassword, faultline.RoleAgent)
	login := func(name, password string) answered {
		return f.form("/login", url.Values{"name": {name}, "password": {password}}.Encode())
	}
	for _, c := range [][2]string{{"anna", "wrong"}, {"anna", ""}, {"nobody", goodPassword}, {"anna' OR 1=1", goodPassword}} {
		if a := login(c[0], c[1]); a.code != http.StatusUnauthorized || a.header.Get("Set-Cookie") != "" || !strings.Contains(a.body, "ame or password is wrong") {
			t.Errorf("%v: %d", c, a.code)
		}
	}
	a := login(" Anna ", goodPassword)
	if a.code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.code, a.body)
	}
	who := cookieOf(a)
	if a := f.do(http.MethodGet, "/", "", who); a.code != http.StatusOK || !strings.Contains(a.body, "Acting as anna") {
		t.Errorf("%d", a.code)
	}
	// Not used for twelve hours, or a week after the login: it has ended.
	f.now = func() time.Time { return noon.Add(sessionIdle) }
	if a := f.do(http.MethodGet, "/", "", who); a.code != http.StatusUnauthorized {
		t.Errorf("idle: %d", a.code)
	}
	f.now = func() time.Time { return noon }
	who = cookieOf(login("anna", goodPassword))
	for at := noon; at.Before(noon.Add(sessionTime)); at = at.Add(sessionIdle - time.Minute) {
		f.now = func() time.Time { return at }
		if a := f.do(http.MethodGet, "/", "", who); a.code != http.StatusOK {
			t.Fatalf("at %s: %d", at, a.code)
		}
	}
	f.now = func() time.Time { return noon.Add(sessionTime) }
	if a := f.do(http.MethodGet, "/", "", who); a.code != http.StatusUnauthorized {
		t.Errorf("after a week: %d", a.code)
	}
}

func TestGuessingIsThrottled(t *testing.T) {
	f := newFixture(t)
	f.withPassword(t, "anna", goodPassword, faultline.RoleAgent)
	f.withPassword(t, "ben", goodPassword, faultline.RoleAgent)
	try := func(name, password, from string) answered {
		return f.do(http.MethodPost, "/login", url.Values{"name": {name}, "password": {password}}.Encode(), func(r *http.Request) {
			r.RemoteAddr = from + ":1"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		})
	}
	for i := range ofAccount.free {
		if a := try("anna", "wrong", "203.0.113.9"); a.code != http.StatusUnauthorized {
			t.Fatalf("failure %d: %d", i+1, a.code)
		}
	}
	// The right one waits too, from wherever it comes; another account does not.
	a := try("anna", goodPassword, "198.51.100.7")
	if a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %s", a.code, a.header.Get("Retry-After"))
	}
	if a := try("ben", goodPassword, "203.0.113.9"); a.code != http.StatusSeeOther {
		t.Errorf("another account: %d", a.code)
	}
	f.now = func() time.Time { return noon.Add(2 * time.Second) }
	if a := try("anna", goodPassword, "198.51.100.7"); a.code != http.StatusSeeOther {
		t.Errorf("after the wait: %d", a.code)
	}
	// The waits double up to a minute; one address is held up whatever accounts it tries.
	at, th := noon, newThrottle()
	for want, n := 2*time.Second, 0; n < 8; n++ {
		for len(th.accounts) == 0 || th.accounts[secret.Key("x")].n < ofAccount.free+n {
			th.failed("x", "", at)
		}
		if got := th.wait("x", "elsewhere", at); got != min(want, time.Minute) {
			t.Errorf("after %d: %s, want %s", n, got, want)
		}
		want *= 2
	}
	for range ofAddress.free {
		th.failed(secret.New(), "203.0.113.9", at)
	}
	if th.wait("fresh", "203.0.113.9", at) != ofAddress.first || th.wait("fresh", "198.51.100.7", at) != 0 {
		t.Error("an address that tries many accounts does not wait, or others do")
	}
}

func TestJoinByLink(t *testing.T) {
	f := newFixture(t)
	f.loopback = false
	_, err := f.store.AddUser(t.Context(), faultline.User{Name: "anna", Role: faultline.RoleAdmin, CreatedAt: noon}, "")
	must(t, err)
	token := secret.New()
	must(t, f.store.PutInvite(t.Context(), secret.Key(token), "anna", noon.Add(time.Hour)))
	join := func(token, password, again string) answered {
		return f.form("/join", url.Values{"token": {token}, "password": {password}, "again": {again}}.Encode())
	}
	for range 2 { // looking does not use it up
		if a := f.get("/join?token=" + token); a.code != http.StatusOK || !strings.Contains(a.body, "You are anna") || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Fatalf("%d %s", a.code, a.body)
		}
	}
	for _, c := range []struct {
		token, password, again string
		code                   int
	}{{secret.New(), goodPassword, goodPassword, 401}, {"x", goodPassword, goodPassword, 401}, {token, "short", "short", 400}, {token, goodPassword, goodPassword + "x", 400}, {token, "password123", "password123", 400}} {
		if a := join(c.token, c.password, c.again); a.code != c.code {
			t.Errorf("%+v: %d", c, a.code)
		}
	}
	a := join(token, goodPassword, goodPassword)
	if a.code != http.StatusSeeOther || f.do(http.MethodGet, "/", "", cookieOf(a)).code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if a := join(token, goodPassword, goodPassword); a.code != http.StatusUnauthorized {
		t.Errorf("used twice: %d", a.code)
	}
	if a := f.form("/login", url.Values{"name": {"anna"}, "password": {goodPassword}}.Encode()); a.code != http.StatusSeeOther {
		t.Errorf("login: %d", a.code)
	}
	old := secret.New()
	must(t, f.store.PutInvite(t.Context(), secret.Key(old), "anna", noon))
	if a := f.get("/join?token=" + old); a.code != http.StatusUnauthorized {
		t.Errorf("expired: %d", a.code)
	}
	all := f.audit(t)
	if e := all[len(all)-1]; e.By != "anna" || e.Via != "link" || e.Action != "POST /join" || e.Change != "set password by a link" || e.Request != "" {
		t.Errorf("%+v", e)
	}
}

// TestTokens shows that a token is kept as a digest only, holds no more than it was given nor than its user has now,
// and ends.
func TestTokens(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.login(t, "boss", faultline.RoleAdmin)
	f.login(t, "anna", faultline.RoleAgent, "plant-3", "clinic")
	anna, err := f.store.User(t.Context(), "anna")
	must(t, err)
	give := func(want faultline.Token) as {
		v, err := want.For(&anna, secret.ID(), noon, 30)
		must(t, err)
		token := secret.NewToken()
		must(t, f.store.AddToken(t.Context(), secret.Key(token), v))
		return header("Authorization", "Bearer "+token)
	}
	reads, works := give(faultline.Token{Name: "board", Role: faultline.RoleViewer, Sites: []string{"clinic"}}), give(faultline.Token{Name: "desk"})
	ask := func(who as, method, path, body string) int { return f.do(method, path, body, who).code }
	for _, c := range []struct {
		what, method, path, body string
		who                      as
		code                     int
	}{
		{"reads", http.MethodGet, "/api/v1/assets/clinic/U-1", "", reads, 200},
		{"not another site", http.MethodGet, "/api/v1/assets/plant-3/P-101", "", reads, 404},
		{"no change by a viewer's", http.MethodPost, "/api/v1/tickets/T-000003/comments", `{"text":"x"}`, reads, 403},
		{"the user's own role and sites", http.MethodPost, "/api/v1/tickets/T-000001/comments", `{"text":"x"}`, works, 200},
		{"nothing of an admin's", http.MethodGet, "/api/v1/audit", "", works, 403},
		{"an unknown one", http.MethodGet, "/api/v1/tickets", "", header("Authorization", "Bearer "+secret.NewToken()), 401},
	} {
		if got := ask(c.who, c.method, c.path, c.body); got != c.code {
			t.Errorf("%s: %d, want %d", c.what, got, c.code)
		}
	}
	_, err = f.store.ChangeUser(t.Context(), "anna", 0, func(u *faultline.User) error { u.Sites = []string{"plant-3"}; return nil })
	must(t, err)
	if got := ask(reads, http.MethodGet, "/api/v1/assets/clinic/U-1", ""); got != 401 {
		t.Errorf("its user lost the site: %d", got)
	}
	f.now = func() time.Time { return noon.AddDate(0, 0, 30) }
	if got := ask(works, http.MethodGet, "/api/v1/tickets", ""); got != 401 {
		t.Errorf("expired: %d", got)
	}
	f.now = func() time.Time { return noon }
	_, err = f.store.ChangeUser(t.Context(), "anna", 0, func(u *faultline.User) error { u.Disabled = true; return nil })
	must(t, err)
	if got := ask(works, http.MethodGet, "/api/v1/tickets", ""); got != 401 {
		t.Errorf("its user is disabled: %d", got)
	}
	for _, bad := range []struct {
		faultline.Token
		days int
	}{{faultline.Token{Name: "x", Role: faultline.RoleAdmin}, 30}, {faultline.Token{Role: faultline.RoleAgent}, 30}, {faultline.Token{Name: "x"}, 367}, {faultline.Token{Name: "x"}, 0}, {faultline.Token{Name: "x", Sites: []string{"elsewhere"}}, 1}} {
		if v, err := bad.For(&anna, "i", noon, bad.days); err == nil {
			t.Errorf("given: %+v", v)
		}
	}
}

// TestNoSecretIsTold logs in, joins and uses a token with a log and an audit that must hold none of what opens something.
func TestNoSecretIsTold(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, func(o *Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	f.populate(t)
	f.withPassword(t, "anna", goodPassword, faultline.RoleAdmin)
	link, token, other := secret.New(), secret.NewToken(), "wednesday-valve-oil"
	must(t, f.store.As(nil).PutInvite(t.Context(), secret.Key(link), "anna", noon.Add(time.Hour)))
	anna, err := f.store.User(t.Context(), "anna")
	must(t, err)
	v, err := faultline.Token{Name: "board"}.For(&anna, "t1", noon, 1)
	must(t, err)
	must(t, f.store.AddToken(t.Context(), secret.Key(token), v))
	a := f.form("/login", url.Values{"name": {"anna"}, "password": {goodPassword}}.Encode())
	f.form("/login", url.Values{"name": {"anna"}, "password": {goodPassword + "x"}}.Encode())
	session, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Set-Cookie"), f.cookieName()+"="), ";")
	b := f.form("/join", url.Values{"token": {link}, "password": {other}, "again": {other}}.Encode())
	f.do(http.MethodPost, "/api/v1/tickets/T-000001/comments", `{"text":"x"}`, header("Authorization", "Bearer "+token))
	f.do(http.MethodPost, "/api/v1/tickets/T-000001/move", `{"to":"closed"}`, header("Authorization", "Bearer "+token))
	f.do(http.MethodPost, "/logout", "", cookieOf(b))
	if a.code != http.StatusSeeOther || b.code != http.StatusSeeOther {
		t.Fatalf("%d %d", a.code, b.code)
	}
	hash := ""
	_, hash, err = f.store.UserSecret(t.Context(), "anna")
	must(t, err)
	told := log.String()
	entries := f.audit(t)
	for _, e := range entries {
		told += strings.Join([]string{e.By, e.Via, e.From, e.Action, e.Object, e.Change, e.Before, e.After, e.Request, e.Outcome, e.Detail}, "\n")
	}
	if len(entries) < 5 || !strings.Contains(told, "anna") {
		t.Fatalf("%d entries", len(entries))
	}
	body := url.Values{"name": {"anna"}, "password": {goodPassword}}.Encode()
	for what, s := range map[string]string{"password": goodPassword, "new password": other, "hash": hash, "session": session, "its digest": secret.Key(session), "link": link, "digest of the link": secret.Key(link), "token": token, "digest of the token": secret.Key(token), "digest of a form with a password": faultline.AuditHash([]byte(body))} {
		if s == "" || strings.Contains(told, s) {
			t.Errorf("the %s is in the log or the audit", what)
		}
	}
}
