package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrations/common holds what both databases understand; the folder of the dialect what only it does.
//
//go:embed migrations
var migrations embed.FS

// layers is one flat file system over several: names are unique across them.
type layers []fs.FS

// Open gives the first file of that name.
func (l layers) Open(name string) (fs.File, error) {
	for _, f := range l {
		file, err := f.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Glob lists the names in all layers.
func (l layers) Glob(pattern string) (names []string, err error) {
	for _, f := range l {
		n, err := fs.Glob(f, pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, n...)
	}
	slices.Sort(names)
	return names, nil
}

func migrationsOf(d *dialect) (fs.FS, error) {
	common, err := fs.Sub(migrations, "migrations/common")
	if err != nil {
		return nil, err
	}
	own, err := fs.Sub(migrations, "migrations/"+d.name)
	if err != nil {
		return nil, err
	}
	return layers{common, own}, nil
}

// migrate brings the tables up to date. A store that a newer program has written is refused: this
// one would not know what its new columns mean.
func (s *Store) migrate(ctx context.Context) error {
	files, err := migrationsOf(s.dialect)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	options := []goose.ProviderOption{goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if s.dialect == &postgresDialect {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker() // several processes may start at once
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, s.write, files, options...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("version of the tables: %w", err)
	}
	if have > want {
		return fmt.Errorf("the tables have version %d, this program knows up to %d: use the newer program", have, want)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", have, want, err)
	}
	if len(done) > 0 {
		s.log.Info("store migrated", "from", have, "to", want, "dialect", s.dialect.name)
	}
	return nil
}
