package chart

import (
	"fmt"
	"strconv"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// seriesColours is how many series colours there are; more series use them again.
const seriesColours = 6

var colours = [seriesColours]string{"#2563c9", "#0f8a6d", "#b4540a", "#7a4fc0", "#0e7fa8", "#8a6d0b"}

func severityColour(s faultline.Severity) string {
	switch s {
	case faultline.SeverityCritical:
		return "#c62828"
	case faultline.SeverityWarning:
		return "#b86e00"
	}
	return "#57707f"
}

// standaloneStyle colours a picture that no page does.
const standaloneStyle = `.chart{color:#1d2a33}.chart-halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}` +
	`@media (prefers-color-scheme:dark){.chart{color:#dbe4ea}.chart-back{fill:#131b21}.chart-halo{stroke:#131b21}}`

// open begins the stretched plot: its x runs from 0 to plotWidth over the whole width, its y is in px.
func (p *picture) open() {
	width := "100%"
	if p.c.Width > 0 {
		width = strconv.Itoa(p.c.Width)
	}
	fmt.Fprintf(p, `<svg x="0" y="%s" width="%s" height="%s" viewBox="0 0 %s %s" preserveAspectRatio="none">`+"\n",
		num(p.top), width, num(p.y.height), num(plotWidth), num(p.y.height))
}

func (p *picture) x(s *Sample) float64 { return p.share(s.At) * plotWidth }

// series draws the gaps, the band and the line of one series.
func (p *picture) series(i int) {
	s := &p.c.Series[i]
	p.gaps(s)
	class, colour := "chart-s"+strconv.Itoa(i%seriesColours), colours[i%seriesColours]
	runs := s.runs()
	if s.Band {
		for _, r := range runs {
			p.band(class, colour, r)
		}
	}
	for _, r := range runs {
		if len(r) > 1 { // one sample makes no line: dots marks it
			p.line(class, colour, r, s.Step)
		}
	}
}

// runs cuts the series where samples are bad or too far apart.
func (s *Series) runs() [][]Sample {
	var out [][]Sample
	start := -1
	for i := range s.Samples {
		v := &s.Samples[i]
		if start >= 0 && (!v.usable() || s.MaxGap > 0 && v.At.Sub(s.Samples[i-1].At) > s.MaxGap) {
			out = append(out, s.Samples[start:i])
			start = -1
		}
		if start < 0 && v.usable() {
			start = i
		}
	}
	if start >= 0 {
		out = append(out, s.Samples[start:])
	}
	return out
}

// gaps shades the time between the good samples around bad ones and ticks each bad sample.
func (p *picture) gaps(s *Series) {
	for i := 0; i < len(s.Samples); {
		if s.Samples[i].usable() {
			i++
			continue
		}
		first := i
		for i < len(s.Samples) && !s.Samples[i].usable() {
			i++
		}
		from, to := p.x(&s.Samples[max(0, first-1)]), p.x(&s.Samples[min(i, len(s.Samples)-1)])
		fmt.Fprintf(p, `<rect class="chart-gap" x="%s" y="0" width="%s" height="%s" fill="currentColor" fill-opacity=".07"/>`+"\n",
			num(from), num(max(1, to-from)), num(p.y.height))
		last := -1.0
		for j := first; j < i; j++ {
			x := p.x(&s.Samples[j])
			if x-last < 2 {
				continue // a tick is there already
			}
			last = x
			fmt.Fprintf(p, `<line class="chart-bad" x1="%s" x2="%s" y1="%s" y2="%s" stroke="#c62828" stroke-width="2" vector-effect="non-scaling-stroke"><title>%s</title></line>`+"\n",
				num(x), num(x), num(p.y.height-9), num(p.y.height), escape(p.stamp(&s.Samples[j])+" no value: "+s.Samples[j].reason()))
		}
	}
}

func (p *picture) band(class, colour string, run []Sample) {
	if len(run) < 2 {
		return
	}
	fmt.Fprintf(p, `<path class="chart-band %s" fill="%s" fill-opacity=".16" stroke="none" d="`, class, colour)
	for i := range run {
		p.point(i == 0, p.x(&run[i]), p.y.y(bounded(run[i].Max, run[i].Value)))
	}
	for i := len(run) - 1; i >= 0; i-- {
		p.point(false, p.x(&run[i]), p.y.y(bounded(run[i].Min, run[i].Value)))
	}
	p.WriteString("Z\"/>\n")
}

func (p *picture) line(class, colour string, run []Sample, step bool) {
	fmt.Fprintf(p, `<path class="chart-line %s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round" stroke-linecap="round" vector-effect="non-scaling-stroke" d="`, class, colour)
	for i := range run {
		x, y := p.x(&run[i]), p.y.y(run[i].Value)
		if step && i > 0 {
			fmt.Fprintf(p, "H%s", num(x))
		}
		p.point(i == 0, x, y)
	}
	p.WriteString("\"/>\n")
}

func (p *picture) point(first bool, x, y float64) {
	cmd := byte('L')
	if first {
		cmd = 'M'
	}
	p.WriteByte(cmd)
	p.WriteString(num(x))
	p.WriteByte(' ')
	p.WriteString(num(y))
}

// dots marks the samples of series that ask for it, and uncertain and lone samples of all.
func (p *picture) dots(i int) {
	s := &p.c.Series[i]
	lone := map[time.Time]bool{}
	for _, r := range s.runs() {
		if len(r) == 1 {
			lone[r[0].At] = true
		}
	}
	class, colour := "chart-s"+strconv.Itoa(i%seriesColours), colours[i%seriesColours]
	for j := range s.Samples {
		v := &s.Samples[j]
		if !v.usable() || v.At.Before(p.from) || v.At.After(p.to) || !s.Dots && !lone[v.At] && !v.Quality.IsUncertain() {
			continue
		}
		x, y := pct(p.share(v.At)), num(p.top+p.y.y(v.Value))
		title := p.stamp(v) + " " + plain(v.Value)
		if p.c.Unit != "" {
			title += " " + p.c.Unit
		}
		if v.Quality.IsUncertain() {
			fmt.Fprintf(p, `<circle class="chart-uncertain" cx="%s" cy="%s" r="3.2" fill="none" stroke="#b86e00" stroke-width="1.3"><title>%s</title></circle>`+"\n",
				x, y, escape(title+" ("+string(v.Quality)+")"))
			continue
		}
		fmt.Fprintf(p, `<circle class="chart-dot %s" cx="%s" cy="%s" r="1.9" fill="%s"><title>%s</title></circle>`+"\n", class, x, y, colour, escape(title))
	}
}

func (p *picture) stamp(s *Sample) string { return s.At.In(p.loc).Format("15:04:05") }
