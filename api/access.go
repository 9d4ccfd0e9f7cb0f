package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// Who may: until there are users, whoever is on this machine and speaks to a loopback listener by a
// loopback name (a page of a stranger's site that rebinds its own name to 127.0.0.1 does not) may do
// everything. All others, and as soon as there is a user everybody, need a session or a token. In front of all stands the check
// against requests that another site's page sends. What a caller may do is decided by the route's right
// (right.go) and, object by object, by the view of the store that the handler gets (scope.go).

// local is who acts from this machine while there are no users.
const local = "local"

// caller is who asks.
type caller struct {
	by      string         // stands in histories; "" is nobody known
	role    faultline.Role // acts with
	sites   []string       // sees; none: all
	via     string         // how it was shown
	user    faultline.User // zero without one
	session string         // key of the session, if one was used
}

// caller tells who asks. It refuses hosts that this server is not.
func (s *Server) caller(r *http.Request) (*caller, error) {
	host := hostOf(r.Host)
	known := slices.ContainsFunc(s.hosts, func(h string) bool { return strings.EqualFold(h, host) })
	here := isLoopback(host)
	if s.loopback && !here && !known {
		s.metrics.refused.WithLabelValues("host").Inc()
		return nil, &status{http.StatusMisdirectedRequest, "this server is not " + quoteShort(host) + ": open it as localhost, or configure the name that it is reached by"}
	}
	if who, err := s.identify(r); who != nil || err != nil {
		return who, err
	}
	if s.loopback && here && !forwarded(r) {
		guarded, err := s.unscoped.HasUsers(r.Context())
		if err != nil {
			return nil, err
		}
		if !guarded {
			return &caller{by: local, role: faultline.RoleAdmin, via: local}, nil
		}
	}
	return &caller{}, nil
}

// admit is the one place where access is decided.
func (s *Server) admit(c *call) error {
	who, err := s.caller(c.Request)
	if err != nil {
		return err
	}
	c.who, c.by = who, who.by
	if err := s.checkOrigin(c); err != nil {
		return err
	}
	if who.role == "" && c.route.role != public {
		s.metrics.refused.WithLabelValues("login").Inc()
		return &status{http.StatusUnauthorized, s.loginHelp(c)}
	}
	if !c.route.role.heldBy(who.role) {
		return forbidden("%s may not do this: it takes the role %s", who.role, roleNames(grants[c.route.role]))
	}
	if err := c.checkScope(); err != nil {
		return err
	}
	return s.look(c)
}

// look gives the call its view of the store.
func (s *Server) look(c *call) error {
	c.trail = &store.Trail{Entry: entryOf(c)}
	c.store = &view{in: s.unscoped.As(c.trail), who: c.who}
	if c.who.role != faultline.RoleTechnician {
		return nil
	}
	teams, err := s.unscoped.Teams(c.Request.Context())
	for i := range teams {
		if slices.Contains(teams[i].Members, c.by) {
			c.store.teams = append(c.store.teams, teams[i].ID)
		}
	}
	return err
}

// checkOrigin refuses what another site's page sends. Browsers say where a request comes from; one that
// brings a cookie and changes something must say so, since a program would bring a token instead.
func (s *Server) checkOrigin(c *call) error {
	err := s.origin.Check(c.Request)
	if err == nil && c.changes() && c.who.session != "" && c.GetHeader("Sec-Fetch-Site") == "" && c.GetHeader("Origin") == "" {
		err = http.ErrNoCookie
	}
	if err != nil {
		s.metrics.refused.WithLabelValues("cross_origin").Inc()
		return forbidden("this request came from another site's page, or does not say where it came from")
	}
	return nil
}

// changes tells whether the request asks for a change.
func (c *call) changes() bool {
	switch c.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

func forbidden(format string, args ...any) error {
	return &status{http.StatusForbidden, fmt.Sprintf(format, args...)}
}

func roleNames(roles []faultline.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}

func hostOf(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// forwarded tells whether a proxy passed the request on: then its sender is not on this machine.
func forwarded(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return true
		}
	}
	return false
}

func quoteShort(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return `"` + s + `"`
}

// secure sets the headers that keep pages from running or framing anything that is not ours.
func (s *Server) secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	if s.tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
