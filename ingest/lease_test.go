package ingest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
)

// lossyStore loses the answers of the first saves: what they wrote is there.
type lossyStore struct {
	Store
	lost int
}

func (s *lossyStore) Lease(ctx context.Context, partition int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	l, err := s.Store.Lease(ctx, partition, owner, ttl, now)
	return lossyLease{l, s}, err
}

type lossyLease struct {
	Lease
	s *lossyStore
}

func (l lossyLease) Save(ctx context.Context, e Effects) error {
	if err := l.Lease.Save(ctx, e); err != nil || l.s.lost == 0 {
		return err
	}
	l.s.lost--
	return errDown
}

func TestTheNextOwnerWaitsForTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		settle(time.Second)
		other := *r
		other.cfg.Owner = "other"
		other.start(t)
		r.add(r.frame("g1", time.Now()))
		settle(time.Minute)
		if r.holder() != "me" {
			t.Fatalf("the lease went to %q while its owner lives", r.holder())
		}
		if err := other.ing.Ready(); err != nil {
			t.Errorf("waiting for a lease is no trouble: %v", err)
		}
		r.stop()
		r.add(r.frame("g1", time.Now()))
		settle(time.Minute)
		if row := r.row(t, "g1"); r.holder() != "other" || row.Delivered != 2 || row.Duplicate != 0 {
			t.Errorf("owner %q, %+v", r.holder(), row)
		}
		other.stop()
	})
}

func TestAnOwnerThatLostItsLeaseSavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		r.add(r.frame("g1", time.Now()))
		settle(time.Second)
		thief, err := r.memory.Lease(t.Context(), 0, "me", 15*time.Second, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r.memory.mu.Lock()
		r.memory.owner = "thief"
		r.memory.mu.Unlock()
		r.add(r.frame("g1", time.Now()))
		settle(10 * time.Second)
		if row := r.row(t, "g1"); row.Delivered != 1 || r.at().Sequence != 1 {
			t.Errorf("place %v, %+v: saved under a lost lease", r.at(), row)
		}
		if err := thief.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		if row := r.row(t, "g1"); row.Delivered != 2 || row.Duplicate != 0 || r.at().Sequence != 2 {
			t.Errorf("place %v, %+v: it did not take the lease again", r.at(), row)
		}
		if err := r.ing.Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	r := newRig()
	for name, c := range map[string]Config{
		"nothing":   {},
		"no store":  {Partitions: []int{0}, Hub: r.stream, Influx: r.influx},
		"no part":   {Hub: r.stream, Store: r.memory, Influx: r.influx},
		"no hub":    {Partitions: []int{0}, Store: r.memory, Influx: r.influx},
		"no influx": {Partitions: []int{0}, Store: r.memory, Hub: r.stream},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if i, err := New(r.cfg); err != nil || i.Reached(7) != (faultline.Place{}) {
		t.Errorf("%v", err)
	}
}

func TestAFrameOfAForgottenGapIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		now := time.Now()
		const gaps = faultline.MaxGaps + 5
		for i := uint64(1); i <= gaps; i++ {
			r.add(frame("g1", 2*i, now.Add(time.Duration(i))))
		}
		r.add(frame("g1", 1, now.Add(-time.Second)), frame("g1", 2*gaps-1, now.Add(-2*time.Second)))
		settle(time.Second)
		if row := r.row(t, "g1"); r.count() != gaps+2 || row.Delivered != gaps+1 || row.Duplicate != 1 || row.Missing != gaps-1 || len(row.Gaps) != faultline.MaxGaps-1 {
			row.Gaps = nil
			t.Errorf("%d points, %+v", r.count(), row)
		}
	})
}

func TestALostLeaseEndsTheWaitForInflux(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		r.influx.set(down)
		r.add(r.frame("g1", time.Now()))
		settle(time.Minute)
		if _, err := r.memory.Lease(t.Context(), 0, "me", time.Hour, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.memory.mu.Lock()
		r.memory.owner = "thief"
		r.memory.mu.Unlock()
		settle(6 * time.Second) // the next renewal
		before := r.requests()
		settle(10 * time.Minute)
		if n := r.requests() - before; n != 0 {
			t.Errorf("%d writes under a lost lease", n)
		}
	})
}
