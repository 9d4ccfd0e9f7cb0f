package mqtt

import "github.com/prometheus/client_golang/prometheus"

// Metrics of all MQTT sources of a gateway.
type Metrics struct {
	messages *prometheus.CounterVec
	untimed  *prometheus.CounterVec
	lost     prometheus.Counter
	clients  prometheus.Gauge
	denied   prometheus.Counter
}

// NewMetrics registers on r; nil keeps them to oneself.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_gateway_mqtt_messages_total",
			Help: "Messages by result: good, undecodable, oversized, repeated (dropped), refused (by the sink), unrouted.",
		}, []string{"result"}),
		untimed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "faultline_gateway_mqtt_rejected_times_total",
			Help: "Messages whose device time could not be used, by reason: missing, unreadable, implausible.",
		}, []string{"reason"}),
		lost:    prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_gateway_mqtt_lost_connections_total", Help: "Connections to brokers or of devices that broke."}),
		clients: prometheus.NewGauge(prometheus.GaugeOpts{Name: "faultline_gateway_mqtt_clients", Help: "Devices connected to the built-in listener."}),
		denied:  prometheus.NewCounter(prometheus.CounterOpts{Name: "faultline_gateway_mqtt_denied_total", Help: "Connections and publications refused for want of rights."}),
	}
	if r != nil {
		r.MustRegister(m.messages, m.untimed, m.lost, m.clients, m.denied)
	}
	return m
}
