package modbus

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// quick is a line that answers at once, or as told, without any wire.
type quick struct {
	took  time.Duration
	err   error
	reads atomic.Int32
}

func (q *quick) open(context.Context) error { return nil }

func (q *quick) settle(context.Context) error { return nil }

func (q *quick) settled() bool { return true }

func (q *quick) close() {}

func (q *quick) read(ctx context.Context, r request) ([]byte, error) {
	q.reads.Add(1)
	if err := pause(ctx, q.took); err != nil {
		return nil, err
	}
	return make([]byte, r.bytes()), q.err
}

func TestScheduleKeepsPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quick{took: 300 * time.Millisecond}
		b, err := New(Config{Address: "tcp://x:1", Devices: []Device{{Position: "X", Period: time.Second, Profile: registers(0)}}})
		if err != nil {
			t.Fatal(err)
		}
		b.dial = func(Address, Link) line { return q }
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour-time.Millisecond)
		defer cancel()
		var at []time.Duration
		var mu sync.Mutex
		if err := b.Run(ctx, func(_ context.Context, f faultline.Frame, _ bus.Meta) error {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, f.Time.Sub(start))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(at) != 3600 {
			t.Fatalf("%d polls in an hour", len(at))
		}
		for i, d := range at {
			if want := time.Duration(i)*time.Second + 300*time.Millisecond; d != want {
				t.Fatalf("poll %d at %v, want %v", i, d, want)
			}
		}
	})
}

func TestLatePollsAreCountedNotDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quick{took: 2500 * time.Millisecond}
		b, err := New(Config{Address: "tcp://x:1", Devices: []Device{{Position: "X", Period: time.Second, Timeout: time.Minute, Profile: registers(0)}}})
		if err != nil {
			t.Fatal(err)
		}
		b.dial = func(Address, Link) line { return q }
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second-time.Millisecond)
		defer cancel()
		var n atomic.Int32
		if err := b.Run(ctx, func(context.Context, faultline.Frame, bus.Meta) error { n.Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		late := testutil.ToFloat64(b.cfg.Metrics.late)
		if n.Load() != 10 || late != 20 { // begun at 0, 3, 6 … 27 s
			t.Errorf("%d polls, %v late", n.Load(), late)
		}
	})
}

func TestBackPressureHoldsOnlyMemoryOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quick{}
		b, err := New(Config{Address: "tcp://x:1", Devices: []Device{{Position: "X", Period: time.Second, Profile: registers(0)}}})
		if err != nil {
			t.Fatal(err)
		}
		b.dial = func(Address, Link) line { return q }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		free := make(chan struct{})
		go func() {
			ended <- b.Run(ctx, func(ctx context.Context, _ faultline.Frame, _ bus.Meta) error {
				select {
				case <-free:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		if n := q.reads.Load(); n != 2 {
			t.Errorf("%d readings were made while none could be stored", n)
		}
		close(free)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := q.reads.Load(); n != 12 {
			t.Errorf("%d readings 10 s after storing works again", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestBackoffGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quick{took: time.Second, err: errDesync}
		b, err := New(Config{Address: "tcp://x:1", Devices: []Device{{Position: "X", Period: time.Second, Profile: registers(0)}}})
		if err != nil {
			t.Fatal(err)
		}
		b.dial = func(Address, Link) line { return q }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var n atomic.Int32
		if err := b.Run(ctx, func(_ context.Context, f faultline.Frame, _ bus.Meta) error {
			n.Add(1)
			if q := f.Samples[0].Quality; q != badProtocol {
				t.Errorf("quality %s", q)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if reads := q.reads.Load(); reads < 40 || reads > 70 { // one probe about every 11 s
			t.Errorf("%d probes in 10 minutes", reads)
		}
		if n.Load() < 500 { // a bad frame for every poll, but those that a probe of a second made late
			t.Errorf("%d bad frames in 10 minutes", n.Load())
		}
	})
}
