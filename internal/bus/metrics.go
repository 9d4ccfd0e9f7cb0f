package bus

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all connections that share a registry.
type metrics struct {
	frames   prometheus.Counter
	batches  prometheus.Counter
	bytes    prometheus.Counter
	commit   prometheus.Histogram
	retries  *prometheus.CounterVec // by state
	onebyone prometheus.Counter
	consumed *prometheus.CounterVec // by kind
	forward  prometheus.Counter     // frames
	streamB  *prometheus.GaugeVec   // by stream's role and partition
	streamM  *prometheus.GaugeVec   // the same
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		frames:   prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_bus_published_frames_total", Help: "Frames committed to disk by publishers."}),
		batches:  prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_bus_published_batches_total", Help: "Commits by publishers; each is one sync to disk."}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_bus_published_bytes_total", Help: "Bytes of payload committed by publishers."}),
		commit:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "faultline_bus_commit_seconds", Help: "Time from sending a batch to its acknowledgement, retries included.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}),
		retries:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_bus_retries_total", Help: "Writes tried again, by state of the writer."}, []string{"state"}),
		onebyone: prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_bus_repeated_batches_total", Help: "Batches rejected for a repeated message id and then stored one by one."}),
		consumed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "faultline_bus_consumed_messages_total", Help: "Messages handed to consumers, by kind."}, []string{"kind"}),
		forward:  prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_bus_forwarded_frames_total", Help: "Frames forwarded from the edge and stored at the hub."}),
		streamB:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "faultline_bus_stream_bytes", Help: "Bytes in a stream when its state was last asked for."}, []string{"stream"}),
		streamM:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "faultline_bus_stream_messages", Help: "Messages in a stream when its state was last asked for."}, []string{"stream"}),
	}
	if reg == nil {
		return m, nil
	}
	err := errors.Join(share(reg, &m.frames), share(reg, &m.batches), share(reg, &m.bytes), share(reg, &m.commit), share(reg, &m.retries),
		share(reg, &m.onebyone), share(reg, &m.consumed), share(reg, &m.forward), share(reg, &m.streamB), share(reg, &m.streamM))
	if err != nil {
		return nil, fmt.Errorf("register metrics of the bus: %w", err)
	}
	return m, nil
}

// share registers *c or, if another connection has done so, takes the registered one.
func share[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if was, ok := are.ExistingCollector.(C); ok {
			*c = was
			return nil
		}
	}
	return err
}
