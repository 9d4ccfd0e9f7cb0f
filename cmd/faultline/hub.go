package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/pki"
)

// identify says what the owner of a certificate may do at the hub.
func identify(c *x509.Certificate) (bus.Peer, error) {
	id, err := pki.Identify(c)
	if err != nil {
		return bus.Peer{}, err
	}
	switch id.Role {
	case pki.RoleGateway:
		return bus.Peer{Site: id.Site, Gateway: id.Name}, nil
	case pki.RoleCentral, pki.RoleHub:
		return bus.Peer{}, nil
	}
	return bus.Peer{}, fmt.Errorf("%w: %s has nothing to do at the hub", faultline.ErrRefused, id)
}

// embeddedHub starts the hub of this process.
func (n *node) embeddedHub(token string) (*bus.Server, error) {
	c := n.cfg
	s := bus.ServerConfig{
		Dir: filepath.Join(c.dataDir(), "hub"), Name: "hub", Listen: hubListen(c.Hub.Listen), Token: token, Partitions: max(c.Hub.Partitions, 1),
		MaxStore: unlimited, Log: n.log, Registry: n.registry,
	}
	if strings.HasPrefix(c.Hub.Listen, "ws") {
		s.Listen = "ws://" + s.Listen
	}
	if c.Hub.Listen != "" && c.Hub.TLS.CertFile != "" {
		src, err := pki.Load(c.certificateFiles("hub"), n.log)
		if err != nil {
			return nil, err
		}
		s.TLS = src.Server()
		if c.Hub.TLS.CAFile != "" {
			s.Identify = identify
		}
		n.watchCertificate("hub", src)
	} else if c.Hub.Listen != "" && !onLoopback(c.Hub.Listen) {
		n.log.Warn("the hub listens without TLS: frames and the token can be read on the way, and every gateway may write as any other; see docs/edge.md", "listen", c.Hub.Listen)
	}
	return bus.StartServer(s)
}

// hubDial says how this process reaches a hub elsewhere; gateway is zero for the centre.
func (n *node) hubDial(site, gateway string) (bus.DialOptions, error) {
	c := n.cfg
	token, err := c.secret(c.Hub.TokenFile, "FAULTLINE_HUB_TOKEN")
	o := bus.DialOptions{Name: "faultline", Token: token, Log: n.log}
	if err != nil {
		return o, err
	}
	if gateway != "" {
		o.Name, o.Site, o.Gateway, o.MaxRate = gateway, site, gateway, int64(c.Uplink.MaxRate)
	}
	if c.Hub.TLS != (TLSConfig{}) {
		src, err := pki.Load(c.certificateFiles(gateway), n.log)
		if err != nil {
			return o, err
		}
		o.Certificates = src
		if o.Gateway == "" {
			gateway = "central"
		}
		n.watchCertificate(gateway, src)
	}
	return o, nil
}

// share divides a role's partitions among the processes that live; nil where there is one only.
func (n *node) share(ctx context.Context, fail func(error), role string) func(int) bool {
	if n.cfg.storeURL() == "" {
		return nil
	}
	h := n.store.NewShare(role, n.owner(), shareTTL, n.log)
	s, sctx := n.begin(ctx, role+" share")
	s.run(sctx, fail, role+" share", h.Run)
	return h.Mine
}

// shareTTL is how long a process that died is waited for.
const shareTTL = 5 * time.Second

// startHub answers gateways for the hub that this process is a part of.
func (n *node) startHub(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, "hub")
	s.run(sctx, fail, "hub", n.hub.Run)
	s.run(sctx, fail, "gateways' configurations", n.putConfigs)
	return nil
}
