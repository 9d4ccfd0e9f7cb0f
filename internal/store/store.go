// Package store keeps what SQL is the authority for: sites and positions, contracts, plans, rule
// instances, alarms, tickets with their history and evidence, inspections, places in the streams,
// the loss ledger and leases, users, teams and the audit. It runs on SQLite (one process) and on PostgreSQL (several machines).
//
// What a crash leaves: every exported method that writes is one transaction that is on disk when it
// returns, so a crash leaves either all of it or nothing. A caller that got no answer may repeat the
// call: each write is idempotent on its key, or refused with faultline.ErrConflict.
//
// Domain values are kept whole as a JSON document; the columns beside it are only what is filtered,
// ordered or unique. Times in columns are UTC nanoseconds since 1970, 0 for the zero time; a time before
// 1678 or after 2262 is filtered and ordered as the nearest that fits.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/prometheus/client_golang/prometheus"
)

// Config of a store.
type Config struct {
	// URL is "sqlite:PATH" or "postgres://user@host/database?…".
	URL string
	// Log may be nil.
	Log *slog.Logger
	// Registry gets the store's metrics; nil for none.
	Registry prometheus.Registerer
}

// Store is an open store. It is safe for concurrent use. Nothing is cached: what one process has
// committed another reads.
type Store struct {
	dialect *dialect
	write   *sql.DB // SQLite: one connection, so that writers queue here and not in busy loops
	read    *sql.DB // PostgreSQL: the same pool as write
	close   func() error
	log     *slog.Logger
	metrics *metrics
	trail   *Trail // of one who acts; nil: nobody is asked
}

// Open opens the store at cfg.URL, creates it if need be and brings its tables up to date. A SQLite
// file that another process has open is refused with an error that wraps faultline.ErrConflict.
// The caller closes the store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("component", "store")
	var s *Store
	var err error
	scheme, rest, _ := strings.Cut(cfg.URL, ":")
	switch scheme {
	case "sqlite":
		s, err = openSQLite(ctx, rest)
	case "postgres", "postgresql":
		s, err = openPostgres(ctx, cfg.URL)
	default: // the address itself may hold a password: never show it
		err = fmt.Errorf("%w: store address: use sqlite:PATH or postgres://…", faultline.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.log = log
	if s.metrics, err = newMetrics(cfg.Registry); err == nil {
		err = s.migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), s.Close())
	}
	return s, nil
}

// Close waits for running statements and releases the store.
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Ping says whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	var n int64
	if err := s.reader().row(ctx, `SELECT value FROM counter WHERE name = 'ticket'`).Scan(&n); err != nil {
		return fmt.Errorf("ping store: %w", err)
	}
	return nil
}

func (s *Store) reader() conn { return conn{q: s.read, d: s.dialect} }

// update runs fn in one write transaction. An error of fn rolls it back and is returned as it is. Of one
// who acts, the transaction ends with an audit entry.
func (s *Store) update(ctx context.Context, what string, fn func(conn) error) (err error) {
	start := time.Now()
	defer func() { s.metrics.done(what, err, time.Since(start)) }()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: begin: %w", what, err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	c := conn{q: tx, d: s.dialect}
	if s.trail != nil {
		c.notes = newChanges()
	}
	if err := fn(c); err != nil {
		return err
	}
	if s.trail != nil {
		e := s.trail.entry(what, c.notes)
		if err := c.audit(ctx, &e); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := tx.Commit(); err != nil {
		if ctx.Err() != nil { // the driver may only say that the transaction is over
			err = errors.Join(context.Cause(ctx), err)
		}
		return fmt.Errorf("%s: commit: %w", what, err)
	}
	if s.trail != nil {
		s.trail.Written++
	}
	return nil
}
