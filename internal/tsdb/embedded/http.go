package embedded

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
)

// version is what clients are told; Grafana picks its dialect by the leading number.
const version = "1.8.10-faultline"

// handler serves what InfluxDB 1.8 and the write half of 2.x have in common: /ping, /health, /ready,
// /write, /api/v2/write and /query.
func (e *Engine) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /ping", servePing) // GET patterns match HEAD too
	m.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"name": "influxdb", "message": "ready for queries and writes", "status": "pass", "checks": []string{}, "version": version})
	})
	m.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ready"})
	})
	m.HandleFunc("POST /write", e.authorized(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		e.serveWrite(w, r, q.Get("db"), q.Get("rp"))
	}))
	m.HandleFunc("POST /api/v2/write", e.authorized(func(w http.ResponseWriter, r *http.Request) {
		db, rp, _ := strings.Cut(r.URL.Query().Get("bucket"), "/") // 1.8 names a bucket "database/policy"
		e.serveWrite(w, r, db, rp)
	}))
	m.HandleFunc("GET /query", e.authorized(e.serveQuery))
	m.HandleFunc("POST /query", e.authorized(e.serveQuery))
	m.HandleFunc("/api/v2/query", e.authorized(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotImplemented, "not implemented", "the embedded engine has no Flux: use InfluxQL on /query")
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Influxdb-Version", version)
		w.Header().Set("X-Influxdb-Build", "OSS")
		m.ServeHTTP(w, r)
	})
}

func servePing(w http.ResponseWriter, r *http.Request) {
	if v := r.URL.Query().Get("verbose"); v != "" && v != "0" && v != "false" {
		writeJSON(w, http.StatusOK, map[string]string{"version": version})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// authorized lets requests through that carry the token in one of the places where the clients of 1.x
// and 2.x put it: "Authorization: Token|Bearer …" (1.x clients write "user:token"), basic
// authentication's password, or the parameter p.
func (e *Engine) authorized(h http.HandlerFunc) http.HandlerFunc {
	want := []byte(e.cfg.Token)
	same := func(s string) bool { return subtle.ConstantTimeCompare([]byte(s), want) == 1 }
	return func(w http.ResponseWriter, r *http.Request) {
		ok := false
		if _, password, basic := r.BasicAuth(); basic {
			ok = same(password)
		} else if scheme, v, has := strings.Cut(r.Header.Get("Authorization"), " "); has && (strings.EqualFold(scheme, "token") || strings.EqualFold(scheme, "bearer")) {
			_, password, _ := strings.Cut(v, ":")
			ok = same(v) || same(password)
		} else if p := r.URL.Query().Get("p"); p != "" {
			ok = same(p)
		}
		if !ok {
			fail(w, http.StatusUnauthorized, "unauthorized", "unauthorized: the token is missing or wrong")
			return
		}
		h(w, r)
	}
}

// fail answers in a form that the clients of 1.x ("error") and of 2.x ("code", "message") read.
func fail(w http.ResponseWriter, status int, code, msg string) {
	w.Header().Set("X-Influxdb-Error", headerSafe(msg))
	writeJSON(w, status, map[string]string{"error": msg, "code": code, "message": msg})
}

// headerSafe makes one short line of printable ASCII of a message that may quote equipment's text.
func headerSafe(s string) string {
	if len(s) > 1024 {
		s = s[:1024]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}

// writeJSON answers; a client that is gone is nobody to tell.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
