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

// AddRevision writes the next version of a document as a draft; State and Version of r are set here.
// newest is the newest version that the writer saw, 0 for none: if there is a newer one it fails with
// faultline.ErrConflict and says whose it is.
func (s *Store) AddRevision(ctx context.Context, r faultline.Revision, newest int) (faultline.Revision, error) {
	r.State = faultline.RevisionDraft
	err := s.update(ctx, "add revision", func(c conn) error {
		var err error
		r, err = c.addRevision(ctx, r, newest)
		return err
	})
	if err != nil {
		return faultline.Revision{}, err
	}
	return r, nil
}

// SeedRevision makes r the live version of its document if there is none yet, or if all that is there
// came from the same hand (r.By) and says something else. What people have edited stays: then the version
// that is live is returned, or the newest if none is, and false.
func (s *Store) SeedRevision(ctx context.Context, r faultline.Revision) (is faultline.Revision, seeded bool, err error) {
	got, seededNames, err := s.SeedRevisions(ctx, []faultline.Revision{r})
	if err != nil {
		return is, false, err
	}
	return got[0], len(seededNames) > 0, nil
}

// SeedRevisions does what SeedRevision does with each, in one transaction. It gives what is there now,
// in the same order, and the names of those that were seeded.
func (s *Store) SeedRevisions(ctx context.Context, list []faultline.Revision) (are []faultline.Revision, seeded []string, err error) {
	err = s.update(ctx, "seed revisions", func(c conn) error {
		are, seeded = nil, nil
		for _, r := range list {
			is, did, err := c.seedRevision(ctx, r)
			if err != nil {
				return err
			}
			are = append(are, is)
			if did {
				seeded = append(seeded, r.Name)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return are, seeded, nil
}

func (c conn) seedRevision(ctx context.Context, r faultline.Revision) (is faultline.Revision, seeded bool, err error) {
	r.State = faultline.RevisionLive
	if err := revisionIdentity(&r); err != nil {
		return is, false, err
	}
	newest, found, err := c.revision(ctx, r.Kind, r.Name, newestVersion)
	if err != nil {
		return is, false, err
	}
	live, isLive, err := c.revision(ctx, r.Kind, r.Name, liveVersion)
	if err != nil {
		return is, false, err
	}
	if is = newest; isLive {
		is = live
	}
	touched := found && (!isLive || live.Version != newest.Version || live.By != r.By)
	if touched || isLive && live.Body == r.Body {
		return is, false, nil
	}
	if isLive {
		event := faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: live.Version, State: faultline.RevisionRetired, By: r.By, At: r.At}
		if err := c.setRevision(ctx, event); err != nil {
			return is, false, err
		}
	}
	is, err = c.addRevision(ctx, r, newest.Version)
	return is, err == nil, err
}

// AnyVersion as the live version that somebody saw means that he does not mind.
const AnyVersion = -1

// MoveRevision moves a version to e.State; a version that becomes live retires the one that was. live is
// the version that the caller saw as the live one, 0 for none or AnyVersion: if it is another by now
// MoveRevision fails with faultline.ErrConflict. A move that is not possible fails with faultline.ErrRefused.
// Moving to the state that the version has already changes nothing.
func (s *Store) MoveRevision(ctx context.Context, e faultline.RevisionEvent, live int) (faultline.Revision, error) {
	var moved faultline.Revision
	err := s.update(ctx, "move revision", func(c conn) error {
		var err error
		moved, err = c.moveRevision(ctx, e, live)
		if err != nil {
			return fmt.Errorf("%s %s version %d to %s: %w", e.Kind, e.Name, e.Version, e.State, err)
		}
		return nil
	})
	if err != nil {
		return faultline.Revision{}, err
	}
	return moved, nil
}

func (c conn) moveRevision(ctx context.Context, e faultline.RevisionEvent, live int) (faultline.Revision, error) {
	r, found, err := c.revision(ctx, e.Kind, e.Name, `version = ?`, e.Version)
	if err != nil || !found {
		return r, errors.Join(err, missing(found))
	}
	present, isLive, err := c.revision(ctx, e.Kind, e.Name, liveVersion)
	if err != nil {
		return r, err
	}
	if live != AnyVersion && live != present.Version {
		return r, fmt.Errorf("%w: %s is live, not version %d: look at it again", faultline.ErrConflict, versionOrNone(present.Version), live)
	}
	if r.State == e.State {
		return r, nil
	}
	if err := r.State.CheckMove(e.State); err != nil {
		return r, err
	}
	if e.State == faultline.RevisionLive && isLive {
		retire := e
		retire.Version, retire.State, retire.Note = present.Version, faultline.RevisionRetired, ""
		if err := c.setRevision(ctx, retire); err != nil {
			return r, err
		}
	}
	r.State = e.State
	return r, c.setRevision(ctx, e)
}

// Revision gives a version of a document with its body, the live one for version 0; or faultline.ErrNotFound.
func (s *Store) Revision(ctx context.Context, kind, name string, version int) (faultline.Revision, error) {
	which, args := liveVersion, []any{}
	if version != 0 {
		which, args = `version = ?`, []any{version}
	}
	r, found, err := s.reader().revision(ctx, kind, name, which, args...)
	if err == nil {
		err = missing(found)
	}
	if err != nil && version == 0 {
		return r, fmt.Errorf("live version of %s %s: %w", kind, name, err)
	}
	if err != nil {
		return r, fmt.Errorf("%s %s version %d: %w", kind, name, version, err)
	}
	return r, nil
}

// LiveRevisions gives the live version of every document of a kind with its body, by name.
func (s *Store) LiveRevisions(ctx context.Context, kind string) ([]faultline.Revision, error) {
	return s.revisions(ctx, `body`, `kind = ? AND state = 'live'`, kind)
}

// LiveVersions gives the number of the live version of every document of a kind, by name.
func (s *Store) LiveVersions(ctx context.Context, kind string) (map[string]int, error) {
	versions := map[string]int{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var name string
		var version int
		err := rows.Scan(&name, &version)
		versions[name] = version
		return err
	}, `SELECT name, version FROM revision WHERE kind = ? AND state = 'live'`, kind)
	if err != nil {
		return nil, fmt.Errorf("live versions of %s: %w", kind, err)
	}
	return versions, nil
}

// Revisions lists the versions of a document without bodies, the newest first; of every document of the
// kind if name is empty, by name.
func (s *Store) Revisions(ctx context.Context, kind, name string) ([]faultline.Revision, error) {
	if name == "" {
		return s.revisions(ctx, `''`, `kind = ? ORDER BY version DESC`, kind)
	}
	return s.revisions(ctx, `''`, `kind = ? AND name = ? ORDER BY version DESC`, kind, name)
}

func (s *Store) revisions(ctx context.Context, body, which string, args ...any) ([]faultline.Revision, error) {
	all := []faultline.Revision{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		r, err := scanRevision(rows)
		all = append(all, r)
		return err
	}, `SELECT doc, state, `+body+` FROM revision WHERE `+which, args...)
	if err != nil {
		return nil, fmt.Errorf("revisions of %v: %w", args, err)
	}
	slices.SortStableFunc(all, func(a, b faultline.Revision) int { return cmp.Compare(a.Name, b.Name) }) // databases order text differently
	return all, nil
}

// RevisionEvents gives the history of a document, the newest line first.
func (s *Store) RevisionEvents(ctx context.Context, kind, name string) ([]faultline.RevisionEvent, error) {
	events, err := list[faultline.RevisionEvent](ctx, s.reader(),
		`SELECT doc FROM revision_event WHERE kind = ? AND name = ? ORDER BY id DESC`, kind, name)
	if err != nil {
		return nil, fmt.Errorf("history of %s %s: %w", kind, name, err)
	}
	return events, nil
}

const (
	liveVersion   = `state = 'live'`
	newestVersion = `version = (SELECT max(version) FROM revision n WHERE n.kind = revision.kind AND n.name = revision.name)`
)

func missing(found bool) error {
	if !found {
		return faultline.ErrNotFound
	}
	return nil
}

func versionOrNone(v int) string {
	if v == 0 {
		return "no version"
	}
	return fmt.Sprintf("version %d", v)
}

func revisionIdentity(r *faultline.Revision) error {
	if r.At.IsZero() {
		return fmt.Errorf("%w: %s %s: a version without a time", faultline.ErrInvalid, r.Kind, r.Name)
	}
	return identity("a version of a document", "kind", r.Kind, "name", r.Name, "by", r.By)
}

func (c conn) revision(ctx context.Context, kind, name, which string, args ...any) (faultline.Revision, bool, error) {
	r, err := scanRevision(c.row(ctx, `SELECT doc, state, body FROM revision WHERE kind = ? AND name = ? AND `+which,
		append([]any{kind, name}, args...)...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

func scanRevision(from interface{ Scan(...any) error }) (faultline.Revision, error) {
	var doc, state, body string
	if err := from.Scan(&doc, &state, &body); err != nil {
		return faultline.Revision{}, err
	}
	r, err := decode[faultline.Revision](doc)
	r.State, r.Body = faultline.RevisionState(state), body
	return r, err
}

func (c conn) addRevision(ctx context.Context, r faultline.Revision, newest int) (faultline.Revision, error) {
	if err := revisionIdentity(&r); err != nil {
		return r, err
	}
	was, _, err := c.revision(ctx, r.Kind, r.Name, newestVersion)
	if err != nil {
		return r, fmt.Errorf("newest version of %s %s: %w", r.Kind, r.Name, err)
	}
	if was.Version != newest {
		return r, fmt.Errorf("%w: the newest is %s by %s, not %s: look at what changed and save again", faultline.ErrConflict,
			versionOrNone(was.Version), was.By, versionOrNone(newest))
	}
	r.Version = newest + 1
	head := r
	head.State, head.Body = "", ""
	doc, err := encode(head)
	if err == nil {
		_, err = c.exec(ctx, `INSERT INTO revision (kind, name, version, state, doc, body) VALUES (?, ?, ?, ?, ?, ?)`,
			r.Kind, r.Name, r.Version, string(r.State), doc, r.Body)
	}
	if err != nil && c.d.unique(err) {
		err = fmt.Errorf("%w: somebody else has just saved", faultline.ErrConflict)
	}
	if err == nil {
		err = c.addRevisionEvent(ctx, faultline.RevisionEvent{Kind: r.Kind, Name: r.Name, Version: r.Version, State: r.State, By: r.By, At: r.At, Note: r.Note})
	}
	if err != nil {
		return r, fmt.Errorf("%s %s version %d: %w", r.Kind, r.Name, r.Version, err)
	}
	return r, nil
}

func (c conn) setRevision(ctx context.Context, e faultline.RevisionEvent) error {
	if err := identity("a move of a version", "by", e.By); err != nil {
		return err
	}
	_, err := c.exec(ctx, `UPDATE revision SET state = ? WHERE kind = ? AND name = ? AND version = ?`, string(e.State), e.Kind, e.Name, e.Version)
	if err != nil && c.d.unique(err) {
		return fmt.Errorf("%w: another version has just become live", faultline.ErrConflict)
	}
	if err != nil {
		return err
	}
	return c.addRevisionEvent(ctx, e)
}

func (c conn) addRevisionEvent(ctx context.Context, e faultline.RevisionEvent) error {
	doc, err := encode(e)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, `INSERT INTO revision_event (kind, name, doc) VALUES (?, ?, ?)`, e.Kind, e.Name, doc)
	return err
}
