package profile

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestOverrides(t *testing.T) {
	p, err := Decode("a.yaml", []byte(parent))
	if err != nil {
		t.Fatal(err)
	}
	fail := func(path, format string, args ...any) { t.Errorf(path+": "+format, args...) }
	if p.With(nil, fail) != p {
		t.Error("a copy without a difference")
	}
	var none Sentinel
	if err := none.UnmarshalText([]byte("0xFFFF")); err != nil {
		t.Fatal(err)
	}
	own := p.With(map[string]Override{
		"current_l1": {Scale: ptr(0.04), Offset: ptr(0.5), Order: ABCD, Range: []float64{0, 600}, Plausible: []float64{0, 400}},
		"frequency":  {Every: time.Minute, NotAvailable: []Sentinel{none}},
	}, fail)
	pt := &own.Points[1]
	if v, q := pt.Convert(1000); v.String() != "40.5" || !q.IsGood() {
		t.Errorf("1000 is %v %s", v, q)
	}
	if _, q := pt.Convert(20_000); !q.IsBad() {
		t.Errorf("800 A is %s", q)
	}
	if _, q := pt.Convert(11_000); !q.IsUncertain() {
		t.Errorf("440 A is %s", q)
	}
	if pt.Register.Order != ABCD || own.Points[2].Every != time.Minute || len(own.Points[2].NotAvailable) != 1 || *own.Points[0].Scale != 0.1 {
		t.Errorf("%+v", own.Points)
	}
	if *p.Points[1].Scale != 0.001 || p.Points[1].Register.Order != DefaultOrder || p.Points[1].Range != nil {
		t.Errorf("the profile itself has changed: %+v", p.Points[1])
	}

	var got []string
	p.With(map[string]Override{
		"speed":      {Scale: ptr(2.0)},
		"current_l1": {Scale: ptr(0.0)},
		"voltage_l1": {Range: []float64{3, 1}, Every: time.Millisecond},
	}, func(path, format string, args ...any) { got = append(got, path+": "+fmt.Sprintf(format, args...)) })
	for i, want := range []string{"current_l1.scale: 0: use a number", "speed: profile meter-a has no such point", "voltage_l1.every", "voltage_l1.range"} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("%q lacks %q at %d", got, want, i)
		}
	}
}
