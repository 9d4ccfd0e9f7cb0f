package faultline

import (
	"fmt"
	"slices"
	"time"
)

// Calendar says when a desk works. Clocks count only that time; nil is round the clock. A calendar is
// read by many and must not change once it is in use.
type Calendar struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Zone string `json:"zone"` // IANA name, such as Asia/Shanghai
	// Week holds the intervals of each day from Sunday on.
	Week [7][]Interval `json:"week"`
	// Exceptions replace a day, named as 2006-01-02: no intervals on a holiday, some on a make-up day.
	Exceptions map[string][]Interval `json:"exceptions,omitempty"`

	location *time.Location
}

// Interval of a local day in minutes after midnight: 0 ≤ From < To ≤ 1440.
type Interval struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Open finds the calendar's time zone and checks it; only then it counts. Every mistake is reported.
func (c *Calendar) Open(locate func(zone string) (*time.Location, error)) (problems []string) {
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	loc, err := locate(c.Zone)
	if err != nil || c.Zone == "" {
		report("zone: %q is no time zone; use a name such as Europe/Berlin", c.Zone)
	}
	hours := 0
	check := func(day string, list []Interval) {
		last := 0
		for i, v := range list {
			switch {
			case v.From < 0 || v.To > 24*60 || v.From >= v.To:
				report("%s: %s to %s is no part of a day", day, minute(v.From), minute(v.To))
			case i > 0 && v.From < last:
				report("%s: %s to %s overlaps what is before it, or stands before it", day, minute(v.From), minute(v.To))
			}
			last = v.To
			hours += v.To - v.From
		}
	}
	for d, list := range c.Week {
		check(time.Weekday(d).String(), list)
	}
	if hours <= 0 && len(problems) == 0 {
		report("week: no hours at all, so that no clock would ever run")
	}
	for day, list := range c.Exceptions {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			report("exceptions: %q is no date; write it as 2006-01-02", day)
		}
		check(day, list)
	}
	slices.Sort(problems)
	if len(problems) == 0 {
		c.location = loc
	}
	return problems
}

func minute(m int) string { return fmt.Sprintf("%02d:%02d", m/60, m%60) }

// longestWait bounds the search for working time: a calendar may be closed by exceptions for long.
const longestWait = 20 * 366

// Add gives the moment at which d of working time has passed since start. With no working time within
// twenty years it gives the end of them.
func (c *Calendar) Add(start time.Time, d time.Duration) time.Time {
	if c == nil || d <= 0 {
		return start.Add(max(d, 0))
	}
	end := start
	for from, to := range c.intervals(start) {
		from = later(from, start)
		if open := to.Sub(from); open >= d {
			return from.Add(d)
		} else if open > 0 {
			d -= open
		}
		end = to
	}
	return end
}

// Between is the working time from one moment to a later one; 0 if it is not later.
func (c *Calendar) Between(from, to time.Time) (d time.Duration) {
	if !to.After(from) {
		return 0
	}
	if c == nil {
		return to.Sub(from)
	}
	for open, shut := range c.intervals(from) {
		if !open.Before(to) {
			break
		}
		d += max(0, earlier(shut, to).Sub(later(open, from)))
	}
	return d
}

// intervals gives the working times from the local day of start on, in order. Their ends are instants, so
// that a day on which clocks change has an hour less or more.
func (c *Calendar) intervals(start time.Time) func(yield func(from, to time.Time) bool) {
	return func(yield func(from, to time.Time) bool) {
		y, m, first := start.In(c.location).Date()
		for i := range longestWait {
			day := time.Date(y, m, first+i, 12, 0, 0, 0, time.UTC) // noon: the date whatever the zone does
			list, special := c.Exceptions[day.Format(time.DateOnly)]
			if !special {
				list = c.Week[day.Weekday()]
			}
			for _, v := range list {
				from, to := wallTime(y, m, first+i, v.From, c.location), wallTime(y, m, first+i, v.To, c.location)
				if !yield(from.In(start.Location()), to.In(start.Location())) {
					return
				}
			}
		}
	}
}

// wallTime is the moment of a local time of day. One that clocks are set over is the moment at which they are set, so
// that no interval begins before it or reaches beyond it; of one that comes twice it is the first.
func wallTime(y int, m time.Month, d, minute int, loc *time.Location) time.Time {
	t := time.Date(y, m, d, 0, minute, 0, 0, loc) // which of two zones it takes, time does not say
	_, offset := t.Zone()
	set, next := t.ZoneBounds()
	wanted := time.Date(y, m, d, 0, minute, 0, 0, time.UTC)
	switch shown := t.Add(time.Duration(offset) * time.Second); {
	case shown.After(wanted):
		return set
	case shown.Before(wanted):
		return next
	case set.IsZero():
		return t
	}
	_, before := set.Add(-time.Second).Zone()
	if first := t.Add(time.Duration(offset-before) * time.Second); first.Before(set) && before > offset {
		return first
	}
	return t
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
