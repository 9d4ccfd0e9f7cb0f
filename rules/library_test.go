package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
	"go.yaml.in/yaml/v3"
)

// profilePositions makes a position of every device profile, so that the rules are tried on the points
// that equipment really has. The files are read as data: rules do not know the gateway.
func profilePositions(t testing.TB) []faultline.Position {
	t.Helper()
	files, err := filepath.Glob("../gateway/profile/library/sim-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles: %v", err)
	}
	var list []faultline.Position
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Kind   string
			Points []struct {
				Name, Title, Unit string
				Type              faultline.Type
				Trend             bool
				Bits, Texts       map[int64]string
			}
		}
		if err := yaml.Unmarshal(data, &p); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		pos := faultline.Position{Site: "plant", ID: name, Kind: p.Kind, Gateway: "gw1", Asset: faultline.Asset{Criticality: faultline.CriticalityB}}
		for _, q := range p.Points {
			point := faultline.Point{Name: q.Name, Title: q.Title, Unit: q.Unit, Type: q.Type, Trend: q.Trend, Texts: q.Texts}
			if len(q.Bits) > 0 {
				point.Texts, point.Bits = q.Bits, true
			}
			pos.Points = append(pos.Points, point)
		}
		list = append(list, pos)
	}
	return list
}

func loadLibrary(t testing.TB) *Set {
	t.Helper()
	s, err := Library()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every rule of the library works on the equipment that it was written for.
func TestLibraryFits(t *testing.T) {
	set, positions := loadLibrary(t), profilePositions(t)
	for _, m := range set.Misfits(positions) {
		t.Error(m)
	}
	used := map[string]int{}
	for _, i := range set.Instances(positions) {
		id := i.Rule
		if strings.HasPrefix(id, "sensor-lost-") {
			id = "sensor-lost"
		}
		used[id]++
		if i.Kind == "threshold" && (len(i.Limits) == 0 || i.Point == "") {
			t.Errorf("rule %s of %s has nothing to draw: %+v", i.Rule, i.Position, i)
		}
		if err := faultline.CheckName("rule", i.Rule); err != nil {
			t.Error(err)
		}
	}
	for _, r := range set.Rules() {
		if used[r.ID] == 0 {
			t.Errorf("rule %s applies to nothing", r.ID)
		}
		if r.Kind != "meter" && len(r.Check) == 0 {
			t.Errorf("rule %s does not say what to check", r.ID)
		}
	}
	if used["gateway-silent"] != 1 {
		t.Errorf("%d gateways are watched, want 1", used["gateway-silent"])
	}
	if len(set.Plans()) < 3 {
		t.Errorf("%d plans", len(set.Plans()))
	}
}

// documented reads the simulator's documentation: the normal range of each kind's points, and the
// limits that faults drive them past.
func documented(t *testing.T) (normal map[string][2]float64, passes [][3]string) {
	t.Helper()
	data, err := os.ReadFile("../firmware-sim/README.md")
	if err != nil {
		t.Fatal(err)
	}
	normal = map[string][2]float64{}
	number := regexp.MustCompile(`^(-?[\d.]+) … (-?[\d.]+)$`)
	section := ""
	for line := range strings.Lines(string(data)) {
		if m := regexp.MustCompile("^### `(\\w+)`").FindStringSubmatch(line); m != nil {
			section = "sim-" + m[1]
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		for i, c := range cells {
			m := number.FindStringSubmatch(c)
			if m == nil {
				continue
			}
			for _, p := range cells[:i] {
				if strings.HasPrefix(p, "`") && !strings.Contains(p, ".") {
					low, _ := strconv.ParseFloat(m[1], 64)
					high, _ := strconv.ParseFloat(m[2], 64)
					normal[section+" "+strings.Trim(p, "`")] = [2]float64{low, high}
				}
			}
		}
		if len(cells) == 5 && (strings.HasPrefix(cells[2], "above ") || strings.HasPrefix(cells[2], "below ")) {
			passes = append(passes, [3]string{section, strings.Trim(cells[1], "`"), cells[2]})
		}
	}
	return normal, passes
}

// Rules are quiet over the whole normal range of the simulated equipment, and there is one for each
// signal that a documented fault drives out of it.
func TestLibraryAgainstTheSimulator(t *testing.T) {
	set, positions := loadLibrary(t), profilePositions(t)
	normal, passes := documented(t)
	if len(normal) < 60 || len(passes) < 20 {
		t.Fatalf("only %d ranges and %d faults were understood", len(normal), len(passes))
	}
	caught, tried := map[string]bool{}, 0
	for i := range positions {
		p := &positions[i]
		attached, _ := set.attach(p)
		for _, a := range attached {
			if a.rule.Kind != "threshold" {
				continue
			}
			key := p.ID + " " + a.point.Name
			span, ok := normal[key]
			if !ok {
				t.Errorf("rule %s watches %s, whose normal range is not documented", a.name, key)
				continue
			}
			tried++
			settings := a.rule.Settings
			settings.Gate = kind.Gate{} // while it applies
			applies, _, err := a.rule.of.Make(&settings, a.point, p.Points)
			if err != nil {
				t.Fatal(err)
			}
			for n, v := range span {
				if got := applies.Observe(start.Add(time.Duration(n)*time.Second), &faultline.Sample{Quality: faultline.Good, Value: faultline.Float(v)}); got.Judgement != kind.Fine {
					t.Errorf("rule %s: %v, which is normal for %s, is %+v", a.name, v, key, got)
				}
			}
			for _, pass := range passes {
				if pass[0] != p.ID || pass[1] != a.point.Name {
					continue
				}
				v, _ := strconv.ParseFloat(pass[2][len("above "):], 64)
				beyond := v + 0.01
				if pass[2][0] == 'b' {
					beyond = v - 0.01
				}
				k, _, err := a.rule.of.Make(&settings, a.point, p.Points)
				if err != nil {
					t.Fatal(err)
				}
				if k.Observe(start, &faultline.Sample{Quality: faultline.Good, Value: faultline.Float(beyond)}).Judgement == kind.Bad {
					caught[strings.Join(pass[:], " ")] = true
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d rules were tried", tried)
	}
	for _, pass := range passes {
		v, _ := strconv.ParseFloat(pass[2][len("above "):], 64)
		if span := normal[pass[0]+" "+pass[1]]; v > span[0] && v < span[1] {
			continue // no limit can tell it from normal: for rules that know the load
		}
		if !caught[strings.Join(pass[:], " ")] {
			t.Errorf("no rule finds that %s %s goes %s", pass[0], pass[1], pass[2])
		}
	}
}

// A fault of the simulator must be told within seconds.
func TestLibraryIsQuick(t *testing.T) {
	for _, r := range loadLibrary(t).Rules() {
		critical := r.Kind == "threshold" && (r.Limits.HighHigh != nil || r.Limits.LowLow != nil)
		if critical && r.OnDelay > 10*time.Second {
			t.Errorf("rule %s may be a trip and waits %v", r.ID, r.OnDelay)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(data)) {
			if w, ok := strings.CutPrefix(strings.TrimSpace(line), "# want: "); ok {
				want = append(want, w)
			}
		}
		_, err = Load(nil, File{filepath.Base(file), data})
		if err == nil {
			t.Errorf("%s was loaded", file)
			continue
		}
		got := strings.Split(err.Error(), "\n")
		if len(got) != len(want) {
			t.Errorf("%s: %d errors, want %d:\n%v", file, len(got), len(want), err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is missing", file, w)
			}
		}
	}
}

// A file of the user's replaces what it names and leaves the rest; a plan that is replaced reaches the
// library's rule that it drives.
func TestLoadOverLibrary(t *testing.T) {
	library := loadLibrary(t)
	set, err := Load(library, File{"own.yaml", []byte(`
rules:
  - {id: pump-vibration-de, disabled: true}
  - id: pump-suction-pressure
    version: 2
    title: Suction pressure low
    kind: threshold
    asset_kind: centrifugal_pump
    positions: [plant/sim-pump, P-999]
    point: suction_pressure
    limits: {low: 1}
    failure_mode: clogged_strainer
    family: suction
plans:
  - {id: compressor-4000h, title: 2000 h service, asset_kind: screw_compressor, meter: running_hours, every: 2000, unit: h, jobs: [all of it]}
`)})
	if err != nil {
		t.Fatal(err)
	}
	positions := profilePositions(t)
	for _, i := range set.Instances(positions) {
		switch i.Rule {
		case "pump-vibration-de":
			t.Error("a disabled rule applies")
		case "pump-suction-pressure":
			if i.Version != 2 || len(i.Limits) != 1 || i.Limits[0].Value != 1 {
				t.Errorf("the rule was not replaced: %+v", i)
			}
		}
	}
	for _, r := range set.Rules() {
		if r.ID == "compressor-service" && r.Every != 2000 {
			t.Errorf("the plan's interval of 2000 did not reach its rule: %v", r.Every)
		}
	}
	for _, r := range library.Rules() {
		if r.ID == "compressor-service" && r.Every != 4000 {
			t.Errorf("loading another set changed the library: %v", r.Every)
		}
	}
	if m := set.Misfits(positions); len(m) != 1 || !strings.Contains(m[0], "names position P-999, which does not exist") {
		t.Errorf("misfits: %q", m)
	}
}

// Every failure mode of the shipped rules stands in the short list.
func TestLibraryFailureModes(t *testing.T) {
	for _, r := range loadLibrary(t).Rules() {
		if _, listed := faultline.FailureModes[r.FailureMode]; !listed {
			t.Errorf("%s: failure mode %q is not in the list", r.ID, r.FailureMode)
		}
	}
}
