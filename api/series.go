package api

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/chart"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

const maxSpan = 10 * 366 * 24 * time.Hour

// span is the time that a request asks for: the hour before to, or before now, unless it says otherwise.
func (c *call) span() (from, to time.Time, err error) {
	if to, err = c.moment("to", c.now); err != nil {
		return from, to, err
	}
	if from, err = c.moment("from", to.Add(-time.Hour)); err != nil {
		return from, to, err
	}
	if span := to.Sub(from); span <= 0 || span > maxSpan {
		return from, to, invalid("from and to: to must be after from, by at most ten years")
	}
	return from, to, nil
}

func (s *Server) getSeries(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	from, to, err := c.span()
	if err != nil {
		return nil, err
	}
	most, err := c.integer("max", 1000, 10, 5000)
	if err != nil {
		return nil, err
	}
	known := make([]string, len(p.Points))
	for i := range p.Points {
		known[i] = p.Points[i].Name
	}
	names := c.list("points")
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, &refusal{invalid("points: %s/%s has no point %q", p.Site, p.ID, n), known, nil}
		}
	}
	if len(names) == 0 {
		names = trends(p)
	}
	if len(names) > 50 {
		return nil, invalid("points: at most 50 at once")
	}
	out := History{Site: p.Site, Position: p.ID, From: from.UTC(), To: to.UTC(), Points: []PointHistory{}}
	if len(names) == 0 {
		return out, nil
	}
	history, err := s.series.History(c.Request.Context(), tsdb.HistoryQuery{Kind: p.Kind, Site: p.Site, Position: p.ID, Points: names, From: from, To: to, MaxRows: most})
	if err != nil {
		return nil, err
	}
	until, err := s.madeUpUntil(c.Request.Context(), p, c.now)
	if err != nil {
		return nil, err
	}
	if !until.Before(from) {
		out.MadeUp = until
	}
	for i := range history {
		out.Points = append(out.Points, viewHistory(p, &history[i]))
	}
	return out, nil
}

// trends are the points shown as pictures.
func trends(p *faultline.Position) []string {
	var out []string
	for _, point := range p.Points {
		if point.Trend && point.Type != faultline.TypeString && len(out) < 24 {
			out = append(out, point.Name)
		}
	}
	return out
}

func viewHistory(p *faultline.Position, h *tsdb.PointHistory) PointHistory {
	out := PointHistory{Point: h.Point, Step: h.Step.Seconds(), Tier: h.Tier, At: h.At, Quality: h.Quality, Value: numbers(h.Value)}
	if point := findPoint(p, h.Point); point != nil {
		out.Unit = point.Unit
	}
	if h.Step > 0 {
		out.Min, out.Max = numbers(h.Min), numbers(h.Max)
	}
	if out.At == nil {
		out.At, out.Quality = []time.Time{}, []faultline.Quality{}
	}
	return out
}

// numbers replaces what JSON cannot hold by null.
func numbers(v []float64) []*float64 {
	out := make([]*float64, len(v))
	for i := range v {
		if !math.IsNaN(v[i]) && !math.IsInf(v[i], 0) {
			out[i] = &v[i]
		}
	}
	return out
}

func findPoint(p *faultline.Position, name string) *faultline.Point {
	for i := range p.Points {
		if p.Points[i].Name == name {
			return &p.Points[i]
		}
	}
	return nil
}

// pictures of points over a time, in the order asked for, with the limits of the rules on them.
func (s *Server) pictures(c *call, p *faultline.Position, names []string, span time.Duration) ([]*chart.Chart, error) {
	ctx, now := c.Request.Context(), c.now
	history, err := s.series.History(ctx, tsdb.HistoryQuery{Kind: p.Kind, Site: p.Site, Position: p.ID, Points: names, From: now.Add(-span), To: now, MaxRows: 300})
	if err != nil {
		return nil, err
	}
	rules, err := c.store.RuleInstances(ctx, p.Site, p.ID)
	if err != nil {
		return nil, err
	}
	until, err := s.madeUpUntil(ctx, p, now)
	if err != nil {
		return nil, err
	}
	out := make([]*chart.Chart, 0, len(history))
	for i := range history {
		h := &history[i]
		point := findPoint(p, h.Point)
		if point == nil {
			point = &faultline.Point{Name: h.Point}
		}
		drawn := &chart.Chart{Title: titleOf(point), Unit: point.Unit, From: now.Add(-span), To: now, MadeUpUntil: until, Location: s.location, Height: 150}
		drawn.Series = []chart.Series{seriesOf(point, h, span)}
		for _, r := range rules {
			if r.Point == h.Point {
				for _, l := range r.Limits { // a life rule's is a threshold's too
					if !slices.ContainsFunc(drawn.Limits, func(d faultline.Limit) bool { return d.Name == l.Name && d.Value == l.Value }) {
						drawn.Limits = append(drawn.Limits, l)
					}
				}
			}
		}
		out = append(out, drawn)
	}
	return out, nil
}

func titleOf(p *faultline.Point) string {
	if p.Title != "" {
		return p.Title
	}
	return strings.ReplaceAll(p.Name, "_", " ")
}

func seriesOf(p *faultline.Point, h *tsdb.PointHistory, span time.Duration) chart.Series {
	out := chart.Series{Name: titleOf(p), Band: h.Step > 0, Step: p.Type == faultline.TypeBool || p.Type == faultline.TypeInt, MaxGap: max(3*h.Step, span/30)}
	for i := range h.At {
		out.Samples = append(out.Samples, chart.Sample{At: h.At[i], Value: h.Value[i], Min: h.Min[i], Max: h.Max[i], Quality: h.Quality[i]})
	}
	return out
}

func (s *Server) pointPicture(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	width, err := c.integer("width", 0, 200, 4000)
	if err != nil {
		return nil, err
	}
	name := c.Param("point")
	if findPoint(p, name) == nil {
		return nil, fmt.Errorf("%w: point %s of %s/%s", faultline.ErrNotFound, name, p.Site, p.ID)
	}
	span, ok := ranges[c.Query("range")]
	if !ok {
		span = time.Hour
	}
	pictures, err := s.pictures(c, p, []string{name}, span)
	if err != nil || len(pictures) == 0 {
		return nil, err
	}
	return standalone(pictures[0], width), nil
}

// svg is an answer that is a picture by itself.
type svg []byte

func standalone(c *chart.Chart, width int) svg {
	c.Standalone, c.Width = true, width
	return c.SVG()
}
