package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// Most registers and bits of one write: the protocol's.
const (
	MaxWriteRegisters = 123
	MaxWriteBits      = 1968
)

// The functions that write.
const (
	writeCoil      = 5
	writeRegister  = 6
	writeCoils     = 15
	writeRegisters = 16
)

// writer is a line that can write. Like read, write ends in nil or an Exception, or the line must be closed;
// then it is not known whether the unit has written.
type writer interface {
	write(ctx context.Context, c command) error
}

// command is one write of one unit.
type command struct {
	unit    uint8
	pdu     []byte
	timeout time.Duration
	pause   time.Duration
}

// commandOf makes the write: with the function for one register or bit if there is only one and several is
// not asked for.
func commandOf(w Written, several bool) (pdu []byte, err error) {
	n := len(w.Words)
	switch {
	case w.Table != profile.Coil && w.Table != profile.Holding:
		return nil, fmt.Errorf("%w: a %s cannot be written", faultline.ErrInvalid, w.Table)
	case n == 0 || int(w.Address)+n > 1<<16:
		return nil, fmt.Errorf("%w: %d values from address %d on cannot be written", faultline.ErrInvalid, n, w.Address)
	case w.Table == profile.Holding && n > MaxWriteRegisters || w.Table == profile.Coil && n > MaxWriteBits:
		return nil, fmt.Errorf("%w: one write has at most %d registers or %d bits", faultline.ErrInvalid, MaxWriteRegisters, MaxWriteBits)
	}
	head := func(function byte, second uint16) {
		pdu = append(pdu, function)
		pdu = binary.BigEndian.AppendUint16(pdu, w.Address)
		pdu = binary.BigEndian.AppendUint16(pdu, second)
	}
	switch {
	case w.Table == profile.Coil && n == 1 && !several:
		head(writeCoil, 0xFF00*min(w.Words[0], 1))
	case w.Table == profile.Coil:
		head(writeCoils, uint16(n))
		packed := make([]byte, (n+7)/8)
		for i, b := range w.Words {
			packed[i/8] |= byte(min(b, 1)) << (i % 8)
		}
		pdu = append(append(pdu, byte(len(packed))), packed...)
	case n == 1 && !several:
		head(writeRegister, w.Words[0])
	default:
		head(writeRegisters, uint16(n))
		pdu = append(pdu, byte(2*n))
		for _, word := range w.Words {
			pdu = binary.BigEndian.AppendUint16(pdu, word)
		}
	}
	return pdu, nil
}

// writes tells whether a function's answer repeats its address and what or how many it wrote.
func writes(function byte) bool {
	return function == writeCoil || function == writeRegister || function == writeCoils || function == writeRegisters
}

func (l *tcpLine) write(ctx context.Context, c command) error {
	got, err := l.exchange(ctx, c.unit, c.pdu, c.timeout, c.pause)
	if err != nil {
		return err
	}
	if string(got) != string(c.pdu[:5]) {
		return errDesync
	}
	return nil
}

func (l *rtuLine) write(ctx context.Context, c command) error {
	if l.port == nil {
		return errNotConnected
	}
	s := shape{c.unit, c.pdu[0], 4}
	r := request{unit: c.unit, table: profile.Holding, address: binary.BigEndian.Uint16(c.pdu[1:]), count: 2, timeout: c.timeout, pause: c.pause}
	if err := l.clear(ctx, s, r); err != nil {
		return err
	}
	if l.seen(s) {
		l.repeat = &r
	}
	data, err := l.transact(ctx, s, c.pdu, c.timeout, c.pause)
	if err != nil {
		return err
	}
	if string(data) != string(c.pdu[1:5]) {
		return errDesync
	}
	return nil
}
