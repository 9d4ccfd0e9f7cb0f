//go:build realparts

package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// TestPostgres runs the conformance suite on PostgreSQL: on the server that FAULTLINE_TEST_POSTGRES
// names (it must let us create schemas), or else on a private one started here.
func TestPostgres(t *testing.T) {
	server := os.Getenv("FAULTLINE_TEST_POSTGRES")
	if server == "" {
		server = startPostgres(t)
	}
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) { c.run(t, openAt(t, emptySchema(t, server))) })
	}
	t.Run("opened by many at once", func(t *testing.T) { testOpenTogether(t, emptySchema(t, server)) })
	t.Run("newer tables", func(t *testing.T) { testNewerTables(t, emptySchema(t, server)) })
	t.Run("settings that lose data", func(t *testing.T) {
		if _, err := Open(t.Context(), Config{URL: emptySchema(t, server) + "&synchronous_commit=off"}); err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
			t.Errorf("got error %v", err)
		}
	})
	t.Run("no password in errors", func(t *testing.T) {
		_, err := Open(t.Context(), Config{URL: "postgres://anna:hunter2@127.0.0.1:1/none?connect_timeout=1"})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got error %v", err)
		}
	})
}

// Several processes start on an empty database at the same time: one makes the tables, all work.
func testOpenTogether(t *testing.T, url string) {
	for _, err := range together(4, func(i int) error {
		s, err := Open(t.Context(), Config{URL: url})
		if err != nil {
			return err
		}
		return errors.Join(s.PutSite(t.Context(), faultline.Site{ID: fmt.Sprint("site-", i)}), s.Close())
	}) {
		must(t, err)
	}
}

var schemas atomic.Int64

// emptySchema makes a schema and gives the address that works in it.
func emptySchema(t *testing.T, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	must(t, err)
	name := fmt.Sprintf("faultline_test_%d_%d", os.Getpid(), schemas.Add(1))
	db, err := sql.Open("pgx", server)
	must(t, err)
	t.Cleanup(func() {
		_, err := db.Exec("DROP SCHEMA " + name + " CASCADE")
		if err := errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
	_, err = db.Exec("CREATE SCHEMA " + name)
	must(t, err)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// startPostgres starts a private server on a socket in a temporary directory. PostgreSQL refuses to
// run as root, so root starts it as user postgres or nobody.
func startPostgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed and FAULTLINE_TEST_POSTGRES is not set: run deploy/realparts.sh")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("/tmp", "faultline-pg-") // short: a socket's path has at most 107 bytes
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var attr *syscall.SysProcAttr
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		must(t, err)
		uid, err := strconv.Atoi(u.Uid)
		must(t, err)
		gid, err := strconv.Atoi(u.Gid)
		must(t, err)
		must(t, os.Chown(dir, uid, gid))
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "faultline", "-A", "trust", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	var log bytes.Buffer
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=")
	server.Dir, server.SysProcAttr, server.Stdout, server.Stderr = dir, attr, &log, &log
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = server.Wait()
		if t.Failed() {
			t.Logf("server: %s", log.Bytes())
		}
	})
	address := "postgres://faultline@/postgres?host=" + url.QueryEscape(dir)
	db, err := sql.Open("pgx", address)
	must(t, err)
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return address
		}
		if ctx.Err() != nil {
			t.Fatalf("postgres does not answer: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}
