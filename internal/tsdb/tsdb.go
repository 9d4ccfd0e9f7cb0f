// Package tsdb is the client of InfluxDB: line protocol goes in through influxdb-client-go's blocking
// writes, questions go out in InfluxQL, the one language that InfluxDB 1.x, 2.x, 3 and Grafana share.
// The engine in tsdb/embedded is reached through this client as any other server is.
//
// Measurements are asset kinds, with the tags site, position, gateway and a field per point, and a
// string field "<point>__q" where the point's quality is not good; condensed values stand in tiers (see
// Tier). Made-up demonstration history
// carries the tag origin=demo in addition. Measurements beginning with "faultline_" are this program's
// own book-keeping.
package tsdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
)

const (
	// Reserved begins the names of measurements that are not asset kinds.
	Reserved = "faultline_"
	// Policy names the retention policy of raw data that Setup makes.
	Policy = "raw"
	// Demo is the value of the tag "origin" of made-up history.
	Demo = "demo"
	// QualitySuffix makes the name of a point's quality field from the point's name.
	QualitySuffix = "__q"
)

// Config of a client.
type Config struct {
	URL       string        // such as http://127.0.0.1:8086
	Token     string        // of 2.x and the embedded engine; "user:password" for 1.x; never logged
	Org       string        // of 2.x; others ignore it
	Database  string        // or bucket; "faultline" by default
	Retention time.Duration // of raw data, at least 1 h; 0 keeps for ever
	Tiers     []Tier        // of condensed data, the finest first; none by default
	// Stale tells from when on a site's tiers may lack something of [from, to), or be older than the
	// readings; false if nothing. Nil: they are always complete.
	Stale    func(ctx context.Context, site string, from, to time.Time) (time.Time, bool, error)
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: not measured
}

// Client of one database. It is safe for concurrent use.
type Client struct {
	cfg     Config
	base    *url.URL
	http    *http.Client
	influx  influxdb2.Client
	metrics *metrics
	made    atomic.Bool // Setup has succeeded: the database may be made again if it vanishes

	mu     sync.Mutex
	fields map[string]map[string]string // measurement → field → type
}

// Open makes a client. It does not wait for the server: Ping tells whether it is there.
func Open(_ context.Context, c Config) (*Client, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("open InfluxDB client: URL %q: use http://host:port or https://host:port", redact(c.URL))
	}
	if c.Database == "" {
		c.Database = "faultline"
	}
	if c.Retention != 0 && c.Retention < time.Hour {
		return nil, fmt.Errorf("open InfluxDB client: retention %v: InfluxDB keeps at least 1h (0 = for ever)", c.Retention)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("component", "tsdb")
	cl := &Client{cfg: c, base: base, metrics: newMetrics(c.Registry), fields: map[string]map[string]string{}}
	// Time-outs are the requests' own; the transport's only catch a server that is not there.
	cl.http = &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}}
	o := influxdb2.DefaultOptions().SetHTTPClient(cl.http).SetApplicationName("faultline").SetPrecision(time.Nanosecond)
	cl.influx = influxdb2.NewClientWithOptions(c.URL, c.Token, o)
	return cl, nil
}

// Close lets go of the connections.
func (c *Client) Close() {
	c.influx.Close()
	c.http.CloseIdleConnections()
}

// Retention of raw data; 0 keeps for ever.
func (c *Client) Retention() time.Duration { return c.cfg.Retention }

// Ping asks whether the server answers.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("no answer within 5 s"))
	defer cancel()
	resp, err := c.do(ctx, "ping", http.MethodGet, "ping", nil)
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// do sends one request with the token and answers with a response of status 2xx, or an *Error. The
// caller drains the response.
func (c *Client) do(ctx context.Context, op, method, path string, form url.Values) (*http.Response, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path).String(), body)
	if err != nil {
		return nil, &Error{Op: op, err: err}
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Token "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{Op: op, err: cause(ctx, err)}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer drain(resp)
		return nil, &Error{Op: op, Status: resp.StatusCode, Message: message(resp)}
	}
	return resp, nil
}

// drain reads the rest of an answer, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
}

// redact takes user and password out of an address.
func redact(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}
