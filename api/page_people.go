package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

// peoplePages are pages about users, teams, tokens and the audit, and the forms on them.
func (s *Server) peoplePages() []route {
	get := func(path string, who right, handle func(*call) (any, error)) route {
		return route{method: http.MethodGet, path: path, role: who, media: mediaHTML, handle: handle}
	}
	post := func(path string, who right, handle func(*call) (any, error)) route {
		return route{method: http.MethodPost, path: path, role: who, media: mediaHTML, handle: handle}
	}
	return []route{
		get("/me", anyUser, s.mePage), hush(post("/me/password", anyUser, s.passwordForm)), post("/me/sessions/end", anyUser, s.endSessionsForm),
		get("/tokens", anyUser, s.tokensPage), post("/tokens", anyUser, s.tokenForm), post("/tokens/:token/revoke", anyUser, s.revokeForm),
		get("/users", admin, s.usersPage), post("/users", admin, s.userForm), get("/users/:user", admin, s.userPage), post("/users/:user", admin, s.userChangeForm),
		post("/users/:user/link", admin, s.inviteForm), post("/users/:user/logout", admin, s.userLogoutForm),
		get("/teams", admin, s.teamsPage), post("/teams", admin, s.teamForm),
		get("/audit", admin, s.auditPage),
	}
}

func userHref(name string) string { return "/users/" + url.PathEscape(name) }

// answerForm leads on with a notice of what a form did, or back to where it came from with what was refused.
func (s *Server) answerForm(c *call, to string, done console.Notice, err error) (any, error) {
	if err != nil {
		n, fault := c.refused(err)
		if fault != nil {
			return nil, err
		}
		done = n
	}
	return s.back(to, done), nil
}

func siteText(sites []string) string {
	if len(sites) == 0 {
		return console.Text("All sites")
	}
	return strings.Join(sites, ", ")
}

func (m *rows) user(u *faultline.User) console.UserRow {
	v := console.UserRow{Href: userHref(u.Name), Name: u.Name, Called: u.Display, Mail: u.Mail, Phone: u.Phone, Role: word(string(u.Role)), Sites: siteText(u.Sites), PasswordAt: m.At(u.PasswordAt), Disabled: u.Disabled,
		State: console.Pill{Tone: "normal", Text: console.Text("May log in")}}
	switch {
	case u.Disabled:
		v.State = console.Pill{Tone: "quiet", Text: console.Text("Disabled")}
	case u.PasswordAt.IsZero():
		v.State = console.Pill{Tone: "warning", Text: console.Text("No password yet")}
	}
	return v
}

func roleOptions(chosen faultline.Role) (out []console.Option) {
	for _, r := range faultline.Roles {
		out = append(out, console.Option{Value: string(r), Text: word(string(r)), Chosen: r == chosen})
	}
	return out
}

func languageOptions(chosen string) (out []console.Option) {
	for _, l := range faultline.Languages {
		out = append(out, console.Option{Value: l, Text: word(l), Chosen: l == chosen})
	}
	return out
}

func siteChoice(b *contents, chosen []string) (out []console.Option) {
	for i := range b.sites {
		out = append(out, console.Option{Value: b.sites[i].ID, Text: b.siteName(b.sites[i].ID), Chosen: slices.Contains(chosen, b.sites[i].ID)})
	}
	return out
}

func (s *Server) usersPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	users, err := c.store.Users(c.Request.Context())
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	v := console.Users{Form: console.UserForm{Roles: roleOptions(faultline.RoleTechnician), Sites: siteChoice(&b, nil), Languages: languageOptions("en")}}
	for i := range users {
		v.Rows = append(v.Rows, m.user(&users[i]))
	}
	return framed{shell: s.shell(c, "users", "Users", "", 0), view: v}, nil
}

// formUser reads the fields of a user's form.
func formUser(c *call) NewUser {
	_ = c.Request.ParseForm() // what cannot be read is missing
	return NewUser{Name: c.PostForm("name"), Role: faultline.Role(c.PostForm("role")), Sites: c.Request.PostForm["site"], Display: c.PostForm("display"), Mail: c.PostForm("mail"), Phone: c.PostForm("phone"), Language: c.PostForm("language")}
}

// linkNotice shows a link, once.
func (s *Server) linkNotice(v Invited) console.Notice {
	m := console.Maker{Now: s.now(), Location: s.location}
	return console.Notice{Text: console.Text("Give this link to %s. It sets a password, once, until %s, and is shown only now.", v.User.Name, m.At(v.Until).Full), Items: []string{v.Link}}
}

func (s *Server) userForm(c *call) (any, error) {
	r := formUser(c)
	v, err := s.addUser(c, &r)
	return s.answerForm(c, "/users", s.linkNotice(v), err)
}

func (s *Server) userPage(c *call) (any, error) {
	ctx := c.Request.Context()
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	u, err := c.store.User(ctx, c.Param("user"))
	if err != nil {
		return nil, err
	}
	sessions, err := c.store.Sessions(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	tokens, err := c.store.Tokens(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	m := s.rows(c, &b)
	v := console.User{Row: m.user(&u), Version: u.Version, Self: u.Name == c.by, Sessions: m.sessions(sessions), Tokens: m.tokens(c, tokens),
		Form: console.UserForm{Display: u.Display, Mail: u.Mail, Phone: u.Phone, Roles: roleOptions(u.Role), Sites: siteChoice(&b, u.Sites), Languages: languageOptions(u.Language)}}
	return framed{shell: s.shell(c, "users", u.Name, "", 0), view: v}, nil
}

func (s *Server) userChangeForm(c *call) (any, error) {
	version, err := formInteger(c, "version")
	if err != nil {
		return nil, err
	}
	r := UserChange{Version: version}
	switch c.PostForm("do") {
	case "disable", "enable":
		r.Disabled = new(c.PostForm("do") == "disable")
	case "change":
		f := formUser(c)
		if f.Sites == nil {
			f.Sites = []string{}
		}
		r.Role, r.Sites, r.Display, r.Mail, r.Phone, r.Language = &f.Role, &f.Sites, &f.Display, &f.Mail, &f.Phone, &f.Language
	default:
		return nil, invalid("do: %q: use change, disable or enable", short(c.PostForm("do")))
	}
	u, err := s.changeUser(c, &r)
	return s.answerForm(c, userHref(c.Param("user")), console.Notice{Text: console.Text("%s changed", u.Name)}, err)
}

func (s *Server) inviteForm(c *call) (any, error) {
	out, err := s.postInvite(c)
	v, _ := out.(Invited) // nothing if it was refused
	return s.answerForm(c, userHref(c.Param("user")), s.linkNotice(v), err)
}

func (s *Server) userLogoutForm(c *call) (any, error) {
	_, err := s.postUserLogout(c)
	return s.answerForm(c, userHref(c.Param("user")), console.Notice{Text: console.Text("All sessions have ended")}, err)
}

func (m *rows) sessions(all []faultline.Session) (out []console.SessionRow) {
	for i := range all {
		v := &all[i]
		out = append(out, console.SessionRow{From: v.From, Agent: clip(v.Agent), Began: m.At(v.CreatedAt), Seen: m.At(v.SeenAt), Until: m.At(v.Until)})
	}
	return out
}

func (m *rows) tokens(c *call, all []faultline.Token) (out []console.TokenRow) {
	for i := range all {
		t := &all[i]
		out = append(out, console.TokenRow{ID: t.ID, User: t.User, Name: t.Name, Role: word(string(t.Role)), Sites: siteText(t.Sites), Made: m.At(t.CreatedAt), Expires: m.At(t.ExpiresAt), Used: m.At(t.LastUsedAt),
			Expired: !c.now.Before(t.ExpiresAt), Revoke: "/tokens/" + url.PathEscape(t.ID) + "/revoke", Back: c.Request.URL.Path})
	}
	return out
}

func (s *Server) tokensPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	who := c.who.user.Name
	v := console.Tokens{All: c.who.role == faultline.RoleAdmin, Form: console.TokenForm{Sites: siteChoice(&b, nil)}}
	if v.All {
		who = ""
	}
	tokens, err := c.store.Tokens(c.Request.Context(), who)
	if err != nil {
		return nil, err
	}
	if v.May = c.person() == nil; v.May {
		for _, r := range faultline.Roles {
			if c.who.role.MayDelegate(r) {
				v.Form.Roles = append(v.Form.Roles, console.Option{Value: string(r), Text: word(string(r)), Chosen: r == c.who.role})
			}
		}
	}
	v.Rows = s.rows(c, &b).tokens(c, tokens)
	return framed{shell: s.shell(c, "users", "API tokens", "", 0), view: v}, nil
}

func (s *Server) tokenForm(c *call) (any, error) {
	days, err := formInteger(c, "days")
	if err != nil {
		return nil, err
	}
	r := NewToken{Name: c.PostForm("name"), Role: faultline.Role(c.PostForm("role")), Sites: formUser(c).Sites, Days: days}
	made, err := s.makeToken(c, &r)
	return s.answerForm(c, "/tokens", console.Notice{Text: console.Text("This is the token. It is shown only now."), Items: []string{made.Secret}}, err)
}

func (s *Server) revokeForm(c *call) (any, error) {
	t, err := c.store.RevokeToken(c.Request.Context(), c.Param("token"))
	to := c.PostForm("back")
	if to == "" {
		to = "/tokens"
	}
	return s.answerForm(c, to, console.Notice{Text: console.Text("Token %s revoked", t.Name)}, err)
}

func (s *Server) mePage(c *call) (any, error) {
	sessions := []faultline.Session{}
	if c.who.user.Name != "" {
		var err error
		if sessions, err = c.store.Sessions(c.Request.Context(), c.who.user.Name); err != nil {
			return nil, err
		}
	}
	m := &rows{Maker: console.Maker{Now: c.now, Location: s.location}}
	v := console.Me{Name: c.by, Called: c.who.user.Display, Role: word(string(c.who.role)), Sites: siteText(c.who.sites), PasswordAt: m.At(c.who.user.PasswordAt), May: c.person() == nil, Sessions: m.sessions(sessions)}
	return framed{shell: s.shell(c, "me", "You", "", 0), view: v}, nil
}

func (s *Server) passwordForm(c *call) (any, error) {
	next := c.PostForm("new")
	var err error
	if next != c.PostForm("again") {
		err = invalid("the two new passwords differ")
	} else {
		err = s.setPassword(c, c.PostForm("old"), next)
	}
	var wait *status
	if errors.As(err, &wait) {
		return nil, err
	}
	return s.answerForm(c, "/me", console.Notice{Text: console.Text("Your password is changed; your other sessions have ended")}, err)
}

func (s *Server) endSessionsForm(c *call) (any, error) {
	_, err := s.postEndSessions(c)
	return s.answerForm(c, "/me", console.Notice{Text: console.Text("Your other sessions have ended")}, err)
}

func (s *Server) teamsPage(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	teams, err := c.store.Teams(c.Request.Context())
	if err != nil {
		return nil, err
	}
	users, err := c.store.Users(c.Request.Context())
	if err != nil {
		return nil, err
	}
	form := func(t *faultline.Team) console.TeamForm {
		f := console.TeamForm{ID: t.ID, Name: t.Name, Lead: t.Lead, Version: t.Version, Sites: siteChoice(&b, t.Sites)}
		for i := range users {
			in := slices.Contains(t.Members, users[i].Name)
			if !users[i].Disabled || in {
				f.Members = append(f.Members, console.Option{Value: users[i].Name, Text: users[i].Called(), Chosen: in})
			}
		}
		return f
	}
	v := console.Teams{New: form(&faultline.Team{})}
	for i := range teams {
		v.Rows = append(v.Rows, console.TeamRow{TeamForm: form(&teams[i]), SiteText: siteText(teams[i].Sites), MemberText: strings.Join(teams[i].Members, ", ")})
	}
	return framed{shell: s.shell(c, "users", "Teams", "", 0), view: v}, nil
}

func (s *Server) teamForm(c *call) (any, error) {
	version, err := formInteger(c, "version")
	if err != nil {
		return nil, err
	}
	t := faultline.Team{ID: c.PostForm("id"), Name: c.PostForm("name"), Lead: c.PostForm("lead"), Sites: c.Request.PostForm["site"], Members: c.Request.PostForm["member"], Version: version}
	if t.Members == nil {
		t.Members = []string{}
	}
	t, err = c.store.PutTeam(c.Request.Context(), t)
	return s.answerForm(c, "/teams", console.Notice{Text: console.Text("Team %s saved", t.Name)}, err)
}

func (s *Server) auditPage(c *call) (any, error) {
	ctx, at := c.Request.Context(), offset(c)
	entries, total, err := c.store.AuditEntries(ctx, store.AuditFilter{By: c.Query("by"), Outcome: c.Query("outcome"), Text: c.Query("text"), Limit: pageRows, Offset: at})
	if err != nil {
		return nil, err
	}
	head, err := c.store.AuditHead(ctx)
	if err != nil {
		return nil, err
	}
	m := console.Maker{Now: c.now, Location: s.location}
	v := console.Audit{By: c.Query("by"), Text: c.Query("text"), Outcomes: options("Any outcome", faultline.Outcomes, c.Query("outcome"), word), Pager: pager(c, total, pageRows, at, "entries")}
	if head.N > 0 {
		v.Head = strconv.FormatInt(head.N, 10) + ":" + head.Hash
	}
	for i := range entries {
		e := &entries[i]
		row := console.AuditRow{N: e.N, At: m.At(e.At), By: e.By, Via: e.Via, From: e.From, Role: string(e.Role), Action: e.Action, Object: e.Object, Change: e.Change, Before: clip(e.Before), After: clip(e.After), Detail: e.Detail,
			Outcome: console.Pill{Tone: "normal", Text: word(e.Outcome)}}
		switch e.Outcome {
		case faultline.OutcomeDenied, faultline.OutcomeFailed:
			row.Outcome.Tone = "critical"
		case faultline.OutcomeRefused, faultline.OutcomePending:
			row.Outcome.Tone = "warning"
		}
		v.Rows = append(v.Rows, row)
	}
	return framed{shell: s.shell(c, "users", "Audit", "", 0), view: v}, nil
}
