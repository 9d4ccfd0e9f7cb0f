package equipment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/simonvetter/modbus"
)

func TestSensorFaultsOverModbus(t *testing.T) {
	p := running(t, Config{Seed: 5, Tick: 10 * time.Millisecond, Devices: Default()[:5]})
	for _, q := range []struct {
		device, point string
		raw           []uint16
	}{
		{"P-101", "bearing_temperature_de", []uint16{0x7FFF}}, {"P-101", "vibration_de", []uint16{0xFFFF}},
		{"C-201", "oil_temperature", []uint16{0x8000}}, {"CH-301", "superheat", []uint16{0x7FFF}}, {"M-401", "current_l2", []uint16{0x7FC0, 0}},
	} {
		u, _ := p.unit(q.device)
		pt := u.k.points[u.k.index(q.point)]
		alarm := u.k.points[u.k.index("alarm_word")]
		c := client(t, p, q.device)
		if _, err := p.Inject(Event{Device: q.device, Fault: SensorOpen, Point: q.point}); err != nil {
			t.Fatal(err)
		}
		got, err := c.ReadRegisters(pt.Address, uint16(pt.Size()), regTypes[pt.Table])
		if err != nil || got[0] != q.raw[0] || got[len(got)-1] != q.raw[len(q.raw)-1] {
			t.Errorf("%s %s open: %04x, %v", q.device, q.point, got, err)
		}
		word, err := c.ReadRegister(alarm.Address, regTypes[alarm.Table])
		if n := len(alarm.Bits) - 1; err != nil || word>>n != 1 || alarm.Bits[n] != "sensor_fault" {
			t.Errorf("%s alarm word %016b, %v", q.device, word, err)
		}
		if err := p.Clear(q.device, SensorOpen, q.point); err != nil {
			t.Fatal(err)
		}
		if got, err := c.ReadRegisters(pt.Address, uint16(pt.Size()), regTypes[pt.Table]); err != nil || got[0] == q.raw[0] {
			t.Errorf("%s %s after repair: %04x, %v", q.device, q.point, got, err)
		}
	}
	if _, err := p.Inject(Event{Device: "M-401", Fault: SensorStuck, Point: "frequency"}); err != nil {
		t.Fatal(err)
	}
	c := client(t, p, "M-401")
	first, err := c.ReadFloat32(38, modbus.INPUT_REGISTER)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		before, _ := p.Values("M-401")
		eventually(t, "the true value moves", func() bool { v, _ := p.Values("M-401"); return v["frequency"] != before["frequency"] })
		if v, err := c.ReadFloat32(38, modbus.INPUT_REGISTER); v != first || err != nil {
			t.Errorf("stuck at %v, read %v, %v", first, v, err)
		}
	}
}

func TestOfflineDropsConnectionsAndComesBackOnTheSamePort(t *testing.T) {
	p := still(t)
	at := address(t, p, "P-101")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := p.Inject(Event{Device: "P-101", Fault: Offline}); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stayed")
	}
	eventually(t, "connections are refused", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	other := client(t, p, "P-102")
	if _, err := other.ReadRegister(0, modbus.INPUT_REGISTER); err != nil {
		t.Errorf("another device: %v", err)
	}
	if err := p.Clear("P-101", Offline, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens again", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if now := address(t, p, "P-101"); now != at {
		t.Errorf("moved from %s to %s", at, now)
	}
	if _, err := client(t, p, "P-101").ReadRegister(0, modbus.INPUT_REGISTER); err != nil {
		t.Error(err)
	}
}

func TestSlowAnswersLate(t *testing.T) {
	p := still(t)
	c := client(t, p, "P-101")
	if _, err := p.Inject(Event{Device: "P-101", Fault: Slow, Severity: 0.05}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.ReadRegister(0, modbus.INPUT_REGISTER); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("answered after %v, want at least 150ms", took)
	}
}

func TestExceptionsInTheShareOfSeverity(t *testing.T) {
	p := still(t)
	c := client(t, p, "P-101")
	for _, q := range []struct {
		code     int
		severity float64
		want     error
		refused  int
	}{{0, 1, modbus.ErrServerDeviceBusy, 20}, {2, 0.5, modbus.ErrIllegalDataAddress, 10}, {4, 0.25, modbus.ErrServerDeviceFailure, 5}} {
		if _, err := p.Inject(Event{Device: "P-101", Fault: Exception, Severity: q.severity, Code: q.code}); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for range 20 {
			if _, err := c.ReadRegister(0, modbus.INPUT_REGISTER); errors.Is(err, q.want) {
				refused++
			} else if err != nil {
				t.Errorf("code %d: %v", q.code, err)
			}
		}
		if refused != q.refused {
			t.Errorf("code %d, severity %v: %d of 20 refused, want %d", q.code, q.severity, refused, q.refused)
		}
	}
	if err := p.Clear("P-101", Exception, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadRegister(0, modbus.INPUT_REGISTER); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestGarbageAndHalfFrames(t *testing.T) {
	p := still(t)
	request := []byte{0, 7, 0, 0, 0, 6, 1, 4, 0, 0, 0, 13}
	ask := func() []byte {
		conn, err := net.Dial("tcp", address(t, p, "P-101"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite() // the device answers, then sees the end: the answer is whole
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		b, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const whole = 7 + 2 + 26
	if b := ask(); len(b) != whole || !bytes.Equal(b[:4], request[:4]) {
		t.Fatalf("healthy: % x", b)
	}
	p.Inject(Event{Device: "P-101", Fault: Garbage})
	if b := ask(); len(b) == 0 || binary.BigEndian.Uint16(b[2:]) == 0 {
		t.Errorf("garbage: % x", b)
	}
	p.Clear("P-101", Garbage, "")
	p.Inject(Event{Device: "P-101", Fault: HalfFrame})
	if b := ask(); len(b) != whole/2 || !bytes.Equal(b[:4], request[:4]) {
		t.Errorf("half frame: % x", b)
	}
	p.Clear("P-101", HalfFrame, "")
	if b := ask(); len(b) != whole {
		t.Errorf("after the repair: % x", b)
	}
	counted(t, p, "P-101", 2, 0) // the whole ones
}
