package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline/rules"
)

// boardSignal is a signal with a day and a week in it, noise that repeats for ever, and a fault near the end.
func boardSignal(from time.Time, scale, shift float64) (text string, fault int) {
	var b strings.Builder
	b.WriteString("timestamp,value\n")
	noise := uint64(1)
	const rows = 4000
	fault = 3400
	for i := range rows {
		at := from.Add(time.Duration(i) * 5 * time.Minute)
		noise = noise*6364136223846793005 + 1442695040888963407
		v := 50 + 20*math.Sin(float64(i)/288*2*math.Pi) + float64(noise>>40)/float64(1<<23)
		if i >= fault && i < fault+100 {
			v += 35
		}
		fmt.Fprintf(&b, "%s,%s\n", at.Format("2006-01-02 15:04:05"), strconv.FormatFloat(v*scale+shift, 'g', 12, 64))
	}
	return b.String(), fault
}

// board runs a board over files and gives the answers.
func runTestBoard(t *testing.T, name string, files map[string]string) (answers map[string][][]string, said string) {
	t.Helper()
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "answers")
	for file, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(in, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(in, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var said1, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"detect", "-board", name, "-in", in, "-out", out}, &said1, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	answers = map[string][][]string{}
	for file := range files {
		f, err := os.Open(filepath.Join(out, file))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		answers[file] = rows
	}
	return answers, said1.String()
}

// One row of answer for each of data, a ticket at the fault and hardly another; the same for a copy with
// another name, other units and other dates.
func TestDetectNAB(t *testing.T) {
	plain, fault := boardSignal(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), 1, 0)
	masked, _ := boardSignal(time.Date(1999, 7, 12, 0, 0, 0, 0, time.UTC), 0.02, -7)
	answers, said := runTestBoard(t, "nab", map[string]string{"made/up.csv": plain, "z.csv": masked})
	if !strings.Contains(said, "8000 rows in 2 files") {
		t.Errorf("it said %q", said)
	}
	tickets := map[string][]int{}
	for file, rows := range answers {
		if len(rows) != 4001 || strings.Join(rows[0], ",") != "timestamp,anomaly_score" {
			t.Fatalf("%s: %d rows, header %q", file, len(rows), rows[0])
		}
		for i, row := range rows[1:] {
			if score, err := strconv.ParseFloat(row[1], 64); err != nil || score < 0 {
				t.Fatalf("%s: row %d: %q", file, i, row)
			} else if score > 0 {
				tickets[file] = append(tickets[file], i)
			}
		}
	}
	found := tickets["made/up.csv"]
	late := 0
	for _, i := range found {
		if i >= fault && i < fault+10 {
			late++
		}
	}
	if late == 0 || len(found) > 6 {
		t.Errorf("the fault is at row %d; tickets at %v", fault, found)
	}
	if fmt.Sprint(found) != fmt.Sprint(tickets["z.csv"]) {
		t.Errorf("tickets at %v, in the masked copy at %v", found, tickets["z.csv"])
	}
}

// Several signals: answers for the rows after the first 400, a fault where one leaves the others and none
// long after, a change point at either end; the labels are not read.
func TestDetectSKAB(t *testing.T) {
	var b strings.Builder
	b.WriteString("datetime;a;b;c;anomaly;changepoint\n")
	noise := uint64(1)
	next := func() float64 {
		noise = noise*6364136223846793005 + 1442695040888963407
		return float64(noise>>40) / float64(1<<24)
	}
	const rows, from, to = 1100, 600, 800
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for i := range rows {
		load := next()
		a, c := 5+load+next()/5, 20+3*load+next()/5
		if i >= from && i < to {
			a += 4
		}
		fmt.Fprintf(&b, "%s;%.4f;%.4f;%.4f;1;1\n", at.Add(time.Duration(i)*time.Second).Format("2006-01-02 15:04:05"), a, next(), c)
	}
	answers, _ := runTestBoard(t, "skab", map[string]string{"pump/1.csv": b.String()})
	got := answers["pump/1.csv"]
	if len(got) != rows-400+1 || strings.Join(got[0], ",") != "timestamp,anomaly,changepoint" {
		t.Fatalf("%d rows, header %q", len(got), got[0])
	}
	faults, changes := 0, 0
	for i, row := range got[1:] {
		i += 400
		wrong := row[1] != "0" && (i < from || i > to+60) || row[1] != "1" && i > from+30 && i < to
		if wrong || row[1] != "0" && row[1] != "1" || row[2] != "0" && row[2] != "1" {
			t.Fatalf("row %d: %q", i, row)
		}
		if row[1] == "1" {
			faults++
		}
		if row[2] == "1" && (i >= from && i < from+30 || i >= to && i < to+30) {
			changes++
		}
	}
	if faults < 150 || changes < 2 {
		t.Errorf("%d rows with a fault, %d change points at its ends", faults, changes)
	}
}

func TestDetectMistakes(t *testing.T) {
	in := t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "a.csv"), []byte("timestamp,value\nyesterday,1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"-board nab", "usage"},
		{"-board chess -in x -out y", "usage"},
		{"-board nab -in " + t.TempDir() + " -out y", "holds no file that ends in .csv"},
		{"-board nab -in " + in + " -out " + t.TempDir(), `a.csv: line 2: "yesterday" is no time`},
		{"-board nab -in " + in + " -out " + t.TempDir() + " -rule " + filepath.Join(in, "a.csv"), "nab.yaml"},
	} {
		var out, errOut bytes.Buffer
		err := dispatch(t.Context(), append([]string{"detect"}, strings.Fields(c.args)...), &out, &errOut)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("detect %s: got %v, want %q", c.args, err, c.want)
		}
	}
}

// The cost is measured on made-up signals.
func TestBenchDetect(t *testing.T) {
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"bench", "detect", "-json"}, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	var r detectResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.BytesPerSignal < 1000 || r.BytesPerSignal > r.BytesTarget || r.JointBytes < 100 || r.LifeBytes < 100 || r.LifeBytes > r.BytesTarget {
		t.Errorf("%+v", r)
	}
}

// The rules in the document are rules.
func TestDocumentedDetection(t *testing.T) {
	text, err := os.ReadFile("../../docs/detection.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```")
	rulesOf := 0
	for i := 1; i < len(parts); i += 2 {
		yaml, is := strings.CutPrefix(parts[i], "yaml\n")
		if !is {
			continue
		}
		set, err := rules.Load(nil, rules.File{Name: "detection.md", Data: []byte(yaml)})
		if err != nil {
			t.Fatal(err)
		}
		rulesOf += len(set.Rules())
	}
	if rulesOf != 3 {
		t.Errorf("%d rules", rulesOf)
	}
}

// Equipment in normal operation has next to no tickets in its second week, and its wear is found before it fails.
func TestBenchFleet(t *testing.T) {
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"bench", "fleet", "-json", "-kind", "vibration", "-assets", "2", "-days", "7", "-wear", "1"}, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	var r fleetResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Tickets > 2 || r.Frames < 2*14*24*60 || len(r.Wear) != 2 || r.Lead < 0.2 {
		t.Errorf("%+v", r)
	}
	for _, w := range r.Wear {
		if w.Runs != 1 || w.Found != 1 {
			t.Errorf("%+v", w)
		}
	}
}

// A bearing that wears is answered; one that does not gets the answer of those of which nothing is known.
func TestDetectFEMTO(t *testing.T) {
	in, to := t.TempDir(), t.TempDir()
	for name, wear := range map[string]float64{"worn": 12, "well": 0} {
		var b strings.Builder
		b.WriteString("bearing,idx,h_peak,v_peak\n")
		for i := range 600 {
			v := 2 + math.Mod(float64(i)*0.61803398875, 1)/5 + wear*float64(max(0, i-300))/300
			fmt.Fprintf(&b, "%s,%d,%.3f,%.3f\n", name, i, v, v/2)
		}
		if err := os.WriteFile(filepath.Join(in, name+".csv"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out, errOut bytes.Buffer
	if err := dispatch(t.Context(), []string{"detect", "-board", "femto", "-in", in, "-out", to}, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	answer := func(name string) float64 {
		text, err := os.ReadFile(filepath.Join(to, name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		left, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(string(text), "unit,rul\n"+name+",")), 64)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return left
	}
	if left := answer("well"); left != femtoUnknown {
		t.Errorf("well: %v s", left)
	}
	if left, truth := answer("worn"), 10.0*300*6/12; left > truth || left < truth/2 {
		t.Errorf("worn: %v s, truth %v", left, truth)
	}
	if !strings.Contains(out.String(), "rows before the end") {
		t.Error(out.String())
	}
}
