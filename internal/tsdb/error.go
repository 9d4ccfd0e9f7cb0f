package tsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Error is InfluxDB's refusal, or the failure to reach it (Status 0).
type Error struct {
	Op      string // "write", "query" …
	Status  int    // of HTTP; 0 if there was no answer
	Message string // InfluxDB's words; they may quote the lines that it refused
	err     error
}

func (e *Error) Error() string {
	switch {
	case e.err != nil:
		return fmt.Sprintf("influxdb %s: %v", e.Op, e.err)
	case e.Status == 0:
		return fmt.Sprintf("influxdb %s: %s", e.Op, e.Message)
	}
	return fmt.Sprintf("influxdb %s: %d: %s", e.Op, e.Status, e.Message)
}

func (e *Error) Unwrap() error { return e.err }

// IsPermanent tells whether the same lines will be refused again, for what they hold: 400, 413, 422 and
// other answers of 4xx. Not among them are answers that are about the server or the access to it,
// though they are 4xx: 401, 403, 404 (no such database), 407, 408, 429. Taking those for bad lines
// would send everything to the dead letters while a password is wrong.
func IsPermanent(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return true
}

// IsExpired tells whether lines were refused only for being older than the retention.
func IsExpired(err error) bool {
	var e *Error
	return errors.As(err, &e) && IsPermanent(err) && strings.Contains(e.Message, "retention policy")
}

// message reads what an answer says went wrong, from the body of 1.x ("error") or 2.x ("message").
func message(resp *http.Response) string {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var v struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(b, &v) == nil && (v.Error != "" || v.Message != "") {
		if v.Message != "" {
			return v.Message
		}
		return v.Error
	}
	if h := resp.Header.Get("X-Influxdb-Error"); h != "" {
		return h
	}
	return http.StatusText(resp.StatusCode)
}

// cause puts the reason of a context's end in place of the bare "deadline exceeded", keeping both.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && !errors.Is(err, c) {
		return fmt.Errorf("%w: %w", c, err)
	}
	return err
}
