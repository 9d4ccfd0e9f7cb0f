package ingest

import (
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// tiers puts a frame that is older than readings are kept into the tiers that still have its time.
func (f *flusher) tiers(frame *faultline.Frame, m *faultline.Message, e *entry) {
	for i := range f.p.cfg.Tiers {
		if !f.p.cfg.Tiers[i].Keeps(frame.Time, time.Now().Add(time.Minute)) { // it must not expire on its way
			continue
		}
		l := &f.late[i]
		n := line{from: len(l.buf), msg: m, entry: e}
		l.buf = append(tsdb.AppendLate(l.buf, frame), '\n')
		l.end(n)
	}
}

// refusedLate takes a line out that a tier will never take: among the dead letters, once for all tiers,
// unless it is only too old.
func (f *flusher) refusedLate(n *line, err error) {
	if tsdb.IsExpired(err) || f.lateDead[n.msg] {
		return
	}
	f.lateDead[n.msg] = true
	f.dead(n.entry, n.msg, err)
}

const (
	// settleFor is how long after its end an hour is condensed: until then its readings are still coming.
	settleFor = 3 * time.Minute
	// gatherLate is how long late readings of an hour are gathered before it is condensed again.
	gatherLate = time.Minute
)

// DueAfter tells when an hour whose readings changed at now is to be condensed.
func DueAfter(now time.Time) func(hour time.Time) time.Time {
	return func(hour time.Time) time.Time {
		due := hour.Add(time.Hour + settleFor)
		if soon := now.Add(gatherLate); soon.After(due) {
			return soon
		}
		return due
	}
}

type siteHour struct {
	site string
	hour int64 // Unix, in hours
}

// stale gathers the hours whose readings change. An hour that is not over yet is marked once: nobody
// condenses it, and so takes the mark away, before it has settled.
type stale struct {
	last    siteHour
	now     map[siteHour]struct{} // since the last save
	marked  map[siteHour]struct{} // saved, of hours that are not over
	pending []siteHour            // of now, being saved
}

func newStale() stale {
	return stale{now: map[siteHour]struct{}{}, marked: map[siteHour]struct{}{}}
}

func (s *stale) mark(site string, at, now time.Time) {
	k := siteHour{site, at.Unix() / 3600}
	if k == s.last {
		return
	}
	s.last = k
	if _, is := s.marked[k]; is && k.open(now) {
		return
	}
	s.now[k] = struct{}{}
}

// open tells whether nobody may have condensed the hour yet, with a minute for clocks that differ.
func (k siteHour) open(now time.Time) bool {
	return now.Before(time.Unix((k.hour+1)*3600, 0).Add(settleFor - time.Minute))
}

// take gives what is to be saved, the same until it is saved.
func (s *stale) take() []StaleHours {
	if len(s.now) == 0 {
		return nil
	}
	bySite := map[string]*StaleHours{}
	var out []*StaleHours
	s.pending = s.pending[:0]
	for k := range s.now {
		s.pending = append(s.pending, k)
		h := bySite[k.site]
		if h == nil {
			h = &StaleHours{Site: k.site}
			bySite[k.site], out = h, append(out, h)
		}
		h.Hours = append(h.Hours, time.Unix(k.hour*3600, 0).UTC())
	}
	all := make([]StaleHours, len(out))
	for i := range out {
		slices.SortFunc(out[i].Hours, time.Time.Compare)
		all[i] = *out[i]
	}
	return all
}

// saved notes that what was taken is in the store.
func (s *stale) saved() {
	s.last = siteHour{}
	now := time.Now()
	for _, k := range s.pending {
		delete(s.now, k)
		if k.open(now) {
			s.marked[k] = struct{}{}
		}
	}
	s.pending = s.pending[:0]
	for k := range s.marked {
		if !k.open(now) {
			delete(s.marked, k)
		}
	}
}
