package main

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// wearing writes units of one signal that rises to 100, where they fail, each at a pace of its own; cut is how many
// of the last rows are left out.
func wearing(units, cut int) string {
	var b strings.Builder
	b.WriteString("unit,cycle,temperature\n")
	for u := range units {
		life := 100 + 37*u%60
		for t := range life - cut {
			fmt.Fprintf(&b, "%d,%d,%.2f\n", u+1, t+1, 20+80*math.Pow(float64(t+1)/float64(life), 3)+float64(t*7%5)/10)
		}
	}
	return b.String()
}

// From runs to failure to a model, and from the model to what is left of units that have not failed.
func TestTrainAndEstimate(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"failed.csv": wearing(12, 0), "in/now.csv": wearing(12, 30)} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	model := filepath.Join(dir, "model.json")
	if out := mustRun(t, "train", "-in", filepath.Join(dir, "failed.csv"), "-out", model, "-horizon", "80"); !strings.Contains(out, "12 runs to failure of 1 signals") || !strings.Contains(out, "RMSE") {
		t.Error(out)
	}
	mustRun(t, "detect", "-board", "cmapss", "-model", model, "-in", filepath.Join(dir, "in"), "-out", dir)
	f, err := os.Open(filepath.Join(dir, "now.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 13 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows[1:] {
		if left, err := strconv.ParseFloat(r[1], 64); err != nil || math.Abs(left-30) > 10 {
			t.Errorf("unit %s has %s left, not 30", r[0], r[1])
		}
	}
	if _, err := runCommand(t, "detect", "-board", "cmapss", "-in", filepath.Join(dir, "in"), "-out", dir); err == nil || !strings.Contains(err.Error(), "faultline train") {
		t.Errorf("without a model: %v", err)
	}
}

func TestRunsOfUnits(t *testing.T) {
	text := "1 1 0 0 100 " + strings.Repeat("5.5 ", 21) + "\n1 2 0 0 100 " + strings.Repeat("6 ", 21) + "\n2 1 0 0 100 " + strings.Repeat("7 ", 21) + "\n"
	signals, runs, err := readRuns(strings.NewReader(text))
	if err != nil || len(signals) != 24 || signals[3] != "sensor_1" || signals[23] != "sensor_21" || len(runs) != 2 || len(runs[0].Rows) != 2 || runs[1].Rows[0][23] != 7 {
		t.Errorf("%v %v %v", signals, runs, err)
	}
	for text, want := range map[string]string{
		"":                                "no data",
		"a,b\n":                           "unit, then time",
		"unit,time\n":                     "unit, then time",
		"unit,cycle,x\n1,1,warm\n":        `line 2: x is "warm"`,
		"unit,x\n1,1\n2,1\n1,2\n":         "line 4: unit 1 comes again",
		"unit,x\n1,1\n2\n":                "line 3",
		"1 1 2\n":                         "line 1 has 3 columns",
		"1 1 " + strings.Repeat("x ", 24): "line 1: setting_1",
	} {
		if _, _, err := readRuns(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRuns(f *testing.F) {
	f.Add("unit,cycle,x\n1,1,2\n1,2,3\n2,1,1\n")
	f.Add("1 1 0 0 100 " + strings.Repeat("5.5 ", 21))
	f.Fuzz(func(t *testing.T, text string) {
		signals, runs, err := readRuns(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, u := range runs {
			for _, row := range u.Rows {
				if len(row) != len(signals) {
					t.Errorf("%d values for %d signals", len(row), len(signals))
				}
			}
		}
	})
}
