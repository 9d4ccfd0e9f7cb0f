package modbus

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// script is a stream that gives what it was told, then nothing.
type script struct{ left []byte }

func (s *script) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, s.left[:min(len(s.left), 1+int(s.left[0])%7)]) // in parts
	s.left = s.left[n:]
	return n, nil
}
func (s *script) Write(b []byte) (int, error)      { return len(b), nil }
func (s *script) Close() error                     { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }

// FuzzFrames checks that whatever comes over a wire is an answer of the length that was asked for, an
// exception, or an error, in both framings, for reads and writes.
func FuzzFrames(f *testing.F) {
	q := asked{txn: 1, unit: 1, fc: 4, address: 5, count: 2}
	good := q.registers(truth)
	f.Add(q.tcp(good), uint16(2), uint8(profile.Input))
	f.Add(q.rtu(good), uint16(2), uint8(profile.Input))
	f.Add(append(q.rtu(good), q.rtu(good)...), uint16(2), uint8(profile.Input))
	f.Add(q.tcp([]byte{0x84, 2}), uint16(2), uint8(profile.Input))
	f.Add(q.rtu([]byte{0x84, 6}), uint16(2), uint8(profile.Input))
	f.Add(q.rtu([]byte{6, 0, 5, 0, 9}), uint16(1), uint8(profile.Holding))
	f.Add(asked{unit: 1}.rtu([]byte{1, 2, 0xFF, 1}), uint16(12), uint8(profile.Coil))
	f.Add([]byte{0, 1, 0, 0, 0xFF, 0xFF, 1, 4}, uint16(125), uint8(profile.Input))
	f.Fuzz(func(t *testing.T, wire []byte, count uint16, table uint8) {
		r := request{unit: 1, table: profile.Table(table%4 + 1), address: 5, count: count%profile.MaxRegisters + 1, timeout: time.Millisecond}
		tcp := &tcpLine{conn: &script{wire}, stop: func() bool { return true }}
		rtu := newRTULine(Address{Scheme: "rtuovertcp", Baud: 115200}, Link{})
		rtu.stop = func() bool { return true }
		datagram := newRTULine(Address{Scheme: "rtuoverudp", Baud: 115200}, Link{})
		datagram.stop = rtu.stop
		rtu.port, datagram.port = quietStart(wire), &datagrams{Conn: &script{wire}}
		for _, l := range []line{tcp, rtu, datagram} {
			for range 3 {
				data, err := l.read(context.Background(), r)
				if err == nil && len(data) != r.bytes() {
					t.Fatalf("%T: %d bytes for %d", l, len(data), r.bytes())
				}
				if err != nil && quality(err).Check() != nil {
					t.Fatalf("%T: %v is %q", l, err, quality(err))
				}
			}
			if w, can := l.(writer); can {
				_ = w.write(context.Background(), command{unit: 1, pdu: []byte{6, 0, 5, 0, 9}, timeout: time.Millisecond})
			}
		}
		scanned := newRTULine(Address{Scheme: "rtuovertcp", Baud: 115200}, Link{})
		scanned.port = quietStart(wire)
		if pdu, err := scanned.raw(context.Background(), 1, []byte{reportServer}, time.Millisecond); err == nil {
			_ = serverID(pdu)
		}
		if a, err := readRTU(bufio.NewReader(io.LimitReader(&script{wire}, 300))); err == nil && a.unit != wire[0] {
			t.Fatal("a request of another unit")
		}
	})
}

// quietStart is a port that is silent when it is listened to before a request, so that what follows is its answer.
func quietStart(wire []byte) stream { return &afterWrite{script: script{}, then: wire} }

type afterWrite struct {
	script
	then []byte
}

func (a *afterWrite) Write(b []byte) (int, error) {
	a.left, a.then = append(a.left, a.then...), nil
	return len(b), nil
}
