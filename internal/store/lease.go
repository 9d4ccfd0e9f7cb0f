package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// Lease says that Owner alone works on a partition in a role until Until. Each acquisition raises
// Epoch; a write under an older epoch is refused, so an owner that slept through its lease and wakes
// up writes nothing.
type Lease struct {
	Role      string
	Partition int
	Owner     string
	Epoch     int64
	Until     time.Time
}

func (l Lease) String() string { return fmt.Sprintf("%s/%d", l.Role, l.Partition) }

// Acquire takes the lease of (role, partition) for owner until now + ttl. It fails with
// faultline.ErrConflict while another owner holds it. The owner itself gets it again at once under a
// new epoch, so an owner's name must belong to one process; a process that may take its name over after
// a crash (with SQLite: always the same name) need not wait for the old lease to run out.
func (s *Store) Acquire(ctx context.Context, role string, partition int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	l := Lease{Role: role, Partition: partition, Owner: owner, Until: now.Add(ttl).UTC()}
	if err := identity("lease", "role", role, "owner", owner); err != nil {
		return Lease{}, err
	}
	err := s.update(ctx, "acquire lease", func(c conn) error {
		err := c.row(ctx, `INSERT INTO lease (role, part, owner, epoch, until) VALUES (?, ?, ?, 1, ?)
			ON CONFLICT (role, part) DO UPDATE SET owner = excluded.owner, epoch = lease.epoch + 1, until = excluded.until
			WHERE lease.owner = excluded.owner OR lease.until <= ?
			RETURNING epoch`, role, partition, owner, nanos(l.Until), nanos(now)).Scan(&l.Epoch)
		if errors.Is(err, sql.ErrNoRows) {
			return s.heldBy(ctx, c, l)
		}
		if err != nil {
			return fmt.Errorf("acquire lease %s: %w", l, err)
		}
		return nil
	})
	if err != nil {
		return Lease{}, err
	}
	return l, nil
}

func (s *Store) heldBy(ctx context.Context, c conn, l Lease) error {
	var owner string
	var until int64
	if err := c.row(ctx, `SELECT owner, until FROM lease WHERE role = ? AND part = ?`, l.Role, l.Partition).Scan(&owner, &until); err != nil {
		return fmt.Errorf("acquire lease %s: %w", l, err)
	}
	return fmt.Errorf("acquire lease %s: %w: %s holds it until %s", l, faultline.ErrConflict, owner, moment(until).Format(time.RFC3339))
}

// Renew prolongs a lease until now + ttl. A lease that ran out but was taken by nobody is renewed;
// one that was taken fails with faultline.ErrFenced.
func (s *Store) Renew(ctx context.Context, l Lease, ttl time.Duration, now time.Time) (Lease, error) {
	l.Until = now.Add(ttl).UTC()
	err := s.update(ctx, "renew lease", func(c conn) error {
		n, err := c.exec(ctx, `UPDATE lease SET until = ? WHERE role = ? AND part = ? AND owner = ? AND epoch = ?`,
			nanos(l.Until), l.Role, l.Partition, l.Owner, l.Epoch)
		if err != nil {
			return fmt.Errorf("renew lease %s: %w", l, err)
		}
		if n == 0 {
			return fenced("renew", l)
		}
		return nil
	})
	if err != nil {
		return Lease{}, err
	}
	return l, nil
}

// Release gives a lease up, so that another owner need not wait. One that was lost already is left alone.
func (s *Store) Release(ctx context.Context, l Lease) error {
	return s.update(ctx, "release lease", func(c conn) error {
		if _, err := c.exec(ctx, `UPDATE lease SET owner = '', until = 0 WHERE role = ? AND part = ? AND owner = ? AND epoch = ?`,
			l.Role, l.Partition, l.Owner, l.Epoch); err != nil {
			return fmt.Errorf("release lease %s: %w", l, err)
		}
		return nil
	})
}

func fenced(what string, l Lease) error {
	return fmt.Errorf("%s under lease %s of %s, epoch %d: %w", what, l, l.Owner, l.Epoch, faultline.ErrFenced)
}

// holds checks the lease within a transaction and keeps others from taking it before the commit.
func (c conn) holds(ctx context.Context, what string, l Lease) error {
	var one int
	err := c.row(ctx, `SELECT 1 FROM lease WHERE role = ? AND part = ? AND owner = ? AND epoch = ?`+c.d.holdRow,
		l.Role, l.Partition, l.Owner, l.Epoch).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return fenced(what, l)
	}
	if err != nil {
		return fmt.Errorf("%s: check lease %s: %w", what, l, err)
	}
	return nil
}

// Tx is a transaction under a lease. Its methods are valid until the function that it was given to
// returns, and are not for concurrent use.
type Tx struct {
	ctx context.Context // of the one call of Store.Tx that it lives in, as in database/sql
	c   conn
}

// Tx runs fn in one transaction under a lease: all of what fn writes is on disk when Tx returns nil,
// none of it otherwise. It fails with faultline.ErrFenced if the lease was lost. An error of fn is
// returned as it is. fn must not call methods of the Store that write: SQLite has one writer, they
// would wait for each other.
func (s *Store) Tx(ctx context.Context, l Lease, fn func(*Tx) error) error {
	return s.update(ctx, "tx "+l.Role, func(c conn) error {
		if err := c.holds(ctx, "transaction", l); err != nil {
			return err
		}
		return fn(&Tx{ctx, c})
	})
}
