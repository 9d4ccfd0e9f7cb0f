package rules

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// BenchOptions say how much equipment is measured with.
type BenchOptions struct {
	Positions int           // default 10,000
	Points    int           // of each position; default 20
	Rules     int           // on each point; default 3
	For       time.Duration // how long evaluation is measured; default 3 s
}

// BenchResult is what one core does with rules. A rule is a rule instance: one rule on one point of one
// position. What it holds in memory includes its share of the samples that are kept as evidence.
type BenchResult struct {
	Positions     int     `json:"positions"`
	Rules         int     `json:"rules"`
	PerSecond     float64 `json:"evaluations_per_second_per_core"` // decoded samples shown to rules
	Frames        float64 `json:"frames_per_second_per_core"`      // the whole worker: decoding, rules, saving
	Bytes         float64 `json:"bytes_per_rule"`                  // of heap
	Saved         float64 `json:"saved_bytes_per_rule"`
	RestoreS      float64 `json:"restore_s_per_100k"`
	WorstPauseMS  float64 `json:"worst_pause_ms"`  // longest batch less the middle one, while units are saved
	MedianBatchMS float64 `json:"median_batch_ms"` // of 500 frames
}

// Bench measures the engine without a bus or a store.
func Bench(ctx context.Context, o BenchOptions) (BenchResult, error) {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Positions, 10_000)
	def(&o.Points, 20)
	def(&o.Rules, 3)
	if o.For <= 0 {
		o.For = 3 * time.Second
	}
	set, positions, err := benchWorld(o)
	if err != nil {
		return BenchResult{}, err
	}
	b := &bench{o: o, positions: positions, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	r := BenchResult{Positions: o.Positions, Rules: o.Positions * o.Points * o.Rules}
	before := heap()
	units := make([]*unit, len(positions))
	for i := range positions {
		units[i], _ = newUnit(set, &positions[i])
	}
	for i, u := range units { // until nothing grows any more
		b.fill(i, u)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	b.at = b.at.Add(ringSize * time.Second)
	b.second(units)
	r.Bytes = float64(heap()-before) / float64(r.Rules)
	began, n := time.Now(), 0
	for time.Since(began) < o.For && ctx.Err() == nil {
		n += b.second(units)
	}
	r.PerSecond = float64(n) / time.Since(began).Seconds()
	if err := b.restore(set, units, &r); err != nil {
		return r, err
	}
	clear(units)
	return r, b.worker(ctx, set, &r)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// benchWorld makes equipment whose every point has rules.
func benchWorld(o BenchOptions) (*Set, []faultline.Position, error) {
	points := make([]faultline.Point, o.Points)
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range points {
		points[i] = faultline.Point{Name: fmt.Sprintf("value_%d", i), Unit: "bar", Type: faultline.TypeFloat}
		for r := range o.Rules {
			fmt.Fprintf(&text, "  - {id: rule-%d-%d, title: Value high, kind: threshold, asset_kind: bench, point: %s, limits: {low: %d, high: %d, high_high: %d}, dead_band: 1, on_delay: 3s, off_delay: 10s, failure_mode: none, family: none}\n",
				i, r, points[i].Name, -10-r, 110+r, 120+r)
		}
	}
	set, err := Load(nil, File{"bench.yaml", []byte(text.String())})
	if err != nil {
		return nil, nil, fmt.Errorf("rules to measure with: %w", err)
	}
	positions := make([]faultline.Position, o.Positions)
	for i := range positions {
		positions[i] = faultline.Position{Site: "site", ID: fmt.Sprintf("P-%d", i), Kind: "bench", Gateway: "gw", Points: points}
	}
	return set, positions, nil
}

// bench makes one frame of every position a second.
type bench struct {
	o         BenchOptions
	positions []faultline.Position
	at        time.Time
	sequence  uint64
	frame     faultline.Frame
	effects   []effect
}

func (b *bench) next(i int) *faultline.Frame {
	f, p := &b.frame, &b.positions[i]
	f.Kind, f.Site, f.Position, f.Gateway, f.Time = p.Kind, p.Site, p.ID, p.Gateway, b.at
	f.Samples = f.Samples[:0]
	for k := range p.Points {
		v := float64((int(b.at.Unix())*7 + i*13 + k*29) % 100)
		f.Samples = append(f.Samples, faultline.Sample{Point: p.Points[k].Name, Quality: faultline.Good, Value: faultline.Float(v)})
	}
	return f
}

// fill gives a unit the samples that it keeps, without its rules' judging them.
func (b *bench) fill(i int, u *unit) {
	began := b.at
	for range ringSize {
		b.at = b.at.Add(time.Second)
		f := b.next(i)
		for k := range f.Samples {
			u.points[f.Samples[k].Point].ring.push(b.at, &f.Samples[k])
		}
	}
	b.at = began
}

// second shows every unit a frame and gives how many evaluations that was.
func (b *bench) second(units []*unit) (evaluations int) {
	b.at = b.at.Add(time.Second)
	b.sequence++
	for i, u := range units {
		f := b.next(i)
		b.effects, _ = u.frame(faultline.FrameID{Gateway: "gw", Epoch: "e", Sequence: b.sequence}, f, b.at, b.effects[:0])
		evaluations += len(u.rules)
	}
	return evaluations
}

// restore measures how long making and restoring units takes.
func (b *bench) restore(set *Set, units []*unit, r *BenchResult) error {
	var took time.Duration
	rules, size := 0, 0
	for _, u := range units[:min(len(units), 500)] {
		state, err := u.snapshot()
		if err != nil {
			return err
		}
		size += len(state)
		began := time.Now()
		again, _ := newUnit(set, u.position)
		if _, err := again.restore(state); err != nil {
			return err
		}
		took += time.Since(began)
		rules += len(again.rules)
	}
	r.RestoreS = took.Seconds() / float64(rules) * 100_000
	r.Saved = float64(size) / float64(rules)
	return nil
}

// worker measures batches as the engine deals with them, while units are saved beside.
func (b *bench) worker(ctx context.Context, set *Set, r *BenchResult) error {
	store := &benchStore{positions: b.positions}
	e, err := New(Options{Source: benchSource{}, Store: store, Set: set, Owner: "bench", SaveEvery: time.Second})
	if err != nil {
		return err
	}
	if err := e.look(ctx); err != nil {
		return err
	}
	world, _ := e.current()
	w := newWorker(e, 0, store, world)
	_, drop, err := w.load(ctx)
	if err != nil {
		return err
	}
	w.saver = newSaver(w, drop)
	defer w.saver.wait()
	const size = 500
	batch := make([]faultline.Message, size)
	var times []float64
	frames, i, place := 0, 0, uint64(0)
	var spent time.Duration
	for began := time.Now(); time.Since(began) < b.o.For && ctx.Err() == nil; {
		for k := range batch {
			if i%len(b.positions) == 0 {
				b.at = b.at.Add(time.Second)
			}
			place++
			f := b.next(i % len(b.positions))
			i++
			m := &batch[k]
			if m.Payload, err = bus.AppendFrame(m.Payload[:0], f); err != nil {
				return err
			}
			m.Place, m.StoredAt, m.Kind = faultline.Place{Stream: "s", Sequence: place}, b.at, faultline.KindFrame
			m.Site, m.Position, m.ID = f.Site, f.Position, faultline.FrameID{Gateway: f.Gateway, Epoch: "w", Sequence: place}
		}
		start := time.Now()
		if err := w.handle(ctx, batch); err != nil {
			return err
		}
		took := time.Since(start)
		spent += took
		frames += size
		times = append(times, took.Seconds()*1000)
	}
	if len(times) == 0 {
		return ctx.Err()
	}
	r.Frames = float64(frames) / spent.Seconds()
	slices.Sort(times)
	r.MedianBatchMS = times[len(times)/2]
	r.WorstPauseMS = times[len(times)-1] - r.MedianBatchMS
	return nil
}

// benchSource is no bus: messages are handed over directly.
type benchSource struct{}

func (benchSource) Partition(string) int { return 0 }
func (benchSource) Partitions() int      { return 1 }
func (benchSource) Consume(ctx context.Context, _ int, _ faultline.Place, _ func(context.Context, []faultline.Message) error) error {
	<-ctx.Done()
	return ctx.Err()
}
func (benchSource) Tick(context.Context, int, time.Time) error            { return nil }
func (benchSource) Order(context.Context, int, faultline.Command) error   { return nil }
func (benchSource) Answer(context.Context, faultline.CommandResult) error { return nil }

// benchStore keeps nothing. It is its own lease.
type benchStore struct{ positions []faultline.Position }

func (*benchStore) Sites(context.Context) ([]faultline.Site, error) { return nil, nil }
func (s *benchStore) Positions(context.Context) ([]faultline.Position, error) {
	return s.positions, nil
}
func (*benchStore) Contracts(context.Context) ([]faultline.Contract, error) { return nil, nil }
func (*benchStore) ReplaceRuleInstances(context.Context, []faultline.RuleInstance) error {
	return nil
}
func (s *benchStore) Lease(context.Context, int, string, time.Duration, time.Time) (Lease, error) {
	return s, nil
}
func (*benchStore) Renew(context.Context, time.Duration, time.Time) error { return nil }
func (*benchStore) Release(context.Context) error                         { return nil }
func (*benchStore) Units(context.Context) ([]Unit, error)                 { return nil, nil }
func (*benchStore) SaveUnits(context.Context, []Unit, []string, faultline.Place) error {
	return nil
}

// Effects are none: all values are within their limits.
func (*benchStore) Effects(context.Context, func(Tx) error) error { return nil }
