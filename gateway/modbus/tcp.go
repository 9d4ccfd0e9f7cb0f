package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/simonvetter/modbus"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// tcpLine is Modbus TCP through the library. Its transaction ids tell late answers apart within a
// connection. It cannot be interrupted: a read ends at the latest after timeout. Its dial takes up to
// 5 s, so the way is tried before with a dial that can be interrupted.
type tcpLine struct {
	target  string
	timeout time.Duration // of every unit: the library has one per connection
	client  *modbus.ModbusClient
	packed  []byte
}

const probePause = 20 * time.Millisecond

func (l *tcpLine) open(ctx context.Context) error {
	if l.client != nil {
		return errors.New("modbus line is open already") // a second Open leaks the first connection
	}
	d := net.Dialer{Timeout: dialTimeout}
	probe, err := d.DialContext(ctx, "tcp", l.target)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotConnected, err)
	}
	_ = probe.Close()
	if err := pause(ctx, probePause); err != nil { // devices of one session must see it end first
		return err
	}
	c, err := modbus.NewClient(&modbus.ClientConfiguration{URL: "tcp://" + l.target, Timeout: l.timeout, Logger: log.New(io.Discard, "", 0)})
	if err == nil {
		err = c.Open()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotConnected, err)
	}
	l.client = c
	return nil
}

func (l *tcpLine) close() {
	if l.client != nil {
		_ = l.client.Close() // there is nothing to do about a connection that does not close
		l.client = nil
	}
}

func (l *tcpLine) settle(context.Context) error { return nil } // transaction ids do
func (l *tcpLine) settled() bool                { return true }

func (l *tcpLine) read(ctx context.Context, r request) ([]byte, error) {
	if l.client == nil {
		return nil, errNotConnected
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_ = l.client.SetUnitId(r.unit) // never fails
	var data []byte
	var bits []bool
	var err error
	switch r.table {
	case profile.Coil:
		bits, err = l.client.ReadCoils(r.address, r.count)
	case profile.Discrete:
		bits, err = l.client.ReadDiscreteInputs(r.address, r.count)
	case profile.Holding:
		data, err = l.client.ReadRawBytes(r.address, 2*r.count, modbus.HOLDING_REGISTER)
	default:
		data, err = l.client.ReadRawBytes(r.address, 2*r.count, modbus.INPUT_REGISTER)
	}
	if err != nil {
		return nil, fromLibrary(err)
	}
	if r.table.Bits() {
		data = l.pack(bits)
	}
	if len(data) != r.bytes() {
		return nil, errDesync
	}
	return data, nil
}

func (l *tcpLine) pack(bits []bool) []byte {
	l.packed = append(l.packed[:0], make([]byte, (len(bits)+7)/8)...)
	for i, b := range bits {
		if b {
			l.packed[i/8] |= 1 << (i % 8)
		}
	}
	return l.packed
}

var libraryExceptions = map[error]Exception{
	modbus.ErrIllegalFunction: IllegalFunction, modbus.ErrIllegalDataAddress: IllegalAddress, modbus.ErrIllegalDataValue: IllegalValue,
	modbus.ErrServerDeviceFailure: DeviceFailure, modbus.ErrAcknowledge: Acknowledge, modbus.ErrServerDeviceBusy: DeviceBusy,
	modbus.ErrMemoryParityError: 8, modbus.ErrGWPathUnavailable: PathUnavailable, modbus.ErrGWTargetFailedToRespond: TargetSilent,
}

// fromLibrary gives the library's errors our types.
func fromLibrary(err error) error {
	var known modbus.Error
	var code uint8
	switch {
	case errors.As(err, &known):
		if e, ok := libraryExceptions[known]; ok {
			return e
		}
		if known == modbus.ErrRequestTimedOut {
			return os.ErrDeadlineExceeded
		}
		return fmt.Errorf("%w: %w", errDesync, known)
	case scanCode(err, &code):
		return Exception(code)
	}
	return err
}

// scanCode finds the exceptions that the library has no error value for.
func scanCode(err error, code *uint8) bool {
	n, serr := fmt.Sscanf(err.Error(), "unknown exception code (%d)", code)
	return serr == nil && n == 1
}
