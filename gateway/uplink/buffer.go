package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// What share of the edge's limits is warned of, and worse.
const (
	warnAt   = 0.7
	alarmAt  = 0.9
	rateOver = 10 * time.Minute // the present rate is taken over this long
)

// BufferOptions of a Buffer. Measure tells how full the edge is; *bus.Edge's Buffer with the disk's room does.
type BufferOptions struct {
	Measure  func(context.Context) (bus.Buffer, error)
	Every    time.Duration // default 5 s
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Buffer watches how full an edge is and warns early, in the log, in metrics and in Ready, also while the hub
// is away. State goes to the hub with what is forwarded.
type Buffer struct {
	o   BufferOptions
	log *slog.Logger

	mu    sync.Mutex
	last  bus.Buffer
	used  []usedAt // the oldest first, within rateOver
	level float64  // the last threshold that was told: 0, warnAt or alarmAt
	short bool
}

type usedAt struct {
	at   time.Time
	used float64
}

// NewBuffer makes a watch; Run runs it.
func NewBuffer(o BufferOptions) (*Buffer, error) {
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Buffer{o: o, log: o.Log.With("component", "edge.buffer")}
	if o.Registry == nil {
		return b, nil
	}
	for name, g := range map[string]struct {
		help  string
		value func() float64
	}{
		"faultline_edge_buffer_used_ratio":         {"Share of the edge's limits that is taken up by what the hub does not have; at 1 the oldest frames are dropped.", func() float64 { u, _ := b.filling(); return u }},
		"faultline_edge_buffer_left_seconds":       {"Time until then at the present rate; -1 while it is not filling.", func() float64 { return b.leftSeconds() }},
		"faultline_edge_buffer_bytes":              {"Bytes of what the hub does not have, about.", func() float64 { return float64(b.Last().Bytes) }},
		"faultline_edge_buffer_limit_bytes":        {"Limit of these bytes: what is declared, or the disk's room if that is less.", func() float64 { return float64(b.Last().Limit) }},
		"faultline_edge_buffer_oldest_age_seconds": {"Age of the oldest frame that the hub does not have.", func() float64 { return b.Last().Oldest.Seconds() }},
	} {
		if err := o.Registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: g.help}, g.value)); err != nil {
			return nil, fmt.Errorf("register metrics of the edge's buffer: %w", err)
		}
	}
	return b, nil
}

// Run measures until ctx ends; then it returns nil.
func (b *Buffer) Run(ctx context.Context) error {
	tick := time.NewTicker(b.o.Every)
	defer tick.Stop()
	for {
		m, err := b.o.Measure(ctx)
		switch {
		case err == nil:
			b.note(m, time.Now())
		case ctx.Err() == nil:
			b.log.Debug("buffer not measured", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// note takes a measurement and tells the log of every threshold that is crossed.
func (b *Buffer) note(m bus.Buffer, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := m.Used()
	b.last = m
	b.used = append(b.used, usedAt{now, u})
	for len(b.used) > 1 && now.Sub(b.used[0].at) > rateOver {
		b.used = b.used[1:]
	}
	if m.DiskShort != b.short {
		b.short = m.DiskShort
		if b.short {
			b.log.Error("the disk has less room than edge.max_bytes declares: frames are dropped earlier, or the disk fills", "room_bytes", m.Limit)
		} else {
			b.log.Info("the disk has room for edge.max_bytes again")
		}
	}
	level := 0.0
	switch {
	case u >= alarmAt:
		level = alarmAt
	case u >= warnAt || b.level > 0 && u >= warnAt-0.05: // a dead band
		level = warnAt
	}
	if level == b.level {
		return
	}
	rose := level > b.level
	b.level = level
	left := "not filling"
	if d := b.left(); d > 0 {
		left = d.Round(time.Second).String()
	}
	args := []any{"used_percent", int(u * 100), "left", left, "frames", m.Frames, "oldest", m.Oldest.Round(time.Second)}
	switch {
	case rose && level == alarmAt:
		b.log.Error("the edge's buffer is almost full: the oldest frames will be dropped", args...)
	case rose:
		b.log.Warn("the edge's buffer fills", args...)
	default:
		b.log.Info("the edge's buffer empties", args...)
	}
}

// left is the time until the limit; 0 if it is not filling. b.mu is held.
func (b *Buffer) left() time.Duration {
	n := len(b.used)
	if n < 2 {
		return 0
	}
	first, last := b.used[0], b.used[n-1]
	took, rose := last.at.Sub(first.at), last.used-first.used
	if rose <= 0 || took <= 0 {
		return 0
	}
	seconds := (1 - last.used) / rose * took.Seconds()
	return time.Duration(min(seconds, 10*365*24*3600) * float64(time.Second))
}

func (b *Buffer) filling() (used float64, left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.used); n > 0 {
		used = b.used[n-1].used
	}
	return used, b.left()
}

func (b *Buffer) leftSeconds() float64 {
	if _, d := b.filling(); d > 0 {
		return d.Seconds()
	}
	return -1
}

// Last is the newest measurement.
func (b *Buffer) Last() bus.Buffer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// State is what the hub is told.
func (b *Buffer) State() faultline.GatewayState {
	used, left := b.filling()
	return faultline.GatewayState{BufferUsed: used * 100, BufferLeft: left, DiskShort: b.Last().DiskShort}
}

// Ready says what is wrong, from where the oldest frames are about to be dropped.
func (b *Buffer) Ready() error {
	if used, left := b.filling(); used >= alarmAt {
		return fmt.Errorf("the edge's buffer is %d %% full, %s left at the present rate: the hub has been out of reach, or slow, for too long", int(used*100), left.Round(time.Second))
	}
	return nil
}
