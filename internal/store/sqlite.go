package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/faultline-iot/faultline"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// readers is the size of the pool of read connections of a SQLite store.
const readers = 4

var sqliteDialect = dialect{
	name:     "sqlite",
	contains: "instr",
	unique: func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
	},
}

// sqliteDSN names a file; pragmas are set on every connection that the pool opens.
func sqliteDSN(path string, options url.Values) string {
	path = filepath.ToSlash(path)
	if path[0] != '/' { // C:/… must not read as a host
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	return u.String()
}

func openSQLite(ctx context.Context, path string) (*Store, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: store address: sqlite: needs a path", faultline.ErrInvalid)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("directory of %s: %w", path, err)
	}
	lock, err := lockSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	writer, err := sql.Open("sqlite", sqliteDSN(path, url.Values{
		"_txlock":       {"immediate"}, // a transaction that reads first must not lose the race to write
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // every commit is on disk when it returns
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"1"},
		"_pragma":       {"journal_size_limit(67108864)"},
	}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), lock.Close())
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", sqliteDSN(path, url.Values{
		"_query_only":   {"1"},
		"_busy_timeout": {"5000"},
	}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close(), lock.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), reader.Close(), writer.Close(), lock.Close())
	}
	return &Store{dialect: &sqliteDialect, write: writer, read: reader, close: func() error {
		return errors.Join(reader.Close(), writer.Close(), lock.Close()) // the lock last: nobody may come in between
	}}, nil
}

// lockSQLite holds an exclusive lock on path.lock for as long as the store is open. SQLite itself
// would let a second process in, and both would believe themselves the only one.
func lockSQLite(ctx context.Context, path string) (*sql.DB, error) {
	file := path + ".lock"
	if err := createPrivate(file); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", sqliteDSN(file, url.Values{"_busy_timeout": {"0"}, "_pragma": {"locking_mode(EXCLUSIVE)"}}))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	db.SetMaxOpenConns(1)
	db.SetConnMaxLifetime(0)
	// With this locking mode the lock outlives the transaction and ends with the connection.
	if _, err := db.ExecContext(ctx, "BEGIN EXCLUSIVE; COMMIT"); err != nil {
		var e *sqlite.Error
		if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY {
			err = fmt.Errorf("%w: %s is in use by another process: all roles must run in one process with SQLite; stop the other one, or use PostgreSQL", faultline.ErrConflict, path)
		} else {
			err = fmt.Errorf("lock %s: %w", file, err)
		}
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// createPrivate makes an empty file that only its owner may read; SQLite would make it readable by
// all. An existing file is left alone, unopened: closing it would drop SQLite's locks on it.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return f.Close()
}
