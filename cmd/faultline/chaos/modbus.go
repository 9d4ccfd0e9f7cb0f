package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// readAhead is how many readings a gateway may have asked a device for beyond the last one that it has
// committed: one that is being stored, and one that waits. So reading n is proven to be committed as
// soon as n + readAhead is asked for on the same connection.
const readAhead = 2

// modbusDevice serves a device's readings over Modbus TCP: input registers 0…40, one reading a request.
type modbusDevice struct {
	*device
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  sync.WaitGroup
}

const modbusRegisters = 2 + 1 + checked // the number takes two

func serveModbus(ctx context.Context, d *device, host string) (*modbusDevice, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve device %s: %w", d.position, err)
	}
	s := &modbusDevice{device: d, listener: l, conns: map[net.Conn]bool{}}
	s.done.Go(s.accept)
	return s, nil
}

func (s *modbusDevice) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.done.Go(func() {
			_ = s.serve(c) // the gateway's end of it
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// stop ends the device.
func (s *modbusDevice) stop() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// serve answers one connection.
func (s *modbusDevice) serve(c net.Conn) error {
	var sent []uint32 // readings of this connection
	head := make([]byte, 7)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return err
		}
		length := binary.BigEndian.Uint16(head[4:])
		if length < 2 || length > 254 {
			return errors.New("no Modbus TCP")
		}
		body := make([]byte, length-1)
		if _, err := io.ReadFull(c, body); err != nil {
			return err
		}
		answer := s.answer(body, &sent)
		out := make([]byte, 7, 7+len(answer))
		copy(out, head)
		binary.BigEndian.PutUint16(out[4:], uint16(len(answer)+1))
		if _, err := c.Write(append(out, answer...)); err != nil {
			return err
		}
	}
}

// answer makes one PDU of another.
func (s *modbusDevice) answer(q []byte, sent *[]uint32) []byte {
	const readInput, illegalFunction, illegalAddress = 4, 1, 2
	if q[0] != readInput || len(q) != 5 {
		return []byte{q[0] | 0x80, illegalFunction}
	}
	if at, count := binary.BigEndian.Uint16(q[1:]), binary.BigEndian.Uint16(q[3:]); at != 0 || count != modbusRegisters {
		s.complain("registers %d+%d were read: one reading would not be one request", at, count)
		return []byte{q[0] | 0x80, illegalAddress}
	}
	n, level := s.next(time.Now())
	if k := len(*sent); k >= readAhead {
		s.prove((*sent)[k-readAhead])
	}
	*sent = append(*sent, n)
	if len(*sent) > readAhead {
		*sent = (*sent)[1:]
	}
	out := []byte{q[0], 2 * modbusRegisters}
	out = binary.BigEndian.AppendUint32(out, n)
	out = binary.BigEndian.AppendUint16(out, level)
	for i := 1; i <= checked; i++ {
		out = binary.BigEndian.AppendUint16(out, value(n, i))
	}
	return out
}
