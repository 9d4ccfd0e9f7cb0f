package api

import (
	"errors"
	"net/http"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/secret"
)

// A one-time link lets a user set a password without the old one: new users, and those who forgot it. It is found by the
// digest of its secret; looking at it does not use it up, as previews of links look too.

var errInvite = &status{http.StatusUnauthorized, "this link was used already, has expired, or another took its place: ask an admin for a new one"}

// invited gives who a link is for.
func (s *Server) invited(c *call, token string) (v console.Join, u faultline.User, err error) {
	if !secret.Plausible(token) {
		return v, u, errInvite
	}
	u, until, err := s.unscoped.InviteUser(c.Request.Context(), secret.Key(token))
	switch {
	case errors.Is(err, faultline.ErrNotFound), err == nil && (u.Disabled || !c.now.Before(until)):
		s.metrics.refused.WithLabelValues("link").Inc()
		return v, u, errInvite
	}
	m := console.Maker{Now: c.now, Location: s.location}
	return console.Join{Token: token, Name: u.Name, Until: m.At(until)}, u, err
}

func (s *Server) getJoin(c *call) (any, error) {
	c.Header("Referrer-Policy", "no-referrer")
	v, _, err := s.invited(c, c.Query("token"))
	return framed{shell: console.Shell{Title: "Choose a password"}, view: v}, err
}

func (s *Server) postJoin(c *call) (any, error) {
	v, u, err := s.invited(c, c.PostForm("token"))
	if err != nil {
		return nil, err
	}
	password := c.PostForm("password")
	if err = secret.CheckPassword(password, u.Name); err == nil && password != c.PostForm("again") {
		err = invalid("the two passwords differ")
	}
	if err != nil {
		n, fault := c.refused(err)
		return framed{shell: console.Shell{Title: "Choose a password", Notice: n}, view: v, code: http.StatusBadRequest}, fault
	}
	hash, err := s.hashing.hash(c.Request.Context(), password)
	if err != nil {
		return nil, err
	}
	e := &c.trail.Entry
	e.By, e.Role, e.Via, e.Object = u.Name, u.Role, "link", "user "+u.Name
	if u, err = s.unscoped.As(c.trail).AcceptInvite(c.Request.Context(), secret.Key(v.Token), hash, c.now); err != nil {
		if errors.Is(err, faultline.ErrNotFound) {
			err = errInvite // somebody was faster
		}
		return nil, err
	}
	c.unaudited = true // it is: in the transaction
	return s.begin(c, u)
}
