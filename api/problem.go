package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	faultline "github.com/faultline-iot/faultline"
)

// Problem is an error as RFC 9457 writes it, with what is allowed or missing where the domain refused.
type Problem struct {
	Type    string   `json:"type"` // urn:faultline:problem:<slug>
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Allowed []string `json:"allowed,omitempty"` // what may be done instead
	Missing []string `json:"missing,omitempty"` // what must be given first
}

// refusal is an error with what is allowed or missing.
type refusal struct {
	error
	allowed, missing []string
}

func (r *refusal) Unwrap() error { return r.error }

// status is an error with a status of its own.
type status struct {
	code int
	text string
}

func (s *status) Error() string { return s.text }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", faultline.ErrInvalid, fmt.Sprintf(format, args...))
}

// problemOf says how an error is told to the caller; ok is false for faults of ours, whose details
// belong in the log only.
func problemOf(err error) (p Problem, ok bool) {
	p.Detail = err.Error()
	var own *status
	switch {
	case errors.As(err, &own):
		p.Status = own.code
	case errors.Is(err, faultline.ErrNotFound):
		p.Status = http.StatusNotFound
	case errors.Is(err, faultline.ErrConflict):
		p.Status = http.StatusConflict
	case errors.Is(err, faultline.ErrRefused):
		p.Status = http.StatusUnprocessableEntity
	case errors.Is(err, faultline.ErrInvalid):
		p.Status = http.StatusBadRequest
	case errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Detail = http.StatusGatewayTimeout, "a part that this needs did not answer in time; try again"
	default:
		p.Status, p.Detail = http.StatusInternalServerError, "something failed on our side; the server's log says what"
	}
	p.Title = http.StatusText(p.Status)
	p.Type = "urn:faultline:problem:" + slugs[p.Status]
	var r *refusal
	if errors.As(err, &r) {
		p.Allowed, p.Missing = r.allowed, r.missing
	}
	return p, p.Status < 500
}

var slugs = map[int]string{
	http.StatusBadRequest:            "invalid",
	http.StatusUnauthorized:          "login-required",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not-found",
	http.StatusMethodNotAllowed:      "method-not-allowed",
	http.StatusConflict:              "conflict",
	http.StatusTooManyRequests:       "too-many-requests",
	http.StatusRequestEntityTooLarge: "too-large",
	http.StatusUnsupportedMediaType:  "unsupported-media-type",
	http.StatusMisdirectedRequest:    "wrong-host",
	http.StatusUnprocessableEntity:   "refused",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusGatewayTimeout:        "timeout",
	http.StatusInternalServerError:   "internal",
}

func wrapRefused(text string) error { return fmt.Errorf("%w: %s", faultline.ErrRefused, text) }
