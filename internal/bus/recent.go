package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// Recent is looked for in windows that double from the first to the longest.
const (
	recentFirst   = 15 * time.Second
	recentLongest = time.Hour
)

// Recent gives the last stored frames of this gateway, oldest first: at most n, none older than an
// hour before the newest message was looked for. It is how a gateway that starts again knows what it
// had stored already.
// It tries again after faults of the bus, until ctx ends.
func (p *Publisher) Recent(ctx context.Context, n int) ([]faultline.Frame, error) {
	for attempt := 0; ; attempt++ {
		frames, err := p.recent(ctx, n)
		if err == nil || ctx.Err() != nil {
			return frames, err
		}
		p.conn.log.Warn("recent frames cannot be read yet", "gateway", p.gateway, "error", err)
		if perr := p.conn.pause(ctx, min(attempt, 5)); perr != nil {
			return nil, err
		}
	}
}

func (p *Publisher) recent(ctx context.Context, n int) ([]faultline.Frame, error) {
	stream, err := p.conn.streamOf(ctx, p.anchor)
	if err != nil {
		return nil, fmt.Errorf("read recent frames of gateway %s: %w", p.gateway, err)
	}
	subjects := []string{p.w.subj.frames + ".*"}
	if p.w.subj.bundles != "" {
		subjects = append(subjects, p.w.subj.bundles)
	}
	now := time.Now()
	for window := recentFirst; ; window *= 2 {
		start := now.Add(-window)
		cons, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start,
			AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
		})
		if err != nil {
			return nil, fmt.Errorf("read recent frames of gateway %s: %w", p.gateway, err)
		}
		payloads, err := lastPayloads(ctx, cons, int(cons.CachedInfo().NumPending), n)
		_ = stream.DeleteConsumer(ctx, cons.CachedInfo().Name) // else the server does it after its threshold
		if err != nil {
			return nil, fmt.Errorf("read recent frames of gateway %s: %w", p.gateway, err)
		}
		if len(payloads) < n && 2*window <= recentLongest {
			continue
		}
		frames := make([]faultline.Frame, 0, len(payloads))
		for _, data := range payloads {
			if f, err := DecodeFrame(data); err == nil { // else it is not ours; ingest dead-letters it
				frames = append(frames, f)
			}
		}
		return frames, nil
	}
}

// lastPayloads reads pending messages and gives the payloads of their last n frames.
func lastPayloads(ctx context.Context, cons jetstream.Consumer, pending, n int) ([][]byte, error) {
	var out [][]byte
	for read := 0; read < pending; {
		batch, err := cons.Fetch(min(maxHandle, pending-read), jetstream.FetchMaxWait(answerTime))
		if err != nil {
			return nil, err
		}
		got := 0
		for m := range batch.Messages() {
			got++
			ms, err := entries(m)
			if err != nil {
				continue // it is not ours
			}
			for _, e := range ms {
				if e.Kind == faultline.KindFrame {
					out = append(out, e.Payload)
				}
			}
			if len(out) >= 2*n {
				out = append([][]byte(nil), out[len(out)-n:]...)
			}
		}
		if err := batch.Error(); err != nil {
			return nil, err
		}
		if read += got; got == 0 {
			return nil, errGap // trimmed while it was read, or the consumer is gone
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
	}
	return out[max(len(out)-n, 0):], nil
}
