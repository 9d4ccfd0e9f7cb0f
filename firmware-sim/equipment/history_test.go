package equipment

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHistoryMeetsTheLiveDevice(t *testing.T) {
	for _, d := range Default() {
		p := stepped(t, Config{Seed: 4, Devices: []DeviceConfig{d}})
		p.step(monday)
		live, err := p.Values(d.Name)
		if err != nil {
			t.Fatal(err)
		}
		k := p.units[0].k
		var last map[string]float64
		rows, at := 0, monday.AddDate(0, 0, -30)
		err = History(Past{Device: d, Seed: 4, From: at, To: monday, Step: 5 * time.Minute}, func(now time.Time, v map[string]float64) error {
			if !now.Equal(at) {
				t.Fatalf("%s: row at %v, want %v", d.Name, now, at)
			}
			at = at.Add(5 * time.Minute)
			rows++
			for _, pt := range k.points {
				got, there := v[pt.Name]
				switch {
				case pt.static() || pt.Name == "tick":
					if there {
						t.Fatalf("%s: %s is in the history", d.Name, pt.Name)
					}
				case !there:
					t.Fatalf("%s: %s is missing", d.Name, pt.Name)
				case pt.Counter && last != nil && got < last[pt.Name]:
					t.Fatalf("%s %s fell from %v to %v", d.Name, pt.Name, last[pt.Name], got)
				case !pt.Counter && (got < pt.Low || got > pt.High):
					t.Fatalf("%s %s is %v, normal is %v to %v", d.Name, pt.Name, got, pt.Low, pt.High)
				}
			}
			last = maps.Clone(v)
			return nil
		})
		if err != nil || rows != 30*24*12 {
			t.Fatalf("%s: %d rows, %v", d.Name, rows, err)
		}
		for _, pt := range k.points {
			if pt.Counter && pt.Name != "tick" {
				if gap := live[pt.Name] - last[pt.Name]; gap < -1e-9 || gap > 1+live[pt.Name]*1e-4 {
					t.Errorf("%s %s: the past ends at %v, the device begins at %v", d.Name, pt.Name, last[pt.Name], live[pt.Name])
				}
			}
		}
		if grown := last["running_hours"]; d.Hours-grown > 0.2 {
			t.Errorf("%s: ends at %v h, want %v", d.Name, grown, d.Hours)
		}
	}
}

func TestHistoryWithFaults(t *testing.T) {
	count := map[string]int{}
	err := History(Past{Device: DeviceConfig{Name: "CH-301", Kind: "chiller"}, From: monday, To: monday.Add(10 * time.Hour), Step: time.Minute, Script: []Event{
		{At: 2 * time.Hour, Fault: RefrigerantLeak, Ramp: time.Hour},
		{At: 4 * time.Hour, Fault: RefrigerantLeak, Clear: true},
		{At: 5 * time.Hour, Fault: SensorOpen, Point: "cop", For: time.Hour},
	}}, func(time.Time, map[string]float64) error { return nil })
	if err == nil || !strings.Contains(err.Error(), `unknown point "cop"`) {
		t.Errorf("a point that is no sensor: %v", err)
	}
	err = History(Past{Device: DeviceConfig{Name: "CH-301", Kind: "chiller"}, From: monday, To: monday.Add(10 * time.Hour), Step: time.Minute, Script: []Event{
		{At: 2 * time.Hour, Fault: RefrigerantLeak, Ramp: time.Hour},
		{At: 4 * time.Hour, Fault: RefrigerantLeak, Clear: true},
		{At: 5 * time.Hour, Fault: SensorOpen, Point: "subcooling", For: time.Hour},
	}}, func(at time.Time, v map[string]float64) error {
		if v["superheat"] > 16 {
			if count["leak"]++; at.Before(monday.Add(150*time.Minute)) || !at.Before(monday.Add(4*time.Hour)) {
				t.Errorf("superheat %v at %v", v["superheat"], at)
			}
		}
		if _, there := v["subcooling"]; !there {
			count["open"]++
		}
		return nil
	})
	if err != nil || count["leak"] < 60 || count["open"] != 60 {
		t.Errorf("%v, %v", count, err)
	}
	_, err = 0, History(Past{Device: DeviceConfig{Name: "A", Kind: "pump"}, From: monday, To: monday.Add(time.Hour), Step: time.Minute, Script: []Event{{Fault: Offline}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "has no past") {
		t.Errorf("offline in the past: %v", err)
	}
	stop := errors.New("enough")
	if err := History(Past{Device: DeviceConfig{Name: "A", Kind: "pump"}, From: monday, To: monday.Add(time.Hour), Step: time.Minute}, func(time.Time, map[string]float64) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the callback's error: %v", err)
	}
	for _, bad := range []Past{{Device: DeviceConfig{Name: "A", Kind: "boat"}, Step: time.Second}, {Device: DeviceConfig{Name: "A", Kind: "pump"}}} {
		if err := History(bad, nil); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	for _, d := range Default()[1:] {
		b.Run(d.Kind, func(b *testing.B) {
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				if err := History(Past{Device: d, From: monday, To: monday.AddDate(0, 0, 1), Step: time.Minute}, func(time.Time, map[string]float64) error { rows++; return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func TestHistoryFollowsItsDuty(t *testing.T) {
	var stopped, slow, fast []float64
	err := History(Past{
		Device: DeviceConfig{Name: "P-1", Kind: "pump", Hours: 5000}, Seed: 1, From: monday, To: monday.Add(6 * time.Hour), Step: time.Minute,
		Duty: []Duty{{At: time.Hour, Stopped: true}, {At: 2 * time.Hour, Load: 0.8}, {At: 4 * time.Hour, Load: 1.2}},
	}, func(at time.Time, v map[string]float64) error {
		switch hour := at.Sub(monday).Hours(); {
		case hour > 1.1 && hour < 2:
			stopped = append(stopped, v["speed"])
		case hour > 2.1 && hour < 4:
			slow = append(slow, v["flow"])
		case hour > 4.1:
			fast = append(fast, v["flow"])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if top := slices.Max(stopped); top > 1 {
		t.Errorf("a stopped pump turns at %v rpm", top)
	}
	if slices.Max(slow) > slices.Min(fast) {
		t.Errorf("flow at most %v with little load, at least %v with much", slices.Max(slow), slices.Min(fast))
	}
}

// Wear grows ever faster, to the same end.
func TestWearGrowsEverFaster(t *testing.T) {
	line, wear := Event{Fault: BearingWear, Severity: 0.8, Ramp: time.Hour}, Event{Fault: BearingWear, Severity: 0.8, Ramp: time.Hour, Wear: true}
	last := 0.0
	for m := time.Minute; m < time.Hour; m += time.Minute {
		a, b := line.levelAt(m), wear.levelAt(m)
		if b >= a || b-wear.levelAt(m-time.Minute) <= last {
			t.Fatalf("after %v: %v in a line, %v as wear", m, a, b)
		}
		last = b - wear.levelAt(m-time.Minute)
	}
	if got := wear.levelAt(2 * time.Hour); got != 0.8 {
		t.Errorf("ends at %v", got)
	}
}
