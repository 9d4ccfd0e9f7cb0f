package bus

import (
	"context"
	"time"

	"github.com/faultline-iot/faultline"
)

// Buffer is how much of an edge's limits is taken up by what the hub does not have yet. What the hub has is
// kept too, but is dropped first.
type Buffer struct {
	Frames    uint64        // that the hub does not have
	Bytes     int64         // of what the hub does not have, on disk, about
	Limit     int64         // of bytes: what is declared, or what the disk has room for if that is less
	Oldest    time.Duration // age of the oldest of them
	MaxAge    time.Duration
	DiskShort bool // the disk has less room than is declared
}

// Used is the larger share of the limits, 0 to 1.
func (b Buffer) Used() float64 {
	var bytes, age float64
	if b.Limit > 0 {
		bytes = float64(b.Bytes) / float64(b.Limit)
	}
	if b.MaxAge > 0 {
		age = b.Oldest.Seconds() / b.MaxAge.Seconds()
	}
	return min(max(bytes, age), 1)
}

// diskReserve is what a disk is left for others, and for the moment between a purge and its room.
const diskReserve = 64 << 20

// Buffer measures. free is what the disk has room for; negative: not known.
func (e *Edge) Buffer(ctx context.Context, free int64) (Buffer, error) {
	if err := e.MeasureBacklog(ctx); err != nil {
		return Buffer{}, err
	}
	s, err := e.State(ctx)
	if err != nil {
		return Buffer{}, err
	}
	e.mu.Lock()
	u, waits := e.uplink, min(e.waits, s.Messages)
	e.mu.Unlock()
	b := Buffer{Frames: u.Backlog, Limit: e.cfg.MaxBytes, MaxAge: e.cfg.MaxAge}
	if waits > 0 {
		b.Oldest = u.Lag
		b.Bytes = int64(float64(s.Bytes) / float64(s.Messages) * float64(waits))
	}
	if room := int64(s.Bytes) + max(free-diskReserve, 0); free >= 0 && room < b.Limit {
		b.Limit, b.DiskShort = max(room, 1), true
	}
	return b, nil
}

// TellState has the gateway's state go with heartbeats when they are forwarded. state gives JSON; it must not block.
func (e *Edge) TellState(state func() *faultline.GatewayState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = state
}
