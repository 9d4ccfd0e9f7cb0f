package api

import (
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

const (
	figureDays  = 30 // unless asked otherwise
	longestDays = 366
)

// AlarmFigures are the figures of all alarms together and of each site, and their targets.
type AlarmFigures struct {
	Total   faultline.AlarmKPIs `json:"total"`
	Sites   []SiteFigures       `json:"sites" about:"those with alarms or assets, in the order of their names"`
	Targets AlarmTargets        `json:"targets"`
}

// SiteFigures are those of one site.
type SiteFigures struct {
	Site    string              `json:"site"`
	Figures faultline.AlarmKPIs `json:"figures"`
}

// AlarmTargets are what the figures are measured by, after ISA-18.2.
type AlarmTargets struct {
	PerDay      float64 `json:"per_day" about:"at most"`
	FloodAlarms int     `json:"flood_alarms" about:"more than these in ten minutes are a flood"`
	FloodShare  float64 `json:"flood_share" about:"of all windows of ten minutes, less than"`
}

var alarmTargets = AlarmTargets{faultline.AlarmsPerDay, faultline.FloodAlarms, faultline.FloodShareTarget}

// figuresOf gives the figures of a time, of all sites or of one.
func (s *Server) figuresOf(c *call, f store.FigureFilter) (AlarmFigures, error) {
	ctx := c.Request.Context()
	out := AlarmFigures{Sites: []SiteFigures{}, Targets: alarmTargets}
	b, err := s.contentsFor(c)
	if err != nil {
		return out, err
	}
	alarms, events, err := c.store.AlarmHistory(ctx, f)
	if err != nil {
		return out, err
	}
	out.Total = faultline.AlarmFigures(alarms, events, f.From, f.To)
	alarmsOf, eventsOf := map[string][]faultline.Alarm{}, map[string][]faultline.AlarmEvent{}
	for i := range alarms {
		alarmsOf[alarms[i].Site] = append(alarmsOf[alarms[i].Site], alarms[i])
	}
	for i := range events {
		site, _, _ := strings.Cut(events[i].Alarm, "/")
		eventsOf[site] = append(eventsOf[site], events[i])
	}
	for i := range b.sites {
		if id := b.sites[i].ID; f.Site == "" || f.Site == id {
			out.Sites = append(out.Sites, SiteFigures{id, faultline.AlarmFigures(alarmsOf[id], eventsOf[id], f.From, f.To)})
		}
	}
	return out, nil
}

// figureFilter reads site, days and made_up.
func (c *call) figureFilter() (f store.FigureFilter, err error) {
	days, err := c.integer("days", figureDays, 1, longestDays)
	if err != nil {
		return f, err
	}
	made, err := c.boolean("made_up")
	return store.FigureFilter{Site: c.Query("site"), From: c.now.AddDate(0, 0, -days), To: c.now, MadeUp: made != nil && *made}, err
}

func (s *Server) getAlarmFigures(c *call) (any, error) {
	f, err := c.figureFilter()
	if err != nil {
		return nil, err
	}
	return s.figuresOf(c, f)
}

// Scorecard says how good each rule was on each kind of asset.
type Scorecard struct {
	From  time.Time         `json:"from"`
	To    time.Time         `json:"to"`
	Rules []faultline.Score `json:"rules" about:"those with the most false tickets first; lead_time is in nanoseconds"`
}

func (s *Server) scorecard(c *call, f store.FigureFilter) (Scorecard, error) {
	ctx := c.Request.Context()
	out := Scorecard{From: f.From, To: f.To, Rules: []faultline.Score{}}
	b, err := s.contentsFor(c)
	if err != nil {
		return out, err
	}
	tickets, err := c.store.Faults(ctx, f)
	if err != nil {
		return out, err
	}
	yes := true
	open, err := improvements(ctx, c.store, &yes)
	if err != nil {
		return out, err
	}
	list, err := scores(ctx, c.store, &b, tickets, f)
	for i := range list {
		list[i].Improvement = open[list[i].Rule].Number
	}
	out.Rules = append(out.Rules, list...)
	return out, err
}

func (s *Server) getScorecard(c *call) (any, error) {
	f, err := c.figureFilter()
	if err != nil {
		return nil, err
	}
	return s.scorecard(c, f)
}
