package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// detectResult is what bench detect measures, with the targets.
type detectResult struct {
	NanosPerSample float64 `json:"deviation_ns_per_sample"`
	NanosTarget    float64 `json:"deviation_ns_target"`
	BytesPerSignal int     `json:"deviation_state_bytes"`
	BytesTarget    int     `json:"deviation_bytes_target"`
	JointNanos     float64 `json:"joint_ns_per_step_of_8_signals"`
	JointBytes     int     `json:"joint_state_bytes_of_8_signals"`
	LifeNanos      float64 `json:"life_ns_per_sample"` // a sample a minute in steps of an hour
	LifeBytes      int     `json:"life_state_bytes"`
}

// benchDetect measures the cost of detection.
func benchDetect(_ context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	r := detectResult{NanosTarget: 5000, BytesTarget: 20_000}
	if err := r.cost(); err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "deviation: %.0f ns a sample (target under %.0f), %d bytes a signal (target under %d)\n", r.NanosPerSample, r.NanosTarget, r.BytesPerSignal, r.BytesTarget)
	fmt.Fprintf(out, "joint, 8 signals: %.0f ns a step, %d bytes\n", r.JointNanos, r.JointBytes)
	fmt.Fprintf(out, "life, a sample a minute: %.0f ns a sample, %d bytes a signal\n", r.LifeNanos, r.LifeBytes)
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

	high := 100.0
	wears := kind.Settings{Limits: kind.Limits{High: &high}}
	life, _, err := kind.Find("life").Make(&wears, &points[0], points)
	if err != nil {
		return err
	}
	began = cpuSeconds()
	for i := range 20 * rows { // it wears over ten months
		s := faultline.Sample{Point: names[0], Quality: faultline.Good, Value: faultline.Float(20 + float64(max(0, i-10_000))*75/(20*rows) + math.Mod(float64(i)*0.61803398875, 1))}
		life.Observe(start.Add(time.Duration(i)*time.Minute), &s)
	}
	r.LifeNanos = (cpuSeconds() - began) * 1e9 / (20 * rows)
	r.LifeBytes = len(life.Snapshot(nil))
	return nil
}
