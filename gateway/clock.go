package gateway

import (
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
)

// backwardJump is how far the wall clock must fall behind monotonic time to count as set back; less is
// the clock being slewed.
const backwardJump = time.Second

// earliest is before any time that can be true: a wall clock that shows less was never set.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// clock gives frames their final times: wall time, strictly increasing per position. After a backward
// jump, or with a clock that was never set, time goes on from the newest one given by monotonic time
// and is uncertain, until the wall clock has caught up.
type clock struct {
	mu       sync.Mutex
	start    time.Time // carries the monotonic reading
	last     map[string]time.Time
	newest   time.Time
	prevWall time.Time
	prevMono time.Duration
	held     time.Time // zero: the wall clock is followed
	heldAt   time.Duration
}

func newClock() *clock { return &clock{start: time.Now(), last: map[string]time.Time{}} }

// resume continues after what is stored already. A frame that bears its device's own time says nothing
// of this clock: dated tells of a position whether its frames do.
func (c *clock) resume(frames []faultline.Frame, dated func(position string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range frames {
		f := &frames[i]
		if f.Time.After(c.last[f.Position]) {
			c.last[f.Position] = f.Time
		}
		if f.Time.After(c.newest) && !dated(f.Position) {
			c.newest = f.Time
		}
	}
}

// Stamp gives the time of a reading made now at the position.
func (c *clock) Stamp(position string) (time.Time, faultline.Quality) {
	now := time.Now()
	return c.stamp(position, now.Round(0).UTC(), now.Sub(c.start))
}

func (c *clock) stamp(position string, wall time.Time, mono time.Duration) (time.Time, faultline.Quality) {
	c.mu.Lock()
	defer c.mu.Unlock()
	expected := c.newest // at the first stamp: what was stored before the restart
	if !c.prevWall.IsZero() {
		expected = c.prevWall.Add(mono - c.prevMono)
	}
	c.prevWall, c.prevMono = wall, mono
	if c.held.IsZero() && (wall.Before(expected.Add(-backwardJump)) || wall.Before(earliest)) {
		c.held, c.heldAt = expected, mono
		if c.newest.After(expected) {
			c.held = c.newest
		}
		if wall.After(c.held) {
			c.held = wall
		}
	}
	t, q := wall, faultline.Good
	if !c.held.IsZero() {
		t, q = c.held.Add(mono-c.heldAt), faultline.UncertainClock
		if !wall.Before(t) && !wall.Before(earliest) {
			t, q, c.held = wall, faultline.Good, time.Time{}
		}
	}
	if last := c.last[position]; !t.After(last) {
		t = last.Add(time.Nanosecond)
	}
	c.last[position] = t
	if t.After(c.newest) {
		c.newest = t
	}
	return t, q
}

// uncertain tells whether the wall clock is not followed.
func (c *clock) uncertain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.held.IsZero()
}
