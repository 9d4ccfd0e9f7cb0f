package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/secret"
)

// people adds a technician and a token of hers for those who ask about somebody.
func (f *fixture) people(t testing.TB) {
	t.Helper()
	_, err := f.store.AddUser(t.Context(), faultline.User{Name: "zoe", Role: faultline.RoleTechnician, CreatedAt: noon}, "")
	must(t, err)
	must(t, f.store.AddToken(t.Context(), "key", faultline.Token{ID: "tok-1", User: "zoe", Name: "phone", Role: faultline.RoleTechnician, CreatedAt: noon, ExpiresAt: noon.AddDate(0, 1, 0)}))
}

func (f *fixture) formAs(who as, path string, fields url.Values) answered {
	return f.do(http.MethodPost, path, fields.Encode(), who, header("Content-Type", "application/x-www-form-urlencoded"))
}

// TestUserLife goes through a user's life on the pages: added, let in by a link, changed, disabled.
func TestUserLife(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	boss := f.login(t, "boss", faultline.RoleAdmin)
	a := f.formAs(boss, "/users", url.Values{"name": {"Kim"}, "role": {"technician"}, "site": {"plant-3"}, "display": {"Kim <Lee>"}, "mail": {"kim@example.com"}, "language": {"zh"}})
	page := f.do(http.MethodGet, a.header.Get("Location"), "", boss).body
	at := strings.Index(page, "/join?token=")
	if a.code != http.StatusSeeOther || at < 0 || !strings.Contains(page, "Kim &lt;Lee&gt;") || !strings.Contains(page, "No password yet") {
		t.Fatalf("%d %s", a.code, page)
	}
	token := page[at+len("/join?token="):][:52]
	if again := f.do(http.MethodGet, "/users", "", boss).body; strings.Contains(again, token) {
		t.Error("the link is shown twice")
	}
	joined := f.form("/join", url.Values{"token": {token}, "password": {goodPassword}, "again": {goodPassword}}.Encode())
	kim := cookieOf(joined)
	if a := f.do(http.MethodGet, "/api/v1/me", "", kim); !strings.Contains(a.body, `"name":"kim"`) || !strings.Contains(a.body, `"sites":["plant-3"]`) || !strings.Contains(a.body, `"technician"`) || strings.Contains(a.body, `"admin"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := f.do(http.MethodGet, "/assets/clinic/U-1", "", kim); a.code != http.StatusNotFound {
		t.Errorf("another site: %d", a.code)
	}
	// The form that changes her knows when somebody was faster, and leaves nobody without an admin.
	change := url.Values{"do": {"change"}, "version": {"1"}, "role": {"agent"}, "site": {"clinic"}}
	if a := f.formAs(boss, "/users/kim", change); !strings.Contains(f.do(http.MethodGet, a.header.Get("Location"), "", boss).body, "was changed meanwhile") {
		t.Error("an old version was taken")
	}
	change.Set("version", "2") // setting the password was a change
	f.formAs(boss, "/users/kim", change)
	if a := f.do(http.MethodGet, "/api/v1/me", "", kim); !strings.Contains(a.body, `"sites":["clinic"]`) || !strings.Contains(a.body, `"role":"agent"`) {
		t.Errorf("%s", a.body)
	}
	if a := f.formAs(boss, "/users/boss", url.Values{"do": {"disable"}, "version": {"1"}}); !strings.Contains(f.do(http.MethodGet, a.header.Get("Location"), "", boss).body, "cannot disable yourself") {
		t.Error("an admin disabled themselves")
	}
	f.formAs(boss, "/users/kim", url.Values{"do": {"disable"}, "version": {"3"}})
	if a := f.do(http.MethodGet, "/api/v1/me", "", kim); a.code != http.StatusUnauthorized {
		t.Errorf("disabled: %d", a.code)
	}
	if a := f.form("/login", url.Values{"name": {"kim"}, "password": {goodPassword}}.Encode()); a.code != http.StatusUnauthorized {
		t.Errorf("disabled: %d", a.code)
	}
	if a := f.do(http.MethodPost, "/api/v1/users/kim/link", "{}", boss); a.code != http.StatusUnprocessableEntity {
		t.Errorf("a link for one who is disabled: %d %s", a.code, a.body)
	}
	if body := f.do(http.MethodGet, "/audit?by=boss&text=kim", "", boss).body; !strings.Contains(body, "POST /users/:user") || strings.Contains(body, token) {
		t.Errorf("%s", body)
	}
}

func TestPasswordChange(t *testing.T) {
	f := newFixture(t)
	f.withPassword(t, "anna", goodPassword, faultline.RoleAgent)
	here, there := f.session(t, "anna", noon), f.session(t, "anna", noon)
	const next = "wednesday-valve-oil"
	change := func(old, new, again string) string {
		a := f.formAs(here, "/me/password", url.Values{"old": {old}, "new": {new}, "again": {again}})
		return f.do(http.MethodGet, a.header.Get("Location"), "", here).body
	}
	for _, c := range [][4]string{{"wrong", next, next, "old password is wrong"}, {goodPassword, next, next + "x", "differ"}, {goodPassword, "short", "short", "10 characters"}} {
		if body := change(c[0], c[1], c[2]); !strings.Contains(body, c[3]) {
			t.Errorf("%v", c)
		}
	}
	if !strings.Contains(change(goodPassword, next, next), "Your password is changed") {
		t.Error("not changed")
	}
	if a, b := f.do(http.MethodGet, "/me", "", here), f.do(http.MethodGet, "/me", "", there); a.code != http.StatusOK || b.code != http.StatusUnauthorized {
		t.Errorf("this session %d, the other %d", a.code, b.code)
	}
	if _, hash, _ := f.store.UserSecret(t.Context(), "anna"); hash == "" {
		t.Error("no hash")
	} else if ok, _ := secret.Verify(next, hash); !ok {
		t.Error("another password was set")
	}
	// A token is no person; guesses at the old password are throttled as logins are.
	anna, err := f.store.User(t.Context(), "anna")
	must(t, err)
	v, err := faultline.Token{Name: "x"}.For(&anna, "x", noon, 1)
	must(t, err)
	token := secret.NewToken()
	must(t, f.store.AddToken(t.Context(), secret.Key(token), v))
	for _, path := range []string{"/api/v1/me/password", "/api/v1/tokens"} {
		if a := f.do(http.MethodPost, path, bodyOf(path), header("Authorization", "Bearer "+token)); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "log in") {
			t.Errorf("%s by a token: %d %s", path, a.code, a.body)
		}
	}
	code := 0
	for range ofAccount.free + 1 {
		code = f.do(http.MethodPost, "/api/v1/me/password", `{"old":"wrong","new":"`+goodPassword+`"}`, here).code
	}
	if code != http.StatusTooManyRequests {
		t.Errorf("guessing: %d", code)
	}
}

// TestOnesOwnTokens shows a token once, and lets nobody but its user and admins see or end it.
func TestOnesOwnTokens(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.people(t)
	anna, ben, boss := f.login(t, "anna", faultline.RoleAgent), f.login(t, "ben", faultline.RoleAgent), f.login(t, "boss", faultline.RoleAdmin)
	made := decode[MadeToken](t, f.do(http.MethodPost, "/api/v1/tokens", `{"name":"board","role":"viewer","sites":["clinic"],"days":7}`, anna))
	if !strings.HasPrefix(made.Secret, "flt_") || made.Token.Role != faultline.RoleViewer || !made.Token.ExpiresAt.Equal(noon.AddDate(0, 0, 7)) {
		t.Fatalf("%+v", made)
	}
	if a := f.do(http.MethodGet, "/api/v1/tokens", "", anna); strings.Contains(a.body, made.Secret) || !strings.Contains(a.body, made.Token.ID) || strings.Contains(a.body, "tok-1") {
		t.Errorf("%s", a.body)
	}
	for _, path := range []string{"/api/v1/tokens?user=anna", "/api/v1/tokens?user=all", "/api/v1/users/anna"} {
		if a := f.do(http.MethodGet, path, "", ben); a.code != http.StatusForbidden {
			t.Errorf("%s as another: %d", path, a.code)
		}
	}
	if a := f.do(http.MethodPost, "/api/v1/tokens/"+made.Token.ID+"/revoke", "", ben); a.code != http.StatusNotFound {
		t.Errorf("another's: %d", a.code)
	}
	if a := f.do(http.MethodPost, "/api/v1/tokens", `{"name":"more","role":"admin"}`, anna); a.code != http.StatusUnprocessableEntity {
		t.Errorf("more than its user: %d %s", a.code, a.body)
	}
	if a := f.do(http.MethodGet, "/tokens", "", boss); !strings.Contains(a.body, "tok-1") || !strings.Contains(a.body, made.Token.ID) {
		t.Error("an admin does not see all tokens")
	}
	if a := f.formAs(boss, "/tokens/"+made.Token.ID+"/revoke", nil); a.code != http.StatusSeeOther {
		t.Errorf("%d", a.code)
	}
	if a := f.do(http.MethodGet, "/api/v1/tickets", "", header("Authorization", "Bearer "+made.Secret)); a.code != http.StatusUnauthorized {
		t.Errorf("revoked: %d", a.code)
	}
}

// TestAssigneesAreUsers shows that work goes to those who may do it, as soon as there are users.
func TestAssigneesAreUsers(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	assign := func(to string, who as) answered {
		return f.do(http.MethodPost, "/api/v1/tickets/T-000001/amend", `{"assignee":"`+to+`"}`, who)
	}
	if a := assign("somebody", func(*http.Request) {}); a.code != http.StatusOK {
		t.Fatalf("before there are users: %d %s", a.code, a.body)
	}
	boss := f.login(t, "boss", faultline.RoleAdmin)
	f.login(t, "zoe", faultline.RoleTechnician)
	f.login(t, "far", faultline.RoleTechnician, "clinic")
	f.login(t, "cust", faultline.RoleCustomer, "plant-3")
	if a := f.formAs(boss, "/teams", url.Values{"id": {"pumps"}, "name": {"Pumps"}, "member": {"zoe"}, "lead": {"zoe"}, "site": {"plant-3"}, "version": {"0"}}); a.code != http.StatusSeeOther || !strings.Contains(f.do(http.MethodGet, "/teams", "", boss).body, "led by zoe") {
		t.Errorf("%d", a.code)
	}
	for who, caller := range map[faultline.Role]as{faultline.RoleAdmin: boss, faultline.RoleViewer: f.login(t, "vera", faultline.RoleViewer), faultline.RoleCustomer: f.login(t, "cora", faultline.RoleCustomer, "plant-3")} {
		page, wants := f.do(http.MethodGet, "/tickets/T-000001", "", caller), who == faultline.RoleAdmin // others need not know who works here
		if page.code != http.StatusOK || strings.Contains(page.body, `<option value="zoe">`) != wants || strings.Contains(page.body, `id="amend"`) != wants {
			t.Errorf("%s: %d, or the form of corrections is shown where it is not wanted, or the other way", who, page.code)
		}
	}
	if form := f.do(http.MethodGet, "/tickets/new", "", boss).body; !strings.Contains(form, `<option value="far">`) {
		t.Error("a form without a site does not offer those of all sites")
	}
	for to, code := range map[string]int{"zoe": 200, "pumps": 200, "": 200, "far": 400, "cust": 400, "nobody": 400} {
		if a := assign(to, boss); a.code != code || code == 400 && !strings.Contains(a.body, "pumps") {
			t.Errorf("%q: %d %s", to, a.code, a.body)
		}
	}
}
