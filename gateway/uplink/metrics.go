package uplink

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	interruptions prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, u *Uplink) (*metrics, error) {
	m := &metrics{interruptions: prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_uplink_interruptions_total", Help: "Times that forwarding had to begin anew."})}
	if reg == nil {
		return m, nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{
		m.interruptions,
		gauge("faultline_uplink_up", "1 while frames can be forwarded to the hub.", func() float64 {
			if u.State().State == "ok" {
				return 1
			}
			return 0
		}),
		gauge("faultline_uplink_backlog_frames", "Frames of the edge stream that are not forwarded yet.", func() float64 { return float64(u.State().Backlog) }),
		gauge("faultline_uplink_lag_seconds", "Age of the oldest message when it was forwarded; while nothing is, of the oldest that waits.", func() float64 { return u.State().Lag.Seconds() }),
		gauge("faultline_uplink_state_age_seconds", "Time since the state of forwarding changed.", func() float64 { return time.Since(u.State().Since).Seconds() }),
		counter("faultline_uplink_frames_total", "Frames stored at the hub.", func() float64 { return float64(u.State().Frames) }),
		counter("faultline_uplink_skipped_frames_total", "Frames that the hub had already.", func() float64 { return float64(u.State().Skipped) }),
		counter("faultline_uplink_dropped_frames_total", "Frames that the edge's limits dropped before they were forwarded.", func() float64 { return float64(u.State().Dropped) }),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the uplink: %w", err)
		}
	}
	return m, nil
}
