package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// HubConfig says what the hub is to be.
type HubConfig struct {
	// Partitions is fixed when the hub is created; opening it with another number is an error. 0 opens
	// the hub as it is and creates nothing.
	Partitions     int
	Replicas       int           // of each stream; 0 = as they are; of new ones 3 in a cluster, else 1
	MaxBytes       int64         // of each partition's stream, which then refuses; 0 = as it is, or the server's limit
	CommitInterval time.Duration // of publishers that write straight to the hub; 0 = 5 ms
	// Duplicates is how long the server remembers message ids; 0 = 1 h. It is a second net, as writers ask
	// what is stored before they send anything again; it costs the server about 150 bytes a frame.
	Duplicates time.Duration
}

// clusterReplicas lets one of three nodes fail.
const clusterReplicas = 3

// Hub is the partitioned, durable stream of everything that rules and ingest depend on.
// Safe for concurrent use.
type Hub struct {
	conn    *Conn
	cfg     HubConfig
	streams []string // by partition
	incarn  []string
	asks    bool // it may not look into the streams, but asks
}

// OpenHub opens the hub and creates what is missing of it. Without one, Partitions 0 gives
// faultline.ErrNotFound.
func (c *Conn) OpenHub(ctx context.Context, cfg HubConfig) (*Hub, error) {
	if cfg.CommitInterval <= 0 {
		cfg.CommitInterval = 5 * time.Millisecond
	}
	if cfg.Duplicates <= 0 {
		cfg.Duplicates = time.Hour
	}
	for attempt := 0; ; attempt++ {
		h, err := c.openHub(ctx, cfg, false)
		if errors.Is(err, errIncomplete) {
			h, err = c.makeHub(ctx, cfg)
		}
		if err == nil || code(err) != codeOverlap || attempt == 5 { // another process creates the same stream now
			return h, err
		}
		if err := pause(ctx, attempt); err != nil {
			return nil, fmt.Errorf("open hub: %w", err)
		}
	}
}

func (c *Conn) openHub(ctx context.Context, cfg HubConfig, making bool) (*Hub, error) {
	found, err := c.list(ctx, "hub")
	if err != nil {
		return nil, fmt.Errorf("open hub: %w", err)
	}
	if len(found) == 0 && cfg.Partitions == 0 {
		return nil, fmt.Errorf("open hub: %w: no partition has been created", faultline.ErrNotFound)
	}
	n := cfg.Partitions
	for _, s := range found {
		has, err := strconv.Atoi(s.Config.Metadata[metaPartitions])
		if err != nil || has < 1 {
			return nil, fmt.Errorf("open hub: stream %s: metadata %s is %q", s.Config.Name, metaPartitions, s.Config.Metadata[metaPartitions])
		}
		if n == 0 {
			n = has
		}
		if has != n {
			return nil, fmt.Errorf("open hub: %w: it was created with %d partitions, not %d, and their number is fixed", faultline.ErrConflict, has, n)
		}
	}
	h := &Hub{conn: c, cfg: cfg, streams: make([]string, n), incarn: make([]string, n)}
	for _, s := range found {
		p, err := strconv.Atoi(s.Config.Metadata[metaPartition])
		if err != nil || p < 0 || p >= n || h.streams[p] != "" {
			return nil, fmt.Errorf("open hub: stream %s: metadata %s is %q", s.Config.Name, metaPartition, s.Config.Metadata[metaPartition])
		}
		h.streams[p], h.incarn[p] = s.Config.Name, s.Config.Metadata[metaIncarnation]
		if err := h.adjust(ctx, s.Config); err != nil {
			return nil, fmt.Errorf("open hub: %w", err)
		}
	}
	for p := range h.streams {
		if h.streams[p] != "" {
			continue
		}
		if cfg.Partitions == 0 {
			return nil, fmt.Errorf("open hub: %w: partition %d of %d is missing", faultline.ErrNotFound, p, n)
		}
		if !making {
			return nil, errIncomplete
		}
		if err := h.create(ctx, p); err != nil {
			return nil, fmt.Errorf("open hub: %w", err)
		}
	}
	return h, nil
}

func (h *Hub) create(ctx context.Context, p int) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	incarnation, part := token(8), strconv.Itoa(p)
	cfg := streamConfig("FL-HUB-"+part+"-"+incarnation, "hub", []string{"f." + part + ".>", "h." + part + ".>", "w." + part + ".>", "c." + part}, h.cfg.MaxBytes, map[string]string{
		metaPartition: part, metaPartitions: strconv.Itoa(len(h.streams)), metaIncarnation: incarnation,
	})
	cfg.Discard, cfg.Duplicates, cfg.Replicas = jetstream.DiscardNew, h.cfg.Duplicates, h.cfg.Replicas
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
		if h.conn.nc.ConnectedClusterName() != "" {
			cfg.Replicas = clusterReplicas
		}
	}
	if _, err := h.conn.js.CreateStream(ctx, cfg); err != nil {
		return fmt.Errorf("create partition %d: %w", p, err)
	}
	h.streams[p], h.incarn[p] = cfg.Name, incarnation
	return nil
}

// adjust gives a stream the limits that are wanted now.
func (h *Hub) adjust(ctx context.Context, has jetstream.StreamConfig) error {
	want := has
	if h.cfg.MaxBytes > 0 {
		want.MaxBytes = h.cfg.MaxBytes
	}
	if h.cfg.Replicas > 0 {
		want.Replicas = h.cfg.Replicas
	}
	if h.cfg.Partitions == 0 || want.MaxBytes == has.MaxBytes && want.Replicas == has.Replicas {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := h.conn.js.UpdateStream(ctx, want); err != nil {
		return fmt.Errorf("change limits of %s: %w", has.Name, err)
	}
	return nil
}

// Renew gives a partition's stream another incarnation, as after a loss of its end: numbers of frames that were there
// would be used again, so publishers that are opened afterwards begin a new epoch, and gateways of sites forward anew what
// the stream does not name. It is called before both are let in.
func (h *Hub) Renew(ctx context.Context, partition int) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := h.conn.js.Stream(ctx, h.streams[partition])
	if err != nil {
		return fmt.Errorf("renew %s: %w", h.streams[partition], notFound(err))
	}
	cfg := s.CachedInfo().Config
	cfg.Metadata[metaIncarnation] = token(8)
	if _, err := h.conn.js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("renew %s: %w", cfg.Name, err)
	}
	h.incarn[partition] = cfg.Metadata[metaIncarnation]
	return nil
}

// Conn is the connection that the hub was opened on.
func (h *Hub) Conn() *Conn { return h.conn }

// Partitions is their number.
func (h *Hub) Partitions() int { return len(h.streams) }

// Partition is where a site's messages are.
func (h *Hub) Partition(site string) int { return partitionOf(site, len(h.streams)) }

// Stream is the name of a partition's stream; places name it.
func (h *Hub) Stream(partition int) string { return h.streams[partition] }

// Publisher opens the publisher of a gateway that writes straight to the hub. It fences the one before.
// It waits for a bus that does not answer, until ctx ends. The caller closes it.
func (h *Hub) Publisher(ctx context.Context, site, gateway string) (*Publisher, error) {
	p := h.Partition(site)
	incarnation := h.incarn[p]
	return h.conn.openPublisher(ctx, publisherConfig{
		site: site, gateway: gateway, anchor: "c." + strconv.Itoa(p), subj: hubSubjects(p, site, gateway), interval: h.cfg.CommitInterval,
		epoch: func(last faultline.FrameID) (string, uint64, error) {
			// An epoch begins with the incarnation it was made in: see the package's comment.
			if n := len(incarnation); n > 0 && len(last.Epoch) > n && last.Epoch[:n] == incarnation {
				return last.Epoch, last.Sequence, nil
			}
			return incarnation + token(8), 0, nil
		},
	})
}

// State tells how a partition's stream is.
func (h *Hub) State(ctx context.Context, partition int) (StreamState, error) {
	s, err := h.conn.state(ctx, h.streams[partition])
	if err != nil {
		return s, err
	}
	label := "hub-" + strconv.Itoa(partition)
	h.conn.m.streamB.WithLabelValues(label).Set(float64(s.Bytes))
	h.conn.m.streamM.WithLabelValues(label).Set(float64(s.Messages))
	return s, nil
}

// Trim removes the messages up to and including sequence upTo. It is for ever.
func (h *Hub) Trim(ctx context.Context, partition int, upTo uint64) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := h.conn.js.Stream(ctx, h.streams[partition])
	if err != nil {
		return fmt.Errorf("trim %s: %w", h.streams[partition], notFound(err))
	}
	if last := s.CachedInfo().State.LastSeq; upTo > last {
		return fmt.Errorf("trim %s: %w: sequence %d is beyond the last, %d", h.streams[partition], faultline.ErrInvalid, upTo, last)
	}
	if upTo < s.CachedInfo().State.FirstSeq {
		return nil
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("trim %s: %w", h.streams[partition], err)
	}
	return nil
}

// SequenceBefore is the sequence of the newest message of a partition that was stored before t; 0 if
// there is none.
func (h *Hub) SequenceBefore(ctx context.Context, partition int, t time.Time) (uint64, error) {
	s, err := h.conn.js.Stream(ctx, h.streams[partition])
	if err != nil {
		return 0, fmt.Errorf("look into %s: %w", h.streams[partition], notFound(err))
	}
	st := s.CachedInfo().State
	if st.Msgs == 0 {
		return 0, nil
	}
	// Times do not fall within a stream, apart from a clock that was set back: then less is found.
	lo, hi := st.FirstSeq, st.LastSeq+1 // below lo: before t; hi and above: not
	for lo < hi {
		at := lo + (hi-lo)/2
		m, err := s.GetMsg(ctx, at)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // trimmed meanwhile
			lo = at + 1
		case err != nil:
			return 0, fmt.Errorf("look into %s at %d: %w", h.streams[partition], at, err)
		case m.Time.Before(t):
			lo = at + 1
		default:
			hi = at
		}
	}
	if lo <= st.FirstSeq {
		return 0, nil
	}
	return lo - 1, nil
}
