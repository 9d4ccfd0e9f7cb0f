package chart

import (
	"bytes"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	faultline "github.com/faultline-iot/faultline"
)

const (
	plotWidth  = 1000.0 // user units of the stretched plot
	lineHeight = 16.0
	maxNotes   = 6
	noteLength = 52 // characters that fit 320 px
)

// picture is a chart being drawn.
type picture struct {
	bytes.Buffer
	c        *Chart
	from, to time.Time
	loc      *time.Location
	y        axis
	top      float64
	notes    []note
}

type note struct{ class, text string }

// SVG draws the chart.
func (c *Chart) SVG() []byte {
	p := &picture{c: c, loc: location(c.Location), from: c.From, to: c.To}
	if f, t, ok := c.extent(); ok {
		if p.from.IsZero() {
			p.from = f
		}
		if p.to.IsZero() {
			p.to = t
		}
	}
	if !p.to.After(p.from) { // a single moment stands in the middle
		p.from, p.to = p.from.Add(-30*time.Second), p.from.Add(30*time.Second)
	}
	height := float64(c.Height)
	if height <= 0 {
		height = 180
	}
	p.top = 8
	if len(c.Marks) > 0 {
		p.top += 14
	}
	var off []faultline.Limit
	p.y, off = valueAxis(c.Series, c.Limits, height)

	var body picture
	body.c, body.from, body.to, body.loc, body.y, body.top = c, p.from, p.to, p.loc, p.y, p.top
	body.madeUp()
	labels := body.grid()
	labels = append(labels, body.limits(off)...)
	body.open()
	for i := range c.Series {
		body.series(i)
	}
	body.WriteString("</svg>\n")
	for i := range c.Series {
		body.dots(i)
	}
	body.marks()
	body.Write(labels)
	if !body.drawn() {
		body.text("chart-empty", "50%", p.top+height/2, "middle", "no values in this time")
	}
	body.legend()

	rows := len(body.notes)
	total := p.top + height + 20 + float64(rows)*lineHeight + 2
	p.head(total)
	p.Write(body.Bytes())
	for i, n := range body.notes {
		p.text("chart-note "+n.class, "4", p.top+height+20+float64(i+1)*lineHeight-4, "", n.text)
	}
	p.WriteString("</svg>\n")
	return p.Bytes()
}

func (p *picture) head(height float64) {
	p.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="`)
	p.WriteString(escape(p.describe()))
	if p.c.Width > 0 {
		fmt.Fprintf(p, `" width="%d" height="%s" viewBox="0 0 %d %s"`, p.c.Width, num(height), p.c.Width, num(height))
	} else {
		fmt.Fprintf(p, `" width="100%%" height="%s"`, num(height))
	}
	p.WriteString(` font-family="system-ui, sans-serif" font-size="11">` + "\n")
	if p.c.Standalone {
		p.WriteString("<style>" + standaloneStyle + "</style>\n" + `<rect class="chart-back" width="100%" height="100%" fill="#fff"/>` + "\n")
	}
}

// describe says in words what the picture shows.
func (p *picture) describe() string {
	lo, hi, n, bad := math.Inf(1), math.Inf(-1), 0, 0
	for i := range p.c.Series {
		for j := range p.c.Series[i].Samples {
			s := &p.c.Series[i].Samples[j]
			if !s.usable() {
				bad++
				continue
			}
			n++
			lo, hi = min(lo, s.Value), max(hi, s.Value)
		}
	}
	t := p.c.Title
	if t != "" {
		t += ": "
	}
	if n == 0 {
		return t + "no values"
	}
	t += fmt.Sprintf("%d values from %s to %s", n, plain(lo), plain(hi))
	if p.c.Unit != "" {
		t += " " + p.c.Unit
	}
	if bad > 0 {
		t += fmt.Sprintf(", %d without a value", bad)
	}
	if p.hasMadeUp() {
		t += ", " + p.madeUpWords()
	}
	return t
}

// grid draws both axes and gives back the labels of the values, which belong above the series.
func (p *picture) grid() []byte {
	var labels picture
	ticks := p.y.ticks()
	for i, v := range ticks {
		y := p.top + p.y.y(v)
		fmt.Fprintf(p, `<line class="chart-grid" x1="0" x2="100%%" y1="%s" y2="%s" stroke="currentColor" stroke-opacity=".14"/>`+"\n", num(y), num(y))
		label := number(v, p.y.step)
		if i == len(ticks)-1 && p.c.Unit != "" {
			label += " " + p.c.Unit
		}
		if p.nearLimit(v) {
			if i == len(ticks)-1 && p.c.Unit != "" { // the unit must not go missing with its tick
				labels.text("chart-label chart-halo", "100%", p.top+10, "end", p.c.Unit)
			}
			continue
		}
		labels.text("chart-label chart-halo", "4", y-3, "", label)
	}
	bottom := p.top + p.y.height
	fmt.Fprintf(p, `<line class="chart-axis" x1="0" x2="100%%" y1="%s" y2="%s" stroke="currentColor" stroke-opacity=".4"/>`+"\n", num(bottom), num(bottom))
	for _, t := range timeTicks(p.from, p.to, p.loc) {
		x := p.share(t.at)
		fmt.Fprintf(p, `<line class="chart-axis" x1="%s" x2="%s" y1="%s" y2="%s" stroke="currentColor" stroke-opacity=".4"/>`+"\n", pct(x), pct(x), num(bottom), num(bottom+4))
		p.text("chart-label", pct(x), bottom+15, anchor(x, 0.08), t.label)
	}
	p.notes = append(p.notes, note{"chart-span", span(p.from, p.to, p.loc)})
	return labels.Bytes()
}

// nearLimit tells whether a limit's label stands where the tick's would.
func (p *picture) nearLimit(v float64) bool {
	for _, l := range p.c.Limits {
		if math.Abs(p.y.y(l.Value)-p.y.y(v)) < 13 {
			return true
		}
	}
	return false
}

// limits draws the limits' lines and gives back their labels, which belong above the series.
func (p *picture) limits(off []faultline.Limit) []byte {
	var labels picture
	type slot struct{ from, to float64 }
	var taken []slot
	free := func(s slot) bool {
		for _, t := range taken {
			if s.from < t.to && t.from < s.to {
				return false
			}
		}
		return s.from >= p.top-2 && s.to <= p.top+p.y.height
	}
	for _, l := range p.c.Limits {
		if math.IsNaN(l.Value) || math.Abs(l.Value) >= huge {
			continue
		}
		text := strings.TrimSpace(l.Name + " " + plain(l.Value) + " " + p.c.Unit)
		class := "chart-limit-" + l.Severity.String()
		if contains(off, l) {
			arrow := "↑"
			if p.y.y(l.Value) > p.y.height {
				arrow = "↓"
			}
			p.notes = append(p.notes, note{class, arrow + " off scale: " + text})
			continue
		}
		y := p.top + p.y.y(l.Value)
		fmt.Fprintf(p, `<line class="chart-limit %s" x1="0" x2="100%%" y1="%s" y2="%s" stroke="%s" stroke-width="1.2" stroke-dasharray="6 4"/>`+"\n", class, num(y), num(y), severityColour(l.Severity))
		switch above, below := (slot{y - 13, y - 1}), (slot{y + 1, y + 13}); {
		case free(above):
			taken = append(taken, above)
			labels.label(class, l.Severity, y-4, text)
		case free(below):
			taken = append(taken, below)
			labels.label(class, l.Severity, y+11, text)
		default:
			p.notes = append(p.notes, note{class, "- - " + text})
		}
	}
	return labels.Bytes()
}

func (p *picture) label(class string, s faultline.Severity, y float64, text string) {
	fmt.Fprintf(p, `<text class="chart-halo %s" x="4" y="%s" fill="%s" font-weight="600">%s</text>`+"\n", class, num(y), severityColour(s), escape(short(text)))
}

// marks draws the vertical moments with their labels above the plot.
func (p *picture) marks() {
	for _, m := range p.c.Marks {
		if m.At.Before(p.from) || m.At.After(p.to) {
			continue
		}
		x := p.share(m.At)
		fmt.Fprintf(p, `<line class="chart-mark" x1="%s" x2="%s" y1="%s" y2="%s" stroke="#c62828" stroke-width="1.5"/>`+"\n", pct(x), pct(x), num(p.top-4), num(p.top+p.y.height))
		fmt.Fprintf(p, `<text class="chart-mark-label" x="%s" y="%s" fill="#c62828" font-weight="600"%s>%s</text>`+"\n", pct(x), num(p.top-8), anchorAttr(anchor(x, 0.2)), escape(short(m.Label)))
	}
}

// legend notes what the chart has to say, the series' names if there are several, and why samples are missing or uncertain.
func (p *picture) legend() {
	for _, text := range p.c.Notes {
		p.notes = append(p.notes, note{"chart-part", text})
	}
	if len(p.c.Series) > 1 {
		for i := range p.c.Series {
			p.notes = append(p.notes, note{"chart-s" + strconv.Itoa(i%seriesColours), "— " + p.c.Series[i].Name})
		}
	}
	bad, uncertain := map[string]int{}, map[string]int{}
	for i := range p.c.Series {
		for j := range p.c.Series[i].Samples {
			switch s := &p.c.Series[i].Samples[j]; {
			case !s.usable():
				bad[s.reason()]++
			case s.Quality.IsUncertain():
				uncertain[words(s.Quality.Reason())]++
			}
		}
	}
	if len(bad) > 0 {
		p.notes = append(p.notes, note{"chart-bad", "▮ no value: " + counts(bad)})
	}
	if len(uncertain) > 0 {
		p.notes = append(p.notes, note{"chart-uncertain", "○ uncertain: " + counts(uncertain)})
	}
	if len(p.notes) > maxNotes {
		p.notes = p.notes[:maxNotes]
	}
}

func counts(m map[string]int) string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		if m[names[i]] != m[names[j]] {
			return m[names[i]] > m[names[j]]
		}
		return names[i] < names[j]
	})
	for i, n := range names {
		names[i] = n + " ×" + strconv.Itoa(m[n])
	}
	return strings.Join(names, ", ")
}

// drawn tells whether any series has a value.
func (p *picture) drawn() bool {
	for i := range p.c.Series {
		for j := range p.c.Series[i].Samples {
			if p.c.Series[i].Samples[j].usable() {
				return true
			}
		}
	}
	return false
}

// share is the moment's place on the time axis, 0 to 1 within it.
func (p *picture) share(t time.Time) float64 {
	return float64(t.Sub(p.from)) / float64(p.to.Sub(p.from))
}

func (p *picture) text(class, x string, y float64, anchor, text string) {
	fmt.Fprintf(p, `<text class="%s" x="%s" y="%s" fill="currentColor"%s>%s</text>`+"\n", class, x, num(y), anchorAttr(anchor), escape(short(text)))
}

// anchor keeps a label inside the picture near its edges.
func anchor(share, edge float64) string {
	switch {
	case share < edge:
		return ""
	case share > 1-edge:
		return "end"
	}
	return "middle"
}

func anchorAttr(a string) string {
	if a == "" {
		return ""
	}
	return ` text-anchor="` + a + `"`
}

func contains(l []faultline.Limit, v faultline.Limit) bool {
	for _, o := range l {
		if o == v {
			return true
		}
	}
	return false
}

// short cuts a text to what fits a phone.
func short(s string) string {
	if utf8.RuneCountInString(s) <= noteLength {
		return s
	}
	r := []rune(s)
	return string(r[:noteLength-1]) + "…"
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// escape makes any text fit for XML: markup is escaped, what XML cannot hold is replaced.
func escape(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return escaper.Replace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0xfffe || r == 0xffff {
			return ' '
		}
		return r
	}, s))
}

func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

func pct(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/100, 'f', -1, 64) + "%"
}
