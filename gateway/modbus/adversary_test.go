package modbus

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sim "github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline/gateway/profile"
)

var adversaryReads = flag.Int("adversary.reads", 1200, "reads of each transport against devices that misbehave")

const (
	adversaryTimeout = 25 * time.Millisecond
	adversaries      = 16
)

// truth is what the register at address holds, in every device of these tests. Neighbours differ, so
// an answer to another request is a wrong value.
func truth(address uint16) uint16 { return address*31 + 7 }

// misbehave answers a request in a way that real equipment, converters and networks have been seen to.
func misbehave(r *rand.Rand, c io.Writer, a asked, frame func(asked, []byte) []byte) (goOn bool) {
	right := a.registers(truth)
	good := frame(a, right)
	send := func(b []byte) bool { _, err := c.Write(b); return err == nil }
	if r.IntN(100) < 55 {
		return send(good)
	}
	other := a
	switch r.IntN(12) {
	case 0: // late
		time.Sleep(adversaryTimeout + time.Duration(r.IntN(40))*time.Millisecond)
		return send(good)
	case 1: // twice
		return send(append(good, good...))
	case 2: // twice, a little later
		if !send(good) {
			return false
		}
		time.Sleep(time.Duration(r.IntN(6)) * time.Millisecond)
		return send(good)
	case 3: // another unit's
		other.unit++
		return send(frame(other, other.registers(func(a uint16) uint16 { return ^truth(a) })))
	case 4: // another transaction's, of the same shape; RTU has none, there it would be a lie
		if other.txn == 0 {
			return true
		}
		other.txn -= 100 // of none that is under way, in a pipeline too
		other.address++
		return send(frame(other, other.registers(truth)))
	case 5: // half a frame, then nothing
		return send(good[:len(good)/2])
	case 6: // half a frame, then the connection breaks
		send(good[:1+r.IntN(len(good)-1)])
		if tcp, connected := c.(*net.TCPConn); connected {
			_ = tcp.SetLinger(0)
			return false
		}
		return true
	case 7: // garbage
		b := make([]byte, 1+r.IntN(60))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return send(b)
	case 8: // well-formed, of the wrong length
		other.count++
		return send(frame(other, other.registers(truth)))
	case 9: // one byte at a time
		for i := range good {
			if !send(good[i : i+1]) {
				return false
			}
			time.Sleep(time.Millisecond / 2)
		}
		return true
	case 10: // an exception
		return send(frame(a, []byte{a.fc | 0x80, byte(1 + r.IntN(11))}))
	}
	return true // nothing at all
}

// TestNoWrongValue reads devices that misbehave in nearly half of their answers, without the silence
// that a bus keeps after an error, and accepts errors but no wrong value. What they do follows from seeds. After it no
// goroutine and no descriptor is left. The long form is go test -run NoWrongValue -adversary.reads 100000 -timeout 1h
func TestNoWrongValue(t *testing.T) {
	goroutines, descriptors := runtime.NumGoroutine(), openFiles()
	t.Run("transports", func(t *testing.T) {
		t.Run("tcp", func(t *testing.T) {
			adversary(t, func(t *testing.T, seed uint64) line {
				return &tcpLine{address: Address{Scheme: "tcp", Target: liar(t, seed, readTCP, asked.tcp)}}
			})
		})
		t.Run("tcp in a pipeline", func(t *testing.T) {
			adversary(t, func(t *testing.T, seed uint64) line {
				a := Address{Scheme: "tcp", Target: liar(t, seed, readTCP, asked.tcp)}
				return &ahead{newLine(a, Link{Pipeline: 4}).(*pool), t}
			})
		})
		t.Run("rtu over tcp", func(t *testing.T) {
			adversary(t, func(t *testing.T, seed uint64) line {
				return impatient("rtuovertcp", liar(t, seed, readRTU, asked.rtu))
			})
		})
		t.Run("rtu behind a converter", func(t *testing.T) {
			adversary(t, func(t *testing.T, seed uint64) line {
				return impatient("rtuovertcp", converter(t, seed))
			})
		})
		if serialLiar != nil {
			t.Run("rtu", func(t *testing.T) {
				adversary(t, func(t *testing.T, seed uint64) line {
					return impatient("rtu", serialLiar(t, seed))
				})
			})
		}
	})
	for range 100 { // what the other side left closes by and by
		if runtime.NumGoroutine() <= goroutines && openFiles() <= descriptors {
			return
		}
		runtime.Gosched()
		runtime.GC()
	}
	t.Errorf("%d goroutines and %d descriptors, before %d and %d", runtime.NumGoroutine(), openFiles(), goroutines, descriptors)
}

// ahead reads three more requests on the way with each, and checks them too.
type ahead struct {
	*pool
	t *testing.T
}

func (a *ahead) read(ctx context.Context, q request) ([]byte, error) {
	requests := []request{q, q, q, q}
	for k := range requests {
		requests[k].address += uint16(1000 * k) // of the same shape
	}
	a.fetch(ctx, requests)
	for _, r := range requests[1:] {
		got := a.got[r]
		for k := range len(got.data) / 2 {
			if v, want := uint16(got.data[2*k])<<8|uint16(got.data[2*k+1]), truth(r.address+uint16(k)); v != want {
				a.t.Errorf("in a pipeline: register %d is %d, want %d", r.address+uint16(k), v, want)
			}
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.pool.read(ctx, q)
}

// openFiles counts descriptors where the system tells.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// liar serves misbehaving devices over TCP and gives its address.
func liar(t *testing.T, seed uint64, read func(*bufio.Reader) (asked, error), frame func(asked, []byte) []byte) string {
	t.Helper()
	var n atomic.Uint64
	return listenWire(t, func(c net.Conn, br *bufio.Reader) {
		r := rand.New(rand.NewPCG(seed, n.Add(1)))
		for {
			a, err := read(br)
			if err != nil || !misbehave(r, c, a, frame) {
				return
			}
		}
	}).Addr().String()
}

// impatient gives up overdue answers as soon as these devices do, so that the test gets to read.
func impatient(scheme, address string) line {
	l := newRTULine(Address{Scheme: scheme, Target: address, Baud: 115200, DataBits: 8, Parity: "N", StopBits: 1}, Link{})
	l.overdue.within = time.Second
	return l
}

// converter is a serial server: one unit answers in order, often late, and whoever is connected then
// gets the answer, even if another connection asked.
func converter(t *testing.T, seed uint64) string {
	t.Helper()
	var mu sync.Mutex
	var current net.Conn
	requests := make(chan asked, 1000)
	w := listenWire(t, func(c net.Conn, br *bufio.Reader) {
		mu.Lock()
		current = c
		mu.Unlock()
		for {
			a, err := readRTU(br)
			if err != nil {
				return
			}
			requests <- a
		}
	})
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		r := rand.New(rand.NewPCG(seed, 1))
		for {
			var a asked
			select {
			case <-ctx.Done():
				return
			case a = <-requests:
			}
			pdu := a.registers(truth)
			switch r.IntN(10) {
			case 0: // too late, by up to three time-outs
				time.Sleep(time.Duration(r.IntN(int(3 * adversaryTimeout))))
			case 1:
				pdu = []byte{a.fc | 0x80, 6}
				time.Sleep(time.Duration(r.IntN(int(2 * adversaryTimeout))))
			}
			mu.Lock()
			c := current
			mu.Unlock()
			_, _ = c.Write(a.rtu(pdu))
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w.Addr().String()
}

func adversary(t *testing.T, connect func(*testing.T, uint64) line) {
	t.Parallel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	right, failed := 0, 0
	for i := range uint64(adversaries) {
		l := connect(t, i)
		wg.Go(func() {
			defer l.close()
			r := rand.New(rand.NewPCG(i, 99))
			good, bad := 0, 0
			for n := 0; n < *adversaryReads/adversaries; {
				_ = l.open(context.Background()) // an error shows in reading
				values := map[uint16]uint16{}    // of one poll
				var err error
				for range 1 + r.IntN(4) {
					n++
					q := request{unit: 1, table: profile.Input, address: uint16(r.IntN(1000)), count: uint16(2 + r.IntN(3)), timeout: adversaryTimeout}
					var data []byte
					if data, err = l.read(context.Background(), q); err != nil {
						break
					}
					for k := range len(data) / 2 {
						values[q.address+uint16(k)] = uint16(data[2*k])<<8 | uint16(data[2*k+1])
					}
				}
				if err == nil || isException(err) {
					if serr := l.settle(context.Background()); serr != nil {
						err = serr
					}
				}
				if err != nil && !isException(err) {
					if strings.Contains(err.Error(), "may still answer") {
						time.Sleep(adversaryTimeout)
						n-- // nothing was sent
					}
					if errors.Is(err, errDesync) || !l.settled() {
						clear(values)
					}
					l.close()
				}
				for address, got := range values {
					if got != truth(address) {
						t.Errorf("register %d is %d, want %d", address, got, truth(address))
					}
				}
				if good += len(values); err != nil {
					bad++
				}
			}
			mu.Lock()
			right, failed = right+good, failed+bad
			mu.Unlock()
		})
	}
	wg.Wait()
	t.Logf("%d reads: %d right values, %d polls failed", *adversaryReads, right, failed)
	if right < *adversaryReads/5 || failed < *adversaryReads/20 {
		t.Error("this proves little")
	}
}

// TestLateCopyOfAnAnswer: the unit's answer to a first request comes a second time, late, in the place of the answer to
// the next, which is lost. It is not taken for that; and where two addresses hold the same, both are read.
func TestLateCopyOfAnAnswer(t *testing.T) {
	var n int
	var first []byte
	w := listenWire(t, func(c net.Conn, br *bufio.Reader) {
		for {
			a, err := readRTU(br)
			if err != nil {
				return
			}
			b := a.rtu(a.registers(func(at uint16) uint16 { return truth(at % 1000) }))
			switch n++; n {
			case 1:
				first = b
			case 2:
				b = first
			}
			_, _ = c.Write(b)
		}
	})
	l := newRTULine(Address{Scheme: "rtuovertcp", Target: w.Addr().String(), Baud: 115200}, Link{})
	if err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, at := range []uint16{10, 20, 1010, 2010} { // the last two hold what the first does
		data, err := l.read(t.Context(), request{unit: 1, table: profile.Input, address: at, count: 2, timeout: time.Second})
		if err != nil || len(data) != 4 || uint16(data[0])<<8|uint16(data[1]) != truth(at%1000) {
			t.Errorf("address %d: % x %v", at, data, err)
		}
	}
	if n < 6 {
		t.Errorf("only %d requests: what may be a copy is asked for again", n)
	}
}

// TestWhyRTUIsOurOwn shows what made us write RTU framing: the library takes the second copy of an
// answer for the answer to the next request, without an error. Ours does not.
func TestWhyRTUIsOurOwn(t *testing.T) {
	twice := func(c net.Conn, br *bufio.Reader) {
		for {
			a, err := readRTU(br)
			if err != nil {
				return
			}
			b := a.rtu(a.registers(truth))
			_, _ = c.Write(append(b, b...))
		}
	}
	library, err := sim.NewClient(&sim.ClientConfiguration{URL: "rtuovertcp://" + listenWire(t, twice).Addr().String(), Timeout: time.Second, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := library.Open(); err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	if _, err := library.ReadRegister(10, sim.INPUT_REGISTER); err != nil {
		t.Fatal(err)
	}
	if v, err := library.ReadRegister(20, sim.INPUT_REGISTER); err != nil || v != truth(10) {
		t.Errorf("the library now answers %d, %v: is our own framing still needed?", v, err)
	}
	l := newRTULine(Address{Scheme: "rtuovertcp", Target: listenWire(t, twice).Addr().String(), Baud: 115200}, Link{})
	if err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	q := request{unit: 1, table: profile.Input, address: 10, count: 1, timeout: time.Second}
	if _, err := l.read(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	q.address = 20
	if data, err := l.read(t.Context(), q); !errors.Is(err, errDesync) {
		t.Errorf("ours answers % x, %v", data, err)
	}
}
