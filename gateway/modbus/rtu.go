package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/goburrow/serial"
)

// An RTU answer names its unit and function but not its request, so a late or repeated answer looks
// like the answer to the next request of the same shape (unit, function, length). These guards keep it
// from becoming a value:
//
//   - a byte that comes before a request is sent is an error (errDesync);
//   - requests without an answer are kept as overdue (order.go). An answer belongs to the oldest request
//     that it fits, and a request that an overdue one's answer would fit is only sent after one of
//     another shape was answered: units answer in order, so no older answer can follow that one;
//   - a request of the shape of one just answered waits longer for stray bytes, and is unsettled:
//     settle then asks for something of another shape. If one of the answers was an older one's copy,
//     all answers since are shifted by one, and this one is no answer to what settle asked;
//   - an answer that is to the last bit what another address was answered lately may be a copy of that, come late,
//     while its own was lost: it counts once the unit has given it again.
//
// The library has none of them (TestWhyRTUIsOurOwn shows it). What remains is that a late copy and the loss of an
// answer come together twice in a row.
type rtuLine struct {
	address   Address
	link      Link
	last      time.Time // of the last answer
	port      stream
	stop      func() bool // detaches port from the context it was opened with
	silence   time.Duration
	fresh     bool // nothing was sent on this connection yet
	overdue   overdue
	recent    []answered
	confirmed uint64   // sum of an answer that was to be given again
	repeat    *request // a request that is not settled
	out       [260]byte
	in        [256]byte
}

// stream is a serial port or a connection to a serial server.
type stream interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	SetDeadline(time.Time) error
	Close() error
}

const (
	dialTimeout = 3 * time.Second
	repeatQuiet = 10 * time.Millisecond // listening before a request of a recent one's shape
	repeatAge   = 250 * time.Millisecond
	copyAge     = 2 * time.Second // how late a copy of an answer may come
	copiesMost  = 3               // readings until two agree
)

// silenceOf a serial line between frames is 3.5 characters of 11 bits; fixed above 19200 baud (Modbus over
// serial line 1.02, 2.5.1.1).
func silenceOf(a Address) time.Duration {
	if a.Baud < 19200 {
		return time.Second * 385 / 10 / time.Duration(a.Baud)
	}
	return 1750 * time.Microsecond
}

func newRTULine(a Address, link Link) *rtuLine {
	return &rtuLine{address: a, link: link, silence: silenceOf(a), overdue: overdue{within: answersWithin}}
}

func (l *rtuLine) open(ctx context.Context) error {
	if l.port != nil {
		return errors.New("modbus line is open already")
	}
	if l.address.Scheme == "rtu" {
		p, err := serial.Open(&serial.Config{Address: l.address.Target, BaudRate: l.address.Baud, DataBits: l.address.DataBits, Parity: l.address.Parity, StopBits: l.address.StopBits, Timeout: serialSlice})
		if err != nil {
			return fmt.Errorf("%w: %w", errNotConnected, err)
		}
		l.port = &serialStream{Port: p}
	} else {
		c, err := connect(ctx, l.address, l.link)
		if err != nil {
			return err
		}
		if l.port = c; l.address.Scheme == "rtuoverudp" {
			l.port = &datagrams{Conn: c}
		}
	}
	port := l.port
	l.stop = context.AfterFunc(ctx, func() { _ = port.SetDeadline(time.Unix(1, 0)) })
	l.fresh, l.repeat = true, nil
	return nil
}

func (l *rtuLine) close() {
	if l.port != nil {
		l.stop()
		_ = l.port.Close() // there is nothing to do about a port that does not close
		l.port = nil
	}
}

func (l *rtuLine) read(ctx context.Context, r request) ([]byte, error) {
	if l.port == nil {
		return nil, errNotConnected
	}
	if err := l.clear(ctx, shapeOf(r), r); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		data, err := l.exchange(ctx, r)
		if err != nil {
			return nil, err
		}
		s, sum := shapeOf(r), sumOf(data)
		if !l.copied(s, r.address, sum) || l.confirmed == sum && n > 0 {
			return data, nil
		}
		if n == copiesMost {
			return nil, fmt.Errorf("%w: it may be an older answer's copy", errDesync)
		}
		l.confirmed = sum
	}
}

// clear asks r's unit for something else if an overdue answer could be taken for one of shape s.
func (l *rtuLine) clear(ctx context.Context, s shape, r request) error {
	if l.overdue.fits(s, time.Now()) {
		o, ok := other(r, func(s shape) bool { return l.overdue.fits(s, time.Now()) })
		if !ok {
			return fmt.Errorf("%w: unit %d may still answer an older request", errDesync, r.unit)
		}
		if _, err := l.exchange(ctx, o); err != nil && !isException(err) {
			return err
		}
	}
	return nil
}

// exchange reads.
func (l *rtuLine) exchange(ctx context.Context, r request) ([]byte, error) {
	s := shapeOf(r)
	if l.seen(s) {
		l.repeat = &r
	}
	var pdu [5]byte
	pdu[0] = s.function
	binary.BigEndian.PutUint16(pdu[1:], r.address)
	binary.BigEndian.PutUint16(pdu[3:], r.count)
	return l.transact(ctx, s, pdu[:], r.timeout, r.pause)
}

// transact sends one request, whose answer has shape s, and takes that; answers to older requests are
// thrown away.
func (l *rtuLine) transact(ctx context.Context, s shape, pdu []byte, timeout, rest time.Duration) ([]byte, error) {
	quiet := l.silence
	if l.seen(s) {
		quiet = max(quiet, repeatQuiet)
	}
	if err := pause(ctx, time.Until(l.last.Add(rest))); rest > 0 && err != nil {
		return nil, err
	}
	if err := l.listen(quiet); err != nil {
		return nil, err
	}
	l.fresh = false
	if err := l.port.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // after SetDeadline, which would undo the deadline that ends with ctx
		return nil, err
	}
	l.out[0] = s.unit
	n := 1 + copy(l.out[1:], pdu)
	out := binary.LittleEndian.AppendUint16(l.out[:n], crc16(l.out[:n]))
	l.overdue.sent(s, time.Now())
	if _, err := l.port.Write(out); err != nil {
		return nil, err
	}
	for {
		got, data, err := l.frame(ctx)
		if err != nil {
			return nil, err
		}
		l.last = time.Now()
		newest, known := l.overdue.answered(got)
		switch {
		case !known:
			return nil, errDesync
		case !newest:
			continue // late: ours is still to come
		case got.exception():
			return nil, Exception(data[0])
		}
		l.recent = append(l.recent, answered{s, time.Now(), binary.BigEndian.Uint16(pdu[1:]), sumOf(data)})
		return data, nil
	}
}

// frame takes one whole frame: its data, or the code of an exception.
func (l *rtuLine) frame(ctx context.Context) (shape, []byte, error) {
	head := l.in[:3]
	if err := l.fill(ctx, head); err != nil {
		return shape{}, nil, err
	}
	s := shape{head[0], head[1], int(head[2])}
	data, end := 3, 3+s.bytes+2
	if s.exception() {
		s.bytes, data, end = 0, 2, 5
	}
	switch f := s.function &^ 0x80; {
	case writes(f):
		if !s.exception() {
			s.bytes, data, end = 4, 2, 8
		}
	case f < 1 || f > 4 || end > len(l.in):
		return shape{}, nil, errDesync
	}
	if err := l.fill(ctx, l.in[3:end]); err != nil {
		return shape{}, nil, err
	}
	if binary.LittleEndian.Uint16(l.in[end-2:]) != crc16(l.in[:end-2]) {
		return shape{}, nil, fmt.Errorf("%w: wrong checksum", errDesync)
	}
	return s, l.in[data : end-2], nil
}

// fill reads exactly len(b) bytes before the deadline.
func (l *rtuLine) fill(ctx context.Context, b []byte) error {
	for at := 0; at < len(b); {
		n, err := l.port.Read(b[at:])
		if at += n; at == len(b) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// listen fails if a byte comes within d. On a fresh connection it throws away what is there instead:
// a serial server hands over what its line brought meanwhile.
func (l *rtuLine) listen(d time.Duration) error {
	if err := l.port.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	for range 64 { // at most 16 kB of chatter
		n, err := l.port.Read(l.in[:])
		if n > 0 && !l.fresh {
			return errDesync
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the line does not fall silent", errDesync)
}

func (l *rtuLine) settle(ctx context.Context) error {
	if l.port == nil {
		return errNotConnected
	}
	if l.repeat == nil {
		return l.listen(l.silence)
	}
	o, ok := other(*l.repeat, func(s shape) bool { return l.seen(s) || l.overdue.fits(s, time.Now()) })
	if !ok { // nothing is distinct: wait for what may still come
		if err := l.listen(repeatAge); err != nil {
			return err
		}
	} else if _, err := l.exchange(ctx, o); err != nil && !isException(err) {
		return err
	}
	l.repeat = nil
	return ctx.Err()
}

func (l *rtuLine) settled() bool { return l.repeat == nil }

// crc16 is the checksum of RTU frames: polynomial 0xA001 (reflected 0x8005), start 0xFFFF.
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc = crc>>8 ^ crcTable[byte(crc)^c]
	}
	return crc
}

var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		t[i] = c
	}
	return t
}()

// rawGap is the silence that ends an answer of unknown length.
const rawGap = 50 * time.Millisecond

// raw asks for a function whose answers have no length that is known before: it is what comes until the
// line is silent. Only a scan, which polls nothing, may use it; an error means that the line must be
// closed.
func (l *rtuLine) raw(ctx context.Context, unit uint8, pdu []byte, timeout time.Duration) ([]byte, error) {
	if l.port == nil {
		return nil, errNotConnected
	}
	if err := l.listen(max(l.silence, repeatQuiet)); err != nil {
		return nil, err
	}
	l.fresh = false
	if err := l.port.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := append([]byte{unit}, pdu...)
	if _, err := l.port.Write(binary.LittleEndian.AppendUint16(out, crc16(out))); err != nil {
		return nil, err
	}
	n := 0
	for n < len(l.in) {
		k, err := l.port.Read(l.in[n:])
		n += k
		if errors.Is(err, os.ErrDeadlineExceeded) && n > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := l.port.SetDeadline(time.Now().Add(rawGap)); err != nil {
			return nil, err
		}
	}
	b := l.in[:n]
	if n < 5 || binary.LittleEndian.Uint16(b[n-2:]) != crc16(b[:n-2]) || b[0] != unit || b[1]&0x7F != pdu[0] {
		return nil, errDesync
	}
	if b[1]&0x80 != 0 {
		return nil, Exception(b[2])
	}
	return b[1 : n-2], nil
}
