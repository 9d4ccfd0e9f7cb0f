package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// encode makes the document of a domain value. JSON escapes NUL, which PostgreSQL refuses in text,
// and replaces what is not UTF-8.
func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%w: %T as JSON: %w", faultline.ErrInvalid, v, err)
	}
	return string(b), nil
}

// decode reads a document; its times come out in UTC wherever they were written.
func decode[T any](doc string) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		return v, fmt.Errorf("read stored %T: %w", v, err)
	}
	utc(reflect.ValueOf(&v).Elem())
	return v, nil
}

var timeType = reflect.TypeFor[time.Time]()

func utc(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(v.Interface().(time.Time).UTC()))
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				utc(f)
			}
		}
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Pointer {
			for i := range v.Len() {
				utc(v.Index(i))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			utc(v.Elem())
		}
	}
}

// The moments that fit into nanoseconds since 1970 in 64 bits.
var (
	firstMoment = time.Unix(0, math.MinInt64)
	lastMoment  = time.Unix(0, math.MaxInt64)
)

// nanos is the time as a column holds it: 0 for the zero time, the nearest that fits otherwise.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(firstMoment):
		return math.MinInt64
	case t.After(lastMoment):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// moment is the inverse of nanos.
func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// digest of the parts, for unique keys over text of any length.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// identity says which part of a key is missing. Pairs are name, value. That it is text is checked where
// it goes to the database.
func identity(what string, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return fmt.Errorf("%w: %s without %s", faultline.ErrInvalid, what, pairs[i])
		}
	}
	return nil
}

// one reads one document; false if there is none.
func one[T any](ctx context.Context, c conn, query string, args ...any) (v T, found bool, err error) {
	var doc string
	err = c.row(ctx, query, args...).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	v, err = decode[T](doc)
	return v, err == nil, err
}

// list reads documents, the only column of the query.
func list[T any](ctx context.Context, c conn, query string, args ...any) ([]T, error) {
	all := []T{}
	err := c.each(ctx, func(rows *sql.Rows) error {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return err
		}
		v, err := decode[T](doc)
		all = append(all, v)
		return err
	}, query, args...)
	return all, err
}

// where gathers the terms of a filter.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

// in adds "column IN (…)" unless there are no values.
func in[S ~string](w *where, column string, values []S) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	w.add(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// page adds limit and offset; without a limit there is no offset.
func page(query string, args []any, limit, offset int) (string, []any) {
	if limit <= 0 {
		return query, args
	}
	return query + " LIMIT ? OFFSET ?", append(args[:len(args):len(args)], limit, max(offset, 0))
}

// insertMany writes rows in few statements: head is "INSERT INTO t (…)", tail what follows the values.
func (c conn) insertMany(ctx context.Context, head, tail string, rows [][]any) error {
	const chunk = 200 // times the columns: below both databases' limits of parameters
	for len(rows) > 0 {
		n := min(chunk, len(rows))
		tuple := "(?" + strings.Repeat(", ?", len(rows[0])-1) + ")"
		args := make([]any, 0, n*len(rows[0]))
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if _, err := c.exec(ctx, head+" VALUES "+tuple+strings.Repeat(", "+tuple, n-1)+" "+tail, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// copyOf a domain value, as far as its document tells it: what is changed in one is not in the other.
func copyOf[T any](v *T) *T {
	var c T
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &c) != nil {
		return v // it could not be stored either
	}
	return &c
}
