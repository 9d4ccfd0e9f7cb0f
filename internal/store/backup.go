package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/faultline-iot/faultline"
)

// Embedded tells whether the store is a file of this process, which Backup copies.
func (s *Store) Embedded() bool { return s.dialect == &sqliteDialect }

// Backup writes a copy of a SQLite store as it is at one moment into a new file, beside everything
// else. PostgreSQL has pg_dump for that.
func (s *Store) Backup(ctx context.Context, file string) error {
	if !s.Embedded() {
		return fmt.Errorf("%w: back up PostgreSQL with pg_dump", faultline.ErrInvalid)
	}
	if err := createPrivate(file); err != nil { // SQLite would make it readable by all; it takes an empty one
		return fmt.Errorf("back up the store: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, `VACUUM INTO ?`, file); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	return nil
}

// PlacesIn lists the sequences of all places in a stream, of roles and units, in order, each once.
func (s *Store) PlacesIn(ctx context.Context, partition int, stream string) ([]uint64, error) {
	places, err := s.Places(ctx)
	if err != nil {
		return nil, err
	}
	units, err := s.Units(ctx, partition)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, p := range places {
		if p.Partition == partition && p.Place.Stream == stream {
			out = append(out, p.Place.Sequence)
		}
	}
	for _, u := range units {
		if u.Place.Stream == stream {
			out = append(out, u.Place.Sequence)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Relocate moves all places in a stream to the one that it was restored as, each to where at says. It
// is for a store that nobody else uses.
func (s *Store) Relocate(ctx context.Context, partition int, stream, restored string, at map[uint64]uint64) error {
	return s.update(ctx, "relocate places", func(c conn) error {
		for from, to := range at {
			for _, table := range []string{"place", "unit"} {
				if _, err := c.exec(ctx, `UPDATE `+table+` SET stream = ?, sequence = ? WHERE part = ? AND stream = ? AND sequence = ?`, restored, int64(to), partition, stream, int64(from)); err != nil {
					return fmt.Errorf("relocate places of %s: %w", stream, err)
				}
			}
		}
		return nil
	})
}
