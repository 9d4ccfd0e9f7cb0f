package main

import (
	"sync"
	"time"

	"github.com/faultline-iot/faultline/gateway"
)

// hubTime hands the hub's time, as the uplink hears it, to the gateway that runs: a new configuration makes
// a new one, which is told at once what the uplink heard last.
type hubTime struct {
	mu      sync.Mutex
	gateway *gateway.Gateway
	hub, at time.Time
}

func (h *hubTime) told(hub, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hub, h.at = hub, at
	if h.gateway != nil {
		h.gateway.HubTime(hub, at)
	}
}

func (h *hubTime) runs(g *gateway.Gateway) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gateway = g
	if !h.hub.IsZero() {
		g.HubTime(h.hub, h.at)
	}
}
