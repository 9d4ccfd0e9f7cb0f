package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
)

// latencies is over how many polls the percentiles of a device are taken.
const latencies = 256

// DeviceHealth tells how a device does, as of now.
type DeviceHealth struct {
	Position   string            `json:"position"`
	Profile    string            `json:"profile"`
	Source     string            `json:"source"` // address, or topic
	Reachable  bool              `json:"reachable"`
	LastGood   time.Time         `json:"last_good,omitzero"` // last frame that held a good sample
	LastError  string            `json:"last_error,omitempty"`
	ErrorAt    time.Time         `json:"error_at,omitzero"`
	Readings   uint64            `json:"readings"`    // polls that asked the device, or messages
	Good       uint64            `json:"good"`        // samples
	Uncertain  uint64            `json:"uncertain"`   // samples
	Bad        uint64            `json:"bad"`         // samples
	Reasons    map[string]uint64 `json:"reasons"`     // bad samples by reason
	LatencyP50 time.Duration     `json:"latency_p50"` // of the last polls
	LatencyP99 time.Duration     `json:"latency_p99"`
}

// health is what is counted of one device.
type health struct {
	mu   sync.Mutex
	h    DeviceHealth
	took [latencies]time.Duration
	n    int // polls measured so far
}

func (h *health) observe(took time.Duration, answered bool, err error, now time.Time) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.h.Readings++
	changed = h.h.Reachable != answered
	h.h.Reachable = answered
	if err != nil {
		h.h.LastError, h.h.ErrorAt = err.Error(), now.Round(0).UTC()
	} else if took > 0 {
		h.took[h.n%latencies] = took
		h.n++
	}
	return changed
}

// frame counts samples by level.
func (h *health) frame(f *faultline.Frame) (good, uncertain, bad int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range f.Samples {
		switch q := f.Samples[i].Quality; {
		case q.IsGood():
			good++
		case q.IsUncertain():
			uncertain++
		default:
			bad++
			h.h.Reasons[q.Reason()]++
		}
	}
	h.h.Good += uint64(good)
	h.h.Uncertain += uint64(uncertain)
	h.h.Bad += uint64(bad)
	if good > 0 && f.Time.After(h.h.LastGood) {
		h.h.LastGood = f.Time
	}
	return good, uncertain, bad
}

func (h *health) snapshot() DeviceHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.h
	out.Reasons = make(map[string]uint64, len(h.h.Reasons))
	for k, v := range h.h.Reasons {
		out.Reasons[k] = v
	}
	if n := min(h.n, latencies); n > 0 {
		sorted := slices.Sorted(slices.Values(h.took[:n]))
		out.LatencyP50, out.LatencyP99 = sorted[(n-1)/2], sorted[(n-1)*99/100]
	}
	return out
}
