package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/faultline-iot/faultline/api/console"
)

const (
	sessionTime = 12 * time.Hour
	maxSessions = 1000
	maxLinks    = 100
)

// logins keeps one-time links and the sessions made from them, both as hashes only. They live in
// memory: a restart ends all sessions.
type logins struct {
	mu       sync.Mutex
	links    map[[32]byte]time.Time // until
	sessions map[[32]byte]session
}

type session struct {
	by    string
	until time.Time
}

func newLogins() *logins {
	return &logins{links: map[[32]byte]time.Time{}, sessions: map[[32]byte]session{}}
}

// link makes a token that is good for one login until then.
func (l *logins) link(until time.Time) string {
	token := rand.Text() + rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.links) >= maxLinks {
		dropOldest(l.links, func(t time.Time) time.Time { return t })
	}
	l.links[sha256.Sum256([]byte(token))] = until
	return token
}

// redeem turns a token into a session; "" if it was used, has expired or never was. Every link is
// compared in constant time, so that the time taken tells nothing about any of them.
func (l *logins) redeem(token string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := sha256.Sum256([]byte(token))
	found := false
	for h, until := range l.links {
		if subtle.ConstantTimeCompare(h[:], sum[:]) == 1 {
			delete(l.links, h)
			found = now.Before(until)
		} else if !now.Before(until) {
			delete(l.links, h)
		}
	}
	if !found {
		return ""
	}
	if len(l.sessions) >= maxSessions {
		dropOldest(l.sessions, func(s session) time.Time { return s.until })
	}
	id := rand.Text() + rand.Text()
	l.sessions[sha256.Sum256([]byte(id))] = session{"operator", now.Add(sessionTime)}
	return id
}

// actor of a session; "" if there is none.
func (l *logins) actor(id string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := sha256.Sum256([]byte(id))
	s, ok := l.sessions[key]
	if ok && !now.Before(s.until) {
		delete(l.sessions, key)
		ok = false
	}
	if !ok {
		return ""
	}
	return s.by
}

func (l *logins) end(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, sha256.Sum256([]byte(id)))
}

func dropOldest[V any](m map[[32]byte]V, until func(V) time.Time) {
	var oldest [32]byte
	first := true
	for k, v := range m {
		if first || until(v).Before(until(m[oldest])) {
			oldest, first = k, false
		}
	}
	delete(m, oldest)
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

// getLogin shows a button: a link preview that merely fetches the page must not use the link up.
func (s *Server) getLogin(c *call) (any, error) {
	c.Header("Referrer-Policy", "no-referrer")
	return framed{shell: console.Shell{Title: "Log in"}, view: console.Login{Token: c.Query("token")}}, nil
}

func (s *Server) postLogin(c *call) (any, error) {
	id := s.logins.redeem(c.PostForm("token"), c.now)
	if id == "" {
		s.metrics.refused.WithLabelValues("link").Inc()
		return nil, &status{http.StatusUnauthorized, "this link was used already or has expired; a restart prints a new one"}
	}
	s.log.Info("logged in by one-time link", "remote", c.Request.RemoteAddr)
	s.setCookie(c, id, int(sessionTime.Seconds()))
	return redirect("/"), nil
}

func (s *Server) postLogout(c *call) (any, error) {
	if k, err := c.Request.Cookie(s.cookieName()); err == nil {
		s.logins.end(k.Value)
	}
	s.setCookie(c, "", -1)
	return redirect("/login"), nil
}

func (s *Server) setCookie(c *call, value string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: s.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteStrictMode})
}
