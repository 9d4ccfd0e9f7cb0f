package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
)

// Share divides the partitions of a role among the processes that live. Each process says that it is there;
// a partition belongs to the one of them that a hash prefers, so that one who comes or goes moves its own
// share only. It is a wish, not a right: who works on a partition is decided by its lease. What a crash
// leaves: a presence that runs out after the ttl, when the others take the share over.
type Share struct {
	store *Store
	role  string
	owner string
	ttl   time.Duration
	log   *slog.Logger

	mu    sync.Mutex
	alive []string // empty: not known yet, or the store does not answer
	seen  time.Time
}

// presences is how many processes may share a role.
const presences = 64

// NewShare makes a share; Run keeps it. Until Run has looked, everything is Mine.
func (s *Store) NewShare(role, owner string, ttl time.Duration, log *slog.Logger) *Share {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Share{store: s, role: role + ".worker", owner: owner, ttl: ttl, log: log.With("component", "store.share")}
}

// Run says that this process is there, and looks who else is, until ctx ends; then it takes its leave.
func (h *Share) Run(ctx context.Context) error {
	tick := time.NewTicker(h.ttl / 4)
	defer tick.Stop()
	var seat *Lease
	for {
		if err := h.turn(ctx, &seat); err != nil && ctx.Err() == nil {
			h.log.Debug("share not known", "role", h.role, "error", err)
		}
		select {
		case <-ctx.Done():
			if seat != nil {
				leave, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), time.Second, errors.New("taking leave took too long"))
				defer cancel()
				_ = h.store.Release(leave, *seat) // else it runs out
			}
			return nil
		case <-tick.C:
		}
	}
}

func (h *Share) turn(ctx context.Context, seat **Lease) error {
	now := time.Now()
	if *seat != nil {
		l, err := h.store.Renew(ctx, **seat, h.ttl, now)
		switch {
		case err == nil:
			*seat = &l
		case errors.Is(err, faultline.ErrFenced):
			*seat = nil
		default:
			return err
		}
	}
	for n := 0; *seat == nil; n++ {
		if n == presences {
			return errors.New("all seats are taken")
		}
		l, err := h.store.Acquire(ctx, h.role, n, h.owner, h.ttl, now)
		if err == nil {
			*seat = &l
		} else if !errors.Is(err, faultline.ErrConflict) {
			return err
		}
	}
	alive, err := h.store.leaseOwners(ctx, h.role, now)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(alive) != len(h.alive) {
		h.log.Info("partitions are shared", "role", h.role, "among", len(alive))
	}
	h.alive, h.seen = alive, now
	return nil
}

// Mine tells whether this process should work on a partition. While it does not know, it should: the leases
// decide then.
func (h *Share) Mine(partition int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.alive) == 0 || time.Since(h.seen) > 2*h.ttl {
		return true
	}
	return preferred(h.alive, partition) == h.owner
}

// preferred is the owner with the highest hash (rendezvous hashing).
func preferred(owners []string, partition int) (best string) {
	var top uint64
	for _, o := range owners {
		f := fnv.New64a()
		_, _ = f.Write([]byte(o + "/" + strconv.Itoa(partition))) // never fails
		v := f.Sum64()
		v ^= v >> 33
		v *= 0xff51afd7ed558ccd // FNV's high bits differ little for the last digits; mix them
		v ^= v >> 33
		if best == "" || cmp.Or(cmp.Compare(v, top), cmp.Compare(o, best)) > 0 {
			best, top = o, v
		}
	}
	return best
}

// leaseOwners lists who holds leases of a role at now, each once.
func (s *Store) leaseOwners(ctx context.Context, role string, now time.Time) ([]string, error) {
	var owners []string
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var o string
		err := rows.Scan(&o)
		owners = append(owners, o)
		return err
	}, `SELECT DISTINCT owner FROM lease WHERE role = ? AND until > ? AND owner <> ''`, role, nanos(now))
	return owners, err
}

// LeaseOwners gives the holder of each partition of a role that is held at now.
func (s *Store) LeaseOwners(ctx context.Context, role string, now time.Time) (map[int]string, error) {
	owners := map[int]string{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var o string
		var p int
		err := rows.Scan(&p, &o)
		owners[p] = o
		return err
	}, `SELECT part, owner FROM lease WHERE role = ? AND until > ? AND owner <> ''`, role, nanos(now))
	if err != nil {
		return nil, fmt.Errorf("holders of leases of %s: %w", role, err)
	}
	return owners, nil
}
