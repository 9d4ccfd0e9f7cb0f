package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/faultline-iot/faultline/api/console"
)

// router makes gin's routes of the tables. Everything else is a 404 or 405 problem.
func (s *Server) router(routes []route) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.HandleMethodNotAllowed = true
	g.RedirectTrailingSlash = false
	_ = g.SetTrustedProxies(nil) // cannot fail: there are none to parse
	for i := range routes {
		r := &routes[i]
		g.Handle(r.method, r.path, func(c *gin.Context) { s.serve(c, r) })
	}
	other := func(code int, text string) gin.HandlerFunc {
		r := &route{path: "unknown", role: anyUser, handle: func(*call) (any, error) { return nil, &status{code, text} }}
		return func(c *gin.Context) {
			if !strings.HasPrefix(c.Request.URL.Path, "/api/") {
				h := *r
				h.media = mediaHTML
				s.serve(c, &h)
				return
			}
			s.serve(c, r)
		}
	}
	g.NoRoute(other(http.StatusNotFound, "there is nothing at this address"))
	g.NoMethod(other(http.StatusMethodNotAllowed, "this address does not take this method"))
	return g
}

// serve is the one way of every request: headers, time and size limits, access, then the handler,
// and its answer or problem in the route's form.
func (s *Server) serve(g *gin.Context, r *route) {
	c := &call{Context: g, route: r, now: s.now().UTC()}
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.Error("handler panicked", "route", r.path, "panic", p, "stack", string(debug.Stack()))
			s.problem(c, errors.New("panic"))
		}
		s.metrics.answered(r, g.Writer.Status(), time.Since(began))
	}()
	s.secure(g.Writer.Header())
	g.Request.Body = http.MaxBytesReader(g.Writer, g.Request.Body, r.maxBody())
	if !r.slow {
		ctx, cancel := context.WithTimeout(g.Request.Context(), requestTime)
		defer cancel()
		g.Request = g.Request.WithContext(ctx)
	}
	if err := s.admit(c); err != nil {
		s.refusedAtTheDoor(c, err)
		s.problem(c, err)
		return
	}
	if err := c.takeDigest(); err != nil {
		s.problem(c, err)
		return
	}
	if r.media != mediaHTML {
		if err := c.checkQuery(); err != nil {
			s.problem(c, err)
			return
		}
	}
	out, err := r.handle(c)
	s.audited(c, out, err)
	if err != nil {
		s.problem(c, err)
		return
	}
	s.write(c, out)
}

// redirect is an answer that leads on.
type redirect string

// file is an answer of bytes.
type file struct {
	media   string
	content []byte
}

func (s *Server) write(c *call, out any) {
	switch v := out.(type) {
	case nil: // the handler has written
	case svg:
		// Opened by itself, a picture is a document: it may style itself and do nothing else.
		c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		c.Data(http.StatusOK, mediaSVG, v)
	case file:
		c.Data(http.StatusOK, v.media, v.content)
	case redirect:
		c.Redirect(http.StatusSeeOther, string(v))
	case console.File:
		c.Header("Cache-Control", "public, max-age=31536000, immutable")
		c.Data(http.StatusOK, v.Type, v.Content)
	case framed:
		s.writePage(c, max(v.code, http.StatusOK), v.shell, v.view)
	case answer:
		s.writeJSON(c, v.code, mediaJSON, v.body)
	default:
		s.writeJSON(c, http.StatusOK, mediaJSON, v)
	}
}

func (s *Server) writeJSON(c *call, code int, media string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.log.Error("answer not encoded", "route", c.route.path, "error", err)
		code, media, b = http.StatusInternalServerError, mediaProblem, []byte(`{"type":"urn:faultline:problem:internal","title":"Internal Server Error","status":500,"detail":"the answer could not be written"}`)
	}
	c.Data(code, media, append(b, '\n'))
}

func (s *Server) problem(c *call, err error) {
	if c.Writer.Written() {
		return // too late for another answer
	}
	p, ours := problemOf(err)
	if !ours && !errors.Is(err, context.Canceled) {
		s.log.Error("request failed", "route", c.route.path, "status", p.Status, "error", err)
	}
	if c.route.media == mediaHTML {
		if p.Status == http.StatusUnauthorized && c.route.role != public {
			v, err := s.loginView(c)
			if err != nil {
				s.log.Error("users not read", "error", err)
			}
			s.writePage(c, p.Status, console.Shell{Title: "Log in"}, v)
			return
		}
		s.writePage(c, p.Status, console.Shell{Title: p.Title}, console.Problem{Status: p.Status, Title: p.Title, Detail: p.Detail, Allowed: p.Allowed, Missing: p.Missing})
		return
	}
	s.writeJSON(c, p.Status, mediaProblem, p)
}
