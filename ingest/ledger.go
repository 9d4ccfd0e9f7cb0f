package ingest

import (
	"slices"
	"sort"

	"github.com/faultline-iot/faultline"
)

// outcome of a frame's sequence.
type outcome uint8

const (
	fresh     outcome = iota // never seen: to be counted as delivered or expired, and written
	duplicate                // seen before: counted, to be dropped
	// doubtful is counted as duplicate, but it may belong to a gap that is no longer listed, so that it
	// must be written: a repeated point does no harm, a dropped one does.
	doubtful
)

// account puts sequence into the row, whose gateway says that it dropped the frames directly before it.
// A fresh frame is not yet counted: the caller adds it to Delivered or Expired, and then
// Delivered + Missing + Dropped + Expired = Last - First + 1 holds. sequence is at least 1.
func account(r *faultline.LedgerRow, sequence, dropped uint64) outcome {
	o := duplicate
	switch {
	case sequence > r.Last:
		expect(r, sequence-1)
		r.Last = sequence
		o = fresh
	case cut(r, sequence, sequence) == 1:
		r.Missing--
		o = fresh
	case len(r.Gaps) >= faultline.MaxGaps && sequence < r.Gaps[0].From:
		o = doubtful
	}
	if o == duplicate || o == doubtful {
		r.Duplicate++
	}
	if d := min(dropped, sequence-1); d > 0 {
		n := cut(r, sequence-d, sequence-1)
		r.Missing -= n
		r.Dropped += n
	}
	r.Gaps = forget(r.Gaps)
	return o
}

// expect notes that the gateway has stored everything up to last: what was not seen of it is missing
// until it comes. Sequences count from 1, so that a new row expects all from there.
func expect(r *faultline.LedgerRow, last uint64) {
	if r.First == 0 {
		r.First = 1
	}
	if last <= r.Last {
		return
	}
	r.Missing += last - r.Last
	from := r.Last + 1
	if n := len(r.Gaps); n > 0 && r.Gaps[n-1].To+1 == from {
		r.Gaps[n-1].To = last
	} else {
		r.Gaps = append(r.Gaps, faultline.SequenceRange{From: from, To: last})
	}
	r.Last = last
}

// forget keeps the newest MaxGaps ranges: the oldest are the least likely to be filled. Their frames
// stay counted as missing.
func forget(gaps []faultline.SequenceRange) []faultline.SequenceRange {
	if n := len(gaps) - faultline.MaxGaps; n > 0 {
		return slices.Delete(gaps, 0, n)
	}
	return gaps
}

// cut takes the sequences from..to out of the gaps and gives how many of them were in them.
func cut(r *faultline.LedgerRow, from, to uint64) (n uint64) {
	g := r.Gaps
	i := sort.Search(len(g), func(i int) bool { return g[i].To >= from })
	j := i
	var rest [2]faultline.SequenceRange
	kept := rest[:0]
	for ; j < len(g) && g[j].From <= to; j++ {
		n += min(g[j].To, to) - max(g[j].From, from) + 1
		if g[j].From < from {
			kept = append(kept, faultline.SequenceRange{From: g[j].From, To: from - 1})
		}
		if g[j].To > to {
			kept = append(kept, faultline.SequenceRange{From: to + 1, To: g[j].To})
		}
	}
	if n > 0 {
		r.Gaps = slices.Replace(g, i, j, kept...)
	}
	return n
}
