package modbus

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	sim "github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// table is what a test device holds. It is a handler of the library's server, which we did not write.
type table struct {
	mu        sync.Mutex
	registers map[uint16]uint16
	bits      map[uint16]bool
	fail      error                     // every request
	units     map[uint8]error           // by unit
	requests  []string                  // what was asked
	before    func(unit uint8, n int32) // called for each request, without the lock
	n         int32
}

func newTable() *table {
	return &table{registers: map[uint16]uint16{}, bits: map[uint16]bool{}, units: map[uint8]error{}}
}

func (d *table) asked(what string, unit uint8, addr, count uint16) error {
	d.n++
	n, before := d.n, d.before
	d.requests = append(d.requests, fmt.Sprintf("%s %d+%d", what, addr, count))
	if before != nil {
		d.mu.Unlock()
		before(unit, n)
		d.mu.Lock()
	}
	if d.fail != nil {
		return d.fail
	}
	return d.units[unit]
}

func (d *table) read(what string, unit uint8, addr, count uint16) ([]uint16, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.asked(what, unit, addr, count); err != nil {
		return nil, err
	}
	out := make([]uint16, count)
	for i := range out {
		v, ok := d.registers[addr+uint16(i)]
		if !ok {
			return nil, sim.ErrIllegalDataAddress
		}
		out[i] = v
	}
	return out, nil
}

func (d *table) HandleHoldingRegisters(r *sim.HoldingRegistersRequest) ([]uint16, error) {
	return d.read("holding", r.UnitId, r.Addr, r.Quantity)
}

func (d *table) HandleInputRegisters(r *sim.InputRegistersRequest) ([]uint16, error) {
	return d.read("input", r.UnitId, r.Addr, r.Quantity)
}

func (d *table) readBits(what string, unit uint8, addr, count uint16) ([]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.asked(what, unit, addr, count); err != nil {
		return nil, err
	}
	out := make([]bool, count)
	for i := range out {
		v, ok := d.bits[addr+uint16(i)]
		if !ok {
			return nil, sim.ErrIllegalDataAddress
		}
		out[i] = v
	}
	return out, nil
}

func (d *table) HandleCoils(r *sim.CoilsRequest) ([]bool, error) {
	return d.readBits("coil", r.UnitId, r.Addr, r.Quantity)
}

func (d *table) HandleDiscreteInputs(r *sim.DiscreteInputsRequest) ([]bool, error) {
	return d.readBits("discrete", r.UnitId, r.Addr, r.Quantity)
}

// serve starts a Modbus TCP server and gives its address.
func serve(t *testing.T, d *table) string {
	t.Helper()
	address, stop := serveAt(t, d, freePort(t))
	t.Cleanup(stop)
	return address
}

func serveAt(t *testing.T, d *table, address string) (string, func()) {
	t.Helper()
	s, err := sim.NewServer(&sim.ServerConfiguration{URL: "tcp://" + address, Timeout: time.Minute, MaxClients: 50, Logger: log.New(io.Discard, "", 0)}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return "tcp://" + address, func() { _ = s.Stop() }
}

// freePort asks the system for a port: the library's server does not tell which one it took.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// frames gathers what a driver emits.
type frames struct {
	mu   sync.Mutex
	list []faultline.Frame
	some chan struct{}
}

func newFrames() *frames { return &frames{some: make(chan struct{}, 1)} }

func (f *frames) emit(_ context.Context, frame faultline.Frame, _ bus.Meta) error {
	frame.Samples = slices.Clone(frame.Samples) // which are used again
	f.mu.Lock()
	f.list = append(f.list, frame)
	f.mu.Unlock()
	select {
	case f.some <- struct{}{}:
	default:
	}
	return nil
}

// wait waits until a frame after the first skip ones satisfies ok, and gives it and its number.
func (f *frames) wait(t *testing.T, skip int, what string, ok func(faultline.Frame) bool) (faultline.Frame, int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		for i := skip; i < len(f.list); i++ {
			if ok(f.list[i]) {
				defer f.mu.Unlock()
				return f.list[i], i
			}
		}
		n := len(f.list)
		skip = max(skip, n)
		f.mu.Unlock()
		select {
		case <-f.some:
		case <-deadline:
			t.Fatalf("no frame with %s among %d", what, n)
		}
	}
}

func sample(f faultline.Frame, point string) faultline.Sample {
	i := slices.IndexFunc(f.Samples, func(s faultline.Sample) bool { return s.Point == point })
	if i < 0 {
		return faultline.Sample{}
	}
	return f.Samples[i]
}

// run runs a bus until the test ends.
func run(t *testing.T, cfg Config) (*frames, *Bus) {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return runBus(t, b), b
}

func runBus(t *testing.T, b *Bus) *frames {
	t.Helper()
	f := newFrames()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, f.emit) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
	})
	return f
}

// registers makes a profile of n float points "p<address>" in input registers at the addresses.
func registers(addresses ...uint16) *profile.Profile {
	p := &profile.Profile{Name: "test", Version: "1", Kind: "thing", Source: "test"}
	for _, a := range addresses {
		p.Points = append(p.Points, profile.Point{Name: fmt.Sprintf("p%d", a), Type: faultline.TypeFloat, Register: &profile.Register{Table: profile.Input, Address: a, Data: profile.Uint16}})
	}
	return p
}

// wire is a device of our own at the byte level, to misbehave in ways that a library cannot.
type wire struct {
	net.Listener
	wg sync.WaitGroup
}

// listenWire serves each connection with handle until the test ends.
func listenWire(t *testing.T, handle func(net.Conn, *bufio.Reader)) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	w.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			w.wg.Go(func() {
				defer c.Close()
				handle(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		w.wg.Wait()
	})
	return w
}

// asked is one request as it was on the wire.
type asked struct {
	txn      uint16
	unit, fc byte
	address  uint16
	count    uint16
}

func readTCP(r *bufio.Reader) (asked, error) {
	var b [12]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return asked{}, err
	}
	return asked{binary.BigEndian.Uint16(b[:]), b[6], b[7], binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])}, nil
}

func readRTU(r *bufio.Reader) (asked, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return asked{}, err
	}
	if crc16(b[:6]) != binary.LittleEndian.Uint16(b[6:]) {
		return asked{}, fmt.Errorf("request with a wrong checksum: % x", b)
	}
	return asked{0, b[0], b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:])}, nil
}

func (a asked) tcp(pdu []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, a.txn)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(1+len(pdu)))
	return append(append(b, a.unit), pdu...)
}

func (a asked) rtu(pdu []byte) []byte {
	b := append([]byte{a.unit}, pdu...)
	return binary.LittleEndian.AppendUint16(b, crc16(b))
}

// registers answers with the values.
func (a asked) registers(values func(address uint16) uint16) []byte {
	pdu := []byte{a.fc, byte(2 * a.count)}
	for i := range a.count {
		pdu = binary.BigEndian.AppendUint16(pdu, values(a.address+i))
	}
	return pdu
}
