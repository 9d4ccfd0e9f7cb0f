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

// A hub that others reach wants TLS or a token, from a file or from the environment.
func TestHubBeyondLoopbackTakesItsTokenFromTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faultline.yaml")
	if err := os.WriteFile(file, []byte("hub: {listen: \"0.0.0.0:4222\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAULTLINE_HUB_TOKEN", "")
	if _, err := LoadConfig(file); err == nil || !strings.Contains(err.Error(), "FAULTLINE_HUB_TOKEN") {
		t.Errorf("without a word: %v", err)
	}
	t.Setenv("FAULTLINE_HUB_TOKEN", "a long secret")
	if _, err := LoadConfig(file); err != nil {
		t.Errorf("with the token in the environment: %v", err)
	}
}
