package modbus

import (
	"bufio"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
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

// A device that takes one request at a time loses the others. Then its one answer does not count either: it could be
// made of two. All points are bad, and say why.
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
	if len(got.Samples) != 3 {
		t.Fatalf("%d samples", len(got.Samples))
	}
	for _, s := range got.Samples {
		if s.Quality != faultline.BadTimeout {
			t.Errorf("%s: %v %s, want %s", s.Point, s.Value, s.Quality, faultline.BadTimeout)
		}
	}
}

// TestAnswerMadeOfTwo: the device leaves half of its second answer and goes on with the third, whose bytes fit the other
// half and come out as registers that nobody has. They are not taken.
func TestAnswerMadeOfTwo(t *testing.T) {
	const third = 0x0801 // whose first byte stands for the second's missing one, the number of bytes that follow
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for {
			var a [3]asked
			var err error
			for i := range a {
				if a[i], err = readTCP(r); err != nil {
					return
				}
			}
			frames := [3][]byte{}
			for i := range a {
				frames[i] = a[i].tcp(a[i].registers(truth))
			}
			_, _ = c.Write(append(append(frames[0], frames[1][:8]...), frames[2][:9]...)) // the rest is lost
		}
	})
	l := &tcpLine{address: Address{Scheme: "tcp", Target: w.Addr().String()}, link: Link{Pipeline: 3}}
	if err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.id = third - 3
	requests := make([]request, 3)
	for i := range requests {
		requests[i] = request{unit: 1, table: profile.Input, address: uint16(100 * i), count: 4, timeout: 50 * time.Millisecond}
	}
	answers := make([]answer, 3)
	if err := l.readAll(t.Context(), requests, answers); err == nil {
		t.Error("no error, though one answer is missing")
	}
	for i, a := range answers {
		if a.data != nil || a.err == nil {
			t.Errorf("answer %d: % x, %v", i, a.data, a.err)
		}
	}
}
