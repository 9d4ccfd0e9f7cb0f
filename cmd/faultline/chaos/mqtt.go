package chaos

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// mqttDevice publishes a device's readings to a gateway's listener, QoS 1, one at a time: the next
// reading is made when the one before is acknowledged. An acknowledgement proves the commit.
type mqttDevice struct {
	*device
	address, user, password string
	topic                   string
	every                   time.Duration
}

const mqttAnswer = 10 * time.Second // longest wait for a PUBACK

// run publishes until ctx ends.
func (m *mqttDevice) run(ctx context.Context) {
	var waiting *mqttReading // not acknowledged
	for ctx.Err() == nil {
		c, err := m.connect(ctx)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { c.Close() })
			_ = m.publish(ctx, c, &waiting) // whatever ends it, the message goes again
			stop()
			c.Close()
		}
		pause(ctx, 500*time.Millisecond)
	}
}

type mqttReading struct {
	n    uint32
	body []byte
	sent bool
}

func (m *mqttDevice) read(now time.Time) *mqttReading {
	n, level := m.next(now)
	b := fmt.Appendf(nil, `{"at":%q,"n":%d,"level":%d.%d`, now.UTC().Format("2006-01-02T15:04:05.000Z07:00"), n, level/10, level%10)
	for i := 1; i <= checked; i++ {
		b = append(b, `,"`+pointName(i)+`":`...)
		b = strconv.AppendUint(b, uint64(value(n, i)), 10)
	}
	return &mqttReading{n: n, body: append(b, '}')}
}

func (m *mqttDevice) publish(ctx context.Context, c net.Conn, waiting **mqttReading) error {
	in := bufio.NewReader(c)
	t := time.NewTicker(m.every)
	defer t.Stop()
	for id := uint16(1); ; id = max(id+1, 1) {
		if *waiting == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
			}
			*waiting = m.read(time.Now())
		}
		w := *waiting
		head := byte(0x32) // PUBLISH, QoS 1
		if w.sent {
			head |= 0x08 // again
		}
		w.sent = true
		p := mqttString(nil, m.topic)
		p = binary.BigEndian.AppendUint16(p, id)
		if err := mqttWrite(c, head, append(p, w.body...)); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(mqttAnswer))
		kind, body, err := mqttRead(in)
		if err != nil {
			return err
		}
		if kind != 0x40 || len(body) < 2 || binary.BigEndian.Uint16(body) != id {
			return errors.New("not the PUBACK that was waited for")
		}
		m.prove(w.n)
		*waiting = nil
	}
}

// connect dials and opens a session that outlives the connection.
func (m *mqttDevice) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "tcp", m.address)
	if err != nil {
		return nil, err
	}
	p := append(mqttString(nil, "MQTT"), 4, 0xC0, 0, 60) // 3.1.1; user name and password; keep alive 60 s
	for _, s := range []string{m.position, m.user, m.password} {
		p = mqttString(p, s)
	}
	_ = c.SetReadDeadline(time.Now().Add(mqttAnswer))
	if err = mqttWrite(c, 0x10, p); err == nil {
		var kind byte
		var body []byte
		// One byte at a time: nothing that follows may be lost in a buffer.
		if kind, body, err = mqttRead(byteReader{c}); err == nil && (kind != 0x20 || len(body) < 2 || body[1] != 0) {
			err = fmt.Errorf("refused: %x %x", kind, body)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func mqttString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func mqttWrite(w io.Writer, head byte, body []byte) error {
	p := binary.AppendUvarint([]byte{head}, uint64(len(body))) // the remaining length is a varint of this kind
	_, err := w.Write(append(p, body...))
	return err
}

type byteSource interface {
	io.Reader
	io.ByteReader
}

type byteReader struct{ net.Conn }

func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Conn, b[:])
	return b[0], err
}

func mqttRead(r byteSource) (kind byte, body []byte, err error) {
	head, err := r.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil || n > 1<<16 {
		return 0, nil, fmt.Errorf("a packet of %d bytes: %w", n, err)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head & 0xF0, body, err
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
