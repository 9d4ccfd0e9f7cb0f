package bus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// The connection is cut and its answers are lost, again and again, while frames are published.
func TestPublishThroughFaults(t *testing.T) {
	t.Parallel()
	s := startServer(t, ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	x := startProxy(t, s.URL())
	c, err := Dial(t.Context(), x.url(), DialOptions{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	h := openHub(t, connectTo(t, s), HubConfig{})
	p := openPublisher(t, hubPublisher(openHub(t, c, HubConfig{})))

	const total = 6000
	var wg sync.WaitGroup
	next := make(chan int)
	for range 200 {
		wg.Go(func() {
			for n := range next {
				if err := p.Publish(t.Context(), numbered(n), Meta{Profile: "pump@1"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := 1; n <= total; n++ {
		next <- n
		if n%1000 == 500 {
			x.deaf.Store(n%2000 == 500) // half of the cuts come after a while of lost answers
			if x.deaf.Load() {
				for i := range 20 { // until all who publish wait for an answer
					select {
					case next <- n*total + i:
					case <-time.After(50 * time.Millisecond):
					}
				}
			}
			x.cut()
			x.deaf.Store(false)
		}
	}
	close(next)
	wg.Wait()
	published := p.Last()
	if published < total {
		t.Fatalf("%d frames", published)
	}
	ms := consume(t, h, 0, faultline.Place{}, int(published))
	complete(t, ms, p.Epoch(), 1, published)
	eachOnce(t, ms)
	if p.Stats().State != "ok" {
		t.Errorf("%+v", p.Stats())
	}
}

// eachOnce checks that no frame was stored under two sequences.
func eachOnce(t *testing.T, ms []faultline.Message) map[int64]bool {
	t.Helper()
	seen := map[int64]bool{}
	for _, m := range frames(ms) {
		f, err := DecodeFrame(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := f.Samples[0].Value.Int64()
		if seen[n] {
			t.Fatalf("frame %d was stored twice", n)
		}
		seen[n] = true
	}
	return seen
}

// The connection is cut while messages are consumed: each is handed over once, in order.
func TestConsumeThroughFaults(t *testing.T) {
	t.Parallel()
	s := startServer(t, ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	x := startProxy(t, s.URL())
	c, err := Dial(t.Context(), x.url(), DialOptions{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := openPublisher(t, hubPublisher(openHub(t, connectTo(t, s), HubConfig{})))
	h := openHub(t, c, HubConfig{})
	const total = 5000
	publish(t, p, 1, total/2)
	var got []faultline.Message
	calls := 0
	published := make(chan struct{})
	go func() {
		defer close(published)
		publish(t, p, total/2+1, total)
	}()
	err = h.Consume(t.Context(), 0, faultline.Place{}, func(_ context.Context, ms []faultline.Message) error {
		got = append(got, ms...)
		if calls++; calls%5 == 0 && calls <= 25 {
			x.cut()
		}
		if len(got) == total {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	<-published
	complete(t, got, p.Epoch(), 1, total)
}

// Everything that was acknowledged is there after kill -9, in order and without a gap; what was not
// acknowledged is there once or not at all.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"hub", "edge"} {
		t.Run(role, func(t *testing.T) {
			dir := t.TempDir()
			acked := map[int64]bool{}
			for round := range 4 {
				runAndKill(t, role, dir, (round+1)*1_000_000, 150*(round+1), acked)
			}
			s := startServer(t, ServerConfig{Dir: dir})
			c := connectTo(t, s)
			h := openHub(t, c, HubConfig{})
			p, forwarded := openPublisher(t, crashPublisher(t.Context(), c, h, role)), h
			if role == "edge" { // read it by forwarding it
				e, err := c.OpenEdge(t.Context(), EdgeConfig{Site: "plant-3", Gateway: "gw1"})
				if err != nil {
					t.Fatal(err)
				}
				stop := forward(t, e, forwarded)
				defer stop()
			}
			ms := consume(t, h, 0, faultline.Place{}, int(p.Last()))
			complete(t, ms, p.Epoch(), 1, p.Last())
			seen := eachOnce(t, ms)
			for n := range acked {
				if !seen[n] {
					t.Errorf("frame %d was acknowledged and is not there", n)
				}
			}
			if len(acked) < 1500 {
				t.Errorf("only %d frames were acknowledged", len(acked))
			}
			t.Logf("%d acknowledged, %d stored", len(acked), len(seen))
		})
	}
}

// runAndKill starts this test binary as a publisher and kills it after some acknowledgements.
func runAndKill(t *testing.T, role, dir string, base, after int, acked map[int64]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), "BUS_CRASH_DIR="+dir, "BUS_CRASH_ROLE="+role, "BUS_CRASH_BASE="+strconv.Itoa(base))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	n := 0
	for lines.Scan() {
		v, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		acked[v] = true
		if n++; n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if n < after {
		t.Fatalf("the child ended after %d frames", n)
	}
}

func crashPublisher(_ context.Context, c *Conn, h *Hub, role string) func(context.Context) (*Publisher, error) {
	if role == "hub" {
		return hubPublisher(h)
	}
	return func(ctx context.Context) (*Publisher, error) {
		e, err := c.OpenEdge(ctx, EdgeConfig{Site: "plant-3", Gateway: "gw1", CommitInterval: 5 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		return e.Publisher(ctx)
	}
}

// TestCrashChild is not a test: it is the process that TestKilledServerKeepsWhatItAcknowledged kills.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv("BUS_CRASH_DIR")
	if dir == "" {
		t.Skip("only as a child process")
	}
	base, err := strconv.Atoi(os.Getenv("BUS_CRASH_BASE"))
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, ServerConfig{Dir: dir})
	c := connectTo(t, s)
	p := openPublisher(t, crashPublisher(t.Context(), c, openHub(t, c, HubConfig{}), os.Getenv("BUS_CRASH_ROLE")))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for n := base + w; ; n += 100 {
				if err := p.Publish(t.Context(), numbered(n), Meta{Profile: "pump@1"}); err != nil {
					return
				}
				mu.Lock()
				fmt.Println(n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
