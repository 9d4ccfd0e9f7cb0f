package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"
)

func TestBenchPoll(t *testing.T) {
	t.Setenv("FAULTLINE_TEST_AS_PROGRAM", "1") // for the equipment's process
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"bench", "poll", "-devices", "10", "-values", "30", "-blocks", "3", "-dead", "20%", "-period", "100ms", "-for", "1s", "-connections", "2", "-json", "-data", t.TempDir()}, &out, &errOut); err != nil {
		t.Fatal(err, errOut.String())
	}
	var r pollResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err, out.String())
	}
	if r.Devices != 10 || r.Dead != 2 || r.Points == 0 || r.Points != 10*r.Requests || r.Stored == 0 || r.Polls == 0 || r.CPUS <= 0 || r.MemoryMB <= 0 || r.Commits == 0 {
		t.Errorf("%+v", r)
	}
}

// TestBenchPollKeys: the keys of -json are what dashboards and scripts rely on.
func TestBenchPollKeys(t *testing.T) {
	b, err := json.Marshal(pollResult{Compare: new(comparison)})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"alloc_bytes_per_poll", "blocks", "commits", "compare_dead", "connections", "cpu_s", "cpu_s_per_million_points", "dead", "devices", "gc_cycles", "latency_s", "lateness_max_s", "lateness_p50_s",
		"lateness_p99_s", "memory_peak_mb", "missed_polls", "period_s", "points", "points_per_s", "polls", "requests", "seconds_s", "stored_points", "stream_bytes", "values"}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("%v", keys)
	}
	want = []string{"control", "control_p99_ratio", "costs", "dead", "p99_ratio", "p99_s", "windows", "with", "without"}
	if keys := slices.Sorted(maps.Keys(got["compare_dead"].(map[string]any))); !slices.Equal(keys, want) {
		t.Errorf("%v", keys)
	}
}

func TestBenchPollComparesDead(t *testing.T) {
	t.Setenv("FAULTLINE_TEST_AS_PROGRAM", "1") // for the equipment's process
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"bench", "poll", "-devices", "10", "-values", "4", "-compare-dead", "30%", "-period", "100ms", "-for", "3s", "-json"}, &out, &errOut); err != nil {
		t.Fatal(err, errOut.String())
	}
	var r pollResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err, out.String())
	}
	if c := r.Compare; c == nil || c.Dead != 3 || c.Windows != turns || c.With.Polls == 0 || c.Without.Polls == 0 || c.Control.Polls == 0 || c.P99 <= 0 || c.Same <= 0 || len(c.P99s) != turns*windowsPerTurn {
		t.Errorf("%s", out.String())
	}
}

func TestLateness(t *testing.T) {
	t0 := time.Unix(1000, 0)
	var windows [][]time.Time
	for _, w := range [][]int{{30, 1000, 2005, 4000, 5000}, {9998, 11010}} { // 3000 is missing
		var at []time.Time
		for _, ms := range w {
			at = append(at, t0.Add(time.Duration(ms)*time.Millisecond))
		}
		windows = append(windows, at)
	}
	late, missed := lateness(windows, time.Second)
	want := [][]time.Duration{{32, 2, 7, 2, 2}, {0, 12}}
	if !slices.Equal(missed, []int{1, 0}) || len(late) != 2 {
		t.Fatalf("late %v, missed %v", late, missed)
	}
	for i := range want {
		for k, w := range want[i] {
			if late[i][k] != w*time.Millisecond {
				t.Errorf("late %v", late)
			}
		}
	}
}

func TestBenchSaysWhatThereIs(t *testing.T) {
	for _, args := range [][]string{{"bench"}, {"bench", "nothing"}, {"bench", "poll", "-dead", "many"}, {"bench", "poll", "-devices", "0"}, {"bench", "poll", "-dead", "10%", "-compare-dead", "10%"}, {"bench", "poll", "-compare-dead", "100%"}} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
