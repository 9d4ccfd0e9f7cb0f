package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

const (
	maxStreams    = 512
	maxPending    = 256              // events that wait for a slow reader before it is told to look at everything again
	maxNamed      = 100              // positions named in one values event
	valuesEvery   = time.Second      // at most
	keepAliveTime = 15 * time.Second // proxies and browsers drop silent connections
)

// audience passes events and news of values on to open streams. It never waits for a reader.
type audience struct {
	mu      sync.Mutex
	readers map[*reader]bool
}

// reader is one open stream. Its fields are the audience's; the stream takes them away.
type reader struct {
	who            *caller
	site, position string
	wake           chan struct{} // holds one

	events []faultline.Event
	values map[place]bool
	missed bool
}

func (r *reader) wants(site, position string) bool {
	return r.who.has(site) && (r.site == "" || r.site == site) && (r.position == "" || r.position == position)
}

func (a *audience) join(who *caller, site, position string) (*reader, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.readers) >= maxStreams {
		return nil, &status{http.StatusServiceUnavailable, "too many open event streams"}
	}
	r := &reader{who: who, site: site, position: position, wake: make(chan struct{}, 1), values: map[place]bool{}}
	a.readers[r] = true
	return r, nil
}

func (a *audience) leave(r *reader) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.readers, r)
}

func (a *audience) event(e faultline.Event) {
	a.each(func(r *reader) bool {
		if !r.wants(e.Site, e.Position) && (e.Site != "" || len(r.who.sites) > 0) {
			return false
		}
		if len(r.events) >= maxPending {
			r.events, r.missed = nil, true
		}
		r.events = append(r.events, e)
		return true
	})
}

func (a *audience) heard(site, position string) {
	a.each(func(r *reader) bool {
		if !r.wants(site, position) {
			return false
		}
		if len(r.values) <= maxNamed {
			r.values[place{site, position}] = true
		}
		return true
	})
}

// missed tells all readers to look at everything again, as after a fault of the bus.
func (a *audience) missed() {
	a.each(func(r *reader) bool { r.missed = true; return true })
}

func (a *audience) each(give func(*reader) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for r := range a.readers {
		if give(r) {
			select {
			case r.wake <- struct{}{}:
			default:
			}
		}
	}
}

// takeEvents empties what waits, all but the values.
func (a *audience) takeEvents(r *reader) (events []faultline.Event, missed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	events, missed = r.events, r.missed
	r.events, r.missed = nil, false
	return events, missed
}

// valuesNews is the data of a values event. With More, positions are left out.
type valuesNews struct {
	At        time.Time  `json:"at"`
	Positions []position `json:"positions"`
	More      bool       `json:"more,omitempty"`
}

type position struct {
	Site     string `json:"site"`
	Position string `json:"position"`
}

func (a *audience) takeValues(r *reader, now time.Time) (valuesNews, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := valuesNews{At: now.UTC(), More: len(r.values) > maxNamed}
	for p := range r.values {
		n.Positions = append(n.Positions, position{p.site, p.position})
	}
	clear(r.values)
	return n, len(n.Positions) > 0
}

// streamEvents writes server-sent events until the reader goes or the server ends.
func (s *Server) streamEvents(c *call) (any, error) {
	r, err := s.audience.join(c.who, c.Query("site"), c.Query("position"))
	if err != nil {
		return nil, err
	}
	defer s.audience.leave(r)
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()

	c.Header("Content-Type", mediaEvents)
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	w := &stream{call: c, control: http.NewResponseController(c.Writer)}
	w.line("retry: 2000\n")
	w.event("hello", map[string]any{"version": s.version, "at": s.now().UTC()})
	w.flush()
	s.pump(c.Request.Context(), r, w)
	return nil, nil
}

// pump moves news from the reader to the stream.
func (s *Server) pump(ctx context.Context, r *reader, w *stream) {
	alive := time.NewTicker(keepAliveTime)
	defer alive.Stop()
	var pause <-chan time.Time // set while values must wait
	for w.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			w.line(": alive\n\n")
		case <-pause:
			pause = nil
		case <-r.wake:
		}
		events, missed := s.audience.takeEvents(r)
		if missed {
			w.event("resync", struct{}{})
		}
		for _, e := range events {
			w.event("change", e)
		}
		if pause == nil {
			if v, some := s.audience.takeValues(r, s.now()); some {
				w.event("values", v)
				pause = time.After(valuesEvery)
			}
		}
		w.flush()
	}
}

// stream writes events; the first error stays.
type stream struct {
	call    *call
	control *http.ResponseController
	err     error
}

func (w *stream) line(text string) {
	if w.err != nil {
		return
	}
	// A reader that takes nothing for this long is gone.
	if w.err = w.control.SetWriteDeadline(time.Now().Add(requestTime)); w.err == nil {
		_, w.err = w.call.Writer.WriteString(text)
	}
}

func (w *stream) event(name string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		w.err = fmt.Errorf("write event %s: %w", name, err)
		return
	}
	w.line("event: " + name + "\ndata: " + string(b) + "\n\n")
}

func (w *stream) flush() {
	if w.err == nil {
		w.err = w.control.Flush()
	}
}
