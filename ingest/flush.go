package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

const (
	saveIdle   = 5 * time.Second  // between saves of a place that only ticks and heartbeats have moved
	touchEvery = 10 * time.Second // between notes that a gateway was seen
	maxBatch   = 8 << 20          // bytes of one write; servers take 25 MB by default
	maxSuspect = 10_000           // positions whose lines are written apart
)

type epochKey struct{ gateway, epoch string }

// entry is a ledger row in memory.
type entry struct {
	row     faultline.LedgerRow
	changed bool // since it was saved
	unshown bool // since it was written to InfluxDB
}

// line is a frame on its way to InfluxDB: buf[from:to].
type line struct {
	from, to int
	msg      *faultline.Message
	entry    *entry // nil: already counted as a duplicate
	late     bool
	values   int
}

// lines is a buffer of lines, each with its newline.
type lines struct {
	buf  []byte
	list []line
}

func (l *lines) reset() { l.buf, l.list = l.buf[:0], l.list[:0] }

func (l *lines) add(n line) {
	n.from = len(l.buf)
	l.buf = append(append(l.buf, bytes.TrimSuffix(n.msg.Payload, []byte("\n"))...), '\n')
	l.end(n)
}

// end lists a line whose text has been appended since n.from.
func (l *lines) end(n line) {
	n.to = len(l.buf)
	l.list = append(l.list, n)
}

// flusher deals with messages in order: it alone knows ledger and place of a session.
type flusher struct {
	p       *partition
	lease   Lease
	checker checker

	place    faultline.Place // of the last message dealt with
	saved    faultline.Place
	savedAt  time.Time
	shownAt  time.Time
	storedAt time.Time // of the last message
	entries  map[epochKey]*entry
	states   map[string]*faultline.GatewayState // site/gateway → what it said last
	touched  map[string]time.Time               // site/gateway → StoredAt of the last note
	clean    lines
	apart    lines   // of suspects
	late     []lines // by tier: readings that have expired
	lateDead map[*faultline.Message]bool
	stale    stale
	suspects map[string]struct{} // site/position whose last line was refused
	effects  Effects             // of the batch
}

func newFlusher(p *partition, lease Lease, from faultline.Place) *flusher {
	now := time.Now()
	return &flusher{
		p: p, lease: lease, place: from, saved: from, savedAt: now, shownAt: now,
		entries: map[epochKey]*entry{}, touched: map[string]time.Time{}, states: map[string]*faultline.GatewayState{}, suspects: map[string]struct{}{},
		late: make([]lines, len(p.cfg.Tiers)), lateDead: map[*faultline.Message]bool{}, stale: newStale(),
	}
}

// loop gathers messages until there are MaxLines of them or the first has waited for MaxWait, and deals
// with them. It returns nil when in is closed and all is dealt with.
func (f *flusher) loop(ctx context.Context, in <-chan []faultline.Message) error {
	idle := time.NewTicker(time.Second)
	defer idle.Stop()
	for {
		var batch []faultline.Message
		open := true
		select {
		case batch, open = <-in:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-idle.C:
		}
		if len(batch) > 0 {
			batch, open = f.gather(ctx, batch, in)
		}
		if err := f.deal(ctx, batch, !open); err != nil {
			return err
		}
		if !open {
			return nil
		}
	}
}

func (f *flusher) gather(ctx context.Context, batch []faultline.Message, in <-chan []faultline.Message) (_ []faultline.Message, open bool) {
	wait := time.NewTimer(f.p.cfg.MaxWait)
	defer wait.Stop()
	total := size(batch)
	for len(batch) < f.p.cfg.MaxLines && total < maxBatch {
		select {
		case more, ok := <-in:
			if !ok {
				return batch, false
			}
			batch = append(batch, more...)
			total += size(more)
		case <-wait.C:
			return batch, true
		case <-ctx.Done():
			return batch, true
		}
	}
	return batch, true
}

func size(ms []faultline.Message) (n int) {
	for i := range ms {
		n += len(ms[i].Payload)
	}
	return n
}

// deal writes the messages' frames, then saves place and ledger, then shows the ledger if it is time.
func (f *flusher) deal(ctx context.Context, batch []faultline.Message, last bool) error {
	f.clean.reset()
	f.apart.reset()
	for i := range f.late {
		f.late[i].reset()
	}
	clear(f.lateDead)
	f.effects = Effects{Rows: f.effects.Rows[:0]}
	for i := range batch {
		m := &batch[i]
		var err error
		switch m.Kind {
		case faultline.KindFrame:
			err = f.frame(ctx, m)
		case faultline.KindHeartbeat:
			err = f.heartbeat(ctx, m)
		}
		if err != nil {
			return err
		}
		f.place, f.storedAt = m.Place, m.StoredAt
	}
	if err := f.write(ctx); err != nil {
		return err
	}
	if err := f.save(ctx, last); err != nil {
		return err
	}
	if !f.storedAt.IsZero() && len(batch) > 0 {
		f.p.metrics.lag.WithLabelValues(f.p.label()).Set(max(0, time.Since(f.storedAt).Seconds()))
	}
	f.p.setReached(f.place)
	f.show(ctx, last)
	return nil
}

// frame accounts for a frame and puts its line into the next write.
func (f *flusher) frame(ctx context.Context, m *faultline.Message) error {
	if err := checkID(m); err != nil {
		f.dead(nil, m, err)
		return nil
	}
	e, err := f.entry(ctx, m)
	if err != nil {
		return err
	}
	frame, bad := f.checker.check(m)
	var at time.Time
	if bad == nil {
		at = frame.Time
	}
	o := account(&e.row, m.ID.Sequence, m.Dropped, m.StoredAt, at)
	f.seen(e, m)
	if o == duplicate && f.p.doubts() {
		o = doubtful
	}
	if o == duplicate {
		f.p.metrics.frames.WithLabelValues("duplicate").Inc()
		return nil
	}
	if o == doubtful {
		e = nil // counted
	} else {
		e.row.Delivered++
		if m.Possibly {
			e.row.Possibly++
		}
	}
	switch {
	case bad != nil:
		f.dead(e, m, bad)
		return nil
	case frame.Time.Before(tsdb.Kept(f.p.cfg.Retention, time.Now())):
		f.expired(e)
		f.tiers(frame, m, e)
		return nil
	}
	f.stale.mark(m.Site, frame.Time, time.Now())
	n := line{msg: m, entry: e, late: m.StoredAt.Sub(frame.Time) > faultline.LateAfter}
	if n.late && e != nil {
		e.row.Late++
	}
	for i := range frame.Samples {
		if frame.Samples[i].Value.Type() != faultline.NoType {
			n.values++
		}
	}
	to := &f.clean
	if len(f.suspects) > 0 {
		if _, is := f.suspects[m.Site+"/"+m.Position]; is {
			to = &f.apart
		}
	}
	to.add(n)
	return nil
}

// heartbeat tells which frame its gateway stored last: the ones before it came before the heartbeat, or
// they are missing.
func (f *flusher) heartbeat(ctx context.Context, m *faultline.Message) error {
	if checkGateway(m) != nil {
		return nil // nobody to account for
	}
	f.told(m)
	f.touch(m)
	if checkID(m) != nil {
		return nil // a gateway that has stored nothing yet
	}
	e, err := f.entry(ctx, m)
	if err != nil {
		return err
	}
	if m.ID.Sequence > e.row.Last {
		expect(&e.row, m.ID.Sequence, m.StoredAt)
		e.row.Gaps = forget(e.row.Gaps)
		f.seen(e, m)
	}
	return nil
}

// entry finds the account of the message's gateway and epoch, in memory or in the store.
func (f *flusher) entry(ctx context.Context, m *faultline.Message) (*entry, error) {
	key := epochKey{m.ID.Gateway, m.ID.Epoch}
	if e := f.entries[key]; e != nil {
		return e, nil
	}
	e := &entry{}
	err := f.p.retry(ctx, "read the ledger", fenced, func() (err error) {
		var found bool
		if e.row, found, err = f.lease.Ledger(ctx, key.gateway, key.epoch); err == nil && !found {
			e.row = faultline.LedgerRow{Site: m.Site, Gateway: key.gateway, Epoch: key.epoch, First: 1, FirstAt: m.StoredAt}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger of %s: %w", key.gateway, err)
	}
	f.entries[key] = e
	return e, nil
}

func fenced(err error) bool { return errors.Is(err, faultline.ErrFenced) }

// seen notes that the row has changed, and that its gateway lives.
func (f *flusher) seen(e *entry, m *faultline.Message) {
	e.changed, e.unshown, e.row.LastAt = true, true, m.StoredAt
	f.touch(m)
}

func (f *flusher) touch(m *faultline.Message) {
	key := m.Site + "/" + m.ID.Gateway
	if last, ok := f.touched[key]; ok && m.StoredAt.Sub(last) < touchEvery {
		return
	}
	f.touched[key] = m.StoredAt
	f.effects.Gateways = append(f.effects.Gateways, faultline.Gateway{ID: m.ID.Gateway, Site: m.Site, LastSeen: m.StoredAt, State: f.states[key]})
}

// told notes what a gateway says of itself; that its configuration is another is shown at once.
func (f *flusher) told(m *faultline.Message) {
	var s faultline.GatewayState
	if len(m.State) == 0 || json.Unmarshal(m.State, &s) != nil { // rules count what cannot be read
		return
	}
	key := m.Site + "/" + m.ID.Gateway
	if was := f.states[key]; was == nil || was.Config != s.Config || was.Refused != s.Refused || was.Why != s.Why {
		delete(f.touched, key)
	}
	f.states[key] = &s
}

func (f *flusher) dead(e *entry, m *faultline.Message, why error) {
	if e != nil {
		e.row.Dead++
	}
	f.p.metrics.frames.WithLabelValues("dead").Inc()
	f.effects.Dead = append(f.effects.Dead, deadLetter(m, why))
}

// expired moves a frame from the delivered ones to the expired ones.
func (f *flusher) expired(e *entry) {
	if e != nil {
		e.row.Delivered--
		e.row.Expired++
	}
	f.p.metrics.frames.WithLabelValues("expired").Inc()
}

// save writes place and ledger, at once if there is anything but a moved place.
func (f *flusher) save(ctx context.Context, last bool) error {
	for _, e := range f.entries {
		if e.changed {
			f.effects.Rows = append(f.effects.Rows, e.row)
		}
	}
	f.effects.Place = f.place
	f.effects.Stale = f.stale.take()
	urgent := len(f.effects.Rows) > 0 || len(f.effects.Dead) > 0 || len(f.effects.Gateways) > 0
	if !urgent && (f.place == f.saved || !last && time.Since(f.savedAt) < saveIdle) {
		return nil
	}
	err := f.p.retry(ctx, "save place and ledger", fenced, func() error { return f.lease.Save(ctx, f.effects) })
	if err != nil {
		return fmt.Errorf("save place and ledger: %w", err)
	}
	for _, e := range f.entries {
		e.changed = false
	}
	f.p.metrics.dead.Add(float64(len(f.effects.Dead)))
	f.saved, f.savedAt = f.place, time.Now()
	f.stale.saved()
	return nil
}

// write brings the lines into InfluxDB; what it refuses for good goes to the dead letters.
func (f *flusher) write(ctx context.Context) error {
	if n := len(f.clean.list) + len(f.apart.list); n > 0 {
		f.p.metrics.batch.Observe(float64(n))
	}
	if err := f.put(ctx, "", &f.clean, f.clean.list); err != nil {
		return err
	}
	for i := range f.apart.list { // one by one: a refused one costs one request, not a search
		if err := f.put(ctx, "", &f.apart, f.apart.list[i:i+1]); err != nil {
			return err
		}
	}
	for i, t := range f.p.cfg.Tiers {
		if err := f.put(ctx, t.Name, &f.late[i], f.late[i].list); err != nil {
			return err
		}
	}
	return nil
}

// put writes some of the lines, and halves them until the ones are found that are refused for good.
func (f *flusher) put(ctx context.Context, policy string, from *lines, some []line) error {
	if len(some) == 0 {
		return nil
	}
	body := from.buf[some[0].from : some[len(some)-1].to-1] // without the last newline
	err := f.p.retry(ctx, "write to InfluxDB", tsdb.IsPermanent, func() error {
		start := time.Now()
		defer func() { f.p.metrics.write.Observe(time.Since(start).Seconds()) }()
		return f.p.cfg.Influx.WriteIn(ctx, policy, body)
	})
	switch {
	case err == nil && policy == "":
		f.written(some)
		return nil
	case err == nil:
		return nil
	case !tsdb.IsPermanent(err):
		return fmt.Errorf("write to InfluxDB: %w", err)
	case len(some) == 1 && policy == "":
		f.refused(&some[0], err)
		return nil
	case len(some) == 1:
		f.refusedLate(&some[0], err)
		return nil
	}
	half := len(some) / 2
	if err := f.put(ctx, policy, from, some[:half]); err != nil {
		return err
	}
	return f.put(ctx, policy, from, some[half:])
}

func (f *flusher) written(some []line) {
	values := 0
	for i := range some {
		values += some[i].values
		if len(f.suspects) > 0 {
			delete(f.suspects, some[i].msg.Site+"/"+some[i].msg.Position)
		}
	}
	f.p.metrics.frames.WithLabelValues("written").Add(float64(len(some)))
	f.p.metrics.values.Add(float64(values))
}

// refused takes a line out that InfluxDB will never take. The next lines of its position are written
// apart until one of them is taken.
func (f *flusher) refused(n *line, err error) {
	if tsdb.IsExpired(err) {
		if n.entry != nil && n.late {
			n.entry.row.Late--
		}
		f.expired(n.entry)
		return
	}
	if len(f.suspects) < maxSuspect {
		f.suspects[n.msg.Site+"/"+n.msg.Position] = struct{}{}
	}
	f.dead(n.entry, n.msg, err)
}
