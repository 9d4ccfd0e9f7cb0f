package gateway

import (
	"math"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestClock(t *testing.T) {
	type step struct {
		wall    string
		mono    time.Duration
		want    string
		quality faultline.Quality
	}
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		v, err := time.Parse("2006-01-02 15:04:05.999999999", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const good, held = faultline.Good, faultline.UncertainClock
	for _, c := range []struct {
		name   string
		stored string
		steps  []step
	}{
		{"follows the wall clock", "", []step{
			{"2026-05-01 12:00:00", 0, "2026-05-01 12:00:00", good},
			{"2026-05-01 12:00:00", 0, "2026-05-01 12:00:00.000000001", good}, // strictly increasing
			{"2026-05-01 13:00:00", time.Second, "2026-05-01 13:00:00", good}, // a forward step is believed
		}},
		{"slewed back a little", "", []step{
			{"2026-05-01 12:00:10", 0, "2026-05-01 12:00:10", good},
			{"2026-05-01 12:00:09.5", 100 * time.Millisecond, "2026-05-01 12:00:10.000000001", good},
			{"2026-05-01 12:00:10.5", 1100 * time.Millisecond, "2026-05-01 12:00:10.5", good},
		}},
		{"set back an hour", "", []step{
			{"2026-05-01 12:00:00", 0, "2026-05-01 12:00:00", good},
			{"2026-05-01 11:00:01", time.Second, "2026-05-01 12:00:01", held},
			{"2026-05-01 11:00:02", 2 * time.Second, "2026-05-01 12:00:02", held},
			{"2026-05-01 12:00:03", 3 * time.Second, "2026-05-01 12:00:03", good}, // set right again
		}},
		{"never set", "", []step{
			{"1970-01-01 00:00:05", 0, "1970-01-01 00:00:05", held},
			{"1970-01-01 00:00:06", time.Second, "1970-01-01 00:00:06", held},
			{"2026-05-01 12:00:00", 2 * time.Second, "2026-05-01 12:00:00", good},
		}},
		{"never set, but something is stored", "2026-05-01 12:00:00", []step{
			{"1970-01-01 00:00:05", 0, "2026-05-01 12:00:00.000000001", held},
			{"1970-01-01 00:00:06", time.Second, "2026-05-01 12:00:01", held},
			{"2026-05-01 12:30:00", 2 * time.Second, "2026-05-01 12:30:00", good},
		}},
		{"set back while the gateway was off", "2026-05-01 12:00:00", []step{
			{"2026-05-01 11:00:00", 0, "2026-05-01 12:00:00.000000001", held},
			{"2026-05-01 12:00:05", 5 * time.Second, "2026-05-01 12:00:05", good},
		}},
	} {
		k := newClock()
		if c.stored != "" {
			k.resume([]faultline.Frame{{Position: "P", Time: at(c.stored)}}, func(string) bool { return false })
		}
		for i, s := range c.steps {
			if got, q := k.stamp("P", at(s.wall), s.mono); !got.Equal(at(s.want)) || q != s.quality {
				t.Errorf("%s, step %d: %v %s, want %s %s", c.name, i, got, q, s.want, s.quality)
			}
		}
	}
	k := newClock()
	if a, q := k.Stamp("P"); !q.IsGood() || math.Abs(time.Since(a).Seconds()) > 5 {
		t.Errorf("%v %s", a, q)
	}
}

// A device whose clock runs ahead does not make the gateway's own clock doubtful after a restart; its
// times go on all the same.
func TestClockResumesBesideFastDevice(t *testing.T) {
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	k := newClock()
	k.resume([]faultline.Frame{{Position: "P", Time: now.Add(-time.Second)}, {Position: "FAST", Time: now.Add(40 * time.Second)}}, func(p string) bool { return p == "FAST" })
	if at, q := k.stamp("P", now, time.Millisecond); !at.Equal(now) || q != faultline.Good {
		t.Errorf("P: %s %s", at, q)
	}
	if at, q := k.stamp("FAST", now, 2*time.Millisecond); !at.After(now.Add(40*time.Second)) || q != faultline.Good {
		t.Errorf("FAST: %s %s", at, q)
	}
}

// Where a hub tells the time, it counts.
func TestClockWithHub(t *testing.T) {
	day := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	unset := time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC)
	const good, unsure = faultline.Good, faultline.UncertainClock
	type step struct {
		mono time.Duration
		wall time.Time
		hub  time.Time // not zero: the hub tells
		want time.Time
		q    faultline.Quality
	}
	s := func(d float64) time.Duration { return time.Duration(d * float64(time.Second)) }
	at := func(d float64) time.Time { return day.Add(s(d)) }
	for _, c := range []struct {
		name   string
		stored time.Time
		steps  []step
	}{
		{"a forward jump is not believed until the hub says so", time.Time{}, []step{
			{0, at(0), time.Time{}, at(0), good},
			{s(1), at(3601), time.Time{}, at(1), unsure},
			{s(2), at(3602), time.Time{}, at(2), unsure},
			{s(3), at(3603), at(3603), at(3603), good}, // it was right: the clock was behind
		}},
		{"a forward jump that the hub contradicts", time.Time{}, []step{
			{0, at(0), at(0), at(0), good},
			{s(1), at(86401), time.Time{}, at(1), unsure},
			{s(2), at(86402), at(2), at(2), good},
			{s(3), at(86403), time.Time{}, at(3), good}, // wrong for good, and corrected for good
		}},
		{"a backward jump", time.Time{}, []step{
			{0, at(0), at(0), at(0), good},
			{s(1), at(-3599), time.Time{}, at(1), unsure},
			{s(2), at(-3598), at(2), at(2), good},
		}},
		{"to 1970 and back", time.Time{}, []step{
			{0, at(0), at(0), at(0), good},
			{s(1), unset, time.Time{}, at(1), unsure},
			{s(2), at(2), time.Time{}, at(2), unsure},
			{s(3), at(3), at(3), at(3), good},
		}},
		{"never set, until the hub tells", day, []step{
			{0, unset, time.Time{}, at(0).Add(1), unsure},
			{s(1), unset.Add(s(1)), time.Time{}, at(1), unsure},
			{s(2), unset.Add(s(2)), at(600), at(600), good},
			{s(3), unset.Add(s(3)), time.Time{}, at(601), good},
		}},
		{"never set, then set by itself", time.Time{}, []step{
			{0, unset, time.Time{}, unset, unsure},
			{s(1), at(1), time.Time{}, at(1), good},
		}},
		{"it was ahead: times come level at half speed", time.Time{}, []step{
			{0, at(10), time.Time{}, at(10), good},
			{s(2), at(12), at(2), at(12), unsure}, // 10 s ahead of the truth
			{s(4), at(14), time.Time{}, at(13), unsure},
			{s(22), at(32), time.Time{}, at(22), good}, // level
			{s(23), at(33), time.Time{}, at(23), good},
		}},
		{"it was ahead by more than a day: those frames are of no use, times go back", time.Time{}, []step{
			{0, at(40 * 86400), time.Time{}, at(40 * 86400), good},
			{s(1), at(40*86400 + 1), at(1), at(1), good},
			{s(2), at(40*86400 + 2), time.Time{}, at(2), good},
		}},
		{"a start in 2099", day, []step{
			{0, day.AddDate(73, 0, 0), time.Time{}, at(0).Add(1), unsure},
			{s(1), day.AddDate(73, 0, 0).Add(s(1)), time.Time{}, at(1), unsure},
			{s(2), day.AddDate(73, 0, 0).Add(s(2)), at(50), at(50), good},
		}},
		{"a small offset is left alone", time.Time{}, []step{
			{0, at(0), at(0.4), at(0), good},
			{s(1), at(1), at(0.7), at(1), good},
		}},
	} {
		k := newClock()
		k.hub = true
		if !c.stored.IsZero() {
			k.resume([]faultline.Frame{{Position: "P", Time: c.stored}}, func(string) bool { return false })
		}
		for i, s := range c.steps {
			if !s.hub.IsZero() {
				k.tell(s.hub, s.wall, s.mono)
			}
			if got, q := k.stamp("P", s.wall, s.mono); !got.Equal(s.want) || q != s.q {
				t.Errorf("%s, step %d: %v %s, want %v %s", c.name, i, got, q, s.want, s.q)
			}
		}
	}
}
