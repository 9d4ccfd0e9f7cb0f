package mqtt

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, v := range []any{
		json.Number("1777636800"), json.Number("1777636800000"), json.Number("1777636800000000"), json.Number("1777636800000000000"),
		json.Number("1777636800.0"), "2026-05-01T12:00:00Z", "2026-05-01T14:00:00.000+02:00", "1777636800",
	} {
		if got, ok := parseTime(v); !ok || !got.Equal(want) {
			t.Errorf("%v: %v %v", v, got, ok)
		}
	}
	for _, v := range []any{nil, true, "yesterday", json.Number("-5"), json.Number("0"), json.Number("1e300"), ""} {
		if got, ok := parseTime(v); ok {
			t.Errorf("%v: %v", v, got)
		}
	}
}

func mappingOf(p *profile.Profile) *mapping {
	m := &mapping{time: []string{"ts"}, id: []string{"seq"}}
	for i := range p.Points {
		path, _ := profile.ParsePath(*p.Points[i].JSON)
		m.fields = append(m.fields, field{&p.Points[i], path})
	}
	return m
}

const upsPayload = `{"ts":"2026-05-01T12:00:00.123Z","seq":42,"serial":"U","model":"6K","firmware":1.07,"status":"online","input":{"voltage":230.1,"frequency":50.01},"output":{"voltage":230,"current":11.02,"power":2500},"load":41.5,"battery":{"charge":100,"voltage":54.3,"temperature":24.1,"runtime":15.5,"transfers":3},"hours":15000.1,"alarms":0,"tick":77}`

// FuzzPayload checks that whatever comes makes samples that a frame may carry.
func FuzzPayload(f *testing.F) {
	s, err := profile.Library()
	if err != nil {
		f.Fatal(err)
	}
	ups, err := s.Get("sim-ups")
	if err != nil {
		f.Fatal(err)
	}
	m := mappingOf(ups)
	whole := &mapping{}
	for _, typ := range []faultline.Type{faultline.TypeFloat, faultline.TypeInt, faultline.TypeBool, faultline.TypeString} {
		whole.fields = append(whole.fields, field{&profile.Point{Name: "p_" + typ.String(), Type: typ, JSON: ptr("")}, nil})
	}
	for _, seed := range []string{upsPayload, `1e400`, `"\ud800"`, `9223372036854775808`, `-1e18`, `NaN`, `"NaN"`, `on`, `[[1]]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, m := range []*mapping{m, whole} {
			got, err := m.decode(payload)
			frame := faultline.Frame{Kind: "k", Site: "s", Position: "p", Gateway: "g", Time: time.Unix(1, 0), Samples: got.samples}
			if cerr := frame.Check(); cerr != nil {
				t.Fatal(cerr)
			}
			for i, s := range got.samples {
				if !s.Quality.IsBad() && (err != nil || s.Value.Type() != m.fields[i].point.Type) {
					t.Fatalf("%s is a %s: %v", s.Point, s.Value.Type(), err)
				}
			}
		}
	})
}

func BenchmarkDecodePayload(b *testing.B) {
	s, err := profile.Library()
	if err != nil {
		b.Fatal(err)
	}
	ups, err := s.Get("sim-ups")
	if err != nil {
		b.Fatal(err)
	}
	m := mappingOf(ups)
	payload := []byte(upsPayload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.decode(payload); err != nil {
			b.Fatal(err)
		}
	}
}
