package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// The audit of requests: a change of ours in SQL writes its entry in its own transaction (store.Trail). What is no
// such change – a command to rules, a refusal, a fault – gets its entry right after, with the outcome.
// Attempts that who-may refused are audited too, but bounded: nobody can fill the disk with them.

// entryOf a call, before its outcome is known.
func entryOf(c *call) faultline.AuditEntry {
	return faultline.AuditEntry{At: c.now, By: c.by, Role: c.who.role, Via: c.who.via, From: addressOf(c.Request),
		Action: c.route.method + " " + c.route.path, Object: objectOf(c), Request: c.digest}
}

// addressOf who speaks to us. What a proxy says about who speaks to it is not taken: anybody can say it.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// objectOf a call is what its path names.
func objectOf(c *call) string {
	var parts []string
	for _, p := range c.Params {
		if p.Key != "mark" {
			parts = append(parts, short(p.Value))
		}
	}
	return strings.Join(parts, "/")
}

// short makes bounded text of anything that came from outside.
func short(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// takeDigest reads the body of a change, which is bounded, and puts it back.
func (c *call) takeDigest() error {
	if !c.changes() || c.Request.Body == nil {
		return nil
	}
	b, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return bodyError(err)
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(b))
	if c.trail != nil {
		defer func() { c.trail.Entry.Request = c.digest }()
	}
	if len(b) > 0 && !c.route.secret {
		sum := sha256.Sum256(b)
		c.digest = hex.EncodeToString(sum[:])
	}
	return nil
}

// note adds to what the audit says of a call.
func (c *call) note(detail string) {
	e := &c.trail.Entry
	if e.Detail != "" {
		detail = e.Detail + "; " + detail
	}
	e.Detail = detail
}

// audited writes the entry of a change that has none yet, or went wrong after it had one. It outlives the
// request: one who hangs up is audited like everybody.
func (s *Server) audited(c *call, out any, err error) {
	if !c.changes() || c.trail == nil || c.who.role == "" || c.unaudited {
		return
	}
	e := c.trail.Entry
	switch {
	case err != nil:
		e.Outcome, e.Detail = outcomeOf(err), strings.TrimPrefix(e.Detail+"; "+short(err.Error()), "; ")
	case c.trail.Written > 0:
		return
	case c.refusal != nil:
		e.Outcome, e.Detail = outcomeOf(c.refusal), strings.TrimPrefix(e.Detail+"; "+short(c.refusal.Error()), "; ")
	default:
		e.Outcome = faultline.OutcomeDone
		if a, ok := out.(answer); ok && a.code == http.StatusAccepted || c.pending {
			e.Outcome = faultline.OutcomePending
		}
	}
	if e.Outcome == faultline.OutcomeDenied {
		s.denied(c, e)
		return
	}
	s.writeAudit(c.Request.Context(), e)
}

// refusedAtTheDoor audits what admit refused somebody who is known. Nobody known is counted only: there is no
// end of them.
func (s *Server) refusedAtTheDoor(c *call, err error) {
	if p, _ := problemOf(err); p.Status != http.StatusForbidden || c.who == nil || c.who.role == "" {
		return
	}
	s.metrics.refused.WithLabelValues("role").Inc()
	e := entryOf(c)
	e.Detail = short(err.Error())
	s.denied(c, e)
}

func (s *Server) writeAudit(ctx context.Context, e faultline.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.unscoped.Audit(ctx, e); err != nil {
		s.metrics.auditFailed.Inc()
		s.log.Error("audit entry not written", "action", e.Action, "by", e.By, "outcome", e.Outcome, "error", err)
	}
}

func outcomeOf(err error) string {
	p, ours := problemOf(err)
	switch {
	case p.Status == http.StatusForbidden || p.Status == http.StatusUnauthorized || p.Status == http.StatusTooManyRequests:
		return faultline.OutcomeDenied
	case ours && !errors.Is(err, context.Canceled):
		return faultline.OutcomeRefused
	}
	return faultline.OutcomeFailed
}

// denied writes the entry of an attempt that who-may refused, if there have not been too many of late.
func (s *Server) denied(c *call, e faultline.AuditEntry) {
	e.Outcome = faultline.OutcomeDenied
	ok, left := s.attempts.take(e.From, c.now)
	if !ok {
		s.metrics.auditLeft.Inc()
		return
	}
	if left > 0 {
		e.Detail = strings.TrimPrefix(e.Detail+"; "+strconv.Itoa(left)+" further attempts before this one were left out", "; ")
	}
	s.writeAudit(c.Request.Context(), e)
}

const (
	attemptsPerMinute   = 60 // audited, from everywhere together
	attemptsFromOne     = 10 // from one address
	maxAttemptAddresses = 10_000
	attemptWindow       = time.Minute
)

// attempts bounds how many refused attempts are audited in a minute, and counts what is left out.
type attempts struct {
	mu    sync.Mutex
	began time.Time
	of    map[string]int
	all   int
	left  int
}

// take tells whether one more may be written, and how many before it were not.
func (a *attempts) take(from string, now time.Time) (ok bool, left int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := now.Sub(a.began); d < 0 || d >= attemptWindow || a.of == nil {
		a.began, a.of, a.all = now, map[string]int{}, 0
	}
	if a.all >= attemptsPerMinute || a.of[from] >= attemptsFromOne || len(a.of) >= maxAttemptAddresses {
		a.left++
		return false, 0
	}
	a.of[from]++
	a.all++
	left, a.left = a.left, 0
	return true, left
}
