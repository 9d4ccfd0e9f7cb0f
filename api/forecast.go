package api

import (
	"html/template"
	"math"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
)

func (s *Server) listForecasts(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	list, err := c.store.Forecasts(c.Request.Context(), p.Site, p.ID)
	if err != nil {
		return nil, err
	}
	return whole(list), nil
}

// forecastViews shows what life rules say of a position, with fans where there is something to draw.
func (s *Server) forecastViews(c *call, m *rows, p *faultline.Position) ([]console.ForecastView, error) {
	list, err := c.store.Forecasts(c.Request.Context(), p.Site, p.ID)
	if err != nil {
		return nil, err
	}
	var out []console.ForecastView
	for i := range list {
		f := &list[i]
		point := findPoint(p, f.Point)
		if point == nil {
			continue
		}
		v := console.ForecastView{Point: titleOf(point), Text: forecastText(f), Basis: f.Basis, At: m.At(f.At)}
		if f.None == "" {
			if v.SVG, err = s.fan(c, p, f); err != nil {
				// What is said holds without its picture.
				s.log.Warn("history not read", "site", p.Site, "position", p.ID, "error", err)
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// fan draws the point from well before it degraded to its limit.
func (s *Server) fan(c *call, p *faultline.Position, f *faultline.Forecast) (template.HTML, error) {
	degraded := c.now.Sub(f.Onset)
	charts, err := s.pictures(c, p, []string{f.Point}, min(degraded+degraded/3, 60*24*time.Hour))
	if err != nil || len(charts) == 0 {
		return "", err
	}
	charts[0].Foretell(f)
	return template.HTML(charts[0].SVG()), nil // chart escapes all text
}

func forecastText(f *faultline.Forecast) string {
	if f.None != "" {
		return console.Text("no forecast: %s", console.Text(f.None))
	}
	limit := faultline.Float(f.Limit).String()
	if f.Unit != "" {
		limit += " " + f.Unit
	}
	if math.IsInf(float64(f.P90), 1) {
		return console.Text("%s in about %s; at the earliest in %s, perhaps never", limit, f.P50, f.P10)
	}
	return console.Text("%s in about %s; 8 in 10 from %s to %s", limit, f.P50, f.P10, f.P90)
}
