package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Who may: on a loopback listener, whoever is on this machine and speaks to it by a loopback name
// (a page of a stranger's site that rebinds its own name to 127.0.0.1 does not). All others need a
// session, which a one-time login link makes. In front of both stands the check against requests
// that another site's page sends.

// local is who acts from this machine.
const local = "local"

// caller tells who asks; "" is nobody known. It refuses hosts that this server is not.
func (s *Server) caller(r *http.Request) (string, error) {
	host := hostOf(r.Host)
	known := slices.ContainsFunc(s.hosts, func(h string) bool { return strings.EqualFold(h, host) })
	if s.loopback {
		switch here := isLoopback(host); {
		case here && !forwarded(r):
			return local, nil
		case !here && !known:
			s.metrics.refused.WithLabelValues("host").Inc()
			return "", &status{http.StatusMisdirectedRequest, "this server is not " + quoteShort(host) + ": open it as localhost, or configure the name that it is reached by"}
		}
	}
	if c, err := r.Cookie(s.cookieName()); err == nil {
		return s.logins.actor(c.Value, s.now()), nil
	}
	return "", nil
}

// admit is the one place where access is decided.
func (s *Server) admit(c *call) error {
	by, err := s.caller(c.Request)
	if err != nil {
		return err
	}
	if err := s.origin.Check(c.Request); err != nil {
		s.metrics.refused.WithLabelValues("cross_origin").Inc()
		return &status{http.StatusForbidden, "this request came from another site's page"}
	}
	c.by = by
	if by == "" && c.route.role != public {
		s.metrics.refused.WithLabelValues("login").Inc()
		return &status{http.StatusUnauthorized, loginHelp}
	}
	return nil
}

const loginHelp = "this listener is reached from other machines, so it wants a login: open the one-time link that was printed where Faultline was started; a restart prints a new one"

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
