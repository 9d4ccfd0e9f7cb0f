package equipment

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	maxConnections = 64
	idleTimeout    = 10 * time.Minute
	writeTimeout   = 10 * time.Second
	relisten       = 100 * time.Millisecond // between attempts to get the port back
)

// server is the Modbus TCP side of a unit.
type server struct {
	u   *unit
	log *slog.Logger

	mu sync.Mutex
	ln net.Listener
	at string // the address once it is known; kept while off line
}

func newServer(u *unit, log *slog.Logger) *server {
	return &server{u: u, log: log.With("device", u.cfg.Name)}
}

func (s *server) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *server) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at
	if at == "" {
		at = s.u.cfg.Listen
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return fmt.Errorf("device %s: %w", s.u.cfg.Name, err)
	}
	s.ln, s.at = ln, ln.Addr().String()
	return nil
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil {
		s.ln.Close()
		s.ln = nil
	}
}

// run serves until ctx ends. While the unit is off line the listener is closed and every
// connection dropped; afterwards it listens on the same port again.
func (s *server) run(ctx context.Context) error {
	defer s.close()
	for ctx.Err() == nil {
		offline, changed := s.u.watch()
		if offline {
			s.close()
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		s.mu.Lock()
		ln := s.ln
		s.mu.Unlock()
		if ln == nil {
			if err := s.listen(); err != nil {
				s.log.Warn("listen again", "error", err)
				select {
				case <-ctx.Done():
				case <-time.After(relisten):
				}
			}
			continue
		}
		s.serve(ctx, ln, changed)
	}
	return nil
}

// serve accepts until ctx ends, the unit's state changes or the listener fails, and returns
// when every connection is closed.
func (s *server) serve(ctx context.Context, ln net.Listener, changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-changed:
		}
		s.close()
		cancel()
	})
	slots := make(chan struct{}, maxConnections)
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			s.converse(ctx, conn)
		})
	}
}

// converse answers the requests of one connection in order.
func (s *server) converse(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() {
		// RST, not FIN: a device that loses power says no good-bye.
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	})
	defer stop()
	r := bufio.NewReader(conn)
	var frame [260]byte
	for {
		conn.SetReadDeadline(time.Now().Add(idleTimeout))
		if _, err := io.ReadFull(r, frame[:7]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(frame[4:]))
		// Not Modbus, or longer than a frame can be: there is no way to find the next request.
		if binary.BigEndian.Uint16(frame[2:]) != 0 || length < 2 || length > 254 {
			return
		}
		if _, err := io.ReadFull(r, frame[7:6+length]); err != nil {
			return
		}
		a := s.u.serve(frame[6], frame[7:6+length])
		if a.delay > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(a.delay):
			}
		}
		out := a.garbage
		if out == nil {
			out = make([]byte, 7, 7+len(a.pdu))
			copy(out, frame[:4])
			binary.BigEndian.PutUint16(out[4:], uint16(1+len(a.pdu)))
			out[6] = frame[6]
			out = append(out, a.pdu...)
			if a.half {
				out = out[:len(out)/2]
			}
		}
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := conn.Write(out); err != nil {
			return
		}
		s.count(a)
	}
}

func (s *server) count(a answer) {
	switch {
	case a.garbage != nil || a.half:
	case a.pdu[0]&0x80 != 0:
		s.u.refused.Add(1)
	case a.registers > 0:
		s.u.reads.Add(1)
		s.u.words.Add(uint64(a.registers))
		s.u.points.Add(uint64(a.points))
	}
}
