package ingest

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
)

type metrics struct {
	frames  *prometheus.CounterVec // outcome: written, duplicate, expired, dead
	values  prometheus.Counter
	batch   prometheus.Histogram
	write   prometheus.Histogram
	retries *prometheus.CounterVec // what: one of the few things that are retried
	dead    prometheus.Counter
	lost    prometheus.Counter
	lag     *prometheus.GaugeVec // partition
	rows    *prometheus.GaugeVec // site, gateway, state: one set for each gateway that is known
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_ingest_frames_total", Help: "Frames dealt with, by outcome: written, duplicate, expired or dead.",
		}, []string{"outcome"}),
		values: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "faultline_ingest_values_total", Help: "Values of points that InfluxDB has taken.",
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "faultline_ingest_batch_frames", Help: "Frames of one write to InfluxDB.", Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		write: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "faultline_ingest_write_seconds", Help: "Time of one write to InfluxDB, whether it succeeded or not.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_ingest_retries_total", Help: "Attempts that failed and were made again.",
		}, []string{"what"}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "faultline_ingest_dead_letters_total", Help: "Frames that were put among the dead letters.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "faultline_ingest_places_lost_total", Help: "Times that messages after the saved place were gone from the stream.",
		}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "faultline_ingest_lag_seconds", Help: "Age, since the hub stored it, of the last message when it was dealt with.",
		}, []string{"partition"}),
		rows: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "faultline_ingest_ledger_frames", Help: "The loss ledger of each gateway, over its epochs since this process took it on.",
		}, []string{"site", "gateway", "state"}),
	}
	if r != nil {
		r.MustRegister(m.frames, m.values, m.batch, m.write, m.retries, m.dead, m.lost, m.lag, m.rows)
	}
	return m
}

// ledger shows the rows, summed for each gateway.
func (m *metrics) ledger(rows []*faultline.LedgerRow) {
	type key struct{ site, gateway, state string }
	sums := map[key]uint64{}
	for _, r := range rows {
		for _, c := range counts(r) {
			sums[key{r.Site, r.Gateway, c.name}] += c.n
		}
	}
	for k, n := range sums {
		m.rows.WithLabelValues(k.site, k.gateway, k.state).Set(float64(n))
	}
}

func (m *metrics) forget(rows []*faultline.LedgerRow) {
	for _, r := range rows {
		m.rows.DeletePartialMatch(prometheus.Labels{"site": r.Site, "gateway": r.Gateway})
	}
}

func (p *partition) label() string { return strconv.Itoa(p.n) }
