package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// DeadLetters is where they lie; *store.Store is one.
type DeadLetters interface {
	ForgetDeadLetters(ctx context.Context, ids ...int64) (int64, error)
	MarkStale(ctx context.Context, site string, due func(time.Time) time.Time, hours ...time.Time) error
	SweepDeadLetters(ctx context.Context, before time.Time, most int) (int64, error)
}

// Replayed is what became of dead letters that were written again.
type Replayed struct {
	Written []int64
	Refused map[int64]string // id → why it is refused still
}

// Replay writes dead letters again, after what was wrong has been mended: a field's type, a policy, a
// rule of the server. One that is taken is forgotten, one that is refused stays. The error says that
// InfluxDB or the store does not answer; what was done until then holds.
//
// What a crash leaves: letters that were written and are still there. Writing them again makes the same
// points.
func Replay(ctx context.Context, letters []faultline.DeadLetter, w Writer, retention time.Duration, tiers []tsdb.Tier, s DeadLetters) (Replayed, error) {
	done := Replayed{Written: []int64{}, Refused: map[int64]string{}}
	for i := range letters {
		d := &letters[i]
		refused, err := replay(ctx, d, w, retention, tiers, s)
		if err != nil {
			return done, fmt.Errorf("replay dead letter %d: %w", d.ID, err)
		}
		if refused != nil {
			done.Refused[d.ID] = refused.Error()
			continue
		}
		if _, err := s.ForgetDeadLetters(ctx, d.ID); err != nil {
			return done, err
		}
		done.Written = append(done.Written, d.ID)
	}
	return done, nil
}

func replay(ctx context.Context, d *faultline.DeadLetter, w Writer, retention time.Duration, tiers []tsdb.Tier, s DeadLetters) (refused, err error) {
	var c checker
	frame, refused := c.check(&faultline.Message{StoredAt: d.At, Site: d.Site, Position: positionIn(d.Line), ID: faultline.FrameID{Gateway: d.Gateway}, Payload: []byte(d.Line)})
	if refused != nil {
		return refused, nil
	}
	now := time.Now()
	if frame.Time.Before(tsdb.Kept(retention, now)) {
		for _, t := range tiers {
			if !t.Keeps(frame.Time, now) {
				continue
			}
			if err := w.WriteIn(ctx, t.Name, tsdb.AppendLate(nil, frame)); tsdb.IsPermanent(err) && !tsdb.IsExpired(err) {
				return err, nil
			} else if err != nil && !tsdb.IsExpired(err) {
				return nil, err
			}
		}
		return nil, nil
	}
	if err := w.Write(ctx, []byte(d.Line)); tsdb.IsPermanent(err) {
		return err, nil
	} else if err != nil {
		return nil, err
	}
	return nil, s.MarkStale(ctx, d.Site, DueAfter(now), frame.Time)
}

// positionIn is what a line says itself: a dead letter does not keep its subject.
func positionIn(line string) string {
	f, err := bus.DecodeFrame([]byte(line))
	if err != nil {
		return ""
	}
	return f.Position
}

// Of dead letters these are kept; what is dropped is counted.
const (
	maxLetters   = 50_000
	maxLetterAge = 90 * 24 * time.Hour
)

// Sweeper bounds the dead letters in number and age.
type Sweeper struct {
	Store    DeadLetters
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Run looks each hour until ctx ends, when it returns nil.
func (s *Sweeper) Run(ctx context.Context) error {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "faultline_ingest_dead_letters_dropped_total", Help: "Dead letters that this process dropped by the limits of number and age.",
	})
	if s.Registry != nil {
		if err := s.Registry.Register(dropped); err != nil {
			return fmt.Errorf("dead letters: register metrics: %w", err)
		}
	}
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		n, err := s.Store.SweepDeadLetters(ctx, time.Now().Add(-maxLetterAge), maxLetters)
		switch {
		case err != nil && ctx.Err() == nil:
			s.Log.Warn("dead letters cannot be swept, trying again", "component", "ingest", "error", err)
		case n > 0:
			s.Log.Warn("dead letters dropped by their limits of number and age", "component", "ingest", "letters", n)
			dropped.Add(float64(n))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
