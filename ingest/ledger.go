package ingest

import (
	"slices"
	"sort"
	"time"

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

// account puts a frame into the row: its sequence, how many frames directly before it its gateway says it
// dropped, when the hub stored it, and its own time (zero where it cannot be read).
// A fresh frame is not yet counted: the caller adds it to Delivered or Expired, and then
// Delivered + Missing + Dropped + Expired = Last - First + 1 holds. sequence is at least 1.
func account(r *faultline.LedgerRow, sequence, dropped uint64, stored, at time.Time) outcome {
	o := duplicate
	switch {
	case sequence > r.Last:
		expect(r, sequence-1, stored)
		r.Last = sequence
		o = fresh
	case len(cut(r, sequence, sequence)) == 1:
		r.Missing--
		o = fresh
	case len(r.Gaps) >= faultline.MaxGaps && sequence < r.Gaps[0].From:
		o = doubtful
	}
	if o == fresh {
		beside(r, sequence, at)
	} else {
		r.Duplicate++
	}
	if d := min(dropped, sequence-1); d > 0 {
		for _, g := range cut(r, sequence-d, sequence-1) {
			r.Missing -= g.Frames()
			r.Dropped += g.Frames()
			r.Drops = lengthen(r.Drops, g)
		}
		r.Drops = forget(r.Drops)
	}
	r.Gaps = forget(r.Gaps)
	return o
}

// expect notes that the gateway has stored everything up to last: what was not seen of it is missing
// until it comes. Sequences count from 1, so that a new row expects all from there.
func expect(r *faultline.LedgerRow, last uint64, stored time.Time) {
	if r.First == 0 {
		r.First = 1
	}
	if last <= r.Last {
		return
	}
	r.Missing += last - r.Last
	r.Gaps = lengthen(r.Gaps, faultline.Gap{From: r.Last + 1, To: last, Noticed: stored, Before: r.LastFrame})
	r.Last = last
}

// lengthen adds a gap behind the others; one that follows the last without a frame between is part of it.
func lengthen(gaps []faultline.Gap, g faultline.Gap) []faultline.Gap {
	if n := len(gaps); n > 0 && gaps[n-1].To+1 == g.From {
		gaps[n-1].To, gaps[n-1].After = g.To, g.After
		return gaps
	}
	return append(gaps, g)
}

// beside tells the gaps on both sides of a frame that has arrived of its time.
func beside(r *faultline.LedgerRow, sequence uint64, at time.Time) {
	g := r.Gaps
	i := sort.Search(len(g), func(i int) bool { return g[i].To >= sequence-1 })
	if i < len(g) && g[i].To == sequence-1 {
		g[i].After = at
		i++
	}
	if i < len(g) && g[i].From == sequence+1 {
		g[i].Before = at
	}
	if sequence == r.Last && !at.IsZero() {
		r.LastFrame = at
	}
}

// forget keeps the newest MaxGaps ranges: the oldest are the least likely to be filled. Their frames
// stay counted.
func forget(gaps []faultline.Gap) []faultline.Gap {
	if n := len(gaps) - faultline.MaxGaps; n > 0 {
		return slices.Delete(gaps, 0, n)
	}
	return gaps
}

// cut takes the sequences from..to out of the gaps and gives those that were in them.
func cut(r *faultline.LedgerRow, from, to uint64) (out []faultline.Gap) {
	g := r.Gaps
	i := sort.Search(len(g), func(i int) bool { return g[i].To >= from })
	j := i
	var rest [2]faultline.Gap
	kept := rest[:0]
	part := func(of faultline.Gap, from, to uint64) faultline.Gap {
		of.From, of.To = from, to
		return of
	}
	for ; j < len(g) && g[j].From <= to; j++ {
		out = append(out, part(g[j], max(g[j].From, from), min(g[j].To, to)))
		if g[j].From < from {
			kept = append(kept, part(g[j], g[j].From, from-1))
		}
		if g[j].To > to {
			kept = append(kept, part(g[j], to+1, g[j].To))
		}
	}
	if len(out) > 0 {
		r.Gaps = slices.Replace(g, i, j, kept...)
	}
	return out
}
