package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// One P1 ticket for each changed register, over the whole way of the data.
func TestBenchLatency(t *testing.T) {
	t.Setenv("FAULTLINE_TEST_AS_PROGRAM", "1") // for the equipment's process
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"bench", "latency", "-samples", "1000", "-period", "100ms", "-changes", "12", "-json", "-data", t.TempDir()}, &out, &errOut); err != nil {
		t.Fatal(err, errOut.String())
	}
	var r latencyResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err, out.String())
	}
	if r.Changes != 12 || r.Tickets != 12 || r.Rules != 2*latencyValues+12 || r.Samples <= 0 || r.Frames <= 0 || r.P50S <= r.PollP50S || r.PollP50S <= 0 || r.P99S < r.P50S || r.MaxS < r.P99S || r.Met != (r.P99S < r.TargetS) {
		t.Errorf("%s", out.String())
	}
	var keys map[string]any
	if err := json.Unmarshal(out.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	want := []string{"after_poll_max_s", "after_poll_p50_s", "after_poll_p99_s", "ask_every_s", "changes", "frames_per_s", "max_s", "met", "p50_s", "p99_s", "period_s", "rules", "samples_per_s", "seconds_s", "target_p99_s", "tickets"}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestBenchLatencyRefuses(t *testing.T) {
	for _, args := range [][]string{{"-changes", "0"}, {"-period", "1ms"}, {"-samples", "-1"}, {"-samples", "10000000"}} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), append([]string{"bench", "latency"}, args...), &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
