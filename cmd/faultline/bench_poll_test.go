package main

import (
	"bytes"
	"encoding/json"
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

func TestLateness(t *testing.T) {
	t0 := time.Unix(1000, 0)
	var at []time.Time
	for _, ms := range []int{30, 1000, 2005, 4000, 5000} { // 3000 is missing
		at = append(at, t0.Add(time.Duration(ms)*time.Millisecond))
	}
	late, missed := lateness(at, time.Second)
	want := []time.Duration{30, 0, 5, 0, 0}
	if missed != 1 || len(late) != len(want) {
		t.Fatalf("late %v, missed %d", late, missed)
	}
	for i, w := range want {
		if late[i] != w*time.Millisecond {
			t.Errorf("late %v", late)
		}
	}
}

func TestBenchSaysWhatThereIs(t *testing.T) {
	for _, args := range [][]string{{"bench"}, {"bench", "nothing"}, {"bench", "poll", "-dead", "many"}, {"bench", "poll", "-devices", "0"}} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
