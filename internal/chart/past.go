package chart

import (
	"fmt"
	"time"
)

// madeUp shades the made-up part of the picture, marks its end and notes when that was.
func (p *picture) madeUp() {
	if !p.hasMadeUp() {
		return
	}
	end := min(1, p.share(p.c.MadeUpUntil))
	top, height := num(p.top), num(p.y.height)
	fmt.Fprintf(p, `<rect class="chart-made" x="0" y="%s" width="%s" height="%s" fill="#6a4c93" fill-opacity=".09"/>`+"\n", top, pct(end), height)
	if end < 1 {
		fmt.Fprintf(p, `<line class="chart-made-end" x1="%s" x2="%s" y1="%s" y2="%s" stroke="#6a4c93" stroke-dasharray="2 3"/>`+"\n", pct(end), pct(end), top, num(p.top+p.y.height))
	}
	p.notes = append(p.notes, note{"chart-made", "▒ " + p.madeUpWords()})
}

// hasMadeUp tells whether the picture reaches back into made-up history.
func (p *picture) hasMadeUp() bool {
	return !p.c.MadeUpUntil.IsZero() && !p.c.MadeUpUntil.Before(p.from)
}

func (p *picture) madeUpWords() string {
	if !p.c.MadeUpUntil.Before(p.to) {
		return "made up: demonstration history"
	}
	return "made up until " + dayClock(p.c.MadeUpUntil.In(p.loc), p.to.In(p.loc))
}

// dayClock is a time with its day unless that is the other's.
func dayClock(t, other time.Time) string {
	if t.YearDay() == other.YearDay() && t.Year() == other.Year() {
		return t.Format("15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}
