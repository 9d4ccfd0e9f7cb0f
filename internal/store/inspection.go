package store

import (
	"context"
	"fmt"

	"github.com/faultline-iot/faultline"
)

func inspectionOpen(i *faultline.Inspection) bool {
	return i.Status != faultline.InspectionDone && i.Status != faultline.InspectionSkipped
}

const openInspectionSQL = `SELECT doc FROM inspection WHERE site = ? AND position = ? AND plan = ? AND open = 1`

// Inspection gives the open occurrence of a plan at a position; false if there is none.
func (t *Tx) Inspection(site, position, plan string) (faultline.Inspection, bool, error) {
	i, found, err := one[faultline.Inspection](t.ctx, t.c, openInspectionSQL, site, position, plan)
	if err != nil {
		return i, false, fmt.Errorf("inspection %s at %s/%s: %w", plan, site, position, err)
	}
	return i, found, nil
}

// PutInspection adds or replaces the occurrence of a cycle; faultline.ErrConflict if another cycle of
// the plan is open there.
func (t *Tx) PutInspection(i faultline.Inspection) error {
	if err := identity("inspection", "site", i.Site, "position", i.Position, "plan", i.Plan); err != nil {
		return err
	}
	doc, err := encode(i)
	if err == nil {
		err = t.c.atomically(t.ctx, func() error {
			_, err := t.c.exec(t.ctx, `INSERT INTO inspection (site, position, plan, cycle, open, due_at, doc) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (site, position, plan, cycle) DO UPDATE SET open = excluded.open, due_at = excluded.due_at, doc = excluded.doc`,
				i.Site, i.Position, i.Plan, i.Cycle, flag(inspectionOpen(&i)), nanos(i.DueAt), doc)
			if err != nil && t.c.d.unique(err) {
				return fmt.Errorf("%w: another cycle of the plan is open", faultline.ErrConflict)
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("put inspection %s, cycle %d, at %s/%s: %w", i.Plan, i.Cycle, i.Site, i.Position, err)
	}
	return nil
}

// InspectionFilter chooses inspections; the zero filter chooses all.
type InspectionFilter struct {
	Sites          []string // any of them; none: all
	Site, Position string
	Open           *bool
}

// Inspections lists open ones first, then by when they fall due.
func (s *Store) Inspections(ctx context.Context, f InspectionFilter) ([]faultline.Inspection, error) {
	var w where
	in(&w, "site", f.Sites)
	if f.Site != "" {
		w.add("site = ?", f.Site)
	}
	if f.Position != "" {
		w.add("position = ?", f.Position)
	}
	if f.Open != nil {
		w.add("open = ?", flag(*f.Open))
	}
	all, err := list[faultline.Inspection](ctx, s.reader(), `SELECT doc FROM inspection`+w.String()+` ORDER BY open DESC, due_at`, w.args...)
	if err != nil {
		return nil, fmt.Errorf("inspections: %w", err)
	}
	return all, nil
}
