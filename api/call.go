package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/faultline-iot/faultline/internal/sheet"
	"github.com/faultline-iot/faultline/internal/store"
)

// call is one request being answered.
type call struct {
	*gin.Context
	route *route
	who   *caller
	by    string // who asks: who.by
	store *view  // as the caller may see and change it
	now   time.Time

	trail     *store.Trail // of the audit
	digest    string       // of the body, for the audit
	refusal   error        // of a form, which answers it with a page
	pending   bool         // a command's result is still to come
	unaudited bool         // the handler writes its own entry
}

// answer is a result with a status of its own.
type answer struct {
	code int
	body any
}

const (
	maxBody     = 64 << 10
	requestTime = 20 * time.Second
	pageLimit   = 500
)

// maxBody is how many bytes its body may have; a form adds a little to its file.
func (r *route) maxBody() int64 {
	if r.upload {
		return sheet.MaxBytes + maxBody
	}
	return maxBody
}

// readJSON reads the body strictly: JSON only, no unknown fields, nothing after it. An empty body is
// a zero value where the type has no required fields.
func (c *call) readJSON(into any) error {
	if c.Request.ContentLength == 0 {
		return nil
	}
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != mediaJSON {
		return &status{http.StatusUnsupportedMediaType, "send the body as application/json"}
	}
	d := json.NewDecoder(c.Request.Body)
	var whole json.RawMessage
	if err := d.Decode(&whole); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return bodyError(err)
	}
	if string(whole) == "null" {
		return invalid("body: null is no JSON object")
	}
	strict := json.NewDecoder(bytes.NewReader(whole))
	strict.DisallowUnknownFields()
	if err := strict.Decode(into); err != nil {
		return bodyError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("body: one JSON object, nothing after it")
	}
	return nil
}

func bodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &status{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body may hold at most %d bytes", large.Limit)}
	}
	return invalid("body: %v", err)
}

// checkQuery refuses parameters that the route does not know: a misspelt filter would otherwise
// answer with everything.
func (c *call) checkQuery() error {
	for name := range c.Request.URL.Query() {
		if !slices.ContainsFunc(c.route.params, func(p param) bool { return p.name == name }) {
			names := make([]string, len(c.route.params))
			for i, p := range c.route.params {
				names[i] = p.name
			}
			return &refusal{invalid("unknown parameter %q", name), names, nil}
		}
	}
	for _, p := range c.route.params {
		v := c.Query(p.name)
		if v != "" && len(p.values) > 0 && !slices.Contains(p.values, v) {
			return &refusal{invalid("parameter %s: %q is not one of its values", p.name, v), p.values, nil}
		}
	}
	return nil
}

func (c *call) integer(name string, otherwise, least, most int) (int, error) {
	v := c.Query(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, invalid("parameter %s: %q is not a whole number from %d to %d", name, v, least, most)
	}
	return n, nil
}

// paging reads limit and offset.
func (c *call) paging() (limit, offset int, err error) {
	if limit, err = c.integer("limit", 100, 1, pageLimit); err != nil {
		return 0, 0, err
	}
	offset, err = c.integer("offset", 0, 0, 1<<30)
	return limit, offset, err
}

// boolean reads an optional true or false; nil if it is not given.
func (c *call) boolean(name string) (*bool, error) {
	switch v := c.Query(name); v {
	case "":
		return nil, nil
	case "true", "false":
		b := v == "true"
		return &b, nil
	default:
		return nil, invalid("parameter %s: %q: use true or false", name, v)
	}
}

func (c *call) moment(name string, otherwise time.Time) (time.Time, error) {
	v := c.Query(name)
	if v == "" {
		return otherwise, nil
	}
	// A + that was not percent-encoded has become a space.
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(v, " ", "+", 1))
	if err != nil {
		return time.Time{}, invalid("parameter %s: %q: use RFC 3339, such as 2026-01-31T08:00:00Z", name, v)
	}
	return t, nil
}

// list reads a comma-separated parameter.
func (c *call) list(name string) []string {
	var out []string
	for _, s := range strings.Split(c.Query(name), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
