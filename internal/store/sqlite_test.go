package store

import (
	"path/filepath"
	"testing"
)

func openTemp(t testing.TB) *Store {
	t.Helper()
	return openAt(t, "sqlite:"+filepath.Join(t.TempDir(), "faultline.db"))
}

func TestSQLite(t *testing.T) {
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) { c.run(t, openTemp(t)) })
	}
}
