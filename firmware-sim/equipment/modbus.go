package equipment

import (
	"encoding/binary"
	"time"
)

// Function codes and exception codes of the Modbus application protocol, V1.1b3.
const (
	fnReadCoils      = 1
	fnReadDiscrete   = 2
	fnReadHolding    = 3
	fnReadInput      = 4
	fnWriteCoil      = 5
	fnWriteRegister  = 6
	fnWriteCoils     = 15
	fnWriteRegisters = 16

	exIllegalFunction = 1
	exIllegalAddress  = 2
	exIllegalValue    = 3
	exNoTarget        = 0x0B
)

// answer is what the server sends for one request.
type answer struct {
	pdu       []byte
	delay     time.Duration
	garbage   []byte // sent instead of the frame
	half      bool   // only the first half of the frame is sent
	registers int    // values in a successful read
	points    int
}

func exception(fn, code byte) []byte { return []byte{fn | 0x80, code} }

// serve answers one request PDU, faults included.
func (u *unit) serve(unitID byte, pdu []byte) answer {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := &u.comm
	a := answer{delay: c.delay}
	switch {
	case c.garbage.next():
		a.garbage = make([]byte, 24)
		for i := range a.garbage {
			a.garbage[i] = byte(c.junk.r.Uint32())
		}
		// A Modbus protocol identifier is 0: this can't pass for an answer.
		a.garbage[2], a.garbage[3] = 0xA5, 0x5A
		return a
	case unitID != u.cfg.Unit && unitID != 0 && unitID != 255:
		a.pdu = exception(pdu[0], exNoTarget)
	case c.exception.next():
		a.pdu = exception(pdu[0], c.code)
	default:
		u.handle(pdu, &a)
	}
	a.half = c.half.next()
	return a
}

// handle carries out a request PDU of at least one byte.
func (u *unit) handle(pdu []byte, a *answer) {
	fn := pdu[0]
	refuse := func(code byte) { a.pdu = exception(fn, code) }
	switch fn {
	case fnReadCoils, fnReadDiscrete, fnReadHolding, fnReadInput, fnWriteCoil, fnWriteRegister, fnWriteCoils, fnWriteRegisters:
	default:
		refuse(exIllegalFunction)
		return
	}
	if len(pdu) < 5 {
		refuse(exIllegalValue)
		return
	}
	address, second := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	switch fn {
	case fnReadCoils, fnReadDiscrete, fnReadHolding, fnReadInput:
		if len(pdu) != 5 {
			refuse(exIllegalValue)
			return
		}
		u.handleRead(fn, address, second, a)
	case fnWriteCoil:
		if len(pdu) != 5 || (second != 0 && second != 0xFF00) {
			refuse(exIllegalValue)
			return
		}
		u.handleWrite(pdu, Coil, address, []uint16{uint16(second >> 15)}, a)
	case fnWriteRegister:
		if len(pdu) != 5 {
			refuse(exIllegalValue)
			return
		}
		u.handleWrite(pdu, Holding, address, []uint16{uint16(second)}, a)
	case fnWriteCoils:
		n := second
		if n < 1 || n > 1968 || len(pdu) != 6+(n+7)/8 || int(pdu[5]) != (n+7)/8 {
			refuse(exIllegalValue)
			return
		}
		values := make([]uint16, n)
		for i := range values {
			values[i] = uint16(pdu[6+i/8]>>(i%8)) & 1
		}
		u.handleWrite(pdu, Coil, address, values, a)
	case fnWriteRegisters:
		n := second
		if n < 1 || n > 123 || len(pdu) != 6+2*n || int(pdu[5]) != 2*n {
			refuse(exIllegalValue)
			return
		}
		values := make([]uint16, n)
		for i := range values {
			values[i] = binary.BigEndian.Uint16(pdu[6+2*i:])
		}
		u.handleWrite(pdu, Holding, address, values, a)
	}
}

func (u *unit) handleRead(fn byte, address, n int, a *answer) {
	table := map[byte]Table{fnReadCoils: Coil, fnReadDiscrete: Discrete, fnReadHolding: Holding, fnReadInput: Input}[fn]
	bits := fn == fnReadCoils || fn == fnReadDiscrete
	most := 125
	if bits {
		most = 2000
	}
	if n < 1 || n > most {
		a.pdu = exception(fn, exIllegalValue)
		return
	}
	words, ok := u.image.read(table, address, n)
	if !ok {
		a.pdu = exception(fn, exIllegalAddress)
		return
	}
	if bits {
		a.pdu = make([]byte, 2+(n+7)/8)
		for i, w := range words {
			a.pdu[2+i/8] |= byte(w) << (i % 8)
		}
	} else {
		a.pdu = make([]byte, 2, 2+2*n)
		for _, w := range words {
			a.pdu = binary.BigEndian.AppendUint16(a.pdu, w)
		}
	}
	a.pdu[0], a.pdu[1] = fn, byte(len(a.pdu)-2)
	a.registers, a.points = n, u.image.whole(table, address, n)
}

// handleWrite writes all values or none. Every writable point is one register or one bit.
func (u *unit) handleWrite(pdu []byte, t Table, address int, values []uint16, a *answer) {
	type change struct {
		point int
		value float64
	}
	var changes []change
	for i, w := range values {
		at := -1
		for j, p := range u.k.points {
			if p.Table == t && p.Writable && int(p.Address) == address+i {
				at = j
			}
		}
		if at < 0 {
			a.pdu = exception(pdu[0], exIllegalAddress)
			return
		}
		p := u.k.points[at]
		v := float64(w) * p.scale()
		if p.Type == Int16 {
			v = float64(int16(w)) * p.scale()
		}
		// Half a step of tolerance: 7 is 700 × 0.01 only nearly.
		if v < p.Low-p.scale()/2 || v > p.High+p.scale()/2 {
			a.pdu = exception(pdu[0], exIllegalValue)
			return
		}
		changes = append(changes, change{at, v})
	}
	for _, c := range changes {
		u.m.write(c.point, c.value)
		u.truth[c.point] = c.value
	}
	// A read that follows must see the write even before the next tick.
	m := u.m
	u.m = frozen(u.truth)
	u.refresh()
	u.m = m
	a.pdu = pdu[:5:5]
}
