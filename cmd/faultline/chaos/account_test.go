package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// pointsOf answers like InfluxDB with the points of one device.
func pointsOf(t *testing.T, points []map[string]any) influx {
	t.Helper()
	columns := []string{"time", "n", "n__q", "level"}
	for i := 1; i <= checked; i++ {
		columns = append(columns, pointName(i), pointName(i)+"__q")
	}
	var values [][]any
	for _, p := range points {
		v := make([]any, len(columns))
		for i, c := range columns {
			v[i] = p[c]
		}
		values = append(values, v)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query().Get("q"); !strings.Contains(q, `"position" = 'P-1'`) {
			t.Errorf("asked %q", q)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"results": []any{map[string]any{"series": []any{map[string]any{"columns": columns, "values": values}}}}})
	}))
	t.Cleanup(srv.Close)
	return influx{url: srv.URL}
}

// taken is reading n as InfluxDB should have it.
func taken(d *device, n uint32) map[string]any {
	p := map[string]any{"time": int64(n), "n": n, "level": float64(levelAt(d, n, d.excursions)) / 10}
	for i := 1; i <= checked; i++ {
		p[pointName(i)] = value(n, i)
	}
	return p
}

// The account finds what is wrong: nothing hides another thing.
func TestAccount(t *testing.T) {
	const all, frame = 10, samplesPerReading
	for name, c := range map[string]struct {
		change func(d *device, points []map[string]any) []map[string]any
		want   Samples
	}{
		"everything there": {nil, Samples{Sent: all * frame, Delivered: all * frame, Readings: all}},
		"a reading lost": {func(_ *device, p []map[string]any) []map[string]any { return append(p[:3], p[4:]...) },
			Samples{Sent: all * frame, Delivered: 9 * frame, Missing: frame, Readings: all}},
		"the last one lost": {func(_ *device, p []map[string]any) []map[string]any { return p[:9] },
			Samples{Sent: all * frame, Delivered: 9 * frame, Missing: frame, Readings: all}},
		"one lost and one twice": {func(_ *device, p []map[string]any) []map[string]any { p[4] = taken(&device{}, 4); return p },
			Samples{Sent: all * frame, Delivered: 9 * frame, Missing: frame, Duplicate: frame, Readings: all}},
		"one never committed": {func(d *device, p []map[string]any) []map[string]any {
			d.readings[5].proven = false
			return append(p[:5], p[6:]...)
		},
			Samples{Sent: 9 * frame, Delivered: 9 * frame, UntakenReadings: 1, Readings: all}},
		"one whose commit is not proven is there": {func(d *device, p []map[string]any) []map[string]any { d.readings[9].proven = false; return p },
			Samples{Sent: all * frame, Delivered: all * frame, Readings: all}},
		"a value changed": {func(_ *device, p []map[string]any) []map[string]any { p[2]["v07"] = 65534; return p },
			Samples{Sent: all * frame, Delivered: all * frame, Wrong: 1, Readings: all}},
		"a value gone": {func(_ *device, p []map[string]any) []map[string]any {
			delete(p[2], "v07")
			p[2]["v07__q"] = "bad:timeout"
			return p
		},
			Samples{Sent: all * frame, Delivered: all*frame - 1, Missing: 1, Readings: all}},
		"a value without a reading": {func(_ *device, p []map[string]any) []map[string]any {
			return append(p, map[string]any{"time": 99, "v01": 5, "n__q": "bad:timeout"})
		}, Samples{Sent: all * frame, Delivered: all * frame, Wrong: 1, Readings: all}},
		"silence between readings": {func(_ *device, p []map[string]any) []map[string]any {
			return append(p, map[string]any{"time": 99, "n__q": "bad:timeout", "v01__q": "bad:timeout"})
		}, Samples{Sent: all * frame, Delivered: all * frame, Readings: all}},
		"a reading made up": {func(d *device, p []map[string]any) []map[string]any { return append(p, taken(d, all+1)) },
			Samples{Sent: all * frame, Delivered: all * frame, Wrong: frame, Readings: all}},
		"an uncertain one": {func(_ *device, p []map[string]any) []map[string]any { p[0]["n__q"] = "uncertain:clock"; return p },
			Samples{Sent: all * frame, Delivered: all * frame, Uncertain: frame, Readings: all}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &device{site: "s", position: "P-1", first: 4}
			var points []map[string]any
			for range all {
				n, _ := d.next(time.Now())
				d.prove(n)
			}
			for n := range uint32(all) {
				points = append(points, taken(d, n+1))
			}
			if c.change != nil {
				points = c.change(d, points)
			}
			a, err := accountFor(t.Context(), pointsOf(t, points), d)
			if err != nil {
				t.Fatal(err)
			}
			if a.Samples != c.want {
				t.Errorf("%+v\nwant %+v\n%q", a.Samples, c.want, a.problems)
			}
			if bad := c.want.Missing+c.want.Duplicate+c.want.Wrong > 0; bad != (len(a.problems)+len(a.lost) > 0) {
				t.Errorf("problems %q, lost %q", a.problems, a.lost)
			}
		})
	}
}

// A reading is proven by the second one asked for after it, on the same connection only.
func TestProven(t *testing.T) {
	s := &modbusDevice{device: &device{first: 1 << 30}}
	ask := []byte{4, 0, 0, 0, modbusRegisters}
	var first, second []uint32
	s.answer(ask, &first) // 1
	s.answer(ask, &first) // 2
	s.answer(ask, &first) // 3: proves 1
	s.answer(ask, &second)
	s.answer(ask, &second)
	s.answer(ask, &second) // 6: proves 4
	var got []string
	for i, r := range s.readings {
		if r.proven {
			got = append(got, fmt.Sprint(i+1))
		}
	}
	if strings.Join(got, " ") != "1 4" {
		t.Errorf("proven: %v, want 1 and 4", got)
	}
	if a := s.answer([]byte{4, 0, 0, 0, 10}, &second); a[0] != 0x84 || len(s.odd) != 1 || len(s.readings) != 6 {
		t.Errorf("part of a reading: %x, %q", a, s.odd)
	}
}

// The signal makes whole excursions, and comes to rest when it is told to.
func TestSignal(t *testing.T) {
	d := &device{first: 5, highHigh: true}
	for range 5 + excursionEvery {
		n, level := d.next(time.Now())
		d.prove(n)
		if high := n >= 5 && n < 5+excursionLength || n >= 5+excursionEvery; high != (level == levelHighHigh) {
			t.Fatalf("reading %d: level %d", n, level)
		}
	}
	if d.close(); d.quiet() {
		t.Fatal("quiet in the middle of an excursion")
	}
	for range 2 * excursionEvery {
		n, level := d.next(time.Now())
		d.prove(n)
		if level != levelAt(d, n, d.excursions) {
			t.Fatalf("reading %d: level %d", n, level)
		}
	}
	if !d.quiet() || len(d.excursions) != 2 {
		t.Errorf("%d excursions: %+v", len(d.excursions), d.excursions)
	}
}

func TestChosen(t *testing.T) {
	got, err := chosen([]string{"power", "cut", "power-hub"})
	if err != nil || len(got) != 4 {
		t.Errorf("%d kinds: %v", len(got), err)
	}
	if _, err := chosen([]string{"powers"}); err == nil || !strings.Contains(err.Error(), "power-edge") {
		t.Errorf("error %v", err)
	}
}
