package rules

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	frames      *prometheus.CounterVec
	evaluations prometheus.Counter
	transitions *prometheus.CounterVec
	tickets     *prometheus.CounterVec
	commands    *prometheus.CounterVec
	replayed    prometheus.Counter
	refused     prometheus.Counter
	retries     *prometheus.CounterVec
	batch       prometheus.Histogram
	lag         prometheus.Gauge
	partitions  prometheus.Gauge
	units       prometheus.Gauge
	saved       prometheus.Counter
	savedBytes  prometheus.Counter
	lost        prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "faultline", Subsystem: "rules", Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "faultline", Subsystem: "rules", Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "faultline", Subsystem: "rules", Name: name, Help: help})
	}
	m := &metrics{
		frames:      vector("frames_total", "Frames by what became of them: judged, duplicate, old, ahead (over a day after the hub's time), unknown_position, undecodable, or health (a gateway on its device).", "outcome"),
		evaluations: counter("evaluations_total", "Samples that were shown to rules, once for each rule."),
		transitions: vector("transitions_total", "Transitions of alarms.", "transition"),
		tickets:     vector("ticket_effects_total", "What became of alarms that were raised: opened, joined, repeated, reopened, storm, inspection, test or respected.", "effect"),
		commands:    vector("commands_total", "Commands that were carried out (done) or not (refused).", "outcome"),
		replayed:    counter("replayed_effects_total", "Effects that a replay of the stream repeated and the store held already."),
		refused:     counter("refused_effects_total", "Effects that the store will never take."),
		retries:     vector("retries_total", "Repeated attempts: effects, save, tick or worker.", "what"),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "faultline", Subsystem: "rules", Name: "batch_seconds", Help: "Time for one batch of messages with its effects.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}),
		lag:        gauge("lag_seconds", "Time since the latest message that was dealt with was stored."),
		partitions: gauge("partitions", "Partitions that this process works on."),
		units:      gauge("units", "Positions and gateways that this process works on."),
		saved:      counter("saved_units_total", "Units whose state was saved."),
		savedBytes: counter("saved_bytes_total", "Bytes of state that were saved."),
		lost:       counter("places_lost_total", "Times that a saved place was no longer in its stream."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.frames, m.evaluations, m.transitions, m.tickets, m.commands, m.replayed, m.refused,
		m.retries, m.batch, m.lag, m.partitions, m.units, m.saved, m.savedBytes, m.lost} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of rules: %w", err)
		}
	}
	return m, nil
}
