//go:build realparts && unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// postgres starts a private server on a socket and gives the address of an empty database in it.
func postgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: run deploy/realparts.sh")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("/tmp", "faultline-pg-") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var attr *syscall.SysProcAttr
	if os.Getuid() == 0 { // it refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
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
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = server.Wait()
		if t.Failed() {
			t.Logf("server: %s", log.Bytes())
		}
	})
	return "postgres://faultline@/postgres?host=" + url.QueryEscape(dir)
}

// Two processes of the centre share the partitions. One is stopped (SIGSTOP) in the middle of its work: the other
// takes its share over; when it is woken it writes nothing under its old leases and gets a share again. Then
// one is killed. All the while frames of sixteen sites arrive, and at the end every one is accounted for, once.
func TestHandOver(t *testing.T) {
	pg := postgres(t)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	hubServer, err := bus.StartServer(bus.ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxStore: 4 << 30, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hubServer.Close)
	influx, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = influx.Close() })
	t.Setenv("FAULTLINE_INFLUX_TOKEN", influx.Token())
	const partitions = 8
	conn, err := hubServer.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	hub, err := conn.OpenHub(t.Context(), bus.HubConfig{Partitions: partitions, MaxBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var db *store.Store
	eventually(t, "PostgreSQL answers", func() bool {
		db, err = store.Open(t.Context(), store.Config{URL: pg})
		return err == nil
	})
	t.Cleanup(func() { _ = db.Close() })

	worker := func(name string) *exec.Cmd {
		dir := t.TempDir()
		file := filepath.Join(dir, "faultline.yaml")
		text := fmt.Sprintf("data: %s\nhub: {url: %q, partitions: %d}\nstore: {url: %q}\ninflux: {url: %q}\napi: {listen: \"127.0.0.1:0\"}\n", dir, hubServer.URL(), partitions, pg, influx.URL())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := program(t, "run", "-config", file, "-roles", "ingest,rules")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGCONT); _ = cmd.Process.Kill(); _ = cmd.Wait() })
		t.Logf("%s is process %d", name, cmd.Process.Pid)
		return cmd
	}
	// holders counts the partitions that each process holds in a role, by its id.
	holders := func(role string) map[int]int {
		t.Helper()
		owners, err := db.LeaseOwners(t.Context(), role, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		out := map[int]int{}
		for _, o := range owners {
			out[pid(o)]++
		}
		return out
	}
	all := func(counts map[int]int, of ...int) bool {
		n := 0
		for _, p := range of {
			if counts[p] == 0 {
				return false
			}
			n += counts[p]
		}
		return n == partitions && len(counts) == len(of)
	}
	both := func(of ...int) func() bool {
		return func() bool { return all(holders("ingest"), of...) && all(holders("rules"), of...) }
	}

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var publishers []*bus.Publisher
	for s := range 16 {
		site := fmt.Sprintf("site-%d", s)
		p, err := hub.Publisher(t.Context(), site, "gw-1")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		publishers = append(publishers, p)
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for n := int64(0); ; n++ {
				select {
				case <-ctx.Done():
					return
				case at := <-tick.C:
					f := faultline.Frame{Kind: "counter", Site: site, Gateway: "gw-1", Position: "P-1", Time: at.UTC(), Samples: []faultline.Sample{{Point: "n", Value: faultline.Int(n), Quality: faultline.Good}}}
					if err := p.Publish(t.Context(), f, bus.Meta{}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	a := worker("a")
	eventually(t, "a has all", both(a.Process.Pid))
	b := worker("b")
	eventually(t, "a and b share", both(a.Process.Pid, b.Process.Pid))

	if err := a.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, "b has all", both(b.Process.Pid))
	t.Logf("handed over %s after a was stopped", time.Since(began).Round(100*time.Millisecond))
	if err := a.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a has a share again", both(a.Process.Pid, b.Process.Pid))
	if err := b.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = b.Wait()
	began = time.Now()
	eventually(t, "a has all", both(a.Process.Pid))
	t.Logf("handed over %s after b was killed", time.Since(began).Round(100*time.Millisecond))
	stop()
	wg.Wait()
	var rows []faultline.LedgerRow
	eventually(t, "every frame is accounted for", func() bool {
		if rows, err = db.LedgerRows(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(rows) != len(publishers) {
			return false
		}
		var last, want uint64
		for _, r := range rows {
			last += r.Delivered
		}
		for _, p := range publishers {
			want += p.Last()
		}
		return last == want
	})
	total := uint64(0)
	for _, r := range rows {
		total += r.Delivered
		if r.Missing != 0 || r.Duplicate != 0 || r.First != 1 || r.Delivered != r.Last {
			t.Errorf("%+v", r)
		}
	}
	t.Logf("%d frames of %d sites, each once", total, len(rows))
}

// pid reads the process out of an owner's name, host-PID-random.
func pid(owner string) int {
	parts := bytes.Split([]byte(owner), []byte("-"))
	if len(parts) < 3 {
		return 0
	}
	n, _ := strconv.Atoi(string(parts[len(parts)-2]))
	return n
}
