package tsdb

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	bytes    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_tsdb_requests_total",
			Help: "Requests to InfluxDB by kind and outcome: ok, an HTTP status, or error if there was no answer.",
		}, []string{"op", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "faultline_tsdb_request_seconds",
			Help:    "Time of a request to InfluxDB.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"op"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "faultline_tsdb_written_bytes_total",
			Help: "Line protocol that InfluxDB has taken.",
		}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.seconds, m.bytes)
	}
	return m
}

func (m *metrics) done(op string, start time.Time, err error) {
	m.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds())
	outcome := "ok"
	if err != nil {
		outcome = "error"
		var e *Error
		if errors.As(err, &e) && e.Status != 0 {
			outcome = strconv.Itoa(e.Status)
		}
	}
	m.requests.WithLabelValues(op, outcome).Inc()
}
