package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

var postgresDialect = dialect{
	name:      "postgres",
	numbered:  true,
	lockRow:   " FOR UPDATE",
	holdRow:   " FOR SHARE",
	holdTable: "LOCK TABLE %s IN SHARE MODE",
	skipRows:  " FOR UPDATE SKIP LOCKED",
	contains:  "strpos",
	unique: func(err error) bool {
		var e *pgconn.PgError
		return errors.As(err, &e) && e.Code == "23505"
	},
}

func openPostgres(ctx context.Context, address string) (*Store, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil { // pgx takes the password out of its message
		return nil, fmt.Errorf("postgres address: %w", err)
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "faultline"
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to postgres %s:%d: %w", cfg.Host, cfg.Port, err), db.Close())
	}
	if err := checkDurable(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{dialect: &postgresDialect, write: db, read: db, close: db.Close}, nil
}

// checkDurable refuses a server that answers commits before they are on its disk: this package
// promises that what it has answered survives a power loss.
func checkDurable(ctx context.Context, db *sql.DB) error {
	for _, name := range []string{"fsync", "synchronous_commit"} {
		var value string
		if err := db.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return fmt.Errorf("read postgres setting %s: %w", name, err)
		}
		if value == "off" {
			return fmt.Errorf("postgres has %s = off: a power loss would lose tickets; turn it on", name)
		}
	}
	return nil
}
