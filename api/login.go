package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/secret"
)

const (
	sessionTime = 7 * 24 * time.Hour // from login to its end, however much it is used
	sessionIdle = 12 * time.Hour     // without use
	linkTime    = 12 * time.Hour     // of a session made from a one-time link
	seenEvery   = time.Minute        // how exactly use is noted
	maxSessions = 1000               // made from links
	maxLinks    = 100
)

// logins keeps one-time links and the sessions made from them, both as digests only. They are for the time before
// there are users: as soon as there is one they open nothing. They live in memory: a restart ends them.
type logins struct {
	mu       sync.Mutex
	links    map[string]time.Time // until, by digest: what is compared is a digest, so time taken tells nothing
	sessions map[string]time.Time
}

// operator is who came by a link.
const operatorName = "operator"

func newLogins() *logins {
	return &logins{links: map[string]time.Time{}, sessions: map[string]time.Time{}}
}

// link makes a token that is good for one login until then.
func (l *logins) link(until time.Time) string {
	token := secret.New()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.links) >= maxLinks {
		dropOldest(l.links)
	}
	l.links[secret.Key(token)] = until
	return token
}

// redeem turns a token into a session; "" if it was used, has expired or never was.
func (l *logins) redeem(token string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := secret.Key(token)
	until, ok := l.links[key]
	delete(l.links, key)
	if !ok || !now.Before(until) {
		return ""
	}
	if len(l.sessions) >= maxSessions {
		dropOldest(l.sessions)
	}
	id := secret.New()
	l.sessions[secret.Key(id)] = now.Add(linkTime)
	return id
}

// holds tells whether a session made from a link is at hand.
func (l *logins) holds(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.sessions[key]
	if ok && !now.Before(until) {
		delete(l.sessions, key)
		ok = false
	}
	return ok
}

func (l *logins) end(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, key)
}

func dropOldest(m map[string]time.Time) {
	oldest, first := "", true
	for k, until := range m {
		if first || until.Before(m[oldest]) {
			oldest, first = k, false
		}
	}
	delete(m, oldest)
}

// identify tells who a request proves to come from; nil if it brings no proof. A token that opens nothing
// is refused at once; a cookie that opens nothing is a browser whose session has ended.
func (s *Server) identify(r *http.Request) (*caller, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		return s.byToken(r, h)
	}
	c, err := r.Cookie(s.cookieName())
	if err != nil || !secret.Plausible(c.Value) {
		return nil, nil
	}
	key, now, ctx := secret.Key(c.Value), s.now(), r.Context()
	if s.logins.holds(key, now) {
		guarded, err := s.unscoped.HasUsers(ctx)
		if err != nil || guarded {
			return nil, err
		}
		return &caller{by: operatorName, role: faultline.RoleAdmin, via: "link", session: key}, nil
	}
	v, u, err := s.unscoped.SessionUser(ctx, key)
	switch {
	case errors.Is(err, faultline.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !now.Before(v.Until) || now.Sub(v.SeenAt) >= sessionIdle || u.Disabled:
		return nil, s.unscoped.EndSession(ctx, key)
	}
	if now.Sub(v.SeenAt) >= seenEvery {
		if err := s.unscoped.SeeSession(ctx, key, now); err != nil {
			return nil, err
		}
	}
	return &caller{by: u.Name, role: u.Role, sites: u.Sites, via: "session", user: u, session: key}, nil
}

// byToken tells who an API token acts for. It holds no more than its user does now: neither a role that the
// user lost, nor a site.
func (s *Server) byToken(r *http.Request, header string) (*caller, error) {
	refused := func(why string) (*caller, error) {
		s.metrics.refused.WithLabelValues("token").Inc()
		return nil, &status{http.StatusUnauthorized, why}
	}
	token, ok := secret.ParseBearer(header)
	if !ok {
		return refused("the Authorization header must be: Bearer, a space, and an API token, which begins with flt_")
	}
	key, now, ctx := secret.Key(token), s.now(), r.Context()
	t, u, err := s.unscoped.TokenUser(ctx, key)
	switch {
	case errors.Is(err, faultline.ErrNotFound):
		return refused("this API token is unknown, or was revoked")
	case err != nil:
		return nil, err
	case !now.Before(t.ExpiresAt):
		return refused("this API token expired on " + t.ExpiresAt.UTC().Format("2 Jan 2006"))
	case u.Disabled:
		return refused("the user of this API token is disabled")
	case !u.Role.MayDelegate(t.Role):
		return refused("the user of this API token no longer has its role: make a new token")
	}
	sites, ok := faultline.NarrowSites(t.Sites, u.Sites)
	if !ok {
		return refused("the user of this API token no longer sees any of its sites: make a new token")
	}
	if now.Sub(t.LastUsedAt) >= seenEvery {
		if err := s.unscoped.UseToken(ctx, key, now); err != nil {
			return nil, err
		}
	}
	return &caller{by: u.Name, role: t.Role, sites: sites, via: "token " + t.Name, user: u}, nil
}

// loginHelp says how one gets in.
func (s *Server) loginHelp(c *call) string {
	if guarded, err := s.unscoped.HasUsers(c.Request.Context()); err != nil || guarded {
		return "log in, or send an API token"
	}
	return "this listener is reached from other machines, so it wants a login: open the one-time link that was printed where the demonstration was started; a restart prints a new one"
}

// LoginLink makes a link that logs one browser in, once, while it is valid. It is not needed where
// the listener is on loopback and the browser on the same machine.
func (s *Server) LoginLink(valid time.Duration) string {
	return s.URL() + "/login?token=" + url.QueryEscape(s.logins.link(s.now().Add(valid)))
}

func (s *Server) cookieName() string {
	if s.tls {
		return "__Host-faultline"
	}
	return "faultline"
}

// getLogin shows the form of name and password, or a button for a link: a link preview that merely
// fetches the page must not use the link up.
func (s *Server) getLogin(c *call) (any, error) {
	c.Header("Referrer-Policy", "no-referrer")
	v, err := s.loginView(c)
	v.Token = c.Query("token")
	return framed{shell: console.Shell{Title: "Log in"}, view: v}, err
}

func (s *Server) loginView(c *call) (v console.Login, err error) {
	v.Users, err = s.unscoped.HasUsers(c.Request.Context())
	return v, err
}

// postLogin takes a name and password, or the token of a one-time link.
func (s *Server) postLogin(c *call) (any, error) {
	c.unaudited = true
	if name := c.PostForm("name"); name != "" || c.PostForm("token") == "" {
		u, err := s.checkPassword(c, name, c.PostForm("password"))
		if err != nil {
			n, err := c.refused(err)
			if err != nil {
				return nil, err
			}
			v, err := s.loginView(c)
			v.Name = short(name)
			return framed{shell: console.Shell{Title: "Log in", Notice: n}, view: v, code: codeOf(c.refusal)}, err
		}
		return s.begin(c, u)
	}
	guarded, err := s.unscoped.HasUsers(c.Request.Context())
	if err != nil {
		return nil, err
	}
	id := ""
	if !guarded {
		id = s.logins.redeem(c.PostForm("token"), c.now)
	}
	e := entryOf(c)
	e.Via = "link"
	if id == "" {
		s.metrics.refused.WithLabelValues("link").Inc()
		e.Detail = "a one-time link that was used, has expired or never was"
		s.denied(c, e)
		return nil, &status{http.StatusUnauthorized, "this link was used already or has expired; a restart prints a new one"}
	}
	e.By, e.Role, e.Outcome = operatorName, faultline.RoleAdmin, faultline.OutcomeDone
	s.writeAudit(c.Request.Context(), e)
	s.log.Info("logged in by one-time link", "remote", c.Request.RemoteAddr)
	s.setCookie(c, id, int(linkTime.Seconds()))
	return redirect("/"), nil
}

func codeOf(err error) int {
	p, _ := problemOf(err)
	return p.Status
}

// begin a session of a user: always a new one, and whatever this browser had before ends.
func (s *Server) begin(c *call, u faultline.User) (any, error) {
	ctx := c.Request.Context()
	s.forget(c)
	if _, err := s.unscoped.DropSessions(ctx, c.now, c.now.Add(-sessionIdle)); err != nil {
		return nil, err
	}
	id := secret.New()
	v := faultline.Session{ID: secret.ID(), User: u.Name, CreatedAt: c.now, SeenAt: c.now, Until: c.now.Add(sessionTime), From: addressOf(c.Request), Agent: short(c.Request.UserAgent())}
	if err := s.unscoped.AddSession(ctx, secret.Key(id), v); err != nil {
		return nil, err
	}
	e := entryOf(c)
	e.By, e.Role, e.Via, e.Object, e.Request, e.Outcome = u.Name, u.Role, "session", "user "+u.Name, "", faultline.OutcomeDone
	s.writeAudit(ctx, e)
	s.log.Info("logged in", "user", u.Name, "remote", c.Request.RemoteAddr)
	s.setCookie(c, id, int(sessionTime.Seconds()))
	return redirect("/"), nil
}

// forget ends the session that the browser brings, if any.
func (s *Server) forget(c *call) {
	if k, err := c.Request.Cookie(s.cookieName()); err == nil && secret.Plausible(k.Value) {
		key := secret.Key(k.Value)
		s.logins.end(key)
		if err := s.unscoped.EndSession(c.Request.Context(), key); err != nil {
			s.log.Warn("session not ended", "error", err)
		}
	}
}

func (s *Server) postLogout(c *call) (any, error) {
	s.forget(c)
	s.setCookie(c, "", -1)
	return redirect("/login"), nil
}

// checkPassword gives the user whose name and password these are. It takes as long for a name that there is
// not, and says the same for every failure but too many of them.
func (s *Server) checkPassword(c *call, name, password string) (faultline.User, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	from := addressOf(c.Request)
	fail := func(code int, text, detail string) (faultline.User, error) {
		s.metrics.refused.WithLabelValues("password").Inc()
		e := entryOf(c)
		e.By, e.Via, e.Object, e.Request, e.Detail = "", "session", "user "+short(name), "", detail
		s.denied(c, e)
		c.refusal = &status{code, text}
		return faultline.User{}, c.refusal
	}
	if wait := s.throttle.wait(name, from, c.now); wait > 0 {
		c.Header("Retry-After", seconds(wait))
		return fail(http.StatusTooManyRequests, "too many failed logins: try again in "+console.Span(wait), "too many failed logins")
	}
	u, hashed, err := s.unscoped.UserSecret(c.Request.Context(), short(name))
	switch {
	case errors.Is(err, faultline.ErrNotFound) || errors.Is(err, faultline.ErrInvalid):
		hashed = ""
	case err != nil:
		return u, err
	}
	known := hashed != ""
	if !known {
		hashed = s.decoy()
	}
	ok, err := s.hashing.verify(c.Request.Context(), password, hashed)
	if err != nil {
		return u, err
	}
	if !ok || !known || u.Disabled {
		s.throttle.failed(name, from, c.now)
		return fail(http.StatusUnauthorized, "name or password is wrong, or the user is disabled", "wrong name or password, or a disabled user")
	}
	s.throttle.succeeded(name, from)
	return u, nil
}

func (s *Server) setCookie(c *call, value string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: s.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteStrictMode})
}
