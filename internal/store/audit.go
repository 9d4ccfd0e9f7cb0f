package store

import (
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

// Trail is who acts on a store, from where and by which action. Every write of a store made with As ends
// with an audit entry in the same transaction: there is no change without its entry, and no entry of a
// change that was rolled back. A Trail is for one request and not for concurrent use.
type Trail struct {
	Entry   faultline.AuditEntry // what each entry begins with
	Written int                  // entries of committed changes
}

// As gives the same store for one who acts.
func (s *Store) As(t *Trail) *Store {
	as := *s
	as.trail = t
	return &as
}

// changes is what a transaction did to objects, for its audit entry.
type changes struct {
	object        string
	before, after map[string]json.RawMessage
}

func newChanges() *changes {
	return &changes{before: map[string]json.RawMessage{}, after: map[string]json.RawMessage{}}
}

// changed notes an object's documents before and after; nil is no object. Without a trail it does nothing.
func (c conn) changed(object string, before, after any) {
	if c.notes == nil {
		return
	}
	if c.notes.object != "" && c.notes.object != object {
		c.notes.object += ", " + object
	} else {
		c.notes.object = object
	}
	was, is := fieldsOf(before), fieldsOf(after)
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if string(was[name]) == string(is[name]) {
			delete(was, name)
			delete(is, name)
		}
	}
	maps.Copy(c.notes.before, was)
	maps.Copy(c.notes.after, is)
}

// fieldsOf a document. A long field is named by its digest: the audit tells that it changed, not all of it.
func fieldsOf(v any) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	b, err := json.Marshal(v)
	if v == nil || err != nil || json.Unmarshal(b, &out) != nil {
		return map[string]json.RawMessage{}
	}
	for name, field := range out {
		if len(field) > 2000 {
			out[name] = json.RawMessage(`"sha256:` + faultline.AuditHash(field) + `"`)
		}
	}
	return out
}

func shown(fields map[string]json.RawMessage) string {
	if len(fields) == 0 {
		return ""
	}
	b, err := json.Marshal(fields)
	if err != nil { // they were JSON before
		return ""
	}
	return string(b)
}

// entry of one write.
func (t *Trail) entry(what string, notes *changes) faultline.AuditEntry {
	e := t.Entry
	e.Change, e.Outcome = what, faultline.OutcomeDone
	if notes.object != "" {
		e.Object = notes.object
	}
	e.Before, e.After = shown(notes.before), shown(notes.after)
	return e
}

const auditHeadSQL = `SELECT n, hash FROM audit_head WHERE id = 1`

// audit adds an entry to the end of the chain. Whoever comes second waits for the first to commit.
func (c conn) audit(ctx context.Context, e *faultline.AuditEntry) error {
	var head faultline.AuditHead
	if err := c.row(ctx, auditHeadSQL+c.d.lockRow).Scan(&head.N, &head.Hash); err != nil {
		return fmt.Errorf("head of the audit: %w", err)
	}
	doc, err := e.Seal(head.N+1, head.Hash)
	if err != nil {
		return err
	}
	if _, err := c.exec(ctx, `INSERT INTO audit (n, at, who, outcome, search, hash, doc) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		e.N, nanos(e.At), e.By, e.Outcome, auditSearch(e), e.Hash, string(doc)); err != nil {
		return fmt.Errorf("audit entry %d: %w", e.N, err)
	}
	if _, err := c.exec(ctx, `UPDATE audit_head SET n = ?, hash = ? WHERE id = 1`, e.N, e.Hash); err != nil {
		return fmt.Errorf("head of the audit: %w", err)
	}
	return nil
}

func auditSearch(e *faultline.AuditEntry) string {
	return foldText(strings.Join([]string{e.By, e.From, e.Action, e.Object, e.Change, e.Detail}, " "))
}

// Audit adds an entry by itself, as of what is no change of the store's. N, Previous and Hash are given here.
func (s *Store) Audit(ctx context.Context, e faultline.AuditEntry) (faultline.AuditEntry, error) {
	plain := *s
	plain.trail = nil // else it would audit itself
	err := plain.update(ctx, "audit", func(c conn) error { return c.audit(ctx, &e) })
	return e, err
}

// AuditFilter chooses entries; the zero filter chooses all.
type AuditFilter struct {
	By, Outcome   string
	Text          string // in who, address, action, object, change or detail; case does not matter
	From, Until   time.Time
	Limit, Offset int // no Limit: all
}

// AuditEntries lists a page of entries, the newest first, and counts all that the filter chooses.
func (s *Store) AuditEntries(ctx context.Context, f AuditFilter) (entries []faultline.AuditEntry, total int, err error) {
	var w where
	if f.By != "" {
		w.add("who = ?", f.By)
	}
	if f.Outcome != "" {
		w.add("outcome = ?", f.Outcome)
	}
	if f.Text != "" {
		w.add(s.dialect.contains+"(search, ?) > 0", foldText(f.Text))
	}
	if !f.From.IsZero() {
		w.add("at >= ?", nanos(f.From))
	}
	if !f.Until.IsZero() {
		w.add("at < ?", nanos(f.Until))
	}
	c := s.reader()
	if err := c.row(ctx, `SELECT count(*) FROM audit`+w.String(), w.args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("audit: %w", err)
	}
	entries = []faultline.AuditEntry{}
	query, args := page(`SELECT hash, doc FROM audit`+w.String()+` ORDER BY n DESC`, w.args, f.Limit, f.Offset)
	err = c.each(ctx, func(rows *sql.Rows) error {
		var hash, doc string
		if err := rows.Scan(&hash, &doc); err != nil {
			return err
		}
		e, err := decode[faultline.AuditEntry](doc)
		e.Hash = hash
		entries = append(entries, e)
		return err
	}, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("audit: %w", err)
	}
	return entries, total, nil
}

// AuditHead is the last entry as its writer noted it.
func (s *Store) AuditHead(ctx context.Context) (h faultline.AuditHead, err error) {
	if err := s.reader().row(ctx, auditHeadSQL).Scan(&h.N, &h.Hash); err != nil {
		return h, fmt.Errorf("head of the audit: %w", err)
	}
	return h, nil
}

// ErrAuditBroken marks an audit that was changed outside of this package.
var ErrAuditBroken = errors.New("the audit is broken")

// auditChunk is how many entries VerifyAudit reads at a time.
const auditChunk = 1000

// VerifyAudit reads the whole chain, calling each (which may be nil) with every entry in order, and gives
// its head. The first entry that is not as it was written ends it with ErrAuditBroken, which names the
// entry. earlier is a head that was noted before, zero for none: the chain must still hold it. Without
// it a chain that was cut off together with its head, or written anew as a whole, cannot be told from a
// true one.
func (s *Store) VerifyAudit(ctx context.Context, earlier faultline.AuditHead, each func(faultline.AuditEntry) error) (faultline.AuditHead, error) {
	noted, err := s.AuditHead(ctx) // first: entries that come meanwhile are not behind it
	if err != nil {
		return faultline.AuditHead{}, err
	}
	var at faultline.AuditHead
	for {
		read := 0
		err := s.reader().each(ctx, func(rows *sql.Rows) error {
			var row auditRow
			if err := rows.Scan(&row.n, &row.at, &row.who, &row.outcome, &row.search, &row.hash, &row.doc); err != nil {
				return err
			}
			read++
			e, err := row.check(at)
			if err != nil {
				return err
			}
			at = faultline.AuditHead{N: row.n, Hash: row.hash}
			if at.N == earlier.N && at.Hash != earlier.Hash {
				return fmt.Errorf("%w: entry %d is not the one of the checkpoint: everything up to it was written anew", ErrAuditBroken, at.N)
			}
			if at.N == noted.N && at.Hash != noted.Hash {
				return fmt.Errorf("%w: entry %d is not the one that its writer noted last", ErrAuditBroken, at.N)
			}
			if each != nil {
				return each(e)
			}
			return nil
		}, `SELECT n, at, who, outcome, search, hash, doc FROM audit WHERE n > ? ORDER BY n LIMIT ?`, at.N, auditChunk)
		if err != nil {
			return at, err
		}
		if read == 0 {
			break
		}
	}
	if at.N < noted.N {
		return at, fmt.Errorf("%w: it ends with entry %d, but entry %d was written: its end was cut off", ErrAuditBroken, at.N, noted.N)
	}
	if at.N < earlier.N {
		return at, fmt.Errorf("%w: it ends with entry %d, but the checkpoint names entry %d: its end was cut off", ErrAuditBroken, at.N, earlier.N)
	}
	return at, nil
}

// auditRow is an entry as the table holds it.
type auditRow struct {
	n, at                           int64
	who, outcome, search, hash, doc string
}

// check an entry against the one before.
func (r *auditRow) check(before faultline.AuditHead) (e faultline.AuditEntry, err error) {
	broken := func(format string, args ...any) error {
		return fmt.Errorf("%w at entry %d: %s", ErrAuditBroken, r.n, fmt.Sprintf(format, args...))
	}
	if r.n != before.N+1 {
		return e, fmt.Errorf("%w at entry %d: it is missing", ErrAuditBroken, before.N+1)
	}
	if faultline.AuditHash([]byte(r.doc)) != r.hash {
		return e, broken("its content was changed")
	}
	if e, err = decode[faultline.AuditEntry](r.doc); err != nil {
		return e, broken("%v", err)
	}
	e.Hash = r.hash
	switch {
	case e.Previous != before.Hash:
		return e, broken("it does not follow entry %d", before.N)
	case e.N != r.n || nanos(e.At) != r.at || e.By != r.who || e.Outcome != r.outcome || auditSearch(&e) != r.search:
		return e, broken("what lists filter by was changed")
	}
	return e, nil
}
