package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	streams  prometheus.Gauge
	frames   prometheus.Counter
	writes   *prometheus.CounterVec

	auditLeft, auditFailed prometheus.Counter

	watched *prometheus.CounterVec
}

// newMetrics registers the room's metrics. Routes are those of the tables, so labels are bounded.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_api_requests_total", Help: "Requests answered, by route and class of status."}, []string{"route", "class"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "faultline_api_request_duration_seconds", Help: "Time to answer a request, streams left out.", Buckets: []float64{.002, .01, .05, .1, .5, 2, 10}}, []string{"route"}),
		refused:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_api_refused_total", Help: "Requests refused before they reached a handler, by reason."}, []string{"reason"}),
		streams:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "faultline_api_event_streams", Help: "Open streams of server-sent events."}),
		frames:   prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_api_live_frames_total", Help: "Live frames taken into the latest values."}),
	}
	m.writes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_api_writes_total", Help: "Writes of points that were sent to a gateway, by outcome."}, []string{"status"})
	m.auditLeft = prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_api_audit_left_out_total", Help: "Refused attempts that were not audited because there were too many."})
	m.auditFailed = prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_api_audit_failed_total", Help: "Audit entries that could not be written."})
	m.watched = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_desk_told_total", Help: "What the desk told by itself about tickets: warnings of clocks, escalations, closings after silence."}, []string{"event"})
	for _, c := range []prometheus.Collector{m.writes, m.requests, m.seconds, m.refused, m.streams, m.frames, m.auditLeft, m.auditFailed, m.watched} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) answered(r *route, code int, took time.Duration) {
	name := "unknown"
	if r != nil {
		name = r.path
	}
	m.requests.WithLabelValues(name, strconv.Itoa(code/100)+"xx").Inc()
	if r != nil && !r.slow {
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}
