package modbus

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
)

// Metrics of all buses of a gateway.
type Metrics struct {
	polls    *prometheus.CounterVec
	requests prometheus.Counter
	late     prometheus.Counter
	reopened prometheus.Counter
	invalid  prometheus.Counter
	seconds  prometheus.Histogram
}

// NewMetrics registers on r; nil keeps them to oneself.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_gateway_modbus_" + name, Help: help})
	}
	m := &Metrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_gateway_modbus_polls_total",
			Help: "Polls by result: good, skipped (unit in back-off), not_connected, timeout, exception, protocol.",
		}, []string{"result"}),
		requests: counter("requests_total", "Requests sent."),
		late:     counter("late_polls_total", "Polls skipped because the one before, or storing, took too long."),
		reopened: counter("reopened_total", "Connections closed after an error that is no Modbus exception."),
		invalid:  counter("refused_frames_total", "Frames that the sink refused as invalid."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "faultline_gateway_modbus_poll_duration_seconds", Help: "Duration of a poll of one device.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	if r != nil {
		r.MustRegister(m.polls, m.requests, m.late, m.reopened, m.invalid, m.seconds)
	}
	return m
}

func resultOf(err error) string {
	var e Exception
	switch q := quality(err); {
	case errors.As(err, &e):
		return "exception"
	case q == faultline.BadTimeout:
		return "timeout"
	case q == faultline.BadNotConnected:
		return "not_connected"
	}
	return "protocol"
}
