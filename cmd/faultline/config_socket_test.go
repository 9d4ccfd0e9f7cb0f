package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A PostgreSQL may be reached at a socket: the address then has no host, but the socket's directory.
func TestStoreAtASocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	for url, ok := range map[string]bool{
		"postgres://faultline@/postgres?host=%2Frun%2Fpostgresql": true,
		"postgres://faultline@/postgres":                          false,
	} {
		text := "store: {url: \"" + url + "\"}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(file)
		if ok && err != nil || !ok && (err == nil || !strings.Contains(err.Error(), "store.url")) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
