package api

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/api/console"
	"github.com/faultline-iot/faultline/internal/store"
)

// fleet is what pages and lists show of all positions, at one moment.
type fleet struct {
	contents
	now     time.Time
	alarms  []faultline.Alarm  // open
	tickets []faultline.Ticket // open
	worst   map[place]faultline.Severity
	rules   map[place]map[string]string // families of the rules, by position with an active alarm
	nAlarm  map[place]int
	nTicket map[place]int

	outOfService map[place]bool // somebody works there, and no alarm that stands is in service
}

func (s *Server) fleet(c *call) (*fleet, error) {
	ctx, now := c.Request.Context(), c.now
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	f := &fleet{contents: b, now: now, worst: map[place]faultline.Severity{}, rules: map[place]map[string]string{}, nAlarm: map[place]int{}, nTicket: map[place]int{}, outOfService: map[place]bool{}}
	if f.alarms, _, err = c.store.Alarms(ctx, store.AlarmFilter{OnlyOpen: true}); err != nil {
		return nil, err
	}
	open := true
	if f.tickets, _, err = c.store.Tickets(ctx, store.TicketFilter{Open: &open}); err != nil {
		return nil, err
	}
	for i := range f.alarms {
		a := &f.alarms[i]
		k := place{a.Site, a.Position}
		f.nAlarm[k]++
		if st := a.State(now); st == faultline.AlarmUnacked || st == faultline.AlarmAcked {
			f.worst[k] = max(f.worst[k], a.Severity)
			if f.rules[k] == nil {
				if f.rules[k], err = s.book.families(ctx, k); err != nil {
					return nil, err
				}
			}
		}
	}
	out, _, err := c.store.Alarms(ctx, store.AlarmFilter{OutOfService: true})
	if err != nil {
		return nil, err
	}
	for i := range out {
		f.outOfService[place{out[i].Site, out[i].Position}] = true
	}
	for i := range f.alarms { // one alarm out of service says nothing where others of the position go on
		if a := &f.alarms[i]; a.OutOfService == "" {
			delete(f.outOfService, place{a.Site, a.Position})
		}
	}
	for i := range f.tickets {
		if t := &f.tickets[i]; !t.Test { // figures leave test tickets out
			f.nTicket[place{t.Site, t.Position}]++
		}
	}
	return f, nil
}

// asset as it stands now.
func (s *Server) asset(f *fleet, p *faultline.Position) Asset {
	k := place{p.Site, p.ID}
	a := Asset{Position: *p, Coverage: f.coverage(p, f.now), OpenAlarms: f.nAlarm[k], OpenTickets: f.nTicket[k]}
	if site := f.site[p.Site]; site != nil {
		a.SiteName = site.Name
	}
	last, speaks := s.latest.usable(p.Site, p.ID, f.now)
	a.LastDataAt, a.NoData = last, !speaks
	a.Condition = s.condition(f, p)
	switch sev := f.worst[k]; {
	case sev >= faultline.SeverityCritical:
		a.State = AssetCritical
	case sev == faultline.SeverityWarning:
		a.State = AssetWarning
	case sev == faultline.SeverityAdvisory:
		a.State = AssetAdvisory
	case !speaks:
		a.State = AssetNoData
	default:
		a.State = AssetNormal
	}
	if a.Points == nil {
		a.Points = []faultline.Point{}
	}
	return a
}

func (s *Server) listSites(c *call) (any, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	return whole(b.sites), nil
}

// assetFilter chooses assets; empty parts choose all.
type assetFilter struct{ site, kind, state, text string }

func (f *assetFilter) wants(a *Asset) bool {
	if f.site != "" && a.Site != f.site || f.kind != "" && a.Kind != f.kind || f.state != "" && string(a.State) != f.state && !(f.state == string(AssetNoData) && a.NoData) {
		return false
	}
	text := strings.ToLower(strings.TrimSpace(f.text))
	return text == "" || slices.ContainsFunc([]string{a.ID, a.Name, a.Asset.Serial, a.Asset.Model, a.Site}, func(v string) bool {
		return strings.Contains(strings.ToLower(v), text)
	})
}

// assets gives those that the filter wants, worst state first, then in the store's order.
func (s *Server) assets(f *fleet, filter assetFilter) []Asset {
	var out []Asset
	for i := range f.positions {
		if a := s.asset(f, &f.positions[i]); filter.wants(&a) {
			out = append(out, a)
		}
	}
	rank := func(a *Asset) int { return slices.Index(assetStates, string(a.State)) }
	slices.SortStableFunc(out, func(a, b Asset) int { return rank(&a) - rank(&b) })
	return out
}

func (s *Server) listAssets(c *call) (any, error) {
	limit, offset, err := c.paging()
	if err != nil {
		return nil, err
	}
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	all := s.assets(f, assetFilter{c.Query("site"), c.Query("kind"), c.Query("state"), c.Query("text")})
	return cut(window(all, limit, offset), len(all), limit, offset), nil
}

func window[T any](all []T, limit, offset int) []T {
	offset = min(offset, len(all))
	return all[offset:min(len(all), offset+limit)]
}

// position finds the position that the path names.
func (s *Server) position(c *call) (*faultline.Position, error) {
	b, err := s.contentsFor(c)
	if err != nil {
		return nil, err
	}
	if p := b.position[place{c.Param("site"), c.Param("position")}]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%w: position %s/%s", faultline.ErrNotFound, c.Param("site"), c.Param("position"))
}

func (s *Server) getAsset(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	f, err := s.fleet(c)
	if err != nil {
		return nil, err
	}
	return s.asset(f, p), nil
}

// points of a position with their newest readings: those of its profile in order, then any others.
func (s *Server) points(p *faultline.Position, now time.Time) []Point {
	readings, _ := s.latest.readings(p.Site, p.ID)
	out := make([]Point, 0, len(p.Points))
	for _, point := range p.Points {
		r, ok := readings[point.Name]
		out = append(out, viewPoint(point, r, ok, now))
		delete(readings, point.Name)
	}
	declared := len(out)
	for name, r := range readings {
		out = append(out, viewPoint(faultline.Point{Name: name, Type: r.value.Type()}, r, true, now))
	}
	slices.SortFunc(out[declared:], func(a, b Point) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func viewPoint(p faultline.Point, r reading, known bool, now time.Time) Point {
	v := Point{Point: p}
	if !known {
		return v
	}
	v.Value, v.Quality, v.At = r.value.Any(), r.quality, r.at
	v.Age = max(0, math.Round(now.Sub(r.at).Seconds()*10)/10)
	v.Text, v.shown = nameOf(&p, r.value), showValue(&p, r.value)
	if !r.goodAt.IsZero() && r.quality.IsBad() {
		v.Good = &GoodReading{Value: r.good.Any(), At: r.goodAt, shown: showValue(&p, r.good)}
	}
	return v
}

// nameOf an enumeration's value or a word's bits; "" where they have none.
func nameOf(p *faultline.Point, v faultline.Value) string {
	n, ok := v.Int64()
	if !ok || len(p.Texts) == 0 {
		return ""
	}
	if !p.Bits {
		return p.Texts[n]
	}
	var names []string
	for bit := range int64(63) {
		if n&(1<<bit) == 0 {
			continue
		}
		if name := p.Texts[bit]; name != "" {
			names = append(names, name)
		} else {
			names = append(names, fmt.Sprintf("bit %d", bit))
		}
	}
	return strings.Join(names, ", ")
}

// showValue with its unit or name, for people.
func showValue(p *faultline.Point, v faultline.Value) string {
	if v.Type() == faultline.NoType {
		return "–"
	}
	if name := nameOf(p, v); name != "" {
		return name
	}
	if n, ok := v.Int64(); ok && p.Bits && n == 0 {
		return "none"
	}
	if b, ok := v.Any().(bool); ok {
		if b {
			return "yes"
		}
		return "no"
	}
	s := v.String()
	switch n := v.Any().(type) {
	case int64:
		s = grouped(n)
	case float64:
		if a := math.Abs(n); a >= 1000 && a < 1e15 {
			s = grouped(int64(math.Round(n)))
		} else if a >= 1e-3 && a < 1000 {
			s = strconv.FormatFloat(n, 'f', decimals(n), 64)
		}
	}
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	if p.Unit != "" {
		s += " " + p.Unit
	}
	return s
}

// grouped writes thousands apart where there are many digits.
func grouped(n int64) string {
	if n > -10000 && n < 10000 {
		return strconv.FormatInt(n, 10)
	}
	return console.Group(n)
}

// decimals keeps three to four significant digits, always as many, so that a value does not change its
// width all the time.
func decimals(f float64) int {
	switch a := math.Abs(f); {
	case a >= 10:
		return 1
	case a >= 1:
		return 2
	}
	return 3
}

func (s *Server) listPoints(c *call) (any, error) {
	p, err := s.position(c)
	if err != nil {
		return nil, err
	}
	return whole(s.points(p, c.now)), nil
}
