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

// farAhead of what is stored: a wall clock that shows more when a gateway starts is not believed.
const farAhead = 400 * 24 * time.Hour

// minOffset to the hub is corrected; less is within what a network and a disciplined clock differ.
const minOffset = time.Second

// clock gives frames their final times: wall time, strictly increasing per position. After a backward
// jump, or with a clock that was never set, time goes on from the newest one given by monotonic time
// and is uncertain, until the wall clock has caught up.
//
// Where a hub tells the time (hubTime), its clock counts: wall time is corrected by the offset to it, and a
// jump of the wall clock, in either direction, changes nothing but the quality until the hub has spoken
// again. If the hub says that times were ahead, they go on at half speed, uncertain, until the truth has
// come level: they never go back.
type clock struct {
	mu       sync.Mutex
	start    time.Time // carries the monotonic reading
	last     map[string]time.Time
	newest   time.Time
	prevWall time.Time
	prevMono time.Duration
	held     time.Time // zero: the wall clock is followed
	heldAt   time.Duration

	hub     bool          // some hub will tell the time
	told    bool          // one has
	offset  time.Duration // of true time to the wall clock
	doubt   bool          // the wall clock has jumped since the hub told
	rawWall time.Time     // of the last stamp, uncorrected

	wrong func() time.Duration // what the wall clock is wrong by; nil: nothing
}

// hubTime notes what time it was at the hub at the local moment at, which carries a monotonic reading.
func (c *clock) hubTime(hub, at time.Time) { c.tell(hub, c.wall(at), at.Sub(c.start)) }

func (c *clock) tell(hub, wall time.Time, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hub.Before(earliest) { // the hub's own clock was never set
		return
	}
	c.compensate(wall, mono)
	offset := hub.Sub(wall)
	if offset.Abs() < minOffset {
		offset = 0
	}
	if (offset-c.offset).Abs() >= minOffset || offset == 0 {
		c.offset = offset
	}
	c.told, c.doubt = true, false
}

// compensate lets a jump of the wall clock change the offset instead of the time. A clock that was never
// set may be set. c.mu is held.
func (c *clock) compensate(wall time.Time, mono time.Duration) {
	if c.hub && !c.rawWall.IsZero() && (c.told || !c.rawWall.Before(earliest)) {
		if jump := wall.Sub(c.rawWall) - (mono - c.prevMono); jump.Abs() > backwardJump {
			c.offset -= jump
			c.doubt = true
		}
	}
	if !c.prevWall.IsZero() {
		c.prevWall = c.prevWall.Add(mono - c.prevMono)
	}
	c.rawWall, c.prevMono = wall, mono
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

// wall is what the wall clock shows at a moment.
func (c *clock) wall(at time.Time) time.Time {
	at = at.Round(0).UTC()
	if c.wrong != nil {
		at = at.Add(c.wrong())
	}
	return at
}

// Stamp gives the time of a reading made now at the position.
func (c *clock) Stamp(position string) (time.Time, faultline.Quality) {
	now := time.Now()
	return c.stamp(position, c.wall(now), now.Sub(c.start))
}

func (c *clock) stamp(position string, wall time.Time, mono time.Duration) (time.Time, faultline.Quality) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compensate(wall, mono)
	wall = wall.Add(c.offset)
	expected, first := c.newest, c.prevWall.IsZero() // at the first stamp: what was stored before the restart
	if !first {
		expected = c.prevWall
	}
	c.prevWall = wall
	ahead := first && c.hub && !c.told && !c.newest.Before(earliest) && wall.Sub(c.newest) > farAhead
	if c.held.IsZero() && ahead {
		c.held, c.heldAt = c.newest, mono
	}
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
	if c.doubt {
		q = faultline.UncertainClock
	}
	if !c.held.IsZero() {
		since := mono - c.heldAt
		c.heldAt = mono
		if c.told && !c.doubt {
			since /= 2 // the truth is known and comes level
		}
		c.held = c.held.Add(since)
		t, q = c.held, faultline.UncertainClock
		if c.hub && !c.told && !t.Before(earliest) && wall.Sub(t) > farAhead {
			return c.give(position, t), q
		}
		if c.told && !c.doubt && t.Sub(wall) > faultline.MaxAhead {
			c.returnTo(wall)
			t = wall
		}
		if !wall.Before(t) && !wall.Before(earliest) {
			t, q, c.held = wall, faultline.Good, time.Time{}
			if c.doubt {
				q = faultline.UncertainClock
			}
		}
	}
	return c.give(position, t), q
}

// returnTo forgets times that are of no use to anybody. c.mu is held.
func (c *clock) returnTo(wall time.Time) {
	c.held, c.newest = time.Time{}, wall
	for p, t := range c.last {
		if t.Sub(wall) > faultline.MaxAhead {
			delete(c.last, p)
		}
	}
}

// give makes the times of a position increase. c.mu is held.
func (c *clock) give(position string, t time.Time) time.Time {
	if last := c.last[position]; !t.After(last) {
		t = last.Add(time.Nanosecond)
	}
	c.last[position] = t
	if t.After(c.newest) {
		c.newest = t
	}
	return t
}

// uncertain tells whether the wall clock is not followed.
func (c *clock) uncertain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.held.IsZero() || c.doubt
}
