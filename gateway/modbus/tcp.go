package modbus

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// tcpLine is Modbus TCP, bare or in TLS. The framing is ours: the library cannot be interrupted, opens
// no connection in time that can, knows no device identification, and wants a certificate of every
// TLS client. Transaction ids tell late and repeated answers apart within a connection.
type tcpLine struct {
	address Address
	link    Link
	conn    net.Conn
	stop    func() bool // detaches conn from the context it was opened with
	id      uint16
	last    time.Time // of the last answer
	out     [260]byte
	in      [2 * 260]byte
	r, w    int // of in
}

const maxSkipped = 64 // answers to other requests before the one to ours

func (l *tcpLine) open(ctx context.Context) error {
	if l.conn != nil {
		return errors.New("modbus line is open already")
	}
	c, err := connect(ctx, l.address, l.link)
	if err != nil {
		return err
	}
	l.conn, l.r, l.w = c, 0, 0
	l.stop = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return nil
}

// connect dials a target on a network, and waits as long as the device wants to be left alone then.
func connect(ctx context.Context, a Address, link Link) (net.Conn, error) {
	network := "tcp"
	if a.Scheme == "rtuoverudp" {
		network = "udp"
	}
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(dial, network, a.Target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotConnected, err)
	}
	if a.Scheme == "tls" {
		t := tls.Client(c, link.tls(a))
		if err := t.HandshakeContext(dial); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("%w: TLS: %w", errNotConnected, err)
		}
		c = t
	}
	if err := pause(ctx, link.ConnectPause); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (l *tcpLine) close() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close() // there is nothing to do about a connection that does not close
		l.conn = nil
	}
}

func (l *tcpLine) settle(context.Context) error { return nil } // transaction ids do
func (l *tcpLine) settled() bool                { return true }

func (l *tcpLine) read(ctx context.Context, r request) ([]byte, error) {
	pdu := [5]byte{functions[r.table]}
	binary.BigEndian.PutUint16(pdu[1:], r.address)
	binary.BigEndian.PutUint16(pdu[3:], r.count)
	got, err := l.exchange(ctx, r.unit, pdu[:], r.timeout, r.pause)
	if err != nil {
		return nil, err
	}
	if len(got) != 2+r.bytes() || int(got[1]) != r.bytes() {
		return nil, errDesync
	}
	return got[2:], nil
}

// exchange sends a request's function and data and gives those of its answer, valid until the next call.
func (l *tcpLine) exchange(ctx context.Context, unit uint8, pdu []byte, timeout, quiet time.Duration) ([]byte, error) {
	if l.conn == nil {
		return nil, errNotConnected
	}
	if quiet > 0 {
		if err := pause(ctx, time.Until(l.last.Add(quiet))); err != nil {
			return nil, err
		}
	}
	if err := l.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // after SetDeadline, which would undo the deadline that ends with ctx
		return nil, err
	}
	l.id++
	binary.BigEndian.PutUint16(l.out[0:], l.id)
	binary.BigEndian.PutUint16(l.out[4:], uint16(1+len(pdu)))
	l.out[6] = unit
	n := copy(l.out[7:], pdu)
	if _, err := l.conn.Write(l.out[:7+n]); err != nil {
		return nil, err
	}
	for range maxSkipped {
		id, from, body, err := l.frame()
		if err != nil {
			return nil, err
		}
		if id != l.id {
			continue // an answer that came twice
		}
		l.last = time.Now()
		switch {
		case from != unit:
			return nil, fmt.Errorf("%w: it is from unit %d", errDesync, from)
		case body[0] == pdu[0]|0x80 && len(body) == 2:
			return nil, Exception(body[1])
		case body[0] != pdu[0]:
			return nil, fmt.Errorf("%w: it is of function %d", errDesync, body[0])
		}
		return body, nil
	}
	return nil, fmt.Errorf("%w: too many answers that nobody asked for", errDesync)
}

// frame takes the next answer to whatever. Its body is valid until the next call.
func (l *tcpLine) frame() (id uint16, unit byte, body []byte, err error) {
	head, err := l.take(7)
	if err != nil {
		return 0, 0, nil, err
	}
	id, unit = binary.BigEndian.Uint16(head), head[6]
	size := int(binary.BigEndian.Uint16(head[4:])) - 1
	if head[2] != 0 || head[3] != 0 || size < 2 || size > 253 {
		return id, unit, nil, errDesync
	}
	body, err = l.take(size)
	return id, unit, body, err
}

// take gives the next n bytes before the deadline. They are valid until the next call but one.
func (l *tcpLine) take(n int) ([]byte, error) {
	if l.r+n > len(l.in) || l.r == l.w {
		l.w = copy(l.in[:], l.in[l.r:l.w])
		l.r = 0
	}
	for l.w-l.r < n {
		k, err := l.conn.Read(l.in[l.w:])
		if l.w += k; l.w-l.r >= n {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	l.r += n
	return l.in[l.r-n : l.r], nil
}
