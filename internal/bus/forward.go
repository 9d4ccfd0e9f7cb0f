package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// UplinkState is how forwarding from the edge to the hub is.
type UplinkState struct {
	State   string // "ok", "full", "unreachable", "fenced"
	Error   string // why, while State is not "ok"
	Since   time.Time
	Frames  uint64            // stored at the hub by this Edge
	Skipped uint64            // frames that the hub had already
	Dropped uint64            // frames that the edge's limits dropped before they were forwarded
	Last    faultline.FrameID // the newest that the hub has
	Backlog uint64            // frames in the edge stream that are not forwarded yet
	Lag     time.Duration     // age of the oldest message of the last batch when it was forwarded; in any other state than ok, of the oldest that waits
}

// Uplink tells how forwarding is.
func (e *Edge) Uplink() UplinkState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.uplink
}

// Forward stores everything of the edge stream at the hub, oldest first, each frame once, until ctx
// ends; then it returns nil. It tries for ever while the hub is out of reach or full. On connecting, the
// hub names the gateway's last frame there and forwarding resumes after it, so that a restored hub is
// filled again. It returns an error when another forwarder has taken over the gateway
// (faultline.ErrFenced), when the hub's stream was replaced (open the hub again and call it again), and
// when the hub refuses a message for good.
func (e *Edge) Forward(ctx context.Context, hub *Hub) error {
	p := hub.Partition(e.cfg.Site)
	f := &forwarder{edge: e, hub: hub}
	subj := hubSubjects(p, e.cfg.Site, e.cfg.Gateway)
	var l look = &streamLook{conn: hub.conn, anchor: "c." + strconv.Itoa(p), subj: subj}
	if hub.asks {
		l = &askLook{conn: hub.conn, site: e.cfg.Site, gateway: e.cfg.Gateway}
	}
	f.w = newWriter(hub.conn, l, subj, e.cfg.Gateway, f.changed)
	for attempt := 0; ; attempt++ {
		f.moved = false
		err := f.run(ctx)
		switch {
		case ctx.Err() != nil:
			f.changed(stateStopped, nil)
			return nil
		case classify(err) == faultPermanent && !errors.Is(err, errEdge):
			f.w.report(err)
			return fmt.Errorf("forward %s/%s: %w", e.cfg.Site, e.cfg.Gateway, err)
		}
		f.w.report(err)
		if f.moved {
			attempt = 0
		}
		if hub.conn.pause(ctx, attempt) != nil {
			return nil
		}
	}
}

// errEdge marks faults of the edge's own stream, which are never the hub's refusal.
var errEdge = errors.New("edge stream")

type forwarder struct {
	edge   *Edge
	hub    *Hub
	w      *writer
	last   faultline.FrameID // the newest frame that the hub has, as far as it says
	known  bool              // whether last, or that there is none, is the whole truth of this epoch
	next   uint64            // sequence in the edge stream of the message to forward next
	moved  bool
	size   int       // of the messages fetched last, on average
	rest   bool      // whether more waited in the edge stream then
	asked  time.Time // when the newest frame of the edge stream was last looked up
	newest uint64    // its sequence then

	stated time.Time // when the gateway's state was last sent
}

func (f *forwarder) changed(state string, err error) {
	e := f.edge
	e.mu.Lock()
	defer e.mu.Unlock()
	e.uplink.State, e.uplink.Error, e.uplink.Since = state, "", time.Now()
	if err != nil {
		e.uplink.Error = err.Error()
		e.conn.log.Warn("uplink state", "gateway", e.cfg.Gateway, "state", state, "error", err)
		return
	}
	e.conn.log.Info("uplink state", "gateway", e.cfg.Gateway, "state", state)
}

// run claims the gateway at the hub, finds out where to go on, and forwards until something goes wrong.
func (f *forwarder) run(ctx context.Context) error {
	last, err := f.w.take(ctx)
	if err != nil {
		return err
	}
	f.last = last
	up := f.edge.conn.uptime()
	cons, err := f.position(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errEdge, err)
	}
	f.w.report(nil)
	for {
		msgs, err := f.fetch(ctx, cons)
		if err != nil {
			return fmt.Errorf("%w: fetch: %w", errEdge, err)
		}
		if len(msgs) > 0 {
			if err := f.forward(ctx, msgs); err != nil {
				return err
			}
			f.moved = true
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case up.Err() != nil:
			return fmt.Errorf("%w: %w", errEdge, errDisconnected)
		}
	}
}

// uplinkConsumer begins the names of the consumers that forward.
const uplinkConsumer = "uplink-"

// position makes the durable consumer of the edge stream stand where the hub needs it. Its name holds
// the hub stream's and, where that was renewed, its incarnation: another hub stream, as after a restore, begins with what
// the edge still has, unless it names a last frame. Where the hub has the gateway's last frame, that decides; where the hub has
// trimmed everything of the gateway, the consumer's own place does.
func (f *forwarder) position(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	stream, err := f.edge.conn.js.Stream(ctx, f.edge.stream)
	if err != nil {
		return nil, err
	}
	durable := uplinkConsumer + f.w.stream
	if !strings.HasSuffix(durable, f.w.incarn) {
		durable += "-" + f.w.incarn
	}
	_, err = stream.Consumer(ctx, durable)
	fresh := errors.Is(err, jetstream.ErrConsumerNotFound)
	if err != nil && !fresh {
		return nil, err
	}
	if fresh {
		if _, err = stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: durable, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckAllPolicy,
			AckWait: time.Hour, MaxAckPending: 4 * maxBatchMessages,
		}); err != nil {
			return nil, err
		}
	}
	id, err := lastID(ctx, stream, f.edge.subj)
	if err != nil {
		return nil, err
	}
	var at uint64                                   // 0: the consumer's own place
	if id.Epoch == "" || f.last.Epoch != id.Epoch { // nothing to forward, or nothing of it is there
		f.last, f.known = faultline.FrameID{}, fresh
	} else {
		f.known = true
		if at, err = find(ctx, stream, f.last.Sequence); err != nil {
			return nil, err
		}
	}
	if r, err := stream.ResetConsumerToSequence(ctx, durable, at); err != nil {
		return nil, fmt.Errorf("set place of %s to %d: %w", durable, at, err)
	} else if f.next = r.ResetSeq; f.next == 0 {
		return nil, fmt.Errorf("set place of %s to %d: no answer", durable, at)
	}
	f.forget(ctx, stream, durable)
	return stream.Consumer(ctx, durable)
}

// forget deletes the consumers for hub streams that are no more. Others read the stream too: only an
// uplink's are its own to delete.
func (f *forwarder) forget(ctx context.Context, stream jetstream.Stream, keep string) {
	for name := range stream.ConsumerNames(ctx).Name() {
		if name != keep && strings.HasPrefix(name, uplinkConsumer) {
			_ = stream.DeleteConsumer(ctx, name) // the next run tries again
		}
	}
}

// find gives the sequence in the edge stream of the first message after the frame with sequence last.
// Messages carry the frame sequences in order: frames their own, bundles that of their last, heartbeats that of the
// frame before.
func find(ctx context.Context, stream jetstream.Stream, last uint64) (uint64, error) {
	s := stateOf(stream.CachedInfo())
	lo, hi := s.First, s.Last+1
	for lo < hi { // below lo: ≤ last; hi and above: > last
		at := lo + (hi-lo)/2
		seq, probe, err := sequenceAt(ctx, stream, at, hi)
		if err != nil {
			return 0, err
		}
		switch {
		case probe == hi: // only claims between at and hi
			hi = at
		case seq > last:
			hi = at
		default:
			lo = probe + 1
		}
	}
	return lo, nil
}

// sequenceAt reads the frame sequence of the first message at or after at, and below end, that has one.
func sequenceAt(ctx context.Context, stream jetstream.Stream, at, end uint64) (seq, probe uint64, err error) {
	for probe = at; probe < end; probe++ {
		m, err := stream.GetMsg(ctx, probe)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read %d: %w", probe, err)
		}
		if p, err := parse(m.Subject, m.Header, nil); err == nil && p.ID.Epoch != "" {
			return p.ID.Sequence, probe, nil
		}
	}
	return 0, end, nil
}

// parcel is records of one epoch that go in one batch.
type parcel struct {
	epoch string
	recs  []record
	size  int
}

// forward stores messages of the edge stream at the hub and then acknowledges them at the edge.
func (f *forwarder) forward(ctx context.Context, msgs []jetstream.Msg) error {
	var parcels []parcel
	skipped, dropped := uint64(0), uint64(0)
	for _, m := range msgs {
		read, err := f.read(ctx, m)
		if err != nil {
			return err
		}
		for _, msg := range read {
			rec, drop := f.record(msg)
			if rec == nil {
				skipped++
				continue
			}
			dropped += drop
			n := len(parcels) - 1
			if n < 0 || parcels[n].epoch != msg.ID.Epoch || len(parcels[n].recs) == maxBatchMessages || parcels[n].size+rec.size() > f.hub.conn.batchBytes() {
				parcels = append(parcels, parcel{epoch: msg.ID.Epoch})
				n++
			}
			parcels[n].recs = append(parcels[n].recs, *rec)
			parcels[n].size += rec.size()
		}
	}
	for _, p := range parcels {
		if err := f.w.store(ctx, p.epoch, p.recs); err != nil {
			return err
		}
	}
	if err := msgs[len(msgs)-1].Ack(); err != nil { // it acknowledges all before; a lost one costs nothing
		return fmt.Errorf("%w: acknowledge: %w", errEdge, err)
	}
	return f.count(ctx, msgs, skipped, dropped, parcels)
}

// read parses the next message of the edge stream: its frames and heartbeats.
func (f *forwarder) read(ctx context.Context, m jetstream.Msg) ([]faultline.Message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEdge, err)
	}
	if err := f.contiguous(ctx, meta.Sequence.Stream); err != nil {
		return nil, err
	}
	f.next = meta.Sequence.Stream + 1
	ms, err := entries(m)
	if err != nil {
		f.edge.conn.log.Warn("message not forwarded", "stream", meta.Stream, "sequence", meta.Sequence.Stream, "error", err)
	}
	return ms, nil
}

// entries are the frames and heartbeats of a message of an edge's or a partition's stream.
func entries(m jetstream.Msg) ([]faultline.Message, error) {
	if isBundle(m.Subject()) {
		return unbundle(m.Subject(), m.Headers(), m.Data())
	}
	msg, err := parse(m.Subject(), m.Headers(), m.Data())
	if err != nil || msg.Kind == 0 {
		return nil, err
	}
	return []faultline.Message{msg}, nil
}

// contiguous refuses a message that came out of turn: only what the edge's limits have dropped may be missing before it.
func (f *forwarder) contiguous(ctx context.Context, seq uint64) error {
	if seq == f.next {
		return nil
	}
	s, err := f.edge.State(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errEdge, err)
	}
	if seq < f.next || s.First < seq {
		return fmt.Errorf("%w: message %d came instead of %d", errEdge, seq, f.next)
	}
	return nil
}

// record makes the hub's message; nil if the hub has it. drop is how many frames the edge has dropped
// directly before it.
func (f *forwarder) record(msg faultline.Message) (_ *record, drop uint64) {
	if msg.ID.Epoch != f.last.Epoch && f.last.Epoch != "" {
		f.last, f.known = faultline.FrameID{}, false
	}
	first := msg.ID.Sequence // that the hub cannot have yet
	r := &record{data: msg.Payload}
	switch msg.Kind {
	case faultline.KindFrame:
		if msg.ID.Sequence <= f.last.Sequence {
			return nil, 0
		}
		r.subject, r.seq = f.w.subj.frames+"."+msg.Position, msg.ID.Sequence
		r.header = frameHeader(formatID(msg.ID), Meta{Profile: msg.Profile, Possibly: msg.Possibly})
	case faultline.KindHeartbeat:
		if msg.ID.Sequence < f.last.Sequence {
			return nil, 0
		}
		r.subject, r.header = f.w.subj.heartbeats, []string{headerLast, formatID(msg.ID)}
		r.header = append(r.header, f.stateNow()...)
		first++
	default:
		return nil, 0
	}
	if f.known && first > f.last.Sequence+1 {
		drop = first - f.last.Sequence - 1
		r.header = append(r.header, headerDropped, strconv.FormatUint(drop, 10))
	}
	f.last, f.known = msg.ID, true
	return r, drop
}

// stateNow is the gateway's state as a header, at most once a second.
func (f *forwarder) stateNow() []string {
	f.edge.mu.Lock()
	state := f.edge.state
	f.edge.mu.Unlock()
	if state == nil || time.Since(f.stated) < time.Second {
		return nil
	}
	f.stated = time.Now()
	data, err := json.Marshal(state())
	if err != nil {
		return nil // it holds a number that is none; the next one comes
	}
	return []string{headerState, string(data)}
}

// count brings the uplink's figures up to date.
func (f *forwarder) count(ctx context.Context, msgs []jetstream.Msg, skipped, dropped uint64, parcels []parcel) error {
	first, err := msgs[0].Metadata()
	if err != nil {
		return fmt.Errorf("%w: %w", errEdge, err)
	}
	last, err := msgs[len(msgs)-1].Metadata()
	if err != nil {
		return fmt.Errorf("%w: %w", errEdge, err)
	}
	var frames uint64
	for _, p := range parcels {
		for i := range p.recs {
			if p.recs[i].seq > 0 {
				frames++
			}
		}
	}
	size := 0
	for _, m := range msgs {
		size += len(m.Data())
	}
	f.size, f.rest = size/len(msgs), last.NumPending > 0
	f.hub.conn.m.forward.Add(float64(frames))
	backlog, err := f.backlog(ctx, last.NumPending)
	if err != nil {
		return fmt.Errorf("%w: %w", errEdge, err)
	}
	e := f.edge
	e.mu.Lock()
	defer e.mu.Unlock()
	e.uplink.Frames += frames
	e.uplink.Skipped += skipped
	e.uplink.Dropped += dropped
	e.uplink.Last, e.uplink.Lag, e.uplink.Backlog, e.waits = f.last, time.Since(first.Timestamp), backlog, last.NumPending
	return nil
}

// backlog is how many frames wait, given how many messages do. The newest frame is looked up once a second at most.
func (f *forwarder) backlog(ctx context.Context, messages uint64) (uint64, error) {
	if messages == 0 {
		return 0, nil
	}
	if time.Since(f.asked) >= time.Second {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		stream, err := f.edge.conn.js.Stream(ctx, f.edge.stream)
		if err != nil {
			return 0, err
		}
		id, err := lastID(ctx, stream, f.edge.subj)
		if err != nil {
			return 0, err
		}
		f.asked, f.newest = time.Now(), id.Sequence
	}
	if f.newest <= f.last.Sequence { // of an epoch that has begun since, or not looked up lately
		return messages, nil
	}
	return f.newest - f.last.Sequence, nil
}

// fetchBytes is how much is fetched of a backlog at once, about. A slow uplink tells how far it is after as many.
const fetchBytes = 512 << 10

// fetch takes what is there, up to fetchBytes about, and waits a while if nothing is. It asks first for what is
// there at once only where something is to be expected.
func (f *forwarder) fetch(ctx context.Context, cons jetstream.Consumer) ([]jetstream.Msg, error) {
	if f.rest || f.size == 0 {
		b, err := cons.FetchNoWait(min(max(fetchBytes/cmp.Or(f.size, maxBundle), 1), maxBatchMessages))
		if err != nil {
			return nil, err
		}
		if msgs := collect(b); len(msgs) > 0 || b.Error() != nil {
			return msgs, b.Error()
		}
	}
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	b, err := cons.Fetch(1, jetstream.FetchContext(wait))
	if err != nil {
		return nil, err
	}
	msgs := collect(b)
	if err := b.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return msgs, err
	}
	return msgs, nil
}

func collect(b jetstream.MessageBatch) (msgs []jetstream.Msg) {
	for m := range b.Messages() {
		msgs = append(msgs, m)
	}
	return msgs
}
