package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/uplink"
	"github.com/faultline-iot/faultline/internal/bus"
)

// startEdge opens the stream in which a gateway of a site keeps its frames until the hub has them, and
// starts what forwards them. Reading equipment never waits for the hub.
func (n *node) startEdge(ctx context.Context, g gateway.Config, take *orders, tell func(*faultline.GatewayState), forward func(what string, f func(context.Context) error)) (r gatewayRun, err error) {
	srv, err := bus.StartServer(bus.ServerConfig{Dir: filepath.Join(n.cfg.dataDir(), "edge-"+g.ID), Name: g.ID, MaxStore: unlimited, Log: n.log})
	if err != nil {
		return r, err
	}
	n.watch("edge stream of "+g.ID, srv)
	conn, err := srv.Connect(g.ID)
	if err != nil {
		return r, err
	}
	n.onClose(func() error { conn.Close(); return nil })
	edge, err := conn.OpenEdge(ctx, bus.EdgeConfig{Site: g.Site, Gateway: g.ID, MaxBytes: int64(n.cfg.Edge.MaxBytes), MaxAge: n.cfg.Edge.MaxAge, CommitInterval: 100 * time.Millisecond})
	if err != nil {
		return r, err
	}
	writer, err := edge.Publisher(ctx)
	if err != nil {
		return r, err
	}
	options, err := n.uplinkOptions(g, edge)
	if err != nil {
		return r, err
	}
	options.Serve = take.take
	clock := &hubTime{}
	options.HubTime = clock.told
	up, err := uplink.New(options)
	if err != nil {
		return r, err
	}
	forward("uplink of "+g.ID, up.Run)
	buffer, err := n.watchBuffer(g, edge, tell)
	if err != nil {
		return r, err
	}
	forward("buffer of "+g.ID, buffer.Run)
	return gatewayRun{own: g, writer: writer, live: up.PublishLive, read: up.Config, clock: clock}, nil
}

// watchBuffer warns before the edge's limits drop what the hub does not have.
func (n *node) watchBuffer(g gateway.Config, edge *bus.Edge, tell func(*faultline.GatewayState)) (*uplink.Buffer, error) {
	dir := n.cfg.dataDir()
	free := func() int64 {
		if room, known := freeDisk(dir); known {
			return room
		}
		return -1
	}
	if room := free(); room >= 0 && room < int64(n.cfg.Edge.MaxBytes) {
		n.log.Warn("edge.max_bytes may not fit the disk", "free", Size(room).String(), "max_bytes", n.cfg.Edge.MaxBytes.String(), "data", dir)
	}
	b, err := uplink.NewBuffer(uplink.BufferOptions{
		Measure:  func(ctx context.Context) (bus.Buffer, error) { return edge.Buffer(ctx, free()) },
		Log:      n.log.With("gateway", g.ID),
		Registry: prometheus.WrapRegistererWith(prometheus.Labels{"gateway": g.ID}, n.registry),
	})
	if err != nil {
		return nil, err
	}
	n.buffers = append(n.buffers, b)
	edge.TellState(func() *faultline.GatewayState { s := b.State(); tell(&s); return &s })
	return b, nil
}

// uplinkOptions says how a gateway's frames reach the hub.
func (n *node) uplinkOptions(g gateway.Config, edge *bus.Edge) (uplink.Options, error) {
	dial, err := n.hubDial(g.Site, g.ID)
	if err != nil {
		return uplink.Options{}, err
	}
	return uplink.Options{
		Edge: edge, Site: g.Site, Gateway: g.ID,
		Dial: func(ctx context.Context) (*bus.Conn, error) {
			o := dial
			var err error
			if o.Token, err = n.cfg.secret(n.cfg.Hub.TokenFile, hubTokenEnv); err != nil {
				return nil, err
			}
			return bus.Dial(ctx, n.cfg.Hub.URL, o)
		},
		Log:      n.log,
		Registry: prometheus.WrapRegistererWith(prometheus.Labels{"gateway": g.ID}, n.registry),
	}, nil
}
