package embedded

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/influxdata/influxdb"
	"github.com/influxdata/influxdb/models"
	"github.com/influxdata/influxdb/tsdb"
)

var errTooLarge = errors.New("request body too large")

// precisions maps the names of 2.x and 1.x to those of the parser.
var precisions = map[string]string{"": "n", "n": "n", "ns": "n", "u": "u", "us": "u", "ms": "ms", "s": "s", "m": "m", "h": "h"}

// serveWrite stores what it can. It answers 204 if all lines are on disk; 400 if lines are bad, the
// other lines then being on disk; 404 without the database; 5xx if the same request may succeed later.
func (e *Engine) serveWrite(w http.ResponseWriter, r *http.Request, db, rp string) {
	prec, ok := precisions[r.URL.Query().Get("precision")]
	if !ok {
		fail(w, http.StatusBadRequest, "invalid", fmt.Sprintf("precision %q: use ns, us, ms or s", r.URL.Query().Get("precision")))
		return
	}
	if db == "" {
		fail(w, http.StatusBadRequest, "invalid", "no database or bucket given")
		return
	}
	d := e.meta.Database(db)
	if d == nil {
		fail(w, http.StatusNotFound, "not found", fmt.Sprintf("database not found: %q", db))
		return
	}
	if rp != "" && d.RetentionPolicy(rp) == nil {
		fail(w, http.StatusNotFound, "not found", fmt.Sprintf("retention policy not found: %q", rp))
		return
	}
	buf, err := readBody(w, r, e.cfg.MaxBody)
	switch {
	case errors.Is(err, errTooLarge):
		fail(w, http.StatusRequestEntityTooLarge, "request too large", err.Error())
		return
	case err != nil:
		fail(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	points, parseErr := models.ParsePointsWithPrecision(buf, time.Now().UTC(), prec)
	if len(points) == 0 {
		if parseErr != nil {
			fail(w, http.StatusBadRequest, "invalid", parseErr.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	fresh := e.series.unknown(db, points)
	err = e.pw.WritePointsPrivileged(db, rp, models.ConsistencyLevelAny, points)
	if err := e.series.done(db, fresh, err == nil); err != nil {
		e.cfg.Log.Warn("write failed", "error", err)
		fail(w, http.StatusInternalServerError, "internal error", err.Error())
		return
	}
	var partial tsdb.PartialWriteError
	switch {
	case err == nil && parseErr == nil:
		w.WriteHeader(http.StatusNoContent)
	case err == nil:
		fail(w, http.StatusBadRequest, "invalid", tsdb.PartialWriteError{Reason: parseErr.Error()}.Error())
	case errors.As(err, &partial) || influxdb.IsClientError(err):
		fail(w, http.StatusBadRequest, "invalid", err.Error())
	default:
		e.cfg.Log.Warn("write failed", "error", err)
		fail(w, http.StatusInternalServerError, "internal error", e.whileDamaged(err))
	}
}

// readBody reads and unpacks at most limit bytes. The buffer is not pooled: the engine's points alias
// it until they are in the cache, and longer if the write times out.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, limit)
	size := max(r.ContentLength, 0)
	if r.Header.Get("Content-Encoding") == "gzip" {
		gz, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		body = io.LimitReader(gz, limit+1)
		size *= 4
	}
	buf := bytes.NewBuffer(make([]byte, 0, min(size, limit)+bytes.MinRead))
	_, err := buf.ReadFrom(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) || int64(buf.Len()) > limit:
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return buf.Bytes(), nil
}
