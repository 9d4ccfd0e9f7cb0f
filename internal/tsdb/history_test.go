package tsdb_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

func TestHistory(t *testing.T) {
	c, _ := open(t, 0)
	begin := time.Now().Add(-24 * time.Hour).Truncate(time.Hour).UTC()
	var b strings.Builder
	for i := range 3600 { // an hour at 1 Hz; the tenth minute is a gap
		at := begin.Add(time.Duration(i) * time.Second)
		if i/60 == 10 {
			fmt.Fprintf(&b, "pump,gateway=g1,position=P-1,site=s1 temp__q=\"bad:timeout\",hours__q=\"bad:timeout\" %d\n", at.UnixNano())
			continue
		}
		fmt.Fprintf(&b, "pump,gateway=g1,position=P-1,site=s1 temp=%d,hours=%di,run=%t,text=\"x\"", i%60, i, i%60 < 30)
		if i/60 == 20 {
			b.WriteString(`,temp__q="uncertain:clock"`)
		}
		fmt.Fprintf(&b, " %d\n", at.UnixNano())
		fmt.Fprintf(&b, "pump,gateway=g1,position=P-2,site=s1 temp=1000 %d\n", at.UnixNano())
	}
	write(t, c, b.String())
	q := tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-1", Points: []string{"temp", "hours", "run", "text", "nothing"}, From: begin, To: begin.Add(time.Hour), MaxRows: 100}

	h, err := c.History(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(h) != 5 || len(h[4].At) != 0 || h[4].Point != "nothing" {
		t.Fatalf("%d points, the last %+v; want 5, the last empty", len(h), h[len(h)-1])
	}
	temp, hours, run := h[0], h[1], h[2]
	if temp.Step != time.Minute || len(temp.At) != 60 || len(hours.At) != 60 {
		t.Fatalf("step %v with %d rows, want 1m and 60", temp.Step, len(temp.At))
	}
	for i := range temp.At {
		if want := begin.Add(time.Duration(i) * time.Minute); !temp.At[i].Equal(want) {
			t.Fatalf("row %d at %v, want %v", i, temp.At[i], want)
		}
		switch {
		case i == 10:
			if !math.IsNaN(temp.Value[i]) || !math.IsNaN(temp.Max[i]) || temp.Quality[i] != faultline.BadTimeout {
				t.Errorf("the gap is %v %v, want NaN bad:timeout", temp.Value[i], temp.Quality[i])
			}
		case temp.Value[i] != 29.5 || temp.Min[i] != 0 || temp.Max[i] != 59:
			t.Errorf("minute %d is %v (%v..%v), want 29.5 (0..59)", i, temp.Value[i], temp.Min[i], temp.Max[i])
		case i == 20 && temp.Quality[i] != faultline.UncertainClock, i != 20 && temp.Quality[i] != faultline.Good:
			t.Errorf("minute %d has quality %v", i, temp.Quality[i])
		case hours.Value[i] != float64(i*60+59) || hours.Min[i] != float64(i*60):
			t.Errorf("minute %d: hours %v, want the last, %d", i, hours.Value[i], i*60+59)
		}
	}
	if len(run.At) != 59 || run.Value[0] != 0 || run.Min[0] != 0 || run.Max[0] != 1 {
		t.Errorf("run: %d rows, first %v (%v..%v), want 59 and 0 (0..1)", len(run.At), run.Value[0], run.Min[0], run.Max[0])
	}

	q.From, q.To = begin.Add(10*time.Minute-2*time.Second), begin.Add(10*time.Minute+2*time.Second)
	if h, err = c.History(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	temp = h[0]
	if temp.Step != 0 || len(temp.At) != 4 || temp.Value[1] != 59 || temp.Max[1] != 59 || !math.IsNaN(temp.Value[2]) || temp.Quality[1] != faultline.Good || temp.Quality[3] != faultline.BadTimeout {
		t.Errorf("raw: %+v", temp)
	}
	if text := h[3]; len(text.At) != 2 || !math.IsNaN(text.Value[0]) || text.Quality[0] != faultline.Good {
		t.Errorf("text: %+v, want two good readings without numbers", text)
	}
	q.Points = nil
	if _, err := c.History(t.Context(), q); !errors.Is(err, faultline.ErrInvalid) {
		t.Errorf("no points: %v, want ErrInvalid", err)
	}
}

func TestHistoryNeverHasMoreRowsThanAsked(t *testing.T) {
	c, _ := open(t, 0)
	begin := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "pump,position=P-1,site=s1 v=%d %d\n", i, begin.Add(time.Duration(i)*1700*time.Millisecond).UnixNano())
	}
	write(t, c, b.String())
	for _, rows := range []int{10, 37, 100, 1999, 2000} {
		h, err := c.History(t.Context(), tsdb.HistoryQuery{Kind: "pump", Site: "s1", Position: "P-1", Points: []string{"v"}, From: begin, To: begin.Add(2000 * 1700 * time.Millisecond), MaxRows: rows})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(h[0].At); n == 0 || n > rows || (h[0].Step == 0) != (rows == 2000) {
			t.Errorf("asked for %d rows, got %d with step %v", rows, n, h[0].Step)
		}
	}
}
