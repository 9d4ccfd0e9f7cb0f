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
