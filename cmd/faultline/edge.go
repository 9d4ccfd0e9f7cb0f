package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/uplink"
	"github.com/faultline-iot/faultline/internal/bus"
)

// openEdge opens the stream in which a gateway of a site keeps its frames until the hub has them. The
// connection given back carries its live frames; it is the edge's own, so that reading equipment never
// waits for the hub.
func (n *node) openEdge(ctx context.Context, g gateway.Config) (*bus.Edge, *bus.Conn, error) {
	srv, err := bus.StartServer(bus.ServerConfig{Dir: filepath.Join(n.cfg.dataDir(), "edge-"+g.ID), Name: g.ID, Log: n.component("edge")})
	if err != nil {
		return nil, nil, err
	}
	n.onClose(func() error { srv.Close(); return nil })
	conn, err := srv.Connect(g.ID)
	if err != nil {
		return nil, nil, err
	}
	n.onClose(func() error { conn.Close(); return nil })
	edge, err := conn.OpenEdge(ctx, bus.EdgeConfig{Site: g.Site, Gateway: g.ID, CommitInterval: 100 * time.Millisecond})
	return edge, conn, err
}

// uplinkOptions says how a gateway's frames reach the hub.
func (n *node) uplinkOptions(g gateway.Config, edge *bus.Edge) uplink.Options {
	return uplink.Options{
		Edge: edge,
		Dial: func(ctx context.Context) (*bus.Hub, func(), error) {
			token, err := n.cfg.secret(n.cfg.Hub.TokenFile, "FAULTLINE_HUB_TOKEN")
			if err != nil {
				return nil, nil, err
			}
			conn, err := bus.Dial(ctx, n.cfg.Hub.URL, bus.DialOptions{Name: g.ID, Token: token, Log: n.component("uplink")})
			if err != nil {
				return nil, nil, err
			}
			hub, err := conn.OpenHub(ctx, bus.HubConfig{Partitions: n.cfg.Hub.Partitions, MaxBytes: n.cfg.Hub.MaxBytes})
			if err != nil {
				conn.Close()
				return nil, nil, err
			}
			return hub, conn.Close, nil
		},
		Log:      n.component("uplink").With("gateway", g.ID),
		Registry: prometheus.WrapRegistererWith(prometheus.Labels{"gateway": g.ID}, n.registry),
	}
}
