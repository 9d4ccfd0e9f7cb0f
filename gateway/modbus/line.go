package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// line is one connection to one bus, used by one goroutine. After any error that is not an Exception
// it must be closed, left silent and opened again: a late answer must never become a value.
type line interface {
	// open connects; calling it on an open line is an error.
	open(ctx context.Context) error
	// read answers the registers as they were on the wire, two bytes each, or packed bits, lowest
	// first. The answer is valid until the next call.
	read(ctx context.Context, r request) ([]byte, error)
	// settle fails if the answers so far may be others' than they seem. Without it the answers are
	// to be believed only if settled says so.
	settle(ctx context.Context) error
	settled() bool
	close()
}

// request is one read of one unit.
type request struct {
	unit    uint8
	table   profile.Table
	address uint16
	count   uint16 // registers or bits
	timeout time.Duration
	pause   time.Duration // since the last answer
}

// bytes is the length of the answer's data.
func (r request) bytes() int {
	if r.table.Bits() {
		return (int(r.count) + 7) / 8
	}
	return 2 * int(r.count)
}

var functions = [...]byte{profile.Coil: 1, profile.Discrete: 2, profile.Holding: 3, profile.Input: 4}

// Exception is an answer by which the device refuses: the line is in order.
type Exception uint8

// The exceptions that are treated in ways of their own.
const (
	IllegalFunction Exception = 1
	IllegalAddress  Exception = 2
	IllegalValue    Exception = 3
	DeviceFailure   Exception = 4
	Acknowledge     Exception = 5
	DeviceBusy      Exception = 6
	PathUnavailable Exception = 10
	TargetSilent    Exception = 11
)

var exceptionNames = map[Exception]string{
	IllegalFunction: "illegal_function", IllegalAddress: "illegal_address", IllegalValue: "illegal_value",
	DeviceFailure: "server_device_failure", Acknowledge: "acknowledge", DeviceBusy: "server_device_busy",
	8: "memory_parity_error", PathUnavailable: "gateway_path_unavailable", TargetSilent: "gateway_target_silent",
}

// name is a token fit for a quality.
func (e Exception) name() string {
	if n, ok := exceptionNames[e]; ok {
		return n
	}
	return fmt.Sprintf("code_%d", uint8(e))
}

func (e Exception) Error() string { return fmt.Sprintf("exception %d %s", uint8(e), e.name()) }

// errDesync means that bytes came which are no answer to what was asked: what was read shortly before
// is not trusted either.
var errDesync = errors.New("bytes on the line that are no answer to the request")

var errNotConnected = errors.New("not connected")

// badNoAnswer is the reason for answers that are no Modbus or belong to another request.
const badProtocol faultline.Quality = "bad:protocol"

// quality says why a point could not be read.
func quality(err error) faultline.Quality {
	var e Exception
	var nerr net.Error
	switch {
	case errors.As(err, &e) && e == IllegalAddress:
		return faultline.BadIllegalAddress
	case errors.As(err, &e):
		return faultline.Quality("bad:exception:" + e.name())
	case errors.Is(err, errDesync):
		return badProtocol
	case errors.Is(err, errNotConnected):
		return faultline.BadNotConnected // before timeout: an unanswered dial is no slow device
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &nerr) && nerr.Timeout():
		return faultline.BadTimeout
	case errors.Is(err, io.EOF) || errors.As(err, &nerr):
		return faultline.BadNotConnected
	}
	return badProtocol
}

// pause waits unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
