package embedded

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/influxdata/influxdb/query"
	"github.com/influxdata/influxql"
)

const chunkRows = 10_000 // of one result that the executor hands over

// serveQuery runs InfluxQL as InfluxDB 1.8 does: parameters q, db, rp, epoch, params, chunked and
// chunk_size, in the address or in a form; JSON, or CSV if the client asks for it.
func (e *Engine) serveQuery(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	text := strings.TrimSpace(r.FormValue("q"))
	if text == "" {
		fail(w, http.StatusBadRequest, "invalid", `missing required parameter "q"`)
		return
	}
	q, err := parseQuery(text, r.FormValue("params"))
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	o := query.ExecutionOptions{
		Database:        r.FormValue("db"),
		RetentionPolicy: r.FormValue("rp"),
		ChunkSize:       chunkRows,
		ReadOnly:        r.Method != http.MethodPost,
	}
	chunked := r.FormValue("chunked") == "true"
	if n, err := strconv.Atoi(r.FormValue("chunk_size")); chunked && err == nil && n > 0 {
		o.ChunkSize = n
	}
	out := newAnswer(w, r)
	defer out.close()
	epoch := strings.TrimSpace(r.FormValue("epoch"))
	var all []*query.Result
	rows := 0
	err = e.run(r.Context(), q, o, func(res *query.Result) (bool, error) {
		if chunked { // a stream: nothing is gathered here, so that it needs no bound
			prepare(res, epoch, math.MaxInt)
			return true, out.write([]*query.Result{res}, true)
		}
		rows += prepare(res, epoch, e.cfg.MaxRows-rows)
		all = merge(all, res)
		return rows < e.cfg.MaxRows, nil
	})
	if err == nil && !chunked {
		_ = out.write(all, false) // a client that is gone is nobody to tell
	}
}

// parseQuery binds $parameters: JSON numbers without a point or exponent are integers.
func parseQuery(text, params string) (*influxql.Query, error) {
	p := influxql.NewParser(strings.NewReader(text))
	if params != "" {
		var m map[string]any
		d := json.NewDecoder(strings.NewReader(params))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("error parsing query parameters: %w", err)
		}
		for k, v := range m {
			n, ok := v.(json.Number)
			if !ok {
				continue
			}
			if i, err := n.Int64(); err == nil {
				m[k] = i
			} else if f, err := n.Float64(); err == nil {
				m[k] = f
			} else {
				return nil, fmt.Errorf("error parsing query parameter %q: %w", k, err)
			}
		}
		p.SetParams(m)
	}
	q, err := p.ParseQuery()
	if err != nil {
		return nil, fmt.Errorf("error parsing query: %w", err)
	}
	for _, s := range q.Statements {
		switch s.(type) {
		case *influxql.CreateContinuousQueryStatement, *influxql.CreateSubscriptionStatement:
			return nil, fmt.Errorf("the embedded engine runs no continuous queries and no subscriptions: %s", s)
		}
	}
	return q, nil
}

// run executes the query and hands over every chunk until fn wants no more, fails, or ctx ends. When
// it returns the query has ended: its results are drained, whatever happened.
func (e *Engine) run(ctx context.Context, q *influxql.Query, o query.ExecutionOptions, fn func(*query.Result) (more bool, err error)) error {
	closing, abort := make(chan struct{}), make(chan struct{})
	stop := sync.OnceFunc(func() { close(closing); close(abort) })
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	o.Authorizer, o.CoarseAuthorizer, o.AbortCh = query.OpenAuthorizer, query.OpenCoarseAuthorizer, abort
	var err error
	more := true
	defer e.series.forgetAfter(q)
	for r := range e.qe.ExecuteQuery(q, o, closing) {
		if r == nil || err != nil || !more {
			continue
		}
		if more, err = fn(r); err != nil || !more {
			stop()
		}
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// answer writes results to a client, packed if it can unpack.
type answer struct {
	w   http.ResponseWriter
	out io.Writer
	gz  *gzip.Writer
	csv bool
}

func newAnswer(w http.ResponseWriter, r *http.Request) *answer {
	a := &answer{w: w, out: w}
	accept := r.Header.Get("Accept")
	a.csv = strings.Contains(accept, "application/csv") || strings.Contains(accept, "text/csv")
	if a.csv {
		w.Header().Set("Content-Type", "text/csv")
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		a.gz = gzip.NewWriter(w)
		a.out = a.gz
	}
	return a
}

func (a *answer) write(rs []*query.Result, flush bool) error {
	var err error
	if a.csv {
		err = writeCSV(a.out, rs)
	} else {
		if rs == nil {
			rs = []*query.Result{}
		}
		err = json.NewEncoder(a.out).Encode(map[string]any{"results": rs})
	}
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if flush {
		if a.gz != nil {
			if err := a.gz.Flush(); err != nil {
				return fmt.Errorf("write the answer: %w", err)
			}
		}
		return http.NewResponseController(a.w).Flush()
	}
	return nil
}

func (a *answer) close() {
	if a.gz != nil {
		_ = a.gz.Close() // a client that is gone is nobody to tell
	}
}
