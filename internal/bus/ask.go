package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// A gateway may not look into the hub's streams, where other gateways' messages are. It asks, and a process
// of the centre answers what concerns it. While no such process runs, a gateway that has lost its
// connection waits; its frames wait at the edge.

// answer is what the hub tells a gateway about itself.
type answer struct {
	Partitions int               `json:"partitions"`
	Stream     string            `json:"stream"` // of the gateway's partition
	Incarn     string            `json:"incarnation,omitempty"`
	Last       faultline.FrameID `json:"last"`   // its newest frame there
	Claim      uint64            `json:"claim"`  // sequence of its newest claim; 0: none
	Writer     string            `json:"writer"` // of that claim
	ClaimedAt  time.Time         `json:"claimed_at,omitzero"`
	At         time.Time         `json:"at"` // the hub's clock when it answered
	Error      string            `json:"error,omitempty"`
}

// answerers work side by side, so that one slow stream does not hold up all gateways.
const answerers = 4

// Run answers gateways that ask what the hub has of them, until ctx ends; then it returns nil. Several
// processes share the work.
func (h *Hub) Run(ctx context.Context) error {
	var subs []*nats.Subscription
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // fails only when the connection is closed, which ends it too
		}
	}()
	for range answerers {
		s, err := h.conn.nc.QueueSubscribe("hub.ask.*.*", "hub", func(m *nats.Msg) {
			t := strings.Split(m.Subject, ".")
			a, err := h.tell(ctx, t[2], t[3])
			if err != nil {
				a.Error = err.Error()
			}
			a.At = time.Now().UTC()
			data, err := json.Marshal(a)
			if err == nil {
				err = m.Respond(data)
			}
			if err != nil {
				h.conn.log.Debug("answer to a gateway", "gateway", t[3], "error", err)
			}
		})
		if err != nil {
			return fmt.Errorf("answer gateways: %w", err)
		}
		subs = append(subs, s)
	}
	if err := h.conn.nc.Flush(); err != nil {
		h.conn.log.Debug("answer gateways", "error", err) // it subscribes again when it reconnects
	}
	<-ctx.Done()
	return nil
}

// tell looks into the stream of a gateway's partition. The newest claim is read first: whoever holds it is the
// only writer, so what is read after it does not change behind the writer's back.
func (h *Hub) tell(ctx context.Context, site, gateway string) (a answer, err error) {
	for _, n := range [...][2]string{{"site", site}, {"gateway", gateway}} {
		if err := faultline.CheckName(n[0], n[1]); err != nil {
			return a, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	p := h.Partition(site)
	a.Partitions = len(h.streams)
	l := streamLook{h.conn, fmt.Sprintf("c.%d", p), hubSubjects(p, site, gateway), nil}
	if a.Stream, a.Incarn, err = l.name(ctx); err != nil {
		return a, err
	}
	c, err := l.claim(ctx)
	if err != nil {
		return a, err
	}
	a.Claim, a.Writer, a.ClaimedAt = c.sequence, c.writer, c.at
	a.Last, err = l.last(ctx)
	return a, err
}

func (c *Conn) ask(ctx context.Context, site, gateway string) (a answer, err error) {
	m, err := c.request(ctx, &nats.Msg{Subject: askSubject(site, gateway)})
	if errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("no process of the centre answers: %w", err)
	}
	if err != nil {
		return a, fmt.Errorf("ask the hub about gateway %s/%s: %w", site, gateway, err)
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, fmt.Errorf("ask the hub about gateway %s/%s: answer %.60q: %w", site, gateway, m.Data, err)
	}
	if a.Error == "" && (a.Partitions < 1 || a.Stream == "") {
		a.Error = "it names no stream"
	}
	if a.Error != "" {
		return a, fmt.Errorf("ask the hub about gateway %s/%s: the hub says: %s", site, gateway, a.Error)
	}
	return a, nil
}

// slowAnswer is too slow to tell the time by.
const slowAnswer = 2 * time.Second

// AskTime asks the hub what time it is there, for the local moment at, which carries a monotonic reading.
// The hub answers after it has looked into its streams, so the error is at most the time that the answer took.
func (c *Conn) AskTime(ctx context.Context, site, gateway string) (hub, at time.Time, err error) {
	began := time.Now()
	a, err := c.ask(ctx, site, gateway)
	if err != nil {
		return hub, at, err
	}
	at = time.Now()
	if took := at.Sub(began); took > slowAnswer {
		return hub, at, fmt.Errorf("ask the hub for the time: it took %s", took)
	}
	return a.At, at, nil
}

// AskHub opens the hub as a gateway sees it, for Edge.Forward: it knows the gateway's own partition only.
func (c *Conn) AskHub(ctx context.Context, site, gateway string) (*Hub, error) {
	a, err := c.ask(ctx, site, gateway)
	if err != nil {
		return nil, err
	}
	h := &Hub{conn: c, asks: true, streams: make([]string, a.Partitions), incarn: make([]string, a.Partitions)}
	h.streams[h.Partition(site)] = a.Stream
	return h, nil
}

// look is how a writer learns what the stream holds of its gateway.
type look interface {
	name(ctx context.Context) (stream, incarnation string, err error) // jetstream.ErrStreamNotFound
	claim(ctx context.Context) (claimed, error)                       // the newest one; zero if there is none
	last(ctx context.Context) (faultline.FrameID, error)              // the newest frame; zero if there is none
}

type claimed struct {
	sequence uint64
	writer   string
	at       time.Time
}

// askLook asks the hub.
type askLook struct {
	conn          *Conn
	site, gateway string
}

func (l *askLook) name(ctx context.Context) (stream, incarnation string, err error) {
	a, err := l.conn.ask(ctx, l.site, l.gateway)
	return a.Stream, a.Incarn, err
}

func (l *askLook) claim(ctx context.Context) (claimed, error) {
	a, err := l.conn.ask(ctx, l.site, l.gateway)
	return claimed{a.Claim, a.Writer, a.ClaimedAt}, err
}

func (l *askLook) last(ctx context.Context) (faultline.FrameID, error) {
	a, err := l.conn.ask(ctx, l.site, l.gateway)
	return a.Last, err
}

// streamLook reads the stream itself.
type streamLook struct {
	conn   *Conn
	anchor string // a subject of the stream that no other stream has
	subj   subjects
	stream jetstream.Stream // found by name
}

func (l *streamLook) name(ctx context.Context) (stream, incarnation string, err error) {
	s, err := l.conn.streamOf(ctx, l.anchor)
	if err != nil {
		return "", "", err
	}
	l.stream = s
	cfg := s.CachedInfo().Config
	return cfg.Name, cfg.Metadata[metaIncarnation], nil
}

func (l *streamLook) claim(ctx context.Context) (claimed, error) {
	m, err := l.stream.GetLastMsgForSubject(ctx, l.subj.claims)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return claimed{}, nil
	}
	if err != nil {
		return claimed{}, err
	}
	return claimed{m.Sequence, m.Header.Get(headerWriter), m.Time}, nil
}

func (l *streamLook) last(ctx context.Context) (faultline.FrameID, error) {
	return lastID(ctx, l.stream, l.subj)
}
