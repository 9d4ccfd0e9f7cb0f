package bus

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/faultline-iot/faultline"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func frame(samples ...faultline.Sample) faultline.Frame {
	return faultline.Frame{Kind: "centrifugal_pump", Site: "plant-3", Position: "P-101", Gateway: "gw1", Time: at, Samples: samples}
}

func good(point string, v faultline.Value) faultline.Sample {
	return faultline.Sample{Point: point, Value: v, Quality: faultline.Good}
}

func TestFrameText(t *testing.T) {
	f := frame(
		good("pressure", faultline.Float(3.25)), good("running_hours", faultline.Int(-7)), good("on", faultline.Bool(true)),
		good("text", faultline.String(`a "b" \ c, d=e é`)),
		faultline.Sample{Point: "flow", Value: faultline.Float(1e21), Quality: faultline.UncertainClock},
		faultline.Sample{Point: "level", Quality: faultline.BadTimeout})
	want := `centrifugal_pump,gateway=gw1,position=P-101,site=plant-3 pressure=3.25,running_hours=-7i,on=true,text="a \"b\" \\ c, d=e é",flow=1e+21,flow__q="uncertain:clock",level__q="bad:timeout" 1772366400123456789`
	line, err := AppendFrame([]byte("x"), &f)
	if err != nil || string(line) != "x"+want {
		t.Fatalf("got %s, %v\nwant x%s", line, err, want)
	}
	for _, end := range []string{"", "\n"} {
		back, err := DecodeFrame([]byte(want + end))
		if err != nil || !reflect.DeepEqual(back, f) {
			t.Fatalf("got %+v, %v\nwant %+v", back, err, f)
		}
	}
}

// Text from equipment is made harmless, not refused: a bad character must not cost a reading.
func TestFrameTextIsCleaned(t *testing.T) {
	f := frame(good("text", faultline.String("a\nb\x00c\xffd\x7f\\")))
	line, err := AppendFrame(nil, &f)
	if err != nil || bytes.ContainsAny(line, "\n\x00\xff\x7f") {
		t.Fatalf("%q, %v", line, err)
	}
	back, err := DecodeFrame(line)
	if s, _ := back.Samples[0].Value.Text(); err != nil || s != `a b c?d \` {
		t.Fatalf("got %q, %v", s, err)
	}
}

func TestFrameRefused(t *testing.T) {
	for name, f := range map[string]faultline.Frame{
		"no samples":      frame(),
		"bad with value":  frame(faultline.Sample{Point: "a", Value: faultline.Float(1), Quality: faultline.BadTimeout}),
		"good without":    frame(good("a", faultline.Float(math.NaN()))),
		"point":           frame(good("a__q", faultline.Float(1))),
		"far time":        {Kind: "k", Site: "s", Position: "p", Gateway: "g", Time: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), Samples: []faultline.Sample{good("a", faultline.Float(1))}},
		"name with space": {Kind: "k", Site: "s x", Position: "p", Gateway: "g", Time: at, Samples: []faultline.Sample{good("a", faultline.Float(1))}},
	} {
		if line, err := AppendFrame([]byte("x"), &f); !errors.Is(err, faultline.ErrInvalid) || string(line) != "x" {
			t.Errorf("%s: %s, %v", name, line, err)
		}
	}
}

func TestDecodeRefused(t *testing.T) {
	const head = "k,gateway=g,position=p,site=s "
	for _, line := range []string{
		"", " ", "k", "k a=1 1", head, head + "a=1", head + "a=1 ", head + "a=1 x", head + "a=1 +1", head + "a= 1", head + "=1 1",
		head + "a=1u 1", head + "a=NaN 1", head + "a=+Inf 1", head + "a=0x1p-2 1", head + "a=1e999 1", head + "a=1_0 1", head + "a=- 1", head + "a=t 1",
		head + "a=9223372036854775808i 1", head + `a="x 1`, head + `a="x\" 1`, head + "a=\"x\ny\" 1", head + "a=\"\xff\" 1",
		head + "a=1,a=2 1", head + `a=1,a__q="bad:timeout" 1`, head + `a__q="uncertain:clock" 1`, head + `a__q="good" 1`, head + `a__q=1 1`, head + `a=1,b=2,a__q="uncertain:clock" 1`,
		head + `a__q="bad:timeout",a=1 1`, head + "A=1 1", head + "a__b=1 1", head + "a=1 99999999999999999999", head + "a=1 1 1",
		"k,gateway=g,position=p a=1 1", "k,gateway=g,position=p,site=s,x=y a=1 1", "k,site=s,position=p,gateway=g a=1 1", "k,gateway=g,position=p,site=s, a=1 1",
		"k,gateway=,position=p,site=s a=1 1", ",gateway=g,position=p,site=s a=1 1",
	} {
		if f, err := DecodeFrame([]byte(line)); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%q: %+v, %v", line, f, err)
		}
	}
}

// A decoder guesses the next frame's points from the one before; the guess must never show.
func TestDecoderForgetsNothingWrong(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var d Decoder
	var got faultline.Frame
	for range 5000 {
		f := randomFrame(r)
		line, err := AppendFrame(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Decode(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !reflect.DeepEqual(got, f) {
			t.Fatalf("%s\ngot  %+v\nwant %+v", line, got, f)
		}
	}
	if err := d.Decode([]byte("k,gateway=g,position=p,site=s a=1,b=2 1"), &got); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode([]byte("k,gateway=g,position=p,site=s b=1,b=2 1"), &got); err == nil {
		t.Fatalf("a point named twice was accepted: %+v", got)
	}
}

func randomFrame(r *rand.Rand) faultline.Frame {
	f := frame()
	f.Site = fmt.Sprint("s", r.IntN(3))
	f.Time = time.Unix(0, r.Int64()-r.Int64()).UTC()
	for i := range 1 + r.IntN(6) {
		s := good(fmt.Sprint("p", i, strings.Repeat("_x", r.IntN(2))), faultline.Value{})
		switch r.IntN(6) {
		case 0:
			s.Value = faultline.Int(r.Int64() - r.Int64())
		case 1:
			s.Value = faultline.Bool(r.IntN(2) == 0)
		case 2:
			s.Value = faultline.String(strings.Repeat(`"\ ,=é`, r.IntN(3)))
		case 3:
			s.Quality = faultline.BadNotConnected
		default:
			s.Value = faultline.Float(math.Float64frombits(r.Uint64()))
			if s.Value.Type() == faultline.NoType {
				s.Value = faultline.Float(0.1)
			}
		}
		if !s.Quality.IsBad() && r.IntN(4) == 0 {
			s.Quality = faultline.UncertainOutOfRange
		}
		f.Samples = append(f.Samples, s)
	}
	return f
}

// The reference decoder of line protocol reads what we write as we mean it.
func TestReferenceDecoderAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		f := randomFrame(r)
		line, err := AppendFrame(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		if err := reference(line, &f); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func reference(line []byte, f *faultline.Frame) error {
	d := lineprotocol.NewDecoderWithBytes(line)
	if !d.Next() {
		return errors.New("no entry")
	}
	if m, err := d.Measurement(); err != nil || string(m) != f.Kind {
		return fmt.Errorf("measurement %s, %w", m, err)
	}
	for _, want := range [][2]string{{"gateway", f.Gateway}, {"position", f.Position}, {"site", f.Site}} {
		if k, v, err := d.NextTag(); err != nil || string(k) != want[0] || string(v) != want[1] {
			return fmt.Errorf("tag %s=%s, %w", k, v, err)
		}
	}
	if k, _, err := d.NextTag(); err != nil || k != nil {
		return fmt.Errorf("another tag %s, %w", k, err)
	}
	field := func(name string, want any) error {
		k, v, err := d.NextField()
		if err != nil || string(k) != name || v.Interface() != want {
			return fmt.Errorf("field %s=%v, %w, want %s=%v", k, v, err, name, want)
		}
		return nil
	}
	for _, s := range f.Samples {
		if !s.Quality.IsBad() {
			if err := field(s.Point, s.Value.Any()); err != nil {
				return err
			}
		}
		if !s.Quality.IsGood() {
			if err := field(s.Point+"__q", string(s.Quality)); err != nil {
				return err
			}
		}
	}
	if k, _, err := d.NextField(); err != nil || k != nil {
		return fmt.Errorf("another field %s, %w", k, err)
	}
	if ts, err := d.Time(lineprotocol.Nanosecond, time.Time{}); err != nil || !ts.Equal(f.Time) {
		return fmt.Errorf("time %s, %w", ts, err)
	}
	return nil
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte(`k,gateway=g,position=p,site=s a=1,b=2i,c=true,d="x\"",e__q="bad:timeout",g=1e-7,g__q="uncertain:clock" 17`))
	f.Add([]byte("k,gateway=g,position=p,site=s a=-0,b=1e+300 -9223372036854775806\n"))
	f.Add([]byte(`k,gateway=g,position=p,site=s a="\\\"\x" 1`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := DecodeFrame(line)
		if err != nil {
			if !errors.Is(err, faultline.ErrInvalid) {
				t.Fatalf("%q: %v is not ErrInvalid", line, err)
			}
			return
		}
		again, err := AppendFrame(nil, &got)
		if err != nil {
			t.Fatalf("%q: decoded to %+v, which is refused: %v", line, got, err)
		}
		if err := reference(again, &got); err != nil {
			t.Fatalf("%q: reference: %v", again, err)
		}
		back, err := DecodeFrame(again)
		if err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%q → %q: %+v, %v, want %+v", line, again, back, err, got)
		}
	})
}

func benchmarkFrame() faultline.Frame {
	f := frame()
	for i := range 20 {
		f.Samples = append(f.Samples, good(fmt.Sprintf("measurement_%02d", i), faultline.Float(float64(i)*17.123)))
	}
	f.Samples = append(f.Samples, good("alarm_word", faultline.Int(5)), good("running_hours", faultline.Int(12345)), good("on", faultline.Bool(true)),
		faultline.Sample{Point: "broken", Quality: faultline.BadTimeout})
	return f
}

func BenchmarkAppendFrame(b *testing.B) {
	f := benchmarkFrame()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = AppendFrame(buf[:0], &f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(f.Samples)), "samples/op")
}

func BenchmarkDecodeFrame(b *testing.B) {
	f := benchmarkFrame()
	line, err := AppendFrame(nil, &f)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("reused", func(b *testing.B) {
		var d Decoder
		var got faultline.Frame
		b.ReportAllocs()
		for b.Loop() {
			if err := d.Decode(line, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeFrame(line); err != nil {
				b.Fatal(err)
			}
		}
	})
}
