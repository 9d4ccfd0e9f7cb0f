package tsdb

import (
	"context"
	"errors"
	"net/http"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// writeTimeout is the time for one write, longer than the 30 s that the server gives itself.
const writeTimeout = 40 * time.Second

// Write stores lines of line protocol, separated by newlines, with times in nanoseconds. It returns
// nil once the server has all of them safe. Writing the same lines again makes the same points, so
// that a failed write may be repeated. An error that satisfies IsPermanent says that some lines are
// bad; the others may or may not have been stored.
func (c *Client) Write(ctx context.Context, lines []byte) error { return c.WriteIn(ctx, "", lines) }

// WriteIn writes as Write does, into a retention policy; "" is the one of the readings.
func (c *Client) WriteIn(ctx context.Context, policy string, lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, writeTimeout, errors.New("no answer within 40 s"))
	defer cancel()
	start := time.Now()
	// The lines are copied: the transport may still be reading them after it has reported an error.
	err := writeError(ctx, c.influx.WriteAPIBlocking(c.cfg.Org, c.policyBucket(policy)).WriteRecord(ctx, string(lines)))
	c.metrics.done("write", start, err)
	if err == nil {
		c.metrics.bytes.Add(float64(len(lines)))
	}
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound && c.made.Load() {
		// The database was there and is gone: somebody emptied the server. The caller repeats the write.
		return errors.Join(err, c.Setup(ctx))
	}
	return err
}

func writeError(ctx context.Context, err error) error {
	var e *influxhttp.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.StatusCode != 0:
		msg := e.Message
		if msg == "" {
			msg = e.Error()
		}
		return &Error{Op: "write", Status: e.StatusCode, Message: msg}
	}
	return &Error{Op: "write", err: cause(ctx, err)}
}
