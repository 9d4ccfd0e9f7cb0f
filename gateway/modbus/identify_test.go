package modbus

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// sunSpecMap is holding registers from 40000 on: the marker, model 1, an inverter's, and the end.
func sunSpecMap() map[uint16]uint16 {
	m := map[uint16]uint16{40000: 0x5375, 40001: 0x6e53, 40002: 1, 40003: 66, 40070: 103, 40071: 50, 40122: 0xFFFF, 40123: 0}
	text := func(at uint16, registers int, s string) {
		b := append([]byte(s), make([]byte, 2*registers)...)
		for i := range registers {
			m[at+uint16(i)] = binary.BigEndian.Uint16(b[2*i:])
		}
	}
	text(40004, 16, "Fronius")
	text(40020, 16, "Symo 10.0-3-M")
	text(40036, 8, "")
	text(40044, 8, "1.2.3")
	text(40052, 16, "12345678")
	return m
}

// talker answers reads from sunSpecMap, and says who it is in two parts. Units other than 7 are silent.
func talker(a asked, pdu []byte) []byte {
	m := sunSpecMap()
	switch {
	case a.unit != 7:
		return nil
	case pdu[0] == 43 && pdu[3] == 0:
		return []byte{43, 14, 2, 0x82, 0xFF, 1, 1, 0, 4, 'A', 'c', 'm', 'e'}
	case pdu[0] == 43:
		return []byte{43, 14, 2, 0x82, 0, 0, 1, 1, 3, 'P', 'L', 'C'}
	case pdu[0] == 17:
		return []byte{17, 7, 1, 0xFF, 'T', 'y', 'p', ' ', '9'}
	case pdu[0] == 3:
		for i := range a.count {
			if _, there := m[a.address+i]; !there {
				return []byte{0x83, 2}
			}
		}
		return a.registers(func(at uint16) uint16 { return m[at] })
	}
	return []byte{pdu[0] | 0x80, 1}
}

func TestScan(t *testing.T) {
	tcp := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, err := r.Peek(6)
			if err != nil {
				return
			}
			b := make([]byte, 6+int(binary.BigEndian.Uint16(head[4:])))
			if _, err := readFull(r, b); err != nil {
				return
			}
			a := asked{txn: binary.BigEndian.Uint16(b), unit: b[6], fc: b[7]}
			if len(b) == 12 && b[7] < 5 {
				a.address, a.count = binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])
			}
			if pdu := talker(a, b[7:]); pdu != nil {
				_, _ = c.Write(a.tcp(pdu))
			}
		}
	})
	rtu := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, err := r.Peek(2)
			if err != nil {
				return
			}
			size := map[byte]int{17: 4, 43: 7}[head[1]]
			if size == 0 {
				size = 8
			}
			b := make([]byte, size)
			if _, err := readFull(r, b); err != nil {
				return
			}
			a := asked{unit: b[0], fc: b[1]}
			if size == 8 {
				a.address, a.count = binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:])
			}
			if pdu := talker(a, b[1:size-2]); pdu != nil {
				_, _ = c.Write(a.rtu(pdu))
			}
		}
	})
	for scheme, w := range map[string]*wire{"tcp": tcp, "rtuovertcp": rtu} {
		t.Run(scheme, func(t *testing.T) {
			known := &profile.Profile{Points: []profile.Point{{Name: "w", Register: &profile.Register{Table: profile.Holding, Address: 40002, Data: profile.Uint32}}}}
			s, err := NewScanner(t.Context(), ScanConfig{Address: scheme + "://" + w.Addr().String(), Units: []uint8{6, 7, 0}, To: 40, Timeout: 60 * time.Millisecond, Pause: time.Microsecond, Known: []*profile.Profile{known}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			found, err := s.Units()
			if err != nil || len(found) != 1 || found[0].Unit != 7 {
				t.Fatalf("found %v %v", found, err)
			}
			f := found[0]
			if err := s.Look(f); err != nil {
				t.Fatal(err)
			}
			if got := f.Identity.String(); got != "Acme, PLC, server id Typ 9, SunSpec at 40000: Fronius Symo 10.0-3-M, models [1 103]" {
				t.Errorf("identity: %s", got)
			}
			if m := f.Identity.SunSpec; m == nil || m.Serial != "12345678" || m.Version != "1.2.3" {
				t.Errorf("SunSpec: %+v", m)
			}
			if len(f.Spans) != 1 || f.Spans[0] != (Span{profile.Holding, 40000, 40067}) {
				t.Errorf("spans: %v", f.Spans)
			}
			if f.Latency50 <= 0 || f.Requests == 0 {
				t.Errorf("%+v", f)
			}
		})
	}
}

func readFull(r *bufio.Reader, b []byte) (int, error) {
	for i := range b {
		c, err := r.ReadByte()
		if err != nil {
			return i, err
		}
		b[i] = c
	}
	return len(b), nil
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte{43, 14, 2, 0x82, 0xFF, 1, 1, 0, 4, 'A', 'c', 'm', 'e'})
	f.Add([]byte{17, 7, 1, 0xFF, 'T', 'y', 'p', ' ', '9'})
	f.Fuzz(func(t *testing.T, pdu []byte) {
		objects := map[uint8]string{}
		if _, _, err := identification(pdu, objects); err == nil {
			for k, v := range objects {
				if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("object %d is %q", k, v)
				}
			}
		}
		if s := serverID(pdu); len(s) > len(pdu) {
			t.Errorf("%q of %x", s, pdu)
		}
	})
}

// chain is a line to a unit whose holding registers are bytes that repeat.
type chain struct {
	quick
	bytes []byte
	asked int
}

func (c *chain) read(_ context.Context, r request) ([]byte, error) {
	c.asked++
	if int(r.address)+int(r.count) > 1<<16 {
		return nil, IllegalAddress
	}
	out := make([]byte, r.bytes())
	for i := range out {
		if at := 2*int(r.address) + i - 80000; at >= 0 && len(c.bytes) > 0 {
			out[i] = c.bytes[at%len(c.bytes)]
		}
	}
	return out, nil
}

// FuzzSunSpec checks that the walk over a chain of models ends, whatever lengths they claim.
func FuzzSunSpec(f *testing.F) {
	f.Add([]byte("SunS\x00\x01\x00\x42"))
	f.Add([]byte("SunS\x00\x01\x00\x00\x00\x02\x00\x00"))
	f.Add([]byte("SunS\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &chain{bytes: b}
		s := &scanner{ctx: t.Context(), line: c, open: true}
		found, ok := s.sunSpec(1, 40000)
		if c.asked > 2*mostModels+2 || len(found.Models) > mostModels {
			t.Errorf("%d requests, %d models", c.asked, len(found.Models))
		}
		if id := (Identity{SunSpec: &found}).String(); ok && !strings.Contains(id, "SunSpec at 40000") {
			t.Error(id)
		}
	})
}
