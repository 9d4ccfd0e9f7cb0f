package bus

import (
	"testing"
	"testing/synctest"
	"time"
)

// add queues n records of size bytes, as put does.
func (p *Publisher) add(n, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		if p.enqueue(&waiting{frame: true, data: make([]byte, size), since: time.Now(), done: make(chan error, 1)}) {
			p.awake()
		}
	}
}

func TestGather(t *testing.T) {
	const interval = 100 * time.Millisecond
	run := func(name string, want int, after time.Duration, feed func(p *Publisher)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Publisher{interval: interval, wake: make(chan struct{}, 1)}
				start := time.Now()
				go feed(p)
				batch, _ := p.gather(t.Context())
				if len(batch) != want || time.Since(start) != after {
					t.Errorf("%d frames after %s, want %d after %s", len(batch), time.Since(start), want, after)
				}
				for i, w := range batch {
					if w.seq != uint64(i+1) {
						t.Fatalf("frame %d has sequence %d", i, w.seq)
					}
				}
				synctest.Wait()
			})
		})
	}
	run("a lone frame waits for the interval", 1, interval, func(p *Publisher) { p.add(1, 10) })
	run("others join and do not prolong it", 3, interval, func(p *Publisher) {
		for range 3 {
			p.add(1, 10)
			time.Sleep(interval / 3)
		}
	})
	run("a full batch does not wait", maxBatchMessages, 0, func(p *Publisher) { p.add(maxBatchMessages+5, 10) })
	run("bytes are bounded", 7, 0, func(p *Publisher) { p.add(20, maxBatchBytes/8) })
	run("a large frame goes alone", 1, 0, func(p *Publisher) { p.add(2, maxBatchBytes) })
	run("a frame that waited for the last commit does not wait again", 1, 2*interval, func(p *Publisher) {
		time.Sleep(2 * interval)
		p.mu.Lock()
		p.enqueue(&waiting{frame: true, since: time.Now().Add(-interval), done: make(chan error, 1)})
		p.mu.Unlock()
		p.awake()
	})
	run("closing does not wait", 2, interval/2, func(p *Publisher) {
		p.add(2, 10)
		time.Sleep(interval / 2)
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.wake <- struct{}{}
	})
}
