package bus

import (
	"net"
	"sync"
	"time"
)

// limiter lets bytes through at a rate, in bursts of at most a quarter of a second's worth. Safe for
// concurrent use.
type limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	free time.Time // when all that was let through has passed at the rate
}

// reserve takes n bytes and tells how long to wait before they may pass.
func (l *limiter) reserve(n int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if earliest := now.Add(-time.Second / 4); l.free.Before(earliest) {
		l.free = earliest
	}
	l.free = l.free.Add(l.takes(n))
	return max(l.free.Sub(now), 0)
}

// allow takes n bytes if they may pass at once.
func (l *limiter) allow(n int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.After(now) {
		return false
	}
	if earliest := now.Add(-time.Second / 4); l.free.Before(earliest) {
		l.free = earliest
	}
	l.free = l.free.Add(l.takes(n))
	return true
}

func (l *limiter) takes(n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / l.rate)
}

// limitedDialer makes connections that send no faster than the rate, on the wire: after compression and
// encryption. One limiter serves all connections, so that reconnecting gives no new burst.
type limitedDialer struct {
	net.Dialer
	l *limiter
}

// Dial implements the client's dialer.
func (d *limitedDialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &limitedConn{Conn: c, l: d.l, closed: make(chan struct{})}, nil
}

type limitedConn struct {
	net.Conn
	l      *limiter
	once   sync.Once
	closed chan struct{}
}

// Write sends in pieces that each take at most a tenth of a second.
func (c *limitedConn) Write(b []byte) (n int, err error) {
	piece := max(int(c.l.rate/10), 512)
	for n < len(b) && err == nil {
		part := b[n:min(n+piece, len(b))]
		if wait := c.l.reserve(len(part), time.Now()); wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-c.closed:
				t.Stop()
				return n, net.ErrClosed
			}
		}
		var m int
		m, err = c.Conn.Write(part)
		n += m
	}
	return n, err
}

// Close ends a Write that waits.
func (c *limitedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
