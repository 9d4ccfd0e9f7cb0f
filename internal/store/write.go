package store

import (
	"context"
	"fmt"

	"github.com/faultline-iot/faultline"
)

// WriteFilter chooses writes; the zero filter chooses all.
type WriteFilter struct {
	Sites          []string // none: all
	Site, Position string
	OnlyOpen       bool // waiting for a person, or for their outcome
	Limit, Offset  int  // no Limit: all
}

// AddWrite adds a write with the first line of its history; faultline.ErrConflict if there is one of
// that id.
func (s *Store) AddWrite(ctx context.Context, w faultline.Write, text string) error {
	if err := identity("write", "id", w.ID, "site", w.Site, "position", w.Position, "point", w.Point, "who asked for it", w.AskedBy); err != nil {
		return err
	}
	return s.update(ctx, "add write", func(c conn) error {
		c.changed("write "+w.ID+" of "+w.Point+" at "+w.Site+"/"+w.Position, nil, w)
		doc, err := encode(w)
		if err == nil {
			_, err = c.exec(ctx, `INSERT INTO write_order (id, site, position, open, asked_at, doc) VALUES (?, ?, ?, ?, ?, ?)`,
				w.ID, w.Site, w.Position, flag(!w.Status.Ended()), nanos(w.AskedAt), doc)
		}
		if err == nil {
			err = c.addWriteEvent(ctx, faultline.WriteEvent{Write: w.ID, At: w.AskedAt, By: w.AskedBy, Status: w.Status, Text: text})
		} else if c.d.unique(err) {
			err = faultline.ErrConflict
		}
		if err != nil {
			return fmt.Errorf("add write %s: %w", w.ID, err)
		}
		return nil
	})
}

func (c conn) addWriteEvent(ctx context.Context, e faultline.WriteEvent) error {
	doc, err := encode(e)
	if err == nil {
		_, err = c.exec(ctx, `INSERT INTO write_event (write, doc) VALUES (?, ?)`, e.Write, doc)
	}
	return err
}

// ChangeWrite calls change with the write in one transaction and keeps what it made of it, with the line
// of history that it returns. An error of change undoes all, and is returned; one that has ended a write by
// expiring it keeps that (commit).
func (s *Store) ChangeWrite(ctx context.Context, id string, change func(*faultline.Write) (e faultline.WriteEvent, commit bool, err error)) (w faultline.Write, err error) {
	var refused error
	err = s.update(ctx, "change write", func(c conn) error {
		var found bool
		w, found, err = one[faultline.Write](ctx, c, `SELECT doc FROM write_order WHERE id = ?`+c.d.lockRow, id)
		if err == nil && !found {
			err = faultline.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", id, err)
		}
		before := w
		e, commit, err := change(&w)
		if err != nil && !commit {
			return err
		}
		refused = err
		c.changed("write "+w.ID+" of "+w.Point+" at "+w.Site+"/"+w.Position, before, w)
		doc, err := encode(w)
		if err == nil {
			_, err = c.exec(ctx, `UPDATE write_order SET open = ?, doc = ? WHERE id = ?`, flag(!w.Status.Ended()), doc, id)
		}
		if err == nil {
			e.Write, e.Status = id, w.Status
			err = c.addWriteEvent(ctx, e)
		}
		if err != nil {
			return fmt.Errorf("change write %s: %w", id, err)
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	return w, err
}

// Write gives one write, or faultline.ErrNotFound.
func (s *Store) Write(ctx context.Context, id string) (faultline.Write, error) {
	w, found, err := one[faultline.Write](ctx, s.reader(), `SELECT doc FROM write_order WHERE id = ?`, id)
	if err == nil && !found {
		err = faultline.ErrNotFound
	}
	if err != nil {
		return w, fmt.Errorf("write %s: %w", id, err)
	}
	return w, nil
}

// Writes lists a page of writes, those that are not at their end first, then the newest, and counts all
// that the filter chooses.
func (s *Store) Writes(ctx context.Context, f WriteFilter) (writes []faultline.Write, total int, err error) {
	var w where
	in(&w, "site", f.Sites)
	if f.Site != "" {
		w.add("site = ?", f.Site)
	}
	if f.Position != "" {
		w.add("position = ?", f.Position)
	}
	if f.OnlyOpen {
		w.add("open = 1")
	}
	c := s.reader()
	if err := c.row(ctx, `SELECT count(*) FROM write_order`+w.String(), w.args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("writes: %w", err)
	}
	query, args := page(`SELECT doc FROM write_order`+w.String()+` ORDER BY open DESC, asked_at DESC, id`, w.args, f.Limit, f.Offset)
	if writes, err = list[faultline.Write](ctx, c, query, args...); err != nil {
		return nil, 0, fmt.Errorf("writes: %w", err)
	}
	return writes, total, nil
}

// WriteEvents lists the history of a write, oldest first.
func (s *Store) WriteEvents(ctx context.Context, id string) ([]faultline.WriteEvent, error) {
	all, err := list[faultline.WriteEvent](ctx, s.reader(), `SELECT doc FROM write_event WHERE write = ? ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("history of write %s: %w", id, err)
	}
	return all, nil
}
