package modbus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// memory is a device of our own that can be written, over TCP or RTU framing.
type memory struct {
	mu     sync.Mutex
	words  map[uint16]uint16
	coils  map[uint16]bool
	log    []byte                     // functions asked, in order
	before func(function byte, n int) // called before an answer, without the lock; n requests came so far
	mute   func(function byte) bool   // no answer
}

func newMemory() *memory { return &memory{words: map[uint16]uint16{}, coils: map[uint16]bool{}} }

func (m *memory) answer(pdu []byte) []byte {
	m.mu.Lock()
	m.log = append(m.log, pdu[0])
	n, before := len(m.log), m.before
	m.mu.Unlock()
	if before != nil {
		before(pdu[0], n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mute != nil && m.mute(pdu[0]) {
		return nil
	}
	at, count := binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:])
	switch pdu[0] {
	case 1:
		out := make([]byte, 2+(count+7)/8)
		out[0], out[1] = 1, byte((count+7)/8)
		for i := range count {
			if m.coils[at+i] {
				out[2+i/8] |= 1 << (i % 8)
			}
		}
		return out
	case 3, 4:
		return asked{fc: pdu[0], address: at, count: count}.registers(func(a uint16) uint16 { return m.words[a] })
	case 5:
		m.coils[at] = count == 0xFF00
	case 6:
		m.words[at] = count
	case 15:
		for i := range count {
			m.coils[at+i] = pdu[6+i/8]>>(i%8)&1 != 0
		}
	case 16:
		for i := range count {
			m.words[at+i] = binary.BigEndian.Uint16(pdu[6+2*i:])
		}
	default:
		return []byte{pdu[0] | 0x80, 1}
	}
	return pdu[:5]
}

func (m *memory) serveTCP(c net.Conn, r *bufio.Reader) {
	for {
		var head [7]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		pdu := make([]byte, binary.BigEndian.Uint16(head[4:])-1)
		if _, err := io.ReadFull(r, pdu); err != nil {
			return
		}
		if out := m.answer(pdu); out != nil {
			_, _ = c.Write(asked{txn: binary.BigEndian.Uint16(head[:]), unit: head[6]}.tcp(out))
		}
	}
}

func (m *memory) serveRTU(c io.Writer, r *bufio.Reader) {
	for {
		head, err := r.Peek(7)
		if err != nil {
			return
		}
		n := 8
		if head[1] == 15 || head[1] == 16 {
			n = 9 + int(head[6])
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil || crc16(b[:n-2]) != binary.LittleEndian.Uint16(b[n-2:]) {
			return
		}
		if out := m.answer(b[1 : n-2]); out != nil {
			_, _ = c.Write(asked{unit: b[0]}.rtu(out))
		}
	}
}

func TestDoWritesAndReadsBack(t *testing.T) {
	for _, c := range []struct {
		name, scheme string
		link         Link
	}{{"tcp", "tcp", Link{}}, {"several connections", "tcp", Link{Connections: 3}}, {"rtu over tcp", "rtuovertcp", Link{}}} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory()
			serve := m.serveTCP
			if c.scheme != "tcp" {
				serve = func(c net.Conn, r *bufio.Reader) { m.serveRTU(c, r) }
			}
			p := registers(0, 300)
			p.Modbus.Order = profile.CDAB
			pt := profile.Point{Name: "setpoint", Type: faultline.TypeFloat, Register: &profile.Register{Table: profile.Holding, Address: 10, Data: profile.Float32}}
			p.Points = append(p.Points, pt)
			_, b := run(t, Config{Address: c.scheme + "://" + listenWire(t, serve).Addr().String(), Link: c.link, Devices: []Device{{Position: "X", Unit: 1, Period: 20 * time.Millisecond, Profile: p}}})
			for n := range 20 {
				want := faultline.Float(float64(n) + 0.5)
				err := b.Do(t.Context(), "X", func(a *Access) error {
					w, err := Encode(p, &pt, want, nil)
					if err != nil {
						return err
					}
					if err := a.Write(w, false); err != nil {
						return err
					}
					got, err := a.Sample(&pt)
					if got.Value != want {
						t.Errorf("wrote %v, reads %v %s", want, got.Value, got.Quality)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range []struct {
				w       Written
				several bool
			}{
				{Written{profile.Holding, 20, []uint16{7}}, false}, {Written{profile.Holding, 21, []uint16{8}}, true},
				{Written{profile.Coil, 3, []uint16{1}}, false}, {Written{profile.Coil, 4, []uint16{1, 0, 1, 1, 0, 1, 0, 1, 1}}, false},
			} {
				if err := b.Do(t.Context(), "X", func(a *Access) error { return a.Write(w.w, w.several) }); err != nil {
					t.Error(err)
				}
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.words[20] != 7 || m.words[21] != 8 || !m.coils[3] || !m.coils[4] || m.coils[5] || !m.coils[12] {
				t.Errorf("%v %v", m.words, m.coils)
			}
			for _, f := range []byte{5, 6, 15, 16} {
				if !slices.Contains(m.log, f) {
					t.Errorf("function %d was not used", f)
				}
			}
		})
	}
}

func TestWriteIsChecked(t *testing.T) {
	for _, w := range []Written{
		{profile.Input, 0, []uint16{1}}, {profile.Holding, 0, nil}, {profile.Holding, 65535, []uint16{1, 2}},
		{profile.Holding, 0, make([]uint16, 124)}, {profile.Coil, 0, make([]uint16, 1969)},
	} {
		if _, err := commandOf(w, false); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%s %d+%d: %v", w.Table, w.Address, len(w.Words), err)
		}
	}
}

// TestDoGoesAheadOfPolls holds the device in the first of many reads until a write waits: it is the next
// request.
func TestDoGoesAheadOfPolls(t *testing.T) {
	m := newMemory()
	var b *Bus
	began, hold := make(chan struct{}), make(chan struct{})
	m.before = func(_ byte, n int) {
		if n == 1 {
			close(began)
			<-hold
		}
	}
	var many []uint16
	for i := range uint16(20) {
		many = append(many, 200*i)
	}
	f, b := run(t, Config{Address: "tcp://" + listenWire(t, m.serveTCP).Addr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: time.Second, Timeout: 10 * time.Second, Profile: registers(many...)}}})
	<-began
	done := make(chan error)
	go func() {
		done <- b.Do(t.Context(), "X", func(a *Access) error {
			return a.Write(Written{profile.Holding, 5, []uint16{1}}, false)
		})
	}()
	for len(b.jobs) == 0 {
		runtime.Gosched()
	}
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got, _ := f.wait(t, 0, "the reading", func(faultline.Frame) bool { return true })
	for _, s := range got.Samples {
		if !s.Quality.IsGood() {
			t.Errorf("%s is %s", s.Point, s.Quality)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.log) < 21 || m.log[0] != 4 || m.log[1] != writeRegister || m.log[2] != 4 {
		t.Errorf("requests by function: %v", m.log)
	}
}

// TestDoThatFailsSparesThePoll: a write in the middle of a poll gets no answer; the poll goes on over a new
// connection and all of its values are good.
func TestDoThatFailsSparesThePoll(t *testing.T) {
	for _, scheme := range []string{"tcp", "rtuovertcp"} {
		t.Run(scheme, func(t *testing.T) {
			m := newMemory()
			m.mute = func(f byte) bool { return f == writeRegister }
			serve := m.serveTCP
			if scheme != "tcp" {
				serve = func(c net.Conn, r *bufio.Reader) { m.serveRTU(c, r) }
			}
			f, b := run(t, Config{Address: scheme + "://" + listenWire(t, serve).Addr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: 200 * time.Millisecond, Timeout: 100 * time.Millisecond, Profile: registers(0, 200, 400, 600)}}})
			f.wait(t, 0, "a reading", func(faultline.Frame) bool { return true })
			for range 3 {
				err := b.Do(t.Context(), "X", func(a *Access) error {
					first := a.Write(Written{profile.Holding, 5, []uint16{1}}, false)
					if _, err := a.Read(profile.Holding, 0, 1); !errors.Is(err, first) {
						t.Errorf("after %v the line was used again: %v", first, err)
					}
					return first
				})
				if quality(err) != faultline.BadTimeout {
					t.Errorf("the write: %v", err)
				}
			}
			f.mu.Lock()
			n := len(f.list)
			f.mu.Unlock()
			f.wait(t, n+1, "a reading after it", func(faultline.Frame) bool { return true })
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, fr := range f.list {
				for _, s := range fr.Samples {
					if !s.Quality.IsGood() {
						t.Errorf("%s is %s", s.Point, s.Quality)
					}
				}
			}
		})
	}
}

func TestDoSaysWhyNot(t *testing.T) {
	m := newMemory()
	m.mute = func(byte) bool { return true }
	f, b := run(t, Config{Address: "tcp://" + listenWire(t, m.serveTCP).Addr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: fast, Timeout: 30 * time.Millisecond, Profile: registers(0)}}})
	if err := b.Do(t.Context(), "Y", nil); !errors.Is(err, faultline.ErrNotFound) {
		t.Errorf("an unknown position: %v", err)
	}
	f.wait(t, 0, "the time-out", func(f faultline.Frame) bool { return sample(f, "p0").Quality == faultline.BadTimeout })
	if err := b.Do(t.Context(), "X", func(a *Access) error { return nil }); err == nil || !strings.Contains(err.Error(), "asked again in") {
		t.Errorf("a unit that does not answer: %v", err)
	}
	idle, err := New(Config{Address: "tcp://127.0.0.1:1", Devices: []Device{{Position: "X", Unit: 1, Profile: registers(0)}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := idle.Do(ctx, "X", func(*Access) error { return nil }); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("a bus that does not run: %v", err)
	}
}
