package ingest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// model accounts by remembering every sequence.
type model struct {
	seen, dropped   map[uint64]bool
	last, duplicate uint64
}

func (m *model) account(seq, dropped uint64) outcome {
	o := fresh
	if m.seen[seq] || m.dropped[seq] {
		m.duplicate++
		o = duplicate
	} else {
		m.seen[seq] = true
	}
	m.last = max(m.last, seq)
	for s := seq - min(dropped, seq-1); s < seq; s++ {
		if !m.seen[s] {
			m.dropped[s] = true
		}
	}
	return o
}

func (m *model) gaps() (gaps []faultline.SequenceRange, missing uint64) {
	for s := uint64(1); s <= m.last; s++ {
		if m.seen[s] || m.dropped[s] {
			continue
		}
		missing++
		if n := len(gaps); n > 0 && gaps[n-1].To == s-1 {
			gaps[n-1].To = s
		} else {
			gaps = append(gaps, faultline.SequenceRange{From: s, To: s})
		}
	}
	return gaps, missing
}

func TestLedgerAgainstAModel(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var r faultline.LedgerRow
		m := model{seen: map[uint64]bool{}, dropped: map[uint64]bool{}}
		size := 1 + rnd.Uint64N(200)
		next := uint64(1)
		for step := range 400 {
			seq, dropped := next, uint64(0)
			switch rnd.IntN(10) {
			case 0, 1: // anything: late, early or again
				seq = 1 + rnd.Uint64N(size)
			case 2: // a heartbeat
				last := 1 + rnd.Uint64N(size)
				expect(&r, last, minute(0))
				m.last = max(m.last, last)
				seq = 0
			case 3: // a declared loss
				dropped = rnd.Uint64N(10)
				seq += dropped
			case 4: // a loss
				seq += rnd.Uint64N(10)
			}
			if seq != 0 {
				got, want := account(&r, seq, dropped, minute(0), minute(1)), m.account(seq, dropped)
				if got != want {
					t.Fatalf("seed %d step %d: sequence %d is %v, want %v", seed, step, seq, got, want)
				}
				if got == fresh {
					r.Delivered++
				}
				next = max(next, seq+1)
			}
			gaps, missing := m.gaps()
			if !slices.Equal(ranges(r.Gaps), gaps) || r.Missing != missing || r.Last != m.last || r.Duplicate != m.duplicate || r.Dropped != uint64(len(m.dropped)) || r.Delivered != uint64(len(m.seen)) {
				t.Fatalf("seed %d step %d: %+v\nwant gaps %v, missing %d, last %d, duplicate %d, dropped %d, delivered %d", seed, step, r, gaps, missing, m.last, m.duplicate, len(m.dropped), len(m.seen))
			}
			balanced(t, &r)
		}
	}
}

// ranges are the gaps without their times.
func ranges(gaps []faultline.Gap) (out []faultline.SequenceRange) {
	for _, g := range gaps {
		out = append(out, faultline.SequenceRange{From: g.From, To: g.To})
	}
	return out
}

func minute(n int) time.Time { return time.Date(2026, 3, 1, 12, n, 0, 0, time.UTC) }

// A gap tells when it was noticed, and the times of the frames on both sides, also when only a part of it was filled.
func TestLedgerKeepsTheTimesOfGaps(t *testing.T) {
	var r faultline.LedgerRow
	account(&r, 2, 0, minute(2), minute(2)) // 1 never came
	expect(&r, 9, minute(10))               // 3 to 9 are missing by a heartbeat
	gap := func(from, to uint64, noticed, before, after int) faultline.Gap {
		g := faultline.Gap{From: from, To: to, Noticed: minute(noticed)}
		if before > 0 {
			g.Before = minute(before)
		}
		if after > 0 {
			g.After = minute(after)
		}
		return g
	}
	check := func(what string, got []faultline.Gap, want ...faultline.Gap) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nothing after it yet", r.Gaps, gap(1, 1, 2, 0, 2), gap(3, 9, 10, 2, 0))
	account(&r, 10, 0, minute(20), minute(11))
	check("the next frame", r.Gaps, gap(1, 1, 2, 0, 2), gap(3, 9, 10, 2, 11))
	account(&r, 6, 0, minute(21), minute(6))
	check("one of its frames", r.Gaps, gap(1, 1, 2, 0, 2), gap(3, 5, 10, 2, 6), gap(7, 9, 10, 6, 11))
	account(&r, 15, 3, minute(22), minute(15)) // it says that 12 to 14 were dropped
	check("what was dropped", r.Drops, gap(12, 14, 22, 11, 15))
	check("what is missing beside it", r.Gaps, gap(1, 1, 2, 0, 2), gap(3, 5, 10, 2, 6), gap(7, 9, 10, 6, 11), gap(11, 11, 22, 11, 15))
	account(&r, 16, 0, minute(23), time.Time{}) // a frame that cannot be read
	account(&r, 18, 0, minute(24), minute(18))
	check("what follows a frame without a time", r.Gaps[4:], gap(17, 17, 24, 15, 18))
	if !r.LastFrame.Equal(minute(18)) {
		t.Errorf("the last frame is of %v", r.LastFrame)
	}
}

func balanced(t *testing.T, r *faultline.LedgerRow) {
	t.Helper()
	if r.Last > 0 && r.Delivered+r.Missing+r.Dropped+r.Expired != r.Last-r.First+1 {
		t.Fatalf("unbalanced: %+v", r)
	}
}

func TestLedgerKeepsABoundedListOfGaps(t *testing.T) {
	var r faultline.LedgerRow
	const gaps = faultline.MaxGaps + 10
	for i := uint64(1); i <= gaps; i++ {
		if o := account(&r, 2*i, 0, minute(0), minute(1)); o != fresh {
			t.Fatalf("sequence %d: %v", 2*i, o)
		}
		r.Delivered++
	}
	if len(r.Gaps) != faultline.MaxGaps || r.Gaps[0].From != 21 || r.Missing != gaps {
		t.Fatalf("%d gaps from %d, %d missing; want %d from 21, %d missing", len(r.Gaps), r.Gaps[0].From, r.Missing, faultline.MaxGaps, gaps)
	}
	if o := account(&r, 1, 0, minute(0), minute(1)); o != doubtful {
		t.Errorf("a frame of a forgotten gap is %v: it would not be written", o)
	}
	if o := account(&r, 21, 0, minute(0), minute(1)); o != fresh {
		t.Errorf("a frame of a listed gap is %v", o)
	}
	r.Delivered++
	if o := account(&r, 22, 0, minute(0), minute(1)); o != duplicate {
		t.Errorf("a repeated frame is %v", o)
	}
	balanced(t, &r)
}

func TestLedgerAtTheEndsOfItsRange(t *testing.T) {
	var r faultline.LedgerRow
	for _, seq := range []uint64{math.MaxUint64, 1, math.MaxUint64 - 1, math.MaxUint64} {
		if account(&r, seq, math.MaxUint64-5, minute(0), minute(1)) == fresh {
			r.Delivered++
		}
		if r.Delivered+r.Missing+r.Dropped != r.Last-r.First+1 {
			t.Fatalf("after %d: %+v", seq, r)
		}
	}
}

func FuzzLedger(f *testing.F) {
	f.Add([]byte{1, 0, 5, 0, 3, 0, 9, 3, 200, 0, 7, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r faultline.LedgerRow
		m := model{seen: map[uint64]bool{}, dropped: map[uint64]bool{}}
		for i := 0; i+1 < len(b) && i < 400; i += 2 {
			seq, dropped := uint64(b[i])+1, uint64(b[i+1]%16)
			if b[i+1]&128 != 0 {
				expect(&r, seq, minute(0))
				m.last = max(m.last, seq)
				continue
			}
			if got, want := account(&r, seq, dropped, minute(0), minute(1)), m.account(seq, dropped); got != want {
				t.Fatalf("sequence %d is %v, want %v", seq, got, want)
			} else if got == fresh {
				r.Delivered++
			}
			balanced(t, &r)
		}
		if gaps, missing := m.gaps(); !slices.Equal(ranges(r.Gaps), gaps) || r.Missing != missing {
			t.Fatalf("gaps %v, missing %d; want %v, %d", r.Gaps, r.Missing, gaps, missing)
		}
	})
}

func BenchmarkLedger(b *testing.B) {
	b.ReportAllocs()
	var r faultline.LedgerRow
	seq := uint64(0)
	for b.Loop() {
		seq++
		account(&r, seq, 0, minute(0), minute(1))
	}
}
