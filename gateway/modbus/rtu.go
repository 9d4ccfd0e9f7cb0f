package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/goburrow/serial"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// An RTU answer names its unit and function but not its request, so a late or repeated answer looks
// like the answer to the next request of the same shape (unit, function, length). These guards keep it
// from becoming a value:
//
//   - any byte that comes before a request is sent is an error (errDesync);
//   - a request of the shape of one just before it waits longer for such bytes, and is unsettled:
//     settle then asks for something of another shape. If one of the answers was an older one's copy,
//     all answers since are shifted by one, and this one is no answer to what settle asked;
//   - after a failed request its unit is in doubt: the shapes that may still come late are kept, and
//     a request of such a shape is only sent after one of another shape was answered. Units answer in
//     order, so that answer shows that no older one can follow.
//
// What remains is a copy that comes late together with the loss of a later answer.
type rtuLine struct {
	address Address
	port    stream
	stop    func() bool // detaches port from the context it was opened with
	silence time.Duration
	recent  []sent
	repeat  *request // a request that is not settled
	fresh   bool     // nothing was sent on this connection yet
	doubts  map[uint8]*doubt
	out     [8]byte
	in      [256]byte
}

// shape is what an answer shows of its request.
type shape struct {
	unit, function byte
	bytes          int // 0 of an exception
}

// sent is a shape and when it was last asked for.
type sent struct {
	shape
	at time.Time
}

// doubt is what may still come late from one unit.
type doubt struct {
	shapes []shape
	since  time.Time // of the last failure
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
	doubtAge    = 30 * time.Second // no answer is later than this
)

func newRTULine(a Address) *rtuLine {
	// 3.5 characters of 11 bits; fixed above 19200 baud (Modbus over serial line 1.02, 2.5.1.1).
	silence := 1750 * time.Microsecond
	if a.Baud < 19200 {
		silence = time.Second * 385 / 10 / time.Duration(a.Baud)
	}
	return &rtuLine{address: a, silence: silence, doubts: map[uint8]*doubt{}}
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
		d := net.Dialer{Timeout: dialTimeout}
		c, err := d.DialContext(ctx, "tcp", l.address.Target)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotConnected, err)
		}
		l.port = c
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
	d := l.doubts[r.unit]
	if d != nil && time.Since(d.since) > doubtAge {
		delete(l.doubts, r.unit)
		d = nil
	}
	if d != nil && d.has(shapeOf(r)) {
		if _, err := l.ask(ctx, other(r, d.has)); l.doubts[r.unit] != nil {
			if err == nil || isException(err) {
				err = fmt.Errorf("%w: unit %d may still answer an older request", errDesync, r.unit)
			}
			return nil, err
		}
	}
	return l.ask(ctx, r)
}

// ask exchanges and keeps the doubts.
func (l *rtuLine) ask(ctx context.Context, r request) ([]byte, error) {
	data, err := l.exchange(ctx, r)
	sent := shapeOf(r)
	refused := shape{sent.unit, sent.function | 0x80, 0}
	d := l.doubts[r.unit]
	if err == nil || isException(err) {
		got := sent
		if err != nil {
			got = refused
		}
		if d == nil || !d.has(got) {
			delete(l.doubts, r.unit)
			return data, err
		}
	}
	if d == nil {
		d = new(doubt)
		l.doubts[r.unit] = d
	}
	d.since = time.Now()
	for _, s := range [...]shape{sent, refused} {
		if !d.has(s) {
			d.shapes = append(d.shapes, s)
		}
	}
	return data, err
}

// other is a request whose answer cannot be mistaken for one of the shapes that are taken: a part of r,
// or one register or bit of another table. An exception would do as an answer.
func other(r request, taken func(shape) bool) request {
	step := uint16(1)
	if r.table.Bits() {
		step = 8
	}
	o := r
	for o.count > step {
		if o.count -= step; !taken(shapeOf(o)) {
			return o
		}
	}
	o.count = 1
	for _, o.table = range [...]profile.Table{profile.Holding, profile.Input, profile.Coil, profile.Discrete} {
		if !taken(shapeOf(o)) && !taken(shape{r.unit, functions[o.table] | 0x80, 0}) {
			return o
		}
	}
	return r // only time helps
}

func (d *doubt) has(s shape) bool { return slices.Contains(d.shapes, s) }

func shapeOf(r request) shape { return shape{r.unit, functions[r.table], r.bytes()} }

func isException(err error) bool {
	var e Exception
	return errors.As(err, &e)
}

// exchange sends one request and takes one answer.
func (l *rtuLine) exchange(ctx context.Context, r request) ([]byte, error) {
	s := shapeOf(r)
	quiet := l.silence
	if l.seen(s) {
		quiet = max(quiet, repeatQuiet)
		l.repeat = &r
	}
	if err := l.listen(quiet); err != nil {
		return nil, err
	}
	l.fresh = false
	if err := l.port.SetDeadline(time.Now().Add(r.timeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // after SetDeadline, which would undo the deadline that ends with ctx
		return nil, err
	}
	out := l.out[:]
	out[0], out[1] = r.unit, s.function
	binary.BigEndian.PutUint16(out[2:], r.address)
	binary.BigEndian.PutUint16(out[4:], r.count)
	binary.LittleEndian.PutUint16(out[6:], crc16(out[:6]))
	if _, err := l.port.Write(out); err != nil {
		return nil, err
	}
	data, err := l.answer(ctx, s)
	l.recent = append(l.recent, sent{s, time.Now()})
	return data, err
}

// seen tells whether an answer of the shape came lately.
func (l *rtuLine) seen(s shape) bool {
	old := time.Now().Add(-repeatAge)
	l.recent = slices.DeleteFunc(l.recent, func(r sent) bool { return r.at.Before(old) })
	return slices.ContainsFunc(l.recent, func(r sent) bool { return r.shape == s })
}

func (l *rtuLine) answer(ctx context.Context, s shape) ([]byte, error) {
	head := l.in[:3]
	if err := l.fill(ctx, head); err != nil {
		return nil, err
	}
	refused := head[1] == s.function|0x80
	if head[0] != s.unit || !refused && (head[1] != s.function || int(head[2]) != s.bytes) {
		return nil, errDesync
	}
	end := 3 + s.bytes + 2
	if refused {
		end = 5
	}
	if err := l.fill(ctx, l.in[3:end]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint16(l.in[end-2:]) != crc16(l.in[:end-2]) {
		return nil, fmt.Errorf("%w: wrong checksum", errDesync)
	}
	if refused {
		return nil, Exception(head[2])
	}
	return l.in[3 : end-2], nil
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
	o := other(*l.repeat, l.seen)
	if l.seen(shapeOf(o)) { // every shape is: wait for what may still come
		if err := l.listen(repeatAge); err != nil {
			return err
		}
		l.repeat = nil
		return ctx.Err()
	}
	if _, err := l.ask(ctx, o); err != nil && !isException(err) {
		return err
	}
	l.repeat = nil
	return nil
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
