package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/rules"
)

// fleetResult is what bench fleet measures, with the targets.
type fleetResult struct {
	Assets      int            `json:"assets"`
	Days        int            `json:"days"` // after the first week
	Tickets     int            `json:"false_tickets"`
	FirstWeek   int            `json:"false_tickets_in_the_first_week"`
	Per30       float64        `json:"false_tickets_per_asset_and_30_days"`
	Per30Limit  float64        `json:"false_tickets_target"`
	ByRule      map[string]int `json:"false_tickets_by_rule"`
	Wear        []wearResult   `json:"wear"`
	Lead        float64        `json:"median_lead"` // of all wear, as a share of onset to failure
	LeadTarget  float64        `json:"median_lead_target"`
	Frames      int            `json:"frames"`
	FrameMicros float64        `json:"cpu_us_per_frame"` // the simulation included
	leads       []float64
}

// wearResult is how one wear of one kind of equipment was found. Leads are shares of the time from onset to
// failure, which is here the first alarm of a limit of a point that shows the wear; one that is not found has none, 0.
type wearResult struct {
	Kind  string         `json:"kind"`
	Fault string         `json:"fault"`
	Runs  int            `json:"runs"` // that came to a failure
	Found int            `json:"found"`
	Lead  float64        `json:"median_lead"`
	First map[string]int `json:"found_first_by"` // kind of rule

	Life     int     `json:"found_by_life"`
	LifeLead float64 `json:"median_lead_of_life"`
	Early    int     `json:"alarms_before_onset"`
}

// beginnings are the kinds of rule that find beginnings.
var beginnings = []string{"deviation", "joint", "life", "peer"}

// wears are the wears of the simulator.
var wears = []struct {
	kind  string
	fault equipment.Fault
}{
	{"pump", equipment.BearingWear}, {"pump", equipment.CloggedFilter},
	{"compressor", equipment.BearingWear}, {"compressor", equipment.CloggedFilter}, {"compressor", equipment.CoolerFouling},
	{"chiller", equipment.BearingWear}, {"chiller", equipment.CloggedFilter}, {"chiller", equipment.RefrigerantLeak}, {"chiller", equipment.CoolerFouling},
	{"vibration", equipment.BearingWear}, {"vibration", equipment.BatteryAging}, {"ups", equipment.BatteryAging},
}

// benchFleet runs all shipped rules over simulated equipment: in normal operation, where every fault ticket is
// false, and with wear.
func benchFleet(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	assets := fs.Int("assets", 200, "in normal operation")
	days := fs.Int("days", 30, "that they run after a first week, by the minute")
	wear := fs.Int("wear", 6, "runs of each kind of wear")
	only := fs.String("kind", "", "only this `KIND` of equipment: "+strings.Join(equipment.Kinds(), ", "))
	seed := fs.Int64("seed", 1, "same seed, same equipment")
	verbose := fs.Bool("v", false, "tell every false ticket, and every wear")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *assets < 0 || *days < 1 || *wear < 0 {
		return fmt.Errorf("use no less than 0 assets, 1 day and 0 runs of wear")
	}
	kinds := equipment.Kinds()
	if *only != "" {
		if !slices.Contains(kinds, *only) {
			return fmt.Errorf("-kind %s: use one of %s", *only, strings.Join(kinds, ", "))
		}
		kinds = []string{*only}
	}
	set, err := rules.Library()
	if err != nil {
		return err
	}
	profiles, err := profile.Library()
	if err != nil {
		return err
	}
	told := io.Discard
	if *verbose {
		told = out
	}
	f := fleet{set: set, profiles: profiles, told: told, result: fleetResult{Assets: *assets, Days: *days, Per30Limit: 1, LeadTarget: 0.5, ByRule: map[string]int{}}}
	cpu := cpuSeconds()
	if err := f.all(ctx, kinds, *assets, *wear, *seed); err != nil {
		return err
	}
	r := &f.result
	r.FrameMicros = (cpuSeconds() - cpu) * 1e6 / float64(max(r.Frames, 1))
	r.Per30 = float64(r.Tickets) / float64(max(*assets, 1)) / float64(*days) * 30
	r.Lead = medianOf(r.leads)
	if *asJSON {
		return printJSON(out, r)
	}
	r.print(out)
	return nil
}

func (r *fleetResult) print(out io.Writer) {
	fmt.Fprintf(out, "%d assets in normal operation, %d days after a week: %d false tickets, %.2f per asset and 30 days (target at most %.0f); %d in the first week\n",
		r.Assets, r.Days, r.Tickets, r.Per30, r.Per30Limit, r.FirstWeek)
	for _, rule := range slices.Sorted(maps.Keys(r.ByRule)) {
		fmt.Fprintf(out, "  %3d  %s\n", r.ByRule[rule], rule)
	}
	if len(r.Wear) > 0 {
		fmt.Fprintf(out, "wear: median lead %.2f of the time from onset to failure (target %.1f)\n", r.Lead, r.LeadTarget)
	}
	for _, w := range r.Wear {
		fmt.Fprintf(out, "  %-10s %-16s found %d of %d, lead %.2f, first by %v; by life %d, lead %.2f; %d alarms before the onset\n",
			w.Kind, w.Fault, w.Found, w.Runs, w.Lead, w.First, w.Life, w.LifeLead, w.Early)
	}
	fmt.Fprintf(out, "%d frames, %.0f µs of processor each, the simulation included\n", r.Frames, r.FrameMicros)
}

// fleet is the bench at work; mu guards its result.
type fleet struct {
	set      *rules.Set
	profiles *profile.Set
	told     io.Writer

	mu     sync.Mutex
	result fleetResult
}

func (f *fleet) all(ctx context.Context, kinds []string, assets, wear int, seed int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range assets {
		g.Go(func() error { return f.normal(ctx, kinds[i%len(kinds)], seed*1_000_000+int64(i)) })
	}
	runs := make([][]wearRun, len(wears))
	for n := range wears {
		if wear == 0 || !slices.Contains(kinds, wears[n].kind) {
			continue
		}
		runs[n] = make([]wearRun, wear)
		for i := range wear {
			g.Go(func() (err error) {
				runs[n][i], err = f.wear(ctx, n, seed*1_000_000+500_000+int64(n*1000+i))
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for n := range runs {
		if len(runs[n]) > 0 {
			f.result.add(n, runs[n])
		}
	}
	return nil
}

// asset is one piece of simulated equipment under all rules.
type asset struct {
	past   equipment.Past
	player *rules.Player
	alarms []assetAlarm
	frames int
}

type assetAlarm struct {
	at                time.Time
	rule, kind, point string // kind of the rule
}

// build makes equipment that is stopped and started, and whose load changes, every few days.
func (f *fleet) build(ctx context.Context, kind string, seed int64, days int) (*asset, *profile.Profile, error) {
	p, err := f.profiles.Get("sim-" + kind)
	if err != nil {
		return nil, nil, err
	}
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(300))
	a := &asset{past: equipment.Past{
		Device: equipment.DeviceConfig{Name: "A-1", Kind: kind, Hours: 2000 + 18_000*r.Float64()}, Seed: seed,
		From: from, To: from.AddDate(0, 0, days), Step: time.Minute,
	}}
	for at := time.Duration(0); ; {
		at += time.Duration((0.5 + r.ExpFloat64()*3) * float64(24*time.Hour))
		if at >= a.past.To.Sub(from) {
			break
		}
		load := 0.85 + 0.3*r.Float64()
		if r.IntN(2) == 0 {
			a.past.Duty = append(a.past.Duty, equipment.Duty{At: at, Stopped: true})
			at += time.Duration((0.3 + 8*r.Float64()) * float64(time.Hour))
		}
		a.past.Duty = append(a.past.Duty, equipment.Duty{At: at, Load: load})
	}
	position := faultline.Position{Site: "plant", ID: "A-1", Kind: p.Kind, Gateway: "gw", Points: p.DomainPoints(), Asset: faultline.Asset{Criticality: faultline.CriticalityB}}
	if a.player, err = rules.NewPlayer(ctx, f.set, rules.Stage{Positions: []faultline.Position{position}}, from); err != nil {
		return nil, nil, err
	}
	a.player.Raised = func(alarm faultline.Alarm, e *faultline.Evidence) {
		a.alarms = append(a.alarms, assetAlarm{alarm.RaisedAt, alarm.Rule, e.Kind, e.Point})
	}
	return a, p, nil
}

// run plays the asset's life. Each day its open tickets are closed, so that whatever comes again is told again.
func (a *asset) run(ctx context.Context, p *profile.Profile) error {
	points := p.DomainPoints()
	states := map[string][]string{} // texts of enumerations, which a past tells by number
	known, err := equipment.Points(a.past.Device.Kind)
	if err != nil {
		return err
	}
	for _, p := range known {
		states[p.Name] = p.Enum
	}
	frame := faultline.Frame{Site: "plant", Position: "A-1", Kind: p.Kind, Gateway: "gw"}
	ticks := a.player.Ticks("plant", "A-1")
	evening := a.past.From.AddDate(0, 0, 1)
	return equipment.History(a.past, func(at time.Time, values map[string]float64) error {
		frame.Time, frame.Samples = at, frame.Samples[:0]
		for i := range points {
			if v, ok := values[points[i].Name]; ok {
				frame.Samples = append(frame.Samples, faultline.Sample{Point: points[i].Name, Quality: faultline.Good, Value: valueOf(&points[i], v, states[points[i].Name])})
			}
		}
		if _, err := a.player.Frame(ctx, &frame); err != nil {
			return err
		}
		a.frames++
		if ticks {
			if _, err := a.player.Tick(ctx, "plant", "A-1", at); err != nil {
				return err
			}
		}
		if at.Before(evening) {
			return nil
		}
		evening = evening.AddDate(0, 0, 1)
		return a.closeTickets(ctx, at)
	})
}

func (a *asset) closeTickets(ctx context.Context, at time.Time) error {
	open := true
	list, _, err := a.player.Store().Tickets(ctx, store.TicketFilter{Open: &open})
	for i := range list {
		if err == nil {
			_, err = a.player.Store().ChangeTicket(ctx, list[i].ID, 0, func(t *faultline.Ticket) ([]faultline.TicketEvent, error) {
				t.Status, t.ClosedAt, t.Keys = faultline.StatusClosed, at, nil
				return nil, nil
			})
		}
	}
	return err
}

// valueOf gives a simulated value the type of its point.
func valueOf(p *faultline.Point, v float64, texts []string) faultline.Value {
	switch p.Type {
	case faultline.TypeInt:
		return faultline.Int(int64(v))
	case faultline.TypeBool:
		return faultline.Bool(v != 0)
	case faultline.TypeString:
		if n := int(v); n >= 0 && n < len(texts) {
			return faultline.String(texts[n])
		}
		return faultline.Value{}
	}
	return faultline.Float(v)
}

// normal counts the tickets of an asset that has nothing.
func (f *fleet) normal(ctx context.Context, kind string, seed int64) error {
	a, p, err := f.build(ctx, kind, seed, f.result.Days+7)
	if err != nil {
		return err
	}
	defer a.player.Close()
	if err := a.run(ctx, p); err != nil {
		return err
	}
	tickets, _, err := a.player.Store().Tickets(ctx, store.TicketFilter{})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.Frames += a.frames
	for i := range tickets {
		t := &tickets[i]
		switch {
		case t.Maintenance == faultline.Predetermined: // its meter is right
		case t.ReceivedAt.Before(a.past.From.AddDate(0, 0, 7)):
			f.result.FirstWeek++
		default:
			f.result.Tickets++
			f.result.ByRule[t.Rule]++
			text, _, _ := strings.Cut(t.Text, "\n")
			fmt.Fprintf(f.told, "false: %s seed %d, day %.1f: %s: %s\n", kind, seed, t.ReceivedAt.Sub(a.past.From).Hours()/24, t.Rule, text)
		}
	}
	return nil
}

// wearRun is what became of one wear.
type wearRun struct {
	failed      bool
	lead, life  float64 // shares of onset to failure; 0: not found before
	first       string  // kind of rule
	early       int
	onset, fail time.Time
}

// wear lets an asset wear after twelve good days, over six to twenty.
func (f *fleet) wear(ctx context.Context, n int, seed int64) (wearRun, error) {
	const good = 12
	w := wears[n]
	r := rand.New(rand.NewPCG(uint64(seed), 8))
	ramp := time.Duration((6 + 14*r.Float64()) * 24 * float64(time.Hour))
	a, p, err := f.build(ctx, w.kind, seed, good+int(ramp.Hours()/24)+2)
	if err != nil {
		return wearRun{}, err
	}
	defer a.player.Close()
	a.past.Script = []equipment.Event{{At: good * 24 * time.Hour, Fault: w.fault, Severity: 1, Ramp: ramp, Wear: r.IntN(2) == 0}}
	if err := a.run(ctx, p); err != nil {
		return wearRun{}, err
	}
	shows := map[string]bool{}
	effects, err := equipment.Effects(w.kind)
	for _, e := range effects {
		if e.Fault == w.fault {
			shows[e.Point] = true
		}
	}
	if err != nil {
		return wearRun{}, err
	}
	run := wearRun{onset: a.past.From.AddDate(0, 0, good)}
	var found, life time.Time
	for _, alarm := range a.alarms {
		switch {
		case alarm.kind == "meter":
		case alarm.at.Before(run.onset):
			if alarm.at.After(a.past.From.AddDate(0, 0, 7)) {
				run.early++
			}
		case slices.Contains(beginnings, alarm.kind) && run.fail.IsZero():
			if found.IsZero() {
				found, run.first = alarm.at, alarm.kind
			}
			if life.IsZero() && alarm.kind == "life" {
				life = alarm.at
			}
		case alarm.kind == "threshold" && shows[alarm.point] && run.fail.IsZero():
			run.fail = alarm.at
		}
	}
	run.failed = !run.fail.IsZero()
	whole := run.fail.Sub(run.onset).Hours()
	share := func(t time.Time) float64 {
		if t.IsZero() || !run.failed {
			return 0
		}
		return run.fail.Sub(t).Hours() / whole
	}
	run.lead, run.life = share(found), share(life)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.Frames += a.frames
	fmt.Fprintf(f.told, "wear: %s %s seed %d over %.1f days: failed after %.1f days, lead %.2f by %s, of life %.2f\n",
		w.kind, w.fault, seed, ramp.Hours()/24, whole/24, run.lead, run.first, run.life)
	return run, nil
}

// add sums up the runs of one wear.
func (r *fleetResult) add(n int, runs []wearRun) {
	w := wearResult{Kind: wears[n].kind, Fault: string(wears[n].fault), First: map[string]int{}}
	var leads, lifes []float64
	for _, run := range runs {
		w.Early += run.early
		if !run.failed {
			continue
		}
		w.Runs++
		leads, lifes = append(leads, run.lead), append(lifes, run.life)
		if run.lead > 0 {
			w.Found++
			w.First[run.first]++
		}
		if run.life > 0 {
			w.Life++
		}
	}
	w.Lead, w.LifeLead = medianOf(leads), medianOf(lifes)
	r.Wear = append(r.Wear, w)
	r.leads = append(r.leads, leads...)
}

func medianOf(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}
