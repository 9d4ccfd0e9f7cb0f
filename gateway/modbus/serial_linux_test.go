package modbus

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline-iot/faultline"
)

// terminal makes a pseudo terminal: the name of the serial port and its other side. The open port keeps it alive
// between openings.
func terminal(t *testing.T) (name string, master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("/dev/pts/%d", n)
	if slave, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	attrs, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	attrs.Iflag, attrs.Oflag, attrs.Lflag = 0, 0, 0 // bytes as they are, before the port is opened too
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, attrs); err != nil {
		t.Fatal(err)
	}
	return name, master, slave
}

// serialLiar serves misbehaving units on a serial port and gives its name.
var serialLiar = lyingUnits

// lyingUnits are misbehaving units at a serial port. A request that is cut or mixed up is passed over up to the next
// that has a checksum.
func lyingUnits(t *testing.T, seed uint64) string {
	name, master, slave := terminal(t)
	var wg sync.WaitGroup
	var ended atomic.Bool
	wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, 1))
		br := bufio.NewReader(master)
		for !ended.Load() {
			b, err := br.Peek(8)
			if err != nil {
				return
			}
			if crc16(b[:6]) != binary.LittleEndian.Uint16(b[6:]) {
				_, _ = br.Discard(1)
				continue
			}
			a, _ := readRTU(br)
			misbehave(r, master, a, asked.rtu)
		}
	})
	t.Cleanup(func() {
		ended.Store(true)
		_, _ = slave.Write(make([]byte, 16))
		wg.Wait()
	})
	return name
}

// TestSerialPort reads a unit behind a pseudo terminal, at the byte level.
func TestSerialPort(t *testing.T) {
	name, master, slave := terminal(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers, silent := 0, false
	wg.Go(func() {
		r := bufio.NewReader(master)
		for {
			a, err := readRTU(r)
			if err != nil {
				return
			}
			mu.Lock()
			answers++
			quiet := silent
			mu.Unlock()
			if !quiet && a.unit == 9 {
				_, _ = master.Write(a.rtu(a.registers(truth)))
			}
		}
	})
	t.Cleanup(func() {
		_, _ = slave.Write(make([]byte, 8)) // ends the reader: no request has a checksum of zeros
		wg.Wait()
	})
	f, _ := run(t, Config{Address: "rtu://" + name + "?baud=115200&parity=none", Devices: []Device{
		{Position: "X", Unit: 9, Period: fast, Timeout: 200 * time.Millisecond, Profile: registers(3, 4, 40)},
		{Position: "Y", Unit: 8, Period: fast, Timeout: 50 * time.Millisecond, Profile: registers(3)},
	}})
	right := func(f faultline.Frame) bool {
		return f.Position == "X" && sample(f, "p3").Value == faultline.Float(float64(truth(3))) && sample(f, "p40").Value == faultline.Float(float64(truth(40)))
	}
	_, at := f.wait(t, 0, "values", right)
	_, at = f.wait(t, at, "the absent unit", func(f faultline.Frame) bool {
		return f.Position == "Y" && sample(f, "p3").Quality == faultline.BadTimeout
	})
	_, at = f.wait(t, at+1, "values beside it", right)
	mu.Lock()
	silent = true
	mu.Unlock()
	_, at = f.wait(t, at, "time-out", func(f faultline.Frame) bool {
		return f.Position == "X" && sample(f, "p3").Quality == faultline.BadTimeout
	})
	mu.Lock()
	silent = false
	mu.Unlock()
	f.wait(t, at, "values again", right)
}
