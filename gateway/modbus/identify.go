package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Identity is what a device says that it is.
type Identity struct {
	Objects  map[uint8]string // of device identification (function 43/14): 0 vendor, 1 product code, 2 revision, 3 URL, 4 product, 5 model, 6 application
	ServerID string           // of report server id (function 17), its readable part
	SunSpec  *SunSpec
}

// SunSpec is what a device's SunSpec map begins with.
type SunSpec struct {
	Base                                          uint16 // holding register of the marker
	Models                                        []uint16
	Manufacturer, Model, Options, Version, Serial string // of model 1, if it is there
}

const (
	encapsulated = 43
	readIdentity = 14
	reportServer = 17
	mostObjects  = 256
	mostModels   = 64
)

// identification reads one answer of function 43/14 into objects. more tells that the device has further
// objects, from next on.
func identification(pdu []byte, objects map[uint8]string) (next uint8, more bool, err error) {
	if len(pdu) < 7 || pdu[0] != encapsulated || pdu[1] != readIdentity {
		return 0, false, fmt.Errorf("%w: no device identification", errDesync)
	}
	next, more = pdu[5], pdu[4] == 0xFF
	rest := pdu[7:]
	for range pdu[6] {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return 0, false, fmt.Errorf("%w: a device identification that is cut off", errDesync)
		}
		end := 2 + int(rest[1])
		objects[rest[0]] = readable(rest[2:end])
		rest = rest[end:]
	}
	return next, more, nil
}

// serverID gives the readable part of an answer of function 17: the rest is the manufacturer's own.
func serverID(pdu []byte) string {
	if len(pdu) < 3 || pdu[0] != reportServer || len(pdu) < 2+int(pdu[1]) {
		return ""
	}
	best := ""
	for _, part := range strings.FieldsFunc(string(pdu[2:2+int(pdu[1])]), func(r rune) bool { return r < ' ' || r > '~' }) {
		if part = strings.TrimSpace(part); len(part) > len(best) {
			best = part
		}
	}
	if len(best) < 3 {
		return "" // numbers that look like letters
	}
	return best
}

func readable(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

// identify asks a unit who it is, in all ways that are known. What it does not answer is left out.
func (s *scanner) identify(unit uint8) (Identity, error) {
	id := Identity{Objects: map[uint8]string{}}
	for from, n := uint8(0), 0; n < mostObjects; n++ {
		pdu, err := s.raw(unit, []byte{encapsulated, readIdentity, 2, from})
		if err != nil {
			if s.ctx.Err() != nil {
				return id, s.ctx.Err()
			}
			break
		}
		next, more, err := identification(pdu, id.Objects)
		if err != nil || !more || next <= from {
			break
		}
		from = next
	}
	if pdu, err := s.raw(unit, []byte{reportServer}); err == nil {
		id.ServerID = serverID(pdu)
	}
	for _, base := range []uint16{40000, 0, 50000} {
		if found, ok := s.sunSpec(unit, base); ok {
			id.SunSpec = &found
			break
		}
	}
	return id, s.ctx.Err()
}

// sunSpec looks for the marker and follows the chain of models.
func (s *scanner) sunSpec(unit uint8, base uint16) (SunSpec, bool) {
	found := SunSpec{Base: base}
	if b, err := s.registers(unit, holding, base, 2); err != nil || string(b) != "SunS" {
		return found, false
	}
	for at := int(base) + 2; at+2 <= 1<<16 && len(found.Models) < mostModels; {
		b, err := s.registers(unit, holding, uint16(at), 2)
		if err != nil {
			break
		}
		model, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if model == 0xFFFF || model == 0 {
			break
		}
		found.Models = append(found.Models, model)
		if model == 1 && length >= 64 && at+66 <= 1<<16 {
			if b, err := s.common(unit, uint16(at+2)); err == nil {
				found.Manufacturer, found.Model, found.Options = readable(b[:32]), readable(b[32:64]), readable(b[64:80])
				found.Version, found.Serial = readable(b[80:96]), readable(b[96:128])
			}
		}
		at += 2 + length
	}
	return found, true
}

// common reads the texts of SunSpec's first model, a text at a time where a device refuses so many registers at once.
func (s *scanner) common(unit uint8, at uint16) ([]byte, error) {
	b, err := s.registers(unit, holding, at, 64)
	if !isException(err) {
		return b, err
	}
	var all []byte
	for k := uint16(0); k < 64; k += 16 {
		if b, err = s.registers(unit, holding, at+k, 16); err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// String is one line.
func (id Identity) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(id.Objects)) {
		if v := id.Objects[k]; v != "" {
			parts = append(parts, v)
		}
	}
	if id.ServerID != "" {
		parts = append(parts, "server id "+id.ServerID)
	}
	if m := id.SunSpec; m != nil {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("SunSpec at %d: %s %s", m.Base, m.Manufacturer, m.Model)), fmt.Sprintf("models %v", m.Models))
	}
	if len(parts) == 0 {
		return "it does not say"
	}
	return strings.Join(parts, ", ")
}

var errNoRaw = fmt.Errorf("%w: not on this line", faultline.ErrRefused)
