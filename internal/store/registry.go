package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// put writes one row outside of any lease.
func (s *Store) put(ctx context.Context, what string, v any, query string, args ...any) error {
	doc, err := encode(v)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return s.update(ctx, what, func(c conn) error {
		if _, err := c.exec(ctx, query, append(args, doc)...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// all reads a whole small table and sorts it here: databases differ in how they order text.
func all[T any](ctx context.Context, s *Store, what string, key func(*T) string, query string, args ...any) ([]T, error) {
	rows, err := list[T](ctx, s.reader(), query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	slices.SortFunc(rows, func(a, b T) int { return cmp.Compare(key(&a), key(&b)) })
	return rows, nil
}

// PutSite adds or replaces a site.
func (s *Store) PutSite(ctx context.Context, v faultline.Site) error {
	if err := identity("site", "id", v.ID); err != nil {
		return err
	}
	return s.put(ctx, "put site", v, `INSERT INTO site (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, v.ID)
}

// Sites lists all sites by id.
func (s *Store) Sites(ctx context.Context) ([]faultline.Site, error) {
	return all(ctx, s, "sites", func(v *faultline.Site) string { return v.ID }, `SELECT doc FROM site`)
}

// PutPosition adds or replaces a position. Its site need not be known yet.
func (s *Store) PutPosition(ctx context.Context, v faultline.Position) error {
	if err := identity("position", "site", v.Site, "id", v.ID); err != nil {
		return err
	}
	return s.put(ctx, "put position", v, `INSERT INTO position (site, id, doc) VALUES (?, ?, ?)
		ON CONFLICT (site, id) DO UPDATE SET doc = excluded.doc`, v.Site, v.ID)
}

// Position gives one position, or faultline.ErrNotFound.
func (s *Store) Position(ctx context.Context, site, id string) (faultline.Position, error) {
	p, found, err := one[faultline.Position](ctx, s.reader(), `SELECT doc FROM position WHERE site = ? AND id = ?`, site, id)
	if err == nil && !found {
		err = faultline.ErrNotFound
	}
	if err != nil {
		return p, fmt.Errorf("position %s/%s: %w", site, id, err)
	}
	return p, nil
}

// Positions lists all positions by site and id.
func (s *Store) Positions(ctx context.Context) ([]faultline.Position, error) {
	return all(ctx, s, "positions", func(v *faultline.Position) string { return v.Site + "\x00" + v.ID }, `SELECT doc FROM position`)
}

// PutContract adds a version of a contract, or replaces that version. Earlier versions stay.
func (s *Store) PutContract(ctx context.Context, v faultline.Contract) error {
	if err := identity("contract", "id", v.ID); err != nil {
		return err
	}
	return s.put(ctx, "put contract", v, `INSERT INTO contract (id, version, doc) VALUES (?, ?, ?)
		ON CONFLICT (id, version) DO UPDATE SET doc = excluded.doc`, v.ID, v.Version)
}

// Contracts lists the newest version of each contract by id.
func (s *Store) Contracts(ctx context.Context) ([]faultline.Contract, error) {
	return all(ctx, s, "contracts", func(v *faultline.Contract) string { return v.ID },
		`SELECT doc FROM contract c WHERE version = (SELECT max(version) FROM contract n WHERE n.id = c.id)`)
}

// ContractVersions lists every version of every contract, by id, the oldest first.
func (s *Store) ContractVersions(ctx context.Context) ([]faultline.Contract, error) {
	rows, err := list[faultline.Contract](ctx, s.reader(), `SELECT doc FROM contract`)
	if err != nil {
		return nil, fmt.Errorf("versions of contracts: %w", err)
	}
	slices.SortFunc(rows, func(a, b faultline.Contract) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
	})
	return rows, nil
}

// PutCalendar adds or replaces a calendar.
func (s *Store) PutCalendar(ctx context.Context, v faultline.Calendar) error {
	if err := identity("calendar", "id", v.ID); err != nil {
		return err
	}
	return s.put(ctx, "put calendar", v, `INSERT INTO calendar (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, v.ID)
}

// Calendars lists all calendars by id, ready to be counted with.
func (s *Store) Calendars(ctx context.Context) ([]faultline.Calendar, error) {
	calendars, err := all(ctx, s, "calendars", func(v *faultline.Calendar) string { return v.ID }, `SELECT doc FROM calendar`)
	for i := range calendars {
		if problems := calendars[i].Open(time.LoadLocation); problems != nil && err == nil {
			err = fmt.Errorf("calendar %s: %w: %s", calendars[i].ID, faultline.ErrInvalid, strings.Join(problems, "; "))
		}
	}
	return calendars, err
}

// PutPlan adds or replaces an inspection plan.
func (s *Store) PutPlan(ctx context.Context, v faultline.Plan) error {
	if err := identity("plan", "id", v.ID); err != nil {
		return err
	}
	return s.put(ctx, "put plan", v, `INSERT INTO plan (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, v.ID)
}

// Plans lists all inspection plans by id.
func (s *Store) Plans(ctx context.Context) ([]faultline.Plan, error) {
	return all(ctx, s, "plans", func(v *faultline.Plan) string { return v.ID }, `SELECT doc FROM plan`)
}

// TouchGateway adds a gateway or notes that it was seen; one that was seen later already stays as it is.
func (s *Store) TouchGateway(ctx context.Context, v faultline.Gateway) error {
	if err := identity("gateway", "site", v.Site, "id", v.ID); err != nil {
		return err
	}
	return s.put(ctx, "touch gateway", v, `INSERT INTO gateway (site, id, last_seen, doc) VALUES (?, ?, ?, ?)
		ON CONFLICT (site, id) DO UPDATE SET last_seen = excluded.last_seen, doc = excluded.doc
		WHERE gateway.last_seen <= excluded.last_seen`, v.Site, v.ID, nanos(v.LastSeen))
}

// Gateways lists all gateways by site and id.
func (s *Store) Gateways(ctx context.Context) ([]faultline.Gateway, error) {
	return all(ctx, s, "gateways", func(v *faultline.Gateway) string { return v.Site + "\x00" + v.ID }, `SELECT doc FROM gateway`)
}

// ReplaceRuleInstances makes these the rule instances that people see, all others go.
func (s *Store) ReplaceRuleInstances(ctx context.Context, instances []faultline.RuleInstance) error {
	const what = "replace rule instances"
	rows := make([][]any, len(instances))
	for i := range instances {
		v := &instances[i]
		if err := identity("rule instance", "site", v.Site, "position", v.Position, "rule", v.Rule); err != nil {
			return err
		}
		doc, err := encode(v)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		rows[i] = []any{v.Site, v.Position, v.Rule, doc}
	}
	return s.update(ctx, what, func(c conn) error {
		if _, err := c.exec(ctx, `DELETE FROM rule_instance`); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		err := c.insertMany(ctx, `INSERT INTO rule_instance (site, position, rule, doc)`, ``, rows)
		if err != nil && c.d.unique(err) {
			return fmt.Errorf("%s: %w: two of them have the same site, position and rule", what, faultline.ErrInvalid)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// RuleInstances lists those of a site and a position, "" meaning all, by site, position and rule.
func (s *Store) RuleInstances(ctx context.Context, site, position string) ([]faultline.RuleInstance, error) {
	var w where
	if site != "" {
		w.add("site = ?", site)
	}
	if position != "" {
		w.add("position = ?", position)
	}
	return all(ctx, s, "rule instances", func(v *faultline.RuleInstance) string {
		return v.Site + "\x00" + v.Position + "\x00" + v.Rule
	}, `SELECT doc FROM rule_instance`+w.String(), w.args...)
}
