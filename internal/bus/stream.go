package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// StreamState is how a stream is at the moment.
type StreamState struct {
	Stream      string
	First, Last uint64 // sequences; First = Last+1 in an empty stream
	Messages    uint64
	Bytes       uint64 // on disk
	MaxBytes    int64  // the limit; -1 = the server's
	FirstAt     time.Time
	LastAt      time.Time
}

// Keys of the streams' metadata.
const (
	metaRole        = "faultline" // "hub" or "edge"
	metaPartition   = "faultline-partition"
	metaPartitions  = "faultline-partitions"
	metaIncarnation = "faultline-incarnation"
	metaEpoch       = "faultline-epoch"
)

// streamOf finds the stream that stores a subject.
func (c *Conn) streamOf(ctx context.Context, subject string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	name, err := c.js.StreamNameBySubject(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("find stream of %s: %w", subject, err)
	}
	s, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("find stream of %s: %w", subject, err)
	}
	return s, nil
}

// list reads what there is of our streams in the given role.
func (c *Conn) list(ctx context.Context, role string) ([]*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	l := c.js.ListStreams(ctx)
	var out []*jetstream.StreamInfo
	for s := range l.Info() {
		if s.Config.Metadata[metaRole] == role {
			out = append(out, s)
		}
	}
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	return out, nil
}

// config is what all our streams have in common.
func streamConfig(name, role string, subjects []string, maxBytes int64, meta map[string]string) jetstream.StreamConfig {
	meta[metaRole] = role
	if maxBytes <= 0 {
		maxBytes = -1
	}
	return jetstream.StreamConfig{
		Name: name, Subjects: subjects, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxBytes: maxBytes, MaxMsgs: -1, MaxConsumers: -1, MaxMsgsPerSubject: -1, Replicas: 1,
		AllowAtomicPublish: true, DenyDelete: true, Metadata: meta,
	}
}

func (c *Conn) state(ctx context.Context, name string) (StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := c.js.Stream(ctx, name)
	if err != nil {
		return StreamState{}, fmt.Errorf("state of stream %s: %w", name, notFound(err))
	}
	return stateOf(s.CachedInfo()), nil
}

func stateOf(i *jetstream.StreamInfo) StreamState {
	s := StreamState{
		Stream: i.Config.Name, First: i.State.FirstSeq, Last: i.State.LastSeq, Messages: i.State.Msgs,
		Bytes: i.State.Bytes, MaxBytes: i.Config.MaxBytes, FirstAt: i.State.FirstTime, LastAt: i.State.LastTime,
	}
	if s.Messages == 0 { // the server says 0 or last+1, depending on how it became empty
		s.First = s.Last + 1
	}
	return s
}

func notFound(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %w", faultline.ErrNotFound, err)
	}
	return err
}
