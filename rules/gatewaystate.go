package rules

import (
	"encoding/json"

	"github.com/faultline-iot/faultline"
)

// freshFor tells whether the gateway's unit has not seen the message yet.
func (w *worker) freshFor(m *faultline.Message) bool {
	g := w.units[gatewayUnitID(m.Site, m.ID.Gateway)]
	return g == nil || !g.seen(m.Place)
}

// gatewayState shows what a gateway says of itself to the rules on gateways. It is as of when it was
// forwarded, so it is judged in the hub's time, as the gateway's silence is.
func (w *worker) gatewayState(g *unit, m *faultline.Message) {
	if g == nil || len(m.State) == 0 {
		return
	}
	var s faultline.GatewayState
	if err := json.Unmarshal(m.State, &s); err != nil {
		w.engine.metrics.frames.WithLabelValues("undecodable").Inc()
		return
	}
	g.state = &s
	samples := s.Samples()
	for i := range samples {
		p := g.points[samples[i].Point]
		if p == nil {
			continue
		}
		p.ring.push(w.now, &samples[i])
		for _, r := range p.rules {
			w.effects = g.judge(w.effects, r, r.kind.Observe(w.now, &samples[i]), w.now, w.now, false)
		}
	}
	g.state = nil
	g.noteDown(m.Place)
}
