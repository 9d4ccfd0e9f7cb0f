package modbus

import (
	"context"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// shared is a line to units that behave each in their own way.
type shared struct {
	quick
	units map[uint8]func(timeout time.Duration) (took time.Duration, err error)
	asked map[uint8]int
}

func (s *shared) read(ctx context.Context, r request) ([]byte, error) {
	s.asked[r.unit]++
	took, err := s.units[r.unit](r.timeout)
	if perr := pause(ctx, took); perr != nil {
		return nil, perr
	}
	return make([]byte, r.bytes()), err
}

// TestBadUnitsCostTheOthersLittle polls two good units each second for an hour beside one that is dead, one that
// babbles, one that is slow and one that is busy: what the good ones miss is at most the bad ones' probes, and
// those grow rare.
func TestBadUnitsCostTheOthersLittle(t *testing.T) {
	const timeout = 500 * time.Millisecond
	answers := func(took time.Duration, err error) func(time.Duration) (time.Duration, error) {
		return func(time.Duration) (time.Duration, error) { return took, err }
	}
	for name, bad := range map[string]func(time.Duration) (time.Duration, error){
		"dead":       func(timeout time.Duration) (time.Duration, error) { return timeout, os.ErrDeadlineExceeded },
		"babbling":   answers(10*time.Millisecond, errDesync),
		"slow":       answers(400*time.Millisecond, nil),
		"busy":       answers(5*time.Millisecond, DeviceBusy),
		"behind one": answers(300*time.Millisecond, TargetSilent),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shared{asked: map[uint8]int{}, units: map[uint8]func(time.Duration) (time.Duration, error){1: answers(20*time.Millisecond, nil), 2: answers(20*time.Millisecond, nil), 3: bad}}
				var devices []Device
				for i, p := range []string{"A", "B", "C"} {
					devices = append(devices, Device{Position: p, Unit: uint8(i + 1), Timeout: timeout, Profile: registers(0)})
				}
				b, err := New(Config{Address: "rtu:///dev/x", Devices: devices})
				if err != nil {
					t.Fatal(err)
				}
				b.dial = func(Address, Link) line { return s }
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour-time.Millisecond)
				defer cancel()
				var mu sync.Mutex
				good := map[string]int{}
				if err := b.Run(ctx, func(_ context.Context, f faultline.Frame, _ bus.Meta) error {
					mu.Lock()
					defer mu.Unlock()
					if f.Samples[0].Quality.IsGood() {
						good[f.Position]++
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				probes := s.asked[3]
				if silentKind := name != "slow" && name != "busy"; silentKind && probes > 400 { // one in about 10 s
					t.Errorf("it was asked %d times in an hour", probes)
				} else if !silentKind && probes < 3600 {
					t.Errorf("it was asked %d times in an hour", probes)
				}
				for _, p := range []string{"A", "B"} {
					if missed := 3600 - good[p]; missed > 5 {
						t.Errorf("%s missed %d polls while the bad one was asked %d times", p, missed, probes)
					}
				}
			})
		})
	}
}
