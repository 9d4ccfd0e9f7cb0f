package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// Finding is frames of which two of stream, ledger and InfluxDB say different things, or that are
// missing by what the ledger says itself.
type Finding struct {
	Site, Gateway, Epoch string
	From, To             uint64 // sequences, both included; 0 where they are not known
	Frames               uint64
	FromAt, ToAt         time.Time // of the frames, where they are known; of frames that did not arrive, those of their neighbours
	Noticed              time.Time // when the ledger learned of frames that did not arrive
	What                 string
	Lost                 bool // a difference; else only explained
}

// Verification compares what the hub's streams hold, up to where ingest has dealt with them, with the
// ledger and with InfluxDB. It changes nothing, and may run beside everything else.
type Verification struct {
	Hub    *bus.Hub
	Store  *store.Store
	Influx *tsdb.Router
	Tell   func(format string, args ...any) // progress

	rows     map[epochKey]faultline.LedgerRow
	seen     map[epochKey]*spans
	pending  map[series][]frameAt
	held     int
	findings []Finding
	frames   uint64
}

type series struct {
	kind, site, position string
	hour                 int64
}

type frameAt struct {
	at int64
	id faultline.FrameID
}

// spans are the sequences that a stream holds of an epoch.
type spans struct {
	site string
	list []faultline.SequenceRange // sorted
}

func (s *spans) add(n uint64) {
	if k := len(s.list); k > 0 && n == s.list[k-1].To+1 {
		s.list[k-1].To = n
		return
	}
	i, found := slices.BinarySearchFunc(s.list, n, func(r faultline.SequenceRange, n uint64) int {
		switch {
		case r.To < n:
			return -1
		case r.From > n:
			return 1
		}
		return 0
	})
	if !found {
		s.list = slices.Insert(s.list, i, faultline.SequenceRange{From: n, To: n})
	}
}

// heldAtOnce bounds the frames that are compared with InfluxDB at once.
const heldAtOnce = 200_000

var errReached = errors.New("reached")

// Run gives the findings and how many frames were compared.
func (v *Verification) Run(ctx context.Context) ([]Finding, uint64, error) {
	v.rows, v.seen, v.pending = map[epochKey]faultline.LedgerRow{}, map[epochKey]*spans{}, map[series][]frameAt{}
	places, err := v.Store.Places(ctx)
	if err != nil {
		return nil, 0, err
	}
	for p := range v.Hub.Partitions() {
		i := slices.IndexFunc(places, func(s store.SavedPlace) bool { return s.Role == Role && s.Partition == p })
		if i < 0 {
			continue // nothing was dealt with
		}
		if err := v.partition(ctx, p, places[i].Place); err != nil {
			return nil, 0, fmt.Errorf("verify partition %d: %w", p, err)
		}
	}
	if err := v.compare(ctx); err != nil {
		return nil, 0, err
	}
	rows, err := v.Store.LedgerRows(ctx) // after the stream: what was read of it is in them
	if err != nil {
		return nil, 0, err
	}
	for _, r := range rows {
		v.rows[epochKey{r.Gateway, r.Epoch}] = r
	}
	v.account()
	return v.findings, v.frames, nil
}

// partition reads a stream up to the saved place.
func (v *Verification) partition(ctx context.Context, p int, upTo faultline.Place) error {
	st, err := v.Hub.State(ctx, p)
	if err != nil {
		return err
	}
	if upTo.Stream != st.Stream || upTo.Sequence > st.Last {
		v.findings = append(v.findings, Finding{Lost: true, What: fmt.Sprintf("partition %d: ingest stands at %d of %s, but the stream there is %s and ends at %d", p, upTo.Sequence, upTo.Stream, st.Stream, st.Last)})
		upTo = faultline.Place{Stream: st.Stream, Sequence: min(upTo.Sequence, st.Last)}
	}
	from := faultline.Place{Stream: st.Stream, Sequence: st.First - 1}
	if st.Messages == 0 || upTo.Sequence < st.First {
		return nil
	}
	for {
		err := v.Hub.Consume(ctx, p, from, func(ctx context.Context, ms []faultline.Message) error {
			for i := range ms {
				if ms[i].Place.Sequence > upTo.Sequence {
					return errReached
				}
				from = ms[i].Place
				if err := v.message(ctx, &ms[i]); err != nil {
					return err
				}
				if from.Sequence == upTo.Sequence {
					return errReached
				}
			}
			return nil
		})
		lost, damaged := errors.AsType[*bus.PlaceLostError](err)
		switch {
		case errors.Is(err, errReached):
			return nil
		case damaged && lost.Stream == st.Stream && lost.First > from.Sequence+1:
			v.findings = append(v.findings, Finding{Lost: true, Frames: lost.First - from.Sequence - 1,
				What: fmt.Sprintf("partition %d: messages %d to %d are gone from the stream: its file is damaged", p, from.Sequence+1, lost.First-1)})
			if from = lost.Resume(); from.Sequence >= upTo.Sequence {
				return nil
			}
		case err != nil:
			return err
		default:
			return context.Cause(ctx)
		}
	}
}

func (v *Verification) message(ctx context.Context, m *faultline.Message) error {
	if m.Kind != faultline.KindFrame || checkID(m) != nil {
		return nil
	}
	k := epochKey{m.ID.Gateway, m.ID.Epoch}
	if v.seen[k] == nil {
		v.seen[k] = &spans{site: m.Site}
	}
	v.seen[k].add(m.ID.Sequence)
	v.frames++
	var c checker
	f, err := c.check(m)
	if err != nil {
		return nil // a dead letter; the ledger counts it
	}
	s := series{f.Kind, f.Site, f.Position, f.Time.Unix() / 3600}
	v.pending[s] = append(v.pending[s], frameAt{f.Time.UnixNano(), m.ID})
	if v.held++; v.held < heldAtOnce {
		return nil
	}
	return v.compare(ctx)
}

// compare looks for the pending frames in InfluxDB.
func (v *Verification) compare(ctx context.Context) error {
	whole := tsdb.Kept(v.Influx.Retention(), time.Now())
	for s, frames := range v.pending {
		have, err := v.Influx.Times(ctx, s.kind, s.site, s.position, time.Unix(s.hour*3600, 0), time.Unix((s.hour+1)*3600, 0))
		if err != nil {
			return err
		}
		for _, f := range frames {
			at := time.Unix(0, f.at).UTC()
			if have[f.at] || at.Before(whole) { // expired ones stand in the tiers
				continue
			}
			why, lost, err := v.explain(ctx, s.site, f.id)
			if err != nil {
				return err
			}
			v.note(Finding{Site: s.site, Gateway: f.id.Gateway, Epoch: f.id.Epoch, From: f.id.Sequence, To: f.id.Sequence, Frames: 1, FromAt: at, ToAt: at, What: why, Lost: lost})
		}
	}
	clear(v.pending)
	v.held = 0
	if v.Tell != nil {
		v.Tell("… %d frames compared\n", v.frames)
	}
	return nil
}

// explain says why a frame of the stream is not in InfluxDB.
func (v *Verification) explain(ctx context.Context, site string, id faultline.FrameID) (why string, lost bool, err error) {
	letters, _, err := v.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Site: site, Gateway: id.Gateway, Epoch: id.Epoch, Sequence: id.Sequence, Limit: 1})
	if err != nil {
		return "", false, err
	}
	if len(letters) > 0 {
		return "not in InfluxDB: a dead letter, " + letters[0].Reason, false, nil
	}
	return "in the stream and dealt with, but not in InfluxDB", true, nil
}

// note joins findings that say the same of sequences that follow one another.
func (v *Verification) note(f Finding) {
	for i := len(v.findings) - 1; i >= 0 && i >= len(v.findings)-50; i-- {
		o := &v.findings[i]
		if o.Gateway != f.Gateway || o.Epoch != f.Epoch || o.What != f.What || f.From == 0 {
			continue
		}
		o.From, o.To, o.Frames = min(o.From, f.From), max(o.To, f.To), o.Frames+f.Frames
		if f.FromAt.Before(o.FromAt) {
			o.FromAt = f.FromAt
		}
		if f.ToAt.After(o.ToAt) {
			o.ToAt = f.ToAt
		}
		return
	}
	v.findings = append(v.findings, f)
}

// account compares the ledger with the sequences that the streams hold.
func (v *Verification) account() {
	for k, r := range v.rows {
		f := Finding{Site: r.Site, Gateway: r.Gateway, Epoch: r.Epoch, Lost: true}
		if r.Last > 0 && r.Delivered+r.Missing+r.Dropped+r.Expired != r.Last-r.First+1 {
			f.From, f.To, f.What = r.First, r.Last, "the ledger does not add up"
			v.findings = append(v.findings, f)
		}
		left := r.Missing
		for _, g := range r.Gaps {
			f.From, f.To, f.Frames, f.What = g.From, g.To, g.Frames(), "never arrived at the hub, by the ledger"
			f.FromAt, f.ToAt, f.Noticed = g.Before, g.After, g.Noticed
			left -= min(left, f.Frames)
			v.findings = append(v.findings, f)
		}
		f.FromAt, f.ToAt, f.Noticed = time.Time{}, time.Time{}, time.Time{}
		if left > 0 {
			f.From, f.To, f.Frames, f.What = 0, 0, left, "never arrived at the hub; the ledger lists only the newest gaps"
			v.findings = append(v.findings, f)
		}
		left = r.Dropped
		for _, g := range r.Drops {
			left -= min(left, g.Frames())
			v.findings = append(v.findings, Finding{Site: r.Site, Gateway: r.Gateway, Epoch: r.Epoch, From: g.From, To: g.To, Frames: g.Frames(), FromAt: g.Before, ToAt: g.After, Noticed: g.Noticed, What: "dropped at the edge by its declared limits"})
		}
		if left > 0 {
			v.findings = append(v.findings, Finding{Site: r.Site, Gateway: r.Gateway, Epoch: r.Epoch, Frames: left, What: "dropped at the edge by its declared limits; the ledger lists only the newest ranges"})
		}
		if s := v.seen[k]; s != nil {
			v.holes(&r, s)
		}
	}
	for k, s := range v.seen {
		if _, ok := v.rows[k]; !ok {
			v.findings = append(v.findings, Finding{Site: s.site, Gateway: k.gateway, Epoch: k.epoch, From: s.list[0].From, To: s.list[len(s.list)-1].To, What: "in the stream, but the ledger has no account", Lost: true})
		}
	}
	slices.SortFunc(v.findings, func(a, b Finding) int {
		return strings.Compare(a.Site+"/"+a.Gateway+"/"+a.Epoch, b.Site+"/"+b.Gateway+"/"+b.Epoch)
	})
}

// holes looks at what a stream lacks between the frames that it has.
func (v *Verification) holes(r *faultline.LedgerRow, s *spans) {
	f := Finding{Site: r.Site, Gateway: r.Gateway, Epoch: r.Epoch, Lost: true}
	if last := s.list[len(s.list)-1].To; last > r.Last {
		f.From, f.To, f.Frames, f.What = r.Last+1, last, last-r.Last, "in the stream and dealt with, but beyond the ledger's last"
		v.findings = append(v.findings, f)
	}
	for _, g := range r.Gaps {
		for _, have := range s.list {
			if from, to := max(g.From, have.From), min(g.To, have.To); from <= to {
				f.From, f.To, f.Frames, f.What = from, to, to-from+1, "in the stream, but missing by the ledger"
				v.findings = append(v.findings, f)
			}
		}
	}
	for i := 1; i < len(s.list); i++ {
		from, to := s.list[i-1].To+1, s.list[i].From-1
		known := uint64(0)
		for _, g := range r.Gaps {
			if a, b := max(g.From, from), min(g.To, to); a <= b {
				known += b - a + 1
			}
		}
		if hole := to - from + 1; hole > known+r.Dropped {
			f.From, f.To, f.Frames, f.What = from, to, hole-known-r.Dropped, "delivered by the ledger, but gone from the stream"
			v.findings = append(v.findings, f)
		}
	}
}
