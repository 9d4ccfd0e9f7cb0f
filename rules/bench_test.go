package rules

import (
	"context"
	"testing"
	"time"
)

// What is measured is measured: a small run gives every number.
func TestBench(t *testing.T) {
	r, err := Bench(t.Context(), BenchOptions{Positions: 20, Points: 5, Rules: 2, For: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rules != 200 || r.PerSecond <= 0 || r.Frames <= 0 || r.Bytes <= 0 || r.Saved <= 0 || r.RestoreS <= 0 || r.MedianBatchMS <= 0 || r.WorstPauseMS < 0 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Bench(ctx, BenchOptions{Positions: 2}); err == nil {
		t.Error("a measurement that was broken off gave no error")
	}
}
