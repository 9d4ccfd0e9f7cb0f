package modbus

import (
	"bufio"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// TestPipeline: the device answers only once three requests are there, the last of them first, one twice and one
// with an exception. Each answer finds its request.
func TestPipeline(t *testing.T) {
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for {
			var all []byte
			var got []asked
			for len(got) < 3 {
				a, err := readTCP(r)
				if err != nil {
					return
				}
				got = append(got, a)
			}
			slices.Reverse(got)
			for _, a := range got {
				pdu := a.registers(truth)
				if a.address == 400 {
					pdu = []byte{a.fc | 0x80, 2}
				}
				if all = append(all, a.tcp(pdu)...); a.address == 100 {
					all = append(all, a.tcp(pdu)...)
				}
			}
			_, _ = c.Write(all)
		}
	})
	p := registers(0, 100, 200, 300, 400, 500)
	f, _ := run(t, Config{Address: "tcp://" + w.Addr().String(), Link: Link{Pipeline: 3}, Devices: []Device{{Position: "X", Unit: 1, Period: fast, Timeout: 5 * time.Second, Profile: p}}})
	got, _ := f.wait(t, 0, "values", func(faultline.Frame) bool { return true })
	for i, s := range got.Samples {
		address := p.Points[i].Register.Address
		if address == 400 && s.Quality != faultline.BadIllegalAddress || address != 400 && s.Value != faultline.Float(float64(truth(address))) {
			t.Errorf("%s: %v %s", s.Point, s.Value, s.Quality)
		}
	}
}

// A device that takes one request at a time loses the others: what it answered counts, the rest is bad, and nothing
// is taken for anything else.
func TestPipelineThatADeviceDoesNotKnow(t *testing.T) {
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for {
			a, err := readTCP(r)
			if err != nil {
				return
			}
			_, _ = r.Discard(r.Buffered())
			_, _ = c.Write(a.tcp(a.registers(truth)))
		}
	})
	p := registers(0, 200, 400)
	f, _ := run(t, Config{Address: "tcp://" + w.Addr().String(), Link: Link{Pipeline: 3}, Devices: []Device{{Position: "X", Unit: 1, Period: fast, Timeout: 50 * time.Millisecond, Profile: p}}})
	got, _ := f.wait(t, 0, "a reading", func(faultline.Frame) bool { return true })
	for i, want := range []faultline.Quality{faultline.Good, faultline.BadTimeout, faultline.BadTimeout} {
		if s := got.Samples[i]; s.Quality != want || want.IsGood() && s.Value != faultline.Float(float64(truth(0))) {
			t.Errorf("%s: %v %s, want %s", s.Point, s.Value, s.Quality, want)
		}
	}
}
