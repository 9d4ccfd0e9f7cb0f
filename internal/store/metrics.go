package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	transactions *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
}

// newMetrics registers the store's metrics; r may be nil.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_store_transactions_total",
			Help: "Write transactions by what they did and how they ended (committed, conflict, fenced, refused or failed).",
		}, []string{"operation", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "faultline_store_transaction_seconds",
			Help:    "Time of write transactions, waiting for their turn included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"operation"}),
	}
	if r != nil {
		for _, c := range []prometheus.Collector{m.transactions, m.seconds} {
			if err := r.Register(c); err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
		}
	}
	return m, nil
}

func (m *metrics) done(operation string, err error, took time.Duration) {
	result := "failed"
	switch {
	case err == nil:
		result = "committed"
	case errors.Is(err, faultline.ErrFenced):
		result = "fenced"
	case errors.Is(err, faultline.ErrConflict):
		result = "conflict"
	case errors.Is(err, faultline.ErrRefused), errors.Is(err, faultline.ErrInvalid), errors.Is(err, faultline.ErrNotFound):
		result = "refused"
	}
	m.transactions.WithLabelValues(operation, result).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
}
