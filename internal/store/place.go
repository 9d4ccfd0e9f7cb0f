package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/faultline-iot/faultline"
)

// Sequences are unsigned in the domain and signed in SQL: they are stored bit by bit.

// Place gives the saved place of a role in a partition; the zero Place if there is none.
func (t *Tx) Place(role string, partition int) (faultline.Place, error) {
	var p faultline.Place
	var sequence int64
	err := t.c.row(t.ctx, `SELECT stream, sequence FROM place WHERE role = ? AND part = ?`, role, partition).Scan(&p.Stream, &sequence)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("place %s/%d: %w", role, partition, err)
	}
	p.Sequence = uint64(sequence)
	return p, nil
}

// SavePlace saves the place of a role in a partition.
func (t *Tx) SavePlace(role string, partition int, p faultline.Place) error {
	if err := identity("place", "role", role); err != nil {
		return err
	}
	if _, err := t.c.exec(t.ctx, `INSERT INTO place (role, part, stream, sequence) VALUES (?, ?, ?, ?)
		ON CONFLICT (role, part) DO UPDATE SET stream = excluded.stream, sequence = excluded.sequence`,
		role, partition, p.Stream, int64(p.Sequence)); err != nil {
		return fmt.Errorf("save place %s/%d: %w", role, partition, err)
	}
	return nil
}

// SavedPlace is where a role stands in a partition.
type SavedPlace struct {
	Role      string
	Partition int
	Place     faultline.Place
}

// Places lists all saved places, for those who watch lag or trim streams.
func (s *Store) Places(ctx context.Context) ([]SavedPlace, error) {
	places := []SavedPlace{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var p SavedPlace
		var sequence int64
		err := rows.Scan(&p.Role, &p.Partition, &p.Place.Stream, &sequence)
		p.Place.Sequence = uint64(sequence)
		places = append(places, p)
		return err
	}, `SELECT role, part, stream, sequence FROM place ORDER BY part, role`)
	if err != nil {
		return nil, fmt.Errorf("places: %w", err)
	}
	return places, nil
}

// Unit is the saved state of a unit of rules with the place in the stream that it reflects.
type Unit struct {
	ID    string
	Place faultline.Place
	State []byte
}

// SaveUnits saves units of the lease's partition in one transaction; faultline.ErrFenced if the lease
// was lost.
func (s *Store) SaveUnits(ctx context.Context, l Lease, units []Unit) error {
	rows := make([][]any, len(units))
	for i, u := range units {
		if err := identity("unit", "id", u.ID); err != nil {
			return err
		}
		state := u.State
		if state == nil {
			state = []byte{} // NULL is not a state
		}
		rows[i] = []any{l.Partition, u.ID, u.Place.Stream, int64(u.Place.Sequence), state}
	}
	return s.update(ctx, "save units", func(c conn) error {
		if err := c.holds(ctx, "save units", l); err != nil {
			return err
		}
		if err := c.insertMany(ctx, `INSERT INTO unit (part, id, stream, sequence, state)`,
			`ON CONFLICT (part, id) DO UPDATE SET stream = excluded.stream, sequence = excluded.sequence, state = excluded.state`, rows); err != nil {
			return fmt.Errorf("save units of %s: %w", l, err)
		}
		return nil
	})
}

// DropUnits forgets units of the lease's partition, such as those of positions that are gone: their
// old places would hold back the trimming of the stream for ever.
func (s *Store) DropUnits(ctx context.Context, l Lease, ids []string) error {
	return s.update(ctx, "drop units", func(c conn) error {
		if err := c.holds(ctx, "drop units", l); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := c.exec(ctx, `DELETE FROM unit WHERE part = ? AND id = ?`, l.Partition, id); err != nil {
				return fmt.Errorf("drop unit %s of %s: %w", id, l, err)
			}
		}
		return nil
	})
}

// Units gives all saved units of a partition, by id.
func (s *Store) Units(ctx context.Context, partition int) ([]Unit, error) {
	units := []Unit{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var u Unit
		var sequence int64
		err := rows.Scan(&u.ID, &u.Place.Stream, &sequence, &u.State)
		u.Place.Sequence = uint64(sequence)
		if u.State == nil { // as SQLite's driver reads an empty one
			u.State = []byte{}
		}
		units = append(units, u)
		return err
	}, `SELECT id, stream, sequence, state FROM unit WHERE part = ?`, partition)
	if err != nil {
		return nil, fmt.Errorf("units of partition %d: %w", partition, err)
	}
	slices.SortFunc(units, func(a, b Unit) int { return cmp.Compare(a.ID, b.ID) })
	return units, nil
}
