package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// The register has two sources. The configuration seeds it at every start; people import and edit. What people have set
// is kept beside the object, field by field, and is laid over what the configuration says whenever that is seeded.
// A contract that people have changed is theirs as a whole: its versions are pinned on tickets, and two
// sources cannot count them together.

// shelf is where objects of a kind lie.
type shelf struct {
	object string // as the audit names it
	read   string // by site (of assets) and id; gives the document
	write  string // with the document at the end
	// tidy writes a document as its type does, so that equal ones are equal text.
	tidy func(doc string) (string, error)
}

var shelves = map[faultline.RegisterKind]shelf{
	faultline.RegisterCustomers: {"customer", `SELECT doc FROM customer WHERE name = ?`,
		`INSERT INTO customer (name, doc) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc`, tidy[faultline.Customer]},
	faultline.RegisterSites: {"site", `SELECT doc FROM site WHERE id = ?`,
		`INSERT INTO site (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, tidy[faultline.Site]},
	faultline.RegisterAssets: {"asset", `SELECT doc FROM position WHERE site = ? AND id = ?`,
		`INSERT INTO position (site, id, doc) VALUES (?, ?, ?) ON CONFLICT (site, id) DO UPDATE SET doc = excluded.doc`, tidy[faultline.Position]},
	faultline.RegisterContracts: {"contract", `SELECT doc FROM contract c WHERE id = ? AND version = (SELECT max(version) FROM contract n WHERE n.id = c.id)`,
		`INSERT INTO contract (id, version, doc) VALUES (?, ?, ?) ON CONFLICT (id, version) DO UPDATE SET doc = excluded.doc`, tidy[faultline.Contract]},
}

func tidy[T any](doc string) (string, error) {
	v, err := decode[T](doc)
	if err != nil {
		return "", fmt.Errorf("%w: %w", faultline.ErrInvalid, err)
	}
	return encode(v)
}

// registerKey is where an object lies on its shelf.
func registerKey(kind faultline.RegisterKind, site, id string) []any {
	if kind == faultline.RegisterAssets {
		return []any{site, id}
	}
	return []any{id}
}

// Register reads all of it.
func (s *Store) Register(ctx context.Context) (r faultline.Register, err error) {
	if r.Customers, err = all(ctx, s, "customers", func(v *faultline.Customer) string { return v.Name }, `SELECT doc FROM customer`); err != nil {
		return r, err
	}
	if r.Sites, err = s.Sites(ctx); err != nil {
		return r, err
	}
	if r.Positions, err = s.Positions(ctx); err != nil {
		return r, err
	}
	if r.Contracts, err = s.Contracts(ctx); err != nil {
		return r, err
	}
	r.Calendars, err = s.Calendars(ctx)
	return r, err
}

// RegisterEntries lists what people have set, by kind, site and id.
func (s *Store) RegisterEntries(ctx context.Context) ([]faultline.RegisterEntry, error) {
	return all(ctx, s, "register", func(v *faultline.RegisterEntry) string {
		return string(v.Kind) + "\x00" + v.Site + "\x00" + v.ID
	}, `SELECT doc FROM register`)
}

// SeedSite adds or replaces a site, except for what people have set of it.
func (s *Store) SeedSite(ctx context.Context, v faultline.Site) error {
	return s.seed(ctx, faultline.RegisterSites, "", v.ID, v)
}

// SeedPosition adds or replaces a position, except for what people have set of its asset.
func (s *Store) SeedPosition(ctx context.Context, v faultline.Position) error {
	return s.seed(ctx, faultline.RegisterAssets, v.Site, v.ID, v)
}

// SeedContract adds a version of a contract, or replaces that version, unless people have changed the contract.
func (s *Store) SeedContract(ctx context.Context, v faultline.Contract) error {
	return s.seed(ctx, faultline.RegisterContracts, "", v.ID, v)
}

func (s *Store) seed(ctx context.Context, kind faultline.RegisterKind, site, id string, v any) error {
	at := shelves[kind]
	if err := identity(at.object, "id", id); err != nil {
		return err
	}
	doc, err := encode(v)
	if err != nil {
		return fmt.Errorf("seed %s %s: %w", at.object, id, err)
	}
	return s.update(ctx, "seed register", func(c conn) error {
		fail := func(err error) error { return fmt.Errorf("seed %s %s: %w", at.object, id, err) }
		e, set, err := c.registerEntry(ctx, kind, site, id)
		if err != nil {
			return fail(err)
		}
		key := registerKey(kind, site, id)
		if k, ok := v.(faultline.Contract); ok {
			if set {
				return nil
			}
			key = append(key, k.Version)
		} else if set {
			e.Seed = subset(json.RawMessage(doc), e.Fields)
			if err := c.saveRegisterEntry(ctx, &e); err != nil {
				return fail(err)
			}
			if doc, err = at.tidy(string(merge(json.RawMessage(doc), e.Fields, false))); err != nil {
				return fail(err)
			}
		}
		if _, err := c.exec(ctx, at.write, append(key, doc)...); err != nil {
			return fail(err)
		}
		return nil
	})
}

func (c conn) registerEntry(ctx context.Context, kind faultline.RegisterKind, site, id string) (faultline.RegisterEntry, bool, error) {
	return one[faultline.RegisterEntry](ctx, c, `SELECT doc FROM register WHERE kind = ? AND site = ? AND id = ?`+c.d.lockRow, string(kind), site, id)
}

func (c conn) saveRegisterEntry(ctx context.Context, e *faultline.RegisterEntry) error {
	doc, err := encode(e)
	if err == nil {
		_, err = c.exec(ctx, `INSERT INTO register (kind, site, id, doc) VALUES (?, ?, ?, ?) ON CONFLICT (kind, site, id) DO UPDATE SET doc = excluded.doc`, string(e.Kind), e.Site, e.ID, doc)
	}
	return err
}

// ChangeRegister carries out all changes or none, and tells what each did. Each object that changed has an audit entry of
// its own; one that is as the change wants it stays untouched. dry changes nothing and tells what would be done. The source says where they come
// from, such as a file's name.
func (s *Store) ChangeRegister(ctx context.Context, changes []faultline.RegisterChange, by, source string, at time.Time, dry bool) ([]faultline.RegisterOutcome, error) {
	out := make([]faultline.RegisterOutcome, len(changes))
	each := func(c conn, do func(*registerStep) error) error {
		for i := range changes {
			step, err := c.registerStep(ctx, &changes[i])
			if err == nil && step.out.Outcome != faultline.RegisterSame && !dry {
				err = do(step)
			}
			if err != nil {
				return fmt.Errorf("change %s %s: %w", shelves[changes[i].Kind].object, changes[i].ID, err)
			}
			out[i] = step.out
		}
		return nil
	}
	if dry {
		return out, each(s.reader(), nil)
	}
	err := s.update(ctx, "change register", func(c conn) error {
		return each(c, func(step *registerStep) error {
			step.entry.By, step.entry.At, step.entry.Source = by, at.UTC(), source
			if step.out.Row > 0 {
				step.entry.Source = fmt.Sprintf("%s:%d", source, step.out.Row)
			}
			if err := c.carryOut(ctx, step); err != nil || s.trail == nil {
				return err
			}
			own := conn{q: c.q, d: c.d, notes: newChanges()}
			own.changed(step.name(), step.before, step.after)
			e := s.trail.entry("change register", own.notes)
			return c.audit(ctx, &e)
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// registerStep is one change, worked out.
type registerStep struct {
	key           []any // of the shelf, with a contract's version
	before, after json.RawMessage
	entry         faultline.RegisterEntry
	out           faultline.RegisterOutcome
}

func (r *registerStep) name() string {
	return shelves[r.entry.Kind].object + " " + strings.TrimPrefix(r.entry.Site+"/"+r.entry.ID, "/")
}

// registerStep works out what a change does.
func (c conn) registerStep(ctx context.Context, change *faultline.RegisterChange) (*registerStep, error) {
	at, ok := shelves[change.Kind]
	if !ok || members(change.Fields) == nil {
		return nil, fmt.Errorf("%w: no change of the register", faultline.ErrInvalid)
	}
	if err := identity(at.object, "id", change.ID); err != nil {
		return nil, err
	}
	key := registerKey(change.Kind, change.Site, change.ID)
	var before string
	err := c.row(ctx, at.read+c.d.lockRow, key...).Scan(&before)
	none := errors.Is(err, sql.ErrNoRows)
	if err != nil && !none {
		return nil, err
	}
	if none && change.Kind == faultline.RegisterAssets {
		return nil, fmt.Errorf("%w: position %s/%s", faultline.ErrNotFound, change.Site, change.ID)
	}
	if !none { // a document of an older version may lack what a newer one writes
		if before, err = at.tidy(before); err != nil {
			return nil, err
		}
	}
	after, err := at.tidy(string(merge(json.RawMessage(before), change.Fields, false)))
	if err != nil {
		return nil, err
	}
	r := &registerStep{key: key, before: json.RawMessage(before), after: json.RawMessage(after), out: faultline.RegisterOutcome{Row: change.Line, Site: change.Site, ID: change.ID, Outcome: faultline.RegisterSame, Fields: []faultline.FieldChange{}}}
	if before == after {
		return r, nil
	}
	r.out.Outcome = faultline.RegisterChanged
	if none {
		r.out.Outcome = faultline.RegisterAdded
	}
	if change.Kind == faultline.RegisterContracts {
		if err := r.newVersion(); err != nil {
			return nil, err
		}
	}
	r.out.Fields = differences(r.before, r.after, "")
	entry, _, err := c.registerEntry(ctx, change.Kind, change.Site, change.ID)
	if err != nil {
		return nil, err
	}
	if !none {
		entry.Seed = merge(subset(r.before, without(change.Fields, entry.Fields)), orEmpty(entry.Seed), true)
	}
	entry.Kind, entry.Site, entry.ID, entry.Fields = change.Kind, change.Site, change.ID, merge(entry.Fields, change.Fields, true)
	r.entry = entry
	return r, nil
}

// newVersion makes the contract a version after the one that it was: tickets keep theirs.
func (r *registerStep) newVersion() error {
	k, err := decode[faultline.Contract](string(r.after))
	if err != nil {
		return err
	}
	k.Version, k.MadeUp = k.Version+1, false
	doc, err := encode(k)
	r.after, r.key = json.RawMessage(doc), append(r.key, k.Version)
	return err
}

func (c conn) carryOut(ctx context.Context, r *registerStep) error {
	if _, err := c.exec(ctx, shelves[r.entry.Kind].write, append(slices.Clone(r.key), string(r.after))...); err != nil {
		return err
	}
	return c.saveRegisterEntry(ctx, &r.entry)
}

// merge lays a patch over a document, as RFC 7396 says: objects field by field, all else whole, null empties. keep
// leaves null in the result, which then is a patch itself.
func merge(doc, patch json.RawMessage, keep bool) json.RawMessage {
	p := members(patch)
	if p == nil {
		return patch
	}
	d := members(doc)
	if d == nil {
		d = map[string]json.RawMessage{}
	}
	for name, v := range p {
		if string(v) == "null" && !keep {
			delete(d, name)
			continue
		}
		d[name] = merge(d[name], v, keep)
	}
	return joined(d)
}

// subset is what a document says of the fields of a patch.
func subset(doc, patch json.RawMessage) json.RawMessage {
	p, d := members(patch), members(doc)
	if p == nil || d == nil {
		return doc
	}
	for name := range d {
		if v, ok := p[name]; ok {
			d[name] = subset(d[name], v)
		} else {
			delete(d, name)
		}
	}
	return joined(d)
}

// without is what a patch says that another does not.
func without(patch, other json.RawMessage) json.RawMessage {
	p, o := members(patch), members(other)
	for name, v := range o {
		if members(p[name]) == nil || members(v) == nil {
			delete(p, name)
			continue
		}
		p[name] = without(p[name], v)
	}
	return joined(p)
}

func orEmpty(doc json.RawMessage) json.RawMessage {
	if len(doc) == 0 {
		return json.RawMessage("{}")
	}
	return doc
}

// members of an object; nil if it is none.
func members(doc json.RawMessage) (m map[string]json.RawMessage) {
	if len(doc) == 0 || doc[0] != '{' || json.Unmarshal(doc, &m) != nil {
		return nil
	}
	return m
}

func joined(m map[string]json.RawMessage) json.RawMessage {
	b, err := json.Marshal(m) // which sorts
	if err != nil {           // they were JSON before
		return json.RawMessage("{}")
	}
	return b
}

// differences of two documents, by field; what is inside an object is named with a dot.
func differences(before, after json.RawMessage, prefix string) []faultline.FieldChange {
	out := []faultline.FieldChange{}
	was, is := members(before), members(after)
	names := slices.Sorted(maps.Keys(was))
	for name := range is {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		a, b := was[name], is[name]
		switch {
		case bytes.Equal(a, b):
		case members(a) != nil || members(b) != nil:
			out = append(out, differences(a, b, prefix+name+".")...)
		default:
			out = append(out, faultline.FieldChange{Name: prefix + name, Before: string(a), After: string(b)})
		}
	}
	return out
}
