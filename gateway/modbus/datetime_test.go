package modbus

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// timeAt is a time at random of the years that every layout holds.
func timeAt(r *rand.Rand) time.Time {
	return time.UnixMilli(r.Int64N(time.Date(2069, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) + 1000).UTC()
}

func TestDatesAndTimes(t *testing.T) {
	for _, c := range []struct {
		name, layout, zone string
		order              profile.Order
		device             profile.Order
		in                 []uint16
		want               any
	}{
		// 26-11-25 (Wednesday) 14:05:59.250; the octets of IEC 60870-5-4 are 72 E7 05 0E 79 0B 1A.
		{"CP56Time2a, year first", "cp56time2a", "", 0, profile.CDAB, []uint16{0x001A, 0x0B79, 0x0E05, 0xE772}, "2026-11-25T14:05:59.25Z"},
		{"CP56Time2a, octets as sent", "cp56time2a", "", profile.DCBA, 0, []uint16{0x72E7, 0x050E, 0x790B, 0x1A00}, "2026-11-25T14:05:59.25Z"},
		{"CP56Time2a, invalid", "cp56time2a", "", 0, 0, []uint16{0x001A, 0x0B79, 0x0E85, 0xE772}, faultline.BadNotAvailable},
		{"CP56Time2a, never set", "cp56time2a", "", 0, 0, []uint16{0, 0, 0, 0}, faultline.BadNotAvailable},
		{"CP56Time2a, a minute of 61 seconds", "cp56time2a", "", 0, 0, []uint16{0x001A, 0x0B79, 0x0E05, 61000}, faultline.BadDecode},
		{"BCD", "bcd year/month day/hour minute/second", "", 0, profile.CDAB, []uint16{0x2611, 0x2514, 0x0559}, "2026-11-25T14:05:59Z"},
		{"BCD, full year", "bcd year month/day hour/minute second/-", "", 0, 0, []uint16{0x2026, 0x1125, 0x1405, 0x5900}, "2026-11-25T14:05:59Z"},
		{"no BCD", "bcd year/month day/hour minute/second", "", 0, 0, []uint16{0x2611, 0x2514, 0x055A}, faultline.BadDecode},
		{"a register each", "year month day hour minute second", "", 0, 0, []uint16{2026, 11, 25, 14, 5, 59}, "2026-11-25T14:05:59Z"},
		{"years since 1900", "month/day year/hour minute/second ms", "", 0, 0, []uint16{11<<8 | 25, 126<<8 | 14, 5<<8 | 59, 250}, "2026-11-25T14:05:59.25Z"},
		{"weekday between", "year/month day/weekday hour/minute second/-", "", 0, 0, []uint16{26<<8 | 11, 25<<8 | 3, 14<<8 | 5, 59 << 8}, "2026-11-25T14:05:59Z"},
		{"local time", "year month day hour minute second", "Europe/Berlin", 0, 0, []uint16{2026, 11, 25, 14, 5, 59}, "2026-11-25T13:05:59Z"},
		{"31 February", "year month day", "", 0, 0, []uint16{2026, 2, 31}, faultline.BadDecode},
		{"day 0", "year month day", "", 0, 0, []uint16{2026, 2, 0}, faultline.BadDecode},
		{"seconds", "unix", "", 0, profile.CDAB, []uint16{0xA0C7, 0x6926}, "2025-11-26T06:40:07Z"},
		{"milliseconds", "unix_ms", "", 0, 0, []uint16{0, 0x019A, 0xBF0A, 0xE6D8}, "2025-11-26T07:22:34.072Z"},
		{"erased", "unix", "", 0, 0, []uint16{0xFFFF, 0xFFFF}, faultline.BadNotAvailable},
	} {
		pt := profile.Point{Name: "x", Type: faultline.TypeString, Register: &profile.Register{Table: profile.Holding, Data: profile.DateTime, Order: c.order, Layout: layout(t, c.layout), Zone: c.zone}}
		f := newField(&profile.Profile{Modbus: profile.Modbus{Order: c.device}}, &pt)
		var raw []byte
		for _, w := range c.in {
			raw = binary.BigEndian.AppendUint16(raw, w)
		}
		v, q := f.value(raw)
		if want, bad := c.want.(faultline.Quality); bad && q == want {
			continue
		}
		if v.Any() != c.want {
			t.Errorf("%s: %v %s, want %v", c.name, v, q, c.want)
		}
		pt.Type = faultline.TypeInt
		if n, _ := f.value(raw); q.IsGood() {
			at, err := time.Parse(time.RFC3339Nano, c.want.(string))
			if err != nil || n != faultline.Int(at.Unix()) {
				t.Errorf("%s as an int: %v %v", c.name, n, err)
			}
		}
	}
	for _, bad := range []string{"", "year month", "year month day day", "year month day noon", "bcd", "year/month/day", "- - - - - - - - - - - - - - year month day"} {
		if err := new(profile.Layout).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("layout %q was taken", bad)
		}
	}
}

// FuzzDateTime checks that whatever a device sends is a time or no time, and that a time goes back.
func FuzzDateTime(f *testing.F) {
	f.Add("cp56time2a", "", []byte{0, 0x1A, 0x0B, 0x79, 0x0E, 5, 0xE7, 0x72})
	f.Add("bcd year/month day/hour minute/second", "Europe/Berlin", []byte{0x26, 0x11, 0x25, 0x14, 5, 0x59})
	f.Add("unix_ms", "", []byte{0x7F, 0xFF, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, text, zone string, raw []byte) {
		var l profile.Layout
		if l.UnmarshalText([]byte(text)) != nil || len(zone) > 40 {
			return
		}
		z, err := time.LoadLocation(zone)
		if err != nil {
			return
		}
		words := make([]uint16, l.Registers())
		for i := range words {
			if 2*i+1 < len(raw) {
				words[i] = binary.BigEndian.Uint16(raw[2*i:])
			}
		}
		at, q := l.Time(words, z)
		if q.IsBad() {
			return
		}
		if at.Year() < 0 || at.Year() > 10000 {
			t.Fatalf("%x reads %v", words, at)
		}
		if back, err := l.Words(at, z); err == nil {
			if again, q := l.Time(back, z); q.IsBad() || again.Sub(at).Abs() > 24*time.Hour { // parts that are not there, hours that a zone has twice
				t.Fatalf("%v became %x, which reads %v %s", at, back, again, q)
			}
		}
	})
}
