package modbus

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Link is what a bus wants besides its address.
type Link struct {
	Connections  int           // to the device at once; default 1, TCP and TLS only
	Pipeline     int           // requests on their way at once on each connection; default 1, TCP and TLS only
	ConnectPause time.Duration // between connecting and the first request
	TLS          *tls.Config   // of tls://; nil: the system's authorities, no certificate of our own
}

// MaxConnections is the most connections to one device.
const MaxConnections = 16

// MaxPipeline is the most requests on their way on one connection: what the standard's client may have.
const MaxPipeline = 16

func (l Link) tls(a Address) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.TLS != nil {
		c = l.TLS.Clone()
	}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(a.Target) // which ParseAddress has joined
	}
	return c
}

// newLine chooses the implementation.
func newLine(a Address, link Link) line {
	switch {
	case a.Scheme != "tcp" && a.Scheme != "tls":
		return newRTULine(a, link)
	case link.Connections > 1 || link.Pipeline > 1:
		p := &pool{got: map[request]answer{}, depth: min(max(link.Pipeline, 1), MaxPipeline)}
		for range min(max(link.Connections, 1), MaxConnections) {
			p.lines = append(p.lines, &tcpLine{address: a, link: link})
		}
		return p
	}
	return &tcpLine{address: a, link: link}
}

// pool is several requests at once to one device, on several connections, or several on each: what is known
// to be wanted is fetched so and then read from here.
type pool struct {
	lines []*tcpLine
	depth int // requests on their way on each
	n     int // that are open
	got   map[request]answer
	err   error // which ended fetching early; the lines are not to be used any more
}

type answer struct {
	data []byte
	err  error
}

// open needs the first connection; a device that takes no more of them is read over those that it takes.
func (p *pool) open(ctx context.Context) error {
	p.n, p.err = 0, nil
	for _, l := range p.lines {
		if err := l.open(ctx); err != nil {
			if p.n > 0 && ctx.Err() == nil {
				return nil
			}
			return err
		}
		p.n++
	}
	return nil
}

func (p *pool) close() {
	for _, l := range p.lines {
		l.close()
	}
	p.n = 0
	clear(p.got)
}

func (p *pool) settle(context.Context) error { return nil }
func (p *pool) settled() bool                { return true }

func (p *pool) read(ctx context.Context, r request) ([]byte, error) {
	if a, has := p.got[r]; has {
		delete(p.got, r)
		return a.data, a.err
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.lines[0].read(ctx, r)
}

// fetch reads the requests ahead, in order, over all connections. Whatever fails first ends it.
func (p *pool) fetch(ctx context.Context, requests []request) {
	clear(p.got)
	if p.n == 0 || p.n*p.depth < 2 || len(requests) < 2 {
		return
	}
	answers := make([]answer, len(requests))
	var next atomic.Int32
	var failed atomic.Bool
	var wg sync.WaitGroup
	for _, l := range p.lines[:min(p.n, len(requests))] {
		work := func() {
			for !failed.Load() {
				i := int(next.Add(int32(p.depth))) - p.depth
				if i >= len(requests) {
					return
				}
				k := min(i+p.depth, len(requests))
				if l.readAll(ctx, requests[i:k], answers[i:k]) != nil {
					failed.Store(true)
				}
			}
		}
		if p.n == 1 {
			work()
			break
		}
		wg.Go(work)
	}
	wg.Wait()
	for i, a := range answers {
		if a.data == nil && a.err == nil {
			continue // not asked, or not answered
		}
		p.got[requests[i]] = a
		if a.err != nil && !isException(a.err) && p.err == nil {
			p.err = a.err
		}
	}
}

// datagrams makes a stream of the datagrams of RTU over UDP: a frame may be read in parts.
type datagrams struct {
	net.Conn
	buf  [1500]byte
	left []byte
}

func (d *datagrams) Read(b []byte) (int, error) {
	if len(d.left) == 0 {
		n, err := d.Conn.Read(d.buf[:])
		if err != nil {
			return 0, err
		}
		d.left = d.buf[:n]
	}
	n := copy(b, d.left)
	d.left = d.left[n:]
	return n, nil
}
