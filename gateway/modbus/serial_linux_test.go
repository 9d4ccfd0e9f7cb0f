package modbus

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline-iot/faultline"
)

// TestSerialPort reads a unit behind a pseudo terminal, at the byte level.
func TestSerialPort(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("/dev/pts/%d", n)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0) // keeps the terminal alive between openings
	if err != nil {
		t.Fatal(err)
	}
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
		slave.Close()
		master.Close()
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
