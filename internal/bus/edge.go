package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// EdgeConfig configures the stream in which a gateway keeps its frames until the hub has them, and after.
type EdgeConfig struct {
	Site, Gateway  string
	MaxBytes       int64         // then the oldest are dropped, which the ledger counts; 0 = 1 GiB
	MaxAge         time.Duration // the same; 0 = 7 days
	CommitInterval time.Duration // 0 = 100 ms: SD cards manage tens of syncs a second
}

// Edge is a gateway's own durable stream. Safe for concurrent use.
type Edge struct {
	conn   *Conn
	cfg    EdgeConfig
	subj   subjects
	stream string

	mu     sync.Mutex
	uplink UplinkState
	waits  uint64                         // messages of the edge stream that are not forwarded yet
	state  func() *faultline.GatewayState // goes with heartbeats; may be nil
}

// edgeDuplicates is short: only the gateway's own writer writes here, fenced by its claim.
const edgeDuplicates = 2 * time.Minute

// OpenEdge opens the gateway's stream, or creates it with a new epoch.
func (c *Conn) OpenEdge(ctx context.Context, cfg EdgeConfig) (*Edge, error) {
	for _, n := range [...][2]string{{"site", cfg.Site}, {"gateway", cfg.Gateway}} {
		if err := faultline.CheckName(n[0], n[1]); err != nil {
			return nil, fmt.Errorf("open edge: %w", err)
		}
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = 7 * 24 * time.Hour
	}
	if cfg.CommitInterval <= 0 {
		cfg.CommitInterval = 100 * time.Millisecond
	}
	e := &Edge{conn: c, cfg: cfg, subj: edgeSubjects(cfg.Site, cfg.Gateway), uplink: UplinkState{State: stateStopped, Since: time.Now()}}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := c.streamOf(ctx, e.subj.claims)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return e, e.create(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open edge: %w", err)
	}
	has := s.CachedInfo().Config
	e.stream = has.Name
	if has.MaxBytes != cfg.MaxBytes || has.MaxAge != cfg.MaxAge || !slices.Contains(has.Subjects, e.subj.bundles) {
		has.MaxBytes, has.MaxAge, has.Subjects = cfg.MaxBytes, cfg.MaxAge, e.subj.edge()
		if _, err := c.js.UpdateStream(ctx, has); err != nil {
			return nil, fmt.Errorf("open edge: change limits of %s: %w", has.Name, err)
		}
	}
	return e, nil
}

func (e *Edge) create(ctx context.Context) error {
	e.stream = "FL-EDGE-" + e.cfg.Site + "-" + e.cfg.Gateway + "-" + token(8)
	cfg := streamConfig(e.stream, "edge", e.subj.edge(), e.cfg.MaxBytes, map[string]string{metaEpoch: token(16)})
	cfg.Discard, cfg.MaxAge, cfg.Duplicates = jetstream.DiscardOld, e.cfg.MaxAge, min(edgeDuplicates, e.cfg.MaxAge)
	if _, err := e.conn.js.CreateStream(ctx, cfg); err != nil {
		return fmt.Errorf("open edge: create %s: %w", e.stream, err)
	}
	return nil
}

// Publisher opens the gateway's publisher. It fences the one before. The caller closes it.
func (e *Edge) Publisher(ctx context.Context) (*Publisher, error) {
	return e.conn.openPublisher(ctx, publisherConfig{
		site: e.cfg.Site, gateway: e.cfg.Gateway, anchor: e.subj.claims, subj: e.subj, interval: e.cfg.CommitInterval,
		bundle: bundleBytes(e.cfg.MaxBytes),
		epoch:  func(last faultline.FrameID) (string, uint64, error) { return e.epoch(ctx, last) },
	})
}

// epoch goes on after the last stored frame. Where the limits have dropped it, its sequence is unknown
// and a new epoch begins. The stream's metadata keeps the epoch, so that a stream that only has claims
// does not change it.
func (e *Edge) epoch(ctx context.Context, last faultline.FrameID) (string, uint64, error) {
	if last.Epoch != "" {
		return last.Epoch, last.Sequence, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := e.conn.js.Stream(ctx, e.stream)
	if err != nil {
		return "", 0, fmt.Errorf("read epoch of %s: %w", e.stream, err)
	}
	cfg := s.CachedInfo().Config
	if epoch := cfg.Metadata[metaEpoch]; epoch != "" && stateOf(s.CachedInfo()).First == 1 {
		return epoch, 0, nil
	}
	cfg.Metadata[metaEpoch] = token(16)
	if _, err := e.conn.js.UpdateStream(ctx, cfg); err != nil {
		return "", 0, fmt.Errorf("begin epoch of %s: %w", e.stream, err)
	}
	return cfg.Metadata[metaEpoch], 0, nil
}

// State tells how the stream is.
func (e *Edge) State(ctx context.Context) (StreamState, error) {
	s, err := e.conn.state(ctx, e.stream)
	if err != nil {
		return s, err
	}
	label := strings.Join([]string{"edge", e.cfg.Site, e.cfg.Gateway}, "-")
	e.conn.m.streamB.WithLabelValues(label).Set(float64(s.Bytes))
	e.conn.m.streamM.WithLabelValues(label).Set(float64(s.Messages))
	return s, nil
}
