//go:build unix

package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline-iot/faultline"
)

// The disk fails a write, here for a limit on the size of files: the server says that it is broken, and
// started again it has everything that it acknowledged.
func TestFailedWriteIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenChild$")
	cmd.Env = append(os.Environ(), "BUS_BROKEN_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	acked, err := strconv.Atoi(first)
	if err != nil || acked < 1000 {
		t.Fatalf("the child says %s", out)
	}
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: dir})), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	if p.Last() < uint64(acked) {
		t.Fatalf("%d acknowledged, %d stored", acked, p.Last())
	}
	ms := consume(t, h, 0, faultline.Place{}, int(p.Last()))
	complete(t, ms, p.Epoch(), 1, p.Last())
	eachOnce(t, ms)
	publish(t, p, 1_000_000, 1_000_010)
}

// TestBrokenChild is not a test: it is the process that TestFailedWriteIsNoticed starts.
func TestBrokenChild(t *testing.T) {
	dir := os.Getenv("BUS_BROKEN_DIR")
	if dir == "" {
		t.Skip("only as a child process")
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, ServerConfig{Dir: dir})
	p := openPublisher(t, hubPublisher(openHub(t, connectTo(t, s), HubConfig{})))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	broken := make(chan error, 1)
	go func() {
		broken <- s.Run(ctx)
		cancel()
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	next, acked := 0, 0
	for range 100 {
		wg.Go(func() {
			for {
				mu.Lock()
				next++
				n := next
				mu.Unlock()
				if p.Publish(ctx, numbered(n), Meta{Profile: "pump@1"}) != nil {
					return
				}
				mu.Lock()
				acked++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := <-broken; !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	fmt.Println(acked)
	os.Exit(0) // as if killed
}
