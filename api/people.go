package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/secret"
)

// Me is who asks.
type Me struct {
	Name       string         `json:"name" about:"local: on this machine, before there are users"`
	Display    string         `json:"display,omitempty"`
	Role       faultline.Role `json:"role"`
	Sites      []string       `json:"sites" about:"what they see; empty: all"`
	Language   string         `json:"language,omitempty"`
	Via        string         `json:"via" about:"session, token and its name, link or local"`
	Rights     []string       `json:"rights" about:"what routes ask for, as x-role in this document"`
	PasswordAt time.Time      `json:"password_at,omitzero" about:"when the password was set last"`
}

// NewPassword is the request to change one's password.
type NewPassword struct {
	Old string `json:"old"`
	New string `json:"new" about:"10 characters or more"`
}

// NewUser is the request to add a user.
type NewUser struct {
	Name     string         `json:"name" about:"a-z, 0-9 and . _ - @; it is never changed"`
	Role     faultline.Role `json:"role"`
	Sites    []string       `json:"sites,omitempty" about:"what they see; empty: all"`
	Display  string         `json:"display,omitempty"`
	Mail     string         `json:"mail,omitempty"`
	Phone    string         `json:"phone,omitempty"`
	Language string         `json:"language,omitempty" about:"en or zh"`
}

// UserChange is the request to change a user. What is left out stays as it is.
type UserChange struct {
	Role     *faultline.Role `json:"role,omitempty"`
	Sites    *[]string       `json:"sites,omitempty"`
	Display  *string         `json:"display,omitempty"`
	Mail     *string         `json:"mail,omitempty"`
	Phone    *string         `json:"phone,omitempty"`
	Language *string         `json:"language,omitempty"`
	Disabled *bool           `json:"disabled,omitempty" about:"true ends all sessions and stops all tokens"`
	Version  int             `json:"version,omitempty" about:"the version seen; 0 takes whatever is there"`
}

// Invited is a user with a one-time link that sets a password.
type Invited struct {
	User  faultline.User `json:"user"`
	Link  string         `json:"link" about:"shown this once"`
	Until time.Time      `json:"until"`
}

// NewToken is the request to make a token of one's own.
type NewToken struct {
	Name  string         `json:"name" about:"what it is for"`
	Role  faultline.Role `json:"role,omitempty" about:"one's own unless given, or viewer"`
	Sites []string       `json:"sites,omitempty" about:"empty: one's own"`
	Days  int            `json:"days,omitempty" about:"until it expires, 1 to 366; 90 unless given"`
}

// MadeToken is a token with its secret.
type MadeToken struct {
	Token  faultline.Token `json:"token"`
	Secret string          `json:"secret" about:"shown this once; sent as Authorization: Bearer"`
}

// peopleRoutes are the lines of the table about users, what they log in with, and teams.
func (s *Server) peopleRoutes() []route {
	get := func(path, summary string, who right, response any, handle func(*call) (any, error), params ...param) route {
		return route{method: http.MethodGet, path: base + path, tag: tagPeople, summary: summary, role: who, response: response, handle: handle, params: params}
	}
	post := func(path, summary string, who right, request, response any, handle func(*call) (any, error)) route {
		return route{method: http.MethodPost, path: base + path, tag: tagPeople, summary: summary, role: who, request: request, response: response, handle: handle}
	}
	return []route{
		get("/me", "Who asks, and what they may", anyUser, Me{}, s.getMe),
		hush(post("/me/password", "Change one's own password; all other sessions end", anyUser, NewPassword{}, Me{}, s.postPassword)),
		get("/me/sessions", "One's own sessions", anyUser, Page[faultline.Session]{}, s.listSessions),
		post("/me/sessions/end", "End all of one's other sessions", anyUser, nil, Page[faultline.Session]{}, s.postEndSessions),
		get("/tokens", "One's own API tokens; an admin may ask for anybody's", anyUser, Page[faultline.Token]{}, s.listTokens, param{name: "user", about: "of this user; all: of everybody"}),
		post("/tokens", "Make an API token of one's own", anyUser, NewToken{}, MadeToken{}, s.postToken),
		post("/tokens/:token/revoke", "End an API token", anyUser, nil, faultline.Token{}, s.postRevoke),
		get("/users", "Users", admin, Page[faultline.User]{}, s.listUsers),
		post("/users", "Add a user, who sets a password by a one-time link", admin, NewUser{}, Invited{}, s.postUser),
		get("/users/:user", "One user", admin, faultline.User{}, s.getUser),
		post("/users/:user", "Change or disable a user", admin, UserChange{}, faultline.User{}, s.postUserChange),
		post("/users/:user/link", "Make a one-time link by which a user sets a password", admin, nil, Invited{}, s.postInvite),
		post("/users/:user/logout", "End all sessions of a user", admin, nil, faultline.User{}, s.postUserLogout),
		get("/teams", "Teams", viewer, Page[faultline.Team]{}, s.listTeams),
		post("/teams", "Add a team (version 0), or change one", admin, faultline.Team{}, faultline.Team{}, s.postTeam),
	}
}

func (s *Server) me(c *call) Me {
	m := Me{Name: c.by, Display: c.who.user.Display, Role: c.who.role, Sites: c.who.sites, Language: c.who.user.Language, Via: c.who.via, PasswordAt: c.who.user.PasswordAt}
	if m.Sites == nil {
		m.Sites = []string{}
	}
	for r := range grants {
		if r.heldBy(c.who.role) {
			m.Rights = append(m.Rights, string(r))
		}
	}
	slices.Sort(m.Rights)
	return m
}

func (s *Server) getMe(c *call) (any, error) { return s.me(c), nil }

// person refuses what only a user at a browser may do: a program that holds a token must not make itself others, or lock
// its user out.
func (c *call) person() error {
	switch {
	case c.who.user.Name == "":
		return wrapRefused("there are no users yet: make the first with faultline user add NAME -role admin")
	case c.who.via != "session":
		return wrapRefused("a token may not do this: log in")
	}
	return nil
}

func (s *Server) setPassword(c *call, old, next string) error {
	ctx := c.Request.Context()
	if err := c.person(); err != nil {
		return err
	}
	name, from := c.by, addressOf(c.Request)
	if wait := s.throttle.wait(name, from, c.now); wait > 0 {
		c.Header("Retry-After", seconds(wait))
		return &status{http.StatusTooManyRequests, "too many wrong passwords: try again later"}
	}
	_, hashed, err := s.unscoped.UserSecret(ctx, name)
	if err != nil {
		return err
	}
	if hashed == "" {
		return wrapRefused("you have no password yet: ask an admin for a link")
	}
	if ok, err := s.hashing.verify(ctx, old, hashed); err != nil || !ok {
		if err == nil {
			s.throttle.failed(name, from, c.now)
			err = wrapRefused("the old password is wrong")
		}
		return err
	}
	if err := secret.CheckPassword(next, name); err != nil {
		return err
	}
	hash, err := s.hashing.hash(ctx, next)
	if err != nil {
		return err
	}
	return c.store.SetSecret(ctx, hash, c.now)
}

func (s *Server) postPassword(c *call) (any, error) {
	var r NewPassword
	if err := c.readJSON(&r); err != nil {
		return nil, err
	}
	if err := s.setPassword(c, r.Old, r.New); err != nil {
		return nil, err
	}
	m := s.me(c)
	m.PasswordAt = c.now
	return m, nil
}

func (s *Server) listSessions(c *call) (any, error) {
	rows := []faultline.Session{}
	var err error
	if c.who.user.Name != "" {
		rows, err = c.store.Sessions(c.Request.Context(), c.who.user.Name)
	}
	return whole(rows), err
}

func (s *Server) postEndSessions(c *call) (any, error) {
	if c.who.user.Name == "" {
		return nil, c.person()
	}
	if err := c.store.EndSessions(c.Request.Context(), c.who.user.Name); err != nil {
		return nil, err
	}
	return s.listSessions(c)
}

func (s *Server) listTokens(c *call) (any, error) {
	user := c.who.user.Name
	switch q := c.Query("user"); q {
	case "":
		if user == "" { // local: there are no users, so no tokens
			return whole([]faultline.Token{}), nil
		}
	case "all":
		user = ""
	default:
		user = q
	}
	rows, err := c.store.Tokens(c.Request.Context(), user)
	return whole(rows), err
}

func (s *Server) makeToken(c *call, r *NewToken) (MadeToken, error) {
	if err := c.person(); err != nil {
		return MadeToken{}, err
	}
	if r.Days == 0 {
		r.Days = 90
	}
	t, err := faultline.Token{Name: r.Name, Role: r.Role, Sites: r.Sites}.For(&c.who.user, secret.ID(), c.now, r.Days)
	if err != nil {
		return MadeToken{}, err
	}
	made := MadeToken{Token: t, Secret: secret.NewToken()}
	return made, c.store.AddToken(c.Request.Context(), secret.Key(made.Secret), t)
}

func (s *Server) postToken(c *call) (any, error) {
	var r NewToken
	if err := c.readJSON(&r); err != nil {
		return nil, err
	}
	return orError(s.makeToken(c, &r))
}

func (s *Server) postRevoke(c *call) (any, error) {
	return orError(c.store.RevokeToken(c.Request.Context(), c.Param("token")))
}

func (s *Server) listUsers(c *call) (any, error) {
	rows, err := c.store.Users(c.Request.Context())
	return whole(rows), err
}

func (s *Server) getUser(c *call) (any, error) {
	return orError(c.store.User(c.Request.Context(), c.Param("user")))
}

// addUser adds a user and makes a link for the first password.
func (s *Server) addUser(c *call, r *NewUser) (Invited, error) {
	u, err := c.store.AddUser(c.Request.Context(), faultline.User{Name: strings.ToLower(strings.TrimSpace(r.Name)), Role: r.Role, Sites: r.Sites, Display: strings.TrimSpace(r.Display), Mail: strings.TrimSpace(r.Mail),
		Phone: strings.TrimSpace(r.Phone), Language: r.Language, CreatedAt: c.now})
	if err != nil {
		return Invited{}, err
	}
	return s.inviteUser(c, u)
}

func (s *Server) inviteUser(c *call, u faultline.User) (Invited, error) {
	token := secret.New()
	v := Invited{User: u, Link: s.reached(c) + "/join?token=" + url.QueryEscape(token), Until: c.now.Add(faultline.InviteTime)}
	return v, c.store.PutInvite(c.Request.Context(), secret.Key(token), u.Name, v.Until)
}

// reached is the address by which the caller reached this server: others reach it by the same. The Host was checked where
// it matters (loopback); elsewhere who asks is an admin, and the link is theirs to pass on.
func (s *Server) reached(c *call) string {
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	return scheme + "://" + c.Request.Host
}

func (s *Server) postUser(c *call) (any, error) {
	var r NewUser
	if err := c.readJSON(&r); err != nil {
		return nil, err
	}
	return orError(s.addUser(c, &r))
}

func (s *Server) changeUser(c *call, r *UserChange) (faultline.User, error) {
	if r.Disabled != nil && *r.Disabled && c.Param("user") == c.who.user.Name {
		return faultline.User{}, wrapRefused("you cannot disable yourself: another admin can")
	}
	return c.store.ChangeUser(c.Request.Context(), c.Param("user"), r.Version, func(u *faultline.User) error {
		for _, f := range []struct{ to, from *string }{{&u.Display, r.Display}, {&u.Mail, r.Mail}, {&u.Phone, r.Phone}, {&u.Language, r.Language}} {
			if f.from != nil {
				*f.to = strings.TrimSpace(*f.from)
			}
		}
		if r.Role != nil {
			u.Role = *r.Role
		}
		if r.Sites != nil {
			u.Sites = *r.Sites
		}
		if r.Disabled != nil {
			u.Disabled = *r.Disabled
		}
		return nil
	})
}

func (s *Server) postUserChange(c *call) (any, error) {
	var r UserChange
	if err := c.readJSON(&r); err != nil {
		return nil, err
	}
	return orError(s.changeUser(c, &r))
}

func (s *Server) postInvite(c *call) (any, error) {
	u, err := c.store.User(c.Request.Context(), c.Param("user"))
	if err != nil {
		return nil, err
	}
	if u.Disabled {
		return nil, wrapRefused("user " + u.Name + " is disabled: enable them first")
	}
	return orError(s.inviteUser(c, u))
}

func (s *Server) postUserLogout(c *call) (any, error) {
	u, err := c.store.User(c.Request.Context(), c.Param("user"))
	if err != nil {
		return nil, err
	}
	return u, c.store.EndSessions(c.Request.Context(), u.Name)
}

func (s *Server) listTeams(c *call) (any, error) {
	rows, err := c.store.Teams(c.Request.Context())
	return whole(rows), err
}

func (s *Server) postTeam(c *call) (any, error) {
	var t faultline.Team
	if err := c.readJSON(&t); err != nil {
		return nil, err
	}
	if t.Members == nil {
		t.Members = []string{}
	}
	return orError(c.store.PutTeam(c.Request.Context(), t))
}

// checkAssignee refuses who is neither a user who works at the site nor a team that serves it; before there are users
// any name is taken.
func (c *call) checkAssignee(site, name string) error {
	name = strings.TrimSpace(name)
	if name == "" {
		return nil
	}
	names, guarded, err := c.store.Assignees(c.Request.Context(), site)
	if err != nil || !guarded || slices.Contains(names, name) {
		return err
	}
	return &refusal{invalid("assignee: %s is neither a user who works at site %s nor a team that serves it", quoteShort(name), site), names, nil}
}

// orError gives an answer only without an error.
func orError[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
