package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics of the supervisor; the drivers have their own.
type metrics struct {
	frames   prometheus.Counter
	samples  *prometheus.CounterVec
	store    prometheus.Histogram
	up       *prometheus.GaugeVec
	restarts prometheus.Counter
	writes   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, uncertainClock func() bool) *metrics {
	m := &metrics{
		frames:  prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_gateway_frames_total", Help: "Frames stored."}),
		samples: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_gateway_samples_total", Help: "Samples read, by quality: good, uncertain, bad."}, []string{"quality"}),
		store: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "faultline_gateway_store_duration_seconds", Help: "Time until a frame was safe: the drivers' back-pressure.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 120},
		}),
		up:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "faultline_gateway_device_up", Help: "Whether the device answers: 1 or 0."}, []string{"position"}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_gateway_driver_restarts_total", Help: "Drivers started again after they failed."}),
	}
	m.writes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_gateway_writes_total", Help: "Orders to write that came to an end, by outcome: written, differs, failed, unknown."}, []string{"status"})
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "faultline_gateway_clock_uncertain", Help: "1 while the wall clock is not believed."}, func() float64 {
		if uncertainClock() {
			return 1
		}
		return 0
	})
	if r != nil {
		r.MustRegister(m.frames, m.samples, m.store, m.up, m.restarts, m.writes, held)
	}
	return m
}
