package modbus

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
)

// piped is a line to a device in the same bubble.
func piped(handle func(c net.Conn, r *bufio.Reader)) *tcpLine {
	here, there := net.Pipe()
	go handle(there, bufio.NewReader(there)) // ends when the line is closed
	return &tcpLine{conn: here, stop: func() bool { return true }}
}

// TestConnectPause: as the device sees it, nothing comes before the pause after connecting is over. It can only be
// longer on a busy machine.
func TestConnectPause(t *testing.T) {
	const rest = 80 * time.Millisecond
	came := make(chan time.Time, 1)
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		a, err := readTCP(r)
		if err != nil {
			return
		}
		came <- time.Now()
		_, _ = c.Write(a.tcp(a.registers(truth)))
	})
	began := time.Now()
	if _, err := Once(t.Context(), "tcp://"+w.Addr().String(), Link{ConnectPause: rest}, Device{Unit: 1, Timeout: 5 * time.Second, Profile: registers(0)}); err != nil {
		t.Fatal(err)
	}
	if d := (<-came).Sub(began); d < rest {
		t.Errorf("the first request came after %v, want %v at least", d, rest)
	}
}

// TestPauseBetweenRequests: each request comes the pause after the answer before it.
func TestPauseBetweenRequests(t *testing.T) {
	const rest, takes = 30 * time.Millisecond, 7 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var came []time.Duration
		l := piped(func(c net.Conn, r *bufio.Reader) {
			for {
				a, err := readTCP(r)
				if err != nil {
					return
				}
				came = append(came, time.Since(start))
				time.Sleep(takes)
				_, _ = c.Write(a.tcp(a.registers(truth)))
			}
		})
		u := newUnit(Device{Unit: 1, Period: time.Second, Timeout: time.Second, Pause: rest, Profile: registers(0, 200, 400)})
		err := u.poll(t.Context(), l, start)
		l.close()
		synctest.Wait()
		if err != nil || len(came) != 3 || came[0] != 0 || came[1] != takes+rest || came[2] != 2*(takes+rest) {
			t.Errorf("requests came at %v, %v", came, err)
		}
	})
}

// TestTimeoutIsTheDevices: each unit on a bus is waited for as long as it is given, to the millisecond.
func TestTimeoutIsTheDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, timeout := range []time.Duration{3 * time.Millisecond, 20 * time.Millisecond, 1500 * time.Millisecond} {
			l := piped(func(_ net.Conn, r *bufio.Reader) {
				for {
					if _, err := readTCP(r); err != nil {
						return
					}
				}
			})
			u := newUnit(Device{Unit: 1, Period: time.Second, Timeout: timeout, Profile: registers(5)})
			at := time.Now()
			err := u.poll(t.Context(), l, at)
			if q, took := quality(err), time.Since(at); q != faultline.BadTimeout || took != timeout {
				t.Errorf("with a time-out of %v: %s after %v", timeout, q, took)
			}
			l.close()
			synctest.Wait()
		}
	})
}

// TestBusyIsAskedAgain: a device that says twice that it is busy has its values in the same poll, asked each time
// later; one that stays busy is given up for this poll.
func TestBusyIsAskedAgain(t *testing.T) {
	for _, e := range []Exception{DeviceBusy, Acknowledge} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			busy, asked := 2, 0
			l := piped(func(c net.Conn, r *bufio.Reader) {
				for {
					a, err := readTCP(r)
					if err != nil {
						return
					}
					mu.Lock()
					asked++
					pdu := a.registers(truth)
					if busy > 0 {
						busy--
						pdu = []byte{a.fc | 0x80, byte(e)}
					}
					mu.Unlock()
					_, _ = c.Write(a.tcp(pdu))
				}
			})
			u := newUnit(Device{Unit: 1, Period: 10 * time.Second, Timeout: time.Second, Profile: registers(5)})
			at := time.Now()
			if err := u.poll(t.Context(), l, at); err != nil || u.samples[0].Value != faultline.Float(float64(truth(5))) {
				t.Errorf("%v %v", u.samples, err)
			}
			if took := time.Since(at); asked != 3 || took != 3*busyRetry {
				t.Errorf("asked %d times in %v", asked, took)
			}
			mu.Lock()
			busy, asked = 1000, 0
			mu.Unlock()
			u.renew()
			at = time.Now()
			if err := u.poll(t.Context(), l, at); quality(err) != faultline.Quality("bad:exception:"+e.name()) || time.Since(at) > busyAtMost {
				t.Errorf("%v after %v", err, time.Since(at))
			}
			l.close()
			synctest.Wait()
		})
	}
}
