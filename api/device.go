package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// Device is how the gateway does with reading a position.
type Device struct {
	Site    string `json:"site"`
	ID      string `json:"position"`
	Name    string `json:"name,omitempty"`
	Kind    string `json:"kind"`
	Gateway string `json:"gateway"`
	Profile string `json:"profile"`
	Address string `json:"address"`
	Condition
	Health *DeviceHealth `json:"health,omitempty" about:"left out if its gateway has told nothing yet"`
}

// Condition is an asset's status by NAMUR NE 107.
type Condition struct {
	Status faultline.NE107 `json:"ne107" about:"failure, check_function, out_of_specification, maintenance_required or good by NAMUR NE 107; empty if nothing was ever heard"`
	Why    string          `json:"ne107_why,omitempty"`
}

// DeviceHealth is the newest that a gateway has told of a device. Counts are since the gateway started.
type DeviceHealth struct {
	At         time.Time        `json:"at"`
	Stale      bool             `json:"stale" about:"older than two minutes: the gateway or its way here is silent"`
	Reachable  bool             `json:"reachable" about:"the last poll was answered, or its MQTT session is there"`
	LatencyP50 float64          `json:"latency_p50_ms" about:"of the last 256 polls; 0 if it is not polled"`
	LatencyP99 float64          `json:"latency_p99_ms"`
	LastGood   time.Time        `json:"last_good,omitzero" about:"of the newest frame with a good sample"`
	Readings   int64            `json:"readings" about:"polls that asked the device, or messages"`
	Good       int64            `json:"good" about:"samples"`
	Uncertain  int64            `json:"uncertain"`
	Bad        int64            `json:"bad"`
	Errors     map[string]int64 `json:"errors" about:"bad samples by reason"`
}

// health of a position as its gateway told it last; nil if it has not.
func (l *latest) healthOf(site, position string, now time.Time) *DeviceHealth {
	l.mu.RLock()
	defer l.mu.RUnlock()
	h := l.health[place{site, position}]
	if h == nil {
		return nil
	}
	out := *h
	out.Errors = maps.Clone(h.Errors)
	out.Stale = now.Sub(h.At) > staleAfter
	return &out
}

// takeHealth puts a frame of faultline.HealthKind in.
func (l *latest) takeHealth(f *faultline.Frame) {
	h := readHealth(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	k := place{f.Site, f.Position}
	if old := l.health[k]; old == nil || f.Time.After(old.At) {
		l.health[k] = h
	}
}

func readHealth(f *faultline.Frame) *DeviceHealth {
	h := &DeviceHealth{At: f.Time, Errors: map[string]int64{}}
	for _, s := range f.Samples {
		n, ok := s.Value.Number()
		if !ok {
			continue
		}
		whole, _ := s.Value.Int64()
		switch s.Point {
		case "reachable":
			h.Reachable = n != 0
		case "latency_p50_ms":
			h.LatencyP50 = n
		case "latency_p99_ms":
			h.LatencyP99 = n
		case "last_good_age_s":
			if n >= 0 && n < 100*365*24*3600 {
				h.LastGood = f.Time.Add(-time.Duration(n * float64(time.Second)))
			}
		case "readings":
			h.Readings = whole
		case "good":
			h.Good = whole
		case "uncertain":
			h.Uncertain = whole
		case "bad":
			h.Bad = whole
		default:
			if reason, is := strings.CutPrefix(s.Point, "errors_"); is && len(h.Errors) < maxPoints {
				h.Errors[reason] = whole
			}
		}
	}
	return h
}

// condition derives the NE 107 status of a position's asset from its newest readings, from what its
// gateway tells of it, and from its alarms.
func (s *Server) condition(f *fleet, p *faultline.Position) Condition {
	k := place{p.Site, p.ID}
	c := s.latest.condition(p.Site, p.ID, f.now)
	for i := range f.alarms {
		a := &f.alarms[i]
		if a.Site != p.Site || a.Position != p.ID {
			continue
		}
		if st := a.State(f.now); st == faultline.AlarmUnacked || st == faultline.AlarmAcked {
			c.Alarm(f.rules[k][a.Rule], a.Severity, cmp.Or(a.Title, a.Rule))
		}
	}
	c.OutOfService = f.outOfService[k]
	status, why := c.Judge()
	return Condition{Status: status, Why: why}
}

// condition is what the newest readings and the gateway's word say of a position. A reading that is too
// old counts as bad.
func (l *latest) condition(site, position string, now time.Time) faultline.DeviceCondition {
	l.mu.RLock()
	defer l.mu.RUnlock()
	k := place{site, position}
	var c faultline.DeviceCondition
	fresh := false // anything usable of late; slow points keep their last value for as long
	for _, r := range l.of[k] {
		c.Heard = true
		fresh = fresh || r.quality.Usable() && now.Sub(r.at) <= staleAfter
		switch {
		case r.quality.IsGood():
			c.Good++
		case r.quality.IsUncertain():
			c.Uncertain++
		default:
			c.Bad++
		}
	}
	c.Reachable = fresh
	if h := l.health[k]; h != nil && now.Sub(h.At) <= staleAfter {
		c.Heard = c.Heard || h.Readings > 0
		c.Reachable = c.Reachable && h.Reachable
	}
	return c
}

// device as it stands now.
func (s *Server) device(f *fleet, p *faultline.Position) Device {
	return Device{
		Site: p.Site, ID: p.ID, Name: p.Name, Kind: p.Kind, Gateway: p.Gateway, Profile: p.Profile, Address: p.Address,
		Condition: s.condition(f, p), Health: s.latest.healthOf(p.Site, p.ID, f.now),
	}
}

// deviceFilter chooses devices; empty parts choose all.
type deviceFilter struct{ site, gateway, status string }

// notHeard is how a filter names the status of what was never heard.
const notHeard = "not_heard"

func statusNames() []string {
	out := make([]string, len(faultline.NE107Statuses))
	for i, s := range faultline.NE107Statuses {
		out[i] = cmp.Or(string(s), notHeard)
	}
	return out
}

// devices gives those that the filter wants, the worst first: by status, then those that do not answer,
// then by the share of samples without a value, then the slowest.
func (s *Server) devices(f *fleet, filter deviceFilter) []Device {
	var out []Device
	for i := range f.positions {
		p := &f.positions[i]
		if filter.site != "" && p.Site != filter.site || filter.gateway != "" && p.Gateway != filter.gateway {
			continue
		}
		if d := s.device(f, p); filter.status == "" || cmp.Or(string(d.Status), notHeard) == filter.status {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Device) int {
		return cmp.Or(
			cmp.Compare(slices.Index(faultline.NE107Statuses, a.Status), slices.Index(faultline.NE107Statuses, b.Status)),
			cmp.Compare(reached(a.Health), reached(b.Health)), cmp.Compare(badShare(b.Health), badShare(a.Health)), cmp.Compare(slowness(b.Health), slowness(a.Health)),
		)
	})
	return out
}

func reached(h *DeviceHealth) int {
	switch {
	case h == nil:
		return 1
	case h.Reachable:
		return 2
	}
	return 0
}

func badShare(h *DeviceHealth) float64 {
	if h == nil || h.Good+h.Uncertain+h.Bad == 0 {
		return 0
	}
	return math.Round(1000*float64(h.Bad)/float64(h.Good+h.Uncertain+h.Bad)) / 1000
}

func slowness(h *DeviceHealth) float64 {
	if h == nil {
		return 0
	}
	return h.LatencyP99
}

func (s *Server) listDevices(c *call) (any, error) {
	limit, offset, err := c.paging()
	if err != nil {
		return nil, err
	}
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	all := s.devices(f, deviceFilter{c.Query("site"), c.Query("gateway"), c.Query("status")})
	return cut(window(all, limit, offset), len(all), limit, offset), nil
}

func (s *Server) getDevice(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	return s.device(f, p), nil
}

// healthPoints are those of device health that are shown over time.
var healthPoints = []faultline.Point{
	{Name: "latency_p99_ms", Title: "Slowest 1 % of answers", Unit: "ms", Type: faultline.TypeFloat},
	{Name: "latency_p50_ms", Title: "Half of the answers within", Unit: "ms", Type: faultline.TypeFloat},
	{Name: "reachable", Title: "Reachable", Type: faultline.TypeBool},
	{Name: "bad", Title: "Samples without a value", Type: faultline.TypeInt},
}

// healthHistory reads what a gateway told of a device over time. The counts of samples without a value
// come as what was added since the value before, a restart of the gateway being no fall.
func (s *Server) healthHistory(ctx context.Context, p *faultline.Position, from, to time.Time, most int) ([]tsdb.PointHistory, error) {
	names := make([]string, len(healthPoints))
	for i := range healthPoints {
		names[i] = healthPoints[i].Name
	}
	history, err := s.series.History(ctx, tsdb.HistoryQuery{Kind: faultline.HealthKind, Site: p.Site, Position: p.ID, Points: names, From: from, To: to, MaxRows: most})
	if err != nil {
		return nil, fmt.Errorf("health of %s/%s over time: %w", p.Site, p.ID, err)
	}
	for i := range history {
		if history[i].Point == "bad" {
			added(&history[i])
		}
	}
	return history, nil
}

// added turns a counter into what was added between neighbours; the first has none before it.
func added(h *tsdb.PointHistory) {
	before := math.NaN()
	for i, v := range h.Value {
		switch {
		case math.IsNaN(v):
			continue
		case math.IsNaN(before):
			h.Value[i] = 0
		case v < before:
			h.Value[i] = v // the gateway started again, from 0
		default:
			h.Value[i] = v - before
		}
		before = v
		if i < len(h.Min) && i < len(h.Max) {
			h.Min[i], h.Max[i] = h.Value[i], h.Value[i]
		}
	}
}

func (s *Server) getDeviceSeries(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	from, to, err := c.span()
	if err != nil {
		return nil, err
	}
	history, err := s.healthHistory(c.Request.Context(), p, from, to, 1000)
	if err != nil {
		return nil, err
	}
	out := History{Site: p.Site, Position: p.ID, From: from.UTC(), To: to.UTC(), Points: []PointHistory{}}
	told := &faultline.Position{Points: healthPoints}
	for i := range history {
		out.Points = append(out.Points, viewHistory(told, &history[i]))
	}
	return out, nil
}
