package gateway

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// TestCountersGoOnRising counts at random through many rollovers of 16, 32 and 64 bits and of eight digits,
// with restarts that know only the last stored frame, and compares with a counter that never ends.
func TestCountersGoOnRising(t *testing.T) {
	tenth := 0.1
	for _, c := range []struct {
		name string
		pt   profile.Point
		room uint64 // 0: 2^64
	}{
		{"16 bits", profile.Point{Type: faultline.TypeInt, Rollover: 1 << 16}, 1 << 16},
		{"32 bits", profile.Point{Type: faultline.TypeInt, Rollover: 1 << 32}, 1 << 32},
		{"32 bits in tenths", profile.Point{Type: faultline.TypeFloat, Scale: &tenth, Rollover: 1 << 32}, 1 << 32},
		{"eight digits", profile.Point{Type: faultline.TypeInt, Rollover: 1e8}, 1e8},
		{"64 bits", profile.Point{Type: faultline.TypeFloat, Rollover: 1 << 64}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 7))
			c.pt.Name = "x"
			p := &profile.Profile{Points: []profile.Point{c.pt}}
			own := newRollovers(p)
			room := c.pt.Rollover
			count, wraps := uint64(room*0.9), 0.0
			for n := range 2000 {
				step := uint64(r.Float64() * room / 5)
				before := count
				if count += step; c.room != 0 {
					count %= c.room
				}
				if count < before {
					wraps++
				}
				s := []faultline.Sample{{Point: "x", Quality: faultline.Good, Value: faultline.Int(int64(count))}, {Point: "y", Quality: faultline.Good, Value: faultline.Int(3)}}
				if c.pt.Type == faultline.TypeFloat {
					v, q := c.pt.Convert(float64(count))
					s[0].Value, s[0].Quality = v, q
				}
				own.apply(s)
				got, _ := s[0].Value.Number()
				want := float64(count) + wraps*room
				if c.pt.Scale != nil {
					want *= tenth
				}
				if math.Abs(got-want) > want*1e-12 || s[1].Value != faultline.Int(3) {
					t.Fatalf("reading %d: %v after %v rollovers, want %v", n, got, wraps, want)
				}
				if n%37 == 0 {
					own = newRollovers(p)
					own.resume(&faultline.Frame{Samples: s})
				}
			}
			if wraps < 100 {
				t.Errorf("only %v rollovers", wraps)
			}
		})
	}
}

func TestOtherFallsStayFalls(t *testing.T) {
	p := &profile.Profile{Points: []profile.Point{{Name: "x", Type: faultline.TypeInt, Rollover: 1000}}}
	r := newRollovers(p)
	for i, c := range []struct{ in, want int64 }{
		{900, 900}, {50, 1050}, {48, 1048}, {700, 1700}, {3, 1003}, {5, 1005}, {990, 1990}, {1, 2001},
	} { // 3 after 700 is a device that was reset, 48 after 50 one that counts badly
		s := []faultline.Sample{{Point: "x", Quality: faultline.Good, Value: faultline.Int(c.in)}}
		r.apply(s)
		if s[0].Value != faultline.Int(c.want) {
			t.Errorf("reading %d: %v, want %d", i, s[0].Value, c.want)
		}
		bad := []faultline.Sample{{Point: "x", Quality: faultline.BadTimeout}}
		if r.apply(bad); bad[0].Value.Type() != faultline.NoType {
			t.Error("a bad sample got a value")
		}
	}
	if newRollovers(&profile.Profile{Points: []profile.Point{{Name: "x", Type: faultline.TypeInt}}}) != nil {
		t.Error("a profile without rollovers has some")
	}
}
