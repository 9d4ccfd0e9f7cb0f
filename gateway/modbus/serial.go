package modbus

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/goburrow/serial"
)

// serialSlice is how long one read of a serial port blocks: the port knows no deadline, so one is kept
// by reading in slices.
const serialSlice = 10 * time.Millisecond

// serialStream gives a serial port deadlines.
type serialStream struct {
	serial.Port
	deadline atomic.Int64 // unix ns
}

func (s *serialStream) SetDeadline(t time.Time) error {
	s.deadline.Store(t.UnixNano())
	return nil
}

// Read returns os.ErrDeadlineExceeded after the deadline, at the latest one slice later. It always
// looks at the port once, so that a short deadline still sees what is there.
func (s *serialStream) Read(b []byte) (int, error) {
	for {
		n, err := s.Port.Read(b)
		if n > 0 || err != nil && !errors.Is(err, serial.ErrTimeout) {
			return n, err
		}
		if time.Now().UnixNano() >= s.deadline.Load() {
			return 0, os.ErrDeadlineExceeded
		}
	}
}
