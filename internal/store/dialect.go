package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/faultline-iot/faultline"
)

// dialect is all in which the two databases differ once they are open.
type dialect struct {
	name      string
	numbered  bool   // placeholders are $1, $2 … instead of ?
	lockRow   string // appended to a SELECT whose row is about to be changed
	holdRow   string // appended to a SELECT whose row must not change before the commit
	holdTable string // statement for a table, after which it has no uncommitted rows of others until the commit
	skipRows  string // appended to a SELECT of rows to be changed, that others may be changing: those are left out
	contains  string // function(text, part) that gives 0 if the part is not in the text
	unique    func(error) bool
}

// placeholders rewrites ? for the database. SQL in this package has no ? in literals.
func (d *dialect) placeholders(query string) string {
	if !d.numbered {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// querier is what *sql.DB and *sql.Tx share.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// conn speaks to a database, or to a transaction of it, in its dialect.
type conn struct {
	q     querier
	d     *dialect
	notes *changes // for the audit; nil: not wanted
}

// checkText refuses strings that PostgreSQL would refuse, on both databases alike, whether they come
// from a writer or from somebody's filter.
func checkText(args []any) error {
	for _, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			return fmt.Errorf("%w: %q is not text", faultline.ErrInvalid, s)
		}
	}
	return nil
}

// row is the answer of a query for one row: sql.ErrNoRows from Scan if there is none.
type row struct {
	*sql.Row
	err error
}

func (r row) Scan(to ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.Row.Scan(to...)
}

func (c conn) row(ctx context.Context, query string, args ...any) row {
	if err := checkText(args); err != nil {
		return row{err: err}
	}
	return row{Row: c.q.QueryRowContext(ctx, c.d.placeholders(query), args...)}
}

// exec runs a statement and tells how many rows it touched.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := checkText(args); err != nil {
		return 0, err
	}
	r, err := c.q.ExecContext(ctx, c.d.placeholders(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// each calls scan for every row.
func (c conn) each(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	if err := checkText(args); err != nil {
		return err
	}
	rows, err := c.q.QueryContext(ctx, c.d.placeholders(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// atomically undoes what fn did if it fails, and only that: the transaction goes on. Without it a
// refused unique key would break the whole transaction on PostgreSQL but not on SQLite.
func (c conn) atomically(ctx context.Context, fn func() error) error {
	if _, err := c.q.ExecContext(ctx, "SAVEPOINT part"); err != nil {
		return err
	}
	err := fn()
	if err != nil {
		_, back := c.q.ExecContext(ctx, "ROLLBACK TO SAVEPOINT part")
		err = errors.Join(err, back)
	}
	_, rel := c.q.ExecContext(ctx, "RELEASE SAVEPOINT part")
	return errors.Join(err, rel)
}
