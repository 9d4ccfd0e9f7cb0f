package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/rules"
	"github.com/faultline-iot/faultline/rules/kind"
)

// detectResult is what bench detect measures, with the targets.
type detectResult struct {
	NanosPerSample  float64 `json:"deviation_ns_per_sample"`
	NanosTarget     float64 `json:"deviation_ns_target"`
	BytesPerSignal  int     `json:"deviation_state_bytes"`
	BytesTarget     int     `json:"deviation_bytes_target"`
	JointNanos      float64 `json:"joint_ns_per_step_of_8_signals"`
	JointBytes      int     `json:"joint_state_bytes_of_8_signals"`
	Assets          int     `json:"assets,omitempty"`
	Days            int     `json:"days,omitempty"`
	FalseFindings   int     `json:"false_findings"`
	FalsePer30      float64 `json:"false_findings_per_asset_and_30_days"`
	FalsePer30Limit float64 `json:"false_findings_target"`
}

// benchDetect measures the cost of detection, and how often it finds something on a simulated fleet that
// has nothing.
func benchDetect(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	assets := fs.Int("assets", 12, "simulated assets in normal operation; 0: only the cost")
	days := fs.Int("days", 37, "that they run, by the minute; the first week is for learning")
	verbose := fs.Bool("v", false, "tell every false finding")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *assets < 0 || *days < 8 {
		return fmt.Errorf("use no less than 0 assets and 8 days")
	}
	r := detectResult{NanosTarget: 5000, BytesTarget: 20_000, Assets: *assets, Days: *days, FalsePer30Limit: 1}
	if err := r.cost(); err != nil {
		return err
	}
	told := io.Discard
	if *verbose {
		told = out
	}
	if err := r.fleet(ctx, told); err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Fprintf(out, "deviation: %.0f ns a sample (target under %.0f), %d bytes a signal (target under %d)\n", r.NanosPerSample, r.NanosTarget, r.BytesPerSignal, r.BytesTarget)
	fmt.Fprintf(out, "joint, 8 signals: %.0f ns a step, %d bytes\n", r.JointNanos, r.JointBytes)
	if r.Assets > 0 {
		fmt.Fprintf(out, "%d assets in normal operation, %d days after a week: %d findings, %.2f per asset and 30 days (target at most %.0f)\n",
			r.Assets, r.Days-7, r.FalseFindings, r.FalsePer30, r.FalsePer30Limit)
	}
	return nil
}

// cost measures a step of each kind on made-up signals, every sample a step, in time of the processor.
func (r *detectResult) cost() error {
	const rows = 20_000
	var points []faultline.Point
	var names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("signal_%d", i+1))
		points = append(points, faultline.Point{Name: names[i], Type: faultline.TypeFloat})
	}
	value := func(i, c int) faultline.Value {
		return faultline.Float(20*math.Sin(float64(i)/288*2*math.Pi) + math.Mod(float64(i*(c+3))*0.61803398875, 1))
	}
	start := time.Unix(1_700_000_000, 0)
	settings := kind.Settings{Learn: time.Hour}
	single, _, err := kind.Find("deviation").Make(&settings, &points[0], points)
	if err != nil {
		return err
	}
	began := cpuSeconds()
	for i := range rows {
		single.Observe(start.Add(time.Duration(i)*5*time.Minute), &faultline.Sample{Point: names[0], Quality: faultline.Good, Value: value(i, 0)})
	}
	r.NanosPerSample = (cpuSeconds() - began) * 1e9 / rows
	r.BytesPerSignal = len(single.Snapshot(nil))

	together := kind.Settings{Points: names, Learn: 400 * time.Second}
	joint, _, err := kind.Find("joint").Make(&together, nil, points)
	if err != nil {
		return err
	}
	began = cpuSeconds()
	for i := range rows {
		at := start.Add(time.Duration(i) * time.Second)
		for c := range names {
			joint.Observe(at, &faultline.Sample{Point: names[c], Quality: faultline.Good, Value: value(i, c)})
		}
		joint.(kind.Framed).EndFrame(at)
	}
	r.JointNanos = (cpuSeconds() - began) * 1e9 / rows
	r.JointBytes = len(joint.Snapshot(nil))
	return nil
}

// fleet runs the shipped detection rules over simulated equipment in normal operation.
func (r *detectResult) fleet(ctx context.Context, told io.Writer) error {
	set, err := rules.Library()
	if err != nil {
		return err
	}
	profiles, err := profile.Library()
	if err != nil {
		return err
	}
	kinds := equipment.Kinds()
	for i := range r.Assets {
		name := kinds[i%len(kinds)]
		p, err := profiles.Get("sim-" + name)
		if err != nil {
			return err
		}
		n, err := normalRun(ctx, set, p, name, int64(i+1), r.Days, told)
		if err != nil {
			return err
		}
		r.FalseFindings += n
	}
	r.FalsePer30 = float64(r.FalseFindings) / float64(max(r.Assets, 1)) / float64(r.Days-7) * 30
	return nil
}

// normalRun counts what the rules find on one asset after its first week.
func normalRun(ctx context.Context, set *rules.Set, p *profile.Profile, name string, seed int64, days int, told io.Writer) (found int, err error) {
	points := p.DomainPoints()
	type watcher struct {
		rule *rules.Rule
		kind kind.Kind
	}
	var watchers []watcher
	for _, rule := range set.Rules() {
		if rule.AssetKind != p.Kind || rule.Kind != "deviation" && rule.Kind != "joint" {
			continue
		}
		var point *faultline.Point
		if i := slices.IndexFunc(points, func(q faultline.Point) bool { return q.Name == rule.Point }); i >= 0 {
			point = &points[i]
		}
		k, _, err := kind.Find(rule.Kind).Make(&rule.Settings, point, points)
		if err != nil {
			return 0, fmt.Errorf("rule %s: %w", rule.ID, err)
		}
		watchers = append(watchers, watcher{rule, k})
	}
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	learnt := from.AddDate(0, 0, 7)
	past := equipment.Past{Device: equipment.DeviceConfig{Name: "A-1", Kind: name, Hours: float64(seed * 1500 % 20000)}, Seed: seed, From: from, To: from.AddDate(0, 0, days), Step: time.Minute}
	err = equipment.History(past, func(at time.Time, values map[string]float64) error {
		for _, w := range watchers {
			verdict := kind.Verdict{}
			for i := range points {
				v, ok := values[points[i].Name]
				if !ok {
					continue
				}
				s := faultline.Sample{Point: points[i].Name, Quality: faultline.Good, Value: faultline.Float(v)}
				switch points[i].Type {
				case faultline.TypeInt:
					s.Value = faultline.Int(int64(v))
				case faultline.TypeBool:
					s.Value = faultline.Bool(v != 0)
				}
				if _, framed := w.kind.(kind.Framed); !framed && s.Point != w.rule.Point {
					continue
				}
				if v := w.kind.Observe(at, &s); v.Judgement != kind.NoNews {
					verdict = v
				}
			}
			if f, ok := w.kind.(kind.Framed); ok {
				verdict = f.EndFrame(at)
			}
			if verdict.Raised() && at.After(learnt) {
				found++
				fmt.Fprintf(told, "%s seed %d, day %.1f: %s: %s\n", name, seed, at.Sub(from).Hours()/24, w.rule.ID, w.kind.Explain(verdict, 0))
			}
		}
		return ctx.Err()
	})
	return found, err
}
