package store

import (
	"context"
	"testing"
	"time"
)

// Partitions are shared among those who live, and only the share of one who comes or goes moves.
func TestPreferred(t *testing.T) {
	const partitions = 256
	owners := []string{"a-1", "a-2", "b-1", "b-2"}
	count, before := map[string]int{}, make([]string, partitions)
	for p := range partitions {
		before[p] = preferred(owners, p)
		count[before[p]]++
	}
	for _, o := range owners {
		if count[o] < partitions/8 || count[o] > partitions/2 {
			t.Errorf("%s has %d of %d", o, count[o], partitions)
		}
	}
	for p := range partitions {
		if now := preferred(owners[:3], p); before[p] != "b-2" && now != before[p] {
			t.Errorf("partition %d moved from %s to %s though it lives", p, before[p], now)
		}
	}
}

// Two processes share; when one takes its leave the other has everything, and without its presence being
// known everything is everybody's.
func testShare(t *testing.T, s *Store) {
	const partitions = 64
	a, b := s.NewShare("ingest", "a", time.Second, nil), s.NewShare("ingest", "b", time.Second, nil)
	mine := func(h *Share) (n int) {
		for p := range partitions {
			if h.Mine(p) {
				n++
			}
		}
		return n
	}
	equal(t, "before it is known", mine(a), partitions)
	run := func(h *Share) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		return func() {
			cancel()
			must(t, <-done)
		}
	}
	wait := func(what string, is func() bool) {
		t.Helper()
		long := time.After(20 * time.Second)
		for !is() {
			select {
			case <-long:
				t.Fatalf("%s: %d and %d", what, mine(a), mine(b))
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	stopA, stopB := run(a), run(b)
	wait("they share", func() bool { return mine(a) > 0 && mine(b) > 0 && mine(a)+mine(b) == partitions })
	stopA()
	wait("b has all", func() bool { return mine(b) == partitions })
	owners, err := s.LeaseOwners(t.Context(), "ingest.worker", time.Now())
	must(t, err)
	equal(t, "who is there", len(owners), 1)
	stopB()
}
