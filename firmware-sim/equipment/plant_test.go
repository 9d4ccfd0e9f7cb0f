package equipment

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// stepped builds a plant that is driven by hand.
func stepped(t *testing.T, cfg Config) *Plant {
	t.Helper()
	if cfg.Start.IsZero() {
		cfg.Start = monday
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.begin(cfg.Start)
	return p
}

// running starts a plant and ends it with the test.
func running(t *testing.T, cfg Config) *Plant {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-p.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not ready")
	}
	return p
}

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-poll.C:
		}
	}
}

func trace(t *testing.T, cfg Config, device string) []map[string]float64 {
	p := stepped(t, cfg)
	var rows []map[string]float64
	for i := range 500 {
		p.step(monday.Add(time.Duration(i) * p.cfg.Tick))
		v, err := p.Values(device)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, v)
	}
	return rows
}

func TestSameSeedSameValues(t *testing.T) {
	script := []Event{{At: 10 * time.Second, Device: "C-201", Fault: CloggedFilter, Ramp: 20 * time.Second}}
	for _, d := range Default() {
		a := trace(t, Config{Seed: 7, Script: script}, d.Name)
		if b := trace(t, Config{Seed: 7, Script: script}, d.Name); !slices.EqualFunc(a, b, maps.Equal[map[string]float64, map[string]float64]) {
			t.Errorf("%s: two runs from one seed differ", d.Name)
		}
		if c := trace(t, Config{Seed: 8, Script: script}, d.Name); slices.EqualFunc(a, c, maps.Equal[map[string]float64, map[string]float64]) {
			t.Errorf("%s: another seed gives the same values", d.Name)
		}
		if d.Name == "C-201" {
			continue
		}
		if alone := trace(t, Config{Seed: 7, Devices: []DeviceConfig{d}}, d.Name); !slices.EqualFunc(a, alone, maps.Equal[map[string]float64, map[string]float64]) {
			t.Errorf("%s: its values depend on what else runs", d.Name)
		}
	}
}

func TestSensorFaultsDoNotDisturbTheModel(t *testing.T) {
	p, q := stepped(t, Config{Seed: 3}), stepped(t, Config{Seed: 3})
	for i := range 100 {
		p.step(monday)
		q.step(monday)
		if i%10 == 5 {
			if _, err := p.Inject(Event{Device: "P-101", Fault: SensorStuck, Point: "flow"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, _ := p.Values("P-101")
	b, _ := q.Values("P-101")
	if !maps.Equal(a, b) {
		t.Errorf("true values differ after sensor faults:\n%v\n%v", a, b)
	}
}

// Every documented effect is there in time from any season and age, and not before.
func TestFaultsPassTheirLimitsInTime(t *testing.T) {
	const ramp = 100 * time.Second
	for _, k := range kinds {
		for _, e := range k.effects {
			i := k.index(e.Point)
			if i < 0 {
				t.Fatalf("%s: effect on unknown point %s", k.name, e.Point)
			}
			if p := k.points[i]; e.Limit >= p.Low && e.Limit <= p.High {
				t.Errorf("%s %s: limit %v lies in the normal range %v to %v", k.name, e.Point, e.Limit, p.Low, p.High)
			}
			passed := func(u *unit) bool { return (u.truth[i] > e.Limit) == e.Above && u.truth[i] != e.Limit }
			for start := range 12 {
				hours := []float64{0, 3999.9, 25000}[start%3]
				u := newUnit(DeviceConfig{Name: "X", Hours: hours, WearRate: 1}, k, int64(start))
				from := monday.AddDate(0, start, start).Add(time.Duration(start) * 7 * time.Hour)
				climate := newClimate(int64(start), 0)
				clock := time.Duration(0)
				advance := func(dt time.Duration) {
					clock += dt
					s := surroundings{dt: dt.Seconds(), clock: clock, now: from.Add(clock)}
					s.ambient, s.demand = climate.at(float64(s.now.Unix()))
					u.advance(s)
				}
				for range 120 {
					advance(time.Minute)
				}
				if passed(u) {
					t.Fatalf("%s %s: %v is past %v with no fault", k.name, e.Point, u.truth[i], e.Limit)
				}
				ev := Event{Device: "X", Fault: e.Fault, Ramp: ramp}
				if err := ev.check(k); err != nil {
					t.Fatal(err)
				}
				u.inject(ev, clock, from)
				latest := time.Duration(e.By*float64(ramp)) + time.Duration(e.After*float64(time.Second))
				for began := clock; clock-began < latest; {
					advance(time.Second)
				}
				if !passed(u) {
					t.Errorf("%s %s start %d: %s is %.3f after %v, not past %v", k.name, e.Fault, start, e.Point, u.truth[i], latest, e.Limit)
				}
				if !u.end(e.Fault, "", from) {
					t.Errorf("%s %s: not active at its end", k.name, e.Fault)
				}
			}
		}
	}
}

func TestEveryPhysicalFaultIsDocumented(t *testing.T) {
	for i := range faultSpecs {
		s := &faultSpecs[i]
		for _, k := range kinds {
			documented := slices.ContainsFunc(k.effects, func(e Effect) bool { return e.Fault == s.fault })
			if want := s.physical >= 0 && s.appliesTo(k); documented != want {
				t.Errorf("%s on %s: documented %v, applies %v", s.fault, k.name, documented, want)
			}
		}
	}
}

func TestRepairRestoresTheSignal(t *testing.T) {
	p := stepped(t, Config{Seed: 1, Script: []Event{
		{At: time.Second, Device: "P-101", Fault: BearingWear, For: 10 * time.Second},
		{At: time.Second, Device: "CH-301", Fault: RefrigerantLeak},
		{At: 20 * time.Second, Device: "CH-301", Fault: RefrigerantLeak, Clear: true},
	}})
	at := func(d time.Duration) (vibration, superheat, alarm float64) {
		for time.Duration(p.clock.Load()) < d {
			p.step(monday.Add(time.Duration(p.clock.Load())))
		}
		pump, _ := p.Values("P-101")
		chiller, _ := p.Values("CH-301")
		return pump["vibration_de"], chiller["superheat"], pump["alarm_word"]
	}
	if v, s, a := at(5 * time.Second); v < 11.2 || s < 16 || int(a)&2 == 0 {
		t.Errorf("with faults: vibration %v, superheat %v, alarm word %v", v, s, a)
	}
	if v, s, _ := at(15 * time.Second); v > 3.5 || s < 16 {
		t.Errorf("after the first ended by itself: vibration %v, superheat %v", v, s)
	}
	if v, s, a := at(25 * time.Second); v > 3.5 || s > 8.5 || a != 0 {
		t.Errorf("after both were cleared: vibration %v, superheat %v, alarm word %v", v, s, a)
	}
	in := p.Injected()
	if len(in) != 2 || in[0].Cleared.IsZero() || in[1].Cleared.IsZero() || in[0].At.Sub(monday) > 2*time.Second {
		t.Errorf("record: %+v", in)
	}
}

func TestServiceHourPassesAsDocumented(t *testing.T) {
	p := stepped(t, Config{Seed: 1})
	p.step(monday)
	v, _ := p.Values("C-201")
	if v["running_hours"] != 3999.9 {
		t.Errorf("starts at %v h, want 3999.9", v["running_hours"])
	}
	for time.Duration(p.clock.Load()) < 20*time.Second {
		p.step(monday)
	}
	if v, _ = p.Values("C-201"); v["running_hours"] != 4000 {
		t.Errorf("after 20 s at %v h, want 4000", v["running_hours"])
	}
}

func TestErrorsNameWhatIsAllowed(t *testing.T) {
	p := stepped(t, Config{})
	for _, c := range []struct {
		e    Event
		want []string
	}{
		{Event{Device: "P-1", Fault: BearingWear}, []string{`unknown device "P-1"`, "P-101", "V-102"}},
		{Event{Device: "P-101", Fault: "rust"}, []string{`unknown fault "rust"`, "bearing_wear", "half_frame"}},
		{Event{Device: "P-101", Fault: RefrigerantLeak}, []string{"does not apply to a pump", "clogged_filter"}},
		{Event{Device: "P-101", Fault: SensorOpen, Point: "flwo"}, []string{`unknown point "flwo"`, "flow", "winding_temperature"}},
		{Event{Device: "P-101", Fault: SensorOpen, Point: "running_hours"}, []string{`unknown point "running_hours"`}},
		{Event{Device: "P-101", Fault: Offline, Point: "flow"}, []string{"takes no point"}},
		{Event{Device: "P-101", Fault: Offline, Severity: 2}, []string{"severity 2"}},
		{Event{Device: "P-101", Fault: Exception, Code: 3}, []string{"exception code 3", "2 (illegal address)"}},
		{Event{Device: "U-501", Fault: Slow}, []string{"does not apply to a ups"}},
	} {
		_, err := p.Inject(c.e)
		if err == nil {
			t.Errorf("%+v was accepted", c.e)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %q does not say %q", c.e, err, w)
			}
		}
	}
	if err := p.Clear("P-101", Offline, ""); !errors.Is(err, ErrNotInjected) {
		t.Errorf("clearing what is not there: %v", err)
	}
	if len(p.Injected()) != 0 {
		t.Errorf("refused faults were recorded: %v", p.Injected())
	}
}

func TestConfigReportsEveryMistake(t *testing.T) {
	_, err := New(Config{Speed: -1, Devices: []DeviceConfig{
		{Name: "A B", Kind: "pump"}, {Name: "T", Kind: "turbine"}, {Name: "X", Kind: "ups", Topic: "a/#"}, {Name: "X", Kind: "meter", Hours: -1, Serial: "0123456789abcdefg"},
	}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, w := range []string{"speed -1", `"A B": a name`, `unknown kind "turbine"`, "vibration", `topic "a/#"`, "name is taken", "hours -1", "serial"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestRunTellsWhatItCannotListenOn(t *testing.T) {
	first := running(t, Config{Devices: []DeviceConfig{{Name: "A", Kind: "pump"}}})
	taken := first.Devices()[0].Address
	p, err := New(Config{Devices: []DeviceConfig{{Name: "B", Kind: "meter"}, {Name: "C", Kind: "meter", Listen: taken}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "device C") {
		t.Errorf("run on a taken port: %v", err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ran before") {
		t.Errorf("second run: %v", err)
	}
}

func TestPassMakesEveryTick(t *testing.T) {
	p := running(t, Config{Tick: 5 * time.Millisecond, Devices: []DeviceConfig{{Name: "A", Kind: "pump"}}})
	last := -1.0
	for range 3 {
		eventually(t, "ticks", func() bool { v, _ := p.Values("A"); return v["tick"] > last })
		v, _ := p.Values("A")
		last = v["tick"]
	}
}
