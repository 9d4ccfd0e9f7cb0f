package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline/internal/pki"
)

// expirySoon is how long before its end a certificate is warned of.
const expirySoon = 30 * 24 * time.Hour

// watchCertificate says when a certificate ends, as a metric and, if that is soon, in the log.
func (n *node) watchCertificate(owner string, s *pki.Source) {
	ends := s.Expires()
	if ends.IsZero() {
		return
	}
	if left := time.Until(ends); left < expirySoon {
		n.log.Warn("a certificate ends soon: issue it again with faultline certs, it is read without a restart", "owner", owner, "ends", ends.UTC().Format(time.RFC3339))
	}
	g := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "faultline_certificate_expiry_timestamp_seconds", Help: "When the certificate of this process ends, in Unix seconds.",
		ConstLabels: prometheus.Labels{"owner": owner},
	}, func() float64 { return float64(s.Expires().Unix()) })
	if err := n.registry.Register(g); err != nil {
		n.log.Debug("metric of a certificate", "owner", owner, "error", err) // the same owner a second time
	}
}
