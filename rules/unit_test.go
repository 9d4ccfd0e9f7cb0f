package rules

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestRing(t *testing.T) {
	var r ring
	if len(r.samples()) != 0 {
		t.Error("an empty ring has samples")
	}
	push := func(n int, s faultline.Sample) { r.push(start.Add(time.Duration(n)*time.Second), &s) }
	for n := range 130 {
		push(n, faultline.Sample{Quality: faultline.Good, Value: faultline.Float(float64(n))})
	}
	push(130, faultline.Sample{Quality: faultline.BadTimeout})
	push(131, faultline.Sample{Quality: faultline.UncertainClock, Value: faultline.Float(131)})
	list := r.samples()
	if len(list) != ringSize || *list[0].Value != 12 || list[118].Value != nil || list[118].Quality != faultline.BadTimeout ||
		*list[119].Value != 131 || list[119].Quality != faultline.UncertainClock || !list[119].At.Equal(start.Add(131*time.Second)) {
		t.Errorf("%d samples, %+v … %+v %+v", len(list), list[0], list[118], list[119])
	}
	var again ring
	again.restore(&input{b: r.snapshot(nil)})
	if !reflect.DeepEqual(again.samples(), list) {
		t.Errorf("restored: %+v", again.samples())
	}
	var words ring
	for _, text := range []string{"online", strings.Repeat("ä", 100), "on_battery"} {
		words.push(start, &faultline.Sample{Quality: faultline.Good, Value: faultline.String(text)})
	}
	in := &input{b: words.snapshot(nil)}
	again.restore(in)
	if got := again.samples(); in.err != nil || len(got) != 3 || got[0].Text != "online" || got[1].Text != strings.Repeat("ä", 64) || got[2].Value != nil {
		t.Errorf("words: %v %+v", in.err, got)
	}
	var many ring // a device that invents reasons without end
	for n := range 400 {
		many.push(start.Add(time.Duration(n)), &faultline.Sample{Quality: faultline.Quality(fmt.Sprintf("bad:r%d", n))})
	}
	if in := (&input{b: many.snapshot(nil)}); len(many.samples()) != ringSize {
		t.Error("reasons without end")
	} else if again.restore(in); in.err != nil {
		t.Error(in.err)
	}
}

// busyUnit is a unit with everything in it: alarms, rings, texts.
func busyUnit(t testing.TB) (*unit, *Set, *faultline.Position) {
	t.Helper()
	set := loadLibrary(t)
	for _, p := range profilePositions(t) {
		if p.Kind != "ups" {
			continue
		}
		u, _ := newUnit(set, &p)
		r := rand.New(rand.NewPCG(7, 7))
		for n := range 400 {
			f := faultline.Frame{Time: start.Add(time.Duration(n) * time.Second)}
			for i := range p.Points {
				s := faultline.Sample{Point: p.Points[i].Name, Quality: faultline.Good}
				switch p.Points[i].Type {
				case faultline.TypeFloat:
					s.Value = faultline.Float(r.Float64() * 250)
				case faultline.TypeInt:
					s.Value = faultline.Int(int64(n / 20 % 8))
				case faultline.TypeBool:
					s.Value = faultline.Bool(n%2 == 0)
				default:
					s.Value = faultline.String([]string{"online", "on_battery"}[n/10%2])
				}
				if r.IntN(10) == 0 {
					s.Quality, s.Value = faultline.BadTimeout, faultline.Value{}
				}
				f.Samples = append(f.Samples, s)
			}
			u.frame(faultline.FrameID{Gateway: "gw1", Epoch: "e", Sequence: uint64(n + 1)}, &f, f.Time, nil)
		}
		return u, set, &p
	}
	t.Fatal("no UPS")
	return nil, nil, nil
}

func TestUnitRestore(t *testing.T) {
	u, set, p := busyUnit(t)
	state, err := u.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := newUnit(set, p)
	if orphans, err := again.restore(state); err != nil || len(orphans) != 0 {
		t.Fatal(orphans, err)
	}
	if got := u.account(); got != again.account() {
		t.Errorf("restored\n%s\nwas\n%s", again.account(), got)
	}
	for cut := 0; cut < len(state); cut += 1 + cut/50 {
		if _, err := (&unit{points: map[string]*watched{}}).restore(state[:cut]); err == nil {
			t.Fatalf("a state cut to %d of %d bytes was taken", cut, len(state))
		}
	}
}

// account of a unit in a form that can be compared.
func (u *unit) account() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %d %d\n", u.epoch, u.sequence, u.frameAt)
	for _, r := range u.rules {
		fmt.Fprintf(&b, "%s %x %+v", r.name, r.kind.Snapshot(nil), r.machine)
		if r.alarm != nil {
			fmt.Fprintf(&b, " %+v", *r.alarm)
		}
		if r.point != nil {
			for _, s := range u.points[r.point.Name].ring.samples() {
				fmt.Fprintf(&b, " %v %v %s", s.At, s.Quality, s.Text)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func FuzzUnitRestore(f *testing.F) {
	u, set, p := busyUnit(f)
	state, err := u.snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	empty, _ := newUnit(set, p)
	if state, err = empty.snapshot(); err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	f.Fuzz(func(t *testing.T, state []byte) {
		u, _ := newUnit(set, p)
		if _, err := u.restore(state); err != nil {
			return
		}
		again, err := u.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		v, _ := newUnit(set, p)
		if _, err := v.restore(again); err != nil {
			t.Fatalf("its own snapshot is refused: %v", err)
		}
		if u.account() != v.account() {
			t.Fatal("restored twice, it is another")
		}
	})
}

func FuzzLoad(f *testing.F) {
	names, err := library.ReadDir("library")
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range names {
		data, err := library.ReadFile("library/" + n.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	positions := profilePositions(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Load(nil, File{"fuzz.yaml", data})
		if err != nil {
			return
		}
		set.Instances(positions)
		set.Misfits(positions)
		set.Plans()
	})
}

// benchUnits are pumps with 20 points and 3 rules a point, as the scale target counts.
func benchUnits(b testing.TB, n int) []*unit {
	b.Helper()
	var file strings.Builder
	file.WriteString("rules:\n")
	var pos faultline.Position
	pos.Kind = "pump"
	for i := range 20 {
		name := fmt.Sprintf("point_%d", i)
		pos.Points = append(pos.Points, faultline.Point{Name: name, Title: "Point", Unit: "°C", Type: faultline.TypeFloat})
		for j, kind := range []string{"kind: threshold, limits: {low_low: -10, low: 0, high: 85, high_high: 95}, dead_band: 2", "kind: threshold, limits: {high: 120}", "kind: silence, after: 30s"} {
			fmt.Fprintf(&file, "  - {id: r-%d-%d, title: t, asset_kind: pump, point: %s, %s, on_delay: 5s, failure_mode: f, family: f}\n", i, j, name, kind)
		}
	}
	set, err := Load(nil, File{"bench.yaml", []byte(file.String())})
	if err != nil {
		b.Fatal(err)
	}
	units := make([]*unit, n)
	for i := range units {
		p := pos // positions share their points, as those of one profile do
		p.Site, p.ID = "plant", fmt.Sprintf("P-%d", i)
		units[i], _ = newUnit(set, &p)
	}
	return units
}

func benchFrame() *faultline.Frame {
	f := &faultline.Frame{Kind: "pump", Site: "plant", Position: "P-1", Gateway: "gw1"}
	for i := range 20 {
		f.Samples = append(f.Samples, faultline.Sample{Point: fmt.Sprintf("point_%d", i), Quality: faultline.Good, Value: faultline.Float(40 + float64(i))})
	}
	return f
}

// BenchmarkEvaluation shows frames of 20 points to positions with 60 rules. An evaluation is one sample
// shown to one rule.
func BenchmarkEvaluation(b *testing.B) {
	units, f := benchUnits(b, 100), benchFrame()
	evaluations := units[0].evaluations(f)
	var out []effect
	at, sequence := start, uint64(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(units) == 0 {
			at, sequence = at.Add(time.Second), sequence+1
		}
		f.Time = at
		out, _ = units[i%len(units)].frame(faultline.FrameID{Gateway: "gw1", Epoch: "e", Sequence: sequence}, f, at, out[:0])
	}
	b.ReportMetric(float64(evaluations)*float64(b.N)/b.Elapsed().Seconds(), "evaluations/s")
}

// BenchmarkHeap tells how many bytes one rule on one point holds, its share of a full ring of evidence
// included.
func BenchmarkHeap(b *testing.B) {
	f := benchFrame()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		units := benchUnits(b, 200)
		for n := range ringSize {
			f.Time = start.Add(time.Duration(n) * time.Second)
			for _, u := range units {
				u.frame(faultline.FrameID{Gateway: "gw1", Epoch: "e", Sequence: uint64(n + 1)}, f, f.Time, nil)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(units)*60), "bytes/rule")
		runtime.KeepAlive(units)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	units, f := benchUnits(b, 1), benchFrame()
	for n := range ringSize {
		f.Time = start.Add(time.Duration(n) * time.Second)
		units[0].frame(faultline.FrameID{Gateway: "gw1", Epoch: "e", Sequence: uint64(n + 1)}, f, f.Time, nil)
	}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		state, err := units[0].snapshot()
		if err != nil {
			b.Fatal(err)
		}
		size = len(state)
	}
	b.ReportMetric(float64(size)/60, "bytes/rule")
}

func BenchmarkRestore(b *testing.B) {
	units, f := benchUnits(b, 2), benchFrame()
	for n := range ringSize {
		f.Time = start.Add(time.Duration(n) * time.Second)
		units[0].frame(faultline.FrameID{Gateway: "gw1", Epoch: "e", Sequence: uint64(n + 1)}, f, f.Time, nil)
	}
	state, err := units[0].snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := units[1].restore(state); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/60*100_000, "s/100k-rules")
}

func TestCourse(t *testing.T) {
	ramp := func(n int, value func(int) float64) *ring {
		r := &ring{}
		for i := range n {
			s := faultline.Sample{Quality: faultline.Good, Value: faultline.Float(value(i))}
			if i%7 == 3 {
				s = faultline.Sample{Quality: faultline.BadTimeout}
			}
			r.push(start.Add(time.Duration(i)*time.Second), &s)
		}
		return r
	}
	for _, c := range []struct {
		name string
		r    *ring
		up   bool
		ok   bool
		want float64
	}{
		{"climbs", ramp(150, func(i int) float64 { return 60 + 0.25*float64(i) }), true, true, 29.75},
		{"climbs, but the limit is below", ramp(150, func(i int) float64 { return 60 + 0.25*float64(i) }), false, false, 0},
		{"falls", ramp(100, func(i int) float64 { return 60 - 0.25*float64(i) }), false, true, -24.75},
		{"jumps", ramp(100, func(i int) float64 { return float64(i / 99 * 20) }), true, false, 0},
		{"hardly moves", ramp(100, func(i int) float64 { return 84 + 0.01*float64(i) }), true, false, 0},
		{"too short", ramp(30, func(i int) float64 { return float64(i) }), true, false, 0},
		{"nothing", &ring{}, true, false, 0},
	} {
		change, in, ok := c.r.course(c.up, 85)
		if ok != c.ok || ok && (change != c.want || in < time.Minute) {
			t.Errorf("%s: %v in %v, %v", c.name, change, in, ok)
		}
	}
}
