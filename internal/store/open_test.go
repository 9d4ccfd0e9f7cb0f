package store

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"", "sqlite:", "mysql://root:hunter2@host/db", "postgres://anna:hunter2@host:port/db", "/var/lib/faultline.db"} {
		_, err := Open(t.Context(), Config{URL: address})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got error %v", address, err)
		}
	}
	dir := t.TempDir()
	if _, err := Open(t.Context(), Config{URL: "sqlite:" + dir}); err == nil {
		t.Error("a directory was opened as a store")
	}
}

// testNewerTables: a store that a newer program wrote is not touched by an older one.
func testNewerTables(t *testing.T, url string) {
	s, err := Open(t.Context(), Config{URL: url})
	must(t, err)
	must(t, s.PutSite(t.Context(), faultline.Site{ID: "plant"}))
	must(t, s.Close())

	s, err = Open(t.Context(), Config{URL: url}) // nothing to migrate
	must(t, err)
	sites, err := s.Sites(t.Context())
	must(t, err)
	equal(t, "sites after opening again", sites, []faultline.Site{{ID: "plant"}})
	_, err = s.write.Exec(s.dialect.placeholders("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, ?)"), true)
	must(t, err)
	must(t, s.Close())

	_, err = Open(t.Context(), Config{URL: url})
	if err == nil || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("got error %v", err)
	}
}

// Both dialects' migrations have the same versions, or a store could not tell where it is.
func TestMigrationsMatch(t *testing.T) {
	var all [][]string
	for _, d := range []*dialect{&sqliteDialect, &postgresDialect} {
		files, err := migrationsOf(d)
		must(t, err)
		names, err := files.(layers).Glob("*.sql")
		must(t, err)
		if len(names) == 0 {
			t.Errorf("%s has no migrations", d.name)
		}
		all = append(all, names)
	}
	equal(t, "migrations", all[0], all[1])
}

func TestLogAndMetrics(t *testing.T) {
	var log strings.Builder
	registry := prometheus.NewPedanticRegistry()
	cfg := Config{URL: "sqlite:" + t.TempDir() + "/s.db", Log: slog.New(slog.NewTextHandler(&log, nil)), Registry: registry}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	defer s.Close()
	if !strings.Contains(log.String(), "store migrated") || !strings.Contains(log.String(), "component=store") {
		t.Errorf("log: %s", log.String())
	}
	l := lease(t, s)
	create(t, s, l, "a")
	wantErr(t, s.Tx(t.Context(), l, func(tx *Tx) error { k := aTicket("a"); return tx.CreateTicket(&k) }), faultline.ErrConflict)
	l.Epoch++
	wantErr(t, s.Tx(t.Context(), l, func(*Tx) error { return nil }), faultline.ErrFenced)
	const want = `
# HELP faultline_store_transactions_total Write transactions by what they did and how they ended (committed, conflict, fenced, refused or failed).
# TYPE faultline_store_transactions_total counter
faultline_store_transactions_total{operation="acquire lease",result="committed"} 1
faultline_store_transactions_total{operation="tx rules",result="committed"} 1
faultline_store_transactions_total{operation="tx rules",result="conflict"} 1
faultline_store_transactions_total{operation="tx rules",result="fenced"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "faultline_store_transactions_total"); err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	must(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	must(t, err)
	if len(problems) > 0 {
		t.Error(problems)
	}
	if _, err := Open(t.Context(), cfg); err == nil {
		t.Error("metrics were registered twice")
	}
}
