package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/faultline-iot/faultline/internal/store"
)

// Trimmer purges what everybody has dealt with from the partitions' streams, so that a hub does not
// fill up. Several may work on the same partitions.
//
// A crash between any two of its steps leaves a stream that is longer than it need be.
type Trimmer struct {
	Hub        Trimmable
	Places     func(context.Context) ([]store.SavedPlace, error)
	Partitions []int
	// Roles that read the streams. Nothing is purged that one of them, standing where its saved place
	// says, has not dealt with; a role without a saved place has dealt with nothing.
	Roles []string
	Keep  time.Duration // that messages stay at least; 24 h by default
	Every time.Duration // between looks; 10 min by default
	Log   *slog.Logger
}

// Trimmable is the hub's side of trimming; *bus.Hub is one.
type Trimmable interface {
	Stream(partition int) string
	// SequenceBefore is that of the newest message stored before t; 0 if there is none.
	SequenceBefore(ctx context.Context, partition int, t time.Time) (uint64, error)
	// Trim removes the messages up to and including upTo; what is gone already is no error.
	Trim(ctx context.Context, partition int, upTo uint64) error
}

// Run trims until ctx ends, when it returns nil. What fails is logged and tried again the next time.
func (t *Trimmer) Run(ctx context.Context) error {
	if t.Keep <= 0 {
		t.Keep = 24 * time.Hour
	}
	if t.Every <= 0 {
		t.Every = 10 * time.Minute
	}
	log := t.Log.With("component", "trimmer")
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	for {
		for _, p := range t.Partitions {
			if upTo, err := t.Trim(ctx, p, time.Now()); err != nil && ctx.Err() == nil {
				log.Warn("a stream cannot be trimmed", "partition", p, "error", err)
			} else if upTo > 0 {
				log.Debug("trimmed", "partition", p, "sequence", upTo)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Trim purges one partition as far as it may be at now, and says how far; 0 is nothing.
func (t *Trimmer) Trim(ctx context.Context, partition int, now time.Time) (upTo uint64, err error) {
	places, err := t.Places(ctx)
	if err != nil {
		return 0, fmt.Errorf("trim partition %d: %w", partition, err)
	}
	if upTo, err = t.Hub.SequenceBefore(ctx, partition, now.Add(-t.Keep)); err != nil || upTo == 0 {
		return 0, err
	}
	for _, role := range t.Roles {
		i := slices.IndexFunc(places, func(p store.SavedPlace) bool {
			return p.Role == role && p.Partition == partition && p.Place.Stream == t.Hub.Stream(partition)
		})
		if i < 0 {
			return 0, nil
		}
		upTo = min(upTo, places[i].Place.Sequence)
	}
	if upTo == 0 {
		return 0, nil
	}
	return upTo, t.Hub.Trim(ctx, partition, upTo)
}
