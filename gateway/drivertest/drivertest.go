// Package drivertest is the conformance suite of gateway.Driver: what every driver promises, whatever
// it speaks.
package drivertest

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/internal/bus"
)

// Equipment is a driver with something to read. Produce makes the equipment send a reading, for those
// that send by themselves; it may be called at any time and must not wait for acknowledgements. Lose
// makes the equipment unreachable, Restore ends that.
type Equipment struct {
	Driver   gateway.Driver
	Position string
	Points   []string
	Produce  func()
	Lose     func()
	Restore  func()
}

// patience is how long a test waits for what must come. Nothing is judged by how long it took.
const patience = 20 * time.Second

// Run runs the suite. make gives fresh equipment and a driver that nobody has run yet.
func Run(t *testing.T, make func(*testing.T) Equipment) {
	t.Run("every point has a sample", func(t *testing.T) { testSamples(t, make(t)) })
	t.Run("blocks until stored", func(t *testing.T) { testBackPressure(t, make(t)) })
	t.Run("loss is bad data and ends", func(t *testing.T) { testLoss(t, make(t)) })
	t.Run("stops and starts", func(t *testing.T) { testStop(t, make(t)) })
}

// running is a driver under test and what it emitted.
type running struct {
	t      *testing.T
	e      Equipment
	mu     sync.Mutex
	frames []faultline.Frame
	inside int // emits under way
	most   int // at once
	gate   chan struct{}
	cancel context.CancelFunc
	ended  chan error
	pulse  chan struct{}
	pumped chan struct{}
}

// start runs the driver; gate, if not nil, must be closed before anything is stored.
func start(t *testing.T, e Equipment, gate chan struct{}) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, e: e, gate: gate, cancel: cancel, ended: make(chan error, 1), pulse: make(chan struct{}, 1), pumped: make(chan struct{})}
	go func() { r.ended <- e.Driver.Run(ctx, r.emit) }()
	go func() { // equipment that sends goes on sending
		defer close(r.pumped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if e.Produce != nil {
					e.Produce()
				}
			}
		}
	}()
	return r
}

func (r *running) emit(ctx context.Context, f faultline.Frame, m bus.Meta) error {
	r.mu.Lock()
	r.inside++
	r.most = max(r.most, r.inside)
	r.mu.Unlock()
	r.wake()
	defer func() {
		r.mu.Lock()
		r.inside--
		r.mu.Unlock()
	}()
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if m.Profile == "" {
		r.t.Error("a frame without its profile's name")
	}
	f.Site, f.Gateway = "site", "gateway" // the supervisor's part
	if err := f.Check(); err != nil {
		r.t.Error(err)
	}
	f.Samples = slices.Clone(f.Samples) // the driver's again once this returns
	r.mu.Lock()
	r.frames = append(r.frames, f)
	r.mu.Unlock()
	r.wake()
	return nil
}

func (r *running) wake() {
	select {
	case r.pulse <- struct{}{}:
	default:
	}
}

// wait waits until ok, which is called with the lock held.
func (r *running) wait(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		done := ok()
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.pulse:
		case <-deadline.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("no %s; %d frames, %d being stored", what, len(r.frames), r.inside)
		}
	}
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("Run ended with %v", err)
		}
	case <-time.After(patience):
		r.t.Fatal("Run does not end with its context")
	}
	<-r.pumped
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside != 0 {
		r.t.Errorf("%d emits go on after Run returned", r.inside)
	}
}

func good(f faultline.Frame) bool {
	return !slices.ContainsFunc(f.Samples, func(s faultline.Sample) bool { return !s.Quality.IsGood() })
}

func bad(f faultline.Frame) bool {
	return !slices.ContainsFunc(f.Samples, func(s faultline.Sample) bool { return !s.Quality.IsBad() })
}

// after waits for a frame after the first n that is ok, and gives its place.
func (r *running) after(n int, what string, ok func(faultline.Frame) bool) (at int) {
	r.t.Helper()
	r.wait(what, func() bool {
		i := slices.IndexFunc(r.frames[n:], ok)
		at = n + i
		return i >= 0
	})
	return at
}

func testSamples(t *testing.T, e Equipment) {
	r := start(t, e, nil)
	defer r.stop()
	r.after(0, "good frame", good)
	r.wait("10 frames", func() bool { return len(r.frames) >= 10 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		var points []string
		for _, s := range f.Samples {
			points = append(points, s.Point)
		}
		if f.Position != e.Position || !slices.Equal(points, e.Points) {
			t.Fatalf("a frame of %s with points %v, want %s with %v", f.Position, points, e.Position, e.Points)
		}
	}
}

func testBackPressure(t *testing.T, e Equipment) {
	gate := make(chan struct{})
	r := start(t, e, gate)
	defer r.stop()
	r.wait("emit", func() bool { return r.inside > 0 })
	// Nothing can be stored: whatever the equipment does meanwhile, one position has one frame under way.
	for range 10 {
		if e.Produce != nil {
			e.Produce()
		}
		runtime.Gosched()
	}
	close(gate)
	r.after(0, "good frame after storing works again", good)
	r.wait("5 frames", func() bool { return len(r.frames) >= 5 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.most != 1 {
		t.Errorf("%d frames of one position were stored at once", r.most)
	}
}

func testLoss(t *testing.T, e Equipment) {
	r := start(t, e, nil)
	defer r.stop()
	at := r.after(0, "good frame", good)
	e.Lose()
	at = r.after(at, "bad frame while the equipment is gone", bad)
	e.Restore()
	r.after(at, "good frame after it came back", good)
}

func testStop(t *testing.T, e Equipment) {
	before := runtime.NumGoroutine()
	for range 3 { // a driver may be run again
		r := start(t, e, nil)
		r.after(0, "good frame", good)
		r.stop()
	}
	r := start(t, e, make(chan struct{})) // stops while storing blocks
	r.wait("emit", func() bool { return r.inside > 0 })
	r.stop()
	r = start(t, e, nil)
	at := r.after(0, "good frame", good)
	e.Lose()
	r.after(at, "bad frame", bad)
	r.stop() // stops while the equipment is gone
	e.Restore()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}
