package main

import (
	"slices"
	"time"
)

// equipmentReport is what the equipment's process says of a measurement. With is of the windows in which
// devices were dead that lived in others; both leave those devices out.
type equipmentReport struct {
	Points   uint64
	Requests uint64
	Without  latenessReport
	With     latenessReport
	Control  latenessReport // the first of the windows without, in each turn
	P99s     []float64      // of each window: without, without again and with in turns
}

// latenessReport is how late polls came at the equipment.
type latenessReport struct {
	Polls  int     `json:"polls"`
	Missed int     `json:"missed_polls"`
	P50S   float64 `json:"lateness_p50_s"`
	P99S   float64 `json:"lateness_p99_s"`
	MaxS   float64 `json:"lateness_max_s"`
}

// lateness is how far after the earliest phase seen in any window each poll of a device came, by window, and how
// many did not come at all.
func lateness(windows [][]time.Time, period time.Duration) (late [][]time.Duration, missed []int) {
	var start time.Time
	first := time.Duration(0)
	for _, at := range windows {
		var list []time.Duration
		for _, t := range at {
			if start.IsZero() {
				start = t
			}
			d := t.Sub(start) % period
			if d > period/2 {
				d -= period
			}
			first = min(first, d)
			list = append(list, d)
		}
		lost := 0
		if len(at) > 1 {
			lost = max(int((at[len(at)-1].Sub(at[0])+period/2)/period)+1-len(at), 0)
		}
		late, missed = append(late, list), append(missed, lost)
	}
	for _, list := range late {
		for i := range list {
			list[i] -= first
		}
	}
	return late, missed
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(float64(len(sorted)-1)*q)]
}

// summarize judges all windows, of devices that live through all of them.
func (e *benchEquip) summarize(r *equipmentReport) {
	var with, without, control []time.Duration
	each := make([][]time.Duration, len(e.with))
	for _, d := range e.list {
		d.mu.Lock()
		windows := d.windows
		d.mu.Unlock()
		if d.mortal {
			continue
		}
		late, missed := lateness(windows, e.period)
		for i := range late {
			each[i] = append(each[i], late[i]...)
			if e.with[i] {
				with = append(with, late[i]...)
				r.With.Missed += missed[i]
			} else if i%windowsPerTurn == 0 && len(e.with) > 1 {
				control = append(control, late[i]...)
				r.Control.Missed += missed[i]
			} else {
				without = append(without, late[i]...)
				r.Without.Missed += missed[i]
			}
		}
	}
	for _, list := range each {
		slices.Sort(list)
		r.P99s = append(r.P99s, quantile(list, 0.99).Seconds())
	}
	r.With.fill(with)
	r.Without.fill(without)
	r.Control.fill(control)
}

func (r *latenessReport) fill(all []time.Duration) {
	slices.Sort(all)
	r.Polls = len(all)
	r.P50S, r.P99S, r.MaxS = quantile(all, 0.5).Seconds(), quantile(all, 0.99).Seconds(), quantile(all, 1).Seconds()
}
