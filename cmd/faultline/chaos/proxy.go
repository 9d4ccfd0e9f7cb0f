package chaos

import (
	"io"
	"net"
	"sync"
)

// proxy stands in the uplink where there are no network namespaces: it can cut connections, but not lose
// packets.
type proxy struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	off      bool
	conns    map[net.Conn]bool
	done     sync.WaitGroup
}

func newProxy(to string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, to: to, conns: map[net.Conn]bool{}}
	p.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.done.Go(func() { p.pass(c) })
		}
	})
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) pass(c net.Conn) {
	defer c.Close()
	if !p.keep(c) {
		return
	}
	defer p.drop(c)
	d, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer d.Close()
	if !p.keep(d) {
		return
	}
	defer p.drop(d)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(c, d); c.Close() })
	_, _ = io.Copy(d, c)
	d.Close()
	both.Wait()
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return !p.off
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// cut ends every connection and refuses new ones, or lets them in again.
func (p *proxy) cut(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
	for c := range p.conns {
		if off {
			c.Close()
		}
	}
}

func (p *proxy) close() {
	p.listener.Close()
	p.cut(true)
	p.done.Wait()
}
