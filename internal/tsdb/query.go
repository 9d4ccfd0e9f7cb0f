package tsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// queryTimeout is the time for one query.
const queryTimeout = 60 * time.Second

// Series is one series of an answer.
type Series struct {
	Name    string
	Tags    map[string]string // of GROUP BY
	Columns []string
	// Rows hold int64, float64, string, bool or nil; a first column named "time" holds time.Time in UTC.
	// A float that is a whole number arrives as int64: the answer's text does not tell them apart.
	Rows [][]any
}

// Query runs InfluxQL against the database and gives the series of all its statements. Parameters
// ($name) stand for values in conditions; everything else that comes from outside must pass through
// Ident or Literal. An answer that the server cut short is an error.
func (c *Client) Query(ctx context.Context, influxql string, params map[string]any) ([]Series, error) {
	return c.QueryIn(ctx, "", influxql, params)
}

// QueryIn asks a retention policy as Query asks the readings: measurements are its own.
func (c *Client) QueryIn(ctx context.Context, policy, influxql string, params map[string]any) ([]Series, error) {
	start := time.Now()
	s, err := c.query(ctx, policy, influxql, params)
	c.metrics.done("query", start, err)
	return s, err
}

// form of a request. The policy goes apart from the statement: that is what all servers understand.
func (c *Client) form(policy, influxql string) url.Values {
	form := url.Values{"db": {c.cfg.Database}, "q": {influxql}, "epoch": {"ns"}}
	if policy != "" && policy != Policy {
		form.Set("rp", policy)
	}
	return form
}

func (c *Client) query(ctx context.Context, policy, influxql string, params map[string]any) ([]Series, error) {
	form := c.form(policy, influxql)
	if len(params) > 0 {
		b, err := json.Marshal(params)
		if err != nil {
			return nil, fmt.Errorf("influxdb query: parameters: %w", err)
		}
		form.Set("params", string(b))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, queryTimeout, errors.New("no answer within 60 s"))
	defer cancel()
	resp, err := c.do(ctx, "query", http.MethodPost, "query", form)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	var answer answer
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		return nil, &Error{Op: "query", err: fmt.Errorf("read the answer: %w", cause(ctx, err))}
	}
	if answer.Error != "" {
		return nil, &Error{Op: "query", Message: answer.Error}
	}
	var out []Series
	for _, r := range answer.Results {
		if r.Error != "" {
			return nil, &Error{Op: "query", Message: r.Error}
		}
		for _, s := range r.Series {
			if s.Partial {
				return nil, &Error{Op: "query", Message: fmt.Sprintf("the server cut the answer for %q short after %d rows", s.Name, len(s.Values))}
			}
			if err := plain(s.Columns, s.Values); err != nil {
				return nil, &Error{Op: "query", err: err}
			}
			out = append(out, Series{Name: s.Name, Tags: s.Tags, Columns: s.Columns, Rows: s.Values})
		}
	}
	return out, nil
}

// answer is InfluxDB's, or a chunk of it.
type answer struct {
	Error   string `json:"error"`
	Results []struct {
		Error  string `json:"error"`
		Series []struct {
			Name    string            `json:"name"`
			Tags    map[string]string `json:"tags"`
			Columns []string          `json:"columns"`
			Values  [][]any           `json:"values"`
			Partial bool              `json:"partial"`
		} `json:"series"`
	} `json:"results"`
}

// stream runs one statement and hands over its answer in pieces of series, however long it is. Times
// and numbers are as in Query.
func (c *Client) stream(ctx context.Context, policy, influxql string, each func(Series) error) (err error) {
	start := time.Now()
	defer func() { c.metrics.done("query", start, err) }()
	form := c.form(policy, influxql)
	form.Set("chunked", "true")
	form.Set("chunk_size", "5000")
	ctx, cancel := context.WithTimeoutCause(ctx, queryTimeout, errors.New("no answer within 60 s"))
	defer cancel()
	resp, err := c.do(ctx, "query", http.MethodPost, "query", form)
	if err != nil {
		return err
	}
	defer drain(resp)
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	for {
		var a answer
		if err := d.Decode(&a); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return &Error{Op: "query", err: fmt.Errorf("read the answer: %w", cause(ctx, err))}
		}
		if a.Error != "" {
			return &Error{Op: "query", Message: a.Error}
		}
		for _, r := range a.Results {
			if r.Error != "" {
				return &Error{Op: "query", Message: r.Error}
			}
			for _, s := range r.Series {
				if err := plain(s.Columns, s.Values); err != nil {
					return &Error{Op: "query", err: err}
				}
				if err := each(Series{Name: s.Name, Tags: s.Tags, Columns: s.Columns, Rows: s.Values}); err != nil {
					return err
				}
			}
		}
	}
}

// plain turns JSON numbers into int64 or float64, and the first column into time if it is one.
func plain(columns []string, rows [][]any) error {
	timed := len(columns) > 0 && columns[0] == "time"
	for _, row := range rows {
		if len(row) != len(columns) {
			return fmt.Errorf("a row of %d values for %d columns", len(row), len(columns))
		}
		for i, v := range row {
			n, ok := v.(json.Number)
			if !ok {
				if s, text := v.(string); text && timed && i == 0 { // a server that ignores epoch
					t, err := time.Parse(time.RFC3339Nano, s)
					if err != nil {
						return fmt.Errorf("time %q: %w", s, err)
					}
					row[i] = t.UTC()
				}
				continue
			}
			x, err := number(n)
			if err != nil {
				return err
			}
			if ns, whole := x.(int64); whole && timed && i == 0 {
				x = time.Unix(0, ns).UTC()
			}
			row[i] = x
		}
	}
	return nil
}

func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("number %q: %w", n.String(), err)
	}
	return f, nil
}

// fieldTypes gives the types ("float", "integer", "boolean", "string") of the measurement's fields in a
// retention policy by name. Types never change, so that the answer is kept until a field is wanted that is not in it.
func (c *Client) fieldTypes(ctx context.Context, policy, measurement string, want []string) (map[string]string, error) {
	c.mu.Lock()
	key := policy + "/" + measurement
	known := c.fields[key]
	c.mu.Unlock()
	complete := known != nil
	for _, w := range want {
		if _, ok := known[w]; !ok {
			complete = false
		}
	}
	if complete {
		return known, nil
	}
	all, err := c.showFields(ctx, policy, " FROM "+Ident(measurement))
	if err != nil {
		return nil, err
	}
	types := all[measurement]
	if types == nil {
		types = map[string]string{}
	}
	c.mu.Lock()
	if _, ok := c.fields[key]; ok || len(c.fields) < 1000 { // bounded, whatever names are asked for
		c.fields[key] = types
	}
	c.mu.Unlock()
	return types, nil
}

// showFields gives the fields' types by measurement.
func (c *Client) showFields(ctx context.Context, policy, from string) (map[string]map[string]string, error) {
	series, err := c.QueryIn(ctx, policy, "SHOW FIELD KEYS"+from, nil)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]string, len(series))
	for _, s := range series {
		types := make(map[string]string, len(s.Rows))
		for _, row := range s.Rows {
			if len(row) < 2 {
				continue
			}
			name, _ := row[0].(string)
			typ, _ := row[1].(string)
			types[name] = typ
		}
		all[s.Name] = types
	}
	return all, nil
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}
