package backtest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// Series is the time-series database; *tsdb.Client is one.
type Series interface {
	History(ctx context.Context, q tsdb.HistoryQuery) ([]tsdb.PointHistory, error)
}

// Influx is history from InfluxDB: readings as they were, a day at a time, or condensed by the server.
type Influx struct {
	series   Series
	position faultline.Position
	points   []string
	step     time.Duration
	days     int
	rows     int64
	tier     string // the coarsest that answered
}

// Of a query: rows at most, and the shortest time that is asked for to get all readings.
const (
	rowsOfQuery  = 100_000
	shortestPart = 10 * time.Minute
)

// NewInflux reads points of a position. condensed chooses means of one minute, which makes a year
// short; conditions that are shorter cannot be seen in them.
func NewInflux(s Series, position faultline.Position, points []string, condensed bool) *Influx {
	i := &Influx{series: s, position: position, points: points}
	if condensed {
		i.step = time.Minute
	}
	return i
}

// Step implements Source.
func (i *Influx) Step() time.Duration { return i.step }

// Used implements Source.
func (i *Influx) Used() string {
	if i.step > 0 {
		return fmt.Sprintf("InfluxDB, %s: means of %v (last values of states and counters) made from %s, %d steps", strings.Join(i.points, ", "), i.step, i.from(), i.rows)
	}
	return fmt.Sprintf("InfluxDB, %s: readings as they were, in %d parts of a day, %d readings", strings.Join(i.points, ", "), i.days, i.rows)
}

func (i *Influx) from() string {
	switch i.tier {
	case tsdb.Minutes:
		return "values of one minute"
	case tsdb.Hours:
		return "values of one hour"
	}
	return "the readings"
}

// Frames implements Source. Both bounds are needed.
func (i *Influx) Frames(ctx context.Context, from, to time.Time, show func(*faultline.Frame) error) error {
	part := 24 * time.Hour
	if i.step > 0 {
		part = 30 * 24 * time.Hour
	}
	for at := from; at.Before(to); at = at.Add(part) {
		end := at.Add(part)
		if end.After(to) {
			end = to
		}
		i.days++
		if err := i.part(ctx, at, end, show); err != nil {
			return err
		}
	}
	return nil
}

// part reads one part, in halves where it holds more than a query may give.
func (i *Influx) part(ctx context.Context, from, to time.Time, show func(*faultline.Frame) error) error {
	q := tsdb.HistoryQuery{Kind: i.position.Kind, Site: i.position.Site, Position: i.position.ID, Points: i.points, From: from, To: to, MaxRows: rowsOfQuery, Bare: true}
	if i.step > 0 {
		q.MaxRows = max(int(to.Sub(from)/i.step)+10, 10) // History chooses a step that is no shorter than this
	}
	history, err := i.series.History(ctx, q)
	if err != nil {
		return err
	}
	step := time.Duration(0)
	for j := range history {
		step = max(step, history[j].Step)
		if t := history[j].Tier; t != tsdb.Policy && i.tier != tsdb.Hours {
			i.tier = t
		}
	}
	switch {
	case step > i.step && i.step == 0 && to.Sub(from) > shortestPart:
		middle := from.Add(to.Sub(from) / 2)
		if err := i.part(ctx, from, middle, show); err != nil {
			return err
		}
		return i.part(ctx, middle, to, show)
	case step > i.step:
		i.step = step // and so says Used
	}
	return i.merge(history, show)
}

// merge makes frames of points that have times of their own.
func (i *Influx) merge(history []tsdb.PointHistory, show func(*faultline.Frame) error) error {
	p := &i.position
	f := faultline.Frame{Kind: p.Kind, Site: p.Site, Position: p.ID, Gateway: p.Gateway}
	next := make([]int, len(history))
	for {
		f.Time = time.Time{}
		for j := range history {
			if n := next[j]; n < len(history[j].At) && (f.Time.IsZero() || history[j].At[n].Before(f.Time)) {
				f.Time = history[j].At[n]
			}
		}
		if f.Time.IsZero() {
			return nil
		}
		f.Samples = f.Samples[:0]
		for j := range history {
			h, n := &history[j], next[j]
			if n == len(h.At) || !h.At[n].Equal(f.Time) {
				continue
			}
			next[j]++
			if s, ok := reading(point(p, h.Point), h.Value[n], h.Quality[n]); ok {
				f.Samples = append(f.Samples, s)
			}
		}
		if len(f.Samples) == 0 {
			continue
		}
		i.rows++
		if err := show(&f); err != nil {
			return err
		}
	}
}

// reading of a point; none where the database has a text, which its histories do not tell.
func reading(p *faultline.Point, v float64, q faultline.Quality) (faultline.Sample, bool) {
	if p == nil {
		return faultline.Sample{}, false
	}
	s := faultline.Sample{Point: p.Name, Quality: q}
	switch {
	case q.IsBad():
		return s, true
	case math.IsNaN(v):
		return s, false
	case p.Type == faultline.TypeInt:
		s.Value = faultline.Int(int64(v))
	case p.Type == faultline.TypeBool:
		s.Value = faultline.Bool(v != 0)
	default:
		s.Value = faultline.Float(v)
	}
	return s, true
}
