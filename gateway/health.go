package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
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

const (
	healthEvery   = 10 * time.Second
	healthParts   = 10 // of an interval, in each of which a share of the devices has its turn
	healthProfile = "device-health@1"
)

// tellHealth stores the health of every device as telemetry, of a share of them at a time: all at once they would be
// a second's worth of frames, for which polls wait.
func (g *Gateway) tellHealth(ctx context.Context) error {
	every := g.opt.HealthEvery
	if every == 0 {
		every = healthEvery
	}
	tick := time.NewTicker(every / healthParts)
	defer tick.Stop()
	failed := false
	for part := 0; ; part = (part + 1) % healthParts {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		group, gctx := errgroup.WithContext(ctx)
		for i := part; i < len(g.order); i += healthParts {
			group.Go(func() error { return g.storeHealth(gctx, g.order[i]) }) // they wait together for their commit
		}
		err := group.Wait()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, faultline.ErrFenced):
			return err
		case err != nil && !failed:
			g.log.Error("the health of devices cannot be stored", "error", err)
		}
		failed = err != nil
	}
}

func (g *Gateway) storeHealth(ctx context.Context, position string) error {
	at, _ := g.clock.Stamp(position)
	h := g.health[position].snapshot()
	f := h.frame(at)
	f.Site, f.Gateway = g.opt.Config.Site, g.opt.Config.ID
	if g.opt.Live != nil {
		g.opt.Live(f)
	}
	return g.opt.Sink.Publish(ctx, f, bus.Meta{Profile: healthProfile})
}

// frame is the health as telemetry. The types of its points are fixed: counts are ints, times floats.
func (h *DeviceHealth) frame(at time.Time) faultline.Frame {
	f := faultline.Frame{Kind: faultline.HealthKind, Position: h.Position, Time: at}
	add := func(point string, v faultline.Value) {
		f.Samples = append(f.Samples, faultline.Sample{Point: point, Value: v, Quality: faultline.Good})
	}
	milliseconds := func(d time.Duration) faultline.Value {
		return faultline.Float(float64(d) / float64(time.Millisecond))
	}
	add("reachable", faultline.Bool(h.Reachable))
	add("readings", faultline.Int(int64(h.Readings)))
	add("good", faultline.Int(int64(h.Good)))
	add("uncertain", faultline.Int(int64(h.Uncertain)))
	add("bad", faultline.Int(int64(h.Bad)))
	if h.LatencyP50 > 0 {
		add("latency_p50_ms", milliseconds(h.LatencyP50))
		add("latency_p99_ms", milliseconds(h.LatencyP99))
	}
	if !h.LastGood.IsZero() {
		add("last_good_age_s", faultline.Float(max(at.Sub(h.LastGood), 0).Seconds()))
	}
	for _, reason := range slices.Sorted(maps.Keys(h.Reasons)) {
		point := "errors_" + strings.Map(func(r rune) rune {
			if r == ':' {
				return '_'
			}
			return r
		}, reason)
		if faultline.CheckPoint(point) == nil {
			add(point, faultline.Int(int64(h.Reasons[reason])))
		}
	}
	return f
}
