package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// Meta goes with a frame beside its samples.
type Meta struct {
	Profile  string // name@version of the device profile that decoded it
	Possibly bool   // may be a duplicate of an earlier frame, redelivered by the equipment's side
}

// PublisherStats counts since the publisher was opened.
type PublisherStats struct {
	Frames     uint64 // committed
	Heartbeats uint64 // committed
	Batches    uint64 // commits
	Bytes      uint64 // of payloads committed
	Waiting    int    // frames and heartbeats not yet committed
	State      string // "ok", "full", "unreachable", "fenced"
	Error      string // why, while State is not "ok"
	Since      time.Time
}

// Publisher stores the frames of one gateway in order, each under the next sequence of the gateway's
// epoch. It is the only writer of its gateway: opening another one, anywhere, fences this one, whose
// calls then fail with faultline.ErrFenced. Safe for concurrent use.
type Publisher struct {
	conn     *Conn
	w        *writer
	anchor   string // a subject of the stream that no other stream has
	site     string
	gateway  string
	epoch    string
	interval time.Duration
	bundle   int // bytes of a bundle; 0: each frame is a message of its own
	cancel   context.CancelFunc
	done     chan struct{} // closed when the loop has ended
	wake     chan struct{}

	mu      sync.Mutex
	queue   []*waiting
	bytes   int    // of the queue's first commit, as far as it is counted
	counted int    // so many of the queue go into its first commit
	last    uint64 // of the frames committed or on their way
	stats   PublisherStats
	err     error                          // why the publisher has ended
	state   func() *faultline.GatewayState // goes with heartbeats; may be nil
	closed  bool
	gaveUp  int
}

// waiting is a frame or heartbeat whose caller waits for its commit.
type waiting struct {
	frame    bool
	position string // of a frame
	meta     Meta   // of a frame
	state    string // of a heartbeat: the gateway's, as JSON, or none
	data     []byte
	seq      uint64 // of a frame, its own; of a heartbeat, that of the frame before
	since    time.Time
	done     chan error // buffered; receives once
}

// size is what w takes in a message, about.
func (w *waiting) size() int {
	return len(w.data) + len(w.position) + len(w.meta.Profile) + len(w.state) + 256
}

// publisherConfig is where and as what a publisher writes.
type publisherConfig struct {
	site, gateway string
	anchor        string
	subj          subjects
	interval      time.Duration
	bundle        int // bytes of a bundle; 0: each frame is a message of its own
	// epoch says which epoch follows after what the stream holds last (zero: nothing).
	epoch func(last faultline.FrameID) (epoch string, sequence uint64, err error)
}

// openPublisher tries until ctx ends, as a bus that starts, or a full one, may take its time.
func (c *Conn) openPublisher(ctx context.Context, cfg publisherConfig) (*Publisher, error) {
	p := &Publisher{conn: c, anchor: cfg.anchor, site: cfg.site, gateway: cfg.gateway, interval: cfg.interval, bundle: cfg.bundle, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	for _, n := range [...][2]string{{"site", cfg.site}, {"gateway", cfg.gateway}} {
		if err := faultline.CheckName(n[0], n[1]); err != nil {
			return nil, fmt.Errorf("open publisher: %w", err)
		}
	}
	p.stats.State, p.stats.Since = stateOK, time.Now()
	p.w = newWriter(c, &streamLook{conn: c, anchor: cfg.anchor, subj: cfg.subj}, cfg.subj, cfg.gateway, p.stateChanged)
	p.w.few = fewRecords // a forwarder would pay with the way to the hub
	var last faultline.FrameID
	for attempt := 0; ; attempt++ {
		var err error
		if last, err = p.w.take(ctx); err == nil {
			break
		}
		if classify(err) == faultPermanent || ctx.Err() != nil || errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("open publisher of %s/%s: %w", cfg.site, cfg.gateway, err)
		}
		p.w.report(err)
		if perr := c.pause(ctx, attempt); perr != nil {
			return nil, fmt.Errorf("open publisher of %s/%s: %w: %w", cfg.site, cfg.gateway, perr, err)
		}
	}
	p.w.report(nil)
	var err error
	if p.epoch, p.last, err = cfg.epoch(last); err != nil {
		return nil, fmt.Errorf("open publisher of %s/%s: %w", cfg.site, cfg.gateway, err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	go p.loop(run)
	return p, nil
}

// Epoch of the frames that this publisher stores.
func (p *Publisher) Epoch() string { return p.epoch }

// Last is the sequence of the newest frame that is stored or on its way.
func (p *Publisher) Last() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Stats tells what was published and how the publisher is now.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Waiting = len(p.queue)
	return s
}

// Publish stores f and returns when it is on disk, which takes up to the commit interval and one sync,
// or as long as the bus is full or out of reach. If ctx ends first, it waits a second more for a batch that is on
// its way; the error then tells whether the frame
// was given up before it was sent, or ErrUnknown: its batch goes on being sent, and may
// be stored. The error is faultline.ErrInvalid for a frame that no try will store, faultline.ErrFenced after
// another publisher of this gateway was opened, ErrClosed after Close. f is not kept.
func (p *Publisher) Publish(ctx context.Context, f faultline.Frame, m Meta) error {
	if f.Site != p.site || f.Gateway != p.gateway {
		return fmt.Errorf("%w: frame of %s/%s at the publisher of %s/%s", faultline.ErrInvalid, f.Site, f.Gateway, p.site, p.gateway)
	}
	buf := payloads.Get().(*[]byte)
	data, err := AppendFrame((*buf)[:0], &f)
	if err != nil {
		return err
	}
	err = p.put(ctx, &waiting{frame: true, position: f.Position, meta: m, data: data})
	if err != nil {
		return fmt.Errorf("publish frame of %s/%s: %w", f.Site, f.Position, err)
	}
	*buf = data // stored: nobody reads it any more
	payloads.Put(buf)
	return nil
}

// payloads are buffers of frames that are stored.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// Heartbeat stores that the gateway is alive and which frame it stored last. It blocks as Publish does.
func (p *Publisher) Heartbeat(ctx context.Context, h faultline.Heartbeat) error {
	if h.Site != p.site || h.Gateway != p.gateway {
		return fmt.Errorf("%w: heartbeat of %s/%s at the publisher of %s/%s", faultline.ErrInvalid, h.Site, h.Gateway, p.site, p.gateway)
	}
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("publish heartbeat of %s/%s: %w", h.Site, h.Gateway, err)
	}
	p.mu.Lock()
	state := p.state
	p.mu.Unlock()
	w := &waiting{data: data}
	if state != nil {
		told, err := json.Marshal(state())
		if err != nil {
			return fmt.Errorf("publish heartbeat of %s/%s: %w", h.Site, h.Gateway, err)
		}
		w.state = string(told)
	}
	if err := p.put(ctx, w); err != nil {
		return fmt.Errorf("publish heartbeat of %s/%s: %w", h.Site, h.Gateway, err)
	}
	return nil
}

// TellState has the gateway's state go with heartbeats, for a gateway that writes into the hub itself; with an
// edge stream between them Edge.TellState does, as of when they are forwarded. state must not block.
func (p *Publisher) TellState(state func() *faultline.GatewayState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

// put queues w and waits for its commit.
func (p *Publisher) put(ctx context.Context, w *waiting) error {
	if limit := p.conn.nc.MaxPayload(); int64(w.size()) > limit {
		return fmt.Errorf("%w: %d bytes are more than the %d of a message", faultline.ErrInvalid, w.size(), limit)
	}
	w.since, w.done = time.Now(), make(chan error, 1)
	p.mu.Lock()
	if p.err != nil {
		defer p.mu.Unlock()
		return p.err
	}
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	due := p.enqueue(w)
	p.mu.Unlock()
	if due {
		p.awake()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	if p.withdraw(w) {
		return context.Cause(ctx)
	}
	select { // its batch is on its way: most often its outcome comes in a moment
	case err := <-w.done:
		return err
	case <-time.After(outcomeTime):
		return fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

// outcomeTime is how long a caller who gave up waits for the outcome of a batch that is on its way.
const outcomeTime = time.Second

// withdraw takes back what was not sent; it never will be.
func (p *Publisher) withdraw(w *waiting) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.queue, w)
	if i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
		p.recount()
	}
	return i >= 0
}

// Close commits what is waiting, for 5 s at most, and ends the publisher. It fails if something was given up.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	t := time.AfterFunc(5*time.Second, p.cancel)
	defer t.Stop()
	p.awake()
	<-p.done
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil && !errors.Is(p.err, ErrClosed):
		return fmt.Errorf("close publisher of %s/%s: %w", p.site, p.gateway, p.err)
	case p.gaveUp > 0:
		return fmt.Errorf("close publisher of %s/%s: gave up %d frames and heartbeats", p.site, p.gateway, p.gaveUp)
	}
	return nil
}

// loop gathers and commits until the publisher is closed, fenced or given up.
func (p *Publisher) loop(ctx context.Context) {
	defer close(p.done)
	for {
		batch, closed := p.gather(ctx)
		if len(batch) == 0 && closed {
			p.end(nil, ErrClosed)
			return
		}
		if err := p.commit(ctx, batch); err != nil {
			p.end(batch, err)
			return
		}
	}
}

// enqueue adds w and tells whether whoever gathers has something to do: the first came, or the commit is full. p.mu is
// held.
func (p *Publisher) enqueue(w *waiting) bool {
	p.queue = append(p.queue, w)
	p.count()
	return len(p.queue) == 1 || p.full()
}

// awake has the loop look at the queue.
func (p *Publisher) awake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// count goes on counting what of the queue goes into the next commit. p.mu is held.
func (p *Publisher) count() {
	limit := maxBatchBytes
	if p.bundle > 0 {
		limit = p.bundle
	}
	for p.counted < len(p.queue) && p.counted < maxBatchMessages {
		size := p.queue[p.counted].size()
		if p.counted > 0 && p.bytes+size > limit {
			return
		}
		p.bytes += size
		p.counted++
	}
}

func (p *Publisher) recount() {
	p.bytes, p.counted = 0, 0
	p.count()
}

// full tells whether the next commit has no room for more. p.mu is held.
func (p *Publisher) full() bool { return p.counted < len(p.queue) || p.counted == maxBatchMessages }

// gather waits for the first frame and then until it is as old as the commit interval or the commit is
// full. It returns nothing only when the publisher is closed.
func (p *Publisher) gather(ctx context.Context) (batch []*waiting, closed bool) {
	for {
		p.mu.Lock()
		closed = p.closed || ctx.Err() != nil
		if n := p.counted; closed || n > 0 && (p.full() || time.Since(p.queue[0].since) >= p.interval) {
			batch = append(batch, p.queue[:n]...)
			p.queue = append([]*waiting(nil), p.queue[n:]...)
			p.recount()
			p.number(batch)
			p.mu.Unlock()
			return batch, closed
		}
		var timer <-chan time.Time
		if p.counted > 0 {
			timer = time.After(p.interval - time.Since(p.queue[0].since))
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-timer:
		case <-ctx.Done():
		}
	}
}

// number gives the frames of a batch their sequences. p.mu is held.
func (p *Publisher) number(batch []*waiting) {
	for _, w := range batch {
		if w.frame {
			p.last++
		}
		w.seq = p.last
	}
}

// records makes the messages of a commit.
func (p *Publisher) records(batch []*waiting) []record {
	if p.bundle > 0 {
		return []record{p.bundled(batch)}
	}
	recs := make([]record, len(batch))
	for i, w := range batch {
		id := formatID(faultline.FrameID{Gateway: p.gateway, Epoch: p.epoch, Sequence: w.seq})
		if !w.frame {
			recs[i] = record{subject: p.w.subj.heartbeats, header: []string{headerLast, id}, data: w.data}
			if w.state != "" {
				recs[i].header = append(recs[i].header, headerState, w.state)
			}
			continue
		}
		recs[i] = record{subject: p.w.subj.frames + "." + w.position, header: frameHeader(id, w.meta), data: w.data, seq: w.seq}
	}
	return recs
}

// frameHeader is the header of a frame's own message.
func frameHeader(id string, m Meta) []string {
	h := append(make([]string, 0, 8), headerID, id)
	if m.Profile != "" {
		h = append(h, headerProfile, m.Profile)
	}
	if m.Possibly {
		h = append(h, headerPossibly, "1")
	}
	return h
}

// bundled makes one message of a commit.
func (p *Publisher) bundled(batch []*waiting) record {
	size, frames := 0, 0
	for _, w := range batch {
		size += w.size()
	}
	r := record{subject: p.w.subj.bundles, data: make([]byte, 0, size)}
	for _, w := range batch {
		kind := byte(entryHeartbeat)
		if w.frame {
			frames++
			kind, r.seq = entryFrame, w.seq
			if w.meta.Possibly {
				kind = entryPossibly
			}
		}
		r.data = appendEntry(r.data, kind, w.position, w.meta.Profile, w.data)
	}
	last := faultline.FrameID{Gateway: p.gateway, Epoch: p.epoch, Sequence: batch[len(batch)-1].seq}
	r.header = []string{headerLast, formatID(last), headerFrames, strconv.Itoa(frames)}
	return r
}

func (p *Publisher) commit(ctx context.Context, batch []*waiting) error {
	var frames, bytes uint64
	for _, w := range batch {
		bytes += uint64(len(w.data))
		if w.frame {
			frames++
		}
	}
	start := time.Now()
	if err := p.w.store(ctx, p.epoch, p.records(batch)); err != nil {
		return err
	}
	m := p.conn.m
	m.commit.Observe(time.Since(start).Seconds())
	m.frames.Add(float64(frames))
	m.batches.Inc()
	m.bytes.Add(float64(bytes))
	p.mu.Lock()
	p.stats.Frames += frames
	p.stats.Heartbeats += uint64(len(batch)) - frames
	p.stats.Batches++
	p.stats.Bytes += bytes
	p.mu.Unlock()
	for _, w := range batch {
		w.done <- nil
	}
	return nil
}

// end fails everybody who waits: those of the batch that was on its way do not know whether it is stored.
func (p *Publisher) end(batch []*waiting, err error) {
	if errors.Is(err, context.Canceled) {
		err = ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.gaveUp = err, len(batch)+len(p.queue)
	for _, w := range batch {
		if errors.Is(err, ErrClosed) {
			w.done <- fmt.Errorf("%w: %w", ErrUnknown, err)
		} else {
			w.done <- err
		}
	}
	for _, w := range p.queue {
		w.done <- err
	}
	p.queue = nil
}

func (p *Publisher) stateChanged(state string, err error) {
	p.mu.Lock()
	p.stats.State, p.stats.Error, p.stats.Since = state, "", time.Now()
	if err != nil {
		p.stats.Error = err.Error()
	}
	p.mu.Unlock()
	if err != nil {
		p.conn.log.Warn("publisher state", "gateway", p.gateway, "state", state, "error", err)
		return
	}
	p.conn.log.Info("publisher state", "gateway", p.gateway, "state", state)
}
