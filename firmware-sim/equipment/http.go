package equipment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

const maxBody = 64 << 10

// Handler is the control interface: devices, faults and counters as JSON. It has no
// authentication; serve it on loopback.
func (p *Plant) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /devices", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, p.status()) })
	mux.HandleFunc("GET /devices/{device}", func(w http.ResponseWriter, r *http.Request) {
		v, err := p.Values(r.PathValue("device"))
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, map[string]any{"device": r.PathValue("device"), "values": v})
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		list := []injectionJSON{}
		for _, in := range p.Injected() {
			list = append(list, in.json())
		}
		reply(w, http.StatusOK, list)
	})
	mux.HandleFunc("POST /faults", p.postFault)
	mux.HandleFunc("DELETE /faults/{device}/{fault}", func(w http.ResponseWriter, r *http.Request) {
		if err := p.Clear(r.PathValue("device"), Fault(r.PathValue("fault")), r.URL.Query().Get("point")); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) {
		devices := map[string]Counters{}
		for _, u := range p.units {
			devices[u.cfg.Name] = u.counters()
		}
		reply(w, http.StatusOK, map[string]any{"total": p.Counters(), "devices": devices})
	})
	return mux
}

type deviceStatus struct {
	DeviceInfo
	Faults []string `json:"faults"` // active now
}

func (p *Plant) status() []deviceStatus {
	var list []deviceStatus
	for i, d := range p.Devices() {
		list = append(list, deviceStatus{d, append([]string{}, p.units[i].activeNow()...)})
	}
	return list
}

func (p *Plant) postFault(w http.ResponseWriter, r *http.Request) {
	// A page in somebody's browser can't send this type across origins unasked.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		reply(w, http.StatusUnsupportedMediaType, map[string]string{"error": "Content-Type must be application/json"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, fmt.Errorf("read body: %w", err))
		return
	}
	e, err := decodeFault(body)
	if err != nil {
		fail(w, err)
		return
	}
	in, err := p.Inject(e)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusCreated, in.json())
}

// decodeFault reads the body of POST /faults.
func decodeFault(body []byte) (Event, error) {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	var s scriptEntry
	if err := dec.Decode(&s); err != nil {
		return Event{}, fmt.Errorf("decode fault: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Event{}, errors.New("decode fault: something follows the object")
	}
	if err := s.complain(); err != nil {
		return Event{}, fmt.Errorf("decode fault: %w", err)
	}
	return s.event(""), nil
}

type injectionJSON struct {
	Device   string     `json:"device"`
	Fault    Fault      `json:"fault"`
	Point    string     `json:"point,omitempty"`
	Severity float64    `json:"severity"`
	Ramp     string     `json:"ramp"`
	Code     int        `json:"code,omitempty"`
	At       time.Time  `json:"at"`
	Cleared  *time.Time `json:"cleared,omitempty"`
}

func (in Injection) json() injectionJSON {
	j := injectionJSON{in.Device, in.Fault, in.Point, in.Severity, in.Ramp.String(), in.Code, in.At, nil}
	if !in.Cleared.IsZero() {
		j.Cleared = &in.Cleared
	}
	return j
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	if errors.Is(err, ErrUnknownDevice) || errors.Is(err, ErrNotInjected) {
		code = http.StatusNotFound
	}
	reply(w, code, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(v)
}
