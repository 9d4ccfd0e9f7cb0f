package equipment

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Past says which values to make up for a device, from From (included) to To (excluded).
type Past struct {
	Device DeviceConfig // its Hours are reached at To; WearRate is not used: the past ran at 1 h per hour
	Seed   int64        // as in Config
	Site   string       // as in Config
	From   time.Time    // its zone is the plant's, as in Config.Start
	To     time.Time
	Step   time.Duration // between rows; a minute is usual
	Duty   []Duty        // how it is used, in order; none: as the plant's demand wants it
	Script []Event       // physical faults and sensor faults; At counts from From, Device is not looked at
}

// Duty is how a device of the past is used from At on.
type Duty struct {
	At      time.Duration // counts from From
	Load    float64       // times the plant's demand, within what the device can do; 0 means 1
	Stopped bool          // stands still; kinds without a run command go on
}

// History calls fn for every row in order, with the values by point name that a correct
// reader would have got: quantised, enumerations as numbers, without texts, tick and open
// sensors. Counters rise to meet those of the device when it starts; a device with fewer
// Hours than the past is long has them begin at 0 and end higher. The map is reused: it
// holds only during the call. An error of fn ends it and is returned.
func History(h Past, fn func(at time.Time, values map[string]float64) error) error {
	c := Config{Seed: h.Seed, Site: h.Site, Devices: []DeviceConfig{h.Device}}
	if err := c.complete(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	d := c.Devices[0]
	k, err := kindNamed(d.Kind)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if h.Step <= 0 {
		return fmt.Errorf("history of %s: step %v: must be positive", d.Name, h.Step)
	}
	script := slices.Clone(h.Script)
	var errs []error
	for i := range script {
		e := &script[i]
		if err := e.check(k); err != nil {
			errs = append(errs, e.locate(err))
		} else if physical(e.Fault) < 0 && e.Fault != SensorStuck && e.Fault != SensorOpen {
			errs = append(errs, e.locate(fmt.Errorf("fault %s has no past: only physical and sensor faults have", e.Fault)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("history of %s: %w", d.Name, err)
	}
	slices.SortStableFunc(script, func(a, b Event) int { return int(min(max(a.At-b.At, -1), 1)) })

	// Counters of the past must end where the live device begins: run once to learn how far
	// they rise, then again from that much lower. Both runs are equally worn, or the second
	// would take another amount of energy; the noise depends on neither.
	if !slices.IsSortedFunc(h.Duty, func(a, b Duty) int { return int(min(max(a.At-b.At, -1), 1)) }) {
		return fmt.Errorf("history of %s: duty is not in order", d.Name)
	}
	first, second := h.unit(d, k), h.unit(d, k)
	end := snapshot(first.m.totals())
	steps := (h.To.Sub(h.From) + h.Step - 1) / h.Step
	*first.m.totals()[0] = max(0, end[0]-(steps*h.Step).Hours())
	before := snapshot(first.m.totals())
	h.play(first, script, nil)
	after := snapshot(first.m.totals())
	for i, t := range second.m.totals() {
		*t = max(0, end[i]-(after[i]-before[i]))
	}
	if err := h.play(second, script, fn); err != nil {
		return fmt.Errorf("history of %s: %w", d.Name, err)
	}
	return nil
}

func (h *Past) unit(d DeviceConfig, k *kind) *unit {
	d.WearRate = 1
	u := newUnit(d, k, h.Seed)
	u.m = k.start(d.Hours, newNoise(h.Seed, "history/"+d.Name))
	u.image = image{} // nobody reads registers of the past
	return u
}

func snapshot(totals []*float64) []float64 {
	v := make([]float64, len(totals))
	for i, t := range totals {
		v[i] = *t
	}
	return v
}

func (h *Past) play(u *unit, script []Event, fn func(time.Time, map[string]float64) error) error {
	_, zone := h.From.Zone()
	climate := newClimate(h.Seed, zone)
	values := make(map[string]float64, len(u.k.points))
	s := surroundings{dt: h.Step.Seconds()}
	duty, load, run := h.Duty, 1.0, u.k.index("run_command")
	for at := h.From; at.Before(h.To); at = at.Add(h.Step) {
		s.clock, s.now = at.Sub(h.From), at
		for len(script) > 0 && script[0].At <= s.clock {
			if e := script[0]; e.Clear {
				u.end(e.Fault, e.Point, at)
			} else {
				u.inject(e, s.clock, at)
			}
			script = script[1:]
		}
		for ; len(duty) > 0 && duty[0].At <= s.clock; duty = duty[1:] {
			if load = duty[0].Load; load == 0 {
				load = 1
			}
			if run >= 0 {
				u.m.write(run, flag(!duty[0].Stopped))
			}
		}
		s.ambient, s.demand = climate.at(float64(at.UnixNano()) / 1e9)
		s.demand = min(max(s.demand*load, leastDemand), mostDemand)
		u.advance(s)
		if fn == nil {
			continue
		}
		for i, p := range u.k.points {
			if p.static() || p.Name == "tick" {
				continue
			}
			if u.open[i] {
				delete(values, p.Name)
				continue
			}
			_, values[p.Name] = p.quantise(u.shown[i])
		}
		if err := fn(at, values); err != nil {
			return err
		}
	}
	return nil
}
