package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// SQL is the Store in an SQL database.
func SQL(s *store.Store) Store { return sqlStore{s} }

type sqlStore struct{ s *store.Store }

func (s sqlStore) Lease(ctx context.Context, partition int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	l, err := s.s.Acquire(ctx, Role, partition, owner, ttl, now)
	if err != nil {
		return nil, err
	}
	return &sqlLease{s: s.s, held: l}, nil
}

type sqlLease struct {
	s    *store.Store
	mu   sync.Mutex
	held store.Lease
}

func (l *sqlLease) lease() store.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

func (l *sqlLease) Renew(ctx context.Context, ttl time.Duration, now time.Time) error {
	held, err := l.s.Renew(ctx, l.lease(), ttl, now)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.held = held
	l.mu.Unlock()
	return nil
}

func (l *sqlLease) Release(ctx context.Context) error { return l.s.Release(ctx, l.lease()) }

func (l *sqlLease) Place(ctx context.Context) (p faultline.Place, err error) {
	held := l.lease()
	err = l.s.Tx(ctx, held, func(tx *store.Tx) (err error) {
		p, err = tx.Place(Role, held.Partition)
		return err
	})
	return p, err
}

func (l *sqlLease) Ledger(ctx context.Context, gateway, epoch string) (row faultline.LedgerRow, found bool, err error) {
	err = l.s.Tx(ctx, l.lease(), func(tx *store.Tx) (err error) {
		row, found, err = tx.Ledger(gateway, epoch)
		return err
	})
	return row, found, err
}

func (l *sqlLease) Save(ctx context.Context, e Effects) error {
	held := l.lease()
	err := l.s.Tx(ctx, held, func(tx *store.Tx) error {
		for _, r := range e.Rows {
			if err := tx.PutLedger(r); err != nil {
				return err
			}
		}
		if err := tx.AddDeadLetters(e.Dead); err != nil {
			return err
		}
		for _, s := range e.Stale {
			if err := tx.MarkStale(s.Site, DueAfter(time.Now()), s.Hours...); err != nil {
				return err
			}
		}
		return tx.SavePlace(Role, held.Partition, e.Place)
	})
	// Outside the transaction: that a gateway was seen is true whoever says it.
	for i := 0; err == nil && i < len(e.Gateways); i++ {
		err = l.s.TouchGateway(ctx, e.Gateways[i])
	}
	return err
}
