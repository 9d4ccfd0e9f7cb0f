package modbus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

func TestPointsHavePeriodsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := registers(0, 1, 2, 3)
		p.Points[1].Every = 5 * time.Second
		p.Points[3].Every = 2500 * time.Millisecond // every third, then every second poll
		b, err := New(Config{Address: "tcp://x:1", Devices: []Device{{Position: "X", Period: time.Second, Profile: p}}})
		if err != nil {
			t.Fatal(err)
		}
		q := &quick{}
		b.dial = func(Address, Link) line { return q }
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second-time.Millisecond)
		defer cancel()
		count := map[string]int{}
		var first []string
		var mu sync.Mutex
		start := time.Now()
		if err := b.Run(ctx, func(_ context.Context, f faultline.Frame, _ bus.Meta) error {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range f.Samples {
				count[s.Point]++
				if s.Point == "p1" {
					first = append(first, f.Time.Sub(start).String())
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(count); got != "map[p0:100 p1:20 p2:100 p3:40]" {
			t.Errorf("samples in 100 s: %s", got)
		}
		if fmt.Sprint(first[:3]) != "[0s 5s 10s]" {
			t.Errorf("p1 was read at %v", first)
		}
		if n := q.reads.Load(); n > 140 {
			t.Errorf("%d reads: what is due together is read together", n)
		}
	})
}

func TestDeviceThatWasAwayIsReadWhole(t *testing.T) {
	d := newTable()
	d.registers[0], d.registers[1] = 1, 2
	p := registers(0, 1)
	p.Points[1].Every = time.Hour
	b, err := New(Config{Address: serve(t, d), Devices: []Device{{Position: "X", Unit: 1, Period: time.Second, Profile: p}}})
	if err != nil {
		t.Fatal(err)
	}
	l := newLine(b.address, Link{})
	if err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	u, now := b.units[0], time.Now()
	poll := func(want int) {
		t.Helper()
		now = now.Add(time.Second)
		if err := u.poll(t.Context(), l, now); err != nil {
			t.Fatal(err)
		}
		if got := u.taken(); len(got) != want {
			t.Errorf("%d samples, want %d: %v", len(got), want, got)
		}
	}
	poll(2)
	poll(1)
	u.allBad(errNotConnected)
	u.dead = errNotConnected
	b.judge(u, nil, 0) // it answers again
	poll(2)
	poll(1)
}
