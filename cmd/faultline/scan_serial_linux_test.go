package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/document"
)

// pseudoTerminal makes a serial port and gives its name and its other side.
func pseudoTerminal(t *testing.T) (name string, master, slave *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatalf("no pseudo terminals here: %v", err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	control := func(f *os.File, request uintptr, arg unsafe.Pointer) {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); e != 0 {
			t.Fatalf("ioctl %x: %v", request, e)
		}
	}
	master = open("/dev/ptmx")
	var number, locked int32
	control(master, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	control(master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	name = fmt.Sprintf("/dev/pts/%d", number)
	slave = open(name) // keeps the line alive between openings
	var attrs syscall.Termios
	control(slave, syscall.TCGETS, unsafe.Pointer(&attrs))
	attrs.Iflag, attrs.Oflag, attrs.Lflag = 0, 0, 0 // bytes as they are
	control(slave, syscall.TCSETS, unsafe.Pointer(&attrs))
	return name, master, slave
}

// serialUnit is a unit on a serial line in front of simulated equipment. It has SunSpec's common model besides, takes at
// most 40 registers in a read, and notes what it is asked and when.
type serialUnit struct {
	line io.ReadWriter
	to   net.Conn // the equipment, Modbus TCP
	unit byte

	mu        sync.Mutex
	functions map[byte]int
	least     time.Duration // between an answer and the next request
	last      time.Time
}

const serialMost = 40

func checksum(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// serve ends with a request to unit 0.
func (s *serialUnit) serve() {
	r := bufio.NewReader(s.line)
	for {
		head, err := r.Peek(2)
		if err != nil || head[0] == 0 {
			return
		}
		size := 8
		switch head[1] {
		case 17:
			size = 4
		case 43:
			size = 7
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		s.mu.Lock()
		s.functions[b[1]]++
		if gap := time.Since(s.last); !s.last.IsZero() && gap < s.least {
			s.least = gap
		}
		s.mu.Unlock()
		if b[0] != s.unit {
			continue
		}
		answer := append([]byte{b[0]}, s.answer(b[1:size-2])...)
		s.mu.Lock()
		s.last = time.Now()
		s.mu.Unlock()
		_, _ = s.line.Write(binary.LittleEndian.AppendUint16(answer, checksum(answer)))
	}
}

func (s *serialUnit) answer(pdu []byte) []byte {
	refuse := func(code byte) []byte { return []byte{pdu[0] | 0x80, code} }
	if pdu[0] < 1 || pdu[0] > 4 {
		return refuse(1)
	}
	address, count := binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:])
	if pdu[0] >= 3 && count > serialMost {
		return refuse(3)
	}
	if pdu[0] == 3 && address >= 40000 {
		common := make([]byte, 2*70)
		copy(common, "SunS\x00\x01\x00\x42")
		copy(common[8:], "Acme")
		copy(common[40:], "Pump 7")
		binary.BigEndian.PutUint16(common[136:], 0xFFFF)
		from := 2 * (int(address) - 40000)
		if from+2*int(count) > len(common) {
			return refuse(2)
		}
		return append([]byte{3, byte(2 * count)}, common[from:from+2*int(count)]...)
	}
	ask := append([]byte{0, 1, 0, 0, 0, byte(1 + len(pdu)), s.unit}, pdu...)
	if _, err := s.to.Write(ask); err != nil {
		return refuse(4)
	}
	var head [7]byte
	if _, err := io.ReadFull(s.to, head[:]); err != nil {
		return refuse(4)
	}
	out := make([]byte, int(binary.BigEndian.Uint16(head[4:]))-1)
	if _, err := io.ReadFull(s.to, out); err != nil {
		return refuse(4)
	}
	return out
}

// TestScanOverSerial scans a serial line: who the unit is, which block it takes, how long it needs, which profile it
// fits, and an entry that the configuration takes. The unit sees that scan only reads, and rests after each answer.
func TestScanOverSerial(t *testing.T) {
	plant, err := equipment.New(equipment.Config{Devices: []equipment.DeviceConfig{{Name: "P", Kind: "pump", Hours: 1000, Unit: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- plant.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-plant.Ready()
	to, err := net.Dial("tcp", plant.Devices()[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	port, master, slave := pseudoTerminal(t)
	s := &serialUnit{line: master, to: to, unit: 3, functions: map[byte]int{}, least: time.Hour}
	var wg sync.WaitGroup
	wg.Go(s.serve)
	t.Cleanup(func() { _, _ = slave.Write(make([]byte, 8)); wg.Wait() })

	const rest = 3 * time.Millisecond
	address := "rtu://" + port + "?baud=115200&parity=none"
	file := filepath.Join(t.TempDir(), "entry.yaml")
	var out bytes.Buffer
	if err := dispatch(t.Context(), []string{"scan", address, "-units", "2-3", "-profile", "sim-pump,sim-chiller", "-range", "0-99", "-pause", rest.String(), "-timeout", "300ms", "-between", "100ms", "-out", file}, &out, &out); err != nil {
		t.Fatal(err, out.String())
	}
	for _, want := range []string{"It only reads", "unit 3: SunSpec at 40000: Acme Pump 7, models [1]", "one read may have 40 registers", "it answers in", "sim-pump"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in what scan says:\n%s", want, out.String())
		}
	}
	entry, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err, out.String())
	}
	var c gateway.Config
	d, err := document.Decode("entry.yaml", []byte("id: gw-1\nsite: plant\ndevices:\n"+string(entry)), &c)
	if err != nil {
		t.Fatalf("%v\n%s", err, entry)
	}
	set, err := profile.Library()
	if err != nil {
		t.Fatal(err)
	}
	c.Validate(d.Problems(), "", set)
	if err := d.Problems().Err(); err != nil {
		t.Fatalf("%v\n%s", err, entry)
	}
	if len(c.Devices) != 1 || c.Devices[0].Profile != "sim-pump" || c.Devices[0].Address != address || *c.Devices[0].Unit != 3 {
		t.Errorf("%+v\n%s", c.Devices, out.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, n := range s.functions {
		if !strings.Contains("1 2 3 4 17 43", fmt.Sprint(f)) {
			t.Errorf("function %d came %d times: scan only reads", f, n)
		}
	}
	if s.functions[3] == 0 || s.least < rest {
		t.Errorf("%v, the shortest rest was %v, want %v at least", s.functions, s.least, rest)
	}
}
