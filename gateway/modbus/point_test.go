package modbus

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// setpoints is a device with points of the kinds that are written: a number of two registers, a bit within a
// register, a coil; and one that is not.
func setpoints() *profile.Profile {
	p := registers(0)
	scale, low, high := 0.1, 0.0, 100.0
	limits := &profile.Writable{Min: &low, Max: &high}
	p.Points = append(p.Points,
		profile.Point{Name: "level", Type: faultline.TypeFloat, Scale: &scale, Write: limits, Register: &profile.Register{Table: profile.Holding, Address: 10, Data: profile.Uint32, Order: profile.CDAB}},
		profile.Point{Name: "enable", Type: faultline.TypeBool, Write: &profile.Writable{}, Register: &profile.Register{Table: profile.Holding, Address: 20, Data: profile.Bit, Bit: 3}},
		profile.Point{Name: "run", Type: faultline.TypeBool, Write: &profile.Writable{Multiple: true}, Register: &profile.Register{Table: profile.Coil, Address: 5, Data: profile.Bool}},
		profile.Point{Name: "fixed", Type: faultline.TypeFloat, Register: &profile.Register{Table: profile.Holding, Address: 30, Data: profile.Uint16}})
	return p
}

func pointOf(t *testing.T, p *profile.Profile, name string) *profile.Point {
	t.Helper()
	for i := range p.Points {
		if p.Points[i].Name == name {
			return &p.Points[i]
		}
	}
	t.Fatalf("%s has no %s", p.Name, name)
	return nil
}

func TestWritePoint(t *testing.T) {
	m := newMemory()
	m.words[11], m.words[10], m.words[20] = 0, 125, 0xA5F7 // 12.5; bit 3 is off
	p := setpoints()
	_, b := run(t, Config{Address: "tcp://" + listenWire(t, m.serveTCP).Addr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: 20 * time.Millisecond, Profile: p}}})
	for _, c := range []struct {
		point        string
		v, old, back faultline.Value
	}{
		{"level", faultline.Float(55.5), faultline.Float(12.5), faultline.Float(55.5)},
		{"level", faultline.Float(20.04), faultline.Float(55.5), faultline.Float(20)}, // rounded to what the registers hold
		{"level", faultline.Float(20), faultline.Float(20), faultline.Float(20)},
		{"enable", faultline.Bool(true), faultline.Bool(false), faultline.Bool(true)},
		{"run", faultline.Bool(true), faultline.Bool(false), faultline.Bool(true)},
	} {
		old, back, sent, err := b.WritePoint(t.Context(), "X", pointOf(t, p, c.point), c.v)
		if err != nil || !sent || old.Value != c.old || back.Value != c.back {
			t.Errorf("%s %v: old %v back %v sent %v: %v", c.point, c.v, old.Value, back.Value, sent, err)
		}
	}
	m.mu.Lock()
	if m.words[20] != 0xA5FF || m.words[10] != 200 || !m.coils[5] {
		t.Errorf("%#x %d %v: the other bits of the register stay", m.words[20], m.words[10], m.coils[5])
	}
	m.mu.Unlock()
	for name, write := range map[string]func() (bool, error){
		"not writable": func() (bool, error) {
			_, _, sent, err := b.WritePoint(t.Context(), "X", pointOf(t, p, "fixed"), faultline.Float(1))
			return sent, err
		},
		"not on the bus": func() (bool, error) {
			_, _, sent, err := b.WritePoint(t.Context(), "Y", pointOf(t, p, "level"), faultline.Float(1))
			return sent, err
		},
		"does not fit": func() (bool, error) {
			_, _, sent, err := b.WritePoint(t.Context(), "X", pointOf(t, p, "level"), faultline.Float(1e12))
			return sent, err
		},
	} {
		if sent, err := write(); sent || err == nil {
			t.Errorf("%s: sent %v, %v", name, sent, err)
		}
	}
}

// What a device refuses was not written; what it does not confirm may have been, and reading it back tells.
func TestWritePointWithoutConfirmation(t *testing.T) {
	m := newMemory()
	m.words[10] = 125
	p := setpoints()
	lost := false
	m.mute = func(function byte) bool { // takes it, but its answer is lost
		return function == 16 && lost
	}
	_, b := run(t, Config{Address: "tcp://" + listenWire(t, m.serveTCP).Addr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: 20 * time.Millisecond, Timeout: 100 * time.Millisecond, Profile: p}}})
	m.mu.Lock()
	lost = true
	m.mu.Unlock()
	old, back, sent, err := b.WritePoint(t.Context(), "X", pointOf(t, p, "level"), faultline.Float(33))
	if !sent || err == nil || !errors.Is(err, errUnconfirmed) && !strings.Contains(err.Error(), "write level") || back.Value != faultline.Float(12.5) || old.Value != faultline.Float(12.5) {
		t.Errorf("old %v back %v sent %v: %v", old.Value, back.Value, sent, err)
	}
}
