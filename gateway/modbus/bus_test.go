package modbus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sim "github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

const fast = 20 * time.Millisecond

func TestPollsAllTables(t *testing.T) {
	d := newTable()
	for a, v := range map[uint16]uint16{0: 0x4248, 1: 0xF5C3, 2: 0xFFFF, 3: 0x8000, 10: 7} {
		d.registers[a] = v
	}
	for i := range uint16(20) {
		d.bits[i] = i%3 == 0
	}
	p := &profile.Profile{Name: "all", Version: "1", Kind: "thing", Source: "test"}
	add := func(name string, typ faultline.Type, r profile.Register) {
		p.Points = append(p.Points, profile.Point{Name: name, Type: typ, Register: &r})
	}
	add("f", faultline.TypeFloat, profile.Register{Table: profile.Input, Address: 0, Data: profile.Float32})
	add("i", faultline.TypeInt, profile.Register{Table: profile.Holding, Address: 3, Data: profile.Int16})
	add("h", faultline.TypeInt, profile.Register{Table: profile.Holding, Address: 10, Data: profile.Uint16})
	for i := range uint16(20) {
		add(fmt.Sprintf("c%d", i), faultline.TypeBool, profile.Register{Table: profile.Coil, Address: i, Data: profile.Bool})
		add(fmt.Sprintf("d%d", i), faultline.TypeBool, profile.Register{Table: profile.Discrete, Address: i, Data: profile.Bool})
	}
	gap := 0
	p.Modbus.MaxGap = &gap
	f, _ := run(t, Config{Address: serve(t, d), Devices: []Device{{Position: "X", Unit: 1, Period: fast, Profile: p}}})
	got, _ := f.wait(t, 0, "values", func(f faultline.Frame) bool { return sample(f, "f").Quality.IsGood() })
	if v, _ := sample(got, "f").Value.Number(); float32(v) != 50.24 {
		t.Errorf("float: %v", v)
	}
	if v, _ := sample(got, "i").Value.Int64(); v != -32768 {
		t.Errorf("int16: %v", v)
	}
	for i := range 20 {
		for _, table := range "cd" {
			s := sample(got, fmt.Sprintf("%c%d", table, i))
			if v, ok := s.Value.Int64(); !ok || (v == 1) != (i%3 == 0) || !s.Quality.IsGood() {
				t.Errorf("%c%d is %v %s", table, i, s.Value, s.Quality)
			}
		}
	}
	if got.Kind != "thing" || got.Position != "X" || got.Time.IsZero() {
		t.Errorf("frame %+v", got)
	}
}

func TestIllegalAddressIsIsolatedAndForgiven(t *testing.T) {
	d := newTable()
	var all []uint16
	for a := range uint16(32) {
		all = append(all, a)
		if a != 13 && a != 14 {
			d.registers[a] = 100 + a
		}
	}
	b, err := New(Config{Address: serve(t, d), Devices: []Device{{Position: "X", Unit: 1, Profile: registers(all...)}}})
	if err != nil {
		t.Fatal(err)
	}
	u, l := b.units[0], newLine(b.address, Link{})
	if err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	now := time.Now()
	check := func(now time.Time, illegal map[uint16]bool) {
		t.Helper()
		if err := u.poll(t.Context(), l, now); err != nil {
			t.Fatal(err)
		}
		for i, s := range u.samples {
			if a := uint16(i); illegal[a] && s.Quality != faultline.BadIllegalAddress || !illegal[a] && s.Value != faultline.Float(float64(100+a)) {
				t.Errorf("address %d: %v %s", a, s.Value, s.Quality)
			}
		}
	}
	gone := map[uint16]bool{13: true, 14: true}
	check(now, gone)
	first := u.requests
	check(now.Add(time.Second), gone)
	if u.requests >= first || u.requests > 5 {
		t.Errorf("%d requests, then %d: what was refused must be remembered", first, u.requests)
	}
	d.mu.Lock()
	d.registers[13], d.registers[14] = 113, 114
	d.mu.Unlock()
	check(now.Add(2*time.Second), gone) // not asked again so soon
	check(now.Add(refusedFirst+time.Second), nil)
	check(now.Add(refusedFirst+2*time.Second), nil)
	if u.requests != 1 {
		t.Errorf("%d requests after the addresses came back, want 1", u.requests)
	}
}

func TestExceptionsAreQualities(t *testing.T) {
	for _, c := range []struct {
		err  error
		want faultline.Quality
	}{
		{sim.ErrServerDeviceBusy, "bad:exception:server_device_busy"},
		{sim.ErrServerDeviceFailure, "bad:exception:server_device_failure"},
		{sim.ErrIllegalFunction, "bad:exception:illegal_function"},
		{sim.ErrIllegalDataAddress, faultline.BadIllegalAddress},
		{sim.ErrGWTargetFailedToRespond, "bad:exception:gateway_target_silent"},
	} {
		d := newTable()
		d.registers[0], d.registers[40] = 1, 2
		d.fail = c.err
		f, _ := run(t, Config{Address: serve(t, d), Devices: []Device{{Position: "X", Unit: 1, Period: fast, Profile: registers(0, 40)}}})
		got, _ := f.wait(t, 0, string(c.want), func(f faultline.Frame) bool { return sample(f, "p0").Quality == c.want })
		if q := sample(got, "p40").Quality; q != c.want {
			t.Errorf("%v: the other block is %s", c.err, q)
		}
		if err := c.want.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestDeadUnitLeavesTheOthers(t *testing.T) {
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for {
			a, err := readTCP(r)
			if err != nil {
				return
			}
			if a.unit == 2 {
				continue // says nothing
			}
			_, _ = c.Write(a.tcp(a.registers(func(uint16) uint16 { return 42 })))
		}
	})
	p := registers(0)
	f, b := run(t, Config{Address: "tcp://" + w.Addr().String(), Devices: []Device{
		{Position: "A", Unit: 1, Period: fast, Timeout: 50 * time.Millisecond, Profile: p},
		{Position: "B", Unit: 2, Period: fast, Timeout: 50 * time.Millisecond, Profile: p},
	}})
	_, n := f.wait(t, 0, "B bad", func(f faultline.Frame) bool {
		return f.Position == "B" && sample(f, "p0").Quality == faultline.BadTimeout
	})
	good := 0
	f.wait(t, n, "30 good readings of A", func(f faultline.Frame) bool {
		if f.Position == "A" && sample(f, "p0").Quality.IsGood() {
			good++
		}
		return good == 30
	})
	if n := testutil.ToFloat64(b.cfg.Metrics.polls.WithLabelValues("timeout")); n > 4 {
		t.Errorf("the dead unit was asked %v times while A was read 30 times", n)
	}
}

func TestRecoversAfterLoss(t *testing.T) {
	d := newTable()
	d.registers[0] = 1
	address, stop := serveAt(t, d, freePort(t))
	f, _ := run(t, Config{Address: address, Devices: []Device{{Position: "X", Unit: 1, Period: fast, Timeout: 200 * time.Millisecond, Profile: registers(0)}}})
	_, n := f.wait(t, 0, "a good value", func(f faultline.Frame) bool { return sample(f, "p0").Quality.IsGood() })
	stop()
	_, n = f.wait(t, n, "not connected", func(f faultline.Frame) bool { return sample(f, "p0").Quality == faultline.BadNotConnected })
	d.mu.Lock()
	d.registers[0] = 2
	d.mu.Unlock()
	_, stop = serveAt(t, d, strings.TrimPrefix(address, "tcp://"))
	defer stop()
	f.wait(t, n, "the new value", func(f faultline.Frame) bool { return sample(f, "p0").Value == faultline.Float(2) })
}

func TestIdleCloseIsNoFault(t *testing.T) {
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for range 3 { // answers three requests, then closes
			a, err := readTCP(r)
			if err != nil {
				return
			}
			_, _ = c.Write(a.tcp(a.registers(func(uint16) uint16 { return 42 })))
		}
	})
	f, _ := run(t, Config{Address: "tcp://" + w.Addr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: 400 * time.Millisecond, Profile: registers(0)}}})
	f.wait(t, 0, "five readings", func(faultline.Frame) bool { return len(f.list) >= 5 })
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fr := range f.list {
		if q := sample(fr, "p0").Quality; !q.IsGood() {
			t.Errorf("a reading is %s", q)
		}
	}
}

func TestEmitErrors(t *testing.T) {
	d := newTable()
	d.registers[0] = 1
	b, err := New(Config{Address: serve(t, d), Devices: []Device{{Position: "X", Unit: 1, Period: fast, Profile: registers(0)}}})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk on fire")
	if err := b.Run(t.Context(), func(context.Context, faultline.Frame, bus.Meta) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a sink that fails ends Run with its error, got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	var n atomic.Int32
	err = b.Run(ctx, func(context.Context, faultline.Frame, bus.Meta) error {
		if n.Add(1) == 3 {
			cancel(errors.New("enough"))
		}
		return fmt.Errorf("%w: no good", faultline.ErrInvalid)
	})
	if err != nil || n.Load() < 3 {
		t.Errorf("a refused frame is counted and the rest goes on: %v after %d", err, n.Load())
	}
}

func TestConfigIsChecked(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:502":          "tcp://",
		"tcp://":                "host",
		"tcp://h:502?baud=9600": "no option",
		"rtuovertcp://h":        "port",
		"rtu://dev/ttyUSB0":     "three slashes",
		"rtu:///dev/x?baud=1":   "baud",
		"rtu:///dev/x?speed=1":  "unknown option",
		"udp://h:502":           "unknown scheme",
		"tcp://user:pw@h:502":   "use tcp://host:port",
	} {
		_, err := ParseAddress(address)
		if err == nil || !errors.Is(err, faultline.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	for in, want := range map[string]string{
		"tcp://plc":                        "tcp://plc:502",
		"tcp://[::1]:1502/":                "tcp://[::1]:1502",
		"rtu:///dev/ttyS0":                 "rtu:///dev/ttyS0?baud=19200&databits=8&parity=E&stopbits=1",
		"rtu:///dev/ttyS0?parity=none":     "rtu:///dev/ttyS0?baud=19200&databits=8&parity=N&stopbits=2",
		"rtuovertcp://conv:4001?baud=9600": "rtuovertcp://conv:4001",
	} {
		a, err := ParseAddress(in)
		if err != nil || a.String() != want {
			t.Errorf("%s: %s %v, want %s", in, a, err, want)
		}
	}
	if _, err := New(Config{Address: "tcp://x"}); err == nil {
		t.Error("a bus without devices was taken")
	}
}

func TestMetricsAreWellNamed(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m := NewMetrics(r)
	m.polls.WithLabelValues("good").Inc()
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
